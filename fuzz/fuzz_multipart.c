/* A request's Content-Type in the first line, its body behind it. */
#include "fuzz.h"
#include "serve/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static ser_upload uploads[SER_MAX_UPLOADS];
    size_t n_uploads = 0;
    ser_error err;
    const uint8_t *end = n ? memchr(data, '\n', n) : NULL;
    if (!end)
        return 0;
    char *type = calloc((size_t)(end - data) + 1, 1);
    uint8_t *body = fuzz_copy(end + 1, (size_t)(data + n - end - 1));
    if (!type)
        abort();
    memcpy(type, data, (size_t)(end - data));
    size_t n_body = (size_t)(data + n - end - 1);
    if (ser_multipart_read(uploads, &n_uploads, type, (const char *)body, n_body, &err) == SER_OK)
        for (size_t i = 0; i < n_uploads; i++)
            if (uploads[i].bytes < (char *)body || uploads[i].bytes + uploads[i].n > (char *)body + n_body ||
                strlen(uploads[i].name) >= sizeof uploads[i].name)
                abort();
    free(body);
    free(type);
    return 0;
}

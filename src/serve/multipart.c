#include "serve/multipart.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MAX_BOUNDARY = 70 }; /* RFC 2046, section 5.1.1 */

/* The value of key in a header such as: form-data; name="file"; filename="a.wav". Backslashes stay where they
 * are, as browsers leave them. */
static bool parameter(char *out, size_t n_out, const char *header, size_t n, const char *key)
{
    size_t n_key = strlen(key), i = 0;
    while (i < n) {
        while (i < n && (header[i] == ';' || header[i] == ' ' || header[i] == '\t'))
            i++;
        size_t start = i;
        while (i < n && header[i] != '=' && header[i] != ';')
            i++;
        bool wanted = i - start == n_key && strncasecmp(header + start, key, n_key) == 0;
        if (i >= n || header[i] != '=')
            continue;
        bool quoted = ++i < n && header[i] == '"';
        size_t value = i += quoted;
        while (i < n && header[i] != (quoted ? '"' : ';'))
            i++;
        if (wanted) {
            if (i - value >= n_out)
                return false;
            memcpy(out, header + value, i - value);
            out[i - value] = 0;
            return true;
        }
        i += quoted && i < n;
    }
    return false;
}

/* A part's header line that begins with name, up to the blank line at end. */
static const char *header_line(const char *at, const char *end, const char *name, size_t *n)
{
    while (at < end) {
        const char *line_end = memmem(at, (size_t)(end - at), "\r\n", 2);
        if (!line_end)
            line_end = end;
        if ((size_t)(line_end - at) >= strlen(name) && strncasecmp(at, name, strlen(name)) == 0) {
            *n = (size_t)(line_end - at) - strlen(name);
            return at + strlen(name);
        }
        at = line_end + 2;
    }
    return NULL;
}

/* One part, between two boundaries. */
static ser_status read_part(ser_upload *uploads, size_t *n_uploads, const char *part, size_t n,
                            ser_error *err)
{
    char field[64];
    size_t n_line;
    const char *blank = memmem(part, n, "\r\n\r\n", 4);
    if (!blank)
        return ser_fail(err, SER_E_FORMAT, "a part of the multipart body has no end of its headers");
    const char *line = header_line(part, blank, "content-disposition:", &n_line);
    if (!line || !parameter(field, sizeof field, line, n_line, "name") || strcmp(field, "file") != 0)
        return SER_OK;
    if (*n_uploads == SER_MAX_UPLOADS)
        return ser_fail(err, SER_E_ARG, "more than %d files in one request", SER_MAX_UPLOADS);
    ser_upload *u = &uploads[(*n_uploads)++];
    if (!parameter(u->name, sizeof u->name, line, n_line, "filename"))
        u->name[0] = 0;
    u->bytes = blank + 4;
    u->n = n - (size_t)(u->bytes - part);
    return SER_OK;
}

ser_status ser_multipart_read(ser_upload *uploads, size_t *n_uploads, const char *content_type,
                              const char *body, size_t n, ser_error *err)
{
    char boundary[MAX_BOUNDARY + 1], delimiter[MAX_BOUNDARY + 5];
    const char *at = body, *end = body + n, *next;
    *n_uploads = 0;
    if (!parameter(boundary, sizeof boundary, content_type, strlen(content_type), "boundary") || !*boundary)
        return ser_fail(err, SER_E_FORMAT, "the multipart body's Content-Type names no boundary");
    size_t n_delimiter = (size_t)snprintf(delimiter, sizeof delimiter, "\r\n--%s", boundary);
    /* The first delimiter may stand at the very beginning, without its line end. */
    if (n + 2 >= n_delimiter && memcmp(body, delimiter + 2, n_delimiter - 2) == 0)
        at = body + n_delimiter - 2;
    else if ((at = memmem(body, n, delimiter, n_delimiter)))
        at += n_delimiter;
    else
        return ser_fail(err, SER_E_FORMAT, "the multipart body has none of its boundaries");
    while (end - at >= 2 && memcmp(at, "--", 2) != 0) {
        next = memmem(at, (size_t)(end - at), delimiter, n_delimiter);
        if (!next)
            return ser_fail(err, SER_E_FORMAT, "the multipart body ends in the middle of a part");
        ser_status st = read_part(uploads, n_uploads, at, (size_t)(next - at), err);
        if (st != SER_OK)
            return st;
        at = next + n_delimiter;
    }
    if (end - at < 2)
        return ser_fail(err, SER_E_FORMAT, "the multipart body ends in the middle of a part");
    return *n_uploads ? SER_OK : ser_fail(err, SER_E_FORMAT, "the multipart body has no field named 'file'");
}

#include "io/json.h"
#include "io/file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

typedef struct source {
    const char *text;
    size_t left;
    bool no_memory;
} source;

/* A byte at a time: a string that got no memory lacks letters without a word, and the next number sets errno
 * to 0. */
static size_t give_byte(void *buffer, size_t n_most, void *context)
{
    source *s = context;
    s->no_memory |= errno == ENOMEM;
    if (s->no_memory || !s->left || !n_most)
        return 0;
    *(char *)buffer = *s->text++;
    s->left--;
    return 1;
}

ser_status ser_json_load(json_t **out, const char *text, size_t n, size_t flags, json_error_t *why)
{
    source s = {.text = text, .left = n};
    errno = 0; /* which malloc sets */
    *out = json_load_callback(give_byte, &s, flags, why);
    if (errno != ENOMEM && !s.no_memory)
        return *out ? SER_OK : SER_E_FORMAT;
    json_decref(*out);
    *out = NULL;
    return SER_E_NOMEM;
}

ser_status ser_json_read(json_t **out, const char *path, size_t max_bytes, size_t flags, ser_error *err)
{
    ser_bytes bytes = {0};
    json_error_t at;
    *out = NULL;
    ser_status st = ser_io_read(&bytes, path, max_bytes, err);
    if (st != SER_OK)
        return st;
    st = ser_json_load(out, (const char *)bytes.data, bytes.n, flags, &at);
    ser_bytes_release(&bytes);
    return st == SER_E_NOMEM ? ser_fail_nomem(err)
           : st == SER_OK    ? SER_OK
                             : ser_fail(err, st, "line %d: %s", at.line, at.text);
}

char *ser_json_dump(const json_t *value, size_t flags)
{
    errno = 0;
    char *text = json_dumps(value, flags);
    if (text && errno == ENOMEM) {
        free(text);
        text = NULL;
    }
    return text;
}

static void settle(json_t **to, int failed)
{
    if (!failed)
        return;
    json_decref(*to);
    *to = NULL;
}

void ser_json_set(json_t **to, const char *key, json_t *value)
{
    settle(to, json_object_set_new(*to, key, value));
}

void ser_json_add(json_t **to, json_t *value)
{
    settle(to, json_array_append_new(*to, value));
}

void ser_json_update(json_t **to, json_t *value)
{
    settle(to, json_object_update_new(*to, value));
}

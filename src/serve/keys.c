#include "serve/keys.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "io/file.h"

#include <string.h>

enum { MAX_BYTES = 1 << 20, MIN_KEY = 16 };

static ser_status add(ser_keys *k, const char *key, size_t n, ser_error *err)
{
    if (n < MIN_KEY)
        return ser_fail(
            err, SER_E_FORMAT,
            "a key of less than %d characters can be guessed: make one with 'openssl rand -hex 32'", MIN_KEY);
    if (!ser_grow(&k->hashes, &k->capacity, k->n + 1, sizeof *k->hashes))
        return ser_fail_nomem(err);
    ser_sha256_of(k->hashes[k->n++], key, n);
    return SER_OK;
}

ser_status ser_keys_read(ser_keys *out, const char *path, ser_error *err)
{
    ser_bytes text = {0};
    *out = (ser_keys){0};
    ser_status st = ser_io_read(&text, path, MAX_BYTES, err);
    const char *at = (const char *)text.data, *end = at + text.n;
    while (st == SER_OK && at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((line_end ? line_end : end) - at);
        while (n && (at[n - 1] == '\r' || at[n - 1] == ' '))
            n--;
        if (n && *at != '#')
            st = add(out, at, n, err);
        at = line_end ? line_end + 1 : end;
    }
    if (st == SER_OK && !out->n)
        st = ser_fail(err, SER_E_FORMAT, "holds no key: write one a line");
    ser_bytes_release(&text);
    if (st == SER_OK)
        return st;
    ser_keys_release(out);
    return ser_fail_within(err, st, "%s: ", path);
}

void ser_keys_release(ser_keys *k)
{
    ser_free(k->hashes);
    *k = (ser_keys){0};
}

bool ser_keys_know(const ser_keys *k, const char *key)
{
    char hash[65];
    bool known = false;
    ser_sha256_of(hash, key, strlen(key));
    for (size_t i = 0; i < k->n; i++) {
        int difference = 0;
        for (size_t b = 0; b < sizeof hash; b++)
            difference |= hash[b] ^ k->hashes[i][b];
        known |= difference == 0;
    }
    return known;
}

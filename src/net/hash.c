#include "net/hash.h"
#include "base/memory.h"

#include <errno.h>
#include <md5.h>
#include <sha.h>
#include <sha2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { BLOCK = 1 << 20 };

static const struct {
    const char *name;
    size_t n_digits;
} kinds[] = {[SER_HASH_NONE] = {"no hash", 0},
             [SER_HASH_SHA256] = {"sha256", 64},
             [SER_HASH_GIT] = {"git hash", 40},
             [SER_HASH_MD5] = {"MD5", 32}};

bool ser_hash_set(ser_hash *h, ser_hash_kind kind, const char *hex)
{
    size_t n = kinds[kind].n_digits;
    *h = (ser_hash){0};
    if (!hex || strlen(hex) != n || strspn(hex, "0123456789abcdef") != n)
        return false;
    h->kind = kind;
    memcpy(h->hex, hex, n + 1);
    return true;
}

const char *ser_hash_name(ser_hash_kind kind)
{
    return kinds[kind].name;
}

typedef struct digest {
    ser_hash_kind kind;
    union {
        SHA2_CTX sha256;
        SHA1_CTX sha1;
        MD5_CTX md5;
    } u;
} digest;

static void digest_init(digest *d, ser_hash_kind kind, uint64_t size)
{
    char head[32];
    d->kind = kind;
    if (kind == SER_HASH_SHA256) {
        SHA256Init(&d->u.sha256);
    } else if (kind == SER_HASH_GIT) {
        int n = snprintf(head, sizeof head, "blob %llu", (unsigned long long)size);
        SHA1Init(&d->u.sha1);
        SHA1Update(&d->u.sha1, (const uint8_t *)head, (size_t)n + 1);
    } else {
        MD5Init(&d->u.md5);
    }
}

static void digest_add(digest *d, const uint8_t *bytes, size_t n)
{
    if (d->kind == SER_HASH_SHA256)
        SHA256Update(&d->u.sha256, bytes, n);
    else if (d->kind == SER_HASH_GIT)
        SHA1Update(&d->u.sha1, bytes, n);
    else
        MD5Update(&d->u.md5, bytes, n);
}

static void digest_finish(digest *d, char hex[65])
{
    if (d->kind == SER_HASH_SHA256)
        SHA256End(&d->u.sha256, hex);
    else if (d->kind == SER_HASH_GIT)
        SHA1End(&d->u.sha1, hex);
    else
        MD5End(&d->u.md5, hex);
}

/* The whole file's digest. */
static ser_status digest_file(digest *d, FILE *file, uint64_t size, const ser_progress *progress,
                              ser_error *err)
{
    ser_status st = SER_OK;
    uint64_t done = 0;
    size_t n = 1;
    uint8_t *block = ser_alloc(BLOCK, 1);
    if (!block)
        return ser_fail_nomem(err);
    while (n > 0 && st == SER_OK) {
        n = fread(block, 1, BLOCK, file);
        digest_add(d, block, n);
        done += n;
        if (ferror(file))
            st = ser_fail(err, SER_E_IO, "it cannot be read (%s): try again", strerror(errno));
        else if (!ser_progress_report(progress, "MB checked", done / 1000000, size / 1000000))
            st = ser_fail(err, SER_E_CANCELLED, "interrupted");
    }
    ser_free(block);
    return st;
}

ser_status ser_hash_check(const ser_hash *h, const char *path, const ser_progress *progress, ser_error *err)
{
    digest d;
    struct stat info;
    char hex[65] = {0};
    if (h->kind == SER_HASH_NONE)
        return SER_OK;
    FILE *file = fopen(path, "rbe");
    if (!file || fstat(fileno(file), &info) != 0) {
        ser_status st = ser_fail(err, SER_E_IO, "%s cannot be opened (%s): try again", path, strerror(errno));
        if (file)
            fclose(file);
        return st;
    }
    digest_init(&d, h->kind, (uint64_t)info.st_size);
    ser_status st = digest_file(&d, file, (uint64_t)info.st_size, progress, err);
    fclose(file);
    if (st != SER_OK)
        return st;
    digest_finish(&d, hex);
    return strcmp(hex, h->hex) == 0 ? SER_OK
                                    : ser_fail(err, SER_E_FORMAT,
                                               "its %s is %.12s..., and %.12s... is stated: nothing was "
                                               "kept, try again later, or another --endpoint",
                                               ser_hash_name(h->kind), hex, h->hex);
}

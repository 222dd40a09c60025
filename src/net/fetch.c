#include "net/fetch.h"
#include "base/memory.h"
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_VALIDATOR = 400 };

/* ---- a file ---- */

typedef struct download {
    const ser_fetch *f;
    const ser_progress *progress;
    char *part, *validator_path; /* the latter only without a stated hash */
    char label[64];
    char validator[MAX_VALIDATOR]; /* of the part: empty when there is none */
    int fd;
    uint64_t at, total; /* bytes that are there, and of the whole: 0 when not known */
    bool resumed;       /* the part holds bytes of an earlier try */
} download;

static ser_status fail_write(const download *d, ser_error *err)
{
    return ser_fail(
        err, SER_E_IO,
        "%s cannot be written (%s): free some space or correct its permissions, the same command then "
        "goes on from there",
        d->part, strerror(errno));
}

static ser_status start_afresh(download *d, ser_error *err)
{
    d->at = 0;
    d->resumed = false;
    d->validator[0] = 0;
    if (d->validator_path)
        unlink(d->validator_path);
    return ftruncate(d->fd, 0) == 0 ? SER_OK : fail_write(d, err);
}

/* What says that the part belongs to the file as the server has it now. */
static void read_validator(download *d)
{
    ser_bytes text = {0};
    if (d->validator_path && ser_io_read(&text, d->validator_path, MAX_VALIDATOR - 1, NULL) == SER_OK) {
        memcpy(d->validator, text.data, text.n);
        d->validator[text.n] = 0;
    }
    ser_bytes_release(&text);
}

static ser_status open_part(download *d, ser_error *err)
{
    struct stat info;
    d->fd = open(d->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (d->fd < 0 || fstat(d->fd, &info) != 0)
        return fail_write(d, err);
    d->at = (uint64_t)info.st_size;
    d->resumed = d->at > 0;
    read_validator(d);
    bool fits = d->f->hash.kind != SER_HASH_NONE || d->validator[0];
    return !fits || (d->f->has_size && d->at > d->f->size) ? start_afresh(d, err) : SER_OK;
}

static ser_status prepare(void *context, bool afresh, uint64_t *from, const char **if_range, ser_error *err)
{
    download *d = context;
    ser_status st = afresh ? start_afresh(d, err) : SER_OK;
    *from = d->at;
    *if_range = d->validator[0] ? d->validator : NULL;
    return st;
}

static ser_status begin(void *context, const ser_http_answer *a, ser_error *err)
{
    download *d = context;
    const ser_fetch *f = d->f;
    if (f->has_size && a->has_size && a->size != f->size)
        return ser_fail(err, SER_E_FORMAT,
                        "the server has %" PRIu64 " bytes of it, and %" PRIu64
                        " are stated: try again later, or another --endpoint",
                        a->size, f->size);
    d->total = f->has_size ? f->size : a->has_size ? a->size : 0;
    if (a->from != d->at) {
        ser_status st = start_afresh(d, err); /* the server knows no ranges, or has another file now */
        if (st != SER_OK)
            return st;
    }
    if (d->validator_path && !d->at && a->validator && strlen(a->validator) < MAX_VALIDATOR) {
        strcpy(d->validator, a->validator);
        return ser_io_write(d->validator_path, a->validator, strlen(a->validator), err);
    }
    return SER_OK;
}

static ser_status receive(void *context, const void *bytes, size_t n, ser_error *err)
{
    download *d = context;
    const char *p = bytes;
    if (d->total && n > d->total - d->at)
        return ser_fail(err, SER_E_FORMAT,
                        "the server sends more than the %" PRIu64
                        " bytes that are stated: try another --endpoint",
                        d->total);
    while (n) {
        ssize_t k = pwrite(d->fd, p, n, (off_t)d->at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return fail_write(d, err);
        p += k;
        n -= (size_t)k;
        d->at += (uint64_t)k;
    }
    return SER_OK;
}

static bool report(void *context)
{
    const download *d = context;
    return ser_progress_report(d->progress, d->label, d->at / 1000000, (d->total + 999999) / 1000000);
}

/* All bytes are to be there. */
static ser_status complete(download *d, ser_http *http, ser_error *err)
{
    const ser_http_sink sink = {prepare, begin, receive, report, d};
    long code;
    if (d->f->has_size && d->at == d->f->size && d->at)
        return SER_OK;
    ser_status st = ser_http_get(http, d->f->url, &sink, &code, err);
    if (st == SER_OK && d->total && d->at < d->total)
        return ser_fail(err, SER_E_IO,
                        "only %" PRIu64 " of %" PRIu64 " bytes came: the same command goes on from there",
                        d->at, d->total);
    return st;
}

static ser_status check_and_rename(download *d, ser_error *err)
{
    if (fsync(d->fd) != 0 && errno != EINVAL && errno != ENOTSUP)
        return fail_write(d, err);
    ser_status st = ser_hash_check(&d->f->hash, d->part, d->progress, err);
    if (st == SER_OK && rename(d->part, d->f->path) != 0)
        st = fail_write(d, err);
    return st == SER_OK ? ser_io_sync_name(d->f->path, err) : st;
}

static ser_status download_init(download *d, const ser_fetch *f, const ser_progress *progress, ser_error *err)
{
    bool has_validator = f->hash.kind == SER_HASH_NONE;
    *d = (download){.f = f, .progress = progress, .fd = -1, .total = f->has_size ? f->size : 0};
    snprintf(d->label, sizeof d->label, "MB of %s", f->name);
    d->part = ser_format("%s" SER_FETCH_PART, f->path);
    d->validator_path = has_validator ? ser_format("%s" SER_FETCH_PART ".validator", f->path) : NULL;
    return d->part && !d->validator_path == !has_validator ? open_part(d, err) : ser_fail_nomem(err);
}

ser_status ser_fetch_file(ser_http *http, const ser_fetch *f, const ser_progress *progress, ser_error *err)
{
    download d;
    ser_status st = download_init(&d, f, progress, err);
    for (bool again = true; st == SER_OK && again;) {
        bool resumed = d.resumed;
        st = complete(&d, http, err);
        if (st == SER_OK)
            st = check_and_rename(&d, err);
        /* What came earlier may be the part of another file. */
        again = st == SER_E_FORMAT && resumed;
        if (again)
            st = start_afresh(&d, err);
    }
    bool none_left =
        st == SER_E_FORMAT || (st != SER_OK && d.fd >= 0 && d.at == 0); /* nothing to go on with */
    if (none_left)
        unlink(d.part);
    if ((st == SER_OK || none_left) && d.validator_path)
        unlink(d.validator_path);
    if (d.fd >= 0)
        close(d.fd);
    ser_free(d.part);
    ser_free(d.validator_path);
    return st;
}

/* ---- a text ---- */

typedef struct text_sink {
    ser_text *text;
    size_t n_max;
    const ser_progress *progress;
} text_sink;

static ser_status prepare_text(void *context, bool afresh, uint64_t *from, const char **if_range,
                               ser_error *err)
{
    const text_sink *s = context;
    (void)afresh;
    (void)err;
    *from = 0;
    *if_range = NULL;
    ser_text_clear(s->text);
    return SER_OK;
}

static ser_status begin_text(void *context, const ser_http_answer *a, ser_error *err)
{
    (void)context;
    (void)a;
    (void)err;
    return SER_OK;
}

static ser_status receive_text(void *context, const void *bytes, size_t n, ser_error *err)
{
    const text_sink *s = context;
    if (n > s->n_max - s->text->n)
        return ser_fail(err, SER_E_FORMAT,
                        "the server's answer has more than %zu bytes: is it the right --endpoint?", s->n_max);
    ser_text_append_n(s->text, bytes, n);
    return s->text->failed ? ser_fail_nomem(err) : SER_OK;
}

static bool report_text(void *context)
{
    const text_sink *s = context;
    return ser_progress_report(s->progress, "asking what there is", 0, 0);
}

ser_status ser_fetch_text(ser_text *out, ser_http *http, const char *url, size_t n_max,
                          const ser_progress *progress, long *code, ser_error *err)
{
    text_sink s = {out, n_max, progress};
    const ser_http_sink sink = {prepare_text, begin_text, receive_text, report_text, &s};
    return ser_http_get(http, url, &sink, code, err);
}

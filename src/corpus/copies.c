/* A corpus that lies twice in one folder, as archives that were unpacked twice leave it. */
#include "base/memory.h"
#include "corpus/draft.h"
#include "io/file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct candidate {
    ser_draft_row row;
    bool published; /* lies where the publisher puts recordings */
    long long size; /* in bytes */
} candidate;

static int n_slashes(const char *file)
{
    int n = 0;
    for (; *file; file++)
        n += *file == '/';
    return n;
}

/* By name; then in the order in which they are kept: as published, what lies higher, by path. */
static int compare_candidates(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    int order = strcmp(x->row.name, y->row.name);
    if (!order)
        order = (int)y->published - (int)x->published;
    if (!order)
        order = n_slashes(x->row.file) - n_slashes(y->row.file);
    return order ? order : strcmp(x->row.file, y->row.file);
}

static long long size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (long long)st.st_size : -1;
}

/* Of files of this size. What cannot be read is nobody's copy: opening it will tell the user why. */
static bool same_bytes(const char *a, const char *b, long long size)
{
    ser_bytes x = {0}, y = {0};
    bool same = size == 0 || (ser_io_map(&x, a, 0, NULL) == SER_OK && ser_io_map(&y, b, 0, NULL) == SER_OK &&
                              x.n == y.n && memcmp(x.data, y.data, x.n) == 0);
    ser_bytes_release(&x);
    ser_bytes_release(&y);
    return same;
}

/* Of two rows with one name. What lies beside the publisher's folders is a copy whatever its format. */
static bool is_copy(const candidate *c, const candidate *kept)
{
    const char *a = c->row.label, *b = kept->row.label;
    if (a && b ? strcmp(a, b) != 0 : a != b)
        return false;
    return (kept->published && !c->published) ||
           (c->size == kept->size && same_bytes(c->row.path, kept->row.path, c->size));
}

static ser_status warn(ser_draft *d, size_t n_copies, const char *example, ser_error *err)
{
    return n_copies ? ser_draft_warn(d, err, "second copies of recordings left out: %zu, the first is %s",
                                     n_copies, example)
                    : SER_OK;
}

ser_status ser_draft_leave_out_copies(ser_draft *d, size_t first, const ser_known_corpus *known,
                                      ser_error *err)
{
    size_t n = d->n_rows - first, n_prefix = d->part ? strlen(d->part) + 1 : 0, n_kept = 0, n_copies = 0;
    candidate *all = ser_alloc(n, sizeof *all);
    char example[200] = "";
    if (!all)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < n; i++) {
        ser_draft_row *r = &d->rows[first + i];
        all[i] = (candidate){.row = *r,
                             .published = known && ser_known_lies_as_published(known, r->file + n_prefix),
                             .size = size_of(r->path)};
    }
    if (n)
        qsort(all, n, sizeof *all, compare_candidates);
    for (size_t i = 0; i < n; i++) {
        bool copy = false;
        for (size_t k = n_kept; k > 0 && !copy && strcmp(all[k - 1].row.name, all[i].row.name) == 0; k--)
            copy = is_copy(&all[i], &all[k - 1]);
        if (!copy) {
            all[n_kept++] = all[i];
            continue;
        }
        if (!n_copies++)
            snprintf(example, sizeof example, "%s", all[i].row.file + n_prefix);
        ser_draft_row_release(&all[i].row);
    }
    for (size_t i = 0; i < n; i++)
        d->rows[first + i] = i < n_kept ? all[i].row : (ser_draft_row){0};
    d->n_rows = first + n_kept;
    ser_free(all);
    return warn(d, n_copies, example, err);
}

/* ---- a whole corpus inside itself ---- */

static int compare_to_path(const void *key, const void *item)
{
    return strcmp(key, *(char *const *)item);
}

static ser_status same_file(bool *same, const char *root, const char *a, const char *b, ser_error *err)
{
    char *x = ser_io_join(root, a), *y = ser_io_join(root, b);
    ser_status st = x && y ? SER_OK : ser_fail_nomem(err);
    long long size = st == SER_OK ? size_of(x) : -1;
    *same = size >= 0 && size == size_of(y) && same_bytes(x, y, size);
    ser_free(x);
    ser_free(y);
    return st;
}

/* Whether "data/angry/x.wav" lies there a second time: as "angry/x.wav". */
static ser_status is_nested_copy(bool *is_copy, char **files, size_t n, const char *root, const char *file,
                                 ser_error *err)
{
    ser_status st = SER_OK;
    *is_copy = false;
    for (const char *inner = strchr(file, '/'); inner && !*is_copy && st == SER_OK;
         inner = strchr(inner, '/')) {
        inner++;
        if (strchr(inner, '/') && bsearch(inner, files, n, sizeof *files, compare_to_path))
            st = same_file(is_copy, root, file, inner, err);
    }
    return st;
}

ser_status ser_draft_leave_out_nested(ser_draft *d, char **files, size_t *n, const char *root, ser_error *err)
{
    bool *is_copy = ser_alloc(*n, sizeof *is_copy);
    if (!is_copy)
        return ser_fail_nomem(err);
    ser_status st = SER_OK;
    size_t n_copies = 0, n_kept = 0;
    char example[200] = "";
    for (size_t i = 0; i < *n && st == SER_OK; i++)
        st = is_nested_copy(&is_copy[i], files, *n, root, files[i], err);
    for (size_t i = 0; i < *n; i++) {
        if (st != SER_OK || !is_copy[i]) {
            files[n_kept++] = files[i];
            continue;
        }
        if (!n_copies++)
            snprintf(example, sizeof example, "%s", files[i]);
        ser_free(files[i]);
    }
    *n = n_kept;
    ser_free(is_copy);
    return st == SER_OK ? warn(d, n_copies, example, err) : st;
}

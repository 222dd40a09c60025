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

/* Of files of the same size. What cannot be read is nobody's copy: opening it will tell the user why. */
static bool same_bytes(const candidate *a, const candidate *b)
{
    ser_bytes x = {0}, y = {0};
    bool same = a->size == 0 || (ser_io_map(&x, a->row.path, 0, NULL) == SER_OK &&
                                 ser_io_map(&y, b->row.path, 0, NULL) == SER_OK && x.n == y.n &&
                                 memcmp(x.data, y.data, x.n) == 0);
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
    return (kept->published && !c->published) || (c->size == kept->size && same_bytes(c, kept));
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
        struct stat st;
        ser_draft_row *r = &d->rows[first + i];
        all[i] = (candidate){.row = *r,
                             .published = known && ser_known_lies_as_published(known, r->file + n_prefix),
                             .size = stat(r->path, &st) == 0 ? (long long)st.st_size : -1};
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
    return n_copies ? ser_draft_warn(d, err, "second copies of recordings left out: %zu, the first is %s",
                                     n_copies, example)
                    : SER_OK;
}

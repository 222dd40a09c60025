#include "learn/rows.h"
#include "base/memory.h"

ser_status ser_dataset_rows(ser_rows *out, const ser_store *store, const ser_corpus *corpus,
                            const ser_extractor *e, const int *fold, int test_fold, bool with_groups,
                            ser_error *err)
{
    size_t n_max = store->n * (1 + store->n_copies);
    const float **x = ser_alloc(n_max, sizeof *x);
    int *label = ser_alloc(n_max, sizeof *label), *group = ser_alloc(n_max, sizeof *group);
    unsigned char *is_copy = ser_alloc(n_max, 1);
    *out = (ser_rows){.x = x,
                      .label = label,
                      .group = group,
                      .is_copy = is_copy,
                      .dims = store->dims,
                      .n_labels = corpus->n_labels};
    if (!x || !label || !group || !is_copy) {
        ser_dataset_rows_release(out);
        return ser_fail_nomem(err);
    }
    for (size_t u = 0; u < store->n; u++) {
        if (fold[u] == test_fold)
            continue;
        with_groups = with_groups && corpus->utterances[u].speaker >= 0;
        for (size_t copy = 0; copy <= store->n_copies; copy++) {
            x[out->n] = ser_store_row(store, u, copy);
            label[out->n] = corpus->utterances[u].label;
            group[out->n] = corpus->utterances[u].speaker;
            is_copy[out->n++] = copy > 0;
        }
    }
    if (!with_groups) {
        ser_free(group);
        out->group = NULL;
    }
    ser_rows_set_blocks(out, e);
    return SER_OK;
}

void ser_dataset_rows_release(ser_rows *rows)
{
    ser_free(rows->x);
    ser_free((void *)rows->label);
    ser_free((void *)rows->group);
    ser_free((void *)rows->is_copy);
    *rows = (ser_rows){0};
}

#include "learn/rows.h"
#include "base/memory.h"

static ser_status allocate(ser_rows *out, size_t n_max, ser_error *err)
{
    out->x = ser_alloc(n_max, sizeof *out->x);
    out->label = ser_alloc(n_max, sizeof *out->label);
    out->group = ser_alloc(n_max, sizeof *out->group);
    out->mask = ser_alloc(n_max, sizeof *out->mask);
    out->is_copy = ser_alloc(n_max, 1);
    return out->x && out->label && out->group && out->mask && out->is_copy ? SER_OK : ser_fail_nomem(err);
}

/* Whether the training part has recordings of more than one of the corpora joined. */
static bool has_several_parts(const ser_corpus *corpus, const int *fold, int test_fold)
{
    int first = -1;
    for (size_t u = 0; u < corpus->n_utterances; u++) {
        int part = corpus->utterances[u].part;
        if (fold[u] != test_fold && first >= 0 && part != first)
            return true;
        first = fold[u] != test_fold ? part : first;
    }
    return false;
}

/* Of the row under way. */
static void describe(ser_rows *out, const ser_corpus *corpus, const ser_utterance *u, bool by_part)
{
    ((int *)out->label)[out->n] = u->label;
    ((int *)out->group)[out->n] = by_part ? u->part : u->speaker;
    if (corpus->n_parts)
        ((uint64_t *)out->mask)[out->n] = corpus->parts[u->part].emotions | UINT64_C(1) << u->label;
}

ser_status ser_dataset_rows(ser_rows *out, const ser_store *store, const ser_corpus *corpus,
                            const ser_extractor *e, const int *fold, int test_fold, ser_row_groups groups,
                            ser_error *err)
{
    *out = (ser_rows){.dims = store->dims, .n_labels = corpus->n_labels};
    ser_status st = allocate(out, store->n * (1 + store->n_copies), err);
    bool by_part = groups == SER_GROUPS_CORPORA && has_several_parts(corpus, fold, test_fold),
         with_groups = groups != SER_GROUPS_NONE;
    for (size_t u = 0; u < store->n && st == SER_OK; u++) {
        if (fold[u] == test_fold)
            continue;
        with_groups = with_groups && (by_part || corpus->utterances[u].speaker >= 0);
        for (size_t copy = 0; copy <= store->n_copies; copy++) {
            describe(out, corpus, &corpus->utterances[u], by_part);
            out->x[out->n] = ser_store_row(store, u, copy);
            ((unsigned char *)out->is_copy)[out->n++] = copy > 0;
        }
    }
    if (!with_groups) {
        ser_free((void *)out->group);
        out->group = NULL;
    }
    if (groups != SER_GROUPS_CORPORA || !corpus->n_parts) {
        ser_free((void *)out->mask);
        out->mask = NULL;
    }
    out->n_left_out = by_part ? corpus->n_parts : 0;
    ser_rows_set_blocks(out, e);
    if (st != SER_OK)
        ser_dataset_rows_release(out);
    return st;
}

void ser_dataset_rows_release(ser_rows *rows)
{
    ser_free(rows->x);
    ser_free((void *)rows->label);
    ser_free((void *)rows->group);
    ser_free((void *)rows->mask);
    ser_free((void *)rows->is_copy);
    *rows = (ser_rows){0};
}

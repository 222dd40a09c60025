/* The kind "linear": statistics pooling and a softmax layer, or a projection where there is a transfer. */
#include "learn/kind.h"
#include "learn/rows.h"
#include "learn/transfer.h"
#include "learn/weighted.h"

#include <string.h>

ser_status ser_learn_head(ser_head_fit *out, const ser_learn_data *data, const int *fold, int test_fold,
                          const ser_learn_settings *s, const char *what, ser_error *err)
{
    ser_rows rows = {0};
    const ser_fit_settings settings = {.candidates = s->candidates,
                                       .n_candidates = s->n_candidates,
                                       .n_inner_folds = s->n_inner_folds,
                                       .seed = s->seed,
                                       .engine = s->engine,
                                       .n_threads = s->n_threads,
                                       .progress = s->progress,
                                       .what = what,
                                       .team = s->team};
    ser_status st = ser_dataset_rows(&rows, data->store, data->corpus, data->extractor, fold, test_fold,
                                     s->corpus_disjoint    ? SER_GROUPS_CORPORA
                                     : s->speaker_disjoint ? SER_GROUPS_SPEAKERS
                                                           : SER_GROUPS_NONE,
                                     err);
    rows.origin = s->origin;
    if (st == SER_OK)
        st = s->candidates[0].weighted ? ser_fit_weighted_head(out, &rows, &settings, err)
                                       : ser_fit_head(out, &rows, &settings, err);
    ser_dataset_rows_release(&rows);
    return st;
}

static bool is_asked(const ser_learn_settings *s)
{
    return s->linear;
}

static ser_status learn(ser_learned *l, void **own, const ser_kind_training *t, ser_error *err)
{
    (void)own;
    l->has_linear = true;
    return t->settings->transfer
               ? ser_learn_projection(l, t->data, t->fold, t->test_fold, t->settings, t->what, err)
               : ser_learn_head(&l->linear, t->data, t->fold, t->test_fold, t->settings, t->what, err);
}

static size_t n_labels(const ser_learned *l, const void *own)
{
    (void)own;
    return l->linear.head.n_labels;
}

static ser_status score(const ser_learned *l, const void *own, float *scores, const ser_kind_question *q,
                        ser_error *err)
{
    (void)own;
    (void)err;
    const ser_linear *head = &l->linear.head;
    const ser_store *store = q->data->store;
    for (size_t u = 0; u < store->n; u++) {
        if (q->fold[u] != q->test_fold)
            continue;
        float *answer = scores + u * head->n_labels;
        ser_linear_logits(head, answer, ser_store_row(store, u, ser_store_test_row(store)));
        ser_softmax(answer, head->n_labels, head->temperature);
    }
    return SER_OK;
}

void ser_describe_choice(ser_fold_result *r, const ser_learned *l, const void *own)
{
    (void)own;
    if (!l->linear.head.n_in)
        return;
    r->has_choice = true;
    r->chosen = l->linear.chosen;
    memcpy(r->layer_weight, l->linear.layer_weight, sizeof r->layer_weight);
    r->inner_ua = l->linear.inner_ua;
    r->inner_loss = l->linear.inner_loss;
    r->temperature = l->linear.temperature;
}

static uint64_t blocks(const ser_learned *l, const void *own, const ser_extractor *e)
{
    (void)own;
    (void)e;
    return l->linear.chosen.blocks;
}

static ser_status save(ser_model_data *m, ser_learned *l, void *own, const ser_kept *kept, ser_error *err)
{
    (void)own;
    return ser_kept_head(&m->plain, &l->linear.head, kept, err);
}

static bool load(ser_learned *l, void **own, const ser_model_data *m)
{
    (void)own;
    l->has_linear = m->plain.n_in > 0;
    l->linear.head = m->plain;
    return l->has_linear;
}

const ser_model_kind ser_kind_linear = {.name = "linear",
                                        .is_asked = is_asked,
                                        .learn = learn,
                                        .n_labels = n_labels,
                                        .score = score,
                                        .describe = ser_describe_choice,
                                        .blocks = blocks,
                                        .save = save,
                                        .load = load};

#include "learn/learn.h"
#include "base/memory.h"
#include "learn/kind.h"

void ser_learned_release(ser_learned *l)
{
    for (size_t i = 0; i < l->n_kinds; i++)
        if (l->kinds[i]->release)
            l->kinds[i]->release(l->own[i]);
    ser_head_fit_release(&l->linear);
    ser_adapted_release(&l->adapted);
    for (size_t i = 0; i < l->n_networks; i++) {
        ser_timnet_fit_release(&l->networks[i]);
        ser_timnet_member_release(&l->members[i]);
    }
    ser_free(l->networks);
    ser_free(l->members);
    *l = (ser_learned){0};
}

static ser_status learn_part(ser_learned *out, const ser_model_kind *kind, ser_kind_training *t,
                             const void *own, ser_error *err)
{
    if (out->n_kinds == SER_MAX_MODEL_KINDS)
        return ser_fail(err, SER_E_ARG, "a model has at most %d kinds of parts", SER_MAX_MODEL_KINDS);
    size_t i = out->n_kinds++;
    out->kinds[i] = kind;
    t->own = own;
    return kind->learn(out, &out->own[i], t, err);
}

ser_status ser_learn(ser_learned *out, const ser_learn_data *data, const int *fold, int test_fold,
                     const ser_learn_settings *settings, const char *what, const char *state, ser_error *err)
{
    ser_kind_training t = {.data = data,
                           .fold = fold,
                           .test_fold = test_fold,
                           .settings = settings,
                           .what = what,
                           .state = state};
    ser_status st = SER_OK;
    *out = (ser_learned){0};
    for (const ser_model_kind *const *k = ser_model_kinds(); *k && st == SER_OK; k++)
        if ((*k)->is_asked && (*k)->is_asked(settings))
            st = learn_part(out, *k, &t, NULL, err);
    for (size_t i = 0; i < settings->n_more && st == SER_OK; i++)
        st = learn_part(out, settings->more[i].kind, &t, settings->more[i].own, err);
    if (st != SER_OK)
        ser_learned_release(out);
    return st;
}

/* Adds to the scores of the utterances asked about, then divides them. */
static void average(float *scores, const float *part, const ser_kind_question *q, size_t n_labels, float n)
{
    for (size_t u = 0; u < q->data->corpus->n_utterances; u++) {
        if (q->fold[u] != q->test_fold)
            continue;
        for (size_t k = u * n_labels; k < (u + 1) * n_labels; k++)
            scores[k] = (scores[k] + part[k]) / n;
    }
}

static ser_status score_parts(const ser_learned *l, float *scores, size_t n_labels,
                              const ser_kind_question *q, ser_error *err)
{
    size_t n_values;
    ser_status st = l->kinds[0]->score(l, l->own[0], scores, q, err);
    if (st != SER_OK || l->n_kinds == 1)
        return st;
    float *part = ser_mul_size(&n_values, q->data->corpus->n_utterances, n_labels)
                      ? ser_alloc(n_values, sizeof *part)
                      : NULL;
    st = part ? SER_OK : ser_fail_nomem(err);
    for (size_t i = 1; i < l->n_kinds && st == SER_OK; i++) {
        st = l->kinds[i]->score(l, l->own[i], part, q, err);
        if (st == SER_OK)
            average(scores, part, q, n_labels, i + 1 == l->n_kinds ? (float)l->n_kinds : 1);
    }
    ser_free(part);
    return st;
}

/* Of the utterances asked about. */
static void even_out(float *scores, size_t n_labels, const ser_unlike *u, const ser_kind_question *q)
{
    const ser_store *store = q->data->store;
    for (size_t i = 0; i < store->n; i++) {
        if (q->fold[i] != q->test_fold)
            continue;
        float times = ser_unlike_times(u, ser_store_row(store, i, ser_store_test_row(store)));
        ser_unlike_even_out(scores + i * n_labels, n_labels, ser_unlike_factor(times));
    }
}

ser_status ser_learned_score(const ser_learned *l, float *scores, const ser_learn_data *data, const int *fold,
                             int test_fold, const ser_asking *how, ser_error *err)
{
    const ser_kind_question q = {.data = data, .fold = fold, .test_fold = test_fold, .how = *how};
    if (!l->n_kinds)
        return ser_fail(err, SER_E_ARG, "the model has no part that answers");
    size_t n_labels = l->kinds[0]->n_labels(l, l->own[0]);
    ser_status st = score_parts(l, scores, n_labels, &q, err);
    if (st == SER_OK && l->unlike)
        even_out(scores, n_labels, l->unlike, &q);
    return st;
}

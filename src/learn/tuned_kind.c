#include "learn/tuned_kind.h"
#include "base/memory.h"
#include "base/text.h"

typedef struct tuned {
    const ser_tuned_source *source;
    ser_tune_net *net;
    uint64_t heard; /* labels */
} tuned;

uint64_t ser_tuned_heard(const ser_crops *c)
{
    uint64_t labels = 0;
    for (size_t i = 0; i < c->n_learned; i++)
        labels |= UINT64_C(1) << c->corpus->utterances[c->learned[i]].label;
    return labels;
}

/* What is told of an epoch, and by which training. */
typedef struct listener {
    const ser_tuned_source *source;
    const char *what;
} listener;

static void tell_epoch(void *context, size_t training, const ser_tune_epoch *e)
{
    const listener *l = context;
    l->source->on_epoch(l->source->context, l->what, training, e);
}

/* This training's and those of the folds after it. */
static size_t count_states(const ser_tuned_source *source, const int *fold, int test_fold)
{
    size_t n_soup = source->settings.n_soup;
    int last = test_fold;
    if (test_fold < 0 || source->one_fold) /* of all: the last one */
        return n_soup;
    for (size_t i = 0; i < source->crops->rows.n; i++)
        last = fold[i] > last ? fold[i] : last;
    return ((size_t)(last - test_fold) + 1 + source->n_after) * n_soup;
}

ser_status ser_tuned_train(ser_tune_net **net, const ser_tuned_source *source, const int *fold, int test_fold,
                           const char *what, const char *state, size_t first_state, ser_error *err)
{
    listener l = {source, what};
    ser_fine_tune_settings s = source->settings;
    s.tune.what = what;
    s.tune.n_states = count_states(source, fold, test_fold);
    s.state = state;
    s.first_state = first_state;
    s.on_epoch = source->on_epoch ? tell_epoch : NULL;
    s.context = &l;
    *net = NULL;
    ser_status st = ser_crops_select(source->crops, test_fold < 0 ? NULL : fold, test_fold, err);
    return st == SER_OK ? ser_fine_tune(net, source->crops, &s, err) : st;
}

ser_status ser_tuned_ask(float *logits, const ser_tune_net *net, const ser_tuned_source *source,
                         uint64_t heard, const size_t *row, size_t n, ser_error *err)
{
    static const float nowhere = -1e4f;
    size_t n_labels = source->crops->rows.n_labels;
    source->crops->condition = source->condition;
    ser_status st = ser_fine_tune_logits(logits, net, source->crops, row, n, &source->settings, err);
    source->crops->condition =
        SER_CONDITION_NONE; /* nothing is learned from altered recordings of this kind */
    for (size_t i = 0; st == SER_OK && i < n * n_labels; i++)
        if (!(heard >> i % n_labels & 1))
            logits[i] = nowhere;
    return st;
}

static ser_status learn(ser_learned *l, void **own, const ser_kind_training *t, ser_error *err)
{
    tuned *k = *own = ser_alloc(1, sizeof *k);
    (void)l;
    if (!k)
        return ser_fail_nomem(err);
    k->source = t->own;
    ser_status st = ser_tuned_train(&k->net, k->source, t->fold, t->test_fold, t->what, t->state, 1, err);
    if (st == SER_OK)
        k->heard = ser_tuned_heard(k->source->crops);
    return st;
}

static void release(void *own)
{
    tuned *k = own;
    if (k)
        ser_tune_net_free(&k->net);
    ser_free(k);
}

static size_t n_labels(const ser_learned *l, const void *own)
{
    const tuned *k = own;
    (void)l;
    return k->net->shape.n_labels;
}

static ser_status score(const ser_learned *l, const void *own, float *scores, const ser_kind_question *q,
                        ser_error *err)
{
    const tuned *k = own;
    size_t n_values, n_classes = n_labels(l, own), n = 0, n_all = q->data->corpus->n_utterances;
    size_t *row = ser_alloc(n_all, sizeof *row);
    for (size_t u = 0; row && u < n_all; u++)
        if (q->fold[u] == q->test_fold)
            row[n++] = u;
    float *logits =
        ser_mul_size(&n_values, n ? n : 1, n_classes) ? ser_alloc(n_values, sizeof *logits) : NULL;
    ser_status st =
        row && logits ? ser_tuned_ask(logits, k->net, k->source, k->heard, row, n, err) : ser_fail_nomem(err);
    for (size_t i = 0; i < n && st == SER_OK; i++) {
        float *answer = scores + row[i] * n_classes;
        for (size_t c = 0; c < n_classes; c++)
            answer[c] = logits[i * n_classes + c];
        ser_softmax(answer, n_classes, 1);
    }
    ser_free(logits);
    ser_free(row);
    return st;
}

const ser_model_kind ser_kind_tuned = {
    .name = "fine-tuned", .learn = learn, .release = release, .n_labels = n_labels, .score = score};

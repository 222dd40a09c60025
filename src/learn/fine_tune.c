#include "learn/fine_tune.h"
#include "base/memory.h"

#include <string.h>

ser_fine_tune_settings ser_fine_tune_default_settings(void)
{
    ser_fine_tune_settings s = {.shape = {.pooled = {1, 2, 3, 4}, .n_pooled = 4},
                                .tune = ser_tune_default_settings(),
                                .n_start = 1500,
                                .start_l2 = 0.01,
                                .blend = 1,
                                .max_answer = 10 * SER_SAMPLE_RATE_HZ};
    s.tune.head_rate = 5e-5;
    s.tune.rate = 1e-4;
    s.tune.open_share = 0.3;
    s.tune.dropout = 0.2;
    s.tune.stripe_probability = 0.5;
    return s;
}

/* Recordings to start the head from, drawn as the training draws them. */
static size_t draw_start(size_t *row, size_t n, const ser_crops *c, uint64_t seed)
{
    ser_random r;
    double all = 0;
    for (size_t i = 0; i < c->n_learned; i++)
        all += c->weight[c->learned[i]];
    ser_random_init(&r, ser_random_derive(seed, "start"));
    for (size_t k = 0; k < n; k++) {
        double at = ser_random_uniform(&r) * all, sum = 0;
        size_t i = 0;
        while (i + 1 < c->n_learned && (sum += c->weight[c->learned[i]]) <= at)
            i++;
        row[k] = c->learned[i];
    }
    return n;
}

/* Each of the recordings as it is, and altered once. */
static ser_status start_head(ser_tune_net *net, const ser_crops *c, const ser_fine_tune_settings *s,
                             ser_error *err)
{
    size_t n = 2 * s->n_start, n_values;
    const ser_tune_loss loss = {.smoothing = s->tune.label_smoothing, .open_share = s->tune.open_share};
    size_t *row = ser_alloc(n, sizeof *row);
    uint64_t *draw = ser_alloc(n, sizeof *draw);
    float *pooled = ser_mul_size(&n_values, n, net->n_in) ? ser_alloc(n_values, sizeof *pooled) : NULL;
    ser_status st = row && draw && pooled ? SER_OK : ser_fail_nomem(err);
    if (st == SER_OK) {
        draw_start(row, s->n_start, c, s->tune.seed);
        for (size_t i = 0; i < s->n_start; i++) {
            row[s->n_start + i] = row[i];
            draw[s->n_start + i] = UINT64_MAX - i; /* streams that no step draws from */
        }
        st = ser_tune_features(pooled, net, &c->rows, row, draw, n, &s->tune, err);
    }
    if (st == SER_OK) {
        ser_tune_standardise(net, pooled, NULL, n);
        st = ser_tune_fit_head(net, pooled, &c->rows, row, NULL, n, &loss, s->start_l2, s->tune.n_threads,
                               err);
    }
    ser_free(row);
    ser_free(draw);
    ser_free(pooled);
    return st;
}

ser_status ser_fine_tune_start(ser_tune_net **net, const ser_crops *crops,
                               const ser_fine_tune_settings *settings, ser_error *err)
{
    ser_fine_tune_settings s = *settings;
    s.shape.n_labels = crops->rows.n_labels;
    s.tune.max_samples = crops->settings.max_samples;
    *net = NULL;
    ser_status st = crops->n_learned >= 2
                        ? SER_OK
                        : ser_fail(err, SER_E_ARG, "one recording is not enough to learn from");
    if (st == SER_OK)
        st = ser_tune_net_open(net, s.encoder, &s.shape, err);
    if (st == SER_OK)
        st = start_head(*net, crops, &s, err);
    if (st != SER_OK)
        ser_tune_net_free(net);
    return st;
}

/* Trains, and goes back part of the way to where it began. */
static ser_status train(ser_tune_net *net, ser_tune_fit *fit, const ser_crops *crops,
                        const ser_fine_tune_settings *s, ser_error *err)
{
    ser_tune_settings tune = s->tune;
    float *before = ser_alloc(net->n_values, sizeof *before);
    tune.max_samples = crops->settings.max_samples;
    if (!before)
        return ser_fail_nomem(err);
    memcpy(before, net->values, net->n_values * sizeof *before);
    ser_status st = ser_tune_train(fit, net, &crops->rows, &tune, err);
    for (size_t i = net->n_frozen; st == SER_OK && s->blend < 1 && i < net->n_values; i++)
        net->values[i] = before[i] + (float)s->blend * (net->values[i] - before[i]);
    ser_free(before);
    return st;
}

ser_status ser_fine_tune(ser_tune_net **net, ser_tune_fit *fit, const ser_crops *crops,
                         const ser_fine_tune_settings *settings, ser_error *err)
{
    ser_tune_fit own = {0};
    ser_status st = ser_fine_tune_start(net, crops, settings, err);
    if (st == SER_OK)
        st = train(*net, fit ? fit : &own, crops, settings, err);
    ser_tune_fit_release(&own);
    if (st != SER_OK)
        ser_tune_net_free(net);
    return st;
}

ser_status ser_fine_tune_logits(float *logits, const ser_tune_net *net, const ser_crops *crops,
                                const size_t *row, size_t n, const ser_fine_tune_settings *settings,
                                ser_error *err)
{
    enum { AT_ONCE = 256 };
    ser_tune_settings tune = settings->tune;
    size_t n_labels = crops->rows.n_labels;
    float *pooled = ser_alloc(AT_ONCE, net->n_in * sizeof *pooled);
    ser_status st = pooled ? SER_OK : ser_fail_nomem(err);
    tune.max_samples = settings->max_answer;
    for (size_t first = 0; first < n && st == SER_OK; first += AT_ONCE) {
        size_t n_now = n - first < AT_ONCE ? n - first : AT_ONCE;
        st = ser_tune_features(pooled, net, &crops->rows, row + first, NULL, n_now, &tune, err);
        if (st == SER_OK)
            ser_tune_head_forward(net, logits + first * n_labels, pooled, NULL, n_now);
    }
    ser_free(pooled);
    return st;
}

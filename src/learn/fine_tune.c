#include "learn/fine_tune.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "learn/copies.h"
#include "model/pooled.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

ser_fine_tune_settings ser_fine_tune_default_settings(void)
{
    ser_fine_tune_settings s = {.shape = {.pooled = {1, 2, 3, 4}, .n_pooled = 4},
                                .tune = ser_tune_default_settings(),
                                .n_start = 6000,
                                .start_l2 = 0.1,
                                .n_soup = 1,
                                .blend = 0.6,
                                .max_answer = 10 * SER_SAMPLE_RATE_HZ};
    s.tune.head_rate = 3e-5;
    s.tune.clip = 5;
    s.tune.rate = 1e-4;
    s.tune.dropout = 0.2;
    s.tune.stripe_probability = 0.5;
    return s;
}

/* Distinct recordings to start the head from, of each corpus about as many, at most n. */
static size_t draw_start(size_t *row, size_t n, const ser_crops *c, uint64_t seed)
{
    ser_random r;
    size_t n_parts = c->corpus->n_parts, n_drawn = 0;
    size_t *order = ser_alloc(c->n_learned, sizeof *order), *taken = ser_alloc(n_parts, sizeof *taken);
    if (order && taken) {
        ser_random_init(&r, ser_random_derive(seed, "start"));
        memcpy(order, c->learned, c->n_learned * sizeof *order);
        ser_random_shuffle(&r, order, c->n_learned);
        for (size_t i = 0; i < c->n_learned && n_drawn < n; i++)
            if (taken[c->corpus->utterances[order[i]].part]++ < (n + n_parts - 1) / n_parts)
                row[n_drawn++] = order[i];
    }
    ser_free(order);
    ser_free(taken);
    return n_drawn;
}

/* Each of the recordings as it is, whole, and an altered crop of it; weighted as the training draws them. */
static ser_status start_features(float *pooled, double *weight, size_t *row, size_t n,
                                 const ser_tune_net *net, const ser_crops *c, const ser_fine_tune_settings *s,
                                 ser_error *err)
{
    ser_tune_settings whole = s->tune;
    uint64_t *draw = ser_alloc(n, sizeof *draw);
    if (!draw)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < n; i++) {
        draw[i] = UINT64_MAX - i; /* beyond SER_CROPS_APART */
        row[n + i] = row[i];
        weight[i] = weight[n + i] = c->weight[row[i]];
    }
    whole.max_samples = s->max_answer;
    ser_status st = ser_tune_features(pooled, net, &c->rows, row, NULL, n, &whole, err);
    if (st == SER_OK)
        st = ser_tune_features(pooled + n * net->n_in, net, &c->rows, row, draw, n, &s->tune, err);
    ser_free(draw);
    return st;
}

/* Rank 0 has fitted the head; the others get it, and what it reads numbers by. */
static ser_status share_head(ser_tune_net *net, const ser_team *team, ser_error *err)
{
    const ser_tune_tensor *w = ser_tune_net_find(net, "head.weight"),
                          *bias = ser_tune_net_find(net, "head.bias");
    const ser_team_part all[] = {{net->values + w->at, w->n * sizeof(float)},
                                 {net->values + bias->at, bias->n * sizeof(float)},
                                 {net->centre, net->n_in * sizeof(float)},
                                 {net->factor, net->n_in * sizeof(float)}};
    return ser_team_share_parts(team, all, sizeof all / sizeof *all, err);
}

/* What of the statistics a head reads. */
typedef enum head_part { HEAD_READS_MEANS, HEAD_READS_UPPER_LAYERS, N_HEAD_PARTS } head_part;

static bool is_read(head_part part, const ser_tune_shape *shape, size_t i)
{
    size_t layer = i / (2 * shape->dims), statistic = i / shape->dims % 2;
    return part == HEAD_READS_MEANS ? statistic == 0 : layer > 0 || shape->n_pooled == 1;
}

/* The mean of two heads, which is one: the first reads all layers' means over time, the second means and
 * deviations of all layers but the lowest (where one is read, of that). What is true of some corpora only
 * stands mostly in what one of the two reads, and counts half: found on corpora left out, on the frozen
 * encoder. */
static ser_status fit_mean_head(ser_tune_net *net, const float *pooled, const ser_tune_rows *rows,
                                const size_t *row, const double *weight, size_t n,
                                const ser_fine_tune_settings *s, ser_error *err)
{
    const ser_tune_loss loss = {.smoothing = s->tune.label_smoothing, .open_share = s->tune.open_share};
    const ser_tune_tensor *first = ser_tune_net_find(net, "head.weight"),
                          *last = ser_tune_net_find(net, "head.bias");
    float *values = net->values + first->at;
    size_t n_values = last->at + last->n - first->at;
    float *factor = ser_alloc(net->n_in, sizeof *factor);
    double *sum = ser_alloc(n_values, sizeof *sum);
    ser_status st = factor && sum ? SER_OK : ser_fail_nomem(err);
    if (st == SER_OK)
        memcpy(factor, net->factor, net->n_in * sizeof *factor);
    for (int part = 0; part < N_HEAD_PARTS && st == SER_OK; part++) {
        /* What is 0 in every row is not learned from: its weights stay 0, with which the fit begins. */
        for (size_t i = 0; i < net->n_in; i++)
            net->factor[i] = is_read((head_part)part, &net->shape, i) ? factor[i] : 0;
        st = ser_tune_fit_head(net, pooled, rows, row, weight, n, &loss, s->start_l2, s->tune.n_threads, err);
        for (size_t i = 0; i < n_values; i++)
            sum[i] += (double)values[i];
    }
    for (size_t i = 0; i < n_values && st == SER_OK; i++)
        values[i] = (float)(sum[i] / N_HEAD_PARTS);
    if (factor)
        memcpy(net->factor, factor, net->n_in * sizeof *factor);
    ser_free(factor);
    ser_free(sum);
    return st;
}

static ser_status start_head(ser_tune_net *net, const ser_crops *c, const ser_fine_tune_settings *s,
                             ser_error *err)
{
    size_t n_max = s->n_start, n_values;
    size_t *row = ser_alloc(2 * n_max, sizeof *row);
    double *weight = ser_alloc(2 * n_max, sizeof *weight);
    float *pooled =
        ser_mul_size(&n_values, 2 * n_max, net->n_in) ? ser_alloc(n_values, sizeof *pooled) : NULL;
    size_t n = row ? draw_start(row, n_max, c, s->tune.seed) : 0;
    ser_status st =
        n && weight && pooled ? start_features(pooled, weight, row, n, net, c, s, err) : ser_fail_nomem(err);
    if (st == SER_OK && ser_team_is_first(s->tune.team)) {
        ser_tune_standardise(net, pooled, weight, 2 * n);
        st = fit_mean_head(net, pooled, &c->rows, row, weight, 2 * n, s, err);
    }
    ser_free(row);
    ser_free(weight);
    ser_free(pooled);
    return st == SER_OK && s->tune.team ? share_head(net, s->tune.team, err) : st;
}

static ser_status start(ser_tune_net **net, const ser_crops *crops, const ser_fine_tune_settings *settings,
                        ser_error *err)
{
    ser_fine_tune_settings s = *settings;
    s.shape.n_labels = crops->rows.n_labels;
    s.tune.max_samples = crops->settings.max_samples;
    *net = NULL;
    ser_status st = !s.n_soup ? ser_fail(err, SER_E_ARG, "no training is no soup")
                    : crops->n_learned >= 2
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

typedef struct listener {
    const ser_fine_tune_settings *settings;
    size_t training;
} listener;

static void tell_epoch(void *context, const ser_tune_epoch *e)
{
    const listener *l = context;
    l->settings->on_epoch(l->settings->context, l->training, e);
}

/* Training m of the soup. The first has the run's own seed. */
static ser_status train_one(ser_tune_net *net, const ser_tune_rows *rows, const ser_fine_tune_settings *s,
                            const ser_tune_settings *of_all, size_t m, ser_error *err)
{
    ser_tune_settings tune = *of_all;
    ser_tune_fit fit;
    listener l = {s, m + 1};
    char name[48], what[128];
    if (m) {
        snprintf(name, sizeof name, "soup/%zu", m);
        tune.seed = ser_random_derive(tune.seed, name);
    }
    if (s->n_soup > 1) {
        snprintf(what, sizeof what, "%s %zu/%zu", tune.what ? tune.what : "fine-tuning", m + 1, s->n_soup);
        tune.what = what;
    }
    char *state = s->state ? ser_format("%s-%zu.safetensors", s->state, s->first_state + m) : NULL;
    if (s->state && !state)
        return ser_fail_nomem(err);
    tune.state_path = state;
    tune.n_states = tune.n_states > m ? tune.n_states - m : 1;
    tune.on_epoch = s->on_epoch ? tell_epoch : NULL;
    tune.context = &l;
    ser_status st = ser_tune_train(&fit, net, rows, &tune, err);
    ser_tune_fit_release(&fit);
    ser_free(state);
    return st;
}

/* The mean of n_soup trainings from where the net stands. before (n_values): that place. In double precision,
 * where so many of one number add up and divide to that number: what does not learn stays. */
static ser_status train_soup(ser_tune_net *net, const float *before, const ser_tune_rows *rows,
                             const ser_fine_tune_settings *s, const ser_tune_settings *tune, ser_error *err)
{
    if (s->n_soup == 1)
        return train_one(net, rows, s, tune, 0, err);
    size_t n = net->n_values - net->n_frozen;
    float *values = net->values + net->n_frozen;
    double *sum = ser_alloc(n, sizeof *sum);
    ser_status st = sum ? SER_OK : ser_fail_nomem(err);
    for (size_t m = 0; m < s->n_soup && st == SER_OK; m++) {
        memcpy(values, before + net->n_frozen, n * sizeof *values);
        st = train_one(net, rows, s, tune, m, err);
        for (size_t i = 0; i < n && st == SER_OK; i++)
            sum[i] += (double)values[i];
    }
    for (size_t i = 0; i < n && st == SER_OK; i++)
        values[i] = (float)(sum[i] / (double)s->n_soup);
    ser_free(sum);
    return st;
}

/* Trains, and goes back part of the way to where it began. */
static ser_status train(ser_tune_net *net, const ser_crops *crops, const ser_fine_tune_settings *s,
                        ser_error *err)
{
    ser_tune_settings tune = s->tune;
    char identity[160]; /* what else the crops depend on */
    float *before = ser_alloc(net->n_values, sizeof *before);
    snprintf(identity, sizeof identity, "copies=%zu;mixup=%.9g;speed=%.9g;clip=%.9g;", s->n_copies,
             crops->settings.mixup, crops->settings.variety.speed, crops->settings.variety.clip);
    tune.identity = identity;
    tune.max_samples = crops->settings.max_samples;
    if (!before)
        return ser_fail_nomem(err);
    memcpy(before, net->values, net->n_values * sizeof *before);
    ser_copies *copies = NULL;
    ser_status st = s->n_copies ? ser_copies_new(&copies, net, crops, s->n_copies, &tune, err) : SER_OK;
    if (st == SER_OK)
        st = train_soup(net, before, copies ? &copies->rows : &crops->rows, s, &tune, err);
    ser_copies_free(&copies);
    for (size_t i = net->n_frozen; st == SER_OK && s->blend < 1 && i < net->n_values; i++)
        net->values[i] = before[i] + (float)s->blend * (net->values[i] - before[i]);
    ser_free(before);
    return st;
}

/* Calm and bored voices sound much like neutral ones, and few corpora ask for them: what tells them apart in
 * those is the corpus, and they are answered too often elsewhere. In logits, found on corpora left out; the
 * same for surprise or for neutral itself cost more there than it gained. */
static void correct_bias(ser_tune_net *net, const ser_crops *c)
{
    static const char *const quiet[] = {"calm", "boredom"};
    const double per_octave = 1.2;
    const ser_corpus *corpus = c->corpus;
    const ser_tune_tensor *bias = ser_tune_net_find(net, "head.bias");
    uint64_t learned = 0; /* parts */
    for (size_t i = 0; i < c->n_learned; i++)
        learned |= UINT64_C(1) << corpus->utterances[c->learned[i]].part;
    for (size_t l = 0; l < corpus->n_labels; l++) {
        double n = 0, n_with = 0;
        bool is_quiet = false;
        for (size_t i = 0; i < sizeof quiet / sizeof *quiet; i++)
            is_quiet = is_quiet || strcmp(corpus->labels[l], quiet[i]) == 0;
        for (size_t p = 0; p < corpus->n_parts; p++) {
            n += (double)(learned >> p & 1);
            n_with += (double)(learned >> p & 1 & corpus->parts[p].emotions >> l);
        }
        if (is_quiet && n_with > 0)
            net->values[bias->at + l] += (float)(per_octave * log2(n_with / n));
    }
}

ser_status ser_fine_tune(ser_tune_net **net, const ser_crops *crops, const ser_fine_tune_settings *settings,
                         ser_error *err)
{
    ser_status st = start(net, crops, settings, err);
    if (st == SER_OK && !settings->head_alone)
        st = train(*net, crops, settings, err);
    if (st == SER_OK)
        correct_bias(*net, crops);
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
        if (st == SER_OK && ser_team_is_first(tune.team))
            ser_tune_head_forward(net, logits + first * n_labels, pooled, NULL, n_now);
    }
    ser_free(pooled);
    return st;
}

/* Number i of the net's statistics, as they lie in pooled features. */
static size_t place_of(const ser_tune_net *net, const ser_extractor *e, size_t i)
{
    size_t dims = net->shape.dims, state = i / (2 * dims), statistic = i / dims % 2, offset, block_dims;
    ser_extractor_block(e, state, &offset, &block_dims);
    return SER_N_STATISTICS * offset + statistic * dims + i % dims;
}

ser_status ser_fine_tune_head(ser_linear *out, const ser_tune_net *net, const ser_extractor *e,
                              ser_error *err)
{
    const ser_tune_tensor *w = ser_tune_net_find(net, "head.weight"),
                          *bias = ser_tune_net_find(net, "head.bias");
    size_t n_labels = net->shape.n_labels, n_in = ser_pooled_dims(e);
    if (ser_extractor_n_blocks(e) != net->shape.n_pooled ||
        ser_extractor_dims(e) != net->shape.n_pooled * net->shape.dims)
        return ser_fail(err, SER_E_ARG, "the head reads %zu hidden states, and there are %zu",
                        net->shape.n_pooled, ser_extractor_n_blocks(e));
    ser_status st = ser_linear_init(out, n_in, n_labels, err);
    for (size_t i = 0; st == SER_OK && i < net->n_in; i++) {
        size_t to = place_of(net, e, i);
        out->mean[to] = net->centre[i];
        out->scale[to] = net->factor[i];
        for (size_t l = 0; l < n_labels; l++)
            out->w[l * n_in + to] = net->values[w->at + l * net->n_in + i];
    }
    for (size_t l = 0; st == SER_OK && l < n_labels; l++)
        out->bias[l] = net->values[bias->at + l];
    out->temperature = 1;
    return st;
}

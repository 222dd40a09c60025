/* Around the training: features of a net, and the head alone. */
#include "base/memory.h"
#include "base/threads.h"
#include "base/vector.h"
#include "train/lbfgs.h"
#include "tune/fine_parts.h"

#include <math.h>
#include <string.h>

/* ---- features ---- */

typedef struct passing {
    const ser_tune_net *net;
    const ser_tune_rows *rows;
    const ser_tune_settings *s;
    size_t n;
    tune_draw *draws; /* (n) */
    ser_nn_work *nn;
    ser_tune_work *work;
    tune_examples examples;
    float *pooled; /* (batch_size, n_in): of the batch that passes */
} passing;

/* The batch from draw at on has passed: its statistics, and what is kept of it. */
typedef ser_status (*take_batch)(void *context, const passing *p, const float *pooled, size_t at, size_t n,
                                 ser_error *err);

static const char *what_of(const passing *p)
{
    return p->s->what ? p->s->what : "features";
}

static size_t batch_at(const passing *p, size_t at)
{
    return p->n - at < p->s->batch_size ? p->n - at : p->s->batch_size;
}

/* The batch from draw at on into pooled (batch_size, n_in). */
static ser_status pass_batch(passing *p, float *pooled, size_t at, ser_error *err)
{
    size_t n = batch_at(p, at);
    ser_status st = ser_tune_examples_read(&p->examples, p->rows, p->draws + at, n, p->s->n_threads, err);
    ser_tune_batch batch = ser_tune_examples_batch(&p->examples, n);
    return st == SER_OK ? ser_tune_forward(p->work, &batch, pooled, err) : st;
}

static ser_status pass_batches(passing *p, take_batch take, void *context, ser_error *err)
{
    const ser_tune_settings *s = p->s;
    ser_status st = SER_OK;
    for (size_t at = 0; at < p->n && st == SER_OK; at += s->batch_size) {
        size_t n = batch_at(p, at);
        st = pass_batch(p, p->pooled, at, err);
        if (st == SER_OK)
            st = take(context, p, p->pooled, at, n, err);
        if (st == SER_OK && !ser_progress_report(s->progress, what_of(p), at + n, p->n))
            st = ser_fail(err, SER_E_CANCELLED, "cancelled");
    }
    return st;
}

/* ---- batches dealt to ranks ---- */

typedef struct dealt_batches {
    passing *p;
    take_batch take;
    void *context;
} dealt_batches;

static ser_status pass_dealt(void *context, size_t item, int worker, ser_text *answer, ser_error *err)
{
    const dealt_batches *d = context;
    passing *p = d->p;
    size_t at = item * p->s->batch_size;
    (void)worker;
    ser_status st = pass_batch(p, p->pooled, at, err);
    if (st == SER_OK)
        ser_text_append_n(answer, (const char *)p->pooled,
                          batch_at(p, at) * p->net->n_in * sizeof *p->pooled);
    return st;
}

static ser_status take_dealt(void *context, size_t item, const void *answer, size_t n, ser_error *err)
{
    const dealt_batches *d = context;
    size_t at = item * d->p->s->batch_size, n_batch = batch_at(d->p, at);
    if (n != n_batch * d->p->net->n_in * sizeof(float))
        return ser_fail(err, SER_E_FORMAT, "a rank answered for another batch");
    return d->take(d->context, d->p, answer, at, n_batch, err);
}

static ser_status deal_batches(passing *p, take_batch take, void *context, ser_error *err)
{
    dealt_batches d = {p, take, context};
    const ser_deal deal = {.n_items = (p->n + p->s->batch_size - 1) / p->s->batch_size,
                           .n_threads = 1, /* each batch with all of the rank's */
                           .work = pass_dealt,
                           .take = take_dealt,
                           .context = &d,
                           .progress = p->s->progress,
                           .what = what_of(p)};
    return p->s->team->deal(p->s->team->context, &deal, err);
}

static ser_status pass_rows(passing *p, const size_t *row, const uint64_t *draw, take_batch take,
                            void *context, ser_error *err)
{
    p->pooled = ser_alloc(p->s->batch_size * p->net->n_in, sizeof *p->pooled);
    p->draws = ser_alloc(p->n, sizeof *p->draws);
    ser_status st = p->draws && p->pooled ? SER_OK : ser_fail_nomem(err);
    for (size_t i = 0; i < p->n && st == SER_OK; i++)
        p->draws[i] = (tune_draw){row ? row[i] : i, draw ? draw[i] : 0};
    if (st == SER_OK)
        st = ser_tune_examples_init(&p->examples, p->s->batch_size, p->s->max_samples, p->rows->n_labels,
                                    p->rows->read_hidden ? &p->net->shape : NULL, err);
    if (st == SER_OK)
        st = ser_nn_work_new(&p->nn, p->s->ops, p->s->n_threads, err);
    if (st == SER_OK)
        st = ser_tune_work_new(&p->work, p->net, p->nn, false, 0, err);
    if (st == SER_OK)
        st = (p->s->team ? deal_batches : pass_batches)(p, take, context, err);
    ser_tune_work_free(&p->work);
    ser_nn_work_free(&p->nn);
    ser_tune_examples_release(&p->examples);
    ser_free(p->draws);
    ser_free(p->pooled);
    return st;
}

static ser_status take_pooled(void *context, const passing *p, const float *pooled, size_t at, size_t n,
                              ser_error *err)
{
    (void)err;
    memcpy((float *)context + at * p->net->n_in, pooled, n * p->net->n_in * sizeof *pooled);
    return SER_OK;
}

ser_status ser_tune_features(float *pooled, const ser_tune_net *net, const ser_tune_rows *rows,
                             const size_t *row, const uint64_t *draw, size_t n, const ser_tune_settings *s,
                             ser_error *err)
{
    passing p = {.net = net, .rows = rows, .s = s, .n = n};
    return pass_rows(&p, row, draw, take_pooled, pooled, err);
}

typedef struct hidden_store {
    float **hidden;
    size_t *n_frames;
} hidden_store;

static ser_status take_hidden(void *context, const passing *p, const float *pooled, size_t at, size_t n,
                              ser_error *err)
{
    hidden_store *h = context;
    size_t dims = p->net->shape.dims, n_below = ser_tune_n_below(&p->net->shape) * dims;
    for (size_t i = 0; i < n; i++) {
        size_t n_frames = h->n_frames[at + i] = p->examples.n_frames[i];
        float *hidden = h->hidden[at + i] = ser_alloc(n_frames * dims + n_below, sizeof *hidden);
        if (!hidden)
            return ser_fail_nomem(err);
        memcpy(hidden, ser_tune_hidden_of(p->work, p->net->shape.from, i), n_frames * dims * sizeof *hidden);
        memcpy(hidden + n_frames * dims, pooled + i * p->net->n_in, n_below * sizeof *hidden);
    }
    return SER_OK;
}

ser_status ser_tune_hidden_states(float **hidden, size_t *n_frames, const ser_tune_net *net,
                                  const ser_tune_rows *rows, const size_t *row, const uint64_t *draw,
                                  size_t n, const ser_tune_settings *s, ser_error *err)
{
    ser_tune_rows heard = *rows;
    ser_tune_settings own = *s;
    heard.read_hidden = NULL;
    own.team = NULL;
    passing p = {.net = net, .rows = &heard, .s = &own, .n = n};
    hidden_store h = {hidden, n_frames};
    memset(hidden, 0, n * sizeof *hidden);
    ser_status st = pass_rows(&p, row, draw, take_hidden, &h, err);
    for (size_t i = 0; i < n && st != SER_OK; i++) {
        ser_free(hidden[i]);
        hidden[i] = NULL;
    }
    return st;
}

void ser_tune_standardise(ser_tune_net *net, const float *pooled, const double *weight, size_t n)
{
    for (size_t k = 0; k < net->n_in; k++) {
        double sum = 0, total = 0, squares = 0;
        for (size_t i = 0; i < n; i++) {
            double w = weight ? weight[i] : 1;
            sum += w * (double)pooled[i * net->n_in + k];
            total += w;
        }
        double mean = total > 0 ? sum / total : 0;
        for (size_t i = 0; i < n; i++) {
            double d = (double)pooled[i * net->n_in + k] - mean;
            squares += (weight ? weight[i] : 1) * d * d;
        }
        double deviation = total > 0 ? sqrt(squares / total) : 0;
        net->centre[k] = (float)mean;
        net->factor[k] = deviation > 1e-6 * fabs(mean) && deviation > 0 ? (float)(1 / deviation) : 0;
    }
}

/* ---- the head alone ---- */

enum { N_PARTS = 8, MAX_LABELS = 64 }; /* parts of the rows: always as many, so that threads do not show */

typedef struct head_fit {
    const ser_tune_rows *rows;
    const size_t *row;
    const double *weight;
    const ser_tune_loss *loss;
    size_t n, n_in, n_theta;
    double l2, total;
    int n_threads;
    float *z;             /* (n, n_in), standardised */
    float *theta, *bias;  /* (n_labels, n_in), (n_labels) */
    float *sums[N_PARTS]; /* (n_labels, n_in + 1) each */
    double losses[N_PARTS];
    double *x; /* what is sought: weights (n_labels, n_in), biases (n_labels) */
} head_fit;

static ser_status add_part(void *context, size_t item, int worker, ser_error *err)
{
    (void)worker;
    (void)err;
    head_fit *h = context;
    size_t n_in = h->n_in, n_labels = h->rows->n_labels;
    float *sums = h->sums[item], logits[MAX_LABELS], d[MAX_LABELS];
    memset(sums, 0, n_labels * (n_in + 1) * sizeof *sums);
    h->losses[item] = 0;
    for (size_t i = item * h->n / N_PARTS; i < (item + 1) * h->n / N_PARTS; i++) {
        const float *z = h->z + i * n_in;
        size_t row = h->row ? h->row[i] : i;
        for (size_t o = 0; o < n_labels; o++)
            logits[o] = h->bias[o] + ser_dot_f32(h->theta + o * n_in, z, n_in);
        h->losses[item] +=
            ser_tune_cross_entropy(d, logits, h->rows->target + row * n_labels,
                                   h->rows->mask ? h->rows->mask + row * n_labels : NULL, n_labels, h->loss,
                                   (h->weight ? h->weight[i] : 1) / h->total);
        for (size_t o = 0; o < n_labels; o++) {
            ser_add_scaled(sums + o * n_in, z, d[o], n_in);
            sums[n_labels * n_in + o] += d[o];
        }
    }
    return SER_OK;
}

static ser_status objective(void *context, const double *x, double *gradient, double *value, ser_error *err)
{
    head_fit *h = context;
    size_t n = h->n_theta + h->rows->n_labels;
    for (size_t i = 0; i < h->n_theta; i++)
        h->theta[i] = (float)x[i];
    for (size_t o = 0; o < h->rows->n_labels; o++)
        h->bias[o] = (float)x[h->n_theta + o];
    ser_status st = ser_parallel_for(h->n_threads, N_PARTS, add_part, h, err);
    *value = h->l2 * ser_dot(x, x, h->n_theta);
    for (size_t i = 0; i < n; i++)
        gradient[i] = i < h->n_theta ? 2 * h->l2 * x[i] : 0;
    for (int k = 0; k < N_PARTS && st == SER_OK; k++) {
        *value += h->losses[k];
        for (size_t i = 0; i < n; i++)
            gradient[i] += (double)h->sums[k][i];
    }
    return st;
}

static ser_status head_fit_init(head_fit *h, ser_error *err)
{
    size_t n_labels = h->rows->n_labels;
    h->n_theta = n_labels * h->n_in;
    h->z = ser_alloc(h->n * h->n_in, sizeof *h->z);
    h->theta = ser_alloc(h->n_theta, sizeof *h->theta);
    h->bias = ser_alloc(n_labels, sizeof *h->bias);
    h->x = ser_alloc(h->n_theta + n_labels, sizeof *h->x);
    bool ok = h->z && h->theta && h->bias && h->x;
    for (int i = 0; i < N_PARTS && ok; i++)
        ok = (h->sums[i] = ser_alloc(h->n_theta + n_labels, sizeof **h->sums)) != NULL;
    for (size_t i = 0; i < h->n; i++)
        h->total += h->weight ? h->weight[i] : 1;
    if (!ok)
        return ser_fail_nomem(err);
    return h->total > 0 ? SER_OK : ser_fail(err, SER_E_ARG, "a head cannot be fitted to nothing");
}

static void head_fit_release(head_fit *h)
{
    ser_free(h->z);
    ser_free(h->theta);
    ser_free(h->bias);
    ser_free(h->x);
    for (int i = 0; i < N_PARTS; i++)
        ser_free(h->sums[i]);
}

static ser_status fit(head_fit *h, ser_tune_net *net, const float *pooled, ser_error *err)
{
    enum { MAX_ITERATIONS = 300 };
    size_t n_labels = h->rows->n_labels;
    float *w = net->values + ser_tune_net_find(net, "head.weight")->at;
    float *bias = net->values + ser_tune_net_find(net, "head.bias")->at;
    for (size_t i = 0; i < h->n; i++)
        for (size_t k = 0; k < h->n_in; k++)
            h->z[i * h->n_in + k] = (pooled[i * h->n_in + k] - net->centre[k]) * net->factor[k];
    ser_status st =
        ser_lbfgs(h->x, h->n_theta + n_labels, objective, NULL, h, MAX_ITERATIONS, 1e-5, NULL, err);
    for (size_t i = 0; i < h->n_theta && st == SER_OK; i++)
        w[i] = (float)h->x[i];
    for (size_t o = 0; o < n_labels && st == SER_OK; o++)
        bias[o] = (float)h->x[h->n_theta + o];
    return st;
}

ser_status ser_tune_fit_head(ser_tune_net *net, const float *pooled, const ser_tune_rows *rows,
                             const size_t *row, const double *weight, size_t n, const ser_tune_loss *loss,
                             double l2, int n_threads, ser_error *err)
{
    head_fit h = {.rows = rows, .row = row, .weight = weight, .loss = loss, .n = n, .l2 = l2};
    h.n_in = net->n_in;
    h.n_threads = n_threads;
    if (rows->n_labels > MAX_LABELS)
        return ser_fail(err, SER_E_ARG, "%zu labels: at most %d", rows->n_labels, (int)MAX_LABELS);
    ser_status st = head_fit_init(&h, err);
    if (st == SER_OK)
        st = fit(&h, net, pooled, err);
    head_fit_release(&h);
    return st;
}

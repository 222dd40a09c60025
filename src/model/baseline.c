#include "model/baseline.h"
#include "base/memory.h"
#include "model/adapt_head.h"
#include "model/moments.h"

#include <math.h>
#include <string.h>

/* A deviation from few recordings is uncertain, so the usual one within a speaker counts as so many
 * recordings more; of a voice that is only just being heard, its mean is uncertain too, where the share below
 * does not allow for that. */
enum { PRIOR = 4 };

/* The plain head learned together with its encoder: only then the file has a rule of confidence. */
static bool is_tuned(const ser_model_data *m)
{
    return m->min_confidence > 0;
}

/* What the head for a voice counts beside the plain one, from n recordings of the voice on. A plain head that
 * was fitted to an encoder as it is hears strangers worse than the other head does after three recordings. A
 * tuned one hears them better than the other, which was fitted to features of recordings that the encoder
 * knows, until that knows the voice well: then both have a say, the other's being the smaller, the fewer
 * recordings there are (chosen on corpora left out: docs/strangers.md). */
static float share_of(const ser_model_data *m, size_t n)
{
    static const double largest = 0.5, half_of_it_at = 10;
    return is_tuned(m) ? (float)(largest * (double)n / ((double)n + half_of_it_at)) : 1;
}

void ser_baseline_release(ser_baseline *b)
{
    ser_free(b->mean);
    ser_free(b->scale);
    ser_free(b->heard);
    ser_linear_release(&b->adapted);
    *b = (ser_baseline){0};
}

static ser_status reserve(ser_baseline *b, const ser_model_data *m, ser_error *err)
{
    b->mean = ser_alloc(m->baseline.n_in, sizeof *b->mean);
    b->scale = ser_alloc(m->baseline.n_in, sizeof *b->scale);
    return b->mean && b->scale ? SER_OK : ser_fail_nomem(err);
}

static ser_status finish(ser_baseline *b, ser_status st)
{
    if (st != SER_OK)
        ser_baseline_release(b);
    return st;
}

ser_status ser_baseline_check(const ser_model_data *m, ser_error *err)
{
    if (m->n_networks)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "this model has temporal networks, which know nothing of a voice's baseline: use a "
                        "linear one");
    if (!m->baseline.n_in)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "this model has no head for a voice's baseline: train it again");
    return SER_OK;
}

/* Sums are of distances from origin, n of them. prior_of_mean: recordings that lie at the origin. */
static void set_feature(ser_baseline *b, size_t i, double origin, double spread, double sum, double squares,
                        double n, double prior_of_mean)
{
    double within = fmax(squares / n - sum / n * (sum / n), 0);
    double variance = (n * within + PRIOR * spread * spread) / (n + PRIOR);
    b->mean[i] = (float)(origin + sum / (n + prior_of_mean));
    double deviation = sqrt(variance);
    b->scale[i] = ser_varies((double)b->mean[i], deviation) ? (float)(1 / deviation) : 0;
}

static void measure(ser_baseline *b, const ser_model_data *m, const float *rows, size_t n)
{
    size_t n_in = m->baseline.n_in;
    for (size_t i = 0; i < n_in; i++) {
        double origin = rows[i], sum = 0, squares = 0;
        for (size_t r = 0; r < n; r++) {
            double x = (double)rows[r * n_in + i] - origin;
            sum += x;
            squares += x * x;
        }
        set_feature(b, i, origin, m->baseline_spread[i], sum, squares, (double)n, 0);
    }
}

static ser_status adapt_head(ser_baseline *b, const ser_model_data *m, float *rows, size_t n, ser_error *err)
{
    size_t n_in = m->baseline.n_in;
    const float **x = ser_alloc(n, sizeof *x);
    ser_status st = x ? ser_linear_copy(&b->adapted, &m->baseline, err) : ser_fail_nomem(err);
    for (size_t r = 0; r < n && st == SER_OK; r++) {
        x[r] = rows + r * n_in;
        for (size_t i = 0; i < n_in; i++)
            rows[r * n_in + i] = (rows[r * n_in + i] - b->mean[i]) * b->scale[i];
    }
    if (st == SER_OK)
        st = ser_linear_adapt(&b->adapted, x, n, err);
    ser_free(x);
    return st;
}

ser_status ser_baseline_fit(ser_baseline *b, const ser_model_data *m, float *rows, size_t n, bool adapt,
                            ser_error *err)
{
    ser_status st = reserve(b, m, err);
    if (st == SER_OK)
        measure(b, m, rows, n);
    b->share = share_of(m, n);
    if (st == SER_OK && adapt)
        st = adapt_head(b, m, rows, n, err);
    return finish(b, st);
}

ser_status ser_baseline_follow(ser_baseline *b, const ser_model_data *m, ser_error *err)
{
    ser_status st = reserve(b, m, err);
    if (st == SER_OK && !(b->heard = ser_alloc(2 * m->baseline.n_in, sizeof *b->heard)))
        st = ser_fail_nomem(err);
    return finish(b, st);
}

ser_status ser_baseline_copy(ser_baseline *to, const ser_baseline *from, const ser_model_data *m,
                             ser_error *err)
{
    size_t n_in = m->baseline.n_in;
    if (!from->mean)
        return SER_OK;
    ser_status st = reserve(to, m, err);
    if (st == SER_OK) {
        memcpy(to->mean, from->mean, n_in * sizeof *to->mean);
        memcpy(to->scale, from->scale, n_in * sizeof *to->scale);
        to->share = from->share;
    }
    if (st == SER_OK && from->adapted.n_in)
        st = ser_linear_copy(&to->adapted, &from->adapted, err);
    return finish(to, st);
}

void ser_baseline_hear(ser_baseline *b, const ser_model_data *m, const float *pooled)
{
    size_t n_in = m->baseline.n_in;
    if (!b->heard)
        return;
    double *sum = b->heard, *squares = b->heard + n_in;
    b->n_heard++;
    b->share = share_of(m, b->n_heard);
    for (size_t i = 0; i < n_in; i++) {
        double origin = m->plain.mean[i], x = (double)pooled[i] - origin;
        sum[i] += x;
        squares[i] += x * x;
        set_feature(b, i, origin, m->baseline_spread[i], sum[i], squares[i], (double)b->n_heard,
                    is_tuned(m) ? 0 : PRIOR);
    }
}

/* Both heads' logits, calibrated, are added up: the scores' weighted geometric mean. */
void ser_baseline_score(const ser_baseline *b, const ser_model_data *m, float *scores, float *pooled)
{
    const ser_linear *head = b->adapted.n_in ? &b->adapted : &m->baseline;
    float own[SER_MAX_LABELS], temperature = m->plain.temperature, share = b->share;
    if (share < 1)
        ser_linear_logits(&m->plain, scores, pooled);
    if (share > 0) {
        for (size_t i = 0; i < head->n_in; i++)
            pooled[i] = (pooled[i] - b->mean[i]) * b->scale[i];
        ser_linear_logits(head, own, pooled);
        for (size_t l = 0; l < m->n_labels; l++)
            scores[l] = share < 1 ? share * own[l] + (1 - share) * scores[l] * head->temperature / temperature
                                  : own[l];
        temperature = head->temperature;
    }
    ser_softmax(scores, m->n_labels, temperature);
}

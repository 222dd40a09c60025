#include "train/layer_weights.h"
#include "base/memory.h"
#include "base/vector.h"
#include "nn/adam.h"
#include "nn/trainable.h"
#include "train/softmax_regression.h"

#include <math.h>
#include <string.h>

/* The classifier follows the weights: it takes a few steps of its own, from where it stood, between two of
 * theirs. */
enum { N_STEPS = 60, CLASSIFIER_STEPS = 12, N_PARTS = 4 /* sums over rows, so that threads do not show */ };
static const double rate = 0.1, ridge = 1e-3 /* of the squared logits */;

void ser_layer_softmax(float *weight, const float *logit, const ser_layering *layering)
{
    double total[SER_MAX_WEIGHTED_LAYERS] = {0}, highest[SER_MAX_WEIGHTED_LAYERS];
    for (size_t s = 0; s < layering->n_sums; s++)
        highest[s] = -INFINITY;
    for (size_t l = 0; l < layering->n_layers; l++)
        highest[layering->sum[l]] = fmax(highest[layering->sum[l]], (double)logit[l]);
    for (size_t l = 0; l < layering->n_layers; l++)
        total[layering->sum[l]] += exp((double)logit[l] - highest[layering->sum[l]]);
    for (size_t l = 0; l < layering->n_layers; l++)
        weight[l] = (float)(exp((double)logit[l] - highest[layering->sum[l]]) / total[layering->sum[l]]);
}

/* ---- passes over the rows ---- */

SER_FAST_STATIC(void, add_layer,
                (float *z, float weight, const float *x, const float *mean, const float *scale, size_t n),
                (z, weight, x, mean, scale, n))
{
    for (size_t i = 0; i < n; i++)
        z[i] += weight * ((x[i] - mean[i]) * scale[i]);
}

/* <g, (x - mean) * scale> */
SER_FAST_STATIC(double, layer_product,
                (const float *g, const float *x, const float *mean, const float *scale, size_t n),
                (g, x, mean, scale, n))
{
    ser_lanes sums = {0};
    size_t i = 0;
    for (; i + SER_N_LANES <= n; i += SER_N_LANES)
        sums += ser_lanes_load(g + i) *
                ((ser_lanes_load(x + i) - ser_lanes_load(mean + i)) * ser_lanes_load(scale + i));
    double sum = (double)ser_lanes_sum(sums);
    for (; i < n; i++)
        sum += (double)(g[i] * ((x[i] - mean[i]) * scale[i]));
    return sum;
}

typedef struct pass {
    const ser_layer_rows *rows;
    const float *weight;
    float *combined; /* (n, n_combined): what combine_part writes */
    const float *z;  /* what gradient_part reads */
    const ser_linear *l;
    double share;                                      /* of a loss in the mean */
    float *dz;                                         /* (N_PARTS, n_combined): scratch */
    double loss[N_PARTS];                              /* partial sums */
    double products[N_PARTS][SER_MAX_WEIGHTED_LAYERS]; /* of the loss's gradient by z with each layer */
    double along[N_PARTS];                             /* of the loss's gradient by z with z */
    double overlap[N_PARTS][SER_MAX_WEIGHTED_LAYERS];  /* of z with each layer, the mean of the rows */
} pass;

static ser_status combine_part(void *context, size_t part, ser_nn_work *work, ser_error *err)
{
    const pass *p = context;
    const ser_layer_rows *rows = p->rows;
    const ser_layering *y = rows->layering;
    (void)work;
    (void)err;
    for (size_t r = rows->n * part / N_PARTS; r < rows->n * (part + 1) / N_PARTS; r++) {
        float *z = p->combined + r * y->n_combined;
        memset(z, 0, y->n_combined * sizeof *z);
        for (size_t l = 0; l < y->n_layers; l++)
            add_layer(z + y->at[y->sum[l]], p->weight[l], rows->x[r] + y->first[l], rows->mean + y->first[l],
                      rows->scale + y->first[l], y->width[y->sum[l]]);
    }
    return SER_OK;
}

static ser_status gradient_part(void *context, size_t part, ser_nn_work *work, ser_error *err)
{
    pass *p = context;
    const ser_layer_rows *rows = p->rows;
    const ser_layering *y = rows->layering;
    const ser_linear *l = p->l;
    float *dz = p->dz + part * y->n_combined, logits[SER_MAX_LABELS], dlogits[SER_MAX_LABELS];
    (void)work;
    (void)err;
    for (size_t r = rows->n * part / N_PARTS; r < rows->n * (part + 1) / N_PARTS; r++) {
        const float *z = p->z + r * y->n_combined;
        float truth[SER_MAX_LABELS] = {0};
        truth[rows->label[r]] = 1;
        for (size_t k = 0; k < rows->n_labels; k++)
            logits[k] = l->bias[k] +
                        (float)layer_product(l->w + k * y->n_combined, z, l->mean, l->scale, y->n_combined);
        p->loss[part] += ser_nn_softmax_cross_entropy(dlogits, logits, truth, rows->n_labels, 0,
                                                      p->share * (double)rows->weight[r]);
        memset(dz, 0, y->n_combined * sizeof *dz);
        for (size_t k = 0; k < rows->n_labels; k++)
            ser_add_scaled(dz, l->w + k * y->n_combined, dlogits[k], y->n_combined);
        p->along[part] += layer_product(dz, z, l->mean, l->scale, y->n_combined);
        for (size_t i = 0; i < y->n_layers; i++) {
            size_t at = y->at[y->sum[i]], first = y->first[i], width = y->width[y->sum[i]];
            const float *x = rows->x[r] + first, *mean = rows->mean + first, *scale = rows->scale + first;
            p->products[part][i] += layer_product(dz + at, x, mean, scale, width);
            p->overlap[part][i] += layer_product(z + at, x, mean, scale, width) / (double)rows->n;
        }
    }
    return SER_OK;
}

ser_status ser_layers_combine(float *z, const ser_layer_rows *rows, const float *weight, ser_nn_work *work,
                              ser_error *err)
{
    pass p = {.rows = rows, .weight = weight, .combined = z};
    return ser_nn_parallel_for(work, N_PARTS, combine_part, &p, err);
}

void ser_layers_normalise(float *z, const ser_layer_rows *rows)
{
    size_t n_values = rows->n * rows->layering->n_combined;
    double sum = 0;
    for (size_t i = 0; i < n_values; i++)
        sum += (double)z[i] * (double)z[i];
    float by = sum > 0 ? (float)sqrt((double)rows->n / sum) : 1;
    for (size_t i = 0; i < n_values; i++)
        z[i] *= by;
}

/* Of the chain of logits, softmax, sum and loss: dlogit_l = w_l (dw_l - sum over the layers j of the same sum
 * of w_j dw_j). */
static void through_softmax(float *gradient, const double *dweight, const float *weight,
                            const ser_layering *layering)
{
    double means[SER_MAX_WEIGHTED_LAYERS] = {0};
    for (size_t l = 0; l < layering->n_layers; l++)
        means[layering->sum[l]] += (double)weight[l] * dweight[l];
    for (size_t l = 0; l < layering->n_layers; l++)
        gradient[l] = (float)((double)weight[l] * (dweight[l] - means[layering->sum[l]]));
}

ser_status ser_layer_gradient(double *loss, float *gradient, const ser_layer_rows *rows, const float *weight,
                              const float *z, const ser_linear *l, ser_nn_work *work, ser_error *err)
{
    double sum = 0, along = 0, length = 0;
    double dweight[SER_MAX_WEIGHTED_LAYERS] = {0}, overlap[SER_MAX_WEIGHTED_LAYERS] = {0};
    pass p = {.rows = rows, .z = z, .l = l};
    for (size_t r = 0; r < rows->n; r++)
        sum += (double)rows->weight[r];
    p.share = 1 / sum;
    p.dz = ser_alloc(N_PARTS * rows->layering->n_combined, sizeof *p.dz);
    ser_status st = p.dz ? ser_nn_parallel_for(work, N_PARTS, gradient_part, &p, err) : ser_fail_nomem(err);
    ser_free(p.dz);
    *loss = 0;
    for (size_t part = 0; part < N_PARTS; part++) {
        *loss += p.loss[part];
        along += p.along[part];
        for (size_t i = 0; i < rows->layering->n_layers; i++) {
            dweight[i] += p.products[part][i];
            overlap[i] += p.overlap[part][i];
        }
    }
    /* z = s / |s|, s the sum of the layers: ds/dw_l is layer l, d|s|/dw_l its overlap with z, and |s| the sum
     * of w_l times those. */
    for (size_t i = 0; i < rows->layering->n_layers; i++)
        length += (double)weight[i] * overlap[i];
    for (size_t i = 0; i < rows->layering->n_layers && length > 0; i++)
        dweight[i] = (dweight[i] - along * overlap[i]) / length;
    through_softmax(gradient, dweight, weight, rows->layering);
    return st;
}

/* ---- learning ---- */

static ser_status step(float *logit, float *weight, ser_linear *l, float *z, ser_adam *adam,
                       const ser_layer_rows *rows, const ser_softmax_fit *fit, ser_nn_work *work,
                       ser_error *err)
{
    float gradient[SER_MAX_WEIGHTED_LAYERS];
    double loss;
    ser_status st = ser_layers_combine(z, rows, weight, work, err);
    if (st == SER_OK)
        ser_layers_normalise(z, rows);
    if (st == SER_OK)
        st = ser_linear_fit(l, z, rows->label, rows->weight, rows->n, fit, work, err);
    if (st == SER_OK)
        st = ser_layer_gradient(&loss, gradient, rows, weight, z, l, work, err);
    if (st != SER_OK)
        return st;
    for (size_t i = 0; i < rows->layering->n_layers; i++)
        gradient[i] += (float)(ridge * (double)logit[i]);
    ser_adam_step(adam, logit, gradient, rate);
    ser_layer_softmax(weight, logit, rows->layering);
    return SER_OK;
}

ser_status ser_layer_weights_fit(float *weight, const ser_layer_rows *rows,
                                 const ser_layer_settings *settings, ser_nn_work *work, ser_error *err)
{
    const ser_layering *y = rows->layering;
    const ser_softmax_fit fit = {.c = settings->c, .tolerance = 0.01, .max_iterations = CLASSIFIER_STEPS};
    float logit[SER_MAX_WEIGHTED_LAYERS] = {0}, *z = NULL;
    ser_linear l = {0};
    ser_adam adam = {0};
    size_t n_values;
    if (ser_mul_size(&n_values, rows->n, y->n_combined))
        z = ser_alloc(n_values, sizeof *z);
    ser_status st = z ? ser_linear_init(&l, y->n_combined, rows->n_labels, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_adam_init(&adam, y->n_layers, 0.9, 0.999, err);
    ser_layer_softmax(weight, logit, y);
    for (size_t i = 0; i < N_STEPS && st == SER_OK; i++) {
        st = step(logit, weight, &l, z, &adam, rows, &fit, work, err);
        if (st == SER_OK && !ser_progress_report(settings->progress, settings->what, i + 1, N_STEPS))
            st = ser_fail(err, SER_E_CANCELLED, "interrupted while the layers were weighted");
    }
    ser_adam_release(&adam);
    ser_linear_release(&l);
    ser_free(z);
    return st;
}

ser_status ser_layers_expand(ser_linear *out, const ser_linear *l, const float *weight,
                             const ser_layering *layering, const float *mean, const float *scale,
                             ser_error *err)
{
    const ser_layering *y = layering;
    ser_status st = ser_linear_init(out, y->n_in, l->n_labels, err);
    if (st != SER_OK)
        return st;
    out->temperature = l->temperature;
    memcpy(out->mean, mean, y->n_in * sizeof *mean);
    for (size_t i = 0; i < y->n_layers; i++) {
        size_t at = y->at[y->sum[i]], width = y->width[y->sum[i]];
        for (size_t f = 0; f < width; f++) {
            out->scale[y->first[i] + f] = scale[y->first[i] + f] * l->scale[at + f];
            for (size_t k = 0; k < l->n_labels; k++)
                out->w[k * y->n_in + y->first[i] + f] = weight[i] * l->w[k * y->n_combined + at + f];
        }
    }
    for (size_t k = 0; k < l->n_labels; k++) {
        double bias = (double)l->bias[k];
        for (size_t i = 0; i < y->n_combined; i++)
            bias -= (double)l->w[k * y->n_combined + i] * (double)l->scale[i] * (double)l->mean[i];
        out->bias[k] = (float)bias;
    }
    return SER_OK;
}

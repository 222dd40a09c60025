#include "model/adapt_head.h"
#include "base/memory.h"
#include "base/vector.h"
#include "nn/adam.h"
#include "nn/unlabelled.h"

#include <math.h>
#include <string.h>

/* What they give: docs/cross-corpus.md. */
static const double rate = 0.1, proximity = 1e-3;
enum { N_STEPS = 100, PRIOR = 200 };

/* The head as one vector: w, then bias. */
typedef struct adaptation {
    ser_linear *l;
    size_t n, n_used, n_values;
    size_t *used;                       /* features that it reads */
    float *z;                           /* (n, n_used) */
    float *origin, *values, *gradients; /* (n_labels, n_used), then (n_labels) */
    float *scores, *dlogits;            /* (n, n_labels) */
    ser_adam adam;
} adaptation;

static ser_status start(adaptation *a, const float *const *x, ser_error *err)
{
    const ser_linear *l = a->l;
    size_t n_z;
    a->used = ser_alloc(l->n_in, sizeof *a->used);
    if (!a->used)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < l->n_in; i++)
        if (l->scale[i] != 0)
            a->used[a->n_used++] = i;
    a->n_values = l->n_labels * (a->n_used + 1);
    a->z = ser_mul_size(&n_z, a->n, a->n_used) ? ser_alloc(n_z, sizeof *a->z) : NULL;
    a->origin = ser_alloc(a->n_values, sizeof *a->origin);
    a->values = ser_alloc(a->n_values, sizeof *a->values);
    a->gradients = ser_alloc(a->n_values, sizeof *a->gradients);
    a->scores = ser_alloc(a->n * l->n_labels, sizeof *a->scores);
    a->dlogits = ser_alloc(a->n * l->n_labels, sizeof *a->dlogits);
    if (!a->z || !a->origin || !a->values || !a->gradients || !a->scores || !a->dlogits)
        return ser_fail_nomem(err);
    for (size_t r = 0; r < a->n; r++)
        for (size_t k = 0; k < a->n_used; k++) {
            size_t i = a->used[k];
            float z = a->z[r * a->n_used + k] = (x[r][i] - l->mean[i]) * l->scale[i];
            if (!isfinite(z))
                return ser_fail(err, SER_E_FORMAT, "recording %zu has a feature that is not finite", r + 1);
        }
    for (size_t label = 0; label < l->n_labels; label++) {
        for (size_t k = 0; k < a->n_used; k++)
            a->origin[label * a->n_used + k] = l->w[label * l->n_in + a->used[k]];
        a->origin[l->n_labels * a->n_used + label] = l->bias[label];
    }
    memcpy(a->values, a->origin, a->n_values * sizeof *a->values);
    return ser_adam_init(&a->adam, a->n_values, 0.9, 0.999, err);
}

static void finish(adaptation *a)
{
    ser_adam_release(&a->adam);
    ser_free(a->used);
    ser_free(a->z);
    ser_free(a->origin);
    ser_free(a->values);
    ser_free(a->gradients);
    ser_free(a->scores);
    ser_free(a->dlogits);
}

static void step(adaptation *a, double step_rate)
{
    size_t n_labels = a->l->n_labels, n_used = a->n_used;
    const float *bias = a->values + n_labels * n_used;
    float *dbias = a->gradients + n_labels * n_used;
    for (size_t r = 0; r < a->n; r++) {
        float *scores = a->scores + r * n_labels;
        for (size_t label = 0; label < n_labels; label++)
            scores[label] = bias[label] + ser_dot_f32(a->values + label * n_used, a->z + r * n_used, n_used);
        ser_softmax(scores, n_labels, 1);
    }
    memset(a->dlogits, 0, a->n * n_labels * sizeof *a->dlogits);
    ser_mean_entropy(a->dlogits, a->scores, a->n, n_labels, 1);
    ser_entropy_of_mean(a->dlogits, a->scores, a->n, n_labels, -1);
    for (size_t r = 0; r < a->n; r++)
        for (size_t label = 0; label < n_labels; label++) {
            float slope = a->dlogits[r * n_labels + label];
            ser_add_scaled(a->gradients + label * n_used, a->z + r * n_used, slope, n_used);
            dbias[label] += slope;
        }
    float pull = (float)(2 * proximity * (1 + (double)PRIOR / (double)a->n));
    for (size_t i = 0; i < n_labels * n_used; i++)
        a->gradients[i] += pull * (a->values[i] - a->origin[i]);
    ser_adam_step(&a->adam, a->values, a->gradients, step_rate);
}

ser_status ser_linear_adapt(ser_linear *l, const float *const *x, size_t n, ser_error *err)
{
    if (n < SER_ADAPT_MIN_RECORDINGS)
        return ser_fail(err, SER_E_ARG, "adapting needs at least %d recordings, and here are %zu",
                        SER_ADAPT_MIN_RECORDINGS, n);
    adaptation a = {.l = l, .n = n};
    ser_status st = start(&a, x, err);
    for (int i = 0; i < N_STEPS && st == SER_OK; i++)
        step(&a, rate * (1 - (double)i / N_STEPS));
    for (size_t label = 0; label < l->n_labels && st == SER_OK; label++) {
        for (size_t k = 0; k < a.n_used; k++)
            l->w[label * l->n_in + a.used[k]] = a.values[label * a.n_used + k];
        l->bias[label] = a.values[l->n_labels * a.n_used + label];
    }
    finish(&a);
    return st;
}

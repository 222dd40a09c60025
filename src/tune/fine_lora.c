/* LoRA (Hu et al. 2021, arXiv:2106.09685): a matrix of a layer is what it was plus alpha / rank times up
 * (n_out, rank) down (rank, n_in). Forward and backward are those of the sum, so that nothing but this file
 * knows. */
#include "base/memory.h"
#include "base/random.h"
#include "base/vector.h"
#include "tune/fine_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool adapts(const ser_tune_net *net, const ser_tune_tensor *t)
{
    return t->at >= net->n_frozen && t->depth >= 1 && t->depth <= net->shape.last && t->n_in > 1;
}

static bool is_head(const ser_tune_net *net, const ser_tune_tensor *t)
{
    return t->depth > net->shape.last;
}

/* Where they lie among what learns; the head's tensors lie behind. */
static ser_status list(tune_learned *l, const ser_tune_net *net, size_t rank, ser_error *err)
{
    l->adapted = ser_alloc(net->n_tensors, sizeof *l->adapted);
    if (!l->adapted)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < net->n_tensors; i++) {
        const ser_tune_tensor *t = &net->tensors[i];
        if (!adapts(net, t) && !is_head(net, t))
            continue;
        tune_adapted *a = &l->adapted[l->n_adapted++];
        *a = (tune_adapted){.tensor = t, .down = l->n, .rank = is_head(net, t) ? 0 : rank};
        l->n += a->rank ? a->rank * t->n_in : t->n;
        a->up = l->n;
        l->n += a->rank * t->n_out;
    }
    return SER_OK;
}

/* down as in PyTorch's linear layers, up 0: at first the sum is what it was. */
static void start(tune_learned *l, const ser_tune_net *net, uint64_t seed)
{
    for (size_t i = 0; i < l->n_adapted; i++) {
        const tune_adapted *a = &l->adapted[i];
        if (!a->rank) {
            memcpy(l->values + a->down, net->values + a->tensor->at, a->tensor->n * sizeof(float));
            continue;
        }
        char name[SER_TUNE_NAME_BYTES + 16];
        ser_random random;
        double limit = 1 / sqrt((double)a->tensor->n_in);
        snprintf(name, sizeof name, "lora of %s", a->tensor->name);
        ser_random_init(&random, ser_random_derive(seed, name));
        for (size_t k = 0; k < a->rank * a->tensor->n_in; k++)
            l->values[a->down + k] = (float)ser_random_between(&random, -limit, limit);
    }
}

ser_status ser_tune_lora_init(tune_learned *l, const ser_tune_net *net, const ser_tune_settings *s,
                              ser_error *err)
{
    size_t n_full = net->n_values - net->n_frozen;
    l->lora_scale = (float)(s->lora_alpha / (double)s->lora_rank);
    ser_status st = list(l, net, s->lora_rank, err);
    if (st != SER_OK)
        return st;
    l->own_values = l->values = ser_alloc(l->n, sizeof *l->values);
    l->full_gradients = ser_alloc(n_full, sizeof *l->full_gradients);
    l->before = ser_alloc(n_full, sizeof *l->before);
    if (!l->values || !l->full_gradients || !l->before)
        return ser_fail_nomem(err);
    memcpy(l->before, net->values + net->n_frozen, n_full * sizeof *l->before);
    start(l, net, s->seed);
    return SER_OK;
}

typedef struct lora_job {
    tune_learned *l;
    ser_tune_net *net;
    ser_tune_work *work;
} lora_job;

/* From the sum's gradient g: d up = scale g down^T, d down = scale up^T g. */
static ser_status split_gradient(void *context, size_t item, ser_nn_work *nn, ser_error *err)
{
    (void)nn;
    (void)err;
    const lora_job *j = context;
    tune_learned *l = j->l;
    const tune_adapted *a = &l->adapted[item];
    const ser_tune_tensor *t = a->tensor;
    const float *g = l->full_gradients + (t->at - j->net->n_frozen), *down = l->values + a->down;
    const float *up = l->values + a->up;
    float *ddown = l->gradients + a->down, *dup = l->gradients + a->up;
    if (!a->rank) {
        memcpy(ddown, g, t->n * sizeof *g);
        return SER_OK;
    }
    size_t width = t->n_in / t->n_panels;
    memset(ddown, 0, a->rank * t->n_in * sizeof *ddown);
    memset(dup, 0, a->rank * t->n_out * sizeof *dup);
    for (size_t p = 0; p < t->n_panels; p++)
        for (size_t o = 0; o < t->n_out; o++, g += width)
            for (size_t k = 0; k < a->rank; k++) {
                size_t at = k * t->n_in + p * width;
                dup[o * a->rank + k] += l->lora_scale * ser_dot_f32(g, down + at, width);
                ser_add_scaled(ddown + at, g, l->lora_scale * up[o * a->rank + k], width);
            }
    return SER_OK;
}

ser_status ser_tune_lora_gradients(tune_learned *l, ser_tune_net *net, ser_nn_work *nn, ser_error *err)
{
    lora_job j = {l, net, NULL};
    return ser_nn_parallel_for(nn, l->n_adapted, split_gradient, &j, err);
}

static ser_status add_up(void *context, size_t item, ser_nn_work *nn, ser_error *err)
{
    (void)nn;
    (void)err;
    const lora_job *j = context;
    const tune_learned *l = j->l;
    const tune_adapted *a = &l->adapted[item];
    const ser_tune_tensor *t = a->tensor;
    float *sum = j->net->values + t->at;
    if (!a->rank) {
        memcpy(sum, l->values + a->down, t->n * sizeof *sum);
    } else {
        size_t width = t->n_in / t->n_panels;
        memcpy(sum, l->before + (t->at - j->net->n_frozen), t->n * sizeof *sum);
        for (size_t p = 0; p < t->n_panels; p++)
            for (size_t o = 0; o < t->n_out; o++)
                for (size_t k = 0; k < a->rank; k++)
                    ser_add_scaled(sum + (p * t->n_out + o) * width,
                                   l->values + a->down + k * t->n_in + p * width,
                                   l->lora_scale * l->values[a->up + o * a->rank + k], width);
    }
    if (j->work)
        ser_tune_refresh_part(j->work, t->at, t->n);
    return SER_OK;
}

ser_status ser_tune_lora_apply(tune_learned *l, ser_tune_net *net, ser_tune_work *work, ser_nn_work *nn,
                               ser_error *err)
{
    lora_job j = {l, net, work};
    return ser_nn_parallel_for(nn, l->n_adapted, add_up, &j, err);
}

#include "base/memory.h"
#include "tune/fine_parts.h"

#include <math.h>
#include <string.h>

enum { ITEM = 1 << 16 }; /* numbers that one thread moves at a time */

static ser_status add_items(tune_learned *l, size_t *capacity, size_t at, size_t n, int depth, bool is_matrix,
                            ser_error *err)
{
    for (size_t first = 0; first < n; first += ITEM) {
        if (!ser_grow(&l->items, capacity, l->n_items + 1, sizeof *l->items))
            return ser_fail_nomem(err);
        l->items[l->n_items++] =
            (tune_item){at + first, n - first < ITEM ? n - first : ITEM, depth, is_matrix};
    }
    return SER_OK;
}

static ser_status list_items(tune_learned *l, const ser_tune_net *net, ser_error *err)
{
    size_t capacity = 0;
    ser_status st = SER_OK;
    for (size_t i = 0; i < net->n_tensors && !l->n_adapted && st == SER_OK; i++) {
        const ser_tune_tensor *t = &net->tensors[i];
        if (t->at >= net->n_frozen)
            st = add_items(l, &capacity, t->at - net->n_frozen, t->n, t->depth, t->n_in > 1, err);
    }
    for (size_t i = 0; i < l->n_adapted && st == SER_OK; i++) {
        const tune_adapted *a = &l->adapted[i];
        const ser_tune_tensor *t = a->tensor;
        size_t n = a->rank ? a->rank * (t->n_in + t->n_out) : t->n;
        st = add_items(l, &capacity, a->down, n, t->depth, t->n_in > 1, err);
    }
    return st;
}

static ser_status copy_of(float **out, const float *values, size_t n, ser_error *err)
{
    *out = ser_alloc(n, sizeof **out);
    if (!*out)
        return ser_fail_nomem(err);
    memcpy(*out, values, n * sizeof **out);
    return SER_OK;
}

ser_status ser_tune_learned_init(tune_learned *l, ser_tune_net *net, const ser_tune_settings *s,
                                 ser_error *err)
{
    *l = (tune_learned){.n = net->n_values - net->n_frozen, .values = net->values + net->n_frozen};
    ser_status st = SER_OK;
    if (s->lora_rank) {
        *l = (tune_learned){0};
        st = ser_tune_lora_init(l, net, s, err);
    }
    if (st == SER_OK)
        st = list_items(l, net, err);
    l->gradients = ser_alloc(l->n, sizeof *l->gradients);
    l->mean = ser_alloc(l->n, sizeof *l->mean);
    l->square = ser_alloc(l->n, sizeof *l->square);
    l->squares = ser_alloc(l->n_items, sizeof *l->squares);
    if (st == SER_OK && (!l->gradients || !l->mean || !l->square || !l->squares))
        st = ser_fail_nomem(err);
    if (st == SER_OK && s->average > 0)
        st = copy_of(&l->average, l->values, l->n, err);
    if (st == SER_OK && s->pull > 0)
        st = copy_of(&l->origin, l->values, l->n, err);
    return st;
}

void ser_tune_learned_release(tune_learned *l)
{
    ser_free(l->items);
    ser_free(l->gradients);
    ser_free(l->mean);
    ser_free(l->square);
    ser_free(l->squares);
    ser_free(l->average);
    ser_free(l->origin);
    ser_free(l->adapted);
    ser_free(l->own_values);
    ser_free(l->full_gradients);
    ser_free(l->before);
    *l = (tune_learned){0};
}

float *ser_tune_learned_gradients(const tune_learned *l)
{
    return l->n_adapted ? l->full_gradients : l->gradients;
}

ser_status ser_tune_learned_apply(tune_learned *l, ser_tune_net *net, ser_tune_work *work, ser_nn_work *nn,
                                  ser_error *err)
{
    if (l->n_adapted)
        return ser_tune_lora_apply(l, net, work, nn, err);
    return work ? ser_tune_refresh(work, err) : SER_OK;
}

double ser_tune_rate_at(const ser_tune_settings *s, uint64_t step, uint64_t n_steps)
{
    ser_schedule schedule = {.rate = 1, .decay = 1 - s->floor, .n_steps = n_steps};
    schedule.n_warmup = (uint64_t)(s->warmup * (double)n_steps);
    return ser_schedule_rate(&schedule, step);
}

typedef struct update {
    tune_learned *l;
    ser_tune_net *net;
    ser_tune_work *work;
    const ser_tune_settings *s;
    double at, gradient_scale; /* of the schedule; of clipping */
} update;

static ser_status add_squares(void *context, size_t item, ser_nn_work *nn, ser_error *err)
{
    (void)nn;
    (void)err;
    const update *u = context;
    const tune_item *i = &u->l->items[item];
    u->l->squares[item] = ser_sum_of_squares(u->l->gradients + i->at, i->n);
    return SER_OK;
}

static ser_status move(void *context, size_t item, ser_nn_work *nn, ser_error *err)
{
    (void)nn;
    (void)err;
    const update *u = context;
    const ser_tune_settings *s = u->s;
    const tune_item *i = &u->l->items[item];
    int last = u->net->shape.last;
    bool head = i->depth > last;
    double rate = head ? s->head_rate : s->rate * pow(s->layer_decay, last - i->depth);
    double done = (double)u->l->step, average = fmin(s->average, (1 + done) / (10 + done));
    ser_adamw adam = {.rate = rate * u->at,
                      .beta1 = s->beta1,
                      .beta2 = s->beta2,
                      .epsilon = s->epsilon,
                      .decay = i->is_matrix ? s->decay : 0,
                      .pull = head ? 0 : s->pull,
                      .gradient_scale = u->gradient_scale,
                      .average_share = 1 - average,
                      .step = u->l->step + 1};
    tune_learned *l = u->l;
    ser_adamw_arrays arrays = {.values = l->values + i->at,
                               .mean = l->mean + i->at,
                               .square = l->square + i->at,
                               .average = l->average ? l->average + i->at : NULL,
                               .gradients = l->gradients + i->at,
                               .origin = l->origin ? l->origin + i->at : NULL,
                               .n = i->n};
    ser_adamw_step(&adam, &arrays);
    if (!l->n_adapted)
        ser_tune_refresh_part(u->work, u->net->n_frozen + i->at, i->n);
    return SER_OK;
}

ser_status ser_tune_update(tune_learned *l, ser_tune_net *net, ser_tune_work *work, ser_nn_work *nn,
                           const ser_tune_settings *s, uint64_t n_steps, double *norm, ser_error *err)
{
    update u = {l, net, work, s, ser_tune_rate_at(s, l->step, n_steps), 1};
    double sum = 0;
    ser_status st = l->n_adapted ? ser_tune_lora_gradients(l, net, nn, err) : SER_OK;
    if (st == SER_OK)
        st = ser_nn_parallel_for(nn, l->n_items, add_squares, &u, err);
    for (size_t i = 0; i < l->n_items; i++)
        sum += l->squares[i];
    *norm = sqrt(sum);
    if (st != SER_OK || !isfinite(*norm))
        return st;
    if (s->clip > 0)
        u.gradient_scale = fmin(1, s->clip / (*norm + 1e-6)); /* as PyTorch */
    st = ser_nn_parallel_for(nn, l->n_items, move, &u, err);
    if (st == SER_OK && l->n_adapted)
        st = ser_tune_lora_apply(l, net, work, nn, err);
    l->step++;
    return st;
}

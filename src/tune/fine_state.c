#include "base/memory.h"
#include "tune/fine_parts.h"

#include <string.h>

enum { PER_EPOCH = 6, N_SUMS = sizeof(tune_sums) / sizeof(double), MAX_TENSORS = 6 };

static const ser_state_kind kind = {.what = "fine-tuning",
                                    .version_key = "ser.tune_state_version",
                                    .version = 1,
                                    .other_data = "on other recordings or labels, or from another encoder"};

/* ---- which training it is ---- */

static void describe(ser_text *t, const ser_tune_net *net, const ser_tune_rows *rows,
                     const ser_tune_settings *s)
{
    const ser_tune_shape *n = &net->shape;
    ser_text_appendf(t, "version=%s;rows=%zu;labels=%zu;from=%d;pooled=", SER_VERSION, rows->n,
                     rows->n_labels, n->from);
    for (size_t i = 0; i < n->n_pooled; i++)
        ser_text_appendf(t, "%s%d", i ? "," : "", n->pooled[i]);
    ser_text_appendf(t, ";epochs=%zu;batch=%zu;per_epoch=%zu;max_samples=%zu;", s->n_epochs, s->batch_size,
                     s->n_per_epoch, s->max_samples);
    ser_text_appendf(t, "rate=%.17g;layer_decay=%.17g;head_rate=%.17g;warmup=%.17g;floor=%.17g;", s->rate,
                     s->layer_decay, s->head_rate, s->warmup, s->floor);
    ser_text_appendf(t, "beta1=%.17g;beta2=%.17g;epsilon=%.17g;decay=%.17g;pull=%.17g;clip=%.17g;", s->beta1,
                     s->beta2, s->epsilon, s->decay, s->pull, s->clip);
    ser_text_appendf(t, "average=%.17g;label_smoothing=%.17g;dropout=%.17g;lora_rank=%zu;lora_alpha=%.17g;",
                     s->average, s->label_smoothing, s->dropout, s->lora_rank, s->lora_alpha);
    ser_text_appendf(t, "open_share=%.17g;stripes=%.17g,%zu,%zu,%.17g,%.17g,%.17g;", s->open_share,
                     s->stripe_probability, s->n_band_stripes, s->n_time_stripes, s->band_stripe_share,
                     s->time_stripe_share, s->stripe_s);
    if (s->micro_batch) /* states without have no word of it */
        ser_text_appendf(t, "micro_batch=%zu;", s->micro_batch);
    ser_text_appendf(t, "seed=%llu;precision=%d;%s", (unsigned long long)s->seed,
                     (int)ser_nn_ops_precision(s->ops), s->identity ? s->identity : "");
}

/* The rows, and what the training starts from. */
static uint64_t checksum_start(const ser_tune_net *net, const ser_tune_rows *rows)
{
    size_t n = rows->n * rows->n_labels;
    uint64_t h = ser_state_checksum(0, rows->target, n * sizeof *rows->target);
    if (rows->n_samples)
        h = ser_state_checksum(h, rows->n_samples, rows->n * sizeof *rows->n_samples);
    if (rows->mask)
        h = ser_state_checksum(h, rows->mask, n * sizeof *rows->mask);
    if (rows->weight)
        h = ser_state_checksum(h, rows->weight, rows->n * sizeof *rows->weight);
    if (rows->loss_weight)
        h = ser_state_checksum(h, rows->loss_weight, rows->n * sizeof *rows->loss_weight);
    h = ser_state_checksum(h, net->values, net->n_values * sizeof *net->values);
    h = ser_state_checksum(h, net->centre, net->n_in * sizeof *net->centre);
    return ser_state_checksum(h, net->factor, net->n_in * sizeof *net->factor);
}

ser_status ser_tune_identity_init(ser_state_identity *out, const ser_tune_net *net, const ser_tune_rows *rows,
                                  const ser_tune_settings *s, ser_error *err)
{
    ser_text t = {0};
    describe(&t, net, rows, s);
    return ser_state_identity_init(out, &t, checksum_start(net, rows), err);
}

/* ---- tensors ---- */

/* The one list of what a state holds, for writing, reading and the checksum. */
static size_t list_tensors(ser_tensor *tensors, const tune_progress *p, double *history, size_t n_done)
{
    const tune_learned *l = p->learned;
    size_t n = 0;
    tensors[n++] = ser_state_tensor("values", SER_F32, l->values, l->n);
    tensors[n++] = ser_state_tensor("adam.mean", SER_F32, l->mean, l->n);
    tensors[n++] = ser_state_tensor("adam.square", SER_F32, l->square, l->n);
    if (l->average)
        tensors[n++] = ser_state_tensor("average", SER_F32, l->average, l->n);
    tensors[n++] = ser_state_tensor("history", SER_F64, history, n_done * PER_EPOCH + 1);
    tensors[n++] = ser_state_tensor("sums", SER_F64, &p->sums, N_SUMS);
    return n;
}

/* The steps, then an epoch after the other. */
static double *value_of(const tune_progress *p, size_t i)
{
    ser_tune_epoch *e = &p->history[i / PER_EPOCH];
    double *const values[PER_EPOCH] = {&e->loss, &e->accuracy, &e->gradient_norm,
                                       &e->rate, &e->seconds,  &e->seconds_of_sound};
    return values[i % PER_EPOCH];
}

ser_status ser_tune_state_write(const char *path, const tune_progress *p, const ser_state_identity *identity,
                                ser_error *err)
{
    ser_tensor tensors[MAX_TENSORS];
    double *history = ser_alloc(p->n_done * PER_EPOCH + 1, sizeof *history);
    if (!history)
        return ser_fail_nomem(err);
    history[0] = (double)p->learned->step;
    for (size_t i = 0; i < p->n_done * PER_EPOCH; i++)
        history[1 + i] = *value_of(p, i);
    ser_status st =
        ser_state_write(path, &kind, identity, tensors, list_tensors(tensors, p, history, p->n_done), err);
    ser_free(history);
    return st;
}

static ser_status read_tensors(tune_progress *p, size_t n_epochs, const ser_safetensors *file, ser_error *err)
{
    ser_tensor tensors[MAX_TENSORS];
    const ser_tensor *h = ser_safetensors_find(file, "history");
    double step = -1;
    if (h && h->dtype == SER_F64 && h->n_elements)
        memcpy(&step, h->data, sizeof step);
    if (!(step >= 0 && step <= 0x1p53) || (h->n_elements - 1) % PER_EPOCH ||
        (h->n_elements - 1) / PER_EPOCH > n_epochs)
        return ser_state_damaged(err);
    size_t n_done = (h->n_elements - 1) / PER_EPOCH;
    double *history = ser_alloc(h->n_elements, sizeof *history);
    if (!history)
        return ser_fail_nomem(err);
    ser_status st = ser_state_read(file, tensors, list_tensors(tensors, p, history, n_done), err);
    if (st == SER_OK) {
        p->n_done = n_done;
        p->learned->step = (uint64_t)history[0];
        for (size_t i = 0; i < n_done * PER_EPOCH; i++)
            *value_of(p, i) = history[1 + i];
    }
    ser_free(history);
    return st;
}

ser_status ser_tune_state_read(tune_progress *p, const char *path, const ser_state_identity *identity,
                               size_t n_epochs, ser_error *err)
{
    ser_safetensors *file;
    ser_status st = ser_state_open(&file, path, &kind, identity, err);
    if (st == SER_OK && file)
        st = read_tensors(p, n_epochs, file, err);
    ser_safetensors_close(&file);
    return st == SER_OK ? st : ser_fail_within(err, st, "%s: ", path);
}

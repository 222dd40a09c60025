#include "base/memory.h"
#include "base/text.h"
#include "train/timnet_parts.h"

#include <string.h>

enum { PER_EPOCH = 9, MAX_TENSORS = 6 };

static const ser_state_kind kind = {.what = "training",
                                    .version_key = "ser.state_version",
                                    .version = 2,
                                    .other_data = "on other features, labels or speakers"};

/* ---- which training it is ---- */

static void describe_settings(ser_text *t, const ser_timnet_rows *rows, const ser_timnet_settings *s)
{
    const ser_timnet_shape *n = &s->shape;
    ser_text_appendf(t, "version=%s;n_in=%zu;n_labels=%zu;", SER_VERSION, rows->n_in, rows->n_labels);
    ser_text_appendf(
        t, "n_filters=%zu;kernel_size=%zu;n_dilations=%zu;n_stacks=%zu;activation=%s;dropout=%.17g;",
        n->n_filters, n->kernel_size, n->n_dilations, n->n_stacks, ser_nonlinearity_name(n->activation),
        n->dropout);
    ser_text_appendf(t, "epochs=%zu;batch_size=%zu;rate=%.17g;beta1=%.17g;beta2=%.17g;", s->n_epochs,
                     s->batch_size, s->rate, s->beta1, s->beta2);
    ser_text_appendf(t, "warmup_epochs=%zu;decay=%.17g;label_smoothing=%.17g;class_weights=%d;",
                     s->n_warmup_epochs, s->decay, s->label_smoothing, s->class_weights);
    ser_text_appendf(t, "validation_share=%.17g;speaker_disjoint=%d;patience=%zu;average=%zu;",
                     s->validation_share, s->speaker_disjoint, s->patience, s->n_average);
    ser_text_appendf(t, "time_masks=%zu;time_mask_share=%.17g;feature_masks=%zu;feature_mask_share=%.17g;",
                     s->n_time_masks, s->time_mask_share, s->n_feature_masks, s->feature_mask_share);
    /* adapt_norms: a way of adapting that 0.1.0 had, in whose states the word stands. */
    ser_text_appendf(t, "lmmd=%.17g;entropy=%.17g;balance=%.17g;adapt_norms=0;", s->weights.lmmd,
                     s->weights.entropy, s->weights.balance);
    if (s->micro_batch) /* states without have no word of it */
        ser_text_appendf(t, "micro_batch=%zu;", s->micro_batch);
    ser_text_appendf(t, "mixup=%.17g;max_frames=%zu;seed=%llu;precision=%d;%s", s->mixup, s->max_frames,
                     (unsigned long long)s->seed, (int)ser_nn_ops_precision(s->ops),
                     s->identity ? s->identity : "");
}

static uint64_t checksum_rows(const ser_timnet_rows *rows)
{
    uint64_t h = 0;
    for (size_t r = 0; r < rows->n + rows->n_unlabelled; r++) {
        bool labelled = r < rows->n;
        const uint64_t numbers[] = {rows->n_frames[r], labelled ? (uint64_t)rows->label[r] : UINT64_MAX,
                                    labelled && rows->group ? (uint64_t)rows->group[r] : 0,
                                    labelled && rows->copy_of ? rows->copy_of[r] : r};
        h = ser_state_checksum(h, numbers, sizeof numbers);
        h = ser_state_checksum(h, rows->frames[r], rows->n_frames[r] * rows->n_in * sizeof **rows->frames);
    }
    return h;
}

ser_status timnet_identity_init(ser_state_identity *out, const ser_timnet_rows *rows,
                                const ser_timnet_settings *settings, ser_error *err)
{
    ser_text t = {0};
    describe_settings(&t, rows, settings);
    return ser_state_identity_init(out, &t, checksum_rows(rows), err);
}

/* ---- tensors ---- */

/* The one list of what a state holds, for writing, reading and the checksum. history: (n_done, PER_EPOCH). */
static size_t list_tensors(ser_tensor *tensors, const timnet_progress *p, double *history)
{
    const struct {
        const char *name;
        void *data;
        size_t n;
    } all[] = {
        {"values", p->net->values, p->net->n_values}, {"adam.mean", p->adam.mean, p->adam.n},
        {"adam.square", p->adam.square, p->adam.n},   {"best", p->best, p->net->n_values},
        {"average", p->average, p->net->n_trained},
    };
    size_t n = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].data)
            tensors[n++] = ser_state_tensor(all[i].name, SER_F32, all[i].data, all[i].n);
    tensors[n] = ser_state_tensor("history", SER_F64, history, p->n_done * PER_EPOCH);
    tensors[n].n_dims = 2;
    tensors[n].dims[0] = p->n_done;
    tensors[n++].dims[1] = PER_EPOCH;
    return n;
}

/* An epoch after the other, each value where the files of all versions have it. */
static double *value_of(const timnet_progress *p, size_t i)
{
    ser_timnet_epoch *e = &p->history[i / PER_EPOCH];
    double *const values[PER_EPOCH] = {&e->train_loss,
                                       &e->train_accuracy,
                                       &e->validation_loss,
                                       &e->validation_accuracy,
                                       &e->rate,
                                       &e->seconds,
                                       &e->lmmd,
                                       &e->entropy,
                                       &e->balance};
    return values[i % PER_EPOCH];
}

ser_status timnet_state_write(const char *path, const timnet_progress *p, const ser_state_identity *identity,
                              ser_error *err)
{
    ser_tensor tensors[MAX_TENSORS];
    double *history = ser_alloc(p->n_done * PER_EPOCH, sizeof *history);
    if (!history)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < p->n_done * PER_EPOCH; i++)
        history[i] = *value_of(p, i);
    ser_status st = ser_state_write(path, &kind, identity, tensors, list_tensors(tensors, p, history), err);
    ser_free(history);
    return st;
}

/* ---- reading ---- */

static ser_status read_tensors(timnet_progress *p, size_t n_epochs, const ser_safetensors *file,
                               ser_error *err)
{
    ser_tensor tensors[MAX_TENSORS];
    const ser_tensor *h = ser_safetensors_find(file, "history");
    if (!h || h->dims[0] < 1 || h->dims[0] > n_epochs)
        return ser_state_damaged(err);
    double *history = ser_alloc(h->dims[0] * PER_EPOCH, sizeof *history);
    if (!history)
        return ser_fail_nomem(err);
    p->n_done = h->dims[0];
    ser_status st = ser_state_read(file, tensors, list_tensors(tensors, p, history), err);
    for (size_t i = 0; i < p->n_done * PER_EPOCH && st == SER_OK; i++)
        *value_of(p, i) = history[i];
    ser_free(history);
    return st;
}

ser_status timnet_state_read(timnet_progress *p, const char *path, const ser_state_identity *identity,
                             size_t n_epochs, ser_error *err)
{
    ser_safetensors *file;
    ser_status st = ser_state_open(&file, path, &kind, identity, err);
    if (st == SER_OK && file)
        st = read_tensors(p, n_epochs, file, err);
    ser_safetensors_close(&file);
    if (st != SER_OK)
        p->n_done = 0;
    return st == SER_OK ? st : ser_fail_within(err, st, "%s: ", path);
}

ser_status timnet_progress_share(timnet_progress *p, const ser_team *team, size_t n_epochs, ser_error *err)
{
    const ser_team_part all[] = {{&p->n_done, sizeof p->n_done},
                                 {p->history, n_epochs * sizeof *p->history},
                                 {p->net->values, p->net->n_values * sizeof(float)},
                                 {p->adam.mean, p->adam.n * sizeof(float)},
                                 {p->adam.square, p->adam.n * sizeof(float)},
                                 {p->best, p->best ? p->net->n_values * sizeof(float) : 0},
                                 {p->average, p->average ? p->net->n_trained * sizeof(float) : 0}};
    return ser_team_share_parts(team, all, sizeof all / sizeof *all, err);
}

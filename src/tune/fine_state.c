#include "base/memory.h"
#include "base/text.h"
#include "io/safetensors.h"
#include "tune/fine_parts.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PER_EPOCH = 6, N_SUMS = sizeof(tune_sums) / sizeof(double), MAX_TENSORS = 6 };
static const char state_version[] = "1";

/* ---- fingerprints ---- */

/* Against accidents, not against attacks; mixed as in splitmix64. */
static uint64_t checksum(uint64_t h, const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    for (uint64_t word = 0; n > 0; word = 0) {
        size_t n_word = n < sizeof word ? n : sizeof word;
        memcpy(&word, b, n_word);
        h = (h ^ word) * 0xbf58476d1ce4e5b9u;
        h ^= h >> 31;
        b += n_word;
        n -= n_word;
    }
    return h;
}

static void describe(ser_text *t, const ser_tune_net *net, const ser_tune_rows *rows,
                     const ser_tune_settings *s)
{
    const ser_tune_shape *n = &net->shape;
    ser_text_appendf(t, "state=%s;rows=%zu;labels=%zu;from=%d;pooled=", state_version, rows->n,
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
    ser_text_appendf(t, "open_share=%.17g;per_state=%d;stripes=%.17g,%zu,%zu,%.17g,%.17g,%.17g;",
                     s->open_share, s->per_state, s->stripe_probability, s->n_band_stripes, s->n_time_stripes,
                     s->band_stripe_share, s->time_stripe_share, s->stripe_s);
    ser_text_appendf(t, "seed=%llu;precision=%d;%s", (unsigned long long)s->seed,
                     (int)ser_nn_ops_precision(s->ops), s->identity ? s->identity : "");
}

/* The rows, and what the training starts from. */
static uint64_t checksum_start(const ser_tune_net *net, const ser_tune_rows *rows)
{
    size_t n = rows->n * rows->n_labels;
    uint64_t h = checksum(0, rows->target, n * sizeof *rows->target);
    if (rows->n_samples)
        h = checksum(h, rows->n_samples, rows->n * sizeof *rows->n_samples);
    if (rows->mask)
        h = checksum(h, rows->mask, n * sizeof *rows->mask);
    if (rows->weight)
        h = checksum(h, rows->weight, rows->n * sizeof *rows->weight);
    if (rows->loss_weight)
        h = checksum(h, rows->loss_weight, rows->n * sizeof *rows->loss_weight);
    h = checksum(h, net->values, net->n_values * sizeof *net->values);
    h = checksum(h, net->centre, net->n_in * sizeof *net->centre);
    return checksum(h, net->factor, net->n_in * sizeof *net->factor);
}

ser_status ser_tune_fingerprint_init(tune_fingerprint *f, const ser_tune_net *net, const ser_tune_rows *rows,
                                     const ser_tune_settings *s, ser_error *err)
{
    ser_text t = {0};
    describe(&t, net, rows, s);
    *f = (tune_fingerprint){.configuration = t.s};
    snprintf(f->data, sizeof f->data, "%016llx", (unsigned long long)checksum_start(net, rows));
    if (!t.failed)
        return SER_OK;
    ser_tune_fingerprint_release(f);
    return ser_fail_nomem(err);
}

void ser_tune_fingerprint_release(tune_fingerprint *f)
{
    ser_free(f->configuration);
    f->configuration = NULL;
}

/* The first of the parts between semicolons in which a and b differ. */
static void find_difference(const char **a, int *n_a, const char **b, int *n_b)
{
    for (;; *a += *n_a + 1, *b += *n_b + 1) {
        *n_a = (int)strcspn(*a, ";");
        *n_b = (int)strcspn(*b, ";");
        if (*n_a != *n_b || memcmp(*a, *b, (size_t)*n_a) != 0 || !(*a)[*n_a] || !(*b)[*n_b])
            return;
    }
}

/* ---- tensors ---- */

static ser_tensor numbers(const char *name, ser_dtype type, const void *data, size_t n)
{
    return (ser_tensor){.name = name,
                        .dtype = type,
                        .n_dims = 1,
                        .dims = {n},
                        .n_elements = n,
                        .data = data,
                        .n_bytes = n * ser_dtype_size(type)};
}

/* The one list of what a state holds, for writing, reading and the checksum. */
static size_t list_tensors(ser_tensor *tensors, const tune_progress *p, double *history, size_t n_done)
{
    const tune_learned *l = p->learned;
    size_t n = 0;
    tensors[n++] = numbers("values", SER_F32, l->values, l->n);
    tensors[n++] = numbers("adam.mean", SER_F32, l->mean, l->n);
    tensors[n++] = numbers("adam.square", SER_F32, l->square, l->n);
    if (l->average)
        tensors[n++] = numbers("average", SER_F32, l->average, l->n);
    tensors[n++] = numbers("history", SER_F64, history, n_done * PER_EPOCH + 1);
    tensors[n++] = numbers("sums", SER_F64, &p->sums, N_SUMS);
    return n;
}

static void checksum_tensors(char text[17], const ser_tensor *tensors, size_t n)
{
    uint64_t h = 0;
    for (size_t i = 0; i < n; i++)
        h = checksum(h, tensors[i].data, tensors[i].n_bytes);
    snprintf(text, 17, "%016llx", (unsigned long long)h);
}

/* The number of steps, then the epochs. */
static void put_history(double *history, const tune_progress *p)
{
    history[0] = (double)p->learned->step;
    for (size_t i = 0; i < p->n_done; i++) {
        const ser_tune_epoch *e = &p->history[i];
        double *v = history + 1 + i * PER_EPOCH;
        v[0] = e->loss, v[1] = e->accuracy, v[2] = e->gradient_norm;
        v[3] = e->rate, v[4] = e->seconds, v[5] = e->seconds_of_sound;
    }
}

ser_status ser_tune_state_write(const char *path, const tune_progress *p, const tune_fingerprint *f,
                                ser_error *err)
{
    ser_tensor tensors[MAX_TENSORS];
    char sum[17];
    double *history = ser_alloc(p->n_done * PER_EPOCH + 1, sizeof *history);
    if (!history)
        return ser_fail_nomem(err);
    put_history(history, p);
    size_t n = list_tensors(tensors, p, history, p->n_done);
    checksum_tensors(sum, tensors, n);
    const char *const metadata[][2] = {{"ser.tune_state_version", state_version},
                                       {"ser.configuration", f->configuration},
                                       {"ser.data", f->data},
                                       {"ser.checksum", sum}};
    ser_status st =
        ser_safetensors_write(path, tensors, n, metadata, sizeof metadata / sizeof *metadata, err);
    ser_free(history);
    return st;
}

static ser_status damaged(ser_error *err)
{
    return ser_fail(err, SER_E_FORMAT, "is damaged: remove it, and training begins anew");
}

static ser_status check_metadata(const ser_safetensors *file, const tune_fingerprint *f, ser_error *err)
{
    const char *version = ser_safetensors_metadata(file, "ser.tune_state_version");
    const char *there = ser_safetensors_metadata(file, "ser.configuration"), *here = f->configuration;
    const char *data = ser_safetensors_metadata(file, "ser.data");
    if (!version || !there || !data)
        return ser_fail(err, SER_E_FORMAT, "is no state of fine-tuning: remove it, and training begins anew");
    if (strcmp(version, state_version) != 0)
        return ser_fail(
            err, SER_E_UNSUPPORTED,
            "is a state of fine-tuning of format version %.20s, and this is ser %s: go on with the "
            "ser that wrote it",
            version, SER_VERSION);
    if (strcmp(there, here) != 0) {
        int n_there, n_here;
        find_difference(&there, &n_there, &here, &n_here);
        return ser_fail(err, SER_E_FORMAT,
                        "is the state of another training (it has %.*s, now it is %.*s): give the same "
                        "options, or another run folder",
                        n_there > 80 ? 80 : n_there, there, n_here > 80 ? 80 : n_here, here);
    }
    if (strcmp(data, f->data) != 0)
        return ser_fail(
            err, SER_E_FORMAT,
            "is the state of a training on other recordings or labels, or from another encoder: give "
            "the same data, or another run folder");
    return SER_OK;
}

static void take_history(tune_progress *p, const double *history)
{
    p->learned->step = (uint64_t)history[0];
    for (size_t i = 0; i < p->n_done; i++) {
        const double *v = history + 1 + i * PER_EPOCH;
        ser_tune_epoch *e = &p->history[i];
        e->loss = v[0], e->accuracy = v[1], e->gradient_norm = v[2];
        e->rate = v[3], e->seconds = v[4], e->seconds_of_sound = v[5];
    }
}

static ser_status read_tensors(tune_progress *p, size_t n_epochs, const ser_safetensors *file, ser_error *err)
{
    ser_tensor tensors[MAX_TENSORS];
    char sum[17];
    const char *expected = ser_safetensors_metadata(file, "ser.checksum");
    const ser_tensor *h = ser_safetensors_find(file, "history");
    if (!expected || !h || h->n_elements < 1 || (h->n_elements - 1) % PER_EPOCH ||
        (h->n_elements - 1) / PER_EPOCH > n_epochs)
        return damaged(err);
    size_t n_done = (h->n_elements - 1) / PER_EPOCH;
    double *history = ser_alloc(h->n_elements, sizeof *history);
    if (!history)
        return ser_fail_nomem(err);
    size_t n = list_tensors(tensors, p, history, n_done);
    ser_status st = ser_safetensors_n(file) == n ? SER_OK : damaged(err);
    for (size_t i = 0; i < n && st == SER_OK; i++) {
        const ser_tensor *t = ser_safetensors_find(file, tensors[i].name);
        if (!t || t->dtype != tensors[i].dtype || t->n_bytes != tensors[i].n_bytes)
            st = damaged(err);
    }
    /* The checksum first, so that a damaged state leaves everything as it was. */
    uint64_t sum_there = 0;
    for (size_t i = 0; i < n && st == SER_OK; i++)
        sum_there =
            checksum(sum_there, ser_safetensors_find(file, tensors[i].name)->data, tensors[i].n_bytes);
    double step = -1;
    if (st == SER_OK)
        memcpy(&step, h->data, sizeof step);
    if (st == SER_OK && !(step >= 0 && step <= 0x1p53))
        st = damaged(err);
    snprintf(sum, sizeof sum, "%016llx", (unsigned long long)sum_there);
    if (st == SER_OK && strcmp(sum, expected) != 0)
        st = damaged(err);
    for (size_t i = 0; i < n && st == SER_OK; i++)
        memcpy((void *)tensors[i].data, ser_safetensors_find(file, tensors[i].name)->data,
               tensors[i].n_bytes);
    if (st == SER_OK) {
        p->n_done = n_done;
        take_history(p, history);
    }
    ser_free(history);
    return st;
}

ser_status ser_tune_state_read(tune_progress *p, const char *path, const tune_fingerprint *f, size_t n_epochs,
                               ser_error *err)
{
    ser_safetensors *file = NULL;
    if (access(path, F_OK) != 0)
        return SER_OK;
    ser_status st = ser_safetensors_open(&file, path, err);
    if (st == SER_OK)
        st = check_metadata(file, f, err);
    if (st == SER_OK)
        st = read_tensors(p, n_epochs, file, err);
    ser_safetensors_close(&file);
    return st == SER_OK ? st : ser_fail_within(err, st, "%s: ", path);
}

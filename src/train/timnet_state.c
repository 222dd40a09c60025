#include "base/memory.h"
#include "base/text.h"
#include "io/safetensors.h"
#include "train/timnet_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STATE_VERSION = 2, PER_EPOCH = 9, MAX_TENSORS = 6 };

/* ---- fingerprints ---- */

/* Against accidents, not against attacks: four bytes a cycle, where SHA-256 would take a third of the time
 * that a small network learns for. The bits are mixed as in splitmix64. */
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
        h = checksum(h, numbers, sizeof numbers);
        h = checksum(h, rows->frames[r], rows->n_frames[r] * rows->n_in * sizeof **rows->frames);
    }
    return h;
}

ser_status timnet_fingerprint_init(timnet_fingerprint *f, const ser_timnet_rows *rows,
                                   const ser_timnet_settings *settings, ser_error *err)
{
    ser_text t = {0};
    describe_settings(&t, rows, settings);
    *f = (timnet_fingerprint){.configuration = t.s};
    snprintf(f->data, sizeof f->data, "%016llx", (unsigned long long)checksum_rows(rows));
    if (!t.failed)
        return SER_OK;
    timnet_fingerprint_release(f);
    return ser_fail_nomem(err);
}

void timnet_fingerprint_release(timnet_fingerprint *f)
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
            tensors[n++] = (ser_tensor){.name = all[i].name,
                                        .dtype = SER_F32,
                                        .n_dims = 1,
                                        .dims = {all[i].n},
                                        .n_elements = all[i].n,
                                        .data = all[i].data,
                                        .n_bytes = all[i].n * sizeof(float)};
    size_t n_history = p->n_done * PER_EPOCH;
    tensors[n++] = (ser_tensor){.name = "history",
                                .dtype = SER_F64,
                                .n_dims = 2,
                                .dims = {p->n_done, PER_EPOCH},
                                .n_elements = n_history,
                                .data = history,
                                .n_bytes = n_history * sizeof *history};
    return n;
}

static void checksum_tensors(char text[17], const ser_tensor *tensors, size_t n)
{
    uint64_t h = 0;
    for (size_t i = 0; i < n; i++)
        h = checksum(h, tensors[i].data, tensors[i].n_bytes);
    snprintf(text, 17, "%016llx", (unsigned long long)h);
}

ser_status timnet_state_write(const char *path, const timnet_progress *p, const timnet_fingerprint *f,
                              ser_error *err)
{
    ser_tensor tensors[MAX_TENSORS];
    char sum[17], version[16];
    double *history = ser_alloc(p->n_done * PER_EPOCH, sizeof *history);
    if (!history)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < p->n_done; i++) {
        const ser_timnet_epoch *e = &p->history[i];
        const double values[PER_EPOCH] = {
            e->train_loss, e->train_accuracy, e->validation_loss, e->validation_accuracy, e->rate, e->seconds,
            e->lmmd,       e->entropy,        e->balance};
        memcpy(history + i * PER_EPOCH, values, sizeof values);
    }
    size_t n = list_tensors(tensors, p, history);
    checksum_tensors(sum, tensors, n);
    snprintf(version, sizeof version, "%d", STATE_VERSION);
    const char *metadata[][2] = {{"ser.state_version", version},
                                 {"ser.configuration", f->configuration},
                                 {"ser.data", f->data},
                                 {"ser.checksum", sum}};
    ser_status st = ser_safetensors_write(path, tensors, n, (const char *const(*)[2])metadata, 4, err);
    ser_free(history);
    return st == SER_OK ? st : ser_fail_within(err, st, "%s: ", path);
}

/* ---- reading ---- */

static ser_status damaged(ser_error *err)
{
    return ser_fail(err, SER_E_FORMAT, "is a damaged state of training: remove it, and training begins anew");
}

/* What follows the program's version, which is told for the curious: a state is gone on with by any program
 * of its format. */
static const char *settings_of(const char *configuration)
{
    const char *end = strncmp(configuration, "version=", 8) == 0 ? strchr(configuration, ';') : NULL;
    return end ? end + 1 : configuration;
}

static bool is_version(const char *text)
{
    char *end;
    return strtol(text, &end, 10) == STATE_VERSION && end != text && !*end;
}

static ser_status check_metadata(const ser_safetensors *file, const timnet_fingerprint *f, ser_error *err)
{
    const char *version = ser_safetensors_metadata(file, "ser.state_version");
    const char *there = ser_safetensors_metadata(file, "ser.configuration"),
               *here = settings_of(f->configuration);
    const char *data = ser_safetensors_metadata(file, "ser.data");
    if (!version || !there || !data)
        return ser_fail(err, SER_E_FORMAT, "is no state of training: remove it, and training begins anew");
    if (!is_version(version))
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "is a state of training of format version %.20s, and this is ser %s: go on with the "
                        "ser that wrote it",
                        version, SER_VERSION);
    there = settings_of(there);
    if (strcmp(there, here) != 0) {
        int n_there, n_here;
        find_difference(&there, &n_there, &here, &n_here);
        return ser_fail(err, SER_E_FORMAT,
                        "is the state of another training (it has %.*s, now it is %.*s): give the same "
                        "options, or another run folder",
                        n_there > 80 ? 80 : n_there, there, n_here > 80 ? 80 : n_here, here);
    }
    if (strcmp(data, f->data) != 0)
        return ser_fail(err, SER_E_FORMAT,
                        "is the state of a training on other features, labels or speakers: give the same "
                        "data, or another run folder");
    return SER_OK;
}

static void fill_history(timnet_progress *p, const double *history)
{
    for (size_t i = 0; i < p->n_done; i++) {
        const double *v = history + i * PER_EPOCH;
        p->history[i].train_loss = v[0];
        p->history[i].train_accuracy = v[1];
        p->history[i].validation_loss = v[2];
        p->history[i].validation_accuracy = v[3];
        p->history[i].rate = v[4];
        p->history[i].seconds = v[5];
        p->history[i].lmmd = v[6];
        p->history[i].entropy = v[7];
        p->history[i].balance = v[8];
    }
}

static ser_status read_tensors(timnet_progress *p, size_t n_epochs, const ser_safetensors *file,
                               ser_error *err)
{
    ser_tensor tensors[MAX_TENSORS];
    char sum[17];
    const char *expected = ser_safetensors_metadata(file, "ser.checksum");
    const ser_tensor *h = ser_safetensors_find(file, "history");
    if (!expected || !h || h->dims[0] < 1 || h->dims[0] > n_epochs)
        return damaged(err);
    size_t n_done = h->dims[0];
    double *history = ser_alloc(n_done * PER_EPOCH, sizeof *history);
    if (!history)
        return ser_fail_nomem(err);
    p->n_done = n_done;
    size_t n = list_tensors(tensors, p, history);
    ser_status st = ser_safetensors_n(file) == n ? SER_OK : damaged(err);
    for (size_t i = 0; i < n && st == SER_OK; i++) {
        const ser_tensor *t = ser_safetensors_find(file, tensors[i].name);
        if (!t || t->dtype != tensors[i].dtype || t->n_bytes != tensors[i].n_bytes)
            st = damaged(err);
        else
            memcpy((void *)tensors[i].data, t->data, t->n_bytes);
    }
    if (st == SER_OK) {
        checksum_tensors(sum, tensors, n);
        st = strcmp(sum, expected) == 0 ? SER_OK : damaged(err);
    }
    if (st == SER_OK)
        fill_history(p, history);
    ser_free(history);
    return st;
}

ser_status timnet_state_read(timnet_progress *p, const char *path, const timnet_fingerprint *f,
                             size_t n_epochs, ser_error *err)
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
    if (st != SER_OK)
        p->n_done = 0;
    return st == SER_OK ? st : ser_fail_within(err, st, "%s: ", path);
}

ser_status timnet_progress_share(timnet_progress *p, const ser_team *team, size_t n_epochs, ser_error *err)
{
    const struct {
        void *data;
        size_t n_bytes;
    } all[] = {{&p->n_done, sizeof p->n_done},
               {p->history, n_epochs * sizeof *p->history},
               {p->net->values, p->net->n_values * sizeof(float)},
               {p->adam.mean, p->adam.n * sizeof(float)},
               {p->adam.square, p->adam.n * sizeof(float)},
               {p->best, p->best ? p->net->n_values * sizeof(float) : 0},
               {p->average, p->average ? p->net->n_trained * sizeof(float) : 0}};
    ser_text block = {0};
    size_t n_all = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        n_all += all[i].n_bytes;
        if (all[i].n_bytes && ser_team_is_first(team))
            ser_text_append_n(&block, all[i].data, all[i].n_bytes);
    }
    ser_status st = ser_team_share(team, &block, err);
    if (st == SER_OK && block.n != n_all)
        st = ser_fail(err, SER_E_FORMAT, "rank 0 learns another network");
    const char *at = block.s;
    for (size_t i = 0; i < sizeof all / sizeof *all && st == SER_OK && !ser_team_is_first(team); i++) {
        if (all[i].n_bytes)
            memcpy(all[i].data, at, all[i].n_bytes);
        at += all[i].n_bytes;
    }
    ser_text_release(&block);
    return st;
}

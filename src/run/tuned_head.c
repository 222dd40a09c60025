#include "run/tuned_head.h"
#include "base/memory.h"
#include "io/file.h"
#include "model/pooled.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char FILE_NAME[] = "head.safetensors";

/* ---- writing ---- */

/* Of the labels that were heard. */
static ser_status take_heard(ser_model_data *m, const ser_linear *head, char *const *labels, uint64_t heard,
                             ser_error *err)
{
    size_t n = 0;
    for (size_t l = 0; l < head->n_labels; l++)
        n += heard >> l & 1;
    ser_status st = ser_linear_init(&m->plain, head->n_in, n, err);
    if (st == SER_OK && !(m->labels = ser_alloc(n, sizeof *m->labels)))
        st = ser_fail_nomem(err);
    if (st != SER_OK)
        return st;
    memcpy(m->plain.mean, head->mean, head->n_in * sizeof *head->mean);
    memcpy(m->plain.scale, head->scale, head->n_in * sizeof *head->scale);
    m->plain.temperature = head->temperature;
    for (size_t l = 0; l < head->n_labels; l++) {
        if (!(heard >> l & 1))
            continue;
        if (!(m->labels[m->n_labels] = ser_strdup(labels[l])))
            return ser_fail_nomem(err);
        m->plain.bias[m->n_labels] = head->bias[l];
        memcpy(m->plain.w + m->n_labels++ * head->n_in, head->w + l * head->n_in,
               head->n_in * sizeof *head->w);
    }
    return SER_OK;
}

ser_status ser_tuned_head_write(const char *folder, const ser_tune_net *net, const ser_feature_spec *spec,
                                char *const *labels, uint64_t heard, ser_error *err)
{
    ser_model_data m = {.spec = *spec};
    ser_encoders encoders = {0};
    ser_extractor *e = NULL;
    ser_linear head = {0};
    if (!(heard & (heard - 1))) /* one emotion or none: nothing is told apart */
        return SER_OK;
    char *path = ser_io_join(folder, FILE_NAME);
    ser_status st = path ? SER_OK : ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_encoders_open(&encoders, spec, &folder, 1, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, err);
    if (st == SER_OK)
        st = ser_encoders_sha256(&encoders, m.encoder_sha256, err);
    if (st == SER_OK)
        st = ser_extractor_new_joined(&e, spec, (const ser_encoder *const *)encoders.items, encoders.n, err);
    if (st == SER_OK)
        st = ser_fine_tune_head(&head, net, e, err);
    if (st == SER_OK)
        st = take_heard(&m, &head, labels, heard, err);
    if (st == SER_OK)
        st = ser_model_data_write(&m, path, NULL, 0, err);
    ser_linear_release(&head);
    ser_extractor_free(&e);
    ser_encoders_close(&encoders);
    ser_model_data_release(&m);
    ser_free(path);
    return st;
}

ser_status ser_tuned_head_remove(const char *folder, ser_error *err)
{
    char *path = ser_io_join(folder, FILE_NAME);
    ser_status st = !path ? ser_fail_nomem(err)
                    : unlink(path) == 0 || errno == ENOENT
                        ? SER_OK
                        : ser_fail(err, SER_E_IO, "%s: %s", path, strerror(errno));
    ser_free(path);
    return st;
}

/* ---- reading ---- */

/* Whether w's features have all that the head reads, and in which of w's blocks: block_of (n_layers). */
static bool find_blocks(size_t *block_of, const ser_model_data *m, const ser_workbench *w)
{
    const ser_feature_part *has = &w->spec.parts[0], *reads = &m->spec.parts[0];
    if (w->spec.n_parts != 1 || m->spec.n_parts != 1 || has->kind != reads->kind || w->pool_encoder ||
        m->spec.pool_encoder || w->spec.pad_s != m->spec.pad_s || w->layers == SER_LAYERS_WEIGHTED)
        return false;
    for (size_t i = 0; i < reads->n_layers; i++) {
        size_t b = 0;
        while (b < has->n_layers && has->layers[b] != reads->layers[i])
            b++;
        if (b == has->n_layers)
            return false;
        block_of[i] = b;
    }
    return ser_extractor_n_blocks(w->extractor) == has->n_layers;
}

/* Row l of the head, or the mean of all rows where the head has no such label. */
static void take_row(float *to, float *bias, const ser_linear *from, size_t l)
{
    size_t first = l < from->n_labels ? l : 0, end = l < from->n_labels ? l + 1 : from->n_labels;
    float share = 1 / (float)(end - first);
    *bias = 0;
    memset(to, 0, from->n_in * sizeof *to);
    for (size_t k = first; k < end; k++) {
        *bias += share * from->bias[k];
        for (size_t i = 0; i < from->n_in; i++)
            to[i] += share * from->w[k * from->n_in + i];
    }
}

/* The head's layers to where w's features have them. */
static void scatter(float *to, const float *from, const ser_model_data *m, const size_t *block_of,
                    const ser_workbench *w)
{
    size_t n_layers = m->spec.parts[0].n_layers, n = m->plain.n_in / n_layers, offset, dims;
    for (size_t i = 0; i < n_layers; i++) {
        ser_extractor_block(w->extractor, block_of[i], &offset, &dims);
        memcpy(to + SER_N_STATISTICS * offset, from + i * n, n * sizeof *to);
    }
}

static ser_status translate(ser_linear *out, const ser_model_data *m, const size_t *block_of,
                            const ser_workbench *w, ser_error *err)
{
    const ser_linear *head = &m->plain;
    char **labels = w->corpus->labels;
    float *row = ser_alloc(head->n_in, sizeof *row);
    ser_status st = row ? ser_linear_init(out, ser_pooled_dims(w->extractor), w->corpus->n_labels, err)
                        : ser_fail_nomem(err);
    if (st == SER_OK) {
        scatter(out->mean, head->mean, m, block_of, w);
        scatter(out->scale, head->scale, m, block_of, w);
    }
    for (size_t l = 0; l < w->corpus->n_labels && st == SER_OK; l++) {
        size_t known = 0;
        while (known < m->n_labels && strcmp(m->labels[known], labels[l]) != 0)
            known++;
        take_row(row, &out->bias[l], head, known);
        scatter(out->w + l * out->n_in, row, m, block_of, w);
    }
    ser_free(row);
    return st;
}

static ser_status read_file(ser_linear *out, uint64_t *blocks, const char *path, const ser_workbench *w,
                            ser_error *err)
{
    ser_safetensors *file = NULL;
    ser_model_data m = {0};
    size_t block_of[SER_ENCODER_MAX_LAYERS];
    ser_status st = ser_safetensors_open(&file, path, err);
    if (st == SER_OK)
        st = ser_model_data_read(&m, file, err);
    ser_safetensors_close(&file);
    if (st == SER_OK && (!m.plain.n_in || strcmp(m.encoder_sha256, w->encoder_sha256) != 0))
        st = ser_fail(err, SER_E_FORMAT,
                      "it is not the head of these weights: remove it, and linear models begin with nothing");
    if (st == SER_OK && find_blocks(block_of, &m, w)) {
        size_t offset, dims;
        ser_extractor_block(w->extractor, 0, &offset, &dims);
        st = m.plain.n_in == SER_N_STATISTICS * dims * m.spec.parts[0].n_layers
                 ? translate(out, &m, block_of, w, err)
                 : ser_fail(err, SER_E_FORMAT, "it reads %zu numbers, and these layers give others",
                            m.plain.n_in);
        for (size_t i = 0; i < m.spec.parts[0].n_layers; i++)
            *blocks |= UINT64_C(1) << block_of[i];
    }
    ser_model_data_release(&m);
    return st;
}

ser_status ser_tuned_head_read(ser_linear *out, uint64_t *blocks, const ser_workbench *w, ser_error *err)
{
    *out = (ser_linear){0};
    *blocks = 0;
    if (w->encoders.n != 1 || !w->encoders.folders[0])
        return SER_OK;
    char *path = ser_io_join(w->encoders.folders[0], FILE_NAME);
    ser_status st = path ? SER_OK : ser_fail_nomem(err);
    if (st == SER_OK && access(path, F_OK) == 0) {
        st = read_file(out, blocks, path, w, err);
        if (st != SER_OK)
            ser_fail_within(err, st, "%s: ", path);
    }
    if (st != SER_OK)
        ser_linear_release(out);
    ser_free(path);
    return st;
}

/* A service without a network, processes or threads: what the targets of src/serve run in. Its queue is a
 * list that the target works off, uploads are decoded in this process, the model is a small one, and a voice
 * is what is loud: an input takes a millisecond, not the thirty that Silero's network takes under sanitizers.
 */
#ifndef SER_FUZZ_SERVICE_H
#define SER_FUZZ_SERVICE_H

#include "base/memory.h"
#include "fuzz.h"
#include "model/model_file.h"
#include "model/pooled.h"
#include "model/voice_network.h"
#include "serve/service.h"

#include <math.h>

#include <stdio.h>
#include <unistd.h>

enum { FUZZ_N_LABELS = 3, FUZZ_MAX_S = 10 };

static ser_task *fuzz_queue; /* what waits for a worker */
static bool fuzz_is_full;    /* a long recording finds no place at first */

/* ---- instead of workers.c: a list ---- */

bool ser_workers_add(ser_workers *p, ser_task *task, ser_task_rank rank)
{
    (void)p, (void)rank;
    for (const ser_task *t = fuzz_queue; t; t = t->next)
        if (t == task)
            abort(); /* it waits already */
    task->next = fuzz_queue;
    fuzz_queue = task;
    return true;
}

bool ser_workers_become_long(ser_workers *p, int worker)
{
    (void)p, (void)worker;
    return !fuzz_is_full;
}

int ser_workers_n_waiting(ser_workers *p)
{
    (void)p;
    return 0;
}

int ser_workers_n_running(ser_workers *p)
{
    (void)p;
    return 0;
}

double ser_workers_longest_s(ser_workers *p)
{
    (void)p;
    return 0;
}

static inline void fuzz_work(void)
{
    while (fuzz_queue) {
        ser_task *task = fuzz_queue;
        fuzz_queue = task->next;
        task->run(task, 0);
    }
}

/* ---- instead of voice_network.c: how loud a window is ---- */

struct ser_voice_network {
    char nothing;
};

ser_status ser_voice_network_new(ser_voice_network **out, ser_error *err)
{
    *out = ser_alloc(1, sizeof **out);
    return *out ? SER_OK : ser_fail_nomem(err);
}

void ser_voice_network_free(ser_voice_network **n)
{
    ser_free(*n);
    *n = NULL;
}

void ser_voice_network_run(const ser_voice_network *n, ser_voice_work *work, ser_voice_memory *memory,
                           float *probabilities, const float *windows, size_t n_windows)
{
    (void)n, (void)work, (void)memory;
    for (size_t i = 0; i < n_windows; i++) {
        float sum = 0;
        for (size_t k = 0; k < SER_VOICE_READ; k += 4)
            sum += fabsf(windows[i * SER_VOICE_READ + k]);
        probabilities[i] = fminf(1, 16 * sum / SER_VOICE_READ);
    }
}

/* ---- the model ---- */

static inline void fuzz_write_model(const char *path)
{
    static const char *const labels[FUZZ_N_LABELS] = {"angry", "neutral", "sad"};
    ser_model_data m = {.n_labels = FUZZ_N_LABELS};
    bool ok = ser_feature_spec_parse(&m.spec, "MFCC", NULL) == SER_OK &&
              ser_linear_init(&m.plain, SER_N_STATISTICS * SER_MFCC_DIMS, FUZZ_N_LABELS, NULL) == SER_OK &&
              (m.labels = ser_alloc(FUZZ_N_LABELS, sizeof *m.labels));
    for (size_t i = 0; ok && i < FUZZ_N_LABELS; i++)
        ok = (m.labels[i] = ser_strdup(labels[i])) != NULL;
    for (size_t i = 0; ok && i < m.plain.n_in * FUZZ_N_LABELS; i++)
        m.plain.w[i] = (float)(i % 7) - 3;
    for (size_t i = 0; ok && i < m.plain.n_in; i++)
        m.plain.scale[i] = 0.01f;
    if (!ok || ser_model_data_write(&m, path, NULL, 0, NULL) != SER_OK)
        abort();
    ser_model_data_release(&m);
}

static inline ser_model *fuzz_model(void)
{
    char folder[] = "/tmp/ser-fuzz-XXXXXX", path[64];
    ser_model *model = NULL;
    ser_settings settings;
    if (!mkdtemp(folder))
        abort();
    snprintf(path, sizeof path, "%s/model", folder);
    fuzz_write_model(path);
    ser_default_settings(&settings);
    settings.n_threads = 1;
    if (ser_model_open(&model, path, &settings, NULL) != SER_OK)
        abort();
    unlink(path);
    rmdir(folder);
    return model;
}

/* ---- the service ---- */

/* Made once, with a model if the target computes; never released. */
static inline ser_service *fuzz_service(bool computes)
{
    static const ser_serve_model named[2] = {{"default", NULL}, {"other", NULL}};
    static const ser_serve_settings settings = {.models = named,
                                                .n_models = 2,
                                                .min_confidence = 0.5,
                                                .limits = {.body_bytes = 1 << 20,
                                                           .upload_bytes = 1 << 20,
                                                           .audio_s = FUZZ_MAX_S,
                                                           .answer_s = 1000,
                                                           .decode_s = 1000,
                                                           .idle_s = 1000,
                                                           .stream_ahead_s = 5}};
    static ser_model *models[2];
    static ser_session *sessions[2];
    static ser_serve_worker worker = {sessions};
    static ser_service s;
    if (!s.settings) {
        s.settings = &settings;
        s.models = models;
        s.workers = &worker;
        ser_metrics_init(&s.metrics);
        atomic_init(&s.state, SER_SERVE_READY);
        models[0] = computes ? fuzz_model() : NULL;
        models[1] = models[0];
    }
    return &s;
}

#endif

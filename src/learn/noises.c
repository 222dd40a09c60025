#include "learn/noises.h"
#include "audio/augment.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/threads.h"
#include "model/pooled.h"

#include <math.h>
#include <stdio.h>

typedef struct noise_work {
    const ser_extractor *e;
    float *pooled;
    uint64_t seed;
} noise_work;

static ser_status add_frames(void *context, const ser_frames *frames, ser_error *err)
{
    (void)err;
    ser_pooling_add(context, frames);
    return SER_OK;
}

/* Noise i: kinds take turns; every third is a sum of two kinds. */
static void make_noise(float *pcm, float *other, size_t n, size_t i, ser_random *r)
{
    ser_augment_noise(pcm, n, (ser_noise)(i % SER_N_NOISES), r);
    if (i % 3 == 2) {
        ser_augment_noise(other, n, (ser_noise)ser_random_below(r, SER_N_NOISES), r);
        for (size_t k = 0; k < n; k++)
            pcm[k] += 0.5f * other[k];
    }
    double level = pow(10, ser_random_between(r, -60, -10) / 20);
    for (size_t k = 0; k < n; k++)
        pcm[k] *= (float)level;
}

static ser_status pool_noise(void *context, size_t i, int worker, ser_error *err)
{
    (void)worker;
    noise_work *w = context;
    char stream[32];
    ser_random random;
    ser_extractor_work *work = NULL;
    ser_pooling pool = {0};
    size_t dims = ser_pooled_dims(w->e);
    snprintf(stream, sizeof stream, "noise %zu", i);
    ser_random_init(&random, ser_random_derive(w->seed, stream));
    size_t n = (size_t)(ser_random_between(&random, 1, 6) * SER_SAMPLE_RATE_HZ);
    float *pcm = ser_alloc(n, sizeof *pcm), *other = ser_alloc(n, sizeof *other),
          *scratch = ser_alloc(dims, sizeof *scratch);
    ser_status st =
        pcm && other && scratch ? ser_extractor_work_new(&work, w->e, 1, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_pooling_init(&pool, ser_extractor_dims(w->e), err);
    if (st == SER_OK) {
        make_noise(pcm, other, n, i, &random);
        ser_pcm_memory memory = {.pcm = pcm, .n_samples = n};
        ser_pcm_source source = ser_pcm_from_memory(&memory);
        st = ser_extract(w->e, work, &source, add_frames, &pool, err);
    }
    if (st == SER_OK)
        ser_pooling_finish(w->e, &pool, w->pooled + i * dims, scratch);
    ser_pooling_release(&pool);
    ser_extractor_work_free(&work);
    ser_free(pcm);
    ser_free(other);
    ser_free(scratch);
    return st;
}

ser_status ser_noises_pool(float *pooled, size_t n, const ser_extractor *e, uint64_t seed, int n_threads,
                           ser_error *err)
{
    noise_work w = {.e = e, .pooled = pooled, .seed = seed};
    return ser_parallel_for(n_threads, n, pool_noise, &w, err);
}

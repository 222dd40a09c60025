/* Windows over a long sound: the same frames however many threads hear them and however the sound is pushed,
 * and each frame heard with three seconds of sound alone. */
#include "base/memory.h"
#include "base/random.h"
#include "model/gliding.h"
#include "test.h"

enum { N_SAMPLES = 12 * SER_SAMPLE_RATE_HZ + 4321, LOUD_SAMPLES = SER_SAMPLE_RATE_HZ / 2, MOST_FRAMES = 700 };

typedef struct kept {
    size_t n, n_calls, dims;
    float x[MOST_FRAMES * SER_LOGMEL_DIMS];
    unsigned char active[MOST_FRAMES];
} kept;

static ser_status keep(void *context, const ser_frames *f, ser_error *err)
{
    kept *k = context;
    if (k->n + f->n > MOST_FRAMES)
        return ser_fail(err, SER_E_ARG, "too many frames");
    memcpy(k->x + k->n * k->dims, f->x, f->n * k->dims * sizeof *k->x);
    memcpy(k->active + k->n, f->active, f->n);
    k->n += f->n;
    k->n_calls++;
    return SER_OK;
}

static void hear(kept *k, const ser_extractor *e, const float *pcm, size_t overlap, int n_threads, bool runs,
                 size_t portion)
{
    ser_error err = {0};
    ser_gliding windows = {0};
    ser_extractor_work *work = NULL;
    ser_cuts *cuts = NULL;
    CHECK_OK(ser_extractor_work_new(&work, e, n_threads, &err), &err);
    CHECK_OK(ser_cuts_new(&cuts, e, work, n_threads > 1, SER_GLIDING_SAMPLES, &err), &err);
    CHECK_OK(ser_gliding_init(&windows, e, work, cuts, overlap, keep, k, &err), &err);
    windows.maximum_runs = runs;
    for (int again = 0; again < 2; again++) { /* the second recording is heard as the first */
        memset(k, 0, sizeof *k);
        k->dims = ser_extractor_dims(e);
        ser_gliding_start(&windows);
        for (size_t at = 0; at < N_SAMPLES; at += portion) {
            size_t n = N_SAMPLES - at < portion ? N_SAMPLES - at : portion;
            CHECK_OK(ser_gliding_push(&windows, pcm + at, n, &err), &err);
        }
        CHECK_OK(ser_gliding_finish(&windows, &err), &err);
        CHECK_OK(ser_cuts_drain(cuts, &err), &err);
    }
    ser_cuts_free(&cuts);
    ser_gliding_release(&windows);
    ser_extractor_work_free(&work);
}

int main(void)
{
    static kept alone, beside;
    ser_error err = {0};
    ser_feature_spec spec;
    ser_extractor *e = NULL;
    ser_random r;
    float *pcm = ser_alloc(N_SAMPLES, sizeof *pcm);
    ser_random_init(&r, 3);
    for (size_t i = 0; i < N_SAMPLES; i++)
        pcm[i] = (i < LOUD_SAMPLES ? 1 : 1e-3f) * ((float)ser_random_below(&r, 2001) / 1000 - 1);
    CHECK_OK(ser_feature_spec_parse(&spec, "LOGMEL", &err), &err);
    CHECK_OK(ser_extractor_new(&e, &spec, NULL, &err), &err);
    for (size_t overlap = SER_SAMPLE_RATE_HZ; overlap <= 2 * SER_SAMPLE_RATE_HZ;
         overlap += SER_SAMPLE_RATE_HZ)
        for (int runs = 0; runs < 2; runs++) {
            hear(&alone, e, pcm, overlap, 1, runs, N_SAMPLES);
            CHECK(alone.n == N_SAMPLES / 320 + 1);
            CHECK(alone.n_calls == (overlap == SER_SAMPLE_RATE_HZ ? 6 : 11));
            /* A second behind something loud nothing else is loud enough; three seconds behind it all is. */
            CHECK(!memchr(alone.active + 55, 1, 40));
            CHECK(!memchr(alone.active + 180, 0, 420));
            for (int n = 2; n <= 4; n++) {
                hear(&beside, e, pcm, overlap, n, runs, n == 3 ? 777 : SER_SAMPLE_RATE_HZ);
                CHECK(memcmp(&beside, &alone, sizeof alone) == 0);
            }
        }
    ser_extractor_free(&e);
    ser_free(pcm);
    return test_summary();
}

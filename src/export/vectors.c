#include "export/vectors.h"
#include "audio/audio.h"
#include "base/random.h"
#include "model/judge.h"

#include <math.h>

/* The shortest sound that models take, a usual one, and one of an odd length. */
static const size_t n_samples[] = {SER_MIN_SAMPLES, 2 * SER_SAMPLE_RATE_HZ, 3 * SER_SAMPLE_RATE_HZ + 123};
enum { N_RECORDINGS = sizeof n_samples / sizeof *n_samples };

/* Tones that rise and swell over some noise, between stretches of near silence: every band and both kinds of
 * frames, active and not. */
static void make_sound(float *pcm, size_t n, uint64_t seed)
{
    const double turn = 2 * acos(-1);
    double phase = 0;
    ser_random r;
    ser_random_init(&r, seed);
    for (size_t i = 0; i < n; i++) {
        double t = (double)i / SER_SAMPLE_RATE_HZ, loud = fmax(0, sin(turn * 1.5 * t + (double)seed)), x = 0;
        phase += turn * (120 + 40 * (double)seed + 30 * sin(turn * t)) / SER_SAMPLE_RATE_HZ;
        for (int h = 1; h <= 20; h++)
            x += sin(h * phase) / h;
        pcm[i] = (float)(0.1 * loud * x + (0.0005 + 0.01 * loud) * ser_random_normal(&r));
    }
}

static ser_status score(float *scores, ser_judge *j, const float *pcm, size_t n, ser_error *err)
{
    int label;
    ser_pooling pooled;
    ser_frames frames;
    ser_status st = ser_pooling_init(&pooled, ser_extractor_dims(j->extractor), err);
    if (st == SER_OK)
        st = ser_extract_window(j->extractor, j->work, pcm, n, 0, &frames, err);
    if (st == SER_OK) {
        ser_pooling_add(&pooled, &frames);
        const ser_stretch whole = {.pooled = &pooled, .frames = frames};
        st = ser_judge_voice(j, &whole, scores, &label, err);
    }
    ser_pooling_release(&pooled);
    return st;
}

static ser_status add_recordings(ser_export_floats *out, ser_judge *j, ser_error *err)
{
    ser_status st = SER_OK;
    for (size_t i = 0; i < N_RECORDINGS && st == SER_OK; i++) {
        float *x = ser_export_floats_add(out, 1 + n_samples[i] + j->model->n_labels);
        if (!x)
            return ser_fail_nomem(err);
        x[0] = (float)n_samples[i];
        make_sound(x + 1, n_samples[i], i);
        st = score(x + 1 + n_samples[i], j, x + 1, n_samples[i], err);
    }
    return st;
}

ser_status ser_export_vectors(ser_export_floats *out, const ser_model_data *m, ser_error *err)
{
    ser_extractor *extractor = NULL;
    ser_voice_network *voice = NULL;
    ser_nn_ops *ops = NULL;
    ser_judge judge = {0};
    ser_status st = ser_extractor_new(&extractor, &m->spec, NULL, err);
    if (st == SER_OK)
        st = ser_voice_network_new(&voice, err);
    if (st == SER_OK)
        st = ser_nn_ops_new(&ops, SER_ENGINE_REF, SER_PRECISION_FP32, err);
    if (st == SER_OK)
        st = ser_judge_init(&judge, m, extractor, voice, ops, 1, err);
    if (st == SER_OK)
        st = add_recordings(out, &judge, err);
    ser_judge_release(&judge);
    ser_nn_ops_free(&ops);
    ser_voice_network_free(&voice);
    ser_extractor_free(&extractor);
    return st;
}

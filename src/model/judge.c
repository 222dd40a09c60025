#include "model/judge.h"
#include "base/memory.h"

#include <string.h>

static ser_status open_scorer(ser_judge *j, const ser_nn_ops *ops, int n_threads, ser_error *err)
{
    const ser_timnet_layout layout = ser_timnet_layout_of(j->extractor);
    if (!j->model->n_networks)
        return SER_OK;
    ser_status st = ser_nn_work_new(&j->nn, ops, n_threads, err);
    return st == SER_OK ? ser_timnet_scorer_new(&j->scorer, j->model->networks, j->model->n_networks, &layout,
                                                j->nn, err)
                        : st;
}

ser_status ser_judge_init(ser_judge *j, const ser_model_data *model, const ser_extractor *extractor,
                          const ser_voice_network *voice, const ser_nn_ops *ops, int n_threads,
                          ser_error *err)
{
    *j = (ser_judge){.model = model, .extractor = extractor};
    j->pooled = ser_alloc(ser_pooled_dims(extractor), sizeof *j->pooled);
    j->scratch = ser_alloc(ser_pooled_dims(extractor), sizeof *j->scratch);
    ser_status st = j->pooled && j->scratch ? SER_OK : ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_extractor_work_new(&j->work, extractor, n_threads, err);
    if (st == SER_OK)
        st = open_scorer(j, ops, n_threads, err);
    if (st == SER_OK)
        st = ser_voice_detector_new(&j->detector, voice, err);
    if (st == SER_OK)
        st = ser_quality_new(&j->quality, err);
    if (st != SER_OK)
        ser_judge_release(j);
    return st;
}

void ser_judge_release(ser_judge *j)
{
    ser_timnet_scorer_free(&j->scorer);
    ser_nn_work_free(&j->nn);
    ser_extractor_work_free(&j->work);
    ser_free(j->pooled);
    ser_free(j->scratch);
    ser_free(j->condensed);
    ser_baseline_release(&j->baseline);
    ser_voice_detector_free(&j->detector);
    ser_quality_free(&j->quality);
    *j = (ser_judge){0};
}

void ser_judge_pool(ser_judge *j, const ser_pooling *frames, float *pooled)
{
    const ser_extractor *e = j->extractor;
    ser_pooling_finish(e, frames, pooled, j->scratch);
    for (size_t b = 0; ser_extractor_spec(e)->pool_encoder && b < ser_extractor_n_blocks(e); b++) {
        size_t offset, dims = 0;
        ser_extractor_block(e, b, &offset, &dims);
        float *mean = pooled + SER_N_STATISTICS * offset;
        for (size_t s = 1; ser_extractor_block_is_encoder(e, b) && s < SER_N_STATISTICS; s++)
            for (size_t i = 0; i < dims; i++)
                mean[s * dims + i] = ser_statistic_is_spread(s) ? 0 : mean[i];
    }
}

/* The encoder's mean over time in every frame: the one in pooled. */
static void pool_encoder(const ser_extractor *e, const float *pooled, float *frames, size_t n)
{
    for (size_t b = 0; b < ser_extractor_n_blocks(e); b++) {
        size_t offset, dims = 0, row = ser_extractor_dims(e);
        ser_extractor_block(e, b, &offset, &dims);
        for (size_t t = 0; ser_extractor_block_is_encoder(e, b) && t < n; t++)
            memcpy(frames + t * row + offset, pooled + SER_N_STATISTICS * offset, dims * sizeof *frames);
    }
}

static ser_status add_networks(ser_judge *j, const ser_stretch *stretch, float *scores, ser_error *err)
{
    const ser_model_data *m = j->model;
    float from_networks[SER_MAX_LABELS];
    size_t dims = ser_extractor_dims(j->extractor);
    if (!ser_grow(&j->condensed, &j->condensed_capacity, stretch->frames.n * dims, sizeof *j->condensed))
        return ser_fail_nomem(err);
    size_t n_frames = ser_condense_frames(j->condensed, &m->networks[0].condense, &stretch->frames, dims);
    if (m->spec.pool_encoder)
        pool_encoder(j->extractor, j->pooled, j->condensed, n_frames);
    const float *frames = j->condensed;
    const ser_timnet_batch batch = {1, &frames, &n_frames};
    ser_status st = ser_timnet_score(j->scorer, &batch, from_networks, err);
    for (size_t i = 0; i < m->n_labels && st == SER_OK; i++)
        scores[i] = m->plain.n_in ? (scores[i] + from_networks[i]) / 2 : from_networks[i];
    return st;
}

/* Of j->pooled and the frames. */
static ser_status answer(ser_judge *j, const ser_stretch *stretch, float *scores, int *label, ser_error *err)
{
    const ser_model_data *m = j->model;
    j->unlike = ser_unlike_times(&m->unlike, j->pooled); /* before these are standardised */
    if (m->plain.n_in)
        ser_baseline_score(&j->baseline, m, scores, j->pooled);
    ser_status st = m->n_networks ? add_networks(j, stretch, scores, err) : SER_OK;
    if (st == SER_OK)
        ser_unlike_even_out(scores, m->n_labels, ser_unlike_factor(j->unlike));
    *label = 0;
    for (size_t i = 1; i < m->n_labels && st == SER_OK; i++)
        if (scores[i] > scores[*label])
            *label = (int)i;
    return st;
}

ser_status ser_judge_voice(ser_judge *j, const ser_stretch *stretch, float *scores, int *label,
                           ser_error *err)
{
    ser_judge_pool(j, stretch->pooled, j->pooled);
    return answer(j, stretch, scores, label, err);
}

void ser_judge_hear(ser_judge *j, const ser_pooling *recording)
{
    if (!ser_judge_follows(j) || !recording->active.n_frames)
        return;
    ser_judge_pool(j, recording, j->pooled);
    ser_baseline_hear(&j->baseline, j->model, j->pooled);
}

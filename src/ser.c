/* The public functions: audio -> frames -> pooled statistics -> head -> result. */
#include "ser/ser.h"
#include "audio/audio.h"
#include "base/memory.h"
#include "base/threads.h"
#include "model/builtin.h"
#include "model/hearing.h"
#include "model/model_file.h"
#include "model/timeline.h"

#include <math.h>
#include <string.h>

struct ser_model {
    ser_settings settings;
    ser_model_data data;
    ser_encoder *encoder; /* NULL when the features need none */
    ser_extractor *extractor;
    ser_nn_ops *ops; /* of the networks; NULL when there are none */
};

struct ser_session {
    const ser_model *model;
    ser_extractor_work *work;
    float *pooled, *scratch;   /* ser_pooled_dims each */
    ser_nn_work *nn;           /* of the networks */
    ser_timnet_scorer *scorer; /* theirs */
    float *condensed;          /* frames as they read them */
    size_t condensed_capacity;
    float *baseline_mean, *baseline_scale; /* n_in each; NULL: no baseline is set */
};

enum { MIN_BASELINE_RECORDINGS = 3 };

void ser_default_settings(ser_settings *s)
{
    *s = (ser_settings){.precision = SER_PRECISION_AUTO, .engine = SER_ENGINE_ONEDNN};
}

const char *ser_version(void)
{
    return SER_VERSION;
}

/* ---- models ---- */

static ser_status open_encoder(ser_model *m, const ser_safetensors *file, ser_error *err)
{
    const ser_feature_part *part = ser_feature_spec_encoder(&m->data.spec);
    if (!part)
        return SER_OK;
    int last = 0;
    for (size_t i = 0; i < part->n_layers; i++)
        last = part->layers[i] > last ? part->layers[i] : last;
    if (m->data.encoder_config)
        return ser_encoder_open_tensors(&m->encoder, file, SER_MODEL_ENCODER_PREFIX, m->data.encoder_config,
                                        last, m->settings.engine, m->settings.precision, err);
    if (!m->settings.encoder)
        return ser_fail(err, SER_E_ARG,
                        "this model does not carry its encoder: name the checkpoint's folder (--encoder)");
    char sha256[65];
    ser_status st = ser_encoder_open(&m->encoder, m->settings.encoder, last, m->settings.engine,
                                     m->settings.precision, err);
    if (st == SER_OK)
        st = ser_encoder_sha256(m->encoder, sha256, err);
    if (st == SER_OK && strcmp(sha256, m->data.encoder_sha256) != 0)
        st = ser_fail(
            err, SER_E_ARG,
            "%s is not the encoder that this model was trained with (sha256 %.12s..., wanted %.12s...)",
            m->settings.encoder, sha256, m->data.encoder_sha256);
    return st;
}

static ser_status open_safetensors(ser_safetensors **file, const char *path, ser_error *err)
{
    if (path)
        return ser_safetensors_open(file, path, err);
    size_t n_bytes;
    const void *bytes = ser_builtin_model(&n_bytes);
    if (!bytes)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "this build has no built-in model: name a model file (--model)");
    return ser_safetensors_open_memory(file, bytes, n_bytes, err);
}

/* The parts of the model against each other. The networks are small beside an encoder, so that they are
 * always computed in fp32. */
static ser_status check_parts(ser_model *m, ser_error *err)
{
    const ser_model_data *d = &m->data;
    size_t n_pooled = ser_pooled_dims(m->extractor);
    const ser_timnet_layout layout = ser_timnet_layout_of(m->extractor);
    const ser_linear *head = d->plain.n_in ? &d->plain : &d->voice;
    if (head->n_in && head->n_in != n_pooled)
        return ser_fail(
            err, SER_E_FORMAT,
            "the model's weights take %zu features, its specification gives %zu: the file is damaged",
            head->n_in, n_pooled);
    if (!d->n_networks)
        return SER_OK;
    ser_status st = ser_timnet_members_check(d->networks, d->n_networks, &layout, err);
    return st == SER_OK ? ser_nn_ops_new(&m->ops, m->settings.engine, SER_PRECISION_FP32, err) : st;
}

ser_status ser_model_open(ser_model **out, const char *path, const ser_settings *s, ser_error *err)
{
    *out = NULL;
    ser_safetensors *file = NULL;
    ser_model *m = ser_alloc(1, sizeof *m);
    if (!m)
        return ser_fail_nomem(err);
    if (s)
        m->settings = *s;
    else
        ser_default_settings(&m->settings);
    ser_status st = open_safetensors(&file, path, err);
    if (st == SER_OK)
        st = ser_model_data_read(&m->data, file, err);
    if (st == SER_OK)
        st = open_encoder(m, file, err);
    if (st == SER_OK)
        st = ser_extractor_new(&m->extractor, &m->data.spec, m->encoder, err);
    if (st == SER_OK)
        st = check_parts(m, err);
    ser_safetensors_close(&file);
    if (st != SER_OK)
        ser_model_close(&m);
    *out = m;
    return st;
}

void ser_model_close(ser_model **model)
{
    if (!model || !*model)
        return;
    ser_nn_ops_free(&(*model)->ops);
    ser_extractor_free(&(*model)->extractor);
    ser_encoder_close(&(*model)->encoder);
    ser_model_data_release(&(*model)->data);
    ser_free(*model);
    *model = NULL;
}

size_t ser_model_n_labels(const ser_model *model)
{
    return model->data.n_labels;
}

const char *ser_model_label(const ser_model *model, size_t i)
{
    return i < model->data.n_labels ? model->data.labels[i] : NULL;
}

const char *ser_model_type(const ser_model *model)
{
    return ser_model_data_type(&model->data);
}

/* ---- sessions ---- */

static ser_status open_scorer(ser_session *s, ser_error *err)
{
    const ser_model *m = s->model;
    const ser_timnet_layout layout = ser_timnet_layout_of(m->extractor);
    if (!m->data.n_networks)
        return SER_OK;
    ser_status st = ser_nn_work_new(&s->nn, m->ops, m->settings.n_threads, err);
    if (st == SER_OK)
        st = ser_timnet_scorer_new(&s->scorer, m->data.networks, m->data.n_networks, &layout, s->nn, err);
    return st;
}

ser_status ser_session_new(ser_session **out, const ser_model *model, ser_error *err)
{
    *out = NULL;
    ser_session *s = ser_alloc(1, sizeof *s);
    if (!s)
        return ser_fail_nomem(err);
    s->model = model;
    s->pooled = ser_alloc(ser_pooled_dims(model->extractor), sizeof *s->pooled);
    s->scratch = ser_alloc(ser_pooled_dims(model->extractor), sizeof *s->scratch);
    ser_status st = s->pooled && s->scratch ? SER_OK : ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_extractor_work_new(&s->work, model->extractor, model->settings.n_threads, err);
    if (st == SER_OK)
        st = open_scorer(s, err);
    if (st != SER_OK)
        ser_session_free(&s);
    *out = s;
    return st;
}

void ser_session_free(ser_session **session)
{
    if (!session || !*session)
        return;
    ser_timnet_scorer_free(&(*session)->scorer);
    ser_nn_work_free(&(*session)->nn);
    ser_extractor_work_free(&(*session)->work);
    ser_free((*session)->pooled);
    ser_free((*session)->scratch);
    ser_free((*session)->condensed);
    ser_free((*session)->baseline_mean);
    ser_free((*session)->baseline_scale);
    ser_free(*session);
    *session = NULL;
}

/* ---- prediction ---- */

static bool has_voice(const ser_session *s)
{
    const ser_linear *head = &s->model->data.voice;
    float voice[2];
    if (!head->n_in)
        return true;
    ser_linear_logits(head, voice, s->pooled);
    ser_softmax(voice, 2, head->temperature);
    return voice[1] >= 0.5f;
}

/* The linear part's answer to s->pooled. */
static void score_pooled(const ser_session *s, float *scores)
{
    const ser_model_data *m = &s->model->data;
    const ser_linear *head = s->baseline_mean ? &m->baseline : &m->plain;
    for (size_t i = 0; s->baseline_mean && i < head->n_in; i++)
        s->pooled[i] = (s->pooled[i] - s->baseline_mean[i]) * s->baseline_scale[i];
    ser_linear_logits(head, scores, s->pooled);
    ser_softmax(scores, m->n_labels, head->temperature);
}

/* ser_judge_fn: context is the session. */
static ser_status judge(void *context, const ser_stretch *stretch, float *scores, int *label, ser_error *err)
{
    ser_session *s = context;
    const ser_model_data *m = &s->model->data;
    float from_networks[SER_MAX_LABELS];
    ser_pooling_finish(s->model->extractor, stretch->pooled, s->pooled, s->scratch);
    *label = -1;
    if (!has_voice(s))
        return SER_OK;
    if (m->plain.n_in)
        score_pooled(s, scores);
    if (m->n_networks) {
        size_t dims = ser_extractor_dims(s->model->extractor);
        if (!ser_grow(&s->condensed, &s->condensed_capacity, stretch->frames.n * dims, sizeof *s->condensed))
            return ser_fail_nomem(err);
        size_t n_frames = ser_condense_frames(s->condensed, &m->networks[0].condense, &stretch->frames, dims);
        const float *frames = s->condensed;
        const ser_timnet_batch batch = {1, &frames, &n_frames};
        ser_status st = ser_timnet_score(s->scorer, &batch, from_networks, err);
        if (st != SER_OK)
            return st;
        for (size_t i = 0; i < m->n_labels; i++)
            scores[i] = m->plain.n_in ? (scores[i] + from_networks[i]) / 2 : from_networks[i];
    }
    *label = 0;
    for (size_t i = 1; i < m->n_labels; i++)
        if (scores[i] > scores[*label])
            *label = (int)i;
    return SER_OK;
}

/* Networks read the frames of a whole recording, where it is of one window. Then its timeline is judged at
 * the end, and only when it is wanted. */
typedef struct listener {
    ser_pooling whole;
    ser_timeline timeline;
    float *first; /* (n_first, dims): the first window; NULL: it is in the timeline already */
    unsigned char *first_active;
    size_t n_first;
    bool keeps_first;
} listener;

static ser_status listener_init(listener *l, ser_session *s, ser_error *err)
{
    const ser_extractor *e = s->model->extractor;
    *l = (listener){.keeps_first = s->model->data.n_networks > 0};
    ser_status st = ser_pooling_init(&l->whole, ser_extractor_dims(e), err);
    if (st == SER_OK)
        st = ser_timeline_init(
            &l->timeline, ser_extractor_dims(e), s->model->data.n_labels, ser_extractor_frames_per_s(e),
            l->keeps_first ? ser_timeline_of_networks() : ser_timeline_of_statistics(), judge, s, err);
    return st;
}

static void listener_release(listener *l)
{
    ser_pooling_release(&l->whole);
    ser_timeline_release(&l->timeline);
    ser_free(l->first);
    ser_free(l->first_active);
}

static ser_status keep_first(listener *l, const ser_frames *frames, ser_error *err)
{
    size_t n_values = frames->n * l->timeline.dims;
    l->keeps_first = false;
    l->first = ser_alloc(n_values, sizeof *l->first);
    l->first_active = ser_alloc(frames->n, 1);
    if (!l->first || !l->first_active)
        return ser_fail_nomem(err);
    memcpy(l->first, frames->x, n_values * sizeof *l->first);
    memcpy(l->first_active, frames->active, frames->n);
    l->n_first = frames->n;
    return SER_OK;
}

static ser_status pass_on_first(listener *l, ser_error *err)
{
    const ser_frames first = {.x = l->first, .active = l->first_active, .n = l->n_first};
    l->n_first = 0;
    return first.n ? ser_timeline_add(&l->timeline, &first, err) : SER_OK;
}

static ser_status listen(void *context, const ser_frames *frames, ser_error *err)
{
    listener *l = context;
    ser_pooling_add(&l->whole, frames);
    if (l->keeps_first)
        return keep_first(l, frames, err);
    ser_status st = pass_on_first(l, err);
    return st == SER_OK ? ser_timeline_add(&l->timeline, frames, err) : st;
}

/* A recording of one window is one utterance. A longer one is a conversation: the mean over its voiced cells
 * says how likely an emotion is at any moment. */
static ser_status judge_whole(ser_session *s, const listener *l, size_t n_samples, ser_result *r,
                              ser_error *err)
{
    const ser_stretch whole = {&l->whole, {l->first, l->first_active, l->whole.all.n_frames}};
    if (n_samples <= SER_WINDOW_SAMPLES)
        return judge(s, &whole, r->scores, &r->label, err);
    size_t n_labels = s->model->data.n_labels;
    r->label = l->timeline.n_voiced ? 0 : -1;
    for (size_t i = 0; i < n_labels && l->timeline.n_voiced; i++) {
        r->scores[i] = (float)(l->timeline.score_sums[i] / (double)l->timeline.n_voiced);
        if (r->scores[i] > r->scores[r->label])
            r->label = (int)i;
    }
    return SER_OK;
}

static ser_status predict_source(ser_session *s, ser_pcm_source from, const ser_predict_options *options,
                                 ser_result *r, ser_error *err)
{
    const ser_extractor *e = s->model->extractor;
    listener l;
    ser_hearing hearing;
    ser_pcm_source source = ser_hearing_source(&hearing, from);
    bool wants_timeline = options && options->timeline;
    ser_status st = listener_init(&l, s, err);
    if (st == SER_OK)
        st = ser_extract(e, s->work, &source, listen, &l, err);
    if (st != SER_OK)
        goto done;
    if (hearing.n_samples < SER_MIN_SAMPLES || !l.whole.active.n_frames) {
        st = ser_fail(err, SER_E_FORMAT, "holds %.1f ms of sound: at least 25 ms are needed",
                      1000.0 * (double)hearing.n_samples / SER_SAMPLE_RATE_HZ);
        goto done;
    }
    r->duration_s = (double)hearing.n_samples / SER_SAMPLE_RATE_HZ;
    bool silence = ser_hearing_is_silence(&hearing);
    if (wants_timeline && !silence && (st = pass_on_first(&l, err)) != SER_OK)
        goto done;
    if ((st = ser_timeline_finish(&l.timeline, r->duration_s, err)) != SER_OK)
        goto done;
    r->label = -1;
    if (!silence && (st = judge_whole(s, &l, hearing.n_samples, r, err)) != SER_OK)
        goto done;
    if (r->label >= 0)
        r->confidence = r->scores[r->label];
    else
        r->note = silence ? SER_NOTE_SILENCE : SER_NOTE_NO_VOICE;
    if (wants_timeline && !silence) {
        r->segments = l.timeline.segments; /* moves to the result */
        r->n_segments = l.timeline.n_segments;
        l.timeline.segments = NULL;
    }
done:
    listener_release(&l);
    return st;
}

ser_status ser_predict(ser_session *s, const float *pcm, size_t n_samples, const ser_predict_options *options,
                       ser_result *r, ser_error *err)
{
    *r = (ser_result){.label = -1};
    if (n_samples < SER_MIN_SAMPLES)
        return ser_fail(err, SER_E_FORMAT, "holds %.1f ms of sound: at least 25 ms are needed",
                        1000.0 * (double)n_samples / SER_SAMPLE_RATE_HZ);
    ser_pcm_memory memory = {.pcm = pcm, .n_samples = n_samples};
    return predict_source(s, ser_pcm_from_memory(&memory), options, r, err);
}

ser_status ser_predict_file(ser_session *s, const char *path, const ser_predict_options *options,
                            ser_result *r, ser_error *err)
{
    *r = (ser_result){.label = -1};
    ser_audio *audio = NULL;
    ser_status st = ser_audio_open(&audio, path, err);
    if (st == SER_OK)
        st = predict_source(s, ser_pcm_from_audio(audio), options, r, err);
    if (st == SER_OK)
        snprintf(r->warning, sizeof r->warning, "%s", ser_audio_warning(audio));
    ser_audio_close(&audio);
    return st;
}

void ser_result_release(ser_result *r)
{
    if (!r)
        return;
    ser_free(r->segments);
    *r = (ser_result){.label = -1};
}

/* ---- a voice's own baseline ---- */

static ser_status listen_whole(void *context, const ser_frames *frames, ser_error *err)
{
    (void)err;
    ser_pooling_add(context, frames);
    return SER_OK;
}

/* Pooled statistics of one recording into s->pooled. */
static ser_status pool_file(ser_session *s, const char *path, ser_error *err)
{
    ser_audio *audio = NULL;
    ser_pooling whole = {0};
    ser_status st = ser_pooling_init(&whole, ser_extractor_dims(s->model->extractor), err);
    if (st == SER_OK)
        st = ser_audio_open(&audio, path, err);
    if (st == SER_OK) {
        ser_pcm_source source = ser_pcm_from_audio(audio);
        st = ser_extract(s->model->extractor, s->work, &source, listen_whole, &whole, err);
    }
    if (st == SER_OK && !whole.active.n_frames)
        st = ser_fail(err, SER_E_FORMAT, "holds less than 25 ms of sound");
    if (st == SER_OK)
        ser_pooling_finish(s->model->extractor, &whole, s->pooled, s->scratch);
    ser_audio_close(&audio);
    ser_pooling_release(&whole);
    return st == SER_OK ? st : ser_fail_within(err, st, "%s: ", path);
}

/* A deviation from few recordings is uncertain, so the usual one within a speaker counts as four recordings
 * more. */
static void set_baseline_statistics(ser_session *s, const double *sum, const double *sum_of_squares, size_t n)
{
    enum { PRIOR = 4 };
    const float *spread = s->model->data.baseline_spread;
    for (size_t i = 0; i < s->model->data.baseline.n_in; i++) {
        double mean = sum[i] / (double)n, variance = fmax(sum_of_squares[i] / (double)n - mean * mean, 0);
        variance = ((double)n * variance + PRIOR * (double)spread[i] * spread[i]) / (double)(n + PRIOR);
        s->baseline_mean[i] = (float)mean;
        s->baseline_scale[i] = variance > 1e-12 ? (float)(1 / sqrt(variance)) : 0;
    }
}

ser_status ser_session_set_baseline(ser_session *s, const char *const *paths, size_t n_paths, ser_error *err)
{
    size_t n_in = s->model->data.baseline.n_in;
    if (n_paths && s->model->data.n_networks)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "this model has temporal networks, which know nothing of a voice's baseline: use a "
                        "linear one");
    if (n_paths && !n_in)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "this model has no head for a voice's baseline: train it again");
    if (n_paths && n_paths < MIN_BASELINE_RECORDINGS)
        return ser_fail(err, SER_E_ARG,
                        "a baseline needs at least %d recordings of the voice, and here are %zu",
                        MIN_BASELINE_RECORDINGS, n_paths);
    ser_free(s->baseline_mean);
    ser_free(s->baseline_scale);
    s->baseline_mean = s->baseline_scale = NULL;
    if (!n_paths)
        return SER_OK;
    double *sum = ser_alloc(n_in, sizeof *sum), *sum_of_squares = ser_alloc(n_in, sizeof *sum_of_squares);
    float *mean = ser_alloc(n_in, sizeof *mean), *scale = ser_alloc(n_in, sizeof *scale);
    ser_status st = sum && sum_of_squares && mean && scale ? SER_OK : ser_fail_nomem(err);
    for (size_t p = 0; p < n_paths && st == SER_OK; p++) {
        st = pool_file(s, paths[p], err);
        for (size_t i = 0; i < n_in && st == SER_OK; i++) {
            sum[i] += s->pooled[i];
            sum_of_squares[i] += (double)s->pooled[i] * s->pooled[i];
        }
    }
    if (st == SER_OK) {
        s->baseline_mean = mean;
        s->baseline_scale = scale;
        mean = scale = NULL;
        set_baseline_statistics(s, sum, sum_of_squares, n_paths);
    }
    ser_free(sum);
    ser_free(sum_of_squares);
    ser_free(mean);
    ser_free(scale);
    return st;
}

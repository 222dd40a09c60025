/* The public functions: audio -> frames -> pooled statistics -> head -> result. */
#include "ser/ser.h"
#include "audio/audio.h"
#include "base/memory.h"
#include "base/threads.h"
#include "model/adapt_head.h"
#include "model/baseline.h"
#include "model/builtin.h"
#include "model/hearing.h"
#include "model/model_file.h"
#include "model/timeline.h"
#include "predict_audio.h"

#include <math.h>
#include <string.h>

struct ser_model {
    ser_settings settings;
    ser_model_data data;
    ser_encoders encoders;
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
    ser_baseline baseline;
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

static ser_status open_carried(ser_model *m, const ser_safetensors *file, ser_error *err)
{
    const ser_feature_part *part;
    ser_status st = SER_OK;
    for (size_t i = 0; st == SER_OK && (part = ser_feature_spec_encoder_at(&m->data.spec, i)); i++) {
        char prefix[SER_MODEL_PREFIX_BYTES];
        ser_model_encoder_prefix(prefix, i);
        if (!m->data.encoder_configs[i])
            return ser_fail(err, SER_E_FORMAT, "carries only some of its encoders: the file is damaged");
        m->encoders.n = i + 1;
        st = ser_encoder_open_tensors(&m->encoders.items[i], file, prefix, m->data.encoder_configs[i],
                                      ser_feature_part_last_layer(part), m->settings.engine,
                                      m->settings.precision, err);
    }
    return st;
}

static ser_status open_encoders(ser_model *m, const ser_safetensors *file, ser_error *err)
{
    char sha256[SER_ENCODERS_SHA256];
    if (m->data.encoder_configs[0])
        return open_carried(m, file, err);
    ser_status st = ser_encoders_open(&m->encoders, &m->data.spec, m->settings.encoders,
                                      m->settings.n_encoders, m->settings.engine, m->settings.precision, err);
    if (st == SER_OK)
        st = ser_encoders_sha256(&m->encoders, sha256, err);
    if (st == SER_OK && strcmp(sha256, m->data.encoder_sha256) != 0)
        st = ser_fail(
            err, SER_E_ARG,
            "%s is not what this model was trained with (sha256 %.12s..., wanted %.12s...): name another "
            "--encoder",
            m->encoders.folders[0], sha256, m->data.encoder_sha256);
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
        st = open_encoders(m, file, err);
    if (st == SER_OK)
        st = ser_extractor_new_joined(&m->extractor, &m->data.spec,
                                      (const ser_encoder *const *)m->encoders.items, m->encoders.n, err);
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
    ser_encoders_close(&(*model)->encoders);
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
    ser_baseline_release(&(*session)->baseline);
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
        ser_baseline_score(&s->baseline, m, scores, s->pooled);
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

/* ---- one utterance ---- */

/* Statistics and, for networks, the frames of a recording of one window. */
typedef struct utterance {
    ser_pooling pooled;
    float *frames; /* (n, dims), with_frames */
    unsigned char *active;
    size_t dims;
    bool with_frames;
} utterance;

static void utterance_release(utterance *u)
{
    ser_pooling_release(&u->pooled);
    ser_free(u->frames);
    ser_free(u->active);
}

static ser_status hear_utterance(void *context, const ser_frames *frames, ser_error *err)
{
    utterance *u = context;
    ser_pooling_add(&u->pooled, frames);
    if (!u->with_frames)
        return SER_OK;
    u->frames = ser_alloc(frames->n, u->dims * sizeof *u->frames);
    u->active = ser_alloc(frames->n, 1);
    if (!u->frames || !u->active)
        return ser_fail_nomem(err);
    memcpy(u->frames, frames->x, frames->n * u->dims * sizeof *u->frames);
    memcpy(u->active, frames->active, frames->n);
    return SER_OK;
}

static ser_status judge_utterance(ser_session *s, const float *pcm, size_t n_samples, ser_result *r,
                                  ser_error *err)
{
    const ser_extractor *e = s->model->extractor;
    utterance u = {.dims = ser_extractor_dims(e), .with_frames = s->model->data.n_networks > 0};
    ser_pcm_memory memory = {.pcm = pcm, .n_samples = n_samples};
    ser_pcm_source source = ser_pcm_from_memory(&memory);
    ser_status st = ser_pooling_init(&u.pooled, u.dims, err);
    if (st == SER_OK)
        st = ser_extract(e, s->work, &source, hear_utterance, &u, err);
    const ser_stretch whole = {&u.pooled, {u.frames, u.active, u.pooled.all.n_frames}};
    if (st == SER_OK)
        st = judge(s, &whole, r->scores, &r->label, err);
    utterance_release(&u);
    return st;
}

/* ---- a conversation ---- */

/* Models learn from utterances of a few seconds. What an encoder makes of a sound depends on where it lies
 * in its window and on what else is there, so that a conversation is heard in windows of that length. See
 * tools/check_timeline.py: windows of 30 s were right half as often. */
static const ser_windows moments = {3 * SER_SAMPLE_RATE_HZ, 2 * SER_SAMPLE_RATE_HZ};

/* The longest recording that is one utterance, to be judged as a whole. */
enum { UTTERANCE_SAMPLES = 10 * SER_SAMPLE_RATE_HZ };

static ser_status hear_moments(void *context, const ser_frames *frames, ser_error *err)
{
    return ser_timeline_add(context, frames, err);
}

static ser_status follow(ser_timeline *t, ser_session *s, const ser_pcm_source *source, ser_error *err)
{
    const ser_extractor *e = s->model->extractor;
    ser_status st = ser_timeline_init(
        t, ser_extractor_dims(e), s->model->data.n_labels, ser_extractor_frames_per_s(e),
        s->model->data.n_networks ? ser_timeline_of_networks() : ser_timeline_of_statistics(), judge, s, err);
    return st == SER_OK ? ser_extract_in_windows(e, s->work, &moments, source, hear_moments, t, err) : st;
}

/* The mean over the voiced cells says how likely an emotion is at any moment. */
static void judge_conversation(const ser_timeline *t, ser_result *r)
{
    r->label = t->n_voiced ? 0 : -1;
    for (size_t i = 0; i < t->n_labels && t->n_voiced; i++) {
        r->scores[i] = (float)(t->score_sums[i] / (double)t->n_voiced);
        if (r->scores[i] > r->scores[r->label])
            r->label = (int)i;
    }
}

/* ---- a recording ---- */

/* What was read to see how long a recording is, then the rest of it. */
typedef struct opening {
    ser_pcm_source rest;
    float *pcm; /* (UTTERANCE_SAMPLES + 1) */
    size_t n, at;
} opening;

static ser_status read_opening(void *context, float *pcm, size_t n_max, size_t *n_read, ser_error *err)
{
    opening *o = context;
    size_t n = o->n - o->at < n_max ? o->n - o->at : n_max;
    ser_status st = SER_OK;
    *n_read = 0;
    memcpy(pcm, o->pcm + o->at, n * sizeof *pcm);
    o->at += n;
    if (n < n_max)
        st = o->rest.read(o->rest.context, pcm + n, n_max - n, n_read, err);
    *n_read += n;
    return st;
}

static ser_status rewind_opening(void *context, ser_error *err)
{
    opening *o = context;
    o->at = o->n; /* the rest begins anew */
    return o->rest.rewind(o->rest.context, err);
}

static ser_status predict_all(ser_session *s, opening *o, const ser_hearing *hearing, bool wants_timeline,
                              ser_timeline *timeline, ser_result *r, ser_error *err)
{
    bool long_one = o->n > UTTERANCE_SAMPLES;
    const ser_pcm_source source = {read_opening, rewind_opening, o};
    ser_status st = SER_OK;
    if (o->n < SER_MIN_SAMPLES)
        return ser_fail(err, SER_E_FORMAT, "holds %.1f ms of sound: at least 25 ms are needed",
                        1000.0 * (double)o->n / SER_SAMPLE_RATE_HZ);
    bool quiet = !long_one && ser_hearing_is_silence(hearing);
    if (!long_one && !quiet)
        st = judge_utterance(s, o->pcm, o->n, r, err);
    if (st == SER_OK && (long_one || (wants_timeline && !quiet)))
        st = follow(timeline, s, &source, err);
    r->duration_s = (double)hearing->n_samples / SER_SAMPLE_RATE_HZ;
    if (st == SER_OK && (long_one || (wants_timeline && !quiet)))
        st = ser_timeline_finish(timeline, r->duration_s, err);
    if (st == SER_OK && long_one)
        judge_conversation(timeline, r);
    return st;
}

static ser_status predict_source(ser_session *s, ser_pcm_source from, const ser_predict_options *options,
                                 ser_result *r, ser_error *err)
{
    ser_hearing hearing;
    ser_timeline timeline = {0};
    bool wants_timeline = options && options->timeline;
    opening o = {.rest = ser_hearing_source(&hearing, from),
                 .pcm = ser_alloc(UTTERANCE_SAMPLES + 1, sizeof *o.pcm)};
    hearing.options = options;
    ser_status st =
        o.pcm ? o.rest.read(o.rest.context, o.pcm, UTTERANCE_SAMPLES + 1, &o.n, err) : ser_fail_nomem(err);
    r->label = -1;
    if (st == SER_OK)
        st = predict_all(s, &o, &hearing, wants_timeline, &timeline, r, err);
    bool silence = ser_hearing_is_silence(&hearing);
    if (silence)
        r->label = -1;
    if (r->label >= 0)
        r->confidence = r->scores[r->label];
    else
        r->note = silence ? SER_NOTE_SILENCE : SER_NOTE_NO_VOICE;
    if (st == SER_OK && wants_timeline && !silence) {
        r->segments = timeline.segments; /* moves to the result */
        r->n_segments = timeline.n_segments;
        timeline.segments = NULL;
    }
    ser_timeline_release(&timeline);
    ser_free(o.pcm);
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

ser_status ser_predict_audio(ser_session *s, ser_audio *audio, const ser_predict_options *options,
                             ser_result *r, ser_error *err)
{
    *r = (ser_result){.label = -1};
    ser_status st = predict_source(s, ser_pcm_from_audio(audio), options, r, err);
    if (st == SER_OK)
        snprintf(r->warning, sizeof r->warning, "%s", ser_audio_warning(audio));
    return st;
}

ser_status ser_predict_file(ser_session *s, const char *path, const ser_predict_options *options,
                            ser_result *r, ser_error *err)
{
    *r = (ser_result){.label = -1};
    ser_audio *audio = NULL;
    ser_status st = ser_audio_open(&audio, path, err);
    if (st == SER_OK)
        st = ser_predict_audio(s, audio, options, r, err);
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

static ser_status set_baseline(ser_session *s, const char *const *paths, size_t n_paths, bool adapt,
                               ser_error *err)
{
    size_t n_in = s->model->data.baseline.n_in, n_values;
    size_t n_needed = adapt ? SER_ADAPT_MIN_RECORDINGS : MIN_BASELINE_RECORDINGS;
    ser_baseline_release(&s->baseline);
    ser_status st = n_paths ? ser_baseline_check(&s->model->data, err) : SER_OK;
    if (!n_paths || st != SER_OK)
        return st;
    if (n_paths < n_needed)
        return ser_fail(err, SER_E_ARG, "at least %zu recordings are needed for that, and here are %zu",
                        n_needed, n_paths);
    float *rows = ser_mul_size(&n_values, n_paths, n_in) ? ser_alloc(n_values, sizeof *rows) : NULL;
    st = rows ? SER_OK : ser_fail_nomem(err);
    for (size_t p = 0; p < n_paths && st == SER_OK; p++) {
        st = pool_file(s, paths[p], err);
        if (st == SER_OK)
            memcpy(rows + p * n_in, s->pooled, n_in * sizeof *rows);
    }
    if (st == SER_OK)
        st = ser_baseline_fit(&s->baseline, &s->model->data, rows, n_paths, adapt, err);
    ser_free(rows);
    return st;
}

ser_status ser_session_set_baseline(ser_session *s, const char *const *paths, size_t n_paths, ser_error *err)
{
    return set_baseline(s, paths, n_paths, false, err);
}

ser_status ser_session_adapt(ser_session *s, const char *const *paths, size_t n_paths, ser_error *err)
{
    return set_baseline(s, paths, n_paths, true, err);
}

ser_status ser_session_follow_voice(ser_session *s, ser_error *err)
{
    ser_baseline_release(&s->baseline);
    ser_status st = ser_baseline_check(&s->model->data, err);
    return st == SER_OK ? ser_baseline_follow(&s->baseline, &s->model->data, err) : st;
}

ser_status ser_session_copy_baseline(ser_session *s, const ser_session *from, ser_error *err)
{
    ser_baseline_release(&s->baseline);
    if (from->model != s->model)
        return ser_fail(err, SER_E_ARG, "the sessions are of different models");
    return ser_baseline_copy(&s->baseline, &from->baseline, &s->model->data, err);
}

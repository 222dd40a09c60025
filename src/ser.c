/* The public functions, nothing else: what they do lies in audio/, extract/ and model/. */
#include "ser/ser.h"
#include "audio/audio.h"
#include "base/given.h"
#include "base/memory.h"
#include "model/adapt_head.h"
#include "model/builtin.h"
#include "model/hearing.h"
#include "model/listen.h"
#include "model/live.h"

#include <string.h>

struct ser_model {
    ser_settings settings;
    ser_model_data data;
    ser_encoders encoders;
    ser_extractor *extractor;
    ser_nn_ops *ops;   /* of the networks; NULL when there are none */
    ser_text features; /* the specification's key */
    ser_voice_network *voice;
};

struct ser_session {
    const ser_model *model;
    ser_judge judge;
};

enum { MIN_BASELINE_RECORDINGS = 3, MIN_HOP = 16, MAX_HOP = 16000, MAX_PAD_S = 30 };

#define ALL_LAYERS "all"

/* ---- versions ---- */

const char *ser_version(void)
{
    return SER_VERSION;
}

int ser_api_version(void)
{
    return SER_API_VERSION;
}

const char *ser_status_name(ser_status status)
{
    switch (status) {
    case SER_OK:
        return "SER_OK";
    case SER_E_NOMEM:
        return "SER_E_NOMEM";
    case SER_E_IO:
        return "SER_E_IO";
    case SER_E_FORMAT:
        return "SER_E_FORMAT";
    case SER_E_UNSUPPORTED:
        return "SER_E_UNSUPPORTED";
    case SER_E_ARG:
        return "SER_E_ARG";
    case SER_E_CANCELLED:
        return "SER_E_CANCELLED";
    }
    return "unknown";
}

void ser_settings_init(ser_settings *s, size_t size)
{
    const ser_settings defaults = {
        .size = size, .precision = SER_PRECISION_AUTO, .engine = SER_ENGINE_ONEDNN};
    memset(s, 0, size);
    memcpy(s, &defaults, size < sizeof defaults ? size : sizeof defaults);
}

/* ---- models ---- */

/* Not where it only reads features. */
static bool answers(const ser_model *m)
{
    return m->data.n_labels;
}

static ser_status fail_answers_nothing(ser_error *err)
{
    return ser_fail(err, SER_E_UNSUPPORTED,
                    "this model reads features and answers nothing: open another one");
}

static ser_status open_encoders(ser_model *m, const ser_safetensors *file, ser_error *err)
{
    char sha256[SER_ENCODERS_SHA256];
    if (m->data.encoder_configs[0] && m->settings.n_encoders)
        return ser_fail(err, SER_E_ARG, "the model carries its encoder: %s has no say in its answers",
                        m->settings.encoders[0]);
    if (m->data.encoder_configs[0])
        return ser_model_encoders_open(&m->encoders, &m->data, file, m->settings.engine,
                                       m->settings.precision, err);
    ser_status st = ser_encoders_open(&m->encoders, &m->data.spec, m->settings.encoders,
                                      m->settings.n_encoders, m->settings.engine, m->settings.precision, err);
    if (st == SER_OK)
        st = ser_encoders_sha256(&m->encoders, sha256, err);
    if (st == SER_OK && strcmp(sha256, m->data.encoder_sha256) != 0)
        st = ser_fail(
            err, SER_E_ARG,
            "%s is not what this model was trained with (sha256 %.12s..., wanted %.12s...): name another "
            "encoder",
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
        return ser_fail(err, SER_E_UNSUPPORTED, "this build has no built-in model: name a model file");
    return ser_safetensors_open_memory(file, bytes, n_bytes, err);
}

/* The parts of the model against each other. The networks are small beside an encoder, so that they are
 * always computed in fp32. */
static ser_status check_parts(ser_model *m, ser_error *err)
{
    const ser_model_data *d = &m->data;
    size_t n_pooled = ser_pooled_dims(m->extractor);
    const ser_timnet_layout layout = ser_timnet_layout_of(m->extractor);
    if (d->plain.n_in && d->plain.n_in != n_pooled)
        return ser_fail(
            err, SER_E_FORMAT,
            "the model's weights take %zu features, its specification gives %zu: the file is damaged",
            d->plain.n_in, n_pooled);
    if (!d->n_networks)
        return SER_OK;
    ser_status st = ser_timnet_members_check(d->networks, d->n_networks, &layout, err);
    return st == SER_OK ? ser_nn_ops_new(&m->ops, m->settings.engine, SER_PRECISION_FP32, err) : st;
}

/* What every model has, once its specification and its encoders stand. */
static ser_status complete(ser_model *m, ser_error *err)
{
    ser_status st = ser_extractor_new_joined(
        &m->extractor, &m->data.spec, (const ser_encoder *const *)m->encoders.items, m->encoders.n, err);
    if (st == SER_OK)
        st = check_parts(m, err);
    if (st == SER_OK)
        st = ser_voice_network_new(&m->voice, err);
    if (st == SER_OK) {
        ser_feature_spec_key(&m->data.spec, &m->features);
        st = m->features.failed ? ser_fail_nomem(err) : SER_OK;
    }
    return st;
}

static ser_status take_settings(ser_model *m, const ser_settings *s, ser_error *err)
{
    ser_default_settings(&m->settings);
    return s ? ser_take_given(&m->settings, sizeof m->settings, SER_FIRST_SIZE(ser_settings, n_encoders), s,
                              err)
             : SER_OK;
}

ser_status ser_model_open(ser_model **out, const char *path, const ser_settings *s, ser_error *err)
{
    *out = NULL;
    ser_safetensors *file = NULL;
    ser_model *m = ser_alloc(1, sizeof *m);
    if (!m)
        return ser_fail_nomem(err);
    ser_status st = take_settings(m, s, err);
    if (st == SER_OK)
        st = open_safetensors(&file, path, err);
    if (st == SER_OK)
        st = ser_model_data_read(&m->data, file, err);
    if (st == SER_OK)
        st = open_encoders(m, file, err);
    if (st == SER_OK)
        st = complete(m, err);
    ser_safetensors_close(&file);
    if (st != SER_OK)
        ser_model_close(&m);
    *out = m;
    return st;
}

/* The specification as far as it is known before the encoders are open. */
static ser_status read_feature_settings(ser_feature_spec *spec, const ser_feature_settings *f,
                                        const ser_settings *s, ser_error *err)
{
    if (!f->type && s->n_encoders != 1)
        return ser_fail(err, SER_E_ARG, "no features are named: give a type, or one encoder");
    if (f->hop_samples && (f->hop_samples < MIN_HOP || f->hop_samples > MAX_HOP))
        return ser_fail(err, SER_E_ARG, "a hop of %d samples: %d to %d are possible", f->hop_samples, MIN_HOP,
                        MAX_HOP);
    if (f->pad_s < 0 || f->pad_s > MAX_PAD_S)
        return ser_fail(err, SER_E_ARG, "padding to %d s: 0 to %d s are possible", f->pad_s, MAX_PAD_S);
    ser_status st = f->type ? ser_feature_spec_parse(spec, f->type, err)
                            : ser_feature_spec_of_checkpoint(spec, s->encoders[0], err);
    if (f->hop_samples)
        spec->hop_samples = f->hop_samples;
    spec->pad_s = f->pad_s;
    spec->pool_encoder = f->pool_encoder;
    bool named = f->layers && strcmp(f->layers, ALL_LAYERS) != 0;
    return st == SER_OK && named ? ser_feature_spec_set_layers(spec, f->layers, err) : st;
}

ser_status ser_model_open_features(ser_model **out, const ser_feature_settings *features,
                                   const ser_settings *s, ser_error *err)
{
    ser_feature_settings own = {0};
    *out = NULL;
    ser_status st =
        ser_take_given(&own, sizeof own, SER_FIRST_SIZE(ser_feature_settings, pad_s), features, err);
    ser_model *m = st == SER_OK ? ser_alloc(1, sizeof *m) : NULL;
    if (st != SER_OK)
        return st;
    if (!m)
        return ser_fail_nomem(err);
    st = take_settings(m, s, err);
    if (st == SER_OK)
        st = read_feature_settings(&m->data.spec, &own, &m->settings, err);
    if (st == SER_OK)
        st = ser_encoders_open(&m->encoders, &m->data.spec, m->settings.encoders, m->settings.n_encoders,
                               m->settings.engine, m->settings.precision, err);
    if (st == SER_OK)
        ser_encoders_choose_layers(&m->encoders, &m->data.spec,
                                   own.layers && strcmp(own.layers, ALL_LAYERS) == 0);
    if (st == SER_OK)
        st = complete(m, err);
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
    ser_voice_network_free(&(*model)->voice);
    ser_extractor_free(&(*model)->extractor);
    ser_encoders_close(&(*model)->encoders);
    ser_model_data_release(&(*model)->data);
    ser_text_release(&(*model)->features);
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
    return answers(model) ? ser_model_data_type(&model->data) : "features";
}

const char *ser_model_features(const ser_model *model)
{
    return model->features.s;
}

size_t ser_model_feature_dims(const ser_model *model, size_t i)
{
    size_t offset, dims = 0;
    if (i < ser_extractor_n_blocks(model->extractor))
        ser_extractor_block(model->extractor, i, &offset, &dims);
    return dims;
}

const char *ser_model_provenance(const ser_model *model)
{
    return model->data.provenance;
}

double ser_model_min_confidence(const ser_model *model)
{
    return model->data.min_confidence;
}

double ser_model_min_confidence_of(const ser_model *model, size_t i)
{
    const ser_model_data *m = &model->data;
    bool plain = i < m->n_labels && ser_emotion_is_plain(m->labels[i]) && m->min_confidence_plain > 0;
    return plain ? m->min_confidence_plain : m->min_confidence;
}

/* ---- sessions ---- */

ser_status ser_session_new(ser_session **out, const ser_model *model, const ser_session_settings *settings,
                           ser_error *err)
{
    ser_session_settings own = {.n_threads = model->settings.n_threads};
    *out = NULL;
    ser_status st = SER_OK;
    if (settings)
        st = ser_take_given(&own, sizeof own, SER_FIRST_SIZE(ser_session_settings, n_threads), settings, err);
    if (st != SER_OK)
        return st;
    ser_session *s = ser_alloc(1, sizeof *s);
    if (!s)
        return ser_fail_nomem(err);
    s->model = model;
    st = ser_judge_init(&s->judge, &model->data, model->extractor, model->voice, model->ops, own.n_threads,
                        err);
    if (st != SER_OK)
        ser_session_free(&s);
    *out = s;
    return st;
}

void ser_session_free(ser_session **session)
{
    if (!session || !*session)
        return;
    ser_judge_release(&(*session)->judge);
    ser_free(*session);
    *session = NULL;
}

/* ---- prediction ---- */

/* The stated length of a recording, in seconds; 0: it states none. */
static double stated_s(const ser_audio *audio)
{
    ser_audio_info info = {0};
    ser_audio_get_info(audio, &info);
    return info.sample_rate_hz > 0 ? (double)info.n_frames_stated / info.sample_rate_hz : 0;
}

/* own: zeroed; receives what the caller wants. */
static ser_status predict(ser_session *s, ser_pcm_source source, double total_s, ser_predict_options *own,
                          const ser_predict_options *options, ser_result *r, ser_error *err)
{
    if (!answers(s->model))
        return fail_answers_nothing(err);
    ser_status st =
        options ? ser_take_given(own, sizeof *own, SER_FIRST_SIZE(ser_predict_options, context), options, err)
                : SER_OK;
    return st == SER_OK ? ser_listen(&s->judge, &source, own, total_s, r, err) : st;
}

/* Closes audio, which is NULL where opening it failed. */
static ser_status predict_audio(ser_session *s, ser_audio *audio, ser_status st,
                                const ser_predict_options *options, ser_result *r, ser_error *err)
{
    ser_predict_options own = {0};
    if (st == SER_OK)
        st = predict(s, ser_pcm_from_audio(audio), stated_s(audio), &own, options, r, err);
    if (st == SER_OK)
        snprintf(r->warning, sizeof r->warning, "%s", ser_audio_warning(audio));
    if (st == SER_OK && own.sound)
        r->sound.clipped = (float)ser_audio_clipped(audio); /* as the file has it, before resampling */
    ser_audio_close(&audio);
    return st;
}

ser_status ser_predict(ser_session *s, const float *pcm, size_t n_samples, const ser_predict_options *options,
                       ser_result *r, ser_error *err)
{
    ser_pcm_memory memory = {.pcm = pcm, .n_samples = n_samples};
    ser_predict_options own = {0};
    return predict(s, ser_pcm_from_memory(&memory), (double)n_samples / SER_SAMPLE_RATE_HZ, &own, options, r,
                   err);
}

ser_status ser_predict_file(ser_session *s, const char *path, const ser_predict_options *options,
                            ser_result *r, ser_error *err)
{
    ser_audio *audio;
    ser_status st = ser_audio_open(&audio, path, err);
    return predict_audio(s, audio, st, options, r, err);
}

ser_status ser_predict_bytes(ser_session *s, const void *bytes, size_t n_bytes,
                             const ser_predict_options *options, ser_result *r, ser_error *err)
{
    ser_audio *audio;
    ser_status st = ser_audio_open_memory(&audio, bytes, n_bytes, err);
    return predict_audio(s, audio, st, options, r, err);
}

void ser_result_release(ser_result *r)
{
    if (!r)
        return;
    ser_free(r->segments);
    ser_free(r->peaks);
    *r = (ser_result){.label = -1};
}

/* ---- features ---- */

typedef struct gathering {
    ser_feature_array array;
    size_t capacity;
} gathering;

static ser_status gather(void *context, const ser_frames *frames, ser_error *err)
{
    gathering *g = context;
    ser_feature_array *a = &g->array;
    if (!ser_grow(&a->values, &g->capacity, (a->n_rows + frames->n) * a->n_dims, sizeof *a->values))
        return ser_fail_nomem(err);
    memcpy(a->values + a->n_rows * a->n_dims, frames->x, frames->n * a->n_dims * sizeof *a->values);
    a->n_rows += frames->n;
    return SER_OK;
}

static ser_status pool_all(ser_judge *j, const ser_pcm_source *source, ser_feature_array *out, ser_error *err)
{
    ser_pooling pooled;
    size_t n = ser_pooled_dims(j->extractor);
    ser_status st = ser_pooling_init(&pooled, ser_extractor_dims(j->extractor), err);
    if (st == SER_OK)
        st = ser_listen_pooled(j, source, &pooled, err);
    float *values = st == SER_OK ? ser_alloc(n, sizeof *values) : NULL;
    if (st == SER_OK && !values)
        st = ser_fail_nomem(err);
    if (st == SER_OK) {
        ser_judge_pool(j, &pooled, values);
        *out = (ser_feature_array){.values = values, .n_rows = 1, .n_dims = n};
    }
    ser_pooling_release(&pooled);
    return st;
}

static ser_status features(ser_session *s, ser_pcm_source source, int pooled, ser_feature_array *out,
                           ser_error *err)
{
    ser_judge *j = &s->judge;
    if (pooled)
        return pool_all(j, &source, out, err);
    gathering g = {.array = {.n_dims = ser_extractor_dims(j->extractor),
                             .frames_per_s = ser_extractor_frames_per_s(j->extractor)}};
    ser_status st = ser_listen_frames(j, &source, gather, &g, err);
    if (st == SER_OK && ser_extractor_spec(j->extractor)->pool_encoder)
        ser_extractor_pool_encoder(j->extractor, g.array.values, g.array.n_rows);
    if (st == SER_OK)
        *out = g.array;
    else
        ser_free(g.array.values);
    return st;
}

static ser_status features_audio(ser_session *s, ser_audio *audio, ser_status st, int pooled,
                                 ser_feature_array *out, ser_error *err)
{
    if (st == SER_OK)
        st = features(s, ser_pcm_from_audio(audio), pooled, out, err);
    ser_audio_close(&audio);
    return st;
}

ser_status ser_features(ser_session *s, const float *pcm, size_t n_samples, int pooled,
                        ser_feature_array *out, ser_error *err)
{
    ser_pcm_memory memory = {.pcm = pcm, .n_samples = n_samples};
    return features(s, ser_pcm_from_memory(&memory), pooled, out, err);
}

ser_status ser_features_file(ser_session *s, const char *path, int pooled, ser_feature_array *out,
                             ser_error *err)
{
    ser_audio *audio;
    ser_status st = ser_audio_open(&audio, path, err);
    return features_audio(s, audio, st, pooled, out, err);
}

ser_status ser_features_bytes(ser_session *s, const void *bytes, size_t n_bytes, int pooled,
                              ser_feature_array *out, ser_error *err)
{
    ser_audio *audio;
    ser_status st = ser_audio_open_memory(&audio, bytes, n_bytes, err);
    return features_audio(s, audio, st, pooled, out, err);
}

void ser_feature_array_release(ser_feature_array *a)
{
    if (!a)
        return;
    ser_free(a->values);
    *a = (ser_feature_array){0};
}

/* ---- streams ---- */

struct ser_stream {
    ser_live *live;
};

ser_status ser_stream_open(ser_stream **out, ser_session *session, const ser_stream_settings *settings,
                           ser_error *err)
{
    ser_stream_settings own = {0};
    *out = NULL;
    if (!answers(session->model))
        return fail_answers_nothing(err);
    ser_status st = settings ? ser_take_given(&own, sizeof own, SER_FIRST_SIZE(ser_stream_settings, update_s),
                                              settings, err)
                             : SER_OK;
    if (st != SER_OK)
        return st;
    const ser_live_settings live = {.rate_hz = own.sample_rate_hz ? own.sample_rate_hz : SER_SAMPLE_RATE_HZ,
                                    .n_channels = own.n_channels ? own.n_channels : 1,
                                    .pause_s = own.pause_s != 0 ? own.pause_s : 0.5,
                                    .update_s = own.update_s < 0    ? 0
                                                : own.update_s != 0 ? own.update_s
                                                                    : 1};
    ser_stream *s = ser_alloc(1, sizeof *s);
    if (!s)
        return ser_fail_nomem(err);
    st = ser_live_new(&s->live, &session->judge, session->model->voice, &live, err);
    if (st != SER_OK)
        ser_stream_close(&s);
    *out = s;
    return st;
}

ser_status ser_stream_push(ser_stream *s, const float *samples, size_t n_frames, ser_error *err)
{
    return ser_live_push(s->live, samples, n_frames, err);
}

ser_status ser_stream_finish(ser_stream *s, ser_error *err)
{
    return ser_live_finish(s->live, err);
}

const ser_event *ser_stream_next(ser_stream *s)
{
    return ser_live_next(s->live);
}

void ser_stream_close(ser_stream **stream)
{
    if (!stream || !*stream)
        return;
    ser_live_free(&(*stream)->live);
    ser_free(*stream);
    *stream = NULL;
}

/* ---- a voice's own baseline ---- */

/* Pooled statistics of one recording into s->judge.pooled. */
static ser_status pool_file(ser_session *s, const char *path, ser_error *err)
{
    ser_audio *audio = NULL;
    ser_judge *j = &s->judge;
    ser_pooling whole = {0};
    ser_status st = ser_pooling_init(&whole, ser_extractor_dims(j->extractor), err);
    if (st == SER_OK)
        st = ser_audio_open(&audio, path, err);
    if (st == SER_OK) {
        const ser_pcm_source source = ser_pcm_from_audio(audio);
        st = ser_listen_pooled(j, &source, &whole, err);
    }
    if (st == SER_OK)
        ser_judge_pool(j, &whole, j->pooled);
    ser_audio_close(&audio);
    ser_pooling_release(&whole);
    return st == SER_OK ? st : ser_fail_within(err, st, "%s: ", path);
}

/* The session's own only once the new one is whole. */
static void replace_baseline(ser_session *s, ser_baseline *by)
{
    ser_baseline_release(&s->judge.baseline);
    s->judge.baseline = *by;
}

static ser_status set_baseline(ser_session *s, const char *const *paths, size_t n_paths, bool adapt,
                               ser_error *err)
{
    size_t n_in = s->model->data.baseline.n_in, n_values;
    size_t n_needed = adapt ? SER_ADAPT_MIN_RECORDINGS : MIN_BASELINE_RECORDINGS;
    ser_baseline fitted = {0};
    if (!n_paths) {
        replace_baseline(s, &fitted);
        return SER_OK;
    }
    ser_status st = ser_baseline_check(&s->model->data, err);
    if (st != SER_OK)
        return st;
    if (n_paths < n_needed)
        return ser_fail(err, SER_E_ARG, "at least %zu recordings are needed for that, and here are %zu",
                        n_needed, n_paths);
    float *rows = ser_mul_size(&n_values, n_paths, n_in) ? ser_alloc(n_values, sizeof *rows) : NULL;
    st = rows ? SER_OK : ser_fail_nomem(err);
    for (size_t p = 0; p < n_paths && st == SER_OK; p++) {
        st = pool_file(s, paths[p], err);
        if (st == SER_OK)
            memcpy(rows + p * n_in, s->judge.pooled, n_in * sizeof *rows);
    }
    if (st == SER_OK)
        st = ser_baseline_fit(&fitted, &s->model->data, rows, n_paths, adapt, err);
    if (st == SER_OK)
        replace_baseline(s, &fitted);
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
    ser_baseline followed = {0};
    ser_status st = ser_baseline_check(&s->model->data, err);
    if (st == SER_OK)
        st = ser_baseline_follow(&followed, &s->model->data, err);
    if (st == SER_OK)
        replace_baseline(s, &followed);
    return st;
}

ser_status ser_session_copy_baseline(ser_session *s, const ser_session *from, ser_error *err)
{
    ser_baseline copy = {0};
    if (from->model != s->model)
        return ser_fail(err, SER_E_ARG, "the sessions are of different models");
    if (from == s)
        return SER_OK;
    ser_status st = ser_baseline_copy(&copy, &from->judge.baseline, &s->model->data, err);
    if (st == SER_OK)
        replace_baseline(s, &copy);
    return st;
}

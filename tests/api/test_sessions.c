/* What the header promises of sessions: outputs after failures, a voice that is followed, structs of other
 * versions, bytes and features. With a model made here. */
#include "base/memory.h"
#include "base/random.h"
#include "failures/failing.h"
#include "model/listen.h"
#include "scratch.h"
#include "test.h"
#include "voice.h"

enum {
    N_LABELS = 3,
    N_IN = SER_N_STATISTICS * SER_LOGMEL_DIMS,
    RATE = SER_SAMPLE_RATE_HZ,
    N_LONG = 25 * RATE
};

static float pcm[N_LONG];

/* ---- a model, and recordings ---- */

static void init_head(ser_linear *l, uint64_t seed)
{
    ser_error err = {0};
    ser_random r;
    ser_random_init(&r, seed);
    CHECK_OK(ser_linear_init(l, N_IN, N_LABELS, &err), &err);
    for (size_t i = 0; i < N_IN; i++)
        l->scale[i] = 0.01f;
    for (size_t i = 0; i < N_IN * N_LABELS; i++)
        l->w[i] = (float)ser_random_normal(&r);
    l->temperature = 3;
}

static void write_model(void)
{
    static const char *const labels[N_LABELS] = {"angry", "calm", "sad"};
    ser_error err = {0};
    ser_model_data m = {.n_labels = N_LABELS};
    CHECK_OK(ser_feature_spec_parse(&m.spec, "LOGMEL", &err), &err);
    m.labels = ser_alloc(N_LABELS, sizeof *m.labels);
    for (size_t i = 0; i < N_LABELS; i++)
        m.labels[i] = ser_strdup(labels[i]);
    init_head(&m.plain, 5);
    init_head(&m.baseline, 6);
    m.baseline_spread = ser_alloc(N_IN, sizeof *m.baseline_spread);
    for (size_t i = 0; i < N_IN; i++)
        m.baseline_spread[i] = 3;
    m.min_confidence = 0.375;
    m.min_confidence_plain = 0.25;
    m.provenance = ser_strdup("{\"corpus\": \"noise\"}");
    CHECK_OK(ser_model_data_write(&m, scratch("model"), NULL, 0, &err), &err);
    ser_model_data_release(&m);
}

/* Voices of different pitch, which come nearer and go. */
static void make_sound(int seed)
{
    make_voice(pcm, N_LONG, 150 + seed % 7);
    for (size_t i = 0; i < N_LONG; i++)
        pcm[i] *= (float)(0.6 + 0.4 * sin((double)i / RATE * (0.7 + 0.1 * seed)));
}

/* A WAV file of 16-bit samples in memory; returns how many bytes. */
static size_t make_wav(unsigned char *out, size_t n_samples)
{
    unsigned n = (unsigned)(2 * n_samples), sizes[] = {36 + n, 16, 0x10001, RATE, 2 * RATE, 0x100002, n};
    memcpy(out, "RIFF....WAVEfmt ....................data....", 44);
    memcpy(out + 4, &sizes[0], 4);
    memcpy(out + 16, &sizes[1], 20);
    memcpy(out + 40, &sizes[6], 4);
    for (size_t i = 0; i < n_samples; i++) {
        short s = (short)lrintf(32767 * pcm[i]);
        memcpy(out + 44 + 2 * i, &s, 2);
    }
    return 44 + n;
}

static ser_session *new_session(const ser_model *model)
{
    ser_error err = {0};
    ser_session *s = NULL;
    const ser_session_settings settings = {.size = sizeof settings, .n_threads = 1};
    CHECK_OK(ser_session_new(&s, model, &settings, &err), &err);
    return s;
}

static void ask(ser_session *s, size_t n_samples, int timeline, ser_result *r)
{
    ser_error err = {0};
    const ser_predict_options options = {.size = sizeof options, .timeline = timeline};
    CHECK_OK(ser_predict(s, pcm, n_samples, &options, r, &err), &err);
}

/* ---- a voice that is followed ---- */

/* Answers of two sessions that differ in what else is asked. */
static void test_follow(const ser_model *model)
{
    static const size_t lengths[] = {2 * RATE, N_LONG, 9 * RATE, 12 * RATE, 3 * RATE};
    ser_error err = {0};
    ser_session *plain = new_session(model), *picture = new_session(model), *fresh = new_session(model);
    CHECK_OK(ser_session_follow_voice(plain, &err), &err);
    CHECK_OK(ser_session_follow_voice(picture, &err), &err);
    CHECK_OK(ser_session_follow_voice(fresh, &err), &err);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        ser_result a = {0}, b = {0}, c = {0};
        make_sound((int)i);
        ask(plain, lengths[i], 0, &a);
        ask(picture, lengths[i], 1, &b);
        CHECK(a.label >= 0 && memcmp(a.scores, b.scores, sizeof a.scores) == 0 && b.n_segments > 0);
        if (i == 2) /* what came before counts */
            ask(fresh, lengths[i], 0, &c);
        CHECK(i != 2 || memcmp(a.scores, c.scores, sizeof a.scores) != 0);
        ser_result_release(&a);
        ser_result_release(&b);
        ser_result_release(&c);
    }
    ser_session_free(&plain);
    ser_session_free(&picture);
    ser_session_free(&fresh);
}

/* A recording joins once, however long it is, and silence not at all. */
static void test_joins_once(void)
{
    static const struct {
        size_t n_samples, n_heard;
        int timeline;
    } steps[] = {{N_LONG, 1, 0}, {2 * RATE, 2, 1}, {N_LONG, 3, 1}, {2 * RATE, 3, 0}};
    ser_error err = {0};
    ser_safetensors *file = NULL;
    ser_model_data m = {0};
    ser_extractor *e = NULL;
    ser_judge j = {0};
    ser_voice_network *voice = NULL;
    CHECK_OK(ser_safetensors_open(&file, scratch("model"), &err), &err);
    CHECK_OK(ser_model_data_read(&m, file, &err), &err);
    CHECK_OK(ser_extractor_new(&e, &m.spec, NULL, &err), &err);
    CHECK_OK(ser_voice_network_new(&voice, &err), &err);
    CHECK_OK(ser_judge_init(&j, &m, e, voice, NULL, 1, &err), &err);
    CHECK_OK(ser_baseline_follow(&j.baseline, &m, &err), &err);
    make_sound(1);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (i == 3)
            memset(pcm, 0, sizeof pcm);
        ser_result r = {0};
        ser_pcm_memory memory = {.pcm = pcm, .n_samples = steps[i].n_samples};
        const ser_pcm_source source = ser_pcm_from_memory(&memory);
        const ser_predict_options options = {.timeline = steps[i].timeline};
        CHECK_OK(ser_listen(&j, &source, &options, 0, &r, &err), &err);
        CHECK(j.baseline.n_heard == steps[i].n_heard);
        ser_result_release(&r);
    }
    ser_judge_release(&j);
    ser_voice_network_free(&voice);
    ser_extractor_free(&e);
    ser_model_data_release(&m);
    ser_safetensors_close(&file);
}

/* ---- failures ---- */

static int stop(void *context, double heard_s, double total_s)
{
    CHECK(total_s == 25);
    *(double *)context = heard_s;
    return heard_s > 5;
}

static void test_failures_leave_outputs(const ser_model *model)
{
    ser_error err = {0};
    ser_session *s = new_session(model);
    ser_result r, old;
    double heard_s = 0;
    ser_predict_options options = {
        .size = sizeof options, .timeline = 1, .n_peaks = 10, .on_progress = stop, .context = &heard_s};
    make_sound(3);
    memset(&r, 0x5a, sizeof r);
    old = r;
    CHECK(ser_predict(s, pcm, 399, NULL, &r, &err) == SER_E_FORMAT);
    CHECK(ser_predict_file(s, "/nowhere.wav", NULL, &r, &err) == SER_E_IO);
    CHECK(ser_predict_bytes(s, "no sound", 8, NULL, &r, &err) == SER_E_FORMAT);
    CHECK(ser_predict(s, pcm, N_LONG, &options, &r, &err) == SER_E_CANCELLED && heard_s > 5 && heard_s < 7);
    pcm[20 * RATE] = NAN; /* when segments are there already */
    options.on_progress = NULL;
    CHECK(ser_predict(s, pcm, N_LONG, &options, &r, &err) == SER_E_FORMAT && strstr(err.text, "20.000 s"));
    CHECK(memcmp(&r, &old, sizeof r) == 0);
    ser_feature_array a, untouched;
    memset(&a, 0x5a, sizeof a);
    untouched = a;
    CHECK(ser_features(s, pcm, N_LONG, 0, &a, &err) == SER_E_FORMAT);
    CHECK(ser_features(s, pcm, 0, 1, &a, &err) == SER_E_FORMAT);
    CHECK(memcmp(&a, &untouched, sizeof a) == 0);
    ser_session_free(&s);
}

static void test_failures_keep_the_baseline(const ser_model *model)
{
    static unsigned char wav[44 + 2 * 2 * RATE];
    const char *paths[] = {scratch("0.wav"), scratch("1.wav"), scratch("2.wav"), "/nowhere.wav"};
    ser_error err = {0};
    ser_session *s = new_session(model), *other = new_session(model);
    ser_result none = {0}, r = {0};
    for (uint64_t i = 0; i < 3; i++) {
        make_sound(10 + (int)i);
        scratch_put(i == 0 ? "0.wav" : i == 1 ? "1.wav" : "2.wav", wav, make_wav(wav, 2 * RATE));
    }
    make_sound(20);
    ask(s, 2 * RATE, 0, &none);
    CHECK_OK(ser_session_set_baseline(s, paths, 3, &err), &err);
    ask(s, 2 * RATE, 0, &r);
    CHECK(memcmp(none.scores, r.scores, sizeof r.scores) != 0);
    const ser_result with = r;
    CHECK(ser_session_set_baseline(s, paths, 4, &err) == SER_E_IO);
    CHECK(ser_session_set_baseline(s, paths, 2, &err) == SER_E_ARG);
    CHECK(ser_session_adapt(s, paths, 3, &err) == SER_E_ARG);
    CHECK_OK(ser_session_copy_baseline(s, s, &err), &err);
    for (long n = 0; n < 3; n++) {
        failing_at(n);
        CHECK(ser_session_follow_voice(s, &err) == SER_E_NOMEM);
        failing_at(-1);
    }
    ask(s, 2 * RATE, 0, &r);
    CHECK(memcmp(with.scores, r.scores, sizeof r.scores) == 0);
    CHECK_OK(ser_session_copy_baseline(other, s, &err), &err);
    ask(other, 2 * RATE, 0, &r);
    CHECK(memcmp(with.scores, r.scores, sizeof r.scores) == 0);
    CHECK_OK(ser_session_set_baseline(s, NULL, 0, &err), &err);
    ask(s, 2 * RATE, 0, &r);
    CHECK(memcmp(none.scores, r.scores, sizeof r.scores) == 0);
    ser_session_free(&s);
    ser_session_free(&other);
}

/* ---- versions ---- */

/* Memory behind a struct of another version, which must not be looked at or written to. */
typedef struct padded {
    union {
        ser_settings settings;
        ser_session_settings session;
        ser_predict_options options;
    } of;
    unsigned char behind[64];
} padded;

static void test_sizes(const ser_model *model)
{
    ser_error err = {0};
    ser_model *other = NULL;
    ser_session *s = NULL;
    ser_result r = {0};
    padded p;
    /* From before encoders could be named. */
    memset(&p, 0xff, sizeof p);
    ser_settings_init(&p.of.settings, offsetof(ser_settings, encoders));
    CHECK(p.of.settings.n_encoders == SIZE_MAX && p.of.settings.size == offsetof(ser_settings, encoders));
    CHECK_OK(ser_model_open(&other, scratch("model"), &p.of.settings, &err), &err);
    ser_model_close(&other);
    /* From before somebody could be told, and without a size: as version 1 began. */
    memset(&p, 0xff, sizeof p);
    p.of.options.size = offsetof(ser_predict_options, on_progress);
    p.of.options.timeline = 1;
    p.of.options.n_peaks = 0;
    s = new_session(model);
    CHECK_OK(ser_predict(s, pcm, 2 * RATE, &p.of.options, &r, &err), &err);
    CHECK(r.n_segments > 0);
    ser_result_release(&r);
    p.of.options = (ser_predict_options){.n_peaks = 4};
    CHECK_OK(ser_predict(s, pcm, 2 * RATE, &p.of.options, &r, &err), &err);
    CHECK(r.n_peaks == 4 && r.peaks[0] > 0.01f);
    ser_result_release(&r);
    /* From a later version: fine while what it added is not used. */
    memset(&p, 0, sizeof p);
    p.of.options.size = sizeof p;
    CHECK_OK(ser_predict(s, pcm, 2 * RATE, &p.of.options, &r, &err), &err);
    p.behind[60] = 1;
    CHECK_FAILS(ser_predict(s, pcm, 2 * RATE, &p.of.options, &r, &err), SER_E_UNSUPPORTED, &err,
                "newer library");
    p.of.options.size = 3;
    CHECK_FAILS(ser_predict(s, pcm, 2 * RATE, &p.of.options, &r, &err), SER_E_ARG, &err, "sizeof");
    ser_session_free(&s);
    ser_settings_init(&p.of.settings, sizeof p); /* as a later header would */
    CHECK_OK(ser_model_open(&other, scratch("model"), &p.of.settings, &err), &err);
    ser_model_close(&other);
    memset(&p, 0xff, sizeof p);
    p.of.session.size = sizeof p.of.session.size;
    CHECK_OK(ser_session_new(&s, model, &p.of.session, &err), &err);
    ser_session_free(&s);
    CHECK(ser_api_version() == SER_API_VERSION);
    CHECK(strcmp(ser_status_name(SER_E_CANCELLED), "SER_E_CANCELLED") == 0);
    CHECK(strcmp(ser_status_name((ser_status)-99), "unknown") == 0);
}

/* ---- bytes, features, facts ---- */

static void test_bytes_and_features(const ser_model *model)
{
    static unsigned char wav[44 + 2 * N_LONG];
    enum { N = 12 * RATE };
    ser_error err = {0};
    ser_session *s = new_session(model);
    ser_result a = {0}, b = {0};
    ser_feature_array frames = {0}, pooled = {0}, other = {0};
    make_sound(4);
    size_t n_bytes = make_wav(wav, N);
    for (size_t i = 0; i < N; i++)
        pcm[i] = (float)((short)lrintf(32767 * pcm[i])) / 32768;
    scratch_put("a.wav", wav, n_bytes);
    CHECK_OK(ser_predict_bytes(s, wav, n_bytes, NULL, &a, &err), &err);
    CHECK_OK(ser_predict_file(s, scratch("a.wav"), NULL, &b, &err), &err);
    CHECK(a.label >= 0 && memcmp(&a, &b, sizeof a) == 0 && a.duration_s == 12);
    CHECK_OK(ser_predict(s, pcm, N, NULL, &b, &err), &err);
    CHECK(memcmp(a.scores, b.scores, sizeof a.scores) == 0);
    CHECK_OK(ser_features(s, pcm, N, 0, &frames, &err), &err);
    CHECK(frames.n_rows == 601 && frames.n_dims == SER_LOGMEL_DIMS && frames.frames_per_s == 50);
    CHECK_OK(ser_features_file(s, scratch("a.wav"), 0, &other, &err), &err);
    CHECK(other.n_rows == frames.n_rows &&
          memcmp(frames.values, other.values, frames.n_rows * frames.n_dims * sizeof(float)) == 0);
    ser_feature_array_release(&other);
    CHECK_OK(ser_features_bytes(s, wav, n_bytes, 1, &pooled, &err), &err);
    CHECK(pooled.n_rows == 1 && pooled.n_dims == N_IN && pooled.frames_per_s == 0);
    double mean = 0;
    for (size_t t = 0; t < frames.n_rows; t++)
        mean += (double)frames.values[t * frames.n_dims + 7] / (double)frames.n_rows;
    CHECK(fabs(mean - (double)pooled.values[7]) < 1e-3);
    CHECK(!frames.reserved[0] && !a.reserved[0]);
    ser_feature_array_release(&frames);
    ser_feature_array_release(&pooled);
    ser_feature_array_release(NULL);
    ser_session_free(&s);
    CHECK(ser_model_min_confidence(model) == 0.375);
    CHECK(ser_model_min_confidence_of(model, 0) == 0.375 && ser_model_min_confidence_of(model, 1) == 0.25);
    CHECK(ser_model_min_confidence_of(model, N_LABELS) == 0.375);
    CHECK(strcmp(ser_model_features(model), "LOGMEL(hop=320)") == 0);
    CHECK(strcmp(ser_model_provenance(model), "{\"corpus\": \"noise\"}") == 0);
}

/* A model of features alone: their frames are the model's own; it answers nothing. */
static void test_features_alone(const ser_model *model)
{
    ser_error err = {0};
    ser_model *reader = NULL;
    ser_session *with = new_session(model), *s;
    ser_feature_array ours = {0}, theirs = {0};
    ser_result r = {0};
    ser_stream *stream;
    const char *const a_wav = scratch("a.wav");
    ser_feature_settings wanted = {.size = sizeof wanted, .type = "LOGMEL"};
    CHECK_OK(ser_model_open_features(&reader, &wanted, NULL, &err), &err);
    s = new_session(reader);
    CHECK_OK(ser_features_file(with, a_wav, 0, &theirs, &err), &err);
    CHECK_OK(ser_features_file(s, a_wav, 0, &ours, &err), &err);
    CHECK(ours.n_rows == theirs.n_rows && ours.n_rows &&
          memcmp(ours.values, theirs.values, ours.n_rows * ours.n_dims * sizeof(float)) == 0);
    CHECK(ser_model_feature_dims(reader, 0) == SER_LOGMEL_DIMS && ser_model_feature_dims(reader, 1) == 0);
    CHECK(strcmp(ser_model_type(reader), "features") == 0 && ser_model_n_labels(reader) == 0);
    CHECK(ser_predict_file(s, a_wav, NULL, &r, &err) == SER_E_UNSUPPORTED);
    CHECK(ser_stream_open(&stream, s, NULL, &err) == SER_E_UNSUPPORTED);
    const char *paths[] = {a_wav, a_wav, a_wav};
    CHECK(ser_session_set_baseline(s, paths, 3, &err) == SER_E_UNSUPPORTED);
    CHECK(ser_session_follow_voice(s, &err) == SER_E_UNSUPPORTED);
    ser_feature_array_release(&ours);
    ser_feature_array_release(&theirs);
    ser_session_free(&s);
    ser_session_free(&with);
    ser_model_close(&reader);
    const ser_feature_settings wrong[] = {{.size = sizeof wanted},
                                          {.size = sizeof wanted, .type = "NOSUCH"},
                                          {.size = sizeof wanted, .type = "LOGMEL", .layers = "1"},
                                          {.size = sizeof wanted, .type = "LOGMEL", .hop_samples = 15},
                                          {.size = sizeof wanted, .type = "LOGMEL", .pad_s = 31}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK(ser_model_open_features(&reader, &wrong[i], NULL, &err) == SER_E_ARG && !reader);
}

/* Encoders: which features a checkpoint gives, and all of its hidden states. */
static void test_features_of_an_encoder(void)
{
    ser_error err = {0};
    ser_model *reader = NULL;
    char folder[4096];
    snprintf(folder, sizeof folder, "%s/golden/encoder/tiny", getenv("SER_TEST_DIR"));
    const char *encoders[] = {folder};
    const ser_settings by = {.size = sizeof by, .encoders = encoders, .n_encoders = 1};
    const ser_feature_settings all = {.size = sizeof all, .layers = "all"}, usual = {.size = sizeof usual};
    CHECK_OK(ser_model_open_features(&reader, &all, &by, &err), &err);
    CHECK(reader && strncmp(ser_model_features(reader), "WHISPER(layers=0,1,2", 20) == 0);
    ser_model_close(&reader);
    CHECK_OK(ser_model_open_features(&reader, &usual, &by, &err), &err);
    CHECK(reader && strncmp(ser_model_features(reader), "WHISPER(layers=", 15) == 0 &&
          !strchr(ser_model_features(reader), ','));
    ser_model_close(&reader);
}

static void test_samples(void)
{
    ser_error err = {0};
    ser_samples whole = {0}, part = {0};
    const char *const a_wav = scratch("a.wav");
    CHECK_OK(ser_samples_read_file(&whole, a_wav, NULL, &err), &err);
    CHECK(whole.n_samples > 2 * RATE && whole.file_rate_hz == RATE && whole.file_channels == 1 &&
          !*whole.warning);
    const ser_samples_options middle = {.size = sizeof middle, .start_s = 0.5, .end_s = 1.25};
    CHECK_OK(ser_samples_read_file(&part, a_wav, &middle, &err), &err);
    CHECK(part.n_samples == RATE * 3 / 4 &&
          memcmp(part.samples, whole.samples + RATE / 2, part.n_samples * sizeof(float)) == 0);
    ser_samples_release(&part);
    const double end_s = (double)whole.n_samples / RATE;
    const ser_samples_options over = {.size = sizeof over, .start_s = end_s - 0.25, .end_s = 1e9};
    CHECK_OK(ser_samples_read_file(&part, a_wav, &over, &err), &err);
    CHECK(part.n_samples == RATE / 4);
    ser_samples_release(&part);
    const ser_samples_options behind = {.size = sizeof behind, .start_s = end_s + 1};
    CHECK_OK(ser_samples_read_file(&part, a_wav, &behind, &err), &err);
    CHECK(part.n_samples == 0);
    ser_samples_release(&part);
    static unsigned char wav[44 + 2 * RATE];
    size_t n_bytes = make_wav(wav, RATE);
    CHECK_OK(ser_samples_read_bytes(&part, wav, n_bytes, &middle, &err), &err);
    CHECK(part.n_samples == RATE / 2);
    ser_samples_release(&part);
    const ser_samples_options wrong[] = {{.size = sizeof over, .start_s = -1},
                                         {.size = sizeof over, .start_s = 2, .end_s = 1},
                                         {.size = sizeof over, .start_s = 1, .end_s = 1},
                                         {.size = sizeof over, .end_s = NAN},
                                         {.size = sizeof over, .end_s = INFINITY}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK(ser_samples_read_file(&part, a_wav, &wrong[i], &err) == SER_E_ARG);
    CHECK(ser_samples_read_file(&part, "/nowhere.wav", NULL, &err) == SER_E_IO && !part.samples);
    ser_samples_release(&whole);
    ser_samples_release(NULL);
}

/* ---- how it sounds ---- */

static ser_acoustics sound_of(ser_session *s, size_t n)
{
    ser_error err = {0};
    ser_result r = {0};
    const ser_predict_options wish = {.size = sizeof wish, .sound = 1};
    CHECK_OK(ser_predict(s, pcm, n, &wish, &r, &err), &err);
    ser_acoustics sound = r.sound;
    ser_result_release(&r);
    return sound;
}

/* Of a voice with a pause behind it, short and long, which are heard in two ways. */
static void test_sound(const ser_model *model)
{
    ser_error err = {0};
    ser_session *s = NULL;
    CHECK_OK(ser_session_new(&s, model, NULL, &err), &err);
    const size_t lengths[] = {3 * RATE + 100, 11 * RATE};
    for (size_t k = 0; k < 2 && s; k++) {
        size_t n = lengths[k], n_voice = n / 4 * 3;
        double voice_s = (double)n_voice / RATE, pi = acos(-1);
        make_voice(pcm, n_voice, 140);
        for (size_t i = 0; i < n; i++) /* a tone of 1 kHz as noise, at -49 dB */
            pcm[i] = (i < n_voice ? pcm[i] : 0) + 0.005f * (float)sin(2 * pi * (double)i / 16);
        ser_acoustics a = sound_of(s, n), b;
        CHECK((double)a.voice_s > voice_s / 2 && (double)a.voice_s < voice_s + 0.1);
        CHECK(a.noise_db < -48 && a.level_db > -40 && a.level_db < -10);
        CHECK(a.snr_db > 10 && a.bandwidth_hz > 2000 && a.bandwidth_hz <= 8000 && a.clipped == 0);
        for (size_t i = 0; i < n; i++)
            pcm[i] = fminf(fmaxf(pcm[i], -0.12f), 0.12f);
        b = sound_of(s, n);
        CHECK(b.clipped > 0.002f && b.clipped < 0.2f && b.level_db < a.level_db);
    }
    ser_result r = {0};
    CHECK_OK(ser_predict(s, pcm, RATE, NULL, &r, &err), &err);
    CHECK(r.sound.voice_s == 0 && r.sound.level_db == 0); /* nobody asked */
    ser_result_release(&r);
    memset(pcm, 0, sizeof pcm);
    ser_acoustics none = sound_of(s, RATE);
    CHECK(none.voice_s == 0 && isnan(none.bandwidth_hz) && isnan(none.level_db) && none.clipped == 0);
    ser_session_free(&s);
}

int main(void)
{
    ser_error err = {0};
    ser_model *model = NULL;
    scratch_make();
    write_model();
    CHECK_OK(ser_model_open(&model, scratch("model"), NULL, &err), &err);
    if (model) {
        test_follow(model);
        test_joins_once();
        test_failures_leave_outputs(model);
        test_failures_keep_the_baseline(model);
        test_sizes(model);
        test_bytes_and_features(model);
        test_features_alone(model);
        test_features_of_an_encoder();
        test_samples();
        test_sound(model);
    }
    ser_model_close(&model);
    scratch_remove();
    return test_summary();
}

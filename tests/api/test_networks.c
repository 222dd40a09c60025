/* Predictions of temporal networks, alone and beside a linear part, against the networks asked by hand. */
#include "base/memory.h"
#include "base/random.h"
#include "failures/failing.h"
#include "model/model_file.h"
#include "model/pooled.h"
#include "scratch.h"
#include "test.h"
#include "voice.h"

enum { N_LABELS = 3, N_NETWORKS = 2, N_LONG = 70 * SER_SAMPLE_RATE_HZ, N_SHORT = 3 * SER_SAMPLE_RATE_HZ };

static float pcm[N_LONG];
static ser_extractor *extractor;

/* ---- models ---- */

static void init_network(ser_timnet_member *m, uint64_t seed, size_t n_in)
{
    ser_error err = {0};
    ser_timnet_shape shape = ser_timnet_default_shape(n_in, N_LABELS);
    shape.n_filters = 8;
    shape.n_dilations = 4;
    shape.n_stacks = 1;
    CHECK_OK(ser_timnet_member_init(m, &shape, &err), &err);
    ser_timnet_randomise(m->net, seed);
    for (size_t i = 0; i < n_in; i++) {
        m->mean[i] = -20;
        m->scale[i] = 0.2f;
    }
    m->temperature = 0.3f;
}

static void init_head(ser_linear *l, size_t n_labels)
{
    ser_error err = {0};
    ser_random r;
    ser_random_init(&r, 5);
    CHECK_OK(ser_linear_init(l, SER_N_STATISTICS * SER_LOGMEL_DIMS, n_labels, &err), &err);
    for (size_t i = 0; i < l->n_in; i++)
        l->scale[i] = 0.01f;
    for (size_t i = 0; i < l->n_in * n_labels; i++)
        l->w[i] = (float)ser_random_normal(&r);
    l->temperature = 1;
}

typedef struct parts {
    bool linear, networks;
    size_t n_in, n_averaged;
} parts;

static void write_model(ser_model_data *m, const char *name, parts p)
{
    static const char *const labels[N_LABELS] = {"angry", "calm", "sad"};
    ser_error err = {0};
    *m = (ser_model_data){.n_labels = N_LABELS};
    CHECK_OK(ser_feature_spec_parse(&m->spec, "LOGMEL", &err), &err);
    m->labels = ser_alloc(N_LABELS, sizeof *m->labels);
    for (size_t i = 0; i < N_LABELS; i++)
        m->labels[i] = ser_strdup(labels[i]);
    if (p.linear)
        init_head(&m->plain, N_LABELS);
    if (p.networks) {
        m->networks = ser_alloc(N_NETWORKS, sizeof *m->networks);
        for (m->n_networks = 0; m->n_networks < N_NETWORKS; m->n_networks++) {
            init_network(&m->networks[m->n_networks], m->n_networks, p.n_in ? p.n_in : SER_LOGMEL_DIMS);
            m->networks[m->n_networks].condense.n_averaged = p.n_averaged;
        }
    }
    CHECK_OK(ser_model_data_write(m, scratch(name), NULL, 0, &err), &err);
}

/* The answer of a model in a file; the result's segments are moved to *r. */
static void predict(const char *name, size_t n_samples, int timeline, ser_result *r)
{
    ser_error err = {0};
    ser_model *model = NULL;
    ser_session *session = NULL;
    const ser_predict_options options = {.timeline = timeline};
    CHECK_OK(ser_model_open(&model, scratch(name), NULL, &err), &err);
    CHECK_OK(ser_session_new(&session, model, NULL, &err), &err);
    CHECK_OK(ser_predict(session, pcm, n_samples, &options, r, &err), &err);
    ser_session_free(&session);
    ser_model_close(&model);
}

/* ---- by hand ---- */

typedef struct all_frames {
    float *x;
    size_t n;
} all_frames;

static ser_status append(void *context, const ser_frames *frames, ser_error *err)
{
    (void)err;
    all_frames *a = context;
    memcpy(a->x + a->n * SER_LOGMEL_DIMS, frames->x, frames->n * SER_LOGMEL_DIMS * sizeof *a->x);
    a->n += frames->n;
    return SER_OK;
}

static all_frames extract(size_t n_samples)
{
    ser_error err = {0};
    all_frames a = {.x = ser_alloc((n_samples / SER_DEFAULT_HOP + 2) * SER_LOGMEL_DIMS, sizeof(float))};
    ser_extractor_work *work = NULL;
    ser_pcm_memory memory = {.pcm = pcm, .n_samples = n_samples};
    ser_pcm_source source = ser_pcm_from_memory(&memory);
    CHECK_OK(ser_extractor_work_new(&work, extractor, 1, &err), &err);
    CHECK_OK(ser_extract(extractor, work, &source, append, &a, &err), &err);
    ser_extractor_work_free(&work);
    return a;
}

/* scores: the mean over stretches of frames from[i] ... to[i]. */
static void ask(const ser_model_data *m, const float *x, const size_t *from, const size_t *to, size_t n,
                float *scores)
{
    ser_error err = {0};
    ser_nn_ops *ops = NULL;
    ser_nn_work *nn = NULL;
    ser_timnet_scorer *scorer = NULL;
    const ser_timnet_layout layout = {.dims = SER_LOGMEL_DIMS};
    CHECK_OK(ser_nn_ops_new(&ops, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, &err), &err);
    CHECK_OK(ser_nn_work_new(&nn, ops, 1, &err), &err);
    CHECK_OK(ser_timnet_scorer_new(&scorer, m->networks, m->n_networks, &layout, nn, &err), &err);
    memset(scores, 0, N_LABELS * sizeof *scores);
    for (size_t i = 0; i < n; i++) {
        float one[N_LABELS];
        size_t n_frames = to[i] - from[i];
        const ser_timnet_batch batch = {1, (const float *const[]){x + from[i] * SER_LOGMEL_DIMS}, &n_frames};
        CHECK_OK(ser_timnet_score(scorer, &batch, one, &err), &err);
        for (size_t l = 0; l < N_LABELS; l++)
            scores[l] += one[l] / (float)n;
    }
    ser_timnet_scorer_free(&scorer);
    ser_nn_work_free(&nn);
    ser_nn_ops_free(&ops);
}

/* ---- tests ---- */

static void test_short(const ser_model_data *networks)
{
    ser_result r, with_timeline, linear, both;
    all_frames a = extract(N_SHORT);
    const size_t from = 0, to = a.n;
    float expected[N_LABELS];
    ask(networks, a.x, &from, &to, 1, expected);
    predict("networks", N_SHORT, 0, &r);
    check_close("short", r.scores, expected, N_LABELS, 1e-5, 1e-6);
    CHECK(r.label >= 0 && r.confidence == r.scores[r.label] && r.n_segments == 0 && r.duration_s == 3);
    predict("networks", N_SHORT, 1, &with_timeline);
    CHECK(memcmp(r.scores, with_timeline.scores, sizeof r.scores) == 0);
    CHECK(with_timeline.n_segments > 0 && with_timeline.segments[0].start_s == 0 &&
          with_timeline.segments[with_timeline.n_segments - 1].end_s == 3);
    predict("linear", N_SHORT, 0, &linear);
    predict("both", N_SHORT, 0, &both);
    for (size_t l = 0; l < N_LABELS; l++)
        expected[l] = (r.scores[l] + linear.scores[l]) / 2;
    check_close("average", both.scores, expected, N_LABELS, 1e-6, 1e-6);
    CHECK(fabsf(linear.scores[0] - r.scores[0]) > 1e-3f);
    ser_result_release(&with_timeline);
    ser_free(a.x);
}

/* Networks that read the means of four frames. */
static void test_averaged(const ser_model_data *averaged)
{
    enum { AT_ONCE = 4 };
    ser_result r;
    all_frames a = extract(N_SHORT);
    size_t from = 0, n = 0;
    float expected[N_LABELS];
    for (size_t t = 0; t < a.n; t += AT_ONCE, n++)
        for (size_t i = 0; i < SER_LOGMEL_DIMS; i++) {
            size_t n_there = a.n - t < AT_ONCE ? a.n - t : AT_ONCE;
            double sum = 0;
            for (size_t k = 0; k < n_there; k++)
                sum += (double)a.x[(t + k) * SER_LOGMEL_DIMS + i];
            a.x[n * SER_LOGMEL_DIMS + i] = (float)(sum / (double)n_there);
        }
    ask(averaged, a.x, &from, &n, 1, expected);
    predict("averaged", N_SHORT, 0, &r);
    check_close("averaged", r.scores, expected, N_LABELS, 1e-4, 1e-5);
    ser_free(a.x);
}

/* The mean over stretches of three seconds, one per second, whether or not somebody wants the timeline. */
static void test_long(const ser_model_data *networks)
{
    enum { PER_CELL = 50, MAX_CELLS = 80 };
    ser_result r, with_timeline;
    all_frames a = extract(N_LONG);
    size_t from[MAX_CELLS], to[MAX_CELLS], n = (a.n + PER_CELL / 2) / PER_CELL;
    float expected[N_LABELS];
    for (size_t i = 0; i < n; i++) {
        from[i] = i ? (i - 1) * PER_CELL : 0;
        to[i] = (i + 2) * PER_CELL < a.n ? (i + 2) * PER_CELL : a.n;
    }
    ask(networks, a.x, from, to, n, expected);
    predict("networks", N_LONG, 0, &r);
    check_close("long", r.scores, expected, N_LABELS, 1e-4, 1e-5);
    predict("networks", N_LONG, 1, &with_timeline);
    CHECK(memcmp(r.scores, with_timeline.scores, sizeof r.scores) == 0);
    for (size_t i = 0; i < with_timeline.n_segments; i++) {
        const ser_segment *s = &with_timeline.segments[i];
        float sum = s->scores[0] + s->scores[1] + s->scores[2];
        CHECK(fabsf(sum - 1) < 1e-5f && s->start_s == (i ? s[-1].end_s : 0));
    }
    CHECK(with_timeline.n_segments > 0 && with_timeline.segments[with_timeline.n_segments - 1].end_s == 70);
    ser_result_release(&with_timeline);
    ser_free(a.x);
}

static void make_noise(float *x, size_t n)
{
    ser_random r;
    ser_random_init(&r, 1);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(0.003 * ser_random_normal(&r));
}

/* Whatever the model: noise is no voice, and where in a long recording there is one is told. */
static void test_voice(void)
{
    enum { FROM_S = 20, TO_S = 41 };
    const char *const names[] = {"networks", "linear"};
    ser_result r;
    float *voice = ser_alloc(N_LONG, sizeof *voice);
    memcpy(voice, pcm, sizeof pcm);
    make_noise(pcm, N_LONG);
    for (int i = 0; i < 2; i++) {
        predict(names[i], N_SHORT, 1, &r);
        CHECK(r.label == -1 && r.note == SER_NOTE_NO_VOICE && r.n_segments == 1 && r.segments[0].label == -1);
        ser_result_release(&r);
        predict(names[i], N_LONG, 0, &r);
        CHECK(r.label == -1 && r.note == SER_NOTE_NO_VOICE);
    }
    memcpy(pcm + FROM_S * SER_SAMPLE_RATE_HZ, voice,
           (TO_S - FROM_S) * SER_SAMPLE_RATE_HZ * sizeof *voice); /* cells end there */
    for (int i = 0; i < 2; i++) {
        predict(names[i], N_LONG, 1, &r);
        CHECK(r.label >= 0 && r.n_segments >= 3 && r.segments[0].label == -1);
        if (r.n_segments) {
            const ser_segment *last = &r.segments[r.n_segments - 1];
            CHECK(fabs(r.segments[0].end_s - FROM_S) < 1.1 && fabs(last->start_s - TO_S) < 1.1);
            CHECK(last->label == -1);
        }
        ser_result_release(&r);
    }
    memset(pcm, 0, N_SHORT * sizeof *pcm);
    predict("networks", N_SHORT, 1, &r);
    CHECK(r.label == -1 && r.note == SER_NOTE_SILENCE && r.n_segments == 0);
    memcpy(pcm, voice, sizeof pcm);
    ser_free(voice);
}

static void test_refusals(void)
{
    ser_error err = {0};
    ser_model *model = NULL;
    ser_session *session = NULL;
    const char *const paths[] = {"a.wav", "b.wav", "c.wav"};
    CHECK_FAILS(ser_model_open(&model, scratch("narrow"), NULL, &err), SER_E_FORMAT, &err,
                "network 1 takes 100 features");
    CHECK(!model);
    CHECK_OK(ser_model_open(&model, scratch("both"), NULL, &err), &err);
    CHECK(strcmp(ser_model_type(model), "linear+timnet") == 0);
    CHECK_OK(ser_session_new(&session, model, NULL, &err), &err);
    CHECK_FAILS(ser_session_set_baseline(session, paths, 3, &err), SER_E_UNSUPPORTED, &err,
                "temporal networks");
    CHECK_OK(ser_session_set_baseline(session, NULL, 0, &err), &err);
    ser_session_free(&session);
    ser_status st = SER_E_NOMEM;
    for (long n = 0; st != SER_OK && n < 1000; n++) {
        failing_at(n);
        st = ser_session_new(&session, model, NULL, &err);
        CHECK(st == SER_OK || (st == SER_E_NOMEM && !session));
    }
    for (long n = 0; st == SER_OK && n < 300; n++) {
        ser_result r = {0};
        failing_at(n);
        ser_status predicted = ser_predict(session, pcm, N_SHORT, NULL, &r, &err);
        CHECK(predicted == SER_OK || predicted == SER_E_NOMEM);
        ser_result_release(&r);
    }
    failing_at(-1);
    ser_session_free(&session);
    ser_model_close(&model);
}

int main(void)
{
    ser_error err = {0};
    ser_model_data models[5];
    scratch_make();
    make_voice(pcm, N_LONG, 150);
    write_model(&models[0], "networks", (parts){.networks = true});
    write_model(&models[1], "linear", (parts){.linear = true});
    write_model(&models[2], "both", (parts){.linear = true, .networks = true});
    write_model(&models[3], "narrow", (parts){.networks = true, .n_in = 100});
    write_model(&models[4], "averaged", (parts){.networks = true, .n_averaged = 4});
    CHECK_OK(ser_extractor_new(&extractor, &models[0].spec, NULL, &err), &err);
    test_short(&models[0]);
    test_averaged(&models[4]);
    test_long(&models[0]);
    test_voice();
    test_refusals();
    ser_extractor_free(&extractor);
    for (size_t i = 0; i < 5; i++)
        ser_model_data_release(&models[i]);
    scratch_remove();
    return test_summary();
}

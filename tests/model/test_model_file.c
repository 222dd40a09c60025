#include "base/memory.h"
#include "base/random.h"
#include "model/model_file.h"
#include "model/timeline.h"
#include "scratch.h"
#include "test.h"

static void fill(ser_linear *l, size_t n_in, size_t n_labels, uint64_t seed)
{
    ser_random r;
    ser_random_init(&r, seed);
    CHECK_OK(ser_linear_init(l, n_in, n_labels, &(ser_error){0}), &(ser_error){0});
    for (size_t i = 0; i < n_in; i++) {
        l->mean[i] = (float)ser_random_normal(&r);
        l->scale[i] = (float)ser_random_uniform(&r);
    }
    for (size_t i = 0; i < n_in * n_labels; i++)
        l->w[i] = (float)ser_random_normal(&r);
    l->bias[0] = 1.5f;
    l->temperature = 0.7f;
}

static bool same_head(const ser_linear *a, const ser_linear *b)
{
    return a->n_in == b->n_in && a->n_labels == b->n_labels && a->temperature == b->temperature &&
           memcmp(a->mean, b->mean, a->n_in * sizeof(float)) == 0 &&
           memcmp(a->scale, b->scale, a->n_in * sizeof(float)) == 0 &&
           memcmp(a->w, b->w, a->n_in * a->n_labels * sizeof(float)) == 0 &&
           memcmp(a->bias, b->bias, a->n_labels * sizeof(float)) == 0;
}

static void test_file(void)
{
    ser_error err = {0};
    ser_model_data m = {0}, read = {0};
    ser_safetensors *file = NULL;
    CHECK_OK(ser_feature_spec_parse(&m.spec, "LOGMEL+WHISPER", &err), &err);
    CHECK_OK(ser_feature_spec_set_layers(&m.spec, "2,3", &err), &err);
    m.labels = ser_alloc(2, sizeof *m.labels);
    m.labels[0] = ser_strdup("angry");
    m.labels[1] = ser_strdup("sad");
    m.n_labels = 2;
    fill(&m.plain, 24, 2, 1);
    fill(&m.baseline, 24, 2, 2);
    fill(&m.voice, 24, 2, 3);
    m.baseline_spread = ser_alloc(24, sizeof(float));
    m.baseline_spread[5] = 3;
    m.provenance = ser_strdup("{\"corpus\": \"a \\\"quoted\\\" name\"}");
    m.encoder_configs[0] = ser_strdup("{}");
    memset(m.encoder_sha256, 'a', 64);
    CHECK_OK(ser_model_data_write(&m, scratch("m.safetensors"), NULL, 0, &err), &err);
    CHECK_OK(ser_safetensors_open(&file, scratch("m.safetensors"), &err), &err);
    CHECK_OK(ser_model_data_read(&read, file, &err), &err);
    CHECK(same_head(&m.plain, &read.plain) && same_head(&m.baseline, &read.baseline) &&
          same_head(&m.voice, &read.voice));
    CHECK(read.n_labels == 2 && strcmp(read.labels[1], "sad") == 0 && read.baseline_spread[5] == 3);
    CHECK(read.spec.n_parts == 2 && read.spec.parts[1].n_layers == 2 && read.spec.parts[1].layers[1] == 3);
    CHECK(strcmp(read.provenance, m.provenance) == 0 && strcmp(read.encoder_sha256, m.encoder_sha256) == 0);
    ser_model_data_release(&read);
    ser_status st = SER_E_NOMEM;
    for (long n = 0; st != SER_OK && n < 1000; n++) {
        ser_alloc_fail_at(n);
        st = ser_model_data_read(&read, file, &err);
        CHECK(st == SER_OK || (st == SER_E_NOMEM && !read.labels && !read.plain.w));
    }
    ser_alloc_fail_at(-1);
    ser_model_data_release(&read);
    ser_safetensors_close(&file);
    m.plain.w[3] = NAN;
    CHECK_OK(ser_model_data_write(&m, scratch("nan.safetensors"), NULL, 0, &err), &err);
    CHECK_OK(ser_safetensors_open(&file, scratch("nan.safetensors"), &err), &err);
    CHECK_FAILS(ser_model_data_read(&read, file, &err), SER_E_FORMAT, &err, "plain.weight");
    ser_safetensors_close(&file);
    ser_model_data_release(&m);
}

static void test_joined(void)
{
    ser_error err = {0};
    ser_model_data m = {0}, read;
    ser_safetensors *file = NULL;
    char prefix[SER_MODEL_PREFIX_BYTES];
    CHECK_OK(ser_feature_spec_parse(&m.spec, "HUBERT+LOGMEL+WHISPER", &err), &err);
    CHECK_OK(ser_feature_spec_set_layers(&m.spec, "WHISPER=3,1+HUBERT=12", &err), &err);
    m.labels = ser_alloc(2, sizeof *m.labels);
    m.labels[0] = ser_strdup("angry");
    m.labels[1] = ser_strdup("sad");
    m.n_labels = 2;
    fill(&m.plain, 24, 2, 1);
    m.encoder_configs[0] = ser_strdup("{\"a\": 1}");
    m.encoder_configs[1] = ser_strdup("{\"b\": 2}");
    memset(m.encoder_sha256, 'a', 129);
    CHECK_OK(ser_model_data_write(&m, scratch("m.safetensors"), NULL, 0, &err), &err);
    CHECK_OK(ser_safetensors_open(&file, scratch("m.safetensors"), &err), &err);
    CHECK_OK(ser_model_data_read(&read, file, &err), &err);
    CHECK(read.spec.parts[0].n_layers == 1 && read.spec.parts[0].layers[0] == 12);
    CHECK(read.spec.parts[2].n_layers == 2 && read.spec.parts[2].layers[0] == 3 &&
          read.spec.parts[2].layers[1] == 1);
    CHECK(strcmp(read.encoder_configs[1], m.encoder_configs[1]) == 0 && !read.encoder_configs[2]);
    CHECK(strcmp(read.encoder_sha256, m.encoder_sha256) == 0);
    ser_model_encoder_prefix(prefix, 0);
    CHECK(strcmp(prefix, "encoder.") == 0);
    ser_model_encoder_prefix(prefix, 1);
    CHECK(strcmp(prefix, "encoder2.") == 0);
    ser_model_data_release(&read);
    ser_safetensors_close(&file);
    ser_model_data_release(&m);
}

/* Emotion by the sign of the first feature's mean; no voice where it is 0. */
static ser_status judge(void *context, const ser_stretch *stretch, float *scores, int *label, ser_error *err)
{
    (void)context;
    (void)err;
    double mean = stretch->pooled->all.sum[0] / (double)stretch->pooled->all.n_frames;
    *label = fabs(mean) < 1e-9 ? -1 : mean > 0;
    scores[0] = mean > 0 ? 0.25f : 0.75f;
    scores[1] = 1 - scores[0];
    return SER_OK;
}

/* The frames of a stretch are those that its statistics are of, and reach a cell to each side. */
static ser_status judge_frames(void *context, const ser_stretch *stretch, float *scores, int *label,
                               ser_error *err)
{
    (void)err;
    size_t *n_wrong = context;
    double sum = 0;
    for (size_t t = 0; t < stretch->frames.n; t++) {
        sum += stretch->frames.x[2 * t];
        *n_wrong += stretch->frames.x[2 * t + 1] != -stretch->frames.x[2 * t];
        *n_wrong += t > 0 && stretch->frames.x[2 * t] != stretch->frames.x[2 * t - 2] + 1;
    }
    *n_wrong += sum != stretch->pooled->all.sum[0] || stretch->frames.n > 150;
    scores[0] = scores[1] = 0.5f;
    *label = 0;
    return SER_OK;
}

static void test_frames_of_timeline(void)
{
    enum { MAX = 1003 };
    static float x[2 * MAX];
    static unsigned char active[MAX];
    ser_error err = {0};
    memset(active, 1, sizeof active);
    for (size_t i = 0; i < MAX; i++) {
        x[2 * i] = (float)i;
        x[2 * i + 1] = -(float)i;
    }
    for (size_t n = 1; n <= MAX; n += n < 320 ? 1 : 77)
        for (size_t block = 1; block < 1000; block = block * 7 + 2) {
            ser_timeline t;
            size_t n_wrong = 0;
            CHECK_OK(
                ser_timeline_init(&t, 2, 2, 50, ser_timeline_of_networks(), judge_frames, &n_wrong, &err),
                &err);
            for (size_t at = 0; at < n; at += block) {
                const ser_frames f = {
                    .x = x + 2 * at, .active = active, .n = n - at < block ? n - at : block};
                CHECK_OK(ser_timeline_add(&t, &f, &err), &err);
            }
            CHECK_OK(ser_timeline_finish(&t, (double)n / 50, &err), &err);
            size_t n_cells = (n + 25) / 50 ? (n + 25) / 50 : 1;
            CHECK(n_wrong == 0 && t.n_voiced == n_cells && t.n_segments == 1);
            ser_timeline_release(&t);
        }
}

static void run_timeline(ser_timeline *t, const float *x, size_t n, size_t block)
{
    ser_error err = {0};
    static unsigned char active[4000];
    memset(active, 1, sizeof active);
    CHECK_OK(ser_timeline_init(t, 1, 2, 50, ser_timeline_of_statistics(), judge, NULL, &err), &err);
    for (size_t at = 0; at < n; at += block) {
        const ser_frames f = {.x = x + at, .active = active, .n = n - at < block ? n - at : block};
        CHECK_OK(ser_timeline_add(t, &f, &err), &err);
    }
    CHECK_OK(ser_timeline_finish(t, (double)n / 50, &err), &err);
}

/* 20 s of one emotion, 20 s of the other, 20 s of nothing: three segments, whatever the blocks. */
static void test_timeline(void)
{
    enum { PER_PART = 1000, N = 3 * PER_PART + 10 };
    static float x[N];
    const size_t blocks[] = {1, 7, 25, 1250, N};
    for (size_t i = 0; i < N; i++)
        x[i] = i < PER_PART ? -1 : i < 2 * PER_PART ? 1 : 0;
    for (size_t b = 0; b < 5; b++) {
        ser_timeline t;
        run_timeline(&t, x, N, blocks[b]);
        CHECK(t.n_segments == 3 && t.segments[0].label == 0 && t.segments[1].label == 1 &&
              t.segments[2].label == -1);
        CHECK(t.segments[0].start_s == 0 && fabs(t.segments[0].end_s - 20) <= 0.5 &&
              t.segments[2].end_s == N / 50.0);
        CHECK(t.segments[1].start_s == t.segments[0].end_s && t.segments[2].start_s == t.segments[1].end_s);
        CHECK(fabsf(t.segments[0].scores[0] - 0.75f) < 1e-6f);
        ser_timeline_release(&t);
    }
    for (size_t n = 1; n < 200; n++) { /* short ones have a segment too, and it ends with the recording */
        ser_timeline t;
        run_timeline(&t, x, n, 30);
        CHECK(t.n_segments == 1 && t.segments[0].end_s == (double)n / 50);
        ser_timeline_release(&t);
    }
}

int main(void)
{
    scratch_make();
    test_file();
    test_joined();
    test_timeline();
    test_frames_of_timeline();
    scratch_remove();
    return test_summary();
}

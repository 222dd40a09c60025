#include "base/memory.h"
#include "base/random.h"
#include "failures/failing.h"
#include "model/model_file.h"
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
    m.baseline_spread = ser_alloc(24, sizeof(float));
    m.baseline_spread[5] = 3;
    m.provenance = ser_strdup("{\"corpus\": \"a \\\"quoted\\\" name\"}");
    m.encoder_configs[0] = ser_strdup("{}");
    memset(m.encoder_sha256, 'a', 64);
    /* Models of version 0.1.0 have a head for whether there is a voice, which nobody asks any more. */
    const float voice[3] = {0};
    const ser_tensor old = {.name = "voice.weight",
                            .dtype = SER_F32,
                            .n_dims = 1,
                            .dims = {3},
                            .n_elements = 3,
                            .data = voice,
                            .n_bytes = sizeof voice};
    CHECK_OK(ser_model_data_write(&m, scratch("m.safetensors"), &old, 1, &err), &err);
    CHECK_OK(ser_safetensors_open(&file, scratch("m.safetensors"), &err), &err);
    CHECK_OK(ser_model_data_read(&read, file, &err), &err);
    CHECK(same_head(&m.plain, &read.plain) && same_head(&m.baseline, &read.baseline));
    CHECK(read.n_labels == 2 && strcmp(read.labels[1], "sad") == 0 && read.baseline_spread[5] == 3);
    CHECK(read.spec.n_parts == 2 && read.spec.parts[1].n_layers == 2 && read.spec.parts[1].layers[1] == 3);
    CHECK(strcmp(read.provenance, m.provenance) == 0 && strcmp(read.encoder_sha256, m.encoder_sha256) == 0);
    ser_model_data_release(&read);
    ser_status st = SER_E_NOMEM;
    for (long n = 0; st != SER_OK && n < 1000; n++) {
        failing_at(n);
        st = ser_model_data_read(&read, file, &err);
        CHECK(st == SER_OK || (st == SER_E_NOMEM && !read.labels && !read.plain.w));
    }
    failing_at(-1);
    ser_model_data_release(&read);
    ser_safetensors_close(&file);
    m.plain.w[3] = NAN;
    CHECK_OK(ser_model_data_write(&m, scratch("nan.safetensors"), NULL, 0, &err), &err);
    CHECK_OK(ser_safetensors_open(&file, scratch("nan.safetensors"), &err), &err);
    CHECK_FAILS(ser_model_data_read(&read, file, &err), SER_E_FORMAT, &err, "plain.weight");
    ser_safetensors_close(&file);
    ser_model_data_release(&m);
}

/* The tensors of how unlike recordings are: all of them, of as many features as the head reads, or none. */
static void test_unlike(void)
{
    ser_error err = {0};
    ser_model_data m = {0}, read;
    ser_safetensors *file = NULL;
    CHECK_OK(ser_feature_spec_parse(&m.spec, "LOGMEL", &err), &err);
    m.labels = ser_alloc(2, sizeof *m.labels);
    m.labels[0] = ser_strdup("angry");
    m.labels[1] = ser_strdup("sad");
    m.n_labels = 2;
    fill(&m.plain, 24, 2, 1);
    CHECK_OK(ser_model_data_write(&m, scratch("m.safetensors"), NULL, 0, &err), &err);
    CHECK_OK(ser_safetensors_open(&file, scratch("m.safetensors"), &err), &err);
    CHECK_OK(ser_model_data_read(&read, file, &err), &err);
    CHECK(!read.unlike.n_in && !read.unlike.mean);
    ser_model_data_release(&read);
    ser_safetensors_close(&file);
    CHECK_OK(ser_unlike_init(&m.unlike, 24, &err), &err);
    m.unlike.mean[3] = 5;
    m.unlike.scale[4] = 0.25f;
    const float reaches[] = {SER_UNLIKE_LEAST_REACH, 1.5f};
    for (size_t i = 0; i < sizeof reaches / sizeof *reaches; i++) {
        m.unlike.reach = reaches[i];
        CHECK_OK(ser_model_data_write(&m, scratch("m.safetensors"), NULL, 0, &err), &err);
        CHECK_OK(ser_safetensors_open(&file, scratch("m.safetensors"), &err), &err);
        CHECK_OK(ser_model_data_read(&read, file, &err), &err);
        CHECK(read.unlike.n_in == 24 && read.unlike.mean[3] == 5 && read.unlike.scale[4] == 0.25f &&
              read.unlike.reach == reaches[i]);
        ser_model_data_release(&read);
        ser_safetensors_close(&file);
    }
    const struct {
        float *at, value;
        const char *said;
    } bad[] = {{&m.unlike.reach, 0, "unlike.reach"},        {&m.unlike.reach, -1, "unlike.reach"},
               {&m.unlike.reach, NAN, "unlike.reach"},      {&m.unlike.reach, INFINITY, "unlike.reach"},
               {&m.unlike.reach, 0.99e-6f, "unlike.reach"}, {&m.unlike.reach, 1e-40f, "unlike.reach"},
               {&m.unlike.scale[7], -1, "unlike.scale"},    {&m.unlike.mean[7], INFINITY, "unlike.mean"},
               {&m.unlike.scale[7], NAN, "unlike.scale"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        float good = *bad[i].at;
        *bad[i].at = bad[i].value;
        CHECK_OK(ser_model_data_write(&m, scratch("bad.safetensors"), NULL, 0, &err), &err);
        CHECK_OK(ser_safetensors_open(&file, scratch("bad.safetensors"), &err), &err);
        CHECK_FAILS(ser_model_data_read(&read, file, &err), SER_E_FORMAT, &err, bad[i].said);
        ser_safetensors_close(&file);
        *bad[i].at = good;
    }
    m.unlike.n_in = 23; /* of other features than the head's */
    CHECK_OK(ser_model_data_write(&m, scratch("bad.safetensors"), NULL, 0, &err), &err);
    CHECK_OK(ser_safetensors_open(&file, scratch("bad.safetensors"), &err), &err);
    CHECK_FAILS(ser_model_data_read(&read, file, &err), SER_E_FORMAT, &err, "unlike.mean");
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

int main(void)
{
    scratch_make();
    test_file();
    test_unlike();
    test_joined();
    scratch_remove();
    return test_summary();
}

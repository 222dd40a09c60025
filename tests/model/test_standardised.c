#include "base/memory.h"
#include "base/random.h"
#include "model/standardised.h"
#include "test.h"

static ser_error err;
static ser_extractor *extractor;

/* A head as protocol/fit.c makes it: scale is the emphasis, whose squares add up to 1, divided by the
 * deviation. active: statistics of active frames are used too. */
static void make_head(ser_linear *head, float *deviation, double spread_weight, bool active, ser_random *r)
{
    size_t dims = ser_extractor_dims(extractor), n = ser_pooled_dims(extractor);
    double sum = 0;
    CHECK_OK(ser_linear_init(head, n, 3, &err), &err);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < n; i++) {
            double weight = ser_statistic_is_spread(i / dims) ? spread_weight : 1;
            if (ser_statistic_is_active(i / dims) && !active)
                weight = 0;
            sum += pass == 0 ? weight * weight : 0;
            if (pass == 1)
                head->scale[i] = (float)(weight / sqrt(sum) / (double)deviation[i]);
        }
    for (size_t i = 0; i < n; i++)
        head->mean[i] = (float)ser_random_normal(r);
    for (size_t i = 0; i < 3 * n; i++)
        head->w[i] = (float)ser_random_normal(r);
}

/* Standardised features give what the features themselves gave before. */
static void test_head(double spread_weight, bool active)
{
    ser_random r;
    ser_model_data m = {0};
    size_t n = ser_pooled_dims(extractor);
    float *z = ser_alloc(3 * n, sizeof *z), *x = z + n, *deviation = x + n, before[3], after[3];
    char text[80];
    ser_random_init(&r, 7);
    for (size_t i = 0; i < n; i++) {
        deviation[i] = (float)ser_random_between(&r, 0.1, 5);
        z[i] = (float)ser_random_normal(&r);
    }
    make_head(&m.plain, deviation, spread_weight, active, &r);
    for (size_t i = 0; i < n; i++)
        x[i] = m.plain.mean[i] + z[i] * deviation[i];
    snprintf(text, sizeof text, "{\"plain\": {\"spread_weight\": %g}}", spread_weight);
    m.provenance = ser_strdup(text);
    ser_linear_logits(&m.plain, before, x);
    CHECK_OK(ser_unlike_init(&m.unlike, n, &err), &err);
    CHECK_OK(ser_model_read_standardised(&m, extractor, &err), &err);
    CHECK(!m.unlike.n_in); /* which is of features that are not */
    ser_linear_logits(&m.plain, after, z);
    check_close("logits", after, before, 3, 1e-4, 1e-4);
    ser_model_data_release(&m);
    ser_free(z);
}

static void test_networks(void)
{
    ser_model_data m = {.networks = ser_alloc(1, sizeof *m.networks), .n_networks = 1};
    const ser_timnet_shape shape = {
        .n_in = 3, .n_labels = 2, .n_filters = 2, .kernel_size = 1, .n_dilations = 1, .n_stacks = 1};
    CHECK_OK(ser_timnet_member_init(m.networks, &shape, &err), &err);
    const float mean[] = {1, 2, 3}, scale[] = {0.5f, 0, 7};
    memcpy(m.networks->mean, mean, sizeof mean);
    memcpy(m.networks->scale, scale, sizeof scale);
    CHECK_OK(ser_model_read_standardised(&m, extractor, &err), &err);
    const float zeros[] = {0, 0, 0}, ones[] = {1, 0, 1}; /* what never varied stays silent */
    CHECK(memcmp(m.networks->mean, zeros, sizeof zeros) == 0);
    CHECK(memcmp(m.networks->scale, ones, sizeof ones) == 0);
    ser_model_data_release(&m);
}

static void test_models_that_do_not_say(void)
{
    const char *const origins[] = {NULL, "", "{}", "{\"plain\": {\"spread_weight\": \"x\"}}",
                                   "{\"plain\": {\"spread_weight\": 0}}"};
    for (size_t i = 0; i < sizeof origins / sizeof *origins; i++) {
        ser_model_data m = {.provenance = origins[i] ? ser_strdup(origins[i]) : NULL};
        CHECK_OK(ser_linear_init(&m.plain, ser_pooled_dims(extractor), 2, &err), &err);
        CHECK_FAILS(ser_model_read_standardised(&m, extractor, &err), SER_E_FORMAT, &err, "train it again");
        ser_model_data_release(&m);
    }
}

int main(void)
{
    ser_feature_spec spec;
    CHECK_OK(ser_feature_spec_parse(&spec, "LOGMEL", &err), &err);
    CHECK_OK(ser_extractor_new(&extractor, &spec, NULL, &err), &err);
    test_head(0.5, true);
    test_head(1, false);
    test_networks();
    test_models_that_do_not_say();
    ser_extractor_free(&extractor);
    return test_summary();
}

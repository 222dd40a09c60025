/* What a network reads while it learns: stretches, masks and mixtures of recordings. */
#include "base/memory.h"
#include "test.h"
#include "train/timnet_parts.h"

enum { N = 3, N_IN = 20, N_LABELS = 3, N_EPOCHS = 2000 };
static const size_t n_frames[N] = {40, 25, 60};
static const int label[N] = {0, 1, 2};
static float x[N][60 * N_IN];

/* Frame t of recording r holds 100 r + t + 1 and, in the features after the first, r + 1. */
static float value(size_t r, size_t t, size_t i)
{
    return i ? (float)(r + 1) : (float)(100 * r + t + 1);
}

typedef struct bench {
    const float *frames[N];
    ser_timnet_rows rows;
    ser_timnet_settings settings;
    size_t train[N];
    timnet_split split;
    float mean[N_IN], scale[N_IN];
    timnet_source source;
    timnet_examples examples;
} bench;

static void bench_init(bench *b)
{
    ser_error err = {0};
    *b = (bench){.train = {0, 1, 2}, .settings = ser_timnet_default_settings()};
    for (size_t r = 0; r < N; r++) {
        b->frames[r] = x[r];
        for (size_t t = 0; t < n_frames[r]; t++)
            for (size_t i = 0; i < N_IN; i++)
                x[r][t * N_IN + i] = value(r, t, i);
    }
    for (size_t i = 0; i < N_IN; i++)
        b->scale[i] = 1;
    b->settings.batch_size = N;
    b->rows = (ser_timnet_rows){.frames = b->frames,
                                .n_frames = n_frames,
                                .label = label,
                                .n = N,
                                .n_in = N_IN,
                                .n_labels = N_LABELS};
    b->split = (timnet_split){.train = b->train, .n_train = N};
    b->source = (timnet_source){&b->rows, &b->settings, &b->split, b->mean, b->scale};
    CHECK_OK(timnet_examples_init(&b->examples, &b->source, &err), &err);
}

static void make(bench *b, size_t row, size_t epoch)
{
    ser_error err = {0};
    CHECK_OK(timnet_examples_make(&b->examples, &b->source, &row, 1, epoch, &err), &err);
}

static void test_plain(void)
{
    bench b;
    ser_error err = {0};
    bench_init(&b);
    for (size_t i = 0; i < N_IN; i++) {
        b.mean[i] = 2;
        b.scale[i] = 0.5f;
    }
    const size_t rows[N] = {2, 0, 1};
    CHECK_OK(timnet_examples_make(&b.examples, &b.source, rows, N, 1, &err), &err);
    for (size_t k = 0; k < N; k++) {
        size_t r = rows[k], n_wrong = 0;
        CHECK(b.examples.n_frames[k] == n_frames[r] && b.examples.target[k * N_LABELS + r] == 1);
        for (size_t j = 0; j < n_frames[r] * N_IN; j++)
            n_wrong += b.examples.frames[k][j] != (value(r, j / N_IN, j % N_IN) - 2) / 2;
        CHECK(n_wrong == 0);
    }
    timnet_examples_release(&b.examples);
}

/* Stretches of 10 of 40 frames begin anywhere, and with no epoch at the beginning. */
static void test_stretches(void)
{
    bench b;
    bench_init(&b);
    b.settings.max_frames = 10;
    size_t n_first = 0, n_last = 0;
    for (size_t epoch = 0; epoch < N_EPOCHS; epoch++) {
        make(&b, 0, epoch);
        const float *z = b.examples.frames[0];
        CHECK(b.examples.n_frames[0] == 10 && z[9 * N_IN] == z[0] + 9 && z[0] >= 1 && z[0] <= 31);
        CHECK(epoch || z[0] == 1);
        n_first += z[0] == 1;
        n_last += z[0] == 31;
    }
    CHECK(n_first > 30 && n_first < 110 && n_last > 30 && n_last < 110); /* 65 are expected of each */
    timnet_examples_release(&b.examples);
}

/* One mask is one stretch, of any width up to the share. */
static void test_masks(void)
{
    bench b;
    bench_init(&b);
    b.settings.n_time_masks = b.settings.n_feature_masks = 1;
    b.settings.time_mask_share = 0.25;
    b.settings.feature_mask_share = 0.5;
    size_t n_frames_gone[11] = {0}, n_features_gone[11] = {0}, n_odd = 0;
    for (size_t epoch = 1; epoch <= N_EPOCHS; epoch++) {
        size_t n_rows = 0, n_columns = 0, n_edges = 0;
        make(&b, 0, epoch);
        const float *z = b.examples.frames[0];
        bool gone_before = false, row_gone[40], column_gone[N_IN];
        for (size_t t = 0; t < 40; t++) {
            row_gone[t] = true;
            for (size_t i = 0; i < N_IN; i++)
                row_gone[t] = row_gone[t] && z[t * N_IN + i] == 0;
            n_rows += row_gone[t];
            n_edges += row_gone[t] != gone_before;
            gone_before = row_gone[t];
        }
        for (size_t i = 0; i < N_IN; i++) {
            column_gone[i] = true;
            for (size_t t = 0; t < 40; t++)
                column_gone[i] = column_gone[i] && z[t * N_IN + i] == 0;
            n_columns += column_gone[i];
        }
        for (size_t j = 0; j < 40 * N_IN; j++)
            n_odd += !row_gone[j / N_IN] && !column_gone[j % N_IN] && z[j] != value(0, j / N_IN, j % N_IN);
        CHECK(n_rows <= 10 && n_columns <= 10 && n_edges <= 2);
        n_frames_gone[n_rows]++;
        n_features_gone[n_columns]++;
    }
    CHECK(n_odd == 0);
    for (size_t w = 0; w <= 10; w++) /* each width is expected 182 times */
        CHECK(n_frames_gone[w] > 120 && n_frames_gone[w] < 250 && n_features_gone[w] > 120 &&
              n_features_gone[w] < 250);
    timnet_examples_release(&b.examples);
}

/* Shares of frames and target agree, frame by frame, and are distributed as NumPy draws them: mean and
 * deviation of max(v, 1 - v), v of beta(alpha, alpha). */
static void test_mixtures(double alpha, double mean, double deviation)
{
    bench b;
    bench_init(&b);
    b.settings.mixup = alpha;
    double sum = 0, squares = 0;
    size_t n_wrong = 0, n_other = 0;
    for (size_t epoch = 1; epoch <= N_EPOCHS; epoch++) {
        make(&b, 1, epoch);
        const float *z = b.examples.frames[0], *target = b.examples.target;
        size_t other = target[0] > 0 ? 0 : target[2] > 0 ? 2 : 1;
        double expected =
            2 * (double)target[1] + (other == 1 ? 0 : (double)(other + 1) * (double)target[other]);
        CHECK(b.examples.n_frames[0] == n_frames[1] && target[1] >= 0.5f &&
              fabsf(target[0] + target[1] + target[2] - 1) < 1e-6f);
        for (size_t t = 0; t < n_frames[1]; t++) {
            n_wrong += fabs((double)z[t * N_IN + 5] - expected) > 1e-5;
            /* The first feature counts the frames of both, and begins again where the partner does. */
            double step = t ? (double)(z[t * N_IN] - z[(t - 1) * N_IN]) : 1;
            double back = other == 1 ? 0 : (1 - (double)target[1]) * (double)n_frames[other];
            n_wrong += other != 1 && fabs(step - 1) > 1e-3 && fabs(step + back - 1) > 1e-3;
        }
        if (other == 1)
            continue;
        n_other++;
        sum += (double)target[1];
        squares += pow((double)target[1], 2);
    }
    CHECK(n_wrong == 0 && n_other > N_EPOCHS / 2);
    sum /= (double)n_other;
    squares = sqrt(squares / (double)n_other - sum * sum);
    CHECK(fabs(sum - mean) < 0.012 && fabs(squares - deviation) < 0.012);
    timnet_examples_release(&b.examples);
}

/* An example depends on seed, epoch and row, and on nothing else. */
static void test_streams(void)
{
    bench b;
    ser_error err = {0};
    bench_init(&b);
    b.settings.n_time_masks = 2;
    b.settings.mixup = 1;
    b.settings.max_frames = 20;
    float before[20 * N_IN];
    const size_t rows[N] = {2, 1, 0};
    make(&b, 1, 7);
    memcpy(before, b.examples.frames[0], sizeof before);
    CHECK_OK(timnet_examples_make(&b.examples, &b.source, rows, N, 7, &err), &err);
    CHECK(memcmp(before, b.examples.frames[1], sizeof before) == 0);
    make(&b, 1, 8);
    CHECK(memcmp(before, b.examples.frames[0], sizeof before) != 0);
    b.settings.seed++;
    make(&b, 1, 7);
    CHECK(memcmp(before, b.examples.frames[0], sizeof before) != 0);
    timnet_examples_release(&b.examples);
}

int main(void)
{
    test_plain();
    test_stretches();
    test_masks();
    test_mixtures(0.2, 0.8988, 0.1397);
    test_mixtures(1, 0.75, 0.1443);
    test_mixtures(2, 0.6875, 0.1218);
    test_streams();
    return test_summary();
}

#include "base/memory.h"
#include "base/random.h"
#include "failures/failing.h"
#include "learn/weighted.h"
#include "metrics/metrics.h"
#include "model/pooled.h"
#include "test.h"

#include <string.h>

/* 40 recordings of 2 emotions with a copy each: 3 layers of DIMS, of which the last but one knows the emotion
 * and the first is in other units, and a block beside them. */
enum {
    N = 80,
    N_LABELS = 2,
    N_LAYERS = 3,
    DIMS = 6,
    WIDTH = SER_N_STATISTICS * DIMS,
    N_IN = (N_LAYERS + 1) * WIDTH
};

static float x[N][N_IN];
static const float *row[N];
static int label[N];
static unsigned char is_copy[N];
static const ser_candidate candidates[] = {{.weighted = true, .active = true, .spread_weight = 0.5, .c = 100},
                                           {.weighted = true, .active = true, .spread_weight = 1, .c = 100}};

static ser_rows make_rows(void)
{
    ser_rows rows = {.x = row,
                     .label = label,
                     .is_copy = is_copy,
                     .n = N,
                     .dims = N_IN,
                     .n_labels = N_LABELS,
                     .n_blocks = N_LAYERS + 1,
                     .block_part = {0, 0, 0, 1}};
    ser_random r;
    ser_random_init(&r, 4);
    for (size_t b = 0; b <= N_LAYERS; b++) {
        rows.block_offset[b] = b * DIMS;
        rows.block_dims[b] = DIMS;
    }
    for (size_t i = 0; i < N; i++) {
        row[i] = x[i];
        is_copy[i] = i % 2;
        label[i] = (int)(i / 2 % N_LABELS);
        for (size_t f = 0; f < N_IN; f++)
            x[i][f] = (float)((f < WIDTH ? 1000 : 1) *
                              (ser_random_normal(&r) + (f / WIDTH == 1 ? 0.9 : 0) * (2 * label[i] - 1)));
    }
    return rows;
}

static double share_right(const ser_linear *head)
{
    size_t n_right = 0;
    for (size_t i = 0; i < N; i++) {
        float logits[N_LABELS];
        ser_linear_logits(head, logits, x[i]);
        n_right += ser_argmax(logits, N_LABELS) == label[i];
    }
    return (double)n_right / N;
}

int main(void)
{
    ser_error err = {0};
    ser_head_fit fit, other;
    const ser_rows rows = make_rows();
    ser_fit_settings settings = {
        .candidates = candidates, .n_candidates = 2, .n_inner_folds = 4, .seed = 46, .n_threads = 1};
    CHECK_OK(ser_fit_weighted_head(&fit, &rows, &settings, &err), &err);
    const float *w = fit.layer_weight;
    CHECK(w[1] > 0.5f && w[0] < 0.3f && w[2] < 0.3f && w[3] == 1);
    CHECK(fabsf(w[0] + w[1] + w[2] - 1) < 1e-6f);
    CHECK(fit.chosen.weighted && fit.chosen.blocks == 0xf && fit.head.n_in == N_IN);
    CHECK(fit.inner_ua > 80 && share_right(&fit.head) > 0.9);
    for (size_t f = 0; f < WIDTH; f++) /* one weight for all of a layer */
        CHECK(fabsf(fit.head.w[f] * w[1] - fit.head.w[WIDTH + f] * w[0]) < 1e-6f);

    settings.n_threads = 2;
    CHECK_OK(ser_fit_weighted_head(&other, &rows, &settings, &err), &err);
    CHECK(memcmp(fit.head.w, other.head.w, N_IN * N_LABELS * sizeof(float)) == 0);
    ser_head_fit_release(&fit);
    ser_head_fit_release(&other);

    for (long i = 0; i < 60; i++) {
        failing_at(i);
        ser_status st = ser_fit_weighted_head(&fit, &rows, &settings, &err);
        CHECK(st == SER_OK || (st == SER_E_NOMEM && !fit.head.w));
        ser_head_fit_release(&fit);
    }
    failing_at(-1);
    return test_summary();
}

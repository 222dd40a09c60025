#include "nn/rows.h"
#include "nn/speech.h"

#include <math.h>

enum { GATE_SIZE = 4 };

/* modeling_wavlm.py, _relative_positions_bucket: half of the buckets for keys before the query, half for
 * those behind it; of each, half for one distance each, the others wider and wider. In fp32, as there. */
static size_t bucket_of(size_t distance, bool behind, size_t n_buckets, size_t max_distance)
{
    size_t n_side = n_buckets / 2, n_exact = n_side / 2, bucket = distance;
    if (distance >= n_exact) {
        float position = logf((float)distance / (float)n_exact);
        position /= (float)log((double)max_distance / (double)n_exact);
        bucket = (size_t)((float)n_exact + position * (float)(n_side - n_exact));
        bucket = bucket < n_side ? bucket : n_side - 1;
    }
    return behind ? n_side + bucket : bucket;
}

void ser_nn_position_table(float *table, const float *embed, size_t n_buckets, size_t max_distance,
                           size_t n_heads, size_t n_frames)
{
    size_t n = 2 * n_frames - 1;
    for (size_t i = 0; i < n; i++) {
        bool behind = i >= n_frames;
        size_t distance = behind ? i - (n_frames - 1) : n_frames - 1 - i;
        const float *row = embed + bucket_of(distance, behind, n_buckets, max_distance) * n_heads;
        for (size_t h = 0; h < n_heads; h++)
            table[h * n + i] = row[h];
    }
}

static void widen(float *y, const void *x, ser_dtype type, size_t at, size_t n)
{
    if (type == SER_F32) {
        memcpy(y, (const float *)x + at, n * sizeof *y);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)((const uint16_t *)x)[at + i] << 16;
        memcpy(&y[i], &bits, sizeof bits);
    }
}

/* sums += w x, added up over the first and over the last GATE_SIZE rows; n_dims terms of each. */
SER_FAST_STATIC(void, gate_sums, (float sums[2], const float *x, const float *w, size_t ld, size_t n_dims),
                (sums, x, w, ld, n_dims))
{
    for (size_t half = 0; half < 2; half++) {
        ser_lanes sum = {0};
        for (size_t r = half * GATE_SIZE; r < (half + 1) * GATE_SIZE; r++)
            for (size_t i = 0; i < n_dims; i += SER_N_LANES)
                sum += ser_row_load(w + r * ld, i, n_dims - i) * ser_row_load(x, i, n_dims - i);
        sums[half] += ser_lanes_sum(sum);
    }
}

static float sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}

void ser_nn_position_gates(float *gates, const void *x, ser_dtype x_type, const float *w, const float *bias,
                           const float *constants, size_t n_rows, size_t n_heads, size_t head_dims)
{
    enum { PART = 64 };
    for (size_t i = 0; i < n_rows * n_heads; i++) {
        float sums[2] = {bias[0] + bias[1] + bias[2] + bias[3], bias[4] + bias[5] + bias[6] + bias[7]};
        for (size_t k = 0; k < head_dims; k += PART) {
            float part[PART];
            size_t n = head_dims - k < PART ? head_dims - k : PART;
            widen(part, x, x_type, i * head_dims + k, n);
            gate_sums(sums, part, w + k, head_dims, n);
        }
        gates[i] = sigmoid(sums[0]) * (sigmoid(sums[1]) * constants[i % n_heads] - 1) + 2;
    }
}

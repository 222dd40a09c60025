#include "base/cpu.h"
#include "base/memory.h"
#include "nn/rows.h"
#include "nn/speech.h"
#include "nn/tiles.h"

/* A tile of rows and lanes stays in registers; so many terms of the sum at once, so that their weights stay
 * in the cache for all rows of a block. */
enum { TILE_ROWS = 8, TILE_LANES = 3, BLOCK_ROWS = 256, BLOCK_TERMS = 768, SLICE_SLOT = 1 };

/* A group's weights (n, kernel, n) and what is wanted of them. */
static ser_status new_linear(ser_nn_linear **out, const ser_nn_ops *ops, const float *w, const float *bias,
                             size_t n, size_t kernel, ser_error *err)
{
    size_t n_row = kernel * n;
    float *turned = ser_alloc(n * n_row, sizeof *turned);
    if (!turned)
        return ser_fail_nomem(err);
    for (size_t o = 0; o < n; o++)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < kernel; j++)
                turned[o * n_row + j * n + i] = w[(o * n + i) * kernel + j];
    ser_tensor t = {.name = "positions", .dtype = SER_F32, .n_elements = n * n_row, .data = turned};
    ser_status status = ser_nn_linear_new_exact(out, ops, &t, NULL, bias, n, n_row, SER_ACT_NONE, err);
    ser_free(turned);
    return status;
}

static ser_status init_linear(ser_nn_grouped_conv *c, const ser_nn_ops *ops, const float *w,
                              const float *bias, ser_error *err)
{
    size_t n = c->n_channels / c->n_groups;
    c->linear = ser_alloc(c->n_groups, sizeof *c->linear);
    ser_status status = c->linear ? SER_OK : ser_fail_nomem(err);
    for (size_t g = 0; g < c->n_groups && status == SER_OK; g++)
        status = new_linear(&c->linear[g], ops, w + g * n * n * c->kernel, bias + g * n, n, c->kernel, err);
    return status;
}

ser_status ser_nn_grouped_conv_init(ser_nn_grouped_conv *c, const ser_nn_ops *ops, const float *w,
                                    const float *bias, size_t n_channels, size_t n_groups, size_t kernel,
                                    ser_error *err)
{
    *c = (ser_nn_grouped_conv){.n_channels = n_channels, .n_groups = n_groups, .kernel = kernel};
    size_t n = n_channels / n_groups, n_weights;
    size_t ld = c->n_columns = (n + SER_N_LANES - 1) / SER_N_LANES * SER_N_LANES;
    if (!ser_mul_size(&n_weights, n_channels * kernel, ld))
        return ser_fail_nomem(err);
    if (ser_nn_ops_type(ops) == SER_BF16 && ser_nn_ops_overlap(ops))
        return init_linear(c, ops, w, bias, err);
    c->weights = ser_alloc(n_weights, sizeof *c->weights);
    c->bias = ser_alloc(n_groups * ld, sizeof *c->bias);
    if (!c->weights || !c->bias)
        return ser_fail_nomem(err);
    for (size_t g = 0; g < n_groups; g++)
        for (size_t o = 0; o < n; o++) {
            c->bias[g * ld + o] = bias[g * n + o];
            for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j < kernel; j++)
                    c->weights[((g * kernel + j) * n + i) * ld + o] = w[((g * n + o) * n + i) * kernel + j];
        }
    return SER_OK;
}

void ser_nn_grouped_conv_release(ser_nn_grouped_conv *c)
{
    for (size_t g = 0; c->linear && g < c->n_groups; g++)
        ser_nn_linear_free(&c->linear[g]);
    ser_free(c->linear);
    ser_free(c->weights);
    ser_free(c->bias);
    *c = (ser_nn_grouped_conv){0};
}

/* sums (n_rows, ld) += x_t . w for rows t of n_terms neighbours, which start row floats apart; n_lanes wide.
 */
SER_INLINE void add_tile(float *sums, size_t ld, const float *x, size_t row, const float *w, size_t n_terms,
                         int n_lanes)
{
    ser_lanes tile[TILE_ROWS][TILE_LANES];
    for (int r = 0; r < TILE_ROWS; r++)
        for (int v = 0; v < n_lanes; v++)
            tile[r][v] = ser_lanes_load(sums + (size_t)r * ld + v * SER_N_LANES);
    for (size_t k = 0; k < n_terms; k++, w += ld) {
        ser_lanes weights[TILE_LANES];
        for (int v = 0; v < n_lanes; v++)
            weights[v] = ser_lanes_load(w + v * SER_N_LANES);
        for (int r = 0; r < TILE_ROWS; r++)
            for (int v = 0; v < n_lanes; v++)
                tile[r][v] += weights[v] * x[(size_t)r * row + k];
    }
    for (int r = 0; r < TILE_ROWS; r++)
        for (int v = 0; v < n_lanes; v++)
            ser_lanes_store(sums + (size_t)r * ld + v * SER_N_LANES, tile[r][v]);
}

/* n_rows: a multiple of TILE_ROWS; ld: whole lanes. */
SER_FAST_STATIC(void, add_terms,
                (float *sums, size_t ld, const float *x, size_t row, const float *w, size_t n_terms,
                 size_t n_rows),
                (sums, ld, x, row, w, n_terms, n_rows))
{
    for (size_t o = 0; o < ld; o += TILE_LANES * SER_N_LANES)
        for (size_t t = 0; t < n_rows; t += TILE_ROWS) {
            if (ld - o >= 3 * SER_N_LANES)
                add_tile(sums + t * ld + o, ld, x + t * row, row, w + o, n_terms, 3);
            else if (ld - o >= 2 * SER_N_LANES)
                add_tile(sums + t * ld + o, ld, x + t * row, row, w + o, n_terms, 2);
            else
                add_tile(sums + t * ld + o, ld, x + t * row, row, w + o, n_terms, 1);
        }
}

/* The same where registers are too few or too short for such tiles: 16 columns at a time. */
static void add_terms_by_tiles(float *sums, size_t ld, const float *x, size_t row, const float *w,
                               size_t n_terms, size_t n_rows)
{
    ser_tile_panel p = {.y_row = ld, .x_row = row, .x_term = 1, .w_term = ld, .n_rows = n_rows, .add = true};
    p.n_columns = SER_TILE_COLUMNS;
    for (size_t k = 0; k < n_terms; k += SER_TILE_TERMS)
        for (size_t o = 0; o < ld; o += SER_TILE_COLUMNS) {
            p.n_terms = n_terms - k < SER_TILE_TERMS ? n_terms - k : SER_TILE_TERMS;
            p.y = sums + o;
            p.x = x + k;
            p.w = w + k * ld + o;
            ser_tile_multiply(&p);
        }
}

/* y rows (n_rows, n) of sums (n_rows, ld), n_channels apart, x with them. */
SER_FAST_STATIC(void, finish_rows,
                (float *y, const float *x, const float *sums, size_t ld, size_t n, size_t n_rows,
                 size_t n_channels, bool residual),
                (y, x, sums, ld, n, n_rows, n_channels, residual))
{
    for (size_t t = 0; t < n_rows; t++, y += n_channels, x += n_channels, sums += ld)
        for (size_t i = 0; i < n; i += SER_N_LANES) {
            ser_lanes v = ser_lanes_load(sums + i);
            if (residual)
                v = ser_row_load(x, i, n - i) + ser_lanes_gelu(v);
            ser_row_store(y, i, n - i, v);
        }
}

typedef struct job {
    const ser_nn_grouped_conv *c;
    float *y;
    const float *x;
    size_t n_frames, n_blocks;
    bool residual;
} job;

/* slice (n_rows, n): frames first - kernel / 2 ... of one group's channels, zeros beyond the ends. */
static void take_slice(float *slice, const job *j, size_t group, size_t first, size_t n_rows)
{
    size_t n = j->c->n_channels / j->c->n_groups, before = j->c->kernel / 2;
    for (size_t t = first; t < first + n_rows; t++, slice += n)
        if (t >= before && t - before < j->n_frames)
            memcpy(slice, j->x + (t - before) * j->c->n_channels + group * n, n * sizeof *slice);
        else
            memset(slice, 0, n * sizeof *slice);
}

/* A block of frames of one group, whose windows overlap. */
static ser_status convolve_typed(const job *j, size_t group, size_t first, size_t n_rows, ser_nn_work *work,
                                 ser_error *err)
{
    const ser_nn_grouped_conv *c = j->c;
    size_t n = c->n_channels / c->n_groups, n_slice = (n_rows + c->kernel - 1) * n;
    ser_dtype type = ser_nn_work_type(work);
    float *sums = ser_nn_scratch(work, SLICE_SLOT, (n_rows * n + SER_N_LANES + 2 * n_slice) * sizeof *sums);
    if (!sums)
        return ser_fail_nomem(err);
    float *slice = sums + n_rows * n + SER_N_LANES, *typed = slice + n_slice;
    take_slice(slice, j, group, first, n_rows + c->kernel - 1);
    ser_nn_convert(typed, type, slice, n_slice);
    ser_status status =
        ser_nn_linear_forward_rows(c->linear[group], work, sums, SER_F32, typed, type, n, n_rows, false, err);
    size_t at = first * c->n_channels + group * n;
    if (status == SER_OK)
        finish_rows(j->y + at, j->x + at, sums, n, n, n_rows, c->n_channels, j->residual);
    return status;
}

/* A block of frames of one group. */
static ser_status convolve(void *context, size_t item, ser_nn_work *work, ser_error *err)
{
    const job *j = context;
    const ser_nn_grouped_conv *c = j->c;
    size_t group = item / j->n_blocks, first = item % j->n_blocks * BLOCK_ROWS;
    size_t n_rows = j->n_frames - first < BLOCK_ROWS ? j->n_frames - first : BLOCK_ROWS;
    if (c->linear)
        return convolve_typed(j, group, first, n_rows, work, err);
    size_t n_tiled = (n_rows + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS, ld = c->n_columns;
    size_t n = c->n_channels / c->n_groups, n_terms = c->kernel * n, n_slice = n_tiled + c->kernel - 1;
    float *sums = ser_nn_scratch(work, SLICE_SLOT, (n_tiled * ld + n_slice * n) * sizeof *sums);
    if (!sums)
        return ser_fail_nomem(err);
    float *slice = sums + n_tiled * ld;
    take_slice(slice, j, group, first, n_slice);
    for (size_t t = 0; t < n_tiled; t++)
        memcpy(sums + t * ld, c->bias + group * ld, ld * sizeof *sums);
    const float *w = c->weights + group * n_terms * ld;
    for (size_t k = 0; k < n_terms; k += BLOCK_TERMS)
        (ser_cpu() & SER_CPU_AVX512 ? add_terms : add_terms_by_tiles)(
            sums, ld, slice + k, n, w + k * ld, n_terms - k < BLOCK_TERMS ? n_terms - k : BLOCK_TERMS,
            n_tiled);
    size_t at = first * c->n_channels + group * n;
    finish_rows(j->y + at, j->x + at, sums, ld, n, n_rows, c->n_channels, j->residual);
    return SER_OK;
}

ser_status ser_nn_grouped_conv_forward(const ser_nn_grouped_conv *c, ser_nn_work *work, float *y,
                                       const float *x, size_t n_frames, bool residual, ser_error *err)
{
    job j = {.c = c, .y = y, .x = x, .n_frames = n_frames, .residual = residual};
    j.n_blocks = (n_frames + BLOCK_ROWS - 1) / BLOCK_ROWS;
    return ser_nn_parallel_for(work, c->n_groups * j.n_blocks, convolve, &j, err);
}

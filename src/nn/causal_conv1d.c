/* Two ways to the same sums. One product per tap, which leaves out frames that have no past for the tap to
 * read: best where the dilation is large beside the recording. And, for kernels of 3, tiles of frames
 * (nn/winograd.h). */
#include "nn/pieces.h"
#include "nn/trainable.h"
#include "nn/winograd.h"

enum { TERMS_SLOT = 0, PRODUCTS_SLOT = 1 };

/* In bf16 the terms are rounded too: with larger tiles that would be most of what is lost. */
enum { LARGEST_BF16 = 4 };

/* Of n_rows frames through one tap: what each way costs a recording. */
static size_t cost_of_taps(const ser_nn_causal_conv *c, size_t n_rows)
{
    size_t cost = 0;
    for (size_t away = 0; away < c->kernel * c->dilation && away < n_rows; away += c->dilation)
        cost += n_rows - away;
    return cost;
}

static size_t cost_of_tiles(const ser_nn_causal_conv *c, size_t tile, size_t n_rows)
{
    return ser_winograd_n_terms(tile) * ser_winograd_n_tiles(tile, c->dilation, n_rows);
}

/* Terms have to be made: an eighth has to be gained. */
static bool goes_by_tiles(const ser_nn_causal_conv *c, size_t tile, size_t n_rows)
{
    size_t by_taps = cost_of_taps(c, n_rows);
    return tile && cost_of_tiles(c, tile, n_rows) < by_taps - by_taps / 8;
}

static size_t cost_of_all(const ser_nn_causal_conv *c, size_t tile, const size_t *n_frames,
                          size_t n_recordings)
{
    size_t cost = 0;
    for (size_t b = 0; b < n_recordings; b++) {
        size_t n_rows = ser_nn_padded_rows(n_frames[b]);
        cost += goes_by_tiles(c, tile, n_rows) ? cost_of_tiles(c, tile, n_rows) : cost_of_taps(c, n_rows);
    }
    return cost;
}

void ser_nn_causal_conv1d_choose(ser_nn_causal_conv *c, ser_dtype type, const size_t *n_frames,
                                 size_t n_recordings)
{
    size_t best = cost_of_all(c, c->tile = 0, n_frames, n_recordings);
    if (c->kernel != SER_WINOGRAD_KERNEL)
        return;
    for (const size_t *tile = ser_winograd_tiles; *tile; tile++) {
        size_t cost = cost_of_all(c, *tile, n_frames, n_recordings);
        if (cost < best && (type == SER_F32 || *tile <= LARGEST_BF16)) {
            best = cost;
            c->tile = *tile;
        }
    }
}

size_t ser_nn_causal_conv1d_smallest_tile(const ser_nn_causal_conv *c)
{
    return c->kernel == SER_WINOGRAD_KERNEL ? ser_winograd_tiles[0] : 0;
}

size_t ser_nn_causal_conv_n_prepared(const ser_nn_causal_conv *c)
{
    return (c->kernel + (c->tile ? ser_winograd_n_terms(c->tile) : 0)) * c->n_in * c->n_out;
}

size_t ser_nn_causal_conv_most_prepared(const ser_nn_causal_conv *c)
{
    ser_nn_causal_conv largest = *c;
    largest.tile = c->kernel == SER_WINOGRAD_KERNEL ? SER_WINOGRAD_LARGEST : 0;
    return ser_nn_causal_conv_n_prepared(&largest);
}

/* ---- one product per tap ---- */

static ser_status forward_taps(ser_nn_work *work, float *y, const void *x, const void *w,
                               const ser_nn_causal_conv *c, size_t n_rows, ser_error *err)
{
    ser_gemm g = {
        .n_batch = 1, .n = c->n_out, .k = c->n_in, .lda = c->n_in, .ldb = c->n_out, .ldc = c->n_out};
    g.ab_type = ser_nn_work_type(work);
    size_t tap_size = c->n_in * c->n_out * ser_dtype_size(g.ab_type);
    ser_status status = SER_OK;
    for (size_t k = c->kernel; k-- > 0 && status == SER_OK;) {
        size_t away = (c->kernel - 1 - k) * c->dilation;
        if (away >= n_rows)
            break;
        g.m = n_rows - away;
        g.beta = away ? 1 : 0;
        status = ser_nn_gemm_by_rows(work, y + away * c->n_out, x, (const char *)w + k * tap_size, &g, err);
    }
    return status;
}

/* forward was: y[t + away] += x[t] w, so: dx[t] += dy[t + away] w^T, dw += x[t]^T dy[t + away]. */
static ser_status backward_taps(ser_nn_work *work, float *dx, float *dw, const void *dy, const void *x,
                                const void *w, const ser_nn_causal_conv *c, size_t n_rows, ser_error *err)
{
    size_t n_tap = c->n_in * c->n_out, size = ser_dtype_size(ser_nn_work_type(work));
    ser_gemm to_x = {
        .n_batch = 1, .n = c->n_in, .k = c->n_out, .lda = c->n_out, .ldb = c->n_out, .ldc = c->n_in};
    ser_gemm to_w = {
        .n_batch = 1, .m = c->n_in, .n = c->n_out, .lda = c->n_in, .ldb = c->n_out, .ldc = c->n_out};
    to_x.b_transposed = to_w.a_transposed = true;
    to_x.ab_type = to_w.ab_type = ser_nn_work_type(work);
    to_w.beta = 1;
    ser_status status = SER_OK;
    for (size_t k = c->kernel; k-- > 0 && status == SER_OK;) {
        size_t away = (c->kernel - 1 - k) * c->dilation;
        if (away >= n_rows)
            break;
        const char *from = (const char *)dy + away * c->n_out * size;
        to_x.m = to_w.k = n_rows - away;
        to_x.beta = away ? 1 : 0;
        status = ser_nn_gemm_by_rows(work, dx, from, (const char *)w + k * n_tap * size, &to_x, err);
        if (status == SER_OK)
            status = ser_nn_gemm_by_terms(work, dw + k * n_tap, x, from, &to_w, err);
    }
    return status;
}

/* ---- tiles ---- */

/* Of several recordings at once, because products of few rows are slow. */
typedef struct tiled {
    ser_nn_work *work;
    const ser_nn_causal_conv *conv;
    const size_t *n_frames;
    size_t n_recordings, n_terms, n_tiles; /* n_tiles: of those recordings that go by tiles */
    void *in, *out;                        /* terms (n_terms, n_tiles, n_in) and (..., n_out) */
    float *products;                       /* (n_terms, n_tiles, wider of both) */
} tiled;

static ser_status tiled_init(tiled *p, ser_error *err)
{
    const ser_nn_causal_conv *c = p->conv;
    size_t size = ser_dtype_size(ser_nn_work_type(p->work)), wider = c->n_in > c->n_out ? c->n_in : c->n_out;
    p->n_terms = ser_winograd_n_terms(c->tile);
    for (size_t b = 0; b < p->n_recordings; b++) {
        size_t n_rows = ser_nn_padded_rows(p->n_frames[b]);
        p->n_tiles +=
            goes_by_tiles(c, c->tile, n_rows) ? ser_winograd_n_tiles(c->tile, c->dilation, n_rows) : 0;
    }
    if (!p->n_tiles)
        return SER_OK;
    size_t n = p->n_terms * p->n_tiles;
    p->in = ser_nn_scratch(p->work, TERMS_SLOT, n * (c->n_in + c->n_out) * size);
    p->products = ser_nn_scratch(p->work, PRODUCTS_SLOT, n * wider * sizeof *p->products);
    if (!p->in || !p->products)
        return ser_fail_nomem(err);
    p->out = (char *)p->in + n * c->n_in * size;
    return SER_OK;
}

/* What lies between a convolution's rows and its products, either way, for the recordings that go by tiles.
 */
typedef void (*split_function)(const ser_winograd *p, void *terms, const void *rows, ser_dtype type);
typedef void (*join_function)(const ser_winograd *p, float *rows, const float *products);

static void split_all(const tiled *p, split_function split, void *terms, const void *rows, size_t n)
{
    const ser_nn_causal_conv *c = p->conv;
    ser_dtype type = ser_nn_work_type(p->work);
    const char *from = rows;
    char *to = terms;
    for (size_t b = 0; b < p->n_recordings; b++) {
        size_t n_rows = ser_nn_padded_rows(p->n_frames[b]), row = n * ser_dtype_size(type);
        ser_winograd w = {c->tile, c->dilation, n_rows, n, p->n_tiles * n};
        if (goes_by_tiles(c, c->tile, n_rows)) {
            split(&w, to, from, type);
            to += ser_winograd_n_tiles(c->tile, c->dilation, n_rows) * row;
        }
        from += n_rows * row;
    }
}

static void join_all(const tiled *p, join_function join, float *rows, size_t n)
{
    const ser_nn_causal_conv *c = p->conv;
    const float *from = p->products;
    for (size_t b = 0; b < p->n_recordings; b++) {
        size_t n_rows = ser_nn_padded_rows(p->n_frames[b]);
        ser_winograd w = {c->tile, c->dilation, n_rows, n, p->n_tiles * n};
        if (goes_by_tiles(c, c->tile, n_rows)) {
            join(&w, rows, from);
            from += ser_winograd_n_tiles(c->tile, c->dilation, n_rows) * n;
        }
        rows += n_rows * n;
    }
}

/* products (n_terms, n_tiles, n_to) = terms (n_terms, n_tiles, n_from) times the terms of w. */
static ser_status multiply_terms(const tiled *p, const void *terms, const void *w, size_t n_from, size_t n_to,
                                 bool w_transposed, ser_error *err)
{
    ser_gemm g = {
        .n_batch = p->n_terms, .m = p->n_tiles, .n = n_to, .k = n_from, .b_transposed = w_transposed};
    g.lda = n_from, g.ldb = w_transposed ? n_from : n_to, g.ldc = n_to;
    g.stride_a = p->n_tiles * n_from, g.stride_b = n_from * n_to, g.stride_c = p->n_tiles * n_to;
    g.ab_type = ser_nn_work_type(p->work);
    return ser_nn_gemm_by_rows(p->work, p->products, terms, w, &g, err);
}

static ser_status forward_tiles(const tiled *p, float *y, const void *x, const void *w, ser_error *err)
{
    split_all(p, ser_winograd_split, p->in, x, p->conv->n_in);
    ser_status status = multiply_terms(p, p->in, w, p->conv->n_in, p->conv->n_out, false, err);
    if (status == SER_OK)
        join_all(p, ser_winograd_join, y, p->conv->n_out);
    return status;
}

static ser_status backward_tiles(const tiled *p, float *dx, float *dw, const void *dy, const void *x,
                                 const void *w, ser_error *err)
{
    const ser_nn_causal_conv *c = p->conv;
    split_all(p, ser_winograd_split, p->in, x, c->n_in);
    split_all(p, ser_winograd_split_gradient, p->out, dy, c->n_out);
    ser_status status = multiply_terms(p, p->out, w, c->n_out, c->n_in, true, err);
    if (status != SER_OK)
        return status;
    join_all(p, ser_winograd_join_gradient, dx, c->n_in);
    ser_gemm g = {.n_batch = p->n_terms, .m = c->n_in, .n = c->n_out, .k = p->n_tiles, .beta = 1};
    g.a_transposed = true;
    g.lda = c->n_in, g.ldb = c->n_out, g.ldc = c->n_out;
    g.stride_a = p->n_tiles * c->n_in, g.stride_b = p->n_tiles * c->n_out, g.stride_c = c->n_in * c->n_out;
    g.ab_type = ser_nn_work_type(p->work);
    return ser_nn_gemm_by_terms(p->work, dw, p->in, p->out, &g, err);
}

/* ---- both ---- */

void ser_nn_causal_conv1d_prepare(void *prepared, ser_dtype type, const float *w, const ser_nn_causal_conv *c)
{
    size_t n_tap = c->n_in * c->n_out, n_taps = c->kernel * n_tap;
    ser_nn_convert(prepared, type, w, n_taps);
    if (c->tile)
        ser_winograd_split_kernel(c->tile, (char *)prepared + n_taps * ser_dtype_size(type), type, w, n_tap);
}

void ser_nn_causal_conv1d_finish(float *dw, const float *dprepared, const ser_nn_causal_conv *c)
{
    size_t n_tap = c->n_in * c->n_out, n_taps = c->kernel * n_tap;
    ser_nn_add_rows(dw, dprepared, 1, n_taps);
    if (c->tile)
        ser_winograd_join_kernel(c->tile, dw, dprepared + n_taps, n_tap);
}

ser_status ser_nn_causal_conv1d_forward(ser_nn_work *work, float *y, const void *x, const void *prepared,
                                        const ser_nn_causal_conv *c, const size_t *n_frames,
                                        size_t n_recordings, ser_error *err)
{
    size_t size = ser_dtype_size(ser_nn_work_type(work)), n_taps = c->kernel * c->n_in * c->n_out;
    tiled p = {.work = work, .conv = c, .n_frames = n_frames, .n_recordings = n_recordings};
    ser_status status = tiled_init(&p, err);
    if (status == SER_OK && p.n_tiles)
        status = forward_tiles(&p, y, x, (const char *)prepared + n_taps * size, err);
    for (size_t b = 0, t = 0; b < n_recordings && status == SER_OK; b++) {
        size_t n_rows = ser_nn_padded_rows(n_frames[b]);
        if (!goes_by_tiles(c, c->tile, n_rows))
            status = forward_taps(work, y + t * c->n_out, (const char *)x + t * c->n_in * size, prepared, c,
                                  n_rows, err);
        t += n_rows;
    }
    return status;
}

ser_status ser_nn_causal_conv1d_backward(ser_nn_work *work, float *dx, float *dprepared, const void *dy,
                                         const void *x, const void *prepared, const ser_nn_causal_conv *c,
                                         const size_t *n_frames, size_t n_recordings, ser_error *err)
{
    size_t size = ser_dtype_size(ser_nn_work_type(work)), n_taps = c->kernel * c->n_in * c->n_out;
    tiled p = {.work = work, .conv = c, .n_frames = n_frames, .n_recordings = n_recordings};
    ser_status status = tiled_init(&p, err);
    if (status == SER_OK && p.n_tiles)
        status =
            backward_tiles(&p, dx, dprepared + n_taps, dy, x, (const char *)prepared + n_taps * size, err);
    for (size_t b = 0, t = 0; b < n_recordings && status == SER_OK; b++) {
        size_t n_rows = ser_nn_padded_rows(n_frames[b]);
        if (!goes_by_tiles(c, c->tile, n_rows))
            status = backward_taps(work, dx + t * c->n_in, dprepared, (const char *)dy + t * c->n_out * size,
                                   (const char *)x + t * c->n_in * size, prepared, c, n_rows, err);
        t += n_rows;
    }
    return status;
}

/* Two ways to the same sums. One product per tap, which leaves out frames that have no past for the tap to
 * read: best where the dilation is large beside the recording. And, for kernels of 3, Winograd's minimal
 * filtering F(2,3) (Winograd 1980; Lavin and Gray 2016, arXiv:1509.09308) along time, which needs four
 * products of half the frames instead of three of all. It takes frames t and t + dilation as a pair: with a,
 * b, c, e the input at t - 2 dilation, ..., t + dilation and g0, g1, g2 the taps, m0 = (a - c) g0, m1 = (b +
 * c) (g0 + g1 + g2) / 2, m2 = (c - b) (g0 - g1 + g2) / 2, m3 = (b - e) g2, y[t] = m0 + m1 + m2, y[t +
 * dilation] = m1 - m2 - m3. */
#include "nn/lanes.h"
#include "nn/pieces.h"
#include "nn/trainable.h"

enum { N_TERMS = 4, KERNEL = 3, PAIRS_SLOT = 0, SUMS_SLOT = 1 };

static bool has_terms(const ser_nn_causal_conv *c)
{
    return c->kernel == KERNEL;
}

size_t ser_nn_causal_conv_n_prepared(const ser_nn_causal_conv *c)
{
    return (c->kernel + (has_terms(c) ? N_TERMS : 0)) * c->n_in * c->n_out;
}

/* Pairs are those of whole stretches of 2 dilation frames. */
static size_t count_pairs(const ser_nn_causal_conv *c, size_t n_rows)
{
    return (n_rows + 2 * c->dilation - 1) / (2 * c->dilation) * c->dilation;
}

static bool goes_by_pairs(const ser_nn_causal_conv *c, size_t n_rows)
{
    if (!has_terms(c))
        return false;
    size_t by_taps = 0, by_pairs = N_TERMS * count_pairs(c, n_rows);
    for (size_t away = 0; away < c->kernel * c->dilation && away < n_rows; away += c->dilation)
        by_taps += n_rows - away;
    return by_pairs < by_taps - by_taps / 8; /* pairs have to be made */
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

/* ---- pairs ---- */

/* Rows of a matrix (n_rows, n); beyond either end there are zeros. */
typedef struct rows {
    const void *x, *zeros;
    size_t n_rows, n;
    ser_dtype type;
} rows;

SER_INLINE const void *row_at(const rows *r, ptrdiff_t t)
{
    if (t < 0 || (size_t)t >= r->n_rows)
        return r->zeros;
    return (const char *)r->x + (size_t)t * r->n * (r->type == SER_F32 ? sizeof(float) : sizeof(uint16_t));
}

SER_INLINE float load(const void *x, size_t i, ser_dtype type)
{
    if (type == SER_F32)
        return ((const float *)x)[i];
    uint32_t bits = (uint32_t)((const uint16_t *)x)[i] << 16;
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* To the nearest, ties to even, as ser_bf16_of, but without its care for NaN: v is a sum of bf16 numbers, and
 * where that is NaN there is nothing in the lower half to round. */
SER_INLINE void store(void *y, size_t i, ser_dtype type, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    if (type == SER_F32)
        ((float *)y)[i] = v;
    else
        ((uint16_t *)y)[i] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* What the taps' terms are multiplied with: of each of the N_TERMS n_pairs rows of n, step elements behind
 * the term before. */
SER_INLINE void input_terms(void *restrict terms, size_t step, const rows *r, size_t n_pairs, size_t dilation,
                            ser_dtype type)
{
    size_t n = r->n;
    ptrdiff_t away = (ptrdiff_t)dilation;
    for (size_t p = 0; p < n_pairs; p++) {
        ptrdiff_t t = (ptrdiff_t)(p / dilation * 2 * dilation + p % dilation);
        const void *a = row_at(r, t - 2 * away), *b = row_at(r, t - away), *c = row_at(r, t),
                   *e = row_at(r, t + away);
        for (size_t i = 0; i < n; i++) {
            float b_i = load(b, i, type), c_i = load(c, i, type);
            store(terms, p * n + i, type, load(a, i, type) - c_i);
            store(terms, step + p * n + i, type, b_i + c_i);
            store(terms, 2 * step + p * n + i, type, c_i - b_i);
            store(terms, 3 * step + p * n + i, type, b_i - load(e, i, type));
        }
    }
}

/* The gradient by m0 ... m3, from that by y. */
SER_INLINE void gradient_terms(void *restrict terms, size_t step, const rows *r, size_t n_pairs,
                               size_t dilation, ser_dtype type)
{
    size_t n = r->n;
    for (size_t p = 0; p < n_pairs; p++) {
        size_t t = p / dilation * 2 * dilation + p % dilation;
        const void *first = row_at(r, (ptrdiff_t)t), *second = row_at(r, (ptrdiff_t)(t + dilation));
        for (size_t i = 0; i < n; i++) {
            float y0 = load(first, i, type), y1 = load(second, i, type);
            store(terms, p * n + i, type, y0);
            store(terms, step + p * n + i, type, y0 + y1);
            store(terms, 2 * step + p * n + i, type, y0 - y1);
            store(terms, 3 * step + p * n + i, type, -y1);
        }
    }
}

SER_FAST static void make_terms_f32(float *restrict terms, size_t step, const rows *r, size_t n_pairs,
                                    size_t dilation, bool of_gradient)
{
    if (of_gradient)
        gradient_terms(terms, step, r, n_pairs, dilation, SER_F32);
    else
        input_terms(terms, step, r, n_pairs, dilation, SER_F32);
}

SER_FAST static void make_terms_bf16(uint16_t *restrict terms, size_t step, const rows *r, size_t n_pairs,
                                     size_t dilation, bool of_gradient)
{
    if (of_gradient)
        gradient_terms(terms, step, r, n_pairs, dilation, SER_BF16);
    else
        input_terms(terms, step, r, n_pairs, dilation, SER_BF16);
}

/* y (n_rows, n) from the sums m0 ... m3, each n_pairs rows of n, step elements behind the one before. */
SER_FAST static void add_up(float *restrict y, const float *restrict m, size_t step, size_t n_rows, size_t n,
                            size_t n_pairs, size_t dilation)
{
    for (size_t p = 0; p < n_pairs; p++, m += n) {
        size_t t = p / dilation * 2 * dilation + p % dilation;
        float *y0 = y + t * n, *y1 = y0 + dilation * n;
        if (t < n_rows)
            for (size_t i = 0; i < n; i++)
                y0[i] = m[i] + m[step + i] + m[2 * step + i];
        if (t + dilation < n_rows)
            for (size_t i = 0; i < n; i++)
                y1[i] = m[step + i] - m[2 * step + i] - m[3 * step + i];
    }
}

/* forward was: input_terms, so, of the gradient d0 ... d3 by its terms: da = d0, db = d1 - d2 + d3, dc = d1 +
 * d2 - d0, de = -d3. Frames t and t + dilation are c and e of their own pair, a and b of the pair after it.
 */
SER_FAST static void add_up_gradient(float *restrict dx, const float *restrict d, size_t step, size_t n_rows,
                                     size_t n, size_t n_pairs, size_t dilation)
{
    for (size_t p = 0; p < n_pairs; p++, d += n) {
        size_t t = p / dilation * 2 * dilation + p % dilation;
        float *x0 = dx + t * n, *x1 = x0 + dilation * n;
        const float *next = d + dilation * n;
        if (t < n_rows)
            for (size_t i = 0; i < n; i++)
                x0[i] = d[step + i] + d[2 * step + i] - d[i];
        if (t + dilation < n_rows)
            for (size_t i = 0; i < n; i++)
                x1[i] = -d[3 * step + i];
        if (p + dilation < n_pairs)
            for (size_t i = 0; i < n; i++) {
                x0[i] += next[i];
                x1[i] += next[step + i] - next[2 * step + i] + next[3 * step + i];
            }
    }
}

/* Of several recordings at once, because products of few rows are slow. */
typedef struct paired {
    ser_nn_work *work;
    const ser_nn_causal_conv *conv;
    const size_t *n_frames;
    size_t n_recordings, n_pairs; /* of those that go by pairs */
    void *in, *out, *zeros;       /* terms (N_TERMS, n_pairs, n_in) and (..., n_out); a row of zeros */
    float *sums;                  /* (N_TERMS, n_pairs, wider of both) */
} paired;

static ser_status paired_init(paired *p, ser_error *err)
{
    const ser_nn_causal_conv *c = p->conv;
    size_t size = ser_dtype_size(ser_nn_work_type(p->work)), wider = c->n_in > c->n_out ? c->n_in : c->n_out;
    for (size_t b = 0; b < p->n_recordings; b++) {
        size_t n_rows = ser_nn_padded_rows(p->n_frames[b]);
        p->n_pairs += goes_by_pairs(c, n_rows) ? count_pairs(c, n_rows) : 0;
    }
    size_t n_in = N_TERMS * p->n_pairs * c->n_in, n_out = N_TERMS * p->n_pairs * c->n_out;
    char *memory = ser_nn_scratch(p->work, PAIRS_SLOT, (n_in + n_out + wider) * size);
    p->sums = ser_nn_scratch(p->work, SUMS_SLOT, N_TERMS * p->n_pairs * wider * sizeof *p->sums);
    if (!memory || !p->sums)
        return ser_fail_nomem(err);
    p->in = memory;
    p->out = memory + n_in * size;
    p->zeros = memory + (n_in + n_out) * size;
    memset(p->zeros, 0, wider * size);
    return SER_OK;
}

static void make_terms(const paired *p, void *terms, const void *x, size_t n, bool of_gradient)
{
    ser_dtype type = ser_nn_work_type(p->work);
    size_t pair = 0, row = 0, size = ser_dtype_size(type);
    for (size_t b = 0; b < p->n_recordings; b++) {
        size_t n_rows = ser_nn_padded_rows(p->n_frames[b]), n_pairs = count_pairs(p->conv, n_rows);
        rows r = {(const char *)x + row * n * size, p->zeros, n_rows, n, type};
        row += n_rows;
        if (!goes_by_pairs(p->conv, n_rows))
            continue;
        void *to = (char *)terms + pair * n * size;
        pair += n_pairs;
        if (type == SER_F32)
            make_terms_f32(to, p->n_pairs * n, &r, n_pairs, p->conv->dilation, of_gradient);
        else
            make_terms_bf16(to, p->n_pairs * n, &r, n_pairs, p->conv->dilation, of_gradient);
    }
}

static void add_up_all(const paired *p, float *y, size_t n, bool of_gradient)
{
    const float *sums = p->sums;
    for (size_t b = 0; b < p->n_recordings; b++) {
        size_t n_rows = ser_nn_padded_rows(p->n_frames[b]), n_pairs = count_pairs(p->conv, n_rows);
        if (goes_by_pairs(p->conv, n_rows)) {
            (of_gradient ? add_up_gradient : add_up)(y, sums, p->n_pairs * n, n_rows, n, n_pairs,
                                                     p->conv->dilation);
            sums += n_pairs * n;
        }
        y += n_rows * n;
    }
}

/* sums (N_TERMS, n_pairs, n_to) = terms (N_TERMS, n_pairs, n_from) times the terms of w. */
static ser_status multiply_terms(const paired *p, const void *terms, const void *w, size_t n_from,
                                 size_t n_to, bool w_transposed, ser_error *err)
{
    ser_gemm g = {.n_batch = N_TERMS, .m = p->n_pairs, .n = n_to, .k = n_from, .b_transposed = w_transposed};
    g.lda = n_from, g.ldb = w_transposed ? n_from : n_to, g.ldc = n_to;
    g.stride_a = p->n_pairs * n_from, g.stride_b = n_from * n_to, g.stride_c = p->n_pairs * n_to;
    g.ab_type = ser_nn_work_type(p->work);
    return ser_nn_gemm_by_rows(p->work, p->sums, terms, w, &g, err);
}

static ser_status forward_pairs(const paired *p, float *y, const void *x, const void *w, ser_error *err)
{
    make_terms(p, p->in, x, p->conv->n_in, false);
    ser_status status = multiply_terms(p, p->in, w, p->conv->n_in, p->conv->n_out, false, err);
    if (status == SER_OK)
        add_up_all(p, y, p->conv->n_out, false);
    return status;
}

static ser_status backward_pairs(const paired *p, float *dx, float *dw, const void *dy, const void *x,
                                 const void *w, ser_error *err)
{
    const ser_nn_causal_conv *c = p->conv;
    make_terms(p, p->in, x, c->n_in, false);
    make_terms(p, p->out, dy, c->n_out, true);
    ser_status status = multiply_terms(p, p->out, w, c->n_out, c->n_in, true, err);
    if (status == SER_OK)
        add_up_all(p, dx, c->n_in, true);
    if (status != SER_OK)
        return status;
    ser_gemm g = {.n_batch = N_TERMS, .m = c->n_in, .n = c->n_out, .k = p->n_pairs, .beta = 1};
    g.a_transposed = true;
    g.lda = c->n_in, g.ldb = c->n_out, g.ldc = c->n_out;
    g.stride_a = p->n_pairs * c->n_in, g.stride_b = p->n_pairs * c->n_out, g.stride_c = c->n_in * c->n_out;
    g.ab_type = ser_nn_work_type(p->work);
    return ser_nn_gemm_by_terms(p->work, dw, p->in, p->out, &g, err);
}

/* ---- both ---- */

SER_FAST static void kernel_terms(float *restrict m, const float *restrict g, size_t n_tap)
{
    for (size_t i = 0; i < n_tap; i++) {
        float outer = g[i] + g[2 * n_tap + i], middle = g[n_tap + i];
        m[i] = g[i];
        m[n_tap + i] = (outer + middle) / 2;
        m[2 * n_tap + i] = (outer - middle) / 2;
        m[3 * n_tap + i] = g[2 * n_tap + i];
    }
}

SER_FAST static void add_kernel_gradient(float *restrict dg, const float *restrict dm, size_t n_tap)
{
    for (size_t i = 0; i < n_tap; i++) {
        float both = (dm[n_tap + i] + dm[2 * n_tap + i]) / 2;
        dg[i] += dm[i] + both;
        dg[n_tap + i] += (dm[n_tap + i] - dm[2 * n_tap + i]) / 2;
        dg[2 * n_tap + i] += both + dm[3 * n_tap + i];
    }
}

void ser_nn_causal_conv1d_prepare(void *prepared, ser_dtype type, float *scratch, const float *w,
                                  const ser_nn_causal_conv *c)
{
    size_t n_tap = c->n_in * c->n_out, n_taps = c->kernel * n_tap;
    ser_nn_convert(prepared, type, w, n_taps);
    if (!has_terms(c))
        return;
    kernel_terms(scratch, w, n_tap);
    ser_nn_convert((char *)prepared + n_taps * ser_dtype_size(type), type, scratch, N_TERMS * n_tap);
}

void ser_nn_causal_conv1d_finish(float *dw, const float *dprepared, const ser_nn_causal_conv *c)
{
    size_t n_tap = c->n_in * c->n_out;
    ser_nn_add_rows(dw, dprepared, 1, c->kernel * n_tap);
    if (!has_terms(c))
        return;
    add_kernel_gradient(dw, dprepared + c->kernel * n_tap, n_tap);
}

ser_status ser_nn_causal_conv1d_forward(ser_nn_work *work, float *y, const void *x, const void *prepared,
                                        const ser_nn_causal_conv *c, const size_t *n_frames,
                                        size_t n_recordings, ser_error *err)
{
    size_t size = ser_dtype_size(ser_nn_work_type(work)), n_taps = c->kernel * c->n_in * c->n_out;
    paired p = {.work = work, .conv = c, .n_frames = n_frames, .n_recordings = n_recordings};
    ser_status status = paired_init(&p, err);
    if (status == SER_OK && p.n_pairs)
        status = forward_pairs(&p, y, x, (const char *)prepared + n_taps * size, err);
    for (size_t b = 0, t = 0; b < n_recordings && status == SER_OK; b++) {
        size_t n_rows = ser_nn_padded_rows(n_frames[b]);
        if (!goes_by_pairs(c, n_rows))
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
    paired p = {.work = work, .conv = c, .n_frames = n_frames, .n_recordings = n_recordings};
    ser_status status = paired_init(&p, err);
    if (status == SER_OK && p.n_pairs)
        status =
            backward_pairs(&p, dx, dprepared + n_taps, dy, x, (const char *)prepared + n_taps * size, err);
    for (size_t b = 0, t = 0; b < n_recordings && status == SER_OK; b++) {
        size_t n_rows = ser_nn_padded_rows(n_frames[b]);
        if (!goes_by_pairs(c, n_rows))
            status = backward_taps(work, dx + t * c->n_in, dprepared, (const char *)dy + t * c->n_out * size,
                                   (const char *)x + t * c->n_in * size, prepared, c, n_rows, err);
        t += n_rows;
    }
    return status;
}

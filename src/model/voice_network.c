#include "model/voice_network.h"
#include "base/memory.h"
#include "io/safetensors.h"
#include "nn/lanes.h"

extern const unsigned char ser_voice_weights_start[], ser_voice_weights_end[]; /* voice_activity.S */

/* y = w x + bias. Weights lie by 16 outputs: (n_out / 16, n_in, 16). n_in of a convolution is kernel by
 * channels, so that its input is a piece of the rows as they lie. */
typedef struct affine {
    float *w, *bias;
    size_t n_in, n_out;
    bool exact; /* sums in doubles, where what sums of floats lose comes back tenfold in the probabilities */
} affine;

struct ser_voice_network {
    affine stft, conv1, conv2, conv3, conv4, input, recurrent;
    _Alignas(64) float output[SER_VOICE_WIDE];
    float output_bias;
};

/* ---- loading ---- */

/* A tensor (n_out, n_channels, kernel): its taps from first_tap on become an affine layer's, whose outputs
 * are n_out, rounded up to 16. */
typedef struct layer_spec {
    const char *weight, *bias, *second_bias; /* NULL: none */
    size_t n_out, n_channels, kernel, first_tap, n_taps;
    bool exact;
} layer_spec;

static ser_status read_tensor(float **out, const ser_safetensors *file, const char *name, size_t n,
                              ser_error *err)
{
    const ser_tensor *t = ser_safetensors_find(file, name);
    if (!t || t->n_elements != n)
        return ser_fail(err, SER_E_FORMAT, "the voice detector's tensor '%s' is not of %zu numbers", name, n);
    *out = ser_alloc(n, sizeof **out);
    return *out ? ser_tensor_to_f32(*out, t, 0, n, err) : ser_fail_nomem(err);
}

static ser_status add_bias_tensor(affine *a, const ser_safetensors *file, const char *name, size_t n,
                                  ser_error *err)
{
    float *bias = NULL;
    ser_status st = name ? read_tensor(&bias, file, name, n, err) : SER_OK;
    for (size_t i = 0; st == SER_OK && bias && i < n; i++)
        a->bias[i] += bias[i];
    ser_free(bias);
    return st;
}

static ser_status read_layer(affine *a, const ser_safetensors *file, const layer_spec *s, ser_error *err)
{
    float *w = NULL;
    ser_status st = read_tensor(&w, file, s->weight, s->n_out * s->n_channels * s->kernel, err);
    *a = (affine){.n_in = s->n_taps * s->n_channels,
                  .n_out = (s->n_out + SER_N_LANES - 1) / SER_N_LANES * SER_N_LANES,
                  .exact = s->exact};
    if (st == SER_OK && (!(a->w = ser_alloc(a->n_in * a->n_out, sizeof *a->w)) ||
                         !(a->bias = ser_alloc(a->n_out, sizeof *a->bias))))
        st = ser_fail_nomem(err);
    for (size_t o = 0; st == SER_OK && o < s->n_out; o++)
        for (size_t c = 0; c < s->n_channels; c++)
            for (size_t k = 0; k < s->n_taps; k++)
                a->w[(o / SER_N_LANES * a->n_in + k * s->n_channels + c) * SER_N_LANES + o % SER_N_LANES] =
                    w[(o * s->n_channels + c) * s->kernel + s->first_tap + k];
    if (st == SER_OK)
        st = add_bias_tensor(a, file, s->bias, s->n_out, err);
    if (st == SER_OK)
        st = add_bias_tensor(a, file, s->second_bias, s->n_out, err);
    ser_free(w);
    return st;
}

static ser_status read_output(ser_voice_network *n, const ser_safetensors *file, ser_error *err)
{
    float *w = NULL, *bias = NULL;
    ser_status st = read_tensor(&w, file, "final_conv.weight", SER_VOICE_WIDE, err);
    if (st == SER_OK)
        st = read_tensor(&bias, file, "final_conv.bias", 1, err);
    if (st == SER_OK) {
        memcpy(n->output, w, sizeof n->output);
        n->output_bias = *bias;
    }
    ser_free(w);
    ser_free(bias);
    return st;
}

static ser_status read_network(ser_voice_network *n, const ser_safetensors *file, ser_error *err)
{
    enum { WIDE = SER_VOICE_WIDE, NARROW = SER_VOICE_NARROW };
    const struct {
        affine *layer;
        layer_spec spec;
    } layers[] = {
        /* a window times cosines, then times minus sines */
        {&n->stft, {"stft_conv.weight", NULL, NULL, 2 * SER_VOICE_BINS, 1, SER_VOICE_FFT, 0, SER_VOICE_FFT}},
        {&n->conv1, {"conv1.weight", "conv1.bias", NULL, WIDE, SER_VOICE_BINS, 3, 0, 3, true}},
        {&n->conv2, {"conv2.weight", "conv2.bias", NULL, NARROW, WIDE, 3, 0, 3, true}},
        {&n->conv3, {"conv3.weight", "conv3.bias", NULL, NARROW, NARROW, 3, 0, 3, true}},
        /* of one moment: only the middle tap meets anything but zeros */
        {&n->conv4, {"conv4.weight", "conv4.bias", NULL, WIDE, NARROW, 3, 1, 1, true}},
        {&n->input,
         {"lstm_cell.weight_ih", "lstm_cell.bias_ih", "lstm_cell.bias_hh", SER_VOICE_GATES, WIDE, 1, 0, 1}},
        {&n->recurrent, {"lstm_cell.weight_hh", NULL, NULL, SER_VOICE_GATES, WIDE, 1, 0, 1}},
    };
    ser_status st = SER_OK;
    for (size_t i = 0; i < sizeof layers / sizeof *layers && st == SER_OK; i++)
        st = read_layer(layers[i].layer, file, &layers[i].spec, err);
    return st == SER_OK ? read_output(n, file, err) : st;
}

ser_status ser_voice_network_new(ser_voice_network **out, ser_error *err)
{
    ser_safetensors *file = NULL;
    ser_voice_network *n = *out = ser_alloc(1, sizeof *n);
    if (!n)
        return ser_fail_nomem(err);
    ser_status st = ser_safetensors_open_memory(
        &file, ser_voice_weights_start, (size_t)(ser_voice_weights_end - ser_voice_weights_start), err);
    if (st == SER_OK)
        st = read_network(n, file, err);
    ser_safetensors_close(&file);
    if (st != SER_OK)
        ser_voice_network_free(out);
    return st;
}

void ser_voice_network_free(ser_voice_network **network)
{
    ser_voice_network *n = *network;
    if (!n)
        return;
    affine *layers[] = {&n->stft, &n->conv1, &n->conv2, &n->conv3, &n->conv4, &n->input, &n->recurrent};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        ser_free(layers[i]->w);
        ser_free(layers[i]->bias);
    }
    ser_free(n);
    *network = NULL;
}

/* ---- products ---- */

enum { TILE = 4 };

enum { N_EIGHT = SER_N_LANES / 2 };
typedef float eight_floats __attribute__((vector_size(N_EIGHT * sizeof(float))));
typedef double eight_doubles __attribute__((vector_size(N_EIGHT * sizeof(double))));

SER_INLINE eight_doubles load_eight(const float *x)
{
    eight_floats v;
    memcpy(&v, x, sizeof v);
    return __builtin_convertvector(v, eight_doubles);
}

/* Rows by blocks of 16 outputs from output 16 * block on; constants, so that the sums stay in registers. Each
 * sum goes over the inputs in one order, whatever the tile: results do not depend on it. */
SER_INLINE void tile(const affine *a, float *const *y, const float *const *x, size_t block, size_t n_rows,
                     size_t n_blocks)
{
    ser_lanes sums[TILE][TILE];
    const float *w = a->w + block * a->n_in * SER_N_LANES;
    for (size_t b = 0; b < n_blocks; b++)
        for (size_t r = 0; r < n_rows; r++)
            sums[r][b] = ser_lanes_load(a->bias + (block + b) * SER_N_LANES);
    for (size_t i = 0; i < a->n_in; i++)
        for (size_t b = 0; b < n_blocks; b++) {
            ser_lanes column = ser_lanes_load(w + (b * a->n_in + i) * SER_N_LANES);
            for (size_t r = 0; r < n_rows; r++)
                sums[r][b] += column * x[r][i];
        }
    for (size_t b = 0; b < n_blocks; b++)
        for (size_t r = 0; r < n_rows; r++)
            ser_lanes_store(y[r] + (block + b) * SER_N_LANES, sums[r][b]);
}

/* The same with sums of doubles, two registers to a block. */
SER_INLINE void exact_tile(const affine *a, float *const *y, const float *const *x, size_t block,
                           size_t n_rows, size_t n_blocks)
{
    eight_doubles sums[TILE][2 * TILE];
    for (size_t h = 0; h < 2 * n_blocks; h++)
        for (size_t r = 0; r < n_rows; r++)
            sums[r][h] = load_eight(a->bias + block * SER_N_LANES + h * N_EIGHT);
    const float *w = a->w + block * a->n_in * SER_N_LANES;
    for (size_t i = 0; i < a->n_in; i++)
        for (size_t h = 0; h < 2 * n_blocks; h++) {
            eight_doubles column = load_eight(w + (h / 2 * a->n_in + i) * SER_N_LANES + h % 2 * N_EIGHT);
            for (size_t r = 0; r < n_rows; r++)
                sums[r][h] += column * (double)x[r][i];
        }
    for (size_t h = 0; h < 2 * n_blocks; h++)
        for (size_t r = 0; r < n_rows; r++) {
            eight_floats rounded = __builtin_convertvector(sums[r][h], eight_floats);
            memcpy(y[r] + block * SER_N_LANES + h * N_EIGHT, &rounded, sizeof rounded);
        }
}

/* Four rows of one layer. */
SER_FAST_STATIC(void, four_rows, (const affine *a, float *const *y, const float *const *x), (a, y, x))
{
    for (size_t block = 0; block < a->n_out / SER_N_LANES; block++)
        if (a->exact)
            exact_tile(a, y, x, block, TILE, 1);
        else
            tile(a, y, x, block, TILE, 1);
}

/* One row; n_out is a multiple of 64. */
SER_FAST_STATIC(void, one_row, (const affine *a, float *const *y, const float *const *x), (a, y, x))
{
    for (size_t block = 0; block < a->n_out / SER_N_LANES; block += TILE)
        if (a->exact)
            exact_tile(a, y, x, block, 1, TILE);
        else
            tile(a, y, x, block, 1, TILE);
}

/* y[r] = w x[r] + bias, n_rows of them. */
static void run_rows(const affine *a, float *const *y, const float *const *x, size_t n_rows)
{
    size_t r = 0;
    for (; r + TILE <= n_rows; r += TILE)
        four_rows(a, y + r, x + r);
    for (; r < n_rows; r++)
        one_row(a, y + r, x + r);
}

/* ---- layers ---- */

enum { MAX_ROWS = SER_VOICE_BATCH * SER_VOICE_SPECTRA };

typedef struct rows {
    float *y[MAX_ROWS];
    const float *x[MAX_ROWS];
    size_t n;
} rows;

static void add_row(rows *r, float *y, const float *x)
{
    r->y[r->n] = y;
    r->x[r->n++] = x;
}

SER_FAST_STATIC(void, rectify, (float *x, size_t n), (x, n))
{
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] > 0 ? x[i] : 0;
}

SER_FAST_STATIC(void, find_magnitudes, (float *y, const float *spectrum), (y, spectrum))
{
    for (size_t i = 0; i < SER_VOICE_BINS; i++)
        y[i] = __builtin_sqrtf(spectrum[i] * spectrum[i] +
                               spectrum[SER_VOICE_BINS + i] * spectrum[SER_VOICE_BINS + i]);
}

static void run_spectra(const ser_voice_network *n, ser_voice_work *w, const float *windows, size_t n_windows)
{
    rows r = {.n = 0};
    for (size_t b = 0; b < n_windows; b++) {
        memcpy(w->pcm[b], windows + b * SER_VOICE_READ, SER_VOICE_READ * sizeof *windows);
        for (size_t i = SER_VOICE_READ; i < SER_VOICE_MIRRORED; i++)
            w->pcm[b][i] = w->pcm[b][2 * (SER_VOICE_READ - 1) - i];
        for (size_t t = 0; t < SER_VOICE_SPECTRA; t++)
            add_row(&r, w->spectra[b][t], w->pcm[b] + t * SER_VOICE_HOP);
    }
    run_rows(&n->stft, r.y, r.x, r.n);
    for (size_t b = 0; b < n_windows; b++)
        for (size_t t = 0; t < SER_VOICE_SPECTRA; t++)
            find_magnitudes(w->magnitudes[b][1 + t], w->spectra[b][t]);
}

static void run_convolution(const affine *a, rows *r)
{
    run_rows(a, r->y, r->x, r->n);
    for (size_t i = 0; i < r->n; i++)
        rectify(r->y[i], a->n_out);
}

/* Kernels of 3 over time, one row of zeros in front: output t reads rows stride * t to stride * t + 2. */
static void run_convolutions(const ser_voice_network *n, ser_voice_work *w, size_t n_windows)
{
    rows first = {.n = 0}, second = {.n = 0}, third = {.n = 0}, fourth = {.n = 0};
    for (size_t b = 0; b < n_windows; b++) {
        for (size_t t = 0; t < 4; t++)
            add_row(&first, w->conv1[b][1 + t], w->magnitudes[b][t]);
        for (size_t t = 0; t < 2; t++)
            add_row(&second, w->conv2[b][1 + t], w->conv1[b][2 * t]);
        add_row(&third, w->conv3[b], w->conv2[b][0]);
        add_row(&fourth, w->conv4[b], w->conv3[b]);
    }
    run_convolution(&n->conv1, &first);
    run_convolution(&n->conv2, &second);
    run_convolution(&n->conv3, &third);
    run_convolution(&n->conv4, &fourth);
}

/* 1 / (1 + exp(-x)) */
SER_INLINE ser_lanes sigmoid(ser_lanes x)
{
    return 1 / (1 + ser_lanes_exp(-ser_lanes_max(x, ser_lanes_of(-80))));
}

SER_INLINE ser_lanes hyperbolic_tangent(ser_lanes x)
{
    return 2 * sigmoid(2 * x) - 1;
}

/* c = forget * c + input * tanh(cell), h = output * tanh(c): Hochreiter and Schmidhuber 1997, with the forget
 * gate of Gers et al. 2000, as torch.nn.LSTMCell. */
SER_FAST_STATIC(void, remember, (ser_voice_memory * m, const float *from_input, const float *from_before),
                (m, from_input, from_before))
{
    for (size_t i = 0; i < SER_VOICE_WIDE; i += SER_N_LANES) {
        ser_lanes gates[4];
        for (size_t g = 0; g < 4; g++)
            gates[g] = ser_lanes_load(from_input + g * SER_VOICE_WIDE + i) +
                       ser_lanes_load(from_before + g * SER_VOICE_WIDE + i);
        ser_lanes cell = sigmoid(gates[1]) * ser_lanes_load(m->cell + i) +
                         sigmoid(gates[0]) * hyperbolic_tangent(gates[2]);
        ser_lanes_store(m->cell + i, cell);
        ser_lanes_store(m->hidden + i, sigmoid(gates[3]) * hyperbolic_tangent(cell));
    }
}

/* A 1x1 convolution of what is positive in the hidden state, then a sigmoid. */
SER_FAST_STATIC(float, find_probability, (const ser_voice_network *n, const float *hidden), (n, hidden))
{
    ser_lanes sum = {0};
    for (size_t i = 0; i < SER_VOICE_WIDE; i += SER_N_LANES)
        sum += ser_lanes_load(n->output + i) * ser_lanes_max(ser_lanes_load(hidden + i), ser_lanes_of(0));
    return sigmoid(ser_lanes_of(ser_lanes_sum(sum) + n->output_bias))[0];
}

void ser_voice_network_run(const ser_voice_network *n, ser_voice_work *work, ser_voice_memory *memory,
                           float *probabilities, const float *windows, size_t n_windows)
{
    rows inputs = {.n = 0};
    run_spectra(n, work, windows, n_windows);
    run_convolutions(n, work, n_windows);
    for (size_t b = 0; b < n_windows; b++)
        add_row(&inputs, work->gates[b], work->conv4[b]);
    run_rows(&n->input, inputs.y, inputs.x, inputs.n);
    for (size_t b = 0; b < n_windows; b++) {
        float *y = work->recurrent;
        const float *x = memory->hidden;
        one_row(&n->recurrent, &y, &x);
        remember(memory, work->gates[b], work->recurrent);
        probabilities[b] = find_probability(n, memory->hidden);
    }
}

#include "model/voice_network.h"
#include "base/memory.h"
#include "io/safetensors.h"
#include "model/voice_products.h"
#include "nn/lanes.h"

extern const unsigned char ser_voice_weights[], ser_voice_weights_end[]; /* voice_activity.S */

struct ser_voice_network {
    ser_voice_products products;
    ser_voice_affine stft, conv1, conv2, conv3, conv4, input, recurrent;
    _Alignas(64) float output[SER_VOICE_WIDE];
    float output_bias;
};

/* ---- loading ---- */

/* A tensor (n_out, n_channels, kernel): its taps from first_tap on become an affine layer's, whose outputs
 * are n_out, rounded up to 16. */
typedef struct layer_spec {
    const char *weight, *bias, *second_bias; /* NULL: none */
    size_t n_out, n_channels, kernel, first_tap, n_taps;
} layer_spec;

static ser_status find_tensor(const ser_tensor **out, const ser_safetensors *file, const char *name, size_t n,
                              ser_error *err)
{
    *out = ser_safetensors_find(file, name);
    if (!*out || (*out)->n_elements != n)
        return ser_fail(err, SER_E_FORMAT, "the voice detector's tensor '%s' is not of %zu numbers", name, n);
    return SER_OK;
}

static ser_status read_tensor(float *to, const ser_safetensors *file, const char *name, size_t n,
                              ser_error *err)
{
    const ser_tensor *t;
    ser_status st = find_tensor(&t, file, name, n, err);
    return st == SER_OK ? ser_tensor_to_f32(to, t, 0, n, err) : st;
}

/* row: of one output's weights. */
static ser_status read_weights(ser_voice_affine *a, const ser_safetensors *file, const layer_spec *s,
                               float *row, ser_error *err)
{
    const ser_tensor *w;
    size_t n_row = s->n_channels * s->kernel;
    ser_status st = find_tensor(&w, file, s->weight, s->n_out * n_row, err);
    for (size_t o = 0; o < s->n_out && st == SER_OK; o++) {
        float *to = a->w + o / SER_VOICE_BLOCK * a->n_in * SER_VOICE_BLOCK + o % SER_VOICE_BLOCK;
        st = ser_tensor_to_f32(row, w, o * n_row, n_row, err);
        for (size_t k = 0; k < s->n_taps && st == SER_OK; k++)
            for (size_t c = 0; c < s->n_channels; c++)
                to[(k * s->n_channels + c) * SER_VOICE_BLOCK] = row[c * s->kernel + s->first_tap + k];
    }
    return st;
}

/* Both of a recurrent layer's biases are added to the same sums. */
static ser_status read_biases(ser_voice_affine *a, const ser_safetensors *file, const layer_spec *s,
                              float *row, ser_error *err)
{
    ser_status st = s->bias ? read_tensor(a->bias, file, s->bias, s->n_out, err) : SER_OK;
    if (st == SER_OK && s->second_bias)
        st = read_tensor(row, file, s->second_bias, s->n_out, err);
    for (size_t i = 0; s->second_bias && st == SER_OK && i < s->n_out; i++)
        a->bias[i] += row[i];
    return st;
}

static ser_status read_layer(ser_voice_affine *a, const ser_safetensors *file, const layer_spec *s,
                             ser_error *err)
{
    size_t n_row = s->n_channels * s->kernel;
    enum { N = 2 * SER_VOICE_BLOCK };
    *a = (ser_voice_affine){.n_in = s->n_taps * s->n_channels, .n_out = (s->n_out + N - 1) / N * N};
    a->w = ser_alloc(a->n_in * a->n_out, sizeof *a->w);
    a->bias = ser_alloc(a->n_out, sizeof *a->bias);
    float *row = ser_alloc(n_row > s->n_out ? n_row : s->n_out, sizeof *row);
    ser_status st = a->w && a->bias && row ? read_weights(a, file, s, row, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = read_biases(a, file, s, row, err);
    ser_free(row);
    return st;
}

static ser_status read_network(ser_voice_network *n, const ser_safetensors *file, ser_error *err)
{
    enum { WIDE = SER_VOICE_WIDE, NARROW = SER_VOICE_NARROW };
    const struct {
        ser_voice_affine *layer;
        layer_spec spec;
    } layers[] = {
        /* a window times cosines, then times minus sines */
        {&n->stft, {"stft_conv.weight", NULL, NULL, 2 * SER_VOICE_BINS, 1, SER_VOICE_FFT, 0, SER_VOICE_FFT}},
        {&n->conv1, {"conv1.weight", "conv1.bias", NULL, WIDE, SER_VOICE_BINS, 3, 0, 3}},
        {&n->conv2, {"conv2.weight", "conv2.bias", NULL, NARROW, WIDE, 3, 0, 3}},
        {&n->conv3, {"conv3.weight", "conv3.bias", NULL, NARROW, NARROW, 3, 0, 3}},
        /* of one moment: only the middle tap meets anything but zeros */
        {&n->conv4, {"conv4.weight", "conv4.bias", NULL, WIDE, NARROW, 3, 1, 1}},
        {&n->input,
         {"lstm_cell.weight_ih", "lstm_cell.bias_ih", "lstm_cell.bias_hh", SER_VOICE_GATES, WIDE, 1, 0, 1}},
        {&n->recurrent, {"lstm_cell.weight_hh", NULL, NULL, SER_VOICE_GATES, WIDE, 1, 0, 1}},
    };
    ser_status st = SER_OK;
    for (size_t i = 0; i < sizeof layers / sizeof *layers && st == SER_OK; i++)
        st = read_layer(layers[i].layer, file, &layers[i].spec, err);
    if (st == SER_OK)
        st = read_tensor(n->output, file, "final_conv.weight", SER_VOICE_WIDE, err);
    return st == SER_OK ? read_tensor(&n->output_bias, file, "final_conv.bias", 1, err) : st;
}

ser_status ser_voice_weights_open(ser_safetensors **out, ser_error *err)
{
    return ser_safetensors_open_memory(out, ser_voice_weights,
                                       (size_t)(ser_voice_weights_end - ser_voice_weights), err);
}

ser_status ser_voice_network_new(ser_voice_network **out, ser_error *err)
{
    ser_safetensors *file = NULL;
    ser_voice_network *n = *out = ser_alloc(1, sizeof *n);
    if (!n)
        return ser_fail_nomem(err);
    n->products = ser_voice_products_get();
    ser_status st = ser_voice_weights_open(&file, err);
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
    ser_voice_affine *layers[] = {&n->stft,  &n->conv1, &n->conv2,    &n->conv3,
                                  &n->conv4, &n->input, &n->recurrent};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        ser_free(layers[i]->w);
        ser_free(layers[i]->bias);
    }
    ser_free(n);
    *network = NULL;
}

/* ---- layers ---- */

enum { MAX_ROWS = SER_VOICE_BATCH * SER_VOICE_SPECTRA };

typedef struct rows {
    float *y[MAX_ROWS];
    const float *x[MAX_ROWS];
    size_t n;
} rows;

typedef struct exact_rows {
    double *y[MAX_ROWS];
    const double *x[MAX_ROWS];
    size_t n;
} exact_rows;

SER_FAST_STATIC(void, rectify, (double *x, size_t n), (x, n))
{
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] > 0 ? x[i] : 0;
}

/* y[r] = max(0, w x[r] + bias), with sums of doubles: what sums of floats lose in the convolutions comes back
 * tenfold in the probabilities. */
static void run_convolution(const ser_voice_network *n, const ser_voice_affine *a, const exact_rows *r)
{
    n->products.exact_rows(a, r->y, r->x, r->n);
    for (size_t i = 0; i < r->n; i++)
        rectify(r->y[i], a->n_out);
}

static void add_row(rows *r, float *y, const float *x)
{
    r->y[r->n] = y;
    r->x[r->n++] = x;
}

static void add_exact_row(exact_rows *r, double *y, const double *x)
{
    r->y[r->n] = y;
    r->x[r->n++] = x;
}

SER_FAST_STATIC(void, find_magnitudes, (double *y, const float *spectrum), (y, spectrum))
{
    for (size_t i = 0; i < SER_VOICE_BINS; i++)
        y[i] = (double)__builtin_sqrtf(spectrum[i] * spectrum[i] +
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
    n->products.rows(&n->stft, r.y, r.x, r.n);
    for (size_t b = 0; b < n_windows; b++)
        for (size_t t = 0; t < SER_VOICE_SPECTRA; t++)
            find_magnitudes(w->magnitudes[b][1 + t], w->spectra[b][t]);
}

/* Kernels of 3 over time, one row of zeros in front: output t reads rows stride * t to stride * t + 2. */
static void run_convolutions(const ser_voice_network *n, ser_voice_work *w, size_t n_windows)
{
    exact_rows first = {.n = 0}, second = {.n = 0}, third = {.n = 0}, fourth = {.n = 0};
    for (size_t b = 0; b < n_windows; b++) {
        for (size_t t = 0; t < 4; t++)
            add_exact_row(&first, w->conv1[b][1 + t], w->magnitudes[b][t]);
        for (size_t t = 0; t < 2; t++)
            add_exact_row(&second, w->conv2[b][1 + t], w->conv1[b][2 * t]);
        add_exact_row(&third, w->conv3[b], w->conv2[b][0]);
        add_exact_row(&fourth, w->conv4[b], w->conv3[b]);
    }
    run_convolution(n, &n->conv1, &first);
    run_convolution(n, &n->conv2, &second);
    run_convolution(n, &n->conv3, &third);
    run_convolution(n, &n->conv4, &fourth);
}

/* What a window gives to the gates, before anything is remembered. */
static void run_input(const ser_voice_network *n, ser_voice_work *w, size_t n_windows)
{
    rows r = {.n = 0};
    for (size_t b = 0; b < n_windows; b++) {
        for (size_t i = 0; i < SER_VOICE_WIDE; i++)
            w->inputs[b][i] = (float)w->conv4[b][i];
        add_row(&r, w->gates[b], w->inputs[b]);
    }
    n->products.rows(&n->input, r.y, r.x, r.n);
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
    run_spectra(n, work, windows, n_windows);
    run_convolutions(n, work, n_windows);
    run_input(n, work, n_windows);
    for (size_t b = 0; b < n_windows; b++) {
        float *y = work->recurrent;
        const float *x = memory->hidden;
        n->products.rows(&n->recurrent, &y, &x, 1);
        remember(memory, work->gates[b], work->recurrent);
        probabilities[b] = find_probability(n, memory->hidden);
    }
}

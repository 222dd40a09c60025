/* Sound to spectrograms. */
#include "base/vector.h"
#include "export/onnx_parts.h"
#include "features/filters.h"

#include <math.h>

/* ---- spectrograms ---- */

/* The Fourier transform as a convolution: rows of cosines, then of sines, in a Hann window. (2 n_bins, 1,
 * n_fft) */
static ser_onnx_value transform(ser_onnx *g, size_t n_fft)
{
    ser_onnx_value value;
    size_t n_bins = n_fft / 2 + 1;
    const double turn = 2 * acos(-1) / (double)n_fft;
    float *w = ser_onnx_floats(g, &value, 3, (const size_t[]){2 * n_bins, 1, n_fft});
    for (size_t k = 0; w && k < n_bins; k++)
        for (size_t i = 0; i < n_fft; i++) {
            double window = 0.5 - 0.5 * cos(turn * (double)i), angle = turn * (double)(k * i % n_fft);
            w[k * n_fft + i] = (float)(window * cos(angle));
            w[(n_bins + k) * n_fft + i] = (float)(window * -sin(angle));
        }
    return value;
}

/* The filters twice, side by side: for the squares of both parts. (n_mels, 2 n_bins) */
static ser_status filters(ser_onnx *g, ser_onnx_value *value, const ser_mel_settings *s, ser_error *err)
{
    ser_mel_filters f = {0};
    size_t n_bins = (size_t)s->n_fft / 2 + 1, n_mels = (size_t)s->n_mels;
    float *w = ser_onnx_floats(g, value, 2, (const size_t[]){n_mels, 2 * n_bins});
    ser_status st = ser_mel_filters_init(&f, s, err);
    for (size_t m = 0; w && m < n_mels && st == SER_OK; m++) {
        size_t first = (size_t)f.bands[m].first_bin, n = (size_t)f.bands[m].n_chunks * SER_N_LANES;
        for (size_t i = 0; i < n && first + i < n_bins; i++)
            w[m * 2 * n_bins + first + i] = w[(m * 2 + 1) * n_bins + first + i] =
                f.weights[f.bands[m].first_weight + i];
    }
    ser_mel_filters_release(&f);
    return st;
}

ser_status ser_onnx_mel(ser_onnx *g, ser_onnx_value *mel, ser_onnx_value waveform, const ser_mel_settings *s,
                        ser_error *err)
{
    const int64_t pads[] = {0, s->n_fft / 2, 0, s->n_fft / 2}, stride = s->hop_samples, one = 1;
    ser_onnx_value bank, x;
    ser_status st = filters(g, &bank, s, err);
    x = SER_ONNX(g, "Pad", waveform, ser_onnx_i64(g, 4, pads));
    ser_onnx_string(g, "mode", s->pad == SER_PAD_REFLECT ? "reflect" : "constant");
    x = SER_ONNX(g, "Unsqueeze", x, ser_onnx_i64(g, 1, &one));
    x = SER_ONNX(g, "Conv", x, transform(g, (size_t)s->n_fft));
    ser_onnx_ints(g, "strides", 1, &stride);
    x = SER_ONNX(g, "Mul", x, x);
    *mel = SER_ONNX(g, "MatMul", bank, x);
    return st;
}

static ser_onnx_value bounded_log10(ser_onnx *g, ser_onnx_value x)
{
    x = SER_ONNX(g, "Log", SER_ONNX(g, "Max", x, ser_onnx_scalar(g, 1e-10f)));
    return SER_ONNX(g, "Mul", x, ser_onnx_scalar(g, (float)(1 / log(10))));
}

ser_onnx_value ser_onnx_bounded_log(ser_onnx *g, ser_onnx_value x, ser_onnx_value top, float scale,
                                    float shift)
{
    x = bounded_log10(g, x);
    ser_onnx_value lowest = top ? bounded_log10(g, top) : SER_ONNX(g, "ReduceMax", x);
    lowest = SER_ONNX(g, "Sub", lowest, ser_onnx_scalar(g, 8));
    x = SER_ONNX(g, "Mul", SER_ONNX(g, "Max", x, lowest), ser_onnx_scalar(g, scale));
    return SER_ONNX(g, "Add", x, ser_onnx_scalar(g, shift));
}

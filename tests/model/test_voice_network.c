/* The voice detector's network against its authors' ONNX model in ONNX Runtime, layer by layer
 * (tools/make_golden_voice_activity.py). */
#include "base/memory.h"
#include "failures/failing.h"
#include "golden_tensors.h"
#include "model/voice_network.h"

/* (n, SER_VOICE_READ): each window with what lies before it. */
static float *cut(const float *signal, size_t n)
{
    float *windows = ser_alloc(n * SER_VOICE_READ, sizeof *windows);
    for (size_t i = 0; i < n; i++)
        for (size_t k = i ? 0 : SER_VOICE_CONTEXT; k < SER_VOICE_READ; k++)
            windows[i * SER_VOICE_READ + k] = signal[i * SER_VOICE_WINDOW + k - SER_VOICE_CONTEXT];
    return windows;
}

static void check_layer(const ser_safetensors *f, const char *name, size_t window, const double *layer,
                        size_t n)
{
    size_t n_all = 0;
    float *expected = golden(f, name, &n_all, NULL), *values = ser_alloc(n, sizeof *values);
    CHECK((window + 1) * n <= n_all);
    for (size_t i = 0; i < n; i++)
        values[i] = (float)layer[i];
    /* The largest value of a layer sets what its sums may lose. */
    float largest = 0;
    for (size_t i = 0; i < n_all; i++)
        largest = fmaxf(largest, fabsf(expected[i]));
    check_close(name, values, expected + window * n, n, 1e-5, 1e-6 * (double)largest);
    ser_free(expected);
    ser_free(values);
}

static void test_layers(const ser_voice_network *net, ser_voice_work *work, const float *windows,
                        const ser_safetensors *f)
{
    ser_voice_memory memory = {0};
    float p[SER_VOICE_BATCH];
    for (size_t i = 0; i < 6; i += 3) {
        ser_voice_network_run(net, work, &memory, p, windows + i * SER_VOICE_READ, 3);
        for (size_t b = 0; b < 3; b++) {
            check_layer(f, "magnitudes", i + b, work->magnitudes[b][1], 4 * SER_VOICE_BINS);
            check_layer(f, "conv1", i + b, work->conv1[b][1], 4 * SER_VOICE_WIDE);
            check_layer(f, "conv2", i + b, work->conv2[b][1], 2 * SER_VOICE_NARROW);
            check_layer(f, "conv3", i + b, work->conv3[b], SER_VOICE_NARROW);
            check_layer(f, "conv4", i + b, work->conv4[b], SER_VOICE_WIDE);
        }
    }
}

/* Probabilities of all windows, per_call at a time; what is remembered stays in *memory. */
static float *run(const ser_voice_network *net, ser_voice_work *work, ser_voice_memory *memory,
                  const float *windows, size_t n, size_t per_call)
{
    float *p = ser_alloc(n, sizeof *p);
    *memory = (ser_voice_memory){0};
    for (size_t i = 0; i < n; i += per_call)
        ser_voice_network_run(net, work, memory, p + i, windows + i * SER_VOICE_READ,
                              n - i < per_call ? n - i : per_call);
    return p;
}

static void test_probabilities(const ser_voice_network *net, ser_voice_work *work, const float *windows,
                               size_t n, const ser_safetensors *f)
{
    ser_voice_memory memory;
    float *expected = golden(f, "probabilities", NULL, NULL), *hidden = golden(f, "hidden", NULL, NULL),
          *cell = golden(f, "cell", NULL, NULL), *at_once = NULL;
    for (size_t per_call = 1; per_call <= SER_VOICE_BATCH; per_call++) {
        float *p = run(net, work, &memory, windows, n, per_call);
        check_close("probabilities", p, expected, n, 0, 1e-5);
        check_close("hidden", memory.hidden, hidden, SER_VOICE_WIDE, 0, 1e-5);
        check_close("cell", memory.cell, cell, SER_VOICE_WIDE, 1e-5, 1e-5);
        if (at_once)
            CHECK(memcmp(p, at_once, n * sizeof *p) == 0); /* however windows are put together */
        ser_free(at_once);
        at_once = p;
    }
    ser_free(at_once);
    ser_free(expected);
    ser_free(hidden);
    ser_free(cell);
}

static void test_memory(void)
{
    ser_error err = {0};
    ser_voice_network *net = NULL;
    ser_status st = SER_E_NOMEM;
    for (long n = 0; st == SER_E_NOMEM && n < 1000; n++) {
        failing_at(n);
        st = ser_voice_network_new(&net, &err);
        CHECK(st == SER_OK || (st == SER_E_NOMEM && !net));
    }
    failing_at(-1);
    CHECK(st == SER_OK);
    ser_voice_network_free(&net);
    ser_voice_network_free(&net);
}

int main(void)
{
    ser_error err = {0};
    ser_voice_network *net = NULL;
    ser_safetensors *f = open_golden("voice/network.safetensors");
    size_t n_samples = 0;
    float *signal = f ? golden(f, "signal", &n_samples, NULL) : NULL;
    CHECK_OK(ser_voice_network_new(&net, &err), &err);
    ser_voice_work *work = ser_alloc(1, sizeof *work);
    if (signal && net) {
        float *windows = cut(signal, n_samples / SER_VOICE_WINDOW);
        test_layers(net, work, windows, f);
        test_probabilities(net, work, windows, n_samples / SER_VOICE_WINDOW, f);
        ser_free(windows);
    }
    test_memory();
    ser_free(work);
    ser_free(signal);
    ser_voice_network_free(&net);
    ser_safetensors_close(&f);
    return test_summary();
}

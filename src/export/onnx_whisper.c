/* Whisper's front (encoder/whisper.c). */
#include "export/onnx_encoder.h"
#include "export/onnx_parts.h"

static ser_onnx_value conv(ser_onnx_encoder *e, ser_onnx_value x, const char *name)
{
    const int64_t pads[] = {1, 1};
    const ser_module_spec *module = ser_onnx_module(e, name);
    int64_t stride = (int64_t)module->stride;
    x = SER_ONNX(e->g, "Conv", x, ser_onnx_tensor(e, module, 0), ser_onnx_tensor(e, module, 1));
    ser_onnx_ints(e->g, "strides", 1, &stride);
    ser_onnx_ints(e->g, "pads", 2, pads);
    return ser_onnx_gelu(e->g, x);
}

ser_onnx_value ser_onnx_whisper_stem(ser_onnx_encoder *e, ser_onnx_value waveform)
{
    ser_onnx *g = e->g;
    const ser_mel_settings s = ser_whisper_mel_settings((int)e->plan->sizes.n_mels);
    ser_onnx_value x = "", none = ser_onnx_integer(g, 0);
    e->st = ser_onnx_mel(g, &x, waveform, &s, e->err);
    x = ser_onnx_slice(g, x, none, ser_onnx_integer(g, -1), 2);
    x = ser_onnx_bounded_log(g, x, NULL, 0.25f, 1);
    x = ser_onnx_turn(g, conv(e, conv(e, x, "conv1"), "conv2"));
    ser_onnx_value positions = ser_onnx_tensor(e, ser_onnx_module(e, "embed_positions"), 0);
    return SER_ONNX(g, "Add", x, ser_onnx_slice(g, positions, none, ser_onnx_length(g, x, 1), 0));
}

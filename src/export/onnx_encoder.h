/* Pretrained encoders as ONNX. */
#ifndef SER_EXPORT_ONNX_ENCODER_H
#define SER_EXPORT_ONNX_ENCODER_H

#include "encoder/kind.h"
#include "export/onnx_graph.h"
#include "extract/spec.h"

/* One while it is written. After a failure (st, err) nothing more is. */
typedef struct ser_onnx_encoder {
    ser_onnx *g;
    const ser_encoder_plan *plan;
    ser_weights weights;
    ser_status st;
    ser_error *err;
} ser_onnx_encoder;

const ser_module_spec *ser_onnx_module(const ser_onnx_encoder *e, const char *name);
/* Weight (0) or bias (1) of a module, a linear layer's weight as (n_in, n_out); "": it has none. */
ser_onnx_value ser_onnx_tensor(ser_onnx_encoder *e, const ser_module_spec *module, int which);
ser_onnx_value ser_onnx_apply(ser_onnx_encoder *e, ser_onnx_value x, const ser_module_spec *linear);
/* module NULL: without scale and shift, over dims values. */
ser_onnx_value ser_onnx_norm(ser_onnx_encoder *e, ser_onnx_value x, const ser_module_spec *module,
                             size_t dims, float epsilon);
ser_onnx_value ser_onnx_gelu(ser_onnx *g, ser_onnx_value x);
/* The last two of three axes exchanged. */
ser_onnx_value ser_onnx_turn(ser_onnx *g, ser_onnx_value x);

/* Hidden state 0 (1, frames, dims) of waveform (1, samples). n_sound: how many of the samples are no padding.
 */
ser_onnx_value ser_onnx_whisper_stem(ser_onnx_encoder *e, ser_onnx_value waveform);
ser_onnx_value ser_onnx_wav2vec2_stem(ser_onnx_encoder *e, ser_onnx_value waveform, ser_onnx_value n_sound);
/* What relative positions add to the scores of attention: (heads, frames, frames). */
ser_onnx_value ser_onnx_positions(ser_onnx_encoder *e, ser_onnx_value x, size_t max_frames);

#endif

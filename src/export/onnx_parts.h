/* The pieces of a model as ONNX: sound to frames, frames to scores. Frames are values of (1, frames, dims).
 */
#ifndef SER_EXPORT_ONNX_PARTS_H
#define SER_EXPORT_ONNX_PARTS_H

#include "encoder/kind.h"
#include "export/onnx_graph.h"
#include "features/mel.h"
#include "model/model_file.h"

/* Power mel spectrogram (1, n_mels, 1 + n_samples / hop) of waveform (1, n_samples). */
ser_status ser_onnx_mel(ser_onnx *g, ser_onnx_value *mel, ser_onnx_value waveform, const ser_mel_settings *s,
                        ser_error *err);
/* log10 with the floor 1e-10, nothing further than 8 below the maximum; times scale, plus shift. */
ser_onnx_value ser_onnx_bounded_log(ser_onnx *g, ser_onnx_value x, float scale, float shift);

/* Whisper's hidden states side by side, in the order of part. Its tensors' names in the file begin with
 * prefix. */
ser_status ser_onnx_whisper(ser_onnx *g, ser_onnx_value *frames, ser_onnx_value waveform,
                            const ser_encoder_plan *plan, const ser_safetensors *file, const char *prefix,
                            const ser_feature_part *part, ser_error *err);

/* 1 for frames that are active, else 0: (1, frames, 1). n_frames: one integer. */
ser_onnx_value ser_onnx_active(ser_onnx *g, ser_onnx_value waveform, ser_onnx_value n_frames,
                               int hop_samples);

/* Calibrated scores (1, labels). dims (n_blocks): of each block of a frame. */
ser_onnx_value ser_onnx_linear(ser_onnx *g, ser_onnx_value frames, ser_onnx_value active, const ser_linear *l,
                               const size_t *dims, size_t n_blocks);

/* Likewise, the mean of the networks' scores; they read frames of l. */
ser_onnx_value ser_onnx_networks(ser_onnx *g, ser_onnx_value frames, ser_onnx_value active,
                                 const ser_timnet_member *members, size_t n, const ser_timnet_layout *l);

#endif

/* The pieces of a model as ONNX: sound to frames, frames to scores. Frames are values of (1, frames, dims).
 */
#ifndef SER_EXPORT_ONNX_PARTS_H
#define SER_EXPORT_ONNX_PARTS_H

#include "encoder/kind.h"
#include "export/onnx_graph.h"
#include "features/mel.h"
#include "model/listen.h"
#include "model/model_file.h"

/* ---- sound to frames ---- */

/* Power mel spectrogram (1, n_mels, 1 + n_samples / hop) of waveform (1, n_samples). */
ser_status ser_onnx_mel(ser_onnx *g, ser_onnx_value *mel, ser_onnx_value waveform, const ser_mel_settings *s,
                        ser_error *err);
/* log10 with the floor 1e-10, nothing further than 8 below the largest power, which is top or x's own (NULL);
 * times scale, plus shift. */
ser_onnx_value ser_onnx_bounded_log(ser_onnx *g, ser_onnx_value x, ser_onnx_value top, float scale,
                                    float shift);

/* Where an encoder comes from. Its tensors' names in the file begin with prefix. */
typedef struct ser_onnx_source {
    ser_encoder_plan plan;
    const ser_safetensors *file;
    char prefix[SER_MODEL_PREFIX_BYTES];
} ser_onnx_source;

/* Hidden states side by side, in the order of part. waveform: of one window. */
ser_status ser_onnx_encode(ser_onnx *g, ser_onnx_value *frames, ser_onnx_value waveform,
                           const ser_onnx_source *from, const ser_feature_part *part, int pad_s,
                           ser_error *err);

/* 1 for frames that are active, else 0: (1, frames, 1). n_frames: one integer. */
ser_onnx_value ser_onnx_active(ser_onnx *g, ser_onnx_value waveform, ser_onnx_value n_frames,
                               int hop_samples);

/* Utterances: where they start and where they end, in samples; two values of (utterances) integers. */
ser_status ser_onnx_voice(ser_onnx *g, ser_onnx_value spans[2], ser_onnx_value waveform, ser_error *err);

/* ---- frames to scores ---- */

/* Statistics over time as ser_pooling_finish lays them out: (1, 4 dims). dims (n_blocks): of each block of a
 * frame. */
ser_onnx_value ser_onnx_pool(ser_onnx *g, ser_onnx_value frames, ser_onnx_value active, const size_t *dims,
                             size_t n_blocks);
/* Calibrated scores (1, labels) of such statistics x. */
ser_onnx_value ser_onnx_linear(ser_onnx *g, ser_onnx_value x, const ser_linear *l);
/* The scores (1, labels) of a recording of statistics x, evened out as far as it is unlike others
 * (model/unlike.h). */
ser_onnx_value ser_onnx_even_out(ser_onnx *g, ser_onnx_value scores, ser_onnx_value x, const ser_unlike *u);

/* Likewise, the mean of the networks' scores; they read frames of l. */
ser_onnx_value ser_onnx_networks(ser_onnx *g, ser_onnx_value frames, ser_onnx_value active,
                                 const ser_timnet_member *members, size_t n, const ser_timnet_layout *l);

/* ---- recordings of any length ---- */

/* What a window's frames are, and what a stretch of frames says. */
typedef struct ser_onnx_hearer {
    void *context;
    size_t dims, n_labels;
    int hop_samples;
    ser_timeline_shape cells; /* of a conversation */
    /* The largest power of a window, (1); NULL: nobody asks. */
    ser_status (*measure)(void *context, ser_onnx_value *power, ser_onnx_value window, ser_error *err);
    /* Frames, and which of them are active: (1, frames, 1). largest: of the whole recording. */
    ser_status (*hear)(void *context, ser_onnx_value *frames, ser_onnx_value *active, ser_onnx_value window,
                       ser_onnx_value largest, ser_error *err);
    /* Scores (1, n_labels). */
    ser_onnx_value (*judge)(void *context, ser_onnx_value frames, ser_onnx_value active);
} ser_onnx_hearer;

/* What ser_listen answers: scores (1, n_labels), all 0 where nobody speaks. */
ser_status ser_onnx_listen(ser_onnx *g, ser_onnx_value *scores, ser_onnx_value waveform,
                           const ser_onnx_hearer *h, ser_error *err);

#endif

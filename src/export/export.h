/* Models in forms that other programs run. */
#ifndef SER_EXPORT_EXPORT_H
#define SER_EXPORT_EXPORT_H

#include "base/status.h"
#include <stddef.h>

/* A model of LOGMEL or MFCC as C99 in a folder: emotion.c, emotion.h, weights.bin, vectors.bin (recordings
 * and their scores), LICENSE, and provenance.json where the model has one. model: a file, or NULL: the model
 * built into the library. The folder is made whole or not at all; one that is there already must be empty.
 * SER_E_UNSUPPORTED: a model with an encoder; SER_E_ARG: a folder that is in use. */
ser_status ser_export_c99(const char *model, const char *folder, ser_error *err);

typedef struct ser_export_onnx_options {
    /* Checkpoints of a model that carries none, as ser_settings has them; none: the usual ones. */
    const char *const *encoders;
    size_t n_encoders;
    size_t max_bytes; /* of the file, beyond which its weights go to PATH.data; 0: 2 GB, what it can hold */
} ser_export_onnx_options;

/* A model as an ONNX file (opset 17): waveform (1, samples) of 16 kHz, of any length from 25 ms on, to what
 * ser_predict answers in fp32: scores (1, labels), all 0 where there is no voice. Encoders and the voice
 * detector are inside; labels, licences and provenance in its metadata. The file appears when it is whole.
 * options NULL: the defaults. SER_E_ARG: another checkpoint than the model was trained with. */
ser_status ser_export_onnx(const char *model, const ser_export_onnx_options *options, const char *path,
                           ser_error *err);

#endif

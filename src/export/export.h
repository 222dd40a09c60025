/* Models in forms that other programs run. */
#ifndef SER_EXPORT_EXPORT_H
#define SER_EXPORT_EXPORT_H

#include "base/status.h"

/* A model of LOGMEL or MFCC as C99 in a folder: emotion.c, emotion.h, weights.bin, vectors.bin (recordings
 * and their scores), LICENSE, and provenance.json where the model has one. model: a file, or NULL: the model
 * built into the library. The folder is made whole or not at all; one that is there already must be empty.
 * SER_E_UNSUPPORTED: a model with an encoder; SER_E_ARG: a folder that is in use. */
ser_status ser_export_c99(const char *model, const char *folder, ser_error *err);

/* A model as an ONNX file (opset 17): waveform (1, samples) of 16 kHz, one utterance, to scores (1, labels),
 * with the encoder inside; labels, licences and provenance are in its metadata. The file appears when it is
 * whole. encoder: the checkpoint of a model that carries none, as ser_settings has it; NULL: the usual one.
 * SER_E_UNSUPPORTED: an encoder other than Whisper; more than 2 GB. SER_E_ARG: another checkpoint than the
 * model was trained with. */
ser_status ser_export_onnx(const char *model, const char *encoder, const char *path, ser_error *err);

#endif

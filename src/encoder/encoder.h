/* Pretrained speech encoders: PCM in, hidden states out. Whisper's encoder (arXiv:2212.04356), HuBERT,
 * wav2vec 2.0, WavLM and data2vec. */
#ifndef SER_ENCODER_ENCODER_H
#define SER_ENCODER_ENCODER_H

#include "base/status.h"
#include "io/safetensors.h"
#include "nn/ops.h"

enum { SER_ENCODER_MAX_LAYERS = 64 };

typedef struct ser_encoder ser_encoder;           /* weights: read-only, shared by threads */
typedef struct ser_encoder_work ser_encoder_work; /* belongs to one thread */

enum { SER_MODEL_TYPE_BYTES = 32 };

typedef struct ser_encoder_info {
    char model_type[SER_MODEL_TYPE_BYTES]; /* "whisper", "hubert", "wav2vec2", "wavlm", "data2vec-audio" */
    int n_layers;                          /* transformer layers; hidden states are numbered 0 ... n_layers */
    int n_loaded; /* the last hidden state that can be computed: fewer where only some layers were loaded */
    size_t dims;  /* of one hidden state */
    size_t max_samples;  /* of one window: 480,000 for Whisper */
    size_t n_parameters; /* loaded */
} ser_encoder_info;

/* What config.json says that it is, without looking at the weights. SER_E_UNSUPPORTED: none of the above. */
ser_status ser_encoder_model_type(char type[SER_MODEL_TYPE_BYTES], const char *folder, ser_error *err);
/* folder holds config.json and the weights in one of the forms of io/checkpoint.h. last_layer: load no
 * transformer layer beyond what hidden state last_layer needs (-1: all). */
ser_status ser_encoder_open(ser_encoder **out, const char *folder, int last_layer, ser_engine engine,
                            ser_precision precision, ser_error *err);
/* From tensors already open, such as those inside a model file: names start with prefix (may be ""), behind
 * it "model.encoder." and "encoder." are optional. config_json is the text of config.json. I8 weights have a
 * float tensor NAME.scale beside them, one scale per row. The file may be closed afterwards. */
ser_status ser_encoder_open_tensors(ser_encoder **out, const ser_safetensors *file, const char *prefix,
                                    const char *config_json, int last_layer, ser_engine engine,
                                    ser_precision precision, ser_error *err);
void ser_encoder_close(ser_encoder **e);
void ser_encoder_get_info(const ser_encoder *e, ser_encoder_info *info);
ser_precision ser_encoder_precision(const ser_encoder *e);
/* Of the weights file, or of several one behind the other, as 64 hexadecimal digits; reads all of it.
 * SER_E_UNSUPPORTED for an encoder that was opened from tensors. */
ser_status ser_encoder_sha256(const ser_encoder *e, char hex[65], ser_error *err);

ser_status ser_encoder_work_new(ser_encoder_work **out, const ser_encoder *e, int n_threads, ser_error *err);
void ser_encoder_work_free(ser_encoder_work **w);

/* 50 a second: ceil(floor(n_samples / 160) / 2) for Whisper, floor((n_samples - 400) / 320) + 1 for the
 * others as they are published. */
size_t ser_encoder_n_frames(const ser_encoder *e, size_t n_samples);

/* One window of at most max_samples: hidden (n_frames, n_wanted * dims), the wanted hidden states (ascending
 * or not, transformers' numbering: 0 is the input of the first layer, the last includes the final norm) side
 * by side in the order given. Computes no layer beyond the highest wanted one. pad_samples: pad with silence
 * to so many samples first (0: none; the reference pads to 480,000; all frames of the padded window come
 * out). */
ser_status ser_encoder_run(const ser_encoder *e, ser_encoder_work *w, float *hidden, const float *pcm,
                           size_t n_samples, size_t pad_samples, const int *wanted, size_t n_wanted,
                           ser_error *err);

/* The same where only frames first ... end - 1 are asked for, by the last layer, too: rows of hidden for
 * others mean nothing. */
ser_status ser_encoder_run_frames(const ser_encoder *e, ser_encoder_work *w, float *hidden, const float *pcm,
                                  size_t n_samples, size_t pad_samples, size_t first, size_t end,
                                  const int *wanted, size_t n_wanted, ser_error *err);

/* Writes the tensors that hidden states up to last_layer need, quantised to I8 with a scale per row
 * (matrices) or F16 (the rest), as arrays for ser_safetensors_write: for models that carry their encoder.
 * names get prefix. Free with ser_encoder_free_export. */
ser_status ser_encoder_export(ser_tensor **tensors, size_t *n_tensors, const char *folder, int last_layer,
                              const char *prefix, ser_error *err);
void ser_encoder_free_export(ser_tensor *tensors, size_t n_tensors);
/* The config_json that belongs to them for ser_encoder_open_tensors: config.json, and what
 * preprocessor_config.json says about the inputs. The caller frees *text (ser_free). */
ser_status ser_encoder_export_config(char **text, const char *folder, ser_error *err);

#endif

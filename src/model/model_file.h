/* A model file holds all that prediction needs: safetensors, with the settings as JSON in metadata keys that
 * start with "ser.", so that other tools can open it. The format stands in docs/model-format.md. */
#ifndef SER_MODEL_MODEL_FILE_H
#define SER_MODEL_MODEL_FILE_H

#include "extract/encoders.h"
#include "io/safetensors.h"
#include "model/linear.h"
#include "model/timnet_model.h"
#include "model/unlike.h"

/* Written where a file says what readers of version 1 would overlook: that the encoder is pooled (2). */
enum { SER_MODEL_FORMAT_VERSION = 2 };

enum { SER_MODEL_MAX_NETWORKS = 64 };

/* A model has a linear part, temporal networks, or both: then their calibrated scores are averaged, half and
 * half. A zeroed struct is an empty one. */
typedef struct ser_model_data {
    ser_feature_spec spec;
    char **labels; /* alphabetical */
    size_t n_labels;
    ser_linear plain;    /* the linear part: the head for pooled features as they are; n_in 0: none */
    ser_linear baseline; /* its head for features standardised by a voice's own recordings; n_in 0: none */
    float *
        baseline_spread; /* (n_in): the usual deviation within one speaker, or NULL without a baseline head */
    ser_timnet_member *networks; /* an ensemble; each reads frames of spec */
    size_t n_networks;
    char encoder_sha256[SER_ENCODERS_SHA256]; /* of the checkpoints' weights; empty without an encoder */
    /* config.json of the encoders that the file carries, in the order of spec; NULL: it carries none */
    char *encoder_configs[SER_MAX_PARTS];
    double min_confidence;       /* below it a label is uncertain; 0: the file states no such rule */
    double min_confidence_plain; /* the same of neutral and calm; 0: as of all others */
    ser_unlike unlike;           /* n_in 0: not measured */
    char *provenance;            /* JSON object: corpora, hashes, settings, figures; may be NULL */
} ser_model_data;

/* "linear", "timnet" or "linear+timnet". */
const char *ser_model_data_type(const ser_model_data *m);

enum { SER_MODEL_PREFIX_BYTES = 32 };

/* Names of the tensors of encoder i inside a model file start with "encoder.", "encoder2.", ... */
void ser_model_encoder_prefix(char prefix[SER_MODEL_PREFIX_BYTES], size_t i);

ser_status ser_model_data_read(ser_model_data *m, const ser_safetensors *file, ser_error *err);
/* Of a file that carries its encoders: encoder_configs[0] is there. It may be closed afterwards. */
ser_status ser_model_encoders_open(ser_encoders *out, const ser_model_data *m, const ser_safetensors *file,
                                   ser_engine engine, ser_precision precision, ser_error *err);
/* encoder_tensors: from ser_encoder_export with ser_model_encoder_prefix, or none. */
ser_status ser_model_data_write(const ser_model_data *m, const char *path, const ser_tensor *encoder_tensors,
                                size_t n_encoder_tensors, ser_error *err);
void ser_model_data_release(ser_model_data *m);

/* Neutral or calm: what a voice is when it carries no emotion to speak of. */
bool ser_emotion_is_plain(const char *emotion);

#endif

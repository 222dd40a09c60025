/* A model file holds all that prediction needs: safetensors, with the settings as JSON in metadata keys that
 * start with "ser.", so that other tools can open it. The format stands in docs/model-format.md. */
#ifndef SER_MODEL_MODEL_FILE_H
#define SER_MODEL_MODEL_FILE_H

#include "extract/spec.h"
#include "io/safetensors.h"
#include "model/linear.h"

enum { SER_MODEL_FORMAT_VERSION = 1 };

typedef struct ser_linear_model {
    ser_feature_spec spec;
    char **labels; /* alphabetical */
    size_t n_labels;
    ser_linear plain;    /* the head for pooled features as they are */
    ser_linear baseline; /* the head for features standardised by a voice's own recordings; n_in 0: none */
    float *
        baseline_spread; /* (n_in): the usual deviation within one speaker, or NULL without a baseline head */
    ser_linear voice;    /* two labels: no voice, voice; n_in 0: none */
    char encoder_sha256[65]; /* of the checkpoint's weights; empty without an encoder */
    char *encoder_config;    /* config.json of the encoder that the file carries; NULL: it carries none */
    char *provenance;        /* JSON object: corpora, hashes, settings, figures; may be NULL */
} ser_linear_model;

/* Names of encoder tensors inside a model file start with this. */
#define SER_MODEL_ENCODER_PREFIX "encoder."

ser_status ser_linear_model_read(ser_linear_model *m, const ser_safetensors *file, ser_error *err);
/* encoder_tensors: from ser_encoder_export with SER_MODEL_ENCODER_PREFIX, or none. */
ser_status ser_linear_model_write(const ser_linear_model *m, const char *path,
                                  const ser_tensor *encoder_tensors, size_t n_encoder_tensors,
                                  ser_error *err);
void ser_linear_model_release(ser_linear_model *m);

#endif

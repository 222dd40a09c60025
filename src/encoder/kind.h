/* What encoder.c asks of one family of encoders. */
#ifndef SER_ENCODER_KIND_H
#define SER_ENCODER_KIND_H

#include "encoder/encoder.h"
#include "encoder/modules.h"
#include "io/json.h"

enum { SER_MAX_CONVS = 16 };

/* What config.json says about a transformer encoder. */
typedef struct ser_encoder_sizes {
    size_t dims, n_heads, n_ffn, n_layers;
    size_t n_mels, n_positions; /* Whisper: the log-mel spectrogram, and the table of positions */
    /* wav2vec 2.0 and its relatives: */
    size_t n_convs, conv_dims[SER_MAX_CONVS], conv_kernels[SER_MAX_CONVS], conv_strides[SER_MAX_CONVS];
    size_t n_positional, positional_kernel, positional_groups; /* convolutions one behind the other */
    size_t n_buckets, max_distance;                            /* of relative positions; 0: none */
    bool conv_bias, conv_layer_norm; /* layer normalisation behind each; else group norm behind the first */
    bool projection_norm, norm_first, plain_positional, normalise_input;
    float epsilon;
} ser_encoder_sizes;

/* The modules that hidden states up to info.n_loaded need. */
typedef struct ser_encoder_plan {
    ser_encoder_info info;
    ser_encoder_sizes sizes;
    ser_module_spec *specs;
    size_t n_specs;
    size_t first_layer; /* spec of the first transformer layer; see transformer.h for those of one */
} ser_encoder_plan;

typedef struct ser_encoder_kind {
    const char *const *model_types; /* NULL ends them */
    /* Fills the zeroed plan; last_layer -1: all. */
    ser_status (*plan)(ser_encoder_plan *plan, const json_t *config, int last_layer, ser_error *err);
    /* What preprocessor_config.json says about inputs; SER_E_UNSUPPORTED when it asks for others than this
     * program makes. */
    ser_status (*read_inputs)(ser_encoder_plan *plan, const json_t *preprocessor, ser_error *err);
    ser_status (*init)(ser_encoder *e, ser_error *err); /* what belongs to no module, in e->own */
    void (*release)(ser_encoder *e);
    ser_status (*work_init)(ser_encoder_work *w, ser_error *err); /* in w->own */
    void (*work_release)(ser_encoder_work *w);
    size_t (*n_frames)(const ser_encoder *e, size_t n_samples);
    /* As ser_encoder_run, whose arguments have been checked and padded. */
    ser_status (*run)(const ser_encoder *e, ser_encoder_work *w, float *hidden, const float *pcm,
                      size_t n_samples, const int *wanted, size_t n_wanted, ser_error *err);
} ser_encoder_kind;

extern const ser_encoder_kind ser_encoder_whisper, ser_encoder_wav2vec2;

struct ser_encoder {
    const ser_encoder_kind *kind;
    ser_encoder_plan plan;
    char *folder; /* NULL: opened from tensors */
    ser_nn_ops *ops;
    ser_module *modules; /* one for each spec of the plan */
    void *own;
};

struct ser_encoder_work {
    const ser_encoder *encoder;
    ser_nn_work *nn;
    float *padded;     /* max_samples; NULL until a recording is padded */
    size_t n_sound;    /* of the recording at work, without what it is padded with */
    size_t first, end; /* frames that are asked for */
    void *own;
};

/* The plan for a folder's config.json, checked against preprocessor_config.json where there is one. Fills the
 * zeroed plan, whose specs the caller frees in any case. */
ser_status ser_encoder_plan_folder(ser_encoder_plan *plan, const ser_encoder_kind **kind, const char *folder,
                                   int last_layer, ser_error *err);

/* The same for the config_json that a model carries. */
ser_status ser_encoder_plan_config(ser_encoder_plan *plan, const ser_encoder_kind **kind,
                                   const char *config_json, int last_layer, ser_error *err);

/* A whole number minimum ... maximum of a JSON object. SER_E_FORMAT: it is missing or none;
 * SER_E_UNSUPPORTED: out of range. */
ser_status ser_config_size(size_t *out, const json_t *config, const char *key, size_t minimum, size_t maximum,
                           ser_error *err);

/* wav2vec 2.0 and its relatives: what is in both files, see ser_encoder_kind. */
ser_status ser_wav2vec2_config(ser_encoder_sizes *s, const json_t *config, const char *model_type,
                               ser_error *err);
ser_status ser_wav2vec2_inputs(ser_encoder_plan *p, const json_t *preprocessor, ser_error *err);

enum { SER_MAX_CONFIG_BYTES = 1 << 20 };

/* The JSON object in a text or file; the caller does json_decref. */
ser_status ser_config_parse(json_t **out, const char *text, ser_error *err);
ser_status ser_config_read(json_t **out, const char *folder, const char *name, ser_error *err);
/* What a folder says about inputs: preprocessor_config.json, else "feature_extractor" of
 * processor_config.json, as transformers writes it from version 5 on; NULL: neither. *name: of the file. */
ser_status ser_config_read_inputs(json_t **out, const char **name, const char *folder, ser_error *err);

#endif

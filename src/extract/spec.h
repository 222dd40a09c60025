/* What a feature specification such as "LOGMEL+WHISPER" with "--layers 2,3" asks for. */
#ifndef SER_EXTRACT_SPEC_H
#define SER_EXTRACT_SPEC_H

#include "base/status.h"
#include "base/text.h"
#include "encoder/encoder.h"
#include <stdbool.h>

typedef enum ser_feature_kind {
    SER_FEATURE_LOGMEL,
    SER_FEATURE_MFCC,
    SER_FEATURE_WHISPER,
    SER_FEATURE_HUBERT, /* this one and those below are one family: each takes any of its checkpoints */
    SER_FEATURE_WAV2VEC2,
    SER_FEATURE_WAVLM,
    SER_FEATURE_DATA2VEC
} ser_feature_kind;

enum { SER_MAX_PARTS = 4, SER_LOGMEL_DIMS = 128, SER_MFCC_DIMS = 96, SER_DEFAULT_HOP = 320 };

typedef struct ser_feature_part {
    ser_feature_kind kind;
    int layers[SER_ENCODER_MAX_LAYERS]; /* hidden states, encoders only */
    size_t n_layers;                    /* 0: not chosen yet */
} ser_feature_part;

typedef struct ser_feature_spec {
    ser_feature_part parts[SER_MAX_PARTS];
    size_t n_parts;
    int hop_samples; /* of LOGMEL and MFCC */
    int pad_s;       /* encoders: pad with silence to so many seconds, as the reference does; 0: not at all */
    /* An encoder's mean over time stands in every frame, as the original system had it. Extractors give
     * frames as they come: who has all of a recording's does that, see ser_extractor_pool_encoder. */
    bool pool_encoder;
} ser_feature_spec;

/* "LOGMEL", "MFCC", "WHISPER", "HUBERT", ..., joined with '+'. Each type once. FUSION is LOGMEL+HUBERT.
 * SER_E_ARG names the allowed words. */
ser_status ser_feature_spec_parse(ser_feature_spec *spec, const char *text, ser_error *err);
/* "1,2,3", "WHISPER=1,2,3" or, with several encoders, "HUBERT=12+WHISPER=1,2,3". */
ser_status ser_feature_spec_set_layers(ser_feature_spec *spec, const char *text, ser_error *err);
/* Where no layers are chosen yet: WHISPER's third, the others' last. */
void ser_feature_part_set_default_layers(ser_feature_part *part, const ser_encoder_info *info);

const char *ser_feature_kind_name(ser_feature_kind kind);
bool ser_feature_kind_is_encoder(ser_feature_kind kind);
/* "LOGMEL+WHISPER", as the user spells it. */
void ser_feature_spec_type(const ser_feature_spec *spec, ser_text *out);
/* Everything that decides the frames' values, in a fixed spelling:
 * "LOGMEL(hop=320)+WHISPER(layers=2,3;pad=0)", and " mean over time" behind it with pool_encoder. */
void ser_feature_spec_key(const ser_feature_spec *spec, ser_text *out);
/* What decides the values of one block (a hidden state, LOGMEL, MFCC): "WHISPER(layer=3;pad=0) of
 * LOGMEL+WHISPER", because the parts of a specification are cut to the same length. */
void ser_feature_spec_block_key(const ser_feature_spec *spec, size_t block, ser_text *out);
/* The first encoder part, or NULL; the i-th of all. */
const ser_feature_part *ser_feature_spec_encoder(const ser_feature_spec *spec);
const ser_feature_part *ser_feature_spec_encoder_at(const ser_feature_spec *spec, size_t i);
size_t ser_feature_spec_n_encoders(const ser_feature_spec *spec);
/* Which of the encoder parts, counted from 0, an encoder of this model_type computes: the one of its name,
 * else the first of its family. SER_E_ARG: none. */
ser_status ser_feature_spec_part_of(size_t *i, const ser_feature_spec *spec, const char *model_type,
                                    ser_error *err);
/* "WHISPER=whisper-base/": which of the encoder parts, and *place behind the '='; without such a type in
 * front, *place is the text itself and *i 0. SER_E_ARG: a type that is not in use. */
ser_status ser_feature_spec_encoder_named(size_t *i, const char **place, const ser_feature_spec *spec,
                                          const char *text, ser_error *err);
/* The feature type of an encoder of this model_type, such as "HUBERT"; NULL: none. */
const char *ser_feature_type_of(const char *model_type);
/* The checkpoint that users mean who name none, such as "facebook/hubert-base-ls960"; NULL: no encoder. */
const char *ser_feature_kind_checkpoint(ser_feature_kind kind);

#endif

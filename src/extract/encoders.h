/* The encoders that a feature specification needs, from what users call them. */
#ifndef SER_EXTRACT_ENCODERS_H
#define SER_EXTRACT_ENCODERS_H

#include "extract/spec.h"

/* In the order of the specification's encoder parts; a zeroed struct has none. */
typedef struct ser_encoders {
    ser_encoder *items[SER_MAX_PARTS];
    char *folders[SER_MAX_PARTS]; /* of the checkpoints; NULL: from a model file */
    size_t n;
} ser_encoders;

/* names (n_names): each a folder or a name in the model hub's cache, for the part that "TYPE=" in front of it
 * or else its model_type says (see ser_feature_spec_part_of). Parts without any get the usual checkpoint from
 * the cache. Where layers are chosen, none beyond them are loaded. Without encoder parts, names do not
 * matter. */
ser_status ser_encoders_open(ser_encoders *out, const ser_feature_spec *spec, const char *const *names,
                             size_t n_names, ser_engine engine, ser_precision precision, ser_error *err);
void ser_encoders_close(ser_encoders *e);
/* Where no layers are chosen yet: all hidden states, or those of ser_feature_part_set_default_layers. */
void ser_encoders_choose_layers(const ser_encoders *e, ser_feature_spec *spec, bool all);
/* The features that a checkpoint gives, named as for ser_encoders_open: "whisper-base/" makes WHISPER. */
ser_status ser_feature_spec_of_checkpoint(ser_feature_spec *spec, const char *name, ser_error *err);

/* The highest of the part's layers; -1 while none is chosen. */
int ser_feature_part_last_layer(const ser_feature_part *part);

enum { SER_ENCODERS_SHA256 = SER_MAX_PARTS * 65 };

/* ser_encoder_sha256 of each, joined by '+'; empty without encoders. */
ser_status ser_encoders_sha256(const ser_encoders *e, char hex[SER_ENCODERS_SHA256], ser_error *err);

#endif

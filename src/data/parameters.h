/* What decides the values in a feature tree, as it stands in its index. */
#ifndef SER_DATA_PARAMETERS_H
#define SER_DATA_PARAMETERS_H

#include "extract/spec.h"
#include "io/json.h"

/* Raise it when values change without any parameter changing. */
enum { SER_TREE_VALUES_VERSION = 1 };

typedef struct ser_tree_recipe {
    const ser_feature_spec *spec;
    const char *encoder_sha256;     /* "" without an encoder */
    const char *precision, *engine; /* of the encoder */
    bool pool_encoder;              /* see ser_feature_spec */
} ser_tree_recipe;

/* A JSON object for the caller to release; what does not matter without an encoder is left out. */
ser_status ser_tree_parameters(json_t **out, const ser_tree_recipe *recipe, ser_error *err);

enum { SER_TREE_DIFFERENCE = 200 };

/* Whether the parameters differ, and in what: "its hop_length is 512, not 320". any_layers: other layers are
 * no difference. */
bool ser_tree_parameters_differ(char difference[SER_TREE_DIFFERENCE], json_t *have, json_t *wanted,
                                bool any_layers);

/* 64 hexadecimal digits that stand for all parameters. */
ser_status ser_tree_parameters_key(char key[65], const json_t *parameters, ser_error *err);

/* FEATURES/LOGMEL/EMODB_LOGMEL_128, as the original system named them; NULL: out of memory. */
char *ser_tree_folder(const char *features_dir, const ser_feature_spec *spec, const char *corpus);

#endif

#include "data/parameters.h"
#include "base/sha256.h"
#include "io/json.h"

#include <stdlib.h>
#include <string.h>

static json_t *layers_json(const ser_feature_spec *spec)
{
    json_t *all = json_object();
    for (size_t p = 0; p < spec->n_parts; p++) {
        const ser_feature_part *part = &spec->parts[p];
        if (!ser_feature_kind_is_encoder(part->kind))
            continue;
        json_t *list = json_array();
        for (size_t i = 0; i < part->n_layers; i++)
            ser_json_add(&list, json_integer(part->layers[i]));
        ser_json_set(&all, ser_feature_kind_name(part->kind), list);
    }
    return all;
}

ser_status ser_tree_parameters(json_t **out, const ser_tree_recipe *r, ser_error *err)
{
    ser_text type = {0};
    ser_feature_spec_type(r->spec, &type);
    *out = type.failed ? NULL
                       : json_pack("{s:s, s:i, s:i, s:i, s:s}", "feature_type", type.s, "values_version",
                                   SER_TREE_VALUES_VERSION, "sample_rate", SER_SAMPLE_RATE_HZ, "hop_length",
                                   r->spec->hop_samples, "precision", "fp32");
    ser_text_release(&type);
    if (*out && ser_feature_spec_encoder(r->spec)) {
        json_t *encoder = json_pack("{s:i, s:b, s:o, s:s, s:s, s:s}", "pad", r->spec->pad_s, "pool_encoder",
                                    r->pool_encoder, "layers", layers_json(r->spec), "encoder_sha256",
                                    r->encoder_sha256, "precision", r->precision, "engine", r->engine);
        if (!encoder || json_object_update(*out, encoder) != 0) {
            json_decref(*out);
            *out = NULL;
        }
        json_decref(encoder);
    }
    return *out ? SER_OK : ser_fail_nomem(err);
}

/* "320", "fp32", "{"WHISPER":[3]}", or "missing". */
static void append_value(ser_text *t, const json_t *value)
{
    char *text = json_is_string(value) ? NULL : ser_json_dump(value, JSON_COMPACT | JSON_ENCODE_ANY);
    ser_text_append(t, json_is_string(value) ? json_string_value(value) : text ? text : "missing");
    free(text);
}

static void describe(char difference[SER_TREE_DIFFERENCE], const char *key, const json_t *have,
                     const json_t *wanted)
{
    ser_text a = {0}, b = {0};
    append_value(&a, have);
    append_value(&b, wanted);
    snprintf(difference, SER_TREE_DIFFERENCE, "its %.20s is %.70s, not %.70s", key, a.s ? a.s : "?",
             b.s ? b.s : "?");
    ser_text_release(&a);
    ser_text_release(&b);
}

bool ser_tree_parameters_differ(char difference[SER_TREE_DIFFERENCE], json_t *have, json_t *wanted,
                                bool any_layers)
{
    json_t *const sides[] = {wanted, have};
    for (int side = 0; side < 2; side++)
        for (void *at = json_object_iter(sides[side]); at; at = json_object_iter_next(sides[side], at)) {
            const char *key = json_object_iter_key(at);
            const json_t *a = json_object_get(have, key), *b = json_object_get(wanted, key);
            if (json_equal(a, b) || (any_layers && strcmp(key, "layers") == 0))
                continue;
            describe(difference, key, a, b);
            return true;
        }
    return false;
}

ser_status ser_tree_parameters_key(char key[65], const json_t *parameters, ser_error *err)
{
    char *text = ser_json_dump(parameters, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        return ser_fail_nomem(err);
    ser_sha256_of(key, text, strlen(text));
    free(text);
    return SER_OK;
}

char *ser_tree_folder(const char *features_dir, const ser_feature_spec *spec, const char *corpus)
{
    ser_text type = {0};
    ser_feature_spec_type(spec, &type);
    const char *name = type.s && strcmp(type.s, "LOGMEL+HUBERT") == 0 ? "FUSION" : type.s;
    const char *width = spec->n_parts > 1                           ? ""
                        : spec->parts[0].kind == SER_FEATURE_LOGMEL ? "_128"
                        : spec->parts[0].kind == SER_FEATURE_MFCC   ? "_96"
                                                                    : "";
    char *path = type.failed ? NULL : ser_format("%s/%s/%s_%s%s", features_dir, name, corpus, name, width);
    ser_text_release(&type);
    return path;
}

#include "extract/spec.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    ser_feature_kind kind;
    bool is_encoder;
} kinds[] = {
    {"LOGMEL", SER_FEATURE_LOGMEL, false},
    {"MFCC", SER_FEATURE_MFCC, false},
    {"WHISPER", SER_FEATURE_WHISPER, true},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static int find_kind(const char *name, size_t n)
{
    for (int i = 0; i < N_KINDS; i++)
        if (strlen(kinds[i].name) == n && strncasecmp(kinds[i].name, name, n) == 0)
            return i;
    return -1;
}

const char *ser_feature_kind_name(ser_feature_kind kind)
{
    return kinds[kind].name;
}

bool ser_feature_kind_is_encoder(ser_feature_kind kind)
{
    return kinds[kind].is_encoder;
}

static ser_status add_part(ser_feature_spec *spec, const char *name, size_t n, ser_error *err)
{
    int k = find_kind(name, n);
    if (k < 0)
        return ser_fail(err, SER_E_ARG,
                        "unknown feature type '%.*s': use LOGMEL, MFCC, WHISPER, or several joined with +",
                        n > 40 ? 40 : (int)n, name);
    for (size_t i = 0; i < spec->n_parts; i++)
        if (spec->parts[i].kind == kinds[k].kind)
            return ser_fail(err, SER_E_ARG, "feature type %s is named twice: name each type once",
                            kinds[k].name);
    if (spec->n_parts == SER_MAX_PARTS)
        return ser_fail(err, SER_E_ARG, "more than %d feature types: join fewer", SER_MAX_PARTS);
    spec->parts[spec->n_parts++] = (ser_feature_part){.kind = kinds[k].kind};
    return SER_OK;
}

ser_status ser_feature_spec_parse(ser_feature_spec *spec, const char *text, ser_error *err)
{
    ser_feature_spec parsed = {.hop_samples = SER_DEFAULT_HOP};
    for (const char *name = text;; name++) {
        size_t n = strcspn(name, "+");
        ser_status st = add_part(&parsed, name, n, err);
        if (st != SER_OK)
            return st;
        name += n;
        if (!*name)
            break;
    }
    *spec = parsed;
    return SER_OK;
}

static ser_feature_part *encoder_part(ser_feature_spec *spec)
{
    for (size_t i = 0; i < spec->n_parts; i++)
        if (ser_feature_kind_is_encoder(spec->parts[i].kind))
            return &spec->parts[i];
    return NULL;
}

const ser_feature_part *ser_feature_spec_encoder(const ser_feature_spec *spec)
{
    return encoder_part((ser_feature_spec *)spec);
}

ser_status ser_feature_spec_set_layers(ser_feature_spec *spec, const char *text, ser_error *err)
{
    ser_feature_part *part = encoder_part(spec);
    const char *equals = strchr(text, '=');
    if (equals) {
        int k = find_kind(text, (size_t)(equals - text));
        if (k < 0 || !part || kinds[k].kind != part->kind)
            return ser_fail(err, SER_E_ARG, "layers '%s' name a feature type that is not in use", text);
        text = equals + 1;
    }
    if (!part)
        return ser_fail(err, SER_E_ARG,
                        "layers are given, but no encoder is in use: add WHISPER to the feature type");
    int layers[SER_ENCODER_MAX_LAYERS];
    size_t n = 0;
    for (const char *at = text;; at++) {
        char *end;
        long layer = strtol(at, &end, 10);
        if (end == at || (*end && *end != ',') || layer < 0 || layer > SER_ENCODER_MAX_LAYERS)
            return ser_fail(err, SER_E_ARG, "layers '%s' are no list of numbers such as 1,2,3", text);
        for (size_t i = 0; i < n; i++)
            if (layers[i] == layer)
                return ser_fail(err, SER_E_ARG, "layer %ld is named twice in '%s'", layer, text);
        if (n == SER_ENCODER_MAX_LAYERS)
            return ser_fail(err, SER_E_ARG, "more than %d layers: name fewer", SER_ENCODER_MAX_LAYERS);
        layers[n++] = (int)layer;
        at = end;
        if (!*at)
            break;
    }
    memcpy(part->layers, layers, n * sizeof *layers);
    part->n_layers = n;
    return SER_OK;
}

void ser_feature_spec_type(const ser_feature_spec *spec, ser_text *out)
{
    for (size_t i = 0; i < spec->n_parts; i++)
        ser_text_appendf(out, "%s%s", i ? "+" : "", ser_feature_kind_name(spec->parts[i].kind));
}

void ser_feature_spec_key(const ser_feature_spec *spec, ser_text *out)
{
    for (size_t i = 0; i < spec->n_parts; i++) {
        const ser_feature_part *p = &spec->parts[i];
        ser_text_appendf(out, "%s%s(", i ? "+" : "", ser_feature_kind_name(p->kind));
        if (ser_feature_kind_is_encoder(p->kind)) {
            for (size_t l = 0; l < p->n_layers; l++)
                ser_text_appendf(out, "%s%d", l ? "," : "layers=", p->layers[l]);
            ser_text_appendf(out, ";pad=%d)", spec->pad_s);
        } else {
            ser_text_appendf(out, "hop=%d)", spec->hop_samples);
        }
    }
}

void ser_feature_spec_block_key(const ser_feature_spec *spec, size_t block, ser_text *out)
{
    const ser_feature_part *p = spec->parts;
    for (; ser_feature_kind_is_encoder(p->kind) ? block >= p->n_layers : block >= 1; p++)
        block -= ser_feature_kind_is_encoder(p->kind) ? p->n_layers : 1;
    if (ser_feature_kind_is_encoder(p->kind))
        ser_text_appendf(out, "%s(layer=%d;pad=%d) of ", ser_feature_kind_name(p->kind), p->layers[block],
                         spec->pad_s);
    else
        ser_text_appendf(out, "%s(hop=%d) of ", ser_feature_kind_name(p->kind), spec->hop_samples);
    ser_feature_spec_type(spec, out);
}

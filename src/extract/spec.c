#include "extract/spec.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* By kind. */
static const struct {
    const char *name;
    const char *model_type, *checkpoint; /* encoders only */
} kinds[] = {
    [SER_FEATURE_LOGMEL] = {"LOGMEL"},
    [SER_FEATURE_MFCC] = {"MFCC"},
    [SER_FEATURE_WHISPER] = {"WHISPER", "whisper", "openai/whisper-base"},
    [SER_FEATURE_HUBERT] = {"HUBERT", "hubert", "facebook/hubert-base-ls960"},
    [SER_FEATURE_WAV2VEC2] = {"WAV2VEC2", "wav2vec2", "facebook/wav2vec2-base"},
    [SER_FEATURE_WAVLM] = {"WAVLM", "wavlm", "microsoft/wavlm-base"},
    [SER_FEATURE_DATA2VEC] = {"DATA2VEC", "data2vec-audio", "facebook/data2vec-audio-base"},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds, WHISPER_LAYER = 3 };

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
    return kinds[kind].model_type;
}

static ser_status add_part(ser_feature_spec *spec, ser_feature_kind kind, ser_error *err)
{
    for (size_t i = 0; i < spec->n_parts; i++)
        if (spec->parts[i].kind == kind)
            return ser_fail(err, SER_E_ARG, "feature type %s is named twice: name each type once",
                            kinds[kind].name);
    if (spec->n_parts == SER_MAX_PARTS)
        return ser_fail(err, SER_E_ARG, "more than %d feature types: join fewer", SER_MAX_PARTS);
    spec->parts[spec->n_parts++] = (ser_feature_part){.kind = kind};
    return SER_OK;
}

static ser_status add_named(ser_feature_spec *spec, const char *name, size_t n, ser_error *err)
{
    static const char fusion[] = "FUSION";
    int k = find_kind(name, n);
    if (k >= 0)
        return add_part(spec, (ser_feature_kind)k, err);
    if (n != sizeof fusion - 1 || strncasecmp(name, fusion, n) != 0)
        return ser_fail(
            err, SER_E_ARG,
            "unknown feature type '%.*s': use LOGMEL, MFCC, HUBERT, WAV2VEC2, WAVLM, DATA2VEC, WHISPER, "
            "FUSION (LOGMEL+HUBERT), or several joined with +",
            n > 40 ? 40 : (int)n, name);
    ser_status st = add_part(spec, SER_FEATURE_LOGMEL, err);
    return st == SER_OK ? add_part(spec, SER_FEATURE_HUBERT, err) : st;
}

ser_status ser_feature_spec_parse(ser_feature_spec *spec, const char *text, ser_error *err)
{
    ser_feature_spec parsed = {.hop_samples = SER_DEFAULT_HOP};
    for (const char *name = text;; name++) {
        size_t n = strcspn(name, "+");
        ser_status st = add_named(&parsed, name, n, err);
        if (st != SER_OK)
            return st;
        name += n;
        if (!*name)
            break;
    }
    *spec = parsed;
    return SER_OK;
}

static ser_feature_part *encoder_part(ser_feature_spec *spec, size_t i)
{
    for (size_t k = 0; k < spec->n_parts; k++)
        if (ser_feature_kind_is_encoder(spec->parts[k].kind) && i-- == 0)
            return &spec->parts[k];
    return NULL;
}

const ser_feature_part *ser_feature_spec_encoder(const ser_feature_spec *spec)
{
    return encoder_part((ser_feature_spec *)spec, 0);
}

const ser_feature_part *ser_feature_spec_encoder_at(const ser_feature_spec *spec, size_t i)
{
    return encoder_part((ser_feature_spec *)spec, i);
}

size_t ser_feature_spec_n_encoders(const ser_feature_spec *spec)
{
    size_t n = 0;
    while (ser_feature_spec_encoder_at(spec, n))
        n++;
    return n;
}

ser_status ser_feature_spec_part_of(size_t *i, const ser_feature_spec *spec, const char *model_type,
                                    ser_error *err)
{
    bool in_family = strcmp(model_type, kinds[SER_FEATURE_WHISPER].model_type) != 0;
    const ser_feature_part *part;
    for (*i = 0; (part = ser_feature_spec_encoder_at(spec, *i)); ++*i)
        if (strcmp(kinds[part->kind].model_type, model_type) == 0)
            return SER_OK;
    for (*i = 0; (part = ser_feature_spec_encoder_at(spec, *i)); ++*i)
        if (in_family && part->kind != SER_FEATURE_WHISPER)
            return SER_OK;
    ser_text type = {0};
    ser_feature_spec_type(spec, &type);
    ser_status st =
        ser_fail(err, SER_E_ARG, "an encoder of the type '%s' computes none of %s: name another one",
                 model_type, type.s ? type.s : "the features");
    ser_text_release(&type);
    return st;
}

ser_status ser_feature_spec_encoder_named(size_t *i, const char **place, const ser_feature_spec *spec,
                                          const char *text, ser_error *err)
{
    const char *equals = strchr(text, '=');
    int k = equals ? find_kind(text, (size_t)(equals - text)) : -1;
    const ser_feature_part *part;
    *place = text;
    *i = 0;
    if (k < 0 || !ser_feature_kind_is_encoder((ser_feature_kind)k)) /* a path may have a '=' in it */
        return SER_OK;
    *place = equals + 1;
    for (; (part = ser_feature_spec_encoder_at(spec, *i)); ++*i)
        if (part->kind == (ser_feature_kind)k)
            return SER_OK;
    return ser_fail(err, SER_E_ARG, "--encoder %s: %s is not among the features", text, kinds[k].name);
}

const char *ser_feature_kind_checkpoint(ser_feature_kind kind)
{
    return kinds[kind].checkpoint;
}

const char *ser_feature_type_of(const char *model_type)
{
    for (int k = 0; k < N_KINDS; k++)
        if (kinds[k].model_type && strcmp(kinds[k].model_type, model_type) == 0)
            return kinds[k].name;
    return NULL;
}

void ser_feature_part_set_default_layers(ser_feature_part *part, const ser_encoder_info *info)
{
    if (part->n_layers)
        return;
    bool whisper = part->kind == SER_FEATURE_WHISPER && WHISPER_LAYER < info->n_layers;
    part->layers[part->n_layers++] = whisper ? WHISPER_LAYER : info->n_layers;
}

/* The part that "TYPE=..." names, of n characters; with n 0, the only one there is. */
static ser_status find_part(ser_feature_part **out, ser_feature_spec *spec, const char *type, size_t n,
                            ser_error *err)
{
    int k = n ? find_kind(type, n) : -1;
    ser_feature_part *first = *out = encoder_part(spec, 0);
    if (!n && !first)
        return ser_fail(
            err, SER_E_ARG,
            "layers are given, but no encoder is in use: add WHISPER or HUBERT to the feature type");
    if (!n && encoder_part(spec, 1))
        return ser_fail(err, SER_E_ARG,
                        "layers are given for one of several encoders: say of which, such as %s=1,2",
                        kinds[first->kind].name);
    for (size_t i = 0; n && (*out = encoder_part(spec, i)); i++)
        if (k >= 0 && (*out)->kind == (ser_feature_kind)k)
            break;
    return *out ? SER_OK
                : ser_fail(err, SER_E_ARG, "layers '%s' name a feature type that is not in use", type);
}

/* "1,2,3", up to the end or a '+', which *end points to. */
static ser_status set_list(ser_feature_part *part, const char *text, const char **end, ser_error *err)
{
    int layers[SER_ENCODER_MAX_LAYERS];
    size_t n = 0;
    for (const char *at = text;; at++) {
        char *after;
        long layer = strtol(at, &after, 10);
        if (after == at || !strchr(",+", *after) || layer < 0 || layer > SER_ENCODER_MAX_LAYERS)
            return ser_fail(err, SER_E_ARG, "layers '%s' are no list of numbers such as 1,2,3", text);
        for (size_t i = 0; i < n; i++)
            if (layers[i] == layer)
                return ser_fail(err, SER_E_ARG, "layer %ld is named twice in '%s'", layer, text);
        if (n == SER_ENCODER_MAX_LAYERS)
            return ser_fail(err, SER_E_ARG, "more than %d layers: name fewer", SER_ENCODER_MAX_LAYERS);
        layers[n++] = (int)layer;
        at = after;
        if (*at != ',')
            break;
    }
    memcpy(part->layers, layers, n * sizeof *layers);
    part->n_layers = n;
    *end = text + strcspn(text, "+");
    return SER_OK;
}

ser_status ser_feature_spec_set_layers(ser_feature_spec *spec, const char *text, ser_error *err)
{
    for (const char *at = text;; at++) {
        const char *equals = strchr(at, '=');
        ser_feature_part *part;
        if (equals && equals > at + strcspn(at, "+"))
            equals = NULL;
        ser_status st = find_part(&part, spec, at, equals ? (size_t)(equals - at) : 0, err);
        if (st == SER_OK)
            st = set_list(part, equals ? equals + 1 : at, &at, err);
        if (st != SER_OK || !*at)
            return st;
    }
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
    if (spec->pool_encoder)
        ser_text_append(out, " mean over time");
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

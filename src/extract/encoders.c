#include "extract/encoders.h"
#include "base/memory.h"
#include "io/hub.h"

int ser_feature_part_last_layer(const ser_feature_part *part)
{
    int last = -1;
    for (size_t i = 0; i < part->n_layers; i++)
        last = part->layers[i] > last ? part->layers[i] : last;
    return last;
}

/* Whose encoder it is: of the part that "TYPE=" names, or of the one that its config.json fits. */
static ser_status find_part(size_t *part, char **folder, const ser_feature_spec *spec, const char *name,
                            ser_error *err)
{
    char model_type[SER_MODEL_TYPE_BYTES];
    const char *place;
    ser_status st = ser_feature_spec_encoder_named(part, &place, spec, name, err);
    bool named = place != name;
    if (st == SER_OK)
        st = ser_hub_find(folder, place, err);
    if (st != SER_OK || named)
        return st;
    st = ser_encoder_model_type(model_type, *folder, err);
    if (st == SER_OK)
        st = ser_feature_spec_part_of(part, spec, model_type, err);
    return st == SER_OK ? SER_OK : ser_fail_within(err, st, "%s: ", *folder);
}

static ser_status assign(ser_encoders *e, const ser_feature_spec *spec, const char *name, ser_error *err)
{
    size_t part;
    char *folder = NULL;
    ser_status st = find_part(&part, &folder, spec, name, err);
    if (st == SER_OK && e->folders[part]) {
        st = ser_fail(
            err, SER_E_ARG,
            "--encoder %s: %s has one already: name one for each type, with TYPE= in front where they are "
            "alike",
            name, ser_feature_kind_name(ser_feature_spec_encoder_at(spec, part)->kind));
    }
    if (st != SER_OK) {
        ser_free(folder);
        return st;
    }
    e->folders[part] = folder;
    return SER_OK;
}

ser_status ser_encoders_open(ser_encoders *out, const ser_feature_spec *spec, const char *const *names,
                             size_t n_names, ser_engine engine, ser_precision precision, ser_error *err)
{
    ser_status st = SER_OK;
    *out = (ser_encoders){.n = ser_feature_spec_n_encoders(spec)};
    for (size_t i = 0; i < n_names && out->n && st == SER_OK; i++)
        st = assign(out, spec, names[i], err);
    for (size_t i = 0; i < out->n && st == SER_OK; i++) {
        const ser_feature_part *part = ser_feature_spec_encoder_at(spec, i);
        if (!out->folders[i])
            st = ser_hub_find(&out->folders[i], ser_feature_kind_checkpoint(part->kind), err);
        if (st != SER_OK)
            break;
        st = ser_encoder_open(&out->items[i], out->folders[i], ser_feature_part_last_layer(part), engine,
                              precision, err);
        if (st != SER_OK)
            ser_fail_within(err, st, "%s: ", out->folders[i]);
    }
    if (st != SER_OK)
        ser_encoders_close(out);
    return st;
}

void ser_encoders_close(ser_encoders *e)
{
    for (size_t i = 0; i < e->n; i++) {
        ser_encoder_close(&e->items[i]);
        ser_free(e->folders[i]);
    }
    *e = (ser_encoders){0};
}

static void choose_all_layers(ser_feature_part *part, const ser_encoder_info *info)
{
    for (int layer = 0; layer <= info->n_layers && part->n_layers < SER_ENCODER_MAX_LAYERS; layer++)
        part->layers[part->n_layers++] = layer;
}

void ser_encoders_choose_layers(const ser_encoders *e, ser_feature_spec *spec, bool all)
{
    size_t n = 0;
    for (size_t p = 0; p < spec->n_parts; p++) {
        ser_feature_part *part = &spec->parts[p];
        ser_encoder_info info;
        if (!ser_feature_kind_is_encoder(part->kind))
            continue;
        ser_encoder_get_info(e->items[n++], &info);
        if (all && !part->n_layers)
            choose_all_layers(part, &info);
        else
            ser_feature_part_set_default_layers(part, &info);
    }
}

ser_status ser_feature_spec_of_checkpoint(ser_feature_spec *spec, const char *name, ser_error *err)
{
    char model_type[SER_MODEL_TYPE_BYTES];
    const char *type;
    char *folder = NULL;
    ser_status st = ser_hub_find(&folder, name, err);
    if (st == SER_OK)
        st = ser_encoder_model_type(model_type, folder, err);
    if (st == SER_OK && !(type = ser_feature_type_of(model_type)))
        st = ser_fail(err, SER_E_UNSUPPORTED, "%s: an encoder of the type '%s' gives no features", folder,
                      model_type);
    ser_free(folder);
    return st == SER_OK ? ser_feature_spec_parse(spec, type, err) : st;
}

ser_status ser_encoders_sha256(const ser_encoders *e, char hex[SER_ENCODERS_SHA256], ser_error *err)
{
    ser_status st = SER_OK;
    hex[0] = 0;
    for (size_t i = 0; i < e->n && st == SER_OK; i++) {
        char *at = hex + i * 65;
        if (i)
            at[-1] = '+';
        st = ser_encoder_sha256(e->items[i], at, err);
    }
    return st;
}

#include "cli/common.h"
#include "base/memory.h"
#include "io/hub.h"

#include <string.h>

static const char *const precision_names[] = {"auto", "fp32", "bf16", "int8"};

const char *ser_precision_name(ser_precision p)
{
    return precision_names[p];
}

void ser_engine_options_apply(const ser_engine_options *o, ser_settings *settings)
{
    settings->engine = strcmp(o->engine, "ref") == 0 ? SER_ENGINE_REF : SER_ENGINE_ONEDNN;
    settings->encoder = o->encoder;
    for (size_t i = 0; i < sizeof precision_names / sizeof *precision_names; i++)
        if (strcmp(o->precision, precision_names[i]) == 0)
            settings->precision = (ser_precision)i;
}

ser_status ser_open_encoder(ser_encoder **out, char **folder, const ser_engine_options *o,
                            const ser_feature_spec *spec, int last_layer, ser_error *err)
{
    *out = NULL;
    *folder = NULL;
    const ser_feature_part *part = ser_feature_spec_encoder(spec);
    if (!part)
        return SER_OK;
    ser_settings settings;
    ser_default_settings(&settings);
    ser_engine_options_apply(o, &settings);
    const char *name = o->encoder ? o->encoder : ser_feature_kind_checkpoint(part->kind);
    ser_status st = ser_hub_find(folder, name, err);
    if (st != SER_OK)
        return st;
    st = ser_encoder_open(out, *folder, last_layer, settings.engine, settings.precision, err);
    if (st != SER_OK)
        ser_fail_within(err, st, "%s: ", *folder);
    return st;
}

#include "cli/common.h"

#include <string.h>

static const char *const precision_names[] = {"auto", "fp32", "bf16", "int8"};

void ser_engine_options_apply(const ser_engine_options *o, ser_settings *settings)
{
    settings->engine = strcmp(o->engine, "ref") == 0 ? SER_ENGINE_REF : SER_ENGINE_ONEDNN;
    settings->encoders = o->encoders.items;
    settings->n_encoders = o->encoders.n;
    for (size_t i = 0; i < sizeof precision_names / sizeof *precision_names; i++)
        if (strcmp(o->precision, precision_names[i]) == 0)
            settings->precision = (ser_precision)i;
}

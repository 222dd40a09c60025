#include "cli/common.h"

#include <stdlib.h>
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

bool ser_read_min_confidence(double *least, const char *text)
{
    char *end;
    *least = -1;
    if (strcmp(text, "auto") == 0)
        return true;
    *least = strtod(text, &end);
    return end != text && !*end && *least >= 0 && *least <= 1;
}

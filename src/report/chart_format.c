/* Apart from chart.c, so that asking needs no cairo. */
#include "report/chart.h"

#include <string.h>
#include <strings.h>

ser_status ser_chart_format_of(ser_chart_format *out, const char *path, ser_error *err)
{
    size_t n = strlen(path);
    const char *end = n >= 4 ? path + n - 4 : "";
    if (strcasecmp(end, ".png") != 0 && strcasecmp(end, ".svg") != 0)
        return ser_fail(err, SER_E_ARG, "a picture's name ends in .png or .svg: choose one of them");
    *out = strcasecmp(end, ".png") == 0 ? SER_CHART_PNG : SER_CHART_SVG;
    return SER_OK;
}

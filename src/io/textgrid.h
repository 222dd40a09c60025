/* Praat's TextGrid, long and short text files:
 * https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html */
#ifndef SER_IO_TEXTGRID_H
#define SER_IO_TEXTGRID_H

#include "base/status.h"
#include <stdbool.h>

typedef struct ser_textgrid_interval {
    double start_s, end_s;
    char *text; /* UTF-8 */
} ser_textgrid_interval;

typedef struct ser_textgrid_tier {
    char *name;
    bool has_points; /* of moments, which are left out: no intervals */
    ser_textgrid_interval *intervals;
    size_t n, capacity;
} ser_textgrid_tier;

/* A zeroed struct is empty. */
typedef struct ser_textgrid {
    ser_textgrid_tier *tiers;
    size_t n_tiers, capacity;
} ser_textgrid;

/* UTF-8, or UTF-16 with a byte order mark. SER_E_FORMAT: it is no TextGrid, or ends early. */
ser_status ser_textgrid_read(ser_textgrid *out, const char *path, ser_error *err);
ser_status ser_textgrid_parse(ser_textgrid *out, const void *bytes, size_t n, ser_error *err);
void ser_textgrid_release(ser_textgrid *g);

#endif

/* The directory of a zip archive whose entries are stored as they are (APPNOTE.TXT of PKWARE, 4.3): nothing
 * is ever decompressed. The input is hostile: every range is checked, overlapping entries are refused. */
#ifndef SER_IO_ZIP_H
#define SER_IO_ZIP_H

#include "base/status.h"
#include <stddef.h>

typedef struct ser_zip_entry {
    const char *name; /* n_name characters, not terminated */
    size_t n_name;
    const unsigned char *data;
    size_t n;
} ser_zip_entry;

typedef struct ser_zip {
    ser_zip_entry *entries; /* sorted by name */
    size_t n;
} ser_zip;

/* The bytes are not copied and must outlive *zip. */
ser_status ser_zip_open(ser_zip *zip, const unsigned char *bytes, size_t n, ser_error *err);
void ser_zip_release(ser_zip *zip);
const ser_zip_entry *ser_zip_find(const ser_zip *zip, const char *name, size_t n_name); /* NULL: none */

#endif

/* A folder that appears under its name when all of its files are whole. */
#ifndef SER_EXPORT_FOLDER_H
#define SER_EXPORT_FOLDER_H

#include "base/status.h"
#include <stddef.h>

enum { SER_EXPORT_MAX_FILES = 8 };

/* A zeroed struct can be aborted. */
typedef struct ser_export_folder {
    char *path, *temporary;
    const char *names[SER_EXPORT_MAX_FILES]; /* written so far */
    size_t n_names;
} ser_export_folder;

/* SER_E_ARG: there is such a folder, and something in it. */
ser_status ser_export_folder_open(ser_export_folder *f, const char *path, ser_error *err);
/* name is borrowed. */
ser_status ser_export_folder_write(ser_export_folder *f, const char *name, const void *bytes, size_t n,
                                   ser_error *err);
ser_status ser_export_folder_commit(ser_export_folder *f, ser_error *err);
/* Removes what is not committed; also fine after commit. */
void ser_export_folder_abort(ser_export_folder *f);

#endif

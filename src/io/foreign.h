/* Weights in forms that other programs write: named, with what to do about them, in place of an error about
 * what they lack. */
#ifndef SER_IO_FOREIGN_H
#define SER_IO_FOREIGN_H

#include "base/status.h"
#include <stddef.h>

/* bytes: a whole file. SER_OK: nothing is known of it. */
ser_status ser_foreign_check(const void *bytes, size_t n, ser_error *err);
/* A folder without weights or config.json of ours. SER_OK: there is nothing in it that is known. */
ser_status ser_foreign_check_folder(const char *folder, ser_error *err);
/* A file in place of a folder. SER_OK: nothing is known of it, or it cannot be read. */
ser_status ser_foreign_check_file(const char *path, ser_error *err);

#endif

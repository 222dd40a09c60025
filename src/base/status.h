/* One way to report errors: a status is returned, one line of text goes into the caller's ser_error. */
#ifndef SER_BASE_STATUS_H
#define SER_BASE_STATUS_H

#include "ser/ser.h"

#define SER_PRINTF(format_at, first_at) __attribute__((format(printf, format_at, first_at)))

/* Fills *err (when not NULL) and returns status, so that a failure is one line: return ser_fail(err,
 * SER_E_IO, ...). */
ser_status ser_fail(ser_error *err, ser_status status, const char *format, ...) SER_PRINTF(3, 4);

/* "out of memory: ..." */
ser_status ser_fail_nomem(ser_error *err);

/* Puts text in front of what *err says already: "epoch 3: " + "the disk is full". Returns err->status. */
ser_status ser_fail_within(ser_error *err, ser_status status, const char *format, ...) SER_PRINTF(3, 4);

#endif

/* A line of JSON per request: no sound, no names of files, no addresses unless asked for. */
#ifndef SER_SERVE_LOG_H
#define SER_SERVE_LOG_H

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

typedef struct ser_serve_log {
    const char *path; /* NULL: standard error */
    FILE *file;
} ser_serve_log;

typedef struct ser_log_line {
    const char *request_id, *method, *route, *address; /* address: NULL where it is not wanted */
    int status;
    double seconds, audio_s;
    size_t n_bytes; /* of the request's body */
} ser_log_line;

ser_status ser_log_open(ser_serve_log *out, const char *path, ser_error *err);
/* Opens the file anew, so that another program may move it away before; the old one stays where that fails.
 */
void ser_log_rotate(ser_serve_log *l);
void ser_log_write(ser_serve_log *l, const ser_log_line *line);
void ser_log_note(ser_serve_log *l, const char *event, const char *detail); /* detail may be NULL */
void ser_log_close(ser_serve_log *l);

#endif

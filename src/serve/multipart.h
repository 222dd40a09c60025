/* The files of a multipart/form-data body (RFC 7578), in place. */
#ifndef SER_SERVE_MULTIPART_H
#define SER_SERVE_MULTIPART_H

#include "base/status.h"

typedef struct ser_upload {
    char name[256];    /* as the client calls it; empty where it has no name */
    const char *bytes; /* within the body */
    size_t n;
} ser_upload;

enum { SER_MAX_UPLOADS = 256 };

/* The parts named "file". content_type: the request's header. SER_E_FORMAT: it is not what it claims to be,
 * ends early, or has no such part; SER_E_ARG: more than SER_MAX_UPLOADS. */
ser_status ser_multipart_read(ser_upload *uploads, size_t *n_uploads, const char *content_type,
                              const char *body, size_t n, ser_error *err);

#endif

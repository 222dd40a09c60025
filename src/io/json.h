/* JSON by jansson, which does not always tell when it fails for want of memory: texts may lack some of their
 * letters, objects some of their keys. */
#ifndef SER_IO_JSON_H
#define SER_IO_JSON_H

#include "base/status.h"
#include <jansson.h>

/* As json_loadb. SER_E_NOMEM, or SER_E_FORMAT: why (which may be NULL) says what is wrong; err is the
 * caller's to fill. */
ser_status ser_json_load(json_t **out, const char *text, size_t n, size_t flags, json_error_t *why);

/* The same of a file of at most max_bytes (0: any). Errors say what is wrong, and in which line; the path is
 * the caller's to put before. */
ser_status ser_json_read(json_t **out, const char *path, size_t max_bytes, size_t flags, ser_error *err);

/* As json_dumps, which leaves out keys of objects that it has no memory to write. free() it; NULL: out of
 * memory. */
char *ser_json_dump(const json_t *value, size_t flags);

/* What an object or a list gets. Where there is no memory for that, or value is NULL, the whole is released
 * and *to is NULL from then on, so that one look at the end sees it. value is taken over. */
void ser_json_set(json_t **to, const char *key, json_t *value);
void ser_json_add(json_t **to, json_t *value);
void ser_json_update(json_t **to, json_t *value);

#endif

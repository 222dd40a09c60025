/* What hubs and publishers say that they have: JSON from a server, so every field is checked. */
#ifndef SER_NET_LISTING_H
#define SER_NET_LISTING_H

#include "net/hash.h"
#include <stddef.h>

typedef struct ser_listed {
    char *name; /* no path: no '/', no leading '.' */
    uint64_t size;
    ser_hash hash; /* NONE: the hub states none */
} ser_listed;

/* A model's files at one commit; those in folders are left out. */
typedef struct ser_listing {
    char commit[41];
    ser_listed *files; /* sorted by name, each once */
    size_t n;
} ser_listing;

/* The answer to ENDPOINT/api/models/NAME/revision/main?blobs=true,
 * https://huggingface.co/docs/hub/api. Release *out also after a failure. */
ser_status ser_listing_parse(ser_listing *out, const void *json, size_t n, ser_error *err);
void ser_listing_release(ser_listing *l);
const ser_listed *ser_listing_find(const ser_listing *l, const char *name); /* NULL: none */

/* The answer to ENDPOINT/api/records/NUMBER, https://developers.zenodo.org: size and hash of the file called
 * key. *out has no name. */
ser_status ser_record_parse(ser_listed *out, const char *key, const void *json, size_t n, ser_error *err);

#endif

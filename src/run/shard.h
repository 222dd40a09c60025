/* One share of a job's recordings, done on whatever machine, and its manifest, which says what became of
 * each: what 'ser merge' joins. */
#ifndef SER_RUN_SHARD_H
#define SER_RUN_SHARD_H

#include "base/sha256.h"
#include "base/status.h"
#include "io/json.h"
#include <stdbool.h>
#include <stddef.h>

enum { SER_MAX_SHARDS = 1000000 };

typedef struct ser_shard {
    int index, count; /* 1 ... count; count 0: no shard, but everything */
} ser_shard;

/* "2/4". SER_E_ARG: anything else. */
ser_status ser_shard_parse(ser_shard *out, const char *text, ser_error *err);

/* ---- a share being done ---- */

/* A zeroed struct is closed. */
typedef struct ser_part {
    ser_shard shard;
    json_t *root;                 /* the manifest */
    json_t *options, *recordings; /* in it */
    ser_sha256 listing;           /* of the names of all recordings, this shard's and the others' */
    size_t n_listed;
} ser_part;

/* options: what decides the bytes of the result, to be filled by the caller. */
ser_status ser_part_open(ser_part *out, const char *command, const ser_shard *shard, ser_error *err);
/* The next of all recordings, in their order: whether it is this shard's. */
bool ser_part_deal(ser_part *p, const char *name, const char *relative_path);
/* One of this shard's is done, or failure says why not. more: further members, which it takes over; or NULL.
 */
ser_status ser_part_note(ser_part *p, size_t position, const char *name, const char *failure, json_t *more,
                         ser_error *err);
ser_status ser_part_write(ser_part *p, const char *path, ser_error *err);
/* What decides the result: options, all recordings dealt, version and processor. */
ser_status ser_part_identity(const ser_part *p, char hex[65], ser_error *err);
void ser_part_close(ser_part *p);

/* ---- shares that were done ---- */

typedef struct ser_manifest {
    const char *part; /* as it was named: a file, or a folder; borrowed */
    bool is_folder;
    json_t *root;
    const char *command; /* these lie in root */
    json_t *options, *recordings;
    ser_shard shard;
    size_t n_listed, n_failed;
} ser_manifest;

/* Of a part: a file has it beside itself, a folder in itself; free with ser_free. NULL: out of memory. */
char *ser_manifest_path(const char *part, bool is_folder);
/* Errors begin with the part. */
ser_status ser_manifest_read(ser_manifest *out, const char *part, ser_error *err);
void ser_manifest_release(ser_manifest *m);
/* Whether they are all shares of one job, each of them once. */
ser_status ser_manifests_check(const ser_manifest *manifests, size_t n, ser_error *err);

/* Of a recording in a manifest. */
size_t ser_noted_position(const json_t *recording);
bool ser_noted_done(const json_t *recording);

#endif

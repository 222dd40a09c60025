/* The folder of a share of 'ser extract': it has its name only once it is whole. */
#ifndef SER_RUN_PART_FOLDER_H
#define SER_RUN_PART_FOLDER_H

#include "base/lock.h"
#include "run/shard.h"

/* A zeroed struct is closed. */
typedef struct ser_part_folder {
    char *folder, *work; /* work: where it is filled */
    char *lock_path;
    ser_lock lock;
    bool locked; /* ours */
} ser_part_folder;

/* What was there unfinished, or whole of the same share, is gone on with. SER_E_UNSUPPORTED: something else
 * is there; SER_E_IO: another process is at work on it. part: with its options. */
ser_status ser_part_folder_open(ser_part_folder *out, const char *folder, const ser_part *part,
                                ser_error *err);
/* With the manifest, under its name. */
ser_status ser_part_folder_publish(ser_part_folder *f, ser_part *part, ser_error *err);
void ser_part_folder_close(ser_part_folder *f);

#endif

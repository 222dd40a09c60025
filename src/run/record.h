/* What a run folder holds for the time of the run alone: the file .made in it names what the run may remove
 * when it is complete, and nothing else is removed. */
#ifndef SER_RUN_RECORD_H
#define SER_RUN_RECORD_H

#include "base/status.h"
#include "base/text.h"

typedef struct ser_run_record {
    ser_text
        lines; /* "file fold-1/state-1.safetensors", "process 4711": what it leaves without a final name */
} ser_run_record;

/* What an earlier process of the same run wrote, if any did, and this process besides. */
ser_status ser_run_record_open(ser_run_record *out, const char *folder, ser_error *err);
/* A file that will be made: NAME directly in the folder, or FOLDER/NAME in one of its own. */
void ser_run_record_add(ser_run_record *r, const char *name);
ser_status ser_run_record_save(const ser_run_record *r, const char *folder, ser_error *err);
/* Removes what the record names, and the record. What cannot be removed stays. */
void ser_run_record_clear(ser_run_record *r, const char *folder);
void ser_run_record_release(ser_run_record *r);

#endif

/* What a run folder holds for the time of the run alone: the file .made in it names what the run may remove
 * when it is complete, and nothing else is removed. */
#ifndef SER_RUN_RECORD_H
#define SER_RUN_RECORD_H

#include "base/status.h"
#include "base/text.h"

#define SER_RUN_LOCK ".lock" /* the file that is locked by whoever is at work in the folder */

typedef struct ser_run_record {
    ser_text
        lines; /* "file fold-1/state-1.safetensors", "process 4711": what it leaves without a final name */
} ser_run_record;

/* Puts this process into the lock's file, which stays where the process is killed, be it before there is a
 * record. */
void ser_run_record_sign(int lock);
/* What an earlier process of the same run wrote, if any did, those that signed, and this process besides. */
ser_status ser_run_record_open(ser_run_record *out, const char *folder, ser_error *err);
/* A file that will be made: NAME directly in the folder, or FOLDER/NAME in one of its own. */
void ser_run_record_add(ser_run_record *r, const char *name);
ser_status ser_run_record_save(const ser_run_record *r, const char *folder, ser_error *err);
/* Removes what processes of the record left without a final name, directly in the folder. */
void ser_run_record_sweep(const ser_run_record *r, const char *folder);
/* Removes what the record names, and the record. What cannot be removed stays. */
void ser_run_record_clear(ser_run_record *r, const char *folder);
void ser_run_record_release(ser_run_record *r);

#endif

/* What every job has, and how it begins and ends. */
#ifndef SER_RUN_JOB_H
#define SER_RUN_JOB_H

#include "report/text.h"
#include "run/folder.h"
#include "run/host.h"
#include "run/material.h"

/* How a job is done. */
typedef struct ser_job_way {
    const ser_run_job *kind;
    size_t size, settings; /* of its own struct; where the settings lie in it */
    ser_status (*work)(void *job, ser_error *err);
    void (*release)(void *job); /* what its own struct holds besides the ser_job */
} ser_job_way;

/* The first member of each job's own struct. */
typedef struct ser_job {
    const ser_job_way *way;
    ser_run_host host;
    ser_run_kept kept;
    json_t *given, *config; /* settings as given, and in force */
    ser_run_folder folder;
    ser_run_material material;
    bool was_complete;
    json_t *told; /* what a job without figures has to tell; NULL: there is a report */
    char *json;   /* the report's, once it is saved; free() */
    size_t n_failed;
} ser_job;

/* Adopts and checks the settings, does the work, and makes its result; *out is NULL where something fails. */
ser_status ser_job_do(ser_run_result **out, const ser_job_way *way, const void *settings,
                      const ser_run_listener *listener, ser_error *err);

/* The run folder; whoever listens is told of it. */
ser_status ser_job_open_folder(ser_job *job, const ser_run_place *place, const ser_run_naming *naming,
                               ser_error *err);

/* The report of what was done; histories, and notes that stand above the others, are there. */
ser_status ser_job_report(ser_job *job, const ser_report_facts *facts, ser_error *err);
/* When nothing is added to it any more: as JSON, and all files of it into the run folder. */
ser_status ser_job_save(ser_job *job, ser_error *err);

/* Into the report; whoever listens is told of what is serious at once. t is released. */
ser_status ser_job_note(ser_job *job, bool serious, ser_text *t, ser_error *err);

/* config: the settings in force, as JSON. */
ser_status ser_job_set_config(ser_job *job, const void *settings, ser_error *err);

/* The report as a terminal shows it. */
void ser_run_result_append(ser_text *t, const ser_run_result *r, ser_style style);
const ser_run_report *ser_run_result_report(const ser_run_result *r); /* NULL: there is none */

#endif

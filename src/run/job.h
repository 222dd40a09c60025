/* What every job has, and how it begins and ends. */
#ifndef SER_RUN_JOB_H
#define SER_RUN_JOB_H

#include "report/text.h"
#include "run/folder.h"
#include "run/host.h"
#include "run/material.h"

/* The first member of each job's own struct. */
typedef struct ser_job {
    const ser_run_job *kind;
    void (*release)(void *work); /* what the job's own struct holds besides */
    ser_run_host host;
    ser_run_kept kept;
    json_t *given, *config; /* settings as given, and in force */
    ser_run_folder folder;
    ser_run_material material;
    bool was_complete;
    json_t *report; /* NULL: nothing was done, because the run was complete */
    size_t n_failed;
} ser_job;

/* Makes a job's struct of size bytes, which begins with a ser_job, and copies the settings to own_settings
 * bytes behind its begin. It is ended in any case where *work is not NULL. */
ser_status ser_job_begin(void **work, size_t size, size_t own_settings, const ser_run_job *kind,
                         const void *settings, const ser_run_listener *listener, void (*release)(void *work),
                         ser_error *err);
/* With status SER_OK the job becomes *out, else it is released. Returns status, or why there is no result. */
ser_status ser_job_end(ser_run_result **out, ser_status status, void *work, ser_error *err);

/* The run folder; whoever listens is told of it. */
ser_status ser_job_open_folder(ser_job *job, const ser_run_place *place, const ser_run_naming *naming,
                               ser_error *err);

/* config: the settings in force, as JSON. */
ser_status ser_job_set_config(ser_job *job, const void *settings, ser_error *err);

/* The report as a terminal shows it. */
void ser_run_result_append(ser_text *t, const ser_run_result *r, ser_style style);
const ser_run_report *ser_run_result_report(const ser_run_result *r); /* NULL: there is none */

#endif

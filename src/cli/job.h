/* A command that runs a job: its options into the settings, the job's words to the terminal. */
#ifndef SER_CLI_JOB_H
#define SER_CLI_JOB_H

#include "cli/job_options.h"
#include "run/job.h"

typedef struct ser_job_command {
    const ser_command *command;
    const ser_run_job *job;
    void *settings; /* the command's own; its options fill them */
    struct {
        const char *name, *complaint, *unless;
    } needs[3]; /* fields without which it does not begin, and what is said then; unless: a flag that makes up
                   for it */
} ser_job_command;

/* In a command's row: what it is, where it does no more than run the job, or more in a run of its own. */
#define SER_JOB_RUNS(own) .job = &(own), .prepare = ser_job_init, .run_job = ser_job_main

/* Defaults into its settings. */
void ser_job_init(const ser_job_command *c);
/* ser_options_start, where no other arguments are expected. With --resume the run's settings are in force,
 * and those given besides must be the same. true: go on. */
bool ser_job_start(const ser_job_command *c, int argc, char **argv, int *status);
/* Of settings: false where one that the command needs is missing, which is told. */
bool ser_job_check_needs(const ser_job_command *c, int *status);
/* The run folder that is named; NULL: none is. */
const char *ser_job_folder(const ser_job_command *c);
/* Options alone, also once more over settings that came from elsewhere: what is given replaces them. rest:
 * other arguments, which are wrong where it is NULL. */
bool ser_job_parse(const ser_job_command *c, int argc, char **argv, ser_option_list *rest, int *status);

/* Runs it, with progress, epochs and messages on the terminal. The caller owns *out. */
ser_status ser_job_run(ser_run_result **out, const ser_job_command *c, ser_error *err);
/* Summary and run folder on standard output. */
void ser_job_print(const ser_run_result *r);
/* What a command ends with: runs it, prints, writes the report where --json says besides. */
int ser_job_finish(const ser_job_command *c);
void ser_job_release(void);
/* The whole of a command that does no more than that. */
int ser_job_main(const ser_job_command *c, int argc, char **argv);

#endif

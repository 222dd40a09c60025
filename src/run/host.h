/* Whoever called a job: told how it goes, asked whether to go on. */
#ifndef SER_RUN_HOST_H
#define SER_RUN_HOST_H

#include "base/status.h"
#include "base/team.h"
#include "corpus/corpus.h"
#include "ser/run.h"

typedef struct ser_run_host {
    ser_run_listener listener;
    ser_progress progress; /* for the work below, which borrows the host */
    const ser_team *team;  /* NULL: this process alone */
} ser_run_host;

/* listener NULL: nobody listens. */
void ser_run_host_init(ser_run_host *h, const ser_run_listener *listener);
/* Whether all ranks have found the same recordings, and the same encoders (their sha256; NULL or empty:
 * none). */
ser_status ser_run_compare(const ser_run_host *h, const ser_corpus *corpus, const char *encoders,
                           ser_error *err);
/* A warning; host: a ser_run_host. */
void ser_run_warn(void *host, const char *text);
void ser_run_tell(const ser_run_host *h, ser_run_message kind, const char *format, ...) SER_PRINTF(3, 4);

#endif

/* The processes that mpirun or srun started for one job. All knowledge of MPI is behind this; a build without
 * it has the same header, and rank 0 of 1. */
#ifndef SER_RUN_RANKS_H
#define SER_RUN_RANKS_H

#include "base/team.h"

typedef struct ser_ranks ser_ranks;

/* What mpirun or srun left in the environment: 0 of 1 where neither did, and with
 * SER_RANKS=0. */
void ser_ranks_look(int *rank, int *n);

/* Begins the job on all ranks; *out is NULL where there is one process alone. progress: asked for the wish to
 * stop while others are waited for, as long as the ranks are open. warning: empty, or what a person should
 * know. SER_E_UNSUPPORTED: there are several ranks, and this build has no MPI, or they are not of one
 * version. */
ser_status ser_ranks_open(ser_ranks **out, const ser_progress *progress, int argc, char **argv,
                          char warning[256], ser_error *err);
/* NULL for NULL. */
const ser_team *ser_ranks_team(const ser_ranks *r);
/* Whether to go on, which is not so once another rank has failed. */
bool ser_ranks_go_on(ser_ranks *r);

/* A block for rank 0 while work is dealt, told there by handler, one at a time; else rank 0's own are told,
 * and the others' dropped, because all ranks say the same. */
void ser_ranks_set_handler(ser_ranks *r, void (*handler)(void *context, const void *note, size_t n),
                           void *context);
void ser_ranks_note(ser_ranks *r, const void *note, size_t n);

/* Ends the job on all ranks: *st and *err become those of the whole, the same on each. NULL is fine. */
void ser_ranks_close(ser_ranks **r, ser_status *st, ser_error *err);

#endif

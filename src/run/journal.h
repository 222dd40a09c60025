/* What the ranks of a job are at, in a folder beside its output, so that after a crash the next run can say
 * who ended at what, goes on where it was, and does not end at the same recording for ever. It is gone once
 * the job is done. */
#ifndef SER_RUN_JOURNAL_H
#define SER_RUN_JOURNAL_H

#include "base/team.h"

typedef struct ser_journal ser_journal;

typedef struct ser_journal_settings {
    const char *output;   /* the folder is OUTPUT.journal */
    const char *identity; /* of the job: the answers of another one are of no use */
    const ser_team *team;
    bool optional; /* where ranks do not share its folder, there is none */
    /* What happened in the run before; rank 0. */
    void (*tell)(void *context, const char *text);
    void *context;
} ser_journal_settings;

/* Nobody needs one who is alone, unless the run before left one. */
bool ser_journal_is_wanted(const ser_journal_settings *settings);
/* All ranks call it. SER_E_IO: another process is at work on the same output; a rank does not see the folder.
 * *out may be NULL, if optional, and for no journal all that follows is fine. */
ser_status ser_journal_open(ser_journal **out, const ser_journal_settings *settings, ser_error *err);

/* For the work: crashes are those that this folder knows of since the recording last changed; at one that
 * ended runs twice it is not tried again. NULL for NULL. */
const ser_watch *ser_journal_watch(const ser_journal *j);

/* Answers that were kept, and one more; rank 0. take: SER_E_FORMAT leaves that one out. */
ser_status ser_journal_answers(ser_journal *j,
                               ser_status (*take)(void *context, size_t item, const void *answer, size_t n,
                                                  ser_error *err),
                               void *context, ser_error *err);
ser_status ser_journal_keep(ser_journal *j, size_t item, const void *answer, size_t n, ser_error *err);

/* done: the job is, and its folder goes; with NULL nothing happens. */
void ser_journal_close(ser_journal **j, bool done);

#endif

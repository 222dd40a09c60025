/* Answers for many recordings, one job: several at a time, told in the order in which they were named. What
 * ser_run_predict does, and what the program needs besides: shares of a job, and journals. */
#ifndef SER_RUN_PREDICT_H
#define SER_RUN_PREDICT_H

#include "run/journal.h"
#include "ser/ser.h"

typedef struct ser_predict_many_settings {
    int n_jobs;   /* threads; 0: all cores */
    size_t n_all; /* recordings of the whole job, of which these are a share, so that each is done in the same
                     way; 0: these are all */
    bool timeline;
    size_t n_peaks;
    bool sound; /* results say how recordings sound */
    /* Recordings of a voice (n_voice), by which all are judged; with adapt the head is adapted to them
     * besides; see ser_session_set_baseline and ser_session_adapt. */
    const char *const *voice;
    size_t n_voice;
    bool adapt;
    bool follow; /* all are of one voice, see ser_session_follow_voice: they are taken one by one */
    /* "recordings", or "seconds" of the only one. */
    ser_progress progress;
    /* Recording i has its result, which is released afterwards, or failure says why not, and r is NULL. In
     * the order of the paths, from one thread at a time. */
    void (*on_answer)(void *context, size_t i, const ser_result *r, const ser_error *failure);
    void *context;
    /* Several ranks share the recordings, and rank 0 is told; not with follow, nor for standard input. NULL:
     * there is this process alone. */
    const ser_team *team;
    ser_journal *journal; /* what is kept from one run to the next, should the first one end early; or NULL */
} ser_predict_many_settings;

/* paths (n): as ser_predict_file takes them. A recording that fails leaves the others be. SER_E_CANCELLED:
 * progress said stop; what was told is told. Other failures are of the voice or of memory. */
ser_status ser_predict_many(const ser_model *model, const char *const *paths, size_t n,
                            const ser_predict_many_settings *settings, ser_error *err);

#endif

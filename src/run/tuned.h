/* What a fine-tuning learns from and how, put together from settings: for 'ser train' and 'ser evaluate'. */
#ifndef SER_RUN_TUNED_H
#define SER_RUN_TUNED_H

#include "extract/encoders.h"
#include "learn/tuned_kind.h"
#include "run/epochs.h"
#include "run/host.h"
#include "run/settings.h"

typedef struct ser_tuned {
    const ser_run_host *host;
    ser_encoders encoders;
    ser_nn_ops *ops;
    ser_tuned_source source; /* what the kind takes */
} ser_tuned;

typedef struct ser_tuned_wish {
    const ser_run_data *data;
    const ser_run_features *features;
    const ser_run_fine_tuning *how;
    int micro_batch;
    const ser_team *team; /* whose ranks share each training; NULL: no others */
    uint64_t seed;
    ser_epochs *epochs; /* who is told of trainings, and outlives it; NULL: nobody */
} ser_tuned_wish;

/* corpus and host must outlive it, and it stays where it is. Decodes the whole corpus. SER_E_ARG: more layers
 * than can be read. That the features are one Whisper encoder's was checked with the settings. */
ser_status ser_tuned_open(ser_tuned *out, const ser_corpus *corpus, const ser_tuned_wish *wish,
                          const ser_run_host *host, ser_error *err);
void ser_tuned_close(ser_tuned *t); /* zeroed, or opened in vain: fine */

#endif

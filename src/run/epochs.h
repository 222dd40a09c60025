/* Epochs as they pass: a line in history.jsonl, and a word to whoever listens. */
#ifndef SER_RUN_EPOCHS_H
#define SER_RUN_EPOCHS_H

#include "base/text.h"
#include "learn/tuned_kind.h"
#include "run/host.h"
#include "train/adapt.h"
#include "train/timnet_fit.h"

#include <stdio.h>

typedef struct ser_epochs {
    const ser_run_host *host;
    const char *folder; /* NULL: there is no history */
    size_t n_networks;
    FILE *history;
    ser_text waiting; /* lines that could not be written yet */
    bool lost;        /* there was no memory for one */
} ser_epochs;

/* For ser_learn_settings.on_epoch and on_adapt; context: a ser_epochs. */
void ser_epochs_tell(void *context, const char *what, size_t network, const ser_timnet_epoch *e);
void ser_epochs_tell_adapt(void *context, const char *what, const ser_adapt_epoch *e);
/* The same for ser_tuned_source.on_epoch. */
void ser_epochs_tell_tuning(void *context, const char *what, size_t training, const ser_tune_epoch *e);
/* On several ranks, before networks are dealt: rank 0 tells the epochs of all. */
void ser_epochs_gather(ser_epochs *k);
/* When all are told: what still waits is written, or the listener warned. */
void ser_epochs_finish(ser_epochs *k);
void ser_epochs_close(ser_epochs *k);

#endif

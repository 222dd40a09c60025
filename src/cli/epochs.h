/* Epochs as they pass: a line in history.jsonl, and on a terminal one with a curve of the last losses. */
#ifndef SER_CLI_EPOCHS_H
#define SER_CLI_EPOCHS_H

#include "cli/run_folder.h"
#include "train/adapt.h"

enum { SER_EPOCHS_SHOWN = 16 };

typedef struct ser_epochs {
    ser_run_folder *folder;
    size_t n_networks;
    float losses[SER_EPOCHS_SHOWN]; /* of the last epochs: number i lies at i modulo their number */
    size_t n_losses;
} ser_epochs;

/* For ser_learn_settings.on_epoch and on_adapt; context: a ser_epochs. */
void ser_epochs_tell(void *context, const char *what, size_t network, const ser_timnet_epoch *e);
void ser_epochs_tell_adapt(void *context, const char *what, const ser_adapt_epoch *e);

#endif

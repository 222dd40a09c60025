/* An epoch on a terminal: its figures, and a curve of the last losses. */
#ifndef SER_CLI_EPOCHS_H
#define SER_CLI_EPOCHS_H

#include "ser/run.h"

enum { SER_EPOCHS_SHOWN = 16 };

typedef struct ser_epoch_curve {
    float losses[SER_EPOCHS_SHOWN]; /* of the last epochs: number i lies at i modulo their number */
    size_t n;
} ser_epoch_curve;

/* Nothing elsewhere than on a terminal. */
void ser_epoch_show(ser_epoch_curve *curve, const ser_run_epoch_info *e);

#endif

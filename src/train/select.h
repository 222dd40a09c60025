/* Choosing among candidates by cross-validation inside a training part: which features count how much, and
 * which penalty. */
#ifndef SER_TRAIN_SELECT_H
#define SER_TRAIN_SELECT_H

#include "base/team.h"
#include "nn/ops.h"

#include <stdint.h>

/* The rows of a training part. Nothing is owned. mean and scale are those of the whole part, so not each
 * inner fold's own: the mean makes no difference (the bias is free), and the deviations of a few speakers
 * more or less make hardly any. In return all folds share the products of the rows. */
typedef struct ser_select_data {
    const float *const *x;     /* (n): features (n_in) of each row */
    const float *mean, *scale; /* (n_in): ser_standardise */
    const int *label;          /* (n) */
    const float *weight;       /* (n): of the losses; NULL: all 1 */
    const int *fold;           /* (n): 0 ... ; an altered copy has the fold of its recording */
    const uint64_t
        *mask; /* (n): as in ser_softmax_data; a row is then judged among those of its labels that the
                  training rows of its fold compete for, and not at all where none of them has its own */
    const unsigned char *is_copy; /* (n): altered copies train but are never scored; NULL: none */
    const float *offset;          /* (n, n_labels): as in ser_softmax_data; NULL: none */
    size_t n, n_in, n_labels;
} ser_select_data;

typedef struct ser_select_candidate {
    const float *emphasis; /* (n_in): what the standardised features are multiplied by; 0: left out.
                              Neighbours in the list with the same pointer share most of the work */
    double c;              /* as in ser_softmax_fit */
} ser_select_candidate;

typedef struct ser_select_verdict {
    double ua, loss; /* percent; mean log loss after calibration */
    float temperature;
} ser_select_verdict;

typedef struct ser_selection {
    float
        *logits; /* (n_candidates, n_scored, n_labels): out of fold, of the rows that are judged, in order */
    ser_select_verdict *verdicts; /* (n_candidates) */
    size_t n_candidates, n_scored;
    size_t best; /* the first that is not certainly worse than the one with the lowest loss */
} ser_selection;

typedef struct ser_select_settings {
    const ser_nn_ops *ops;
    int n_threads; /* 0: all cores; the result is the same for any number */
    const ser_progress *progress;
    const char *what; /* for progress */
    /* Whose ranks share candidates and folds: all have the same data, and get the same result. NULL: no
     * others. */
    const ser_team *team;
} ser_select_settings;

/* Fits every candidate once per fold, to the rows outside of it. SER_E_ARG: fewer than two folds, a fold that
 * holds all rows, no candidates, a candidate without features; SER_E_CANCELLED. */
ser_status ser_select(ser_selection *out, const ser_select_data *data, const ser_select_candidate *candidates,
                      size_t n_candidates, const ser_select_settings *settings, ser_error *err);
void ser_selection_release(ser_selection *s);

#endif

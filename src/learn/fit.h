/* Fitting a head of the linear model to a training part: which blocks (layers), how much the standard
 * deviations count, which penalty, which temperature, all found by inner cross-validation, then the fit on
 * the whole part. */
#ifndef SER_LEARN_FIT_H
#define SER_LEARN_FIT_H

#include "base/team.h"
#include "extract/extract.h"
#include "model/linear.h"
#include <stdbool.h>

enum { SER_MAX_CANDIDATES = 64, SER_MAX_BLOCKS = 64 };

/* A bit for each of n_blocks: all are used. */
static inline uint64_t ser_all_blocks(size_t n_blocks)
{
    return n_blocks >= 64 ? UINT64_MAX : (UINT64_C(1) << n_blocks) - 1;
}

/* One thing to try. Features are standardised; those of standard deviations are multiplied by spread_weight;
 * all are divided by the root of the sum of squared weights, so that c means the same for any number of
 * features. */
typedef struct ser_candidate {
    uint64_t blocks; /* bit b: block b is used */
    bool weighted;   /* the layers of each encoder are summed with learned weights (learn/weighted.h): all
                        candidates of a list or none */
    bool active;     /* statistics of active frames are used beside those of all frames */
    double spread_weight;
    double c; /* weighted sum of losses + |w|^2 / (2 c) */
} ser_candidate;

/* The rows of a training part. Nothing is owned. */
typedef struct ser_rows {
    const float **x; /* (n): pooled features (dims) of each row */
    const int *label;
    const int
        *group; /* speakers (corpora), kept together in the inner folds; NULL: stratified by label alone */
    const uint64_t *mask;         /* (n): as in ser_softmax_data; NULL: all labels compete for all rows */
    const unsigned char *is_copy; /* altered copies: they follow their recording, and are never scored */
    /* (dims) to n_labels: what the head is pulled to by the penalty, instead of to nothing (Chelba and Acero
     * 2006, doi:10.1016/j.csl.2005.05.005: a Gaussian prior around another corpus's weights). Its features
     * are in the blocks of every candidate. NULL: nothing */
    const ser_linear *origin;
    size_t n, dims, n_labels;
    size_t n_left_out; /* so many groups are left out in turn, whatever the settings say of inner folds; 0:
                          not so */
    size_t n_blocks;
    size_t block_offset[SER_MAX_BLOCKS], block_dims[SER_MAX_BLOCKS]; /* within a frame */
    size_t block_part[SER_MAX_BLOCKS]; /* of the specification: the layers of an encoder share one */
} ser_rows;

typedef struct ser_head_fit {
    ser_linear head; /* over all dims; features of unused blocks have scale 0 */
    ser_candidate chosen;
    float temperature;
    float layer_weight[SER_MAX_BLOCKS]; /* chosen.weighted: of each block; those of an encoder add up to 1 */
    double inner_ua, inner_loss;        /* out of the inner folds: percent, nats after calibration */
} ser_head_fit;

typedef struct ser_fit_settings {
    const ser_candidate *candidates;
    size_t n_candidates;
    int n_inner_folds;
    uint64_t seed;
    ser_engine engine; /* of the products, in fp32 */
    int n_threads;
    const ser_progress *progress;
    const char *what;     /* what the progress is called: "fold 3 of 6" */
    const ser_team *team; /* whose ranks share the candidates; NULL: no others */
} ser_fit_settings;

/* The candidates are not weighted. */
ser_status ser_fit_head(ser_head_fit *out, const ser_rows *rows, const ser_fit_settings *settings,
                        ser_error *err);
void ser_head_fit_release(ser_head_fit *f);

/* What a candidate multiplies the standardised features by, (dims of rows), free with ser_free; 0 leaves one
 * out. The squares add up to 1. */
ser_status ser_candidate_emphasis(float **out, const ser_rows *rows, const ser_candidate *candidate,
                                  ser_error *err);

/* Fills block_offset and so on from an extractor. */
void ser_rows_set_blocks(ser_rows *rows, const ser_extractor *e);

#endif

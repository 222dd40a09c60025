/* What a session knows of the voice it hears: by which mean and deviation its pooled features are
 * standardised for the head that reads them so. */
#ifndef SER_MODEL_BASELINE_H
#define SER_MODEL_BASELINE_H

#include "model/model_file.h"

/* A zeroed struct knows nothing: then the plain head answers. */
typedef struct ser_baseline {
    float *mean, *scale; /* n_in of the model's baseline head each; NULL: nothing is known */
    float share;         /* of the baseline head in answers, beside the plain one; 0: nothing was heard yet */
    ser_linear adapted;  /* in place of that head; n_in 0: none */
    double *heard; /* (2, n_in): sums and sums of squares of what was followed; NULL: it does not follow */
    size_t n_heard;
} ser_baseline;

void ser_baseline_release(ser_baseline *b);

/* SER_E_UNSUPPORTED: the model has temporal networks, or no head for a baseline. */
ser_status ser_baseline_check(const ser_model_data *m, ser_error *err);
/* From recordings of the voice: rows (n, n_in). With adapt, the head is adapted to them besides
 * (adapt_head.h), and rows are standardised in place. b is empty before, and after a failure. */
ser_status ser_baseline_fit(ser_baseline *b, const ser_model_data *m, float *rows, size_t n, bool adapt,
                            ser_error *err);
/* ser_baseline_hear is called for each recording before it is answered for. */
ser_status ser_baseline_follow(ser_baseline *b, const ser_model_data *m, ser_error *err);
/* to is empty before, and after a failure. */
ser_status ser_baseline_copy(ser_baseline *to, const ser_baseline *from, const ser_model_data *m,
                             ser_error *err);

/* A recording's pooled features (n_in) join the baseline; does nothing where it does not follow. Once for
 * each recording, whatever is asked about it afterwards. */
void ser_baseline_hear(ser_baseline *b, const ser_model_data *m, const float *pooled);
/* scores (n_labels) of pooled features (n_in), which are standardised in place. */
void ser_baseline_score(const ser_baseline *b, const ser_model_data *m, float *scores, float *pooled);

#endif

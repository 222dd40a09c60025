/* The kind "fine-tuned": an encoder and a linear head that learned together from the training part. It hears
 * the recordings themselves; features that were extracted play no part. Passed in ser_learn_settings.more,
 * with a source as own. */
#ifndef SER_LEARN_TUNED_KIND_H
#define SER_LEARN_TUNED_KIND_H

#include "learn/fine_tune.h"
#include "learn/kind.h"

typedef struct ser_tuned_source {
    ser_crops *crops; /* of the corpus that is learned from; each training selects its own part of them */
    ser_fine_tune_settings settings;
    bool one_fold;           /* the other folds are other processes' */
    size_t n_after;          /* nets trained after those of all folds, whose states are kept besides */
    ser_condition condition; /* what recordings that are asked are altered by */
    /* training: 1 ... settings.n_soup; NULL: nobody listens */
    void (*on_epoch)(void *context, const char *what, size_t training, const ser_tune_epoch *e);
    void *context;
} ser_tuned_source;

extern const ser_model_kind ser_kind_tuned;

/* The training alone, of the utterances whose fold is not test_fold (-1: all). what: for progress; state,
 * first_state: where states are kept, as in ser_fine_tune_settings. *net is the caller's. */
ser_status ser_tuned_train(ser_tune_net **net, const ser_tuned_source *source, const int *fold, int test_fold,
                           const char *what, const char *state, size_t first_state, ser_error *err);

/* logits (n, n_labels) of recordings as they are; those of emotions that the net has not heard of, because no
 * recording that crops last selected has them, lie far below all others. */
ser_status ser_tuned_ask(float *logits, const ser_tune_net *net, const ser_tuned_source *source,
                         uint64_t heard, const size_t *row, size_t n, ser_error *err);
/* Bits of the labels that the recordings which crops has selected have. */
uint64_t ser_tuned_heard(const ser_crops *crops);

#endif

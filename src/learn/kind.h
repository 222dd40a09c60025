/* Kinds of models behind one seam. A kind is one file and one row of the table below; a model has one
 * part of each kind that --model-type joins with '+', and the parts' calibrated scores are averaged. A kind
 * that only its caller knows, such as a user's own head, is passed in ser_learn_settings.more. */
#ifndef SER_LEARN_KIND_H
#define SER_LEARN_KIND_H

#include "learn/evaluate.h"
#include "learn/kept.h"
#include "model/model_file.h"

/* What a part is learned from: utterances whose fold is not test_fold (-1: all). */
typedef struct ser_kind_training {
    const ser_learn_data *data;
    const int *fold;
    int test_fold;
    const ser_learn_settings *settings;
    const void *own;   /* settings of the kind: of ser_learn_settings.more; else NULL */
    const char *what;  /* for progress */
    const char *state; /* NULL, or how paths of states of training begin */
} ser_kind_training;

/* Which utterances of data are asked about: those whose fold is test_fold. */
typedef struct ser_kind_question {
    const ser_learn_data *data;
    const int *fold;
    int test_fold;
    ser_asking how;
} ser_kind_question;

/* own: the part's, which learn (load) sets where it needs one. */
struct ser_model_kind {
    const char *name; /* as --model-type and model files have it */
    /* Whether the settings ask for it; NULL: it is there when it is passed in more. */
    bool (*is_asked)(const ser_learn_settings *s);
    ser_status (*learn)(ser_learned *l, void **own, const ser_kind_training *t, ser_error *err);
    void (*release)(void *own); /* NULL: own is nothing, or somebody else's */
    size_t (*n_labels)(const ser_learned *l, const void *own);
    /* Calibrated scores to scores + u * n_labels for the utterances asked about. */
    ser_status (*score)(const ser_learned *l, const void *own, float *scores, const ser_kind_question *q,
                        ser_error *err);
    /* What a report says of the fold besides the figures; NULL: nothing. */
    void (*describe)(ser_fold_result *r, const ser_learned *l, const void *own);
    /* Bits of the blocks of a frame that it reads, and the part into a model that keeps just such blocks;
     * what is large moves over. */
    uint64_t (*blocks)(const ser_learned *l, const void *own, const ser_extractor *e);
    ser_status (*save)(ser_model_data *m, ser_learned *l, void *own, const ser_kept *kept, ser_error *err);
    /* The part of a model file, borrowed; false: it has none. NULL: files never have. */
    bool (*load)(ser_learned *l, void **own, const ser_model_data *m);
};

/* The table: ser_kind_NAME, in NAME_kind.c, for each that a model_type can name. */
#define SER_MODEL_KINDS(ROW) ROW(linear) ROW(timnet)

#define SER_MODEL_KIND_DECLARE_(name) extern const ser_model_kind ser_kind_##name;
SER_MODEL_KINDS(SER_MODEL_KIND_DECLARE_)

/* For kinds that choose layers by a head of the linear model. */
void ser_describe_choice(ser_fold_result *r, const ser_learned *l, const void *own);

/* All of the table, ended by NULL. */
const ser_model_kind *const *ser_model_kinds(void);

/* The parts of a model file, borrowed from m; to be asked, and not to be released. */
ser_learned ser_learned_of_model(const ser_model_data *m);

#endif

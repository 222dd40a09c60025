/* One fold of an evaluation, done on whatever machine: a run folder with what was learned, and a manifest. */
#ifndef SER_RUN_FOLD_PART_H
#define SER_RUN_FOLD_PART_H

#include "io/json.h"
#include "learn/evaluate.h"

typedef struct ser_fold_part {
    const char *folder;
    size_t fold; /* counted from 0 */
    const ser_folds *folds;
    const ser_corpus *corpus;
    const json_t *config;                     /* settings in force */
    const char *encoder_sha256, *head_sha256; /* of ser_learning */
} ser_fold_part;

/* block: what ser_evaluate gives of the fold. */
ser_status ser_fold_part_write(const ser_fold_part *p, const ser_text *block, ser_error *err);
/* The block of a fold, out of the part that is of it. */
ser_status ser_fold_part_read(ser_text *block, const char *const *parts, size_t n_parts, size_t fold,
                              ser_error *err);

#endif

/* What --visualize draws of an adaptation. */
#ifndef SER_RUN_ADAPTATION_PICTURES_H
#define SER_RUN_ADAPTATION_PICTURES_H

#include "base/text.h"
#include "learn/adaptation.h"
#include "learn/cross.h"
#include "report/matrix.h"

/* Everything is borrowed. */
typedef struct ser_adaptation_pictures {
    const char *folder;
    const ser_adaptation *adaptation; /* with its networks still in it */
    const ser_learn_data *source, *target;
    const ser_mapping *mapping;
    const ser_cross *cross[2]; /* before, after */
    ser_matrix matrix;         /* its counts are replaced by those of cross; no truths: not drawn */
    const ser_nn_ops *ops;
    int n_threads;
    const ser_progress *progress;
    ser_text *page; /* they are appended for it, the map first */
} ser_adaptation_pictures;

/* adaptation-losses, confusion-before, confusion-after, and map: source and target before and after, by
 * principal components and t-SNE. Each as .png and .svg. Truths of the target serve as colours alone. */
ser_status ser_adaptation_pictures_save(const ser_adaptation_pictures *p, ser_error *err);

#endif

/* The head that learned together with an encoder, beside the encoder's weights: a model file that carries no
 * encoder, so that 'ser predict' and 'ser test' take it as well. */
#ifndef SER_RUN_TUNED_HEAD_H
#define SER_RUN_TUNED_HEAD_H

#include "learn/fine_tune.h"
#include "run/workbench.h"

/* folder: of the encoder, which is there. labels: the net's; heard: bits of those that its training part had,
 * which alone are written; with fewer than two there is no file. */
ser_status ser_tuned_head_write(const char *folder, const ser_tune_net *net, const ser_feature_spec *spec,
                                char *const *labels, uint64_t heard, ser_error *err);

/* Before the encoder's weights are replaced. */
ser_status ser_tuned_head_remove(const char *folder, ser_error *err);

/* The head of w's encoder, over the features of w's extractor and to the labels of w's corpus; one that the
 * head does not know gets the mean of all others. blocks: those that it reads. out->n_in 0: the encoder has
 * none, or the features are others than those that the head reads. SER_E_FORMAT: it is damaged, or of other
 * weights. */
ser_status ser_tuned_head_read(ser_linear *out, uint64_t *blocks, const ser_workbench *w, ser_error *err);

#endif

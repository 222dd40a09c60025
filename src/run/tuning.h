/* What 'ser train --fine-tune' does before anything else: an encoder learns with a head, on many corpora, and
 * what its answers are worth is measured on corpora that it did not hear. */
#ifndef SER_RUN_TUNING_H
#define SER_RUN_TUNING_H

#include "io/json.h"
#include "learn/fine_tune.h"
#include "model/unlike.h"
#include "run/epochs.h"
#include "run/folder.h"
#include "run/host.h"
#include "run/settings.h"

typedef struct ser_run_tuning {
    ser_tune_net *net; /* NULL: nothing was tuned */
    char *encoder;     /* FOLDER/encoder: the tuned one, as a checkpoint */
    float temperature; /* over the parts that were left out in turn */
    /* Half of their answers lie above the first. Neutral and calm are told from the second on, the lowest at
     * which they are right as often as answers are: to hear a voice as neutral that is not costs little. */
    double min_confidence, min_confidence_plain;
    double ece, labelled, right, right_above; /* of those answers: calibration error in percent; shares that
                                                 get a label, are right, are right with a label */
    json_t *figures;                          /* of the parts left out */
    ser_unlike unlike; /* of pooled features; its reach is that of the parts' recordings, each asked of the
                          net that did not hear it. With a team rank 0's */
} ser_run_tuning;

/* Before a run folder is made: whether the corpora can be left out in turn, or the speakers of one, and
 * whether there is such an encoder. */
ser_status ser_run_check_tuning(const ser_run_train_settings *s, const ser_run_features *features,
                                ser_error *err);

/* Encoder, layers and training by s; folder: where the tuned encoder and the states go. Each corpus is left
 * out in turn, of one alone a third of its speakers; then all is learned from. A resumed run comes to the
 * same bits. SER_E_ARG: features that are not one Whisper encoder's. */
ser_status ser_run_tune(ser_run_tuning *out, const ser_run_train_settings *s,
                        const ser_run_features *features, const ser_run_host *host, ser_run_folder *folder,
                        ser_epochs *epochs, ser_error *err);
/* The same measure of how unlike recordings are, for a run that is complete and was made without it: by the
 * encoders that it kept, of n_in features (else SER_E_FORMAT). Distances join its left-out.jsonl. Of *out,
 * unlike and figures (those of the distances alone) are filled. *kept false, and nothing done: it kept none.
 */
ser_status ser_run_tune_unlike(ser_run_tuning *out, bool *kept, size_t n_in, const ser_run_train_settings *s,
                               const ser_run_features *features, const ser_run_host *host,
                               const ser_run_folder *folder, ser_error *err);
void ser_run_tuning_release(ser_run_tuning *t);

#endif

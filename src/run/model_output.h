/* Model files as jobs write them. */
#ifndef SER_RUN_MODEL_OUTPUT_H
#define SER_RUN_MODEL_OUTPUT_H

#include "io/json.h"
#include "model/model_file.h"
#include "run/workbench.h"

/* First halves of the hashes of a store's recordings, so that 'ser test' knows them again: those for which
 * fold (NULL: all are in fold -1) is not test_fold. */
json_t *ser_model_output_heard(const ser_store *store, const int *fold, int test_fold);
/* Into origin, a model's provenance: "trained_on", those of w's store and behind them what a tuned encoder
 * learned from besides; where there is such, "encoder_learned_from", its corpora, too. */
void ser_model_output_origin(json_t **origin, const ser_workbench *w, const int *fold, int test_fold);
/* What was chosen for a head. */
json_t *ser_model_output_head(const ser_workbench *w, const ser_head_fit *fit);

/* Completes m by w's encoder and by origin, its provenance, and writes it. embed: with the encoder's needed
 * layers. */
ser_status ser_model_output_save(ser_model_data *m, const ser_workbench *w, const json_t *origin,
                                 const char *path, bool embed, ser_error *err);

/* FOLDER/fold-NAME/weights.h5, and weights-2.h5 ... of an ensemble: they read frames without scaling. */
ser_status ser_model_output_keras(const char *folder, const char *fold, const ser_timnet_member *networks,
                                  size_t n_networks, ser_error *err);

#endif

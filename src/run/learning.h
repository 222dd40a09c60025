/* From settings to what ser_learn takes: presets, and the options in force. */
#ifndef SER_RUN_LEARNING_H
#define SER_RUN_LEARNING_H

#include "run/workbench.h"

/* Puts what the preset says in the place of every -1, and the usual in that of other values that nobody gave:
 * in force is what stands there afterwards. spec: what networks read. models: of what there is none, nothing
 * is said. */
void ser_run_resolve(ser_run_learning *l, ser_run_network *n, const ser_feature_spec *spec,
                     ser_run_models models);
/* The same for the network alone, whatever models there are. */
void ser_run_resolve_network(ser_run_network *n, ser_run_preset preset, const ser_feature_spec *spec);

/* Of settings in force. */
ser_timnet_settings ser_run_timnet_settings(const ser_run_network *n);
ser_condense ser_run_condense(
    const ser_run_network *n); /* what is done to frames before networks read them */

/* What ser_learn takes. */
typedef struct ser_learning {
    ser_learn_data data;
    ser_learn_settings settings; /* speaker_disjoint is the caller's to set */
    ser_nn_ops *ops;             /* of the networks */
    ser_candidate candidates[SER_MAX_CANDIDATES];
    /* Of a head for a voice's own baseline, where the shift between corpora does not matter. */
    ser_candidate baseline_candidates[SER_MAX_CANDIDATES];
    size_t n_baseline_candidates;
    ser_run_models models;
    ser_linear origin;    /* of settings */
    char head_sha256[65]; /* of it; empty: there is none */
} ser_learning;

/* l and n are in force; w and host must outlive it, and it stays where it is. */
ser_status ser_learning_open(ser_learning *out, const ser_workbench *w, const ser_run_learning *l,
                             const ser_run_network *n, ser_run_models models, const ser_run_data *data,
                             const ser_run_host *host, ser_error *err);
/* The linear model starts from the head that the encoder learned with, where it has one that reads these
 * features: settings.origin is set then. All ranks have the same, or none. */
ser_status ser_learning_start_from_head(ser_learning *l, const ser_workbench *w, const ser_run_host *host,
                                        ser_error *err);
void ser_learning_close(ser_learning *l);

/* Products of networks: no int8 is learned with. */
ser_status ser_run_network_ops(ser_nn_ops **out, const ser_run_data *data, ser_error *err);

#endif

/* What evaluations and trainings begin with: the corpus, the encoder, the features. */
#ifndef SER_RUN_WORKBENCH_H
#define SER_RUN_WORKBENCH_H

#include "data/condition.h"
#include "data/intake.h"
#include "data/normalize.h"
#include "extract/encoders.h"
#include "learn/learn.h"
#include "model/model_file.h"
#include "run/heard.h"
#include "run/host.h"
#include "run/material.h"
#include "run/settings.h"

/* Everything is borrowed for the call. */
typedef struct ser_workbench_settings {
    const ser_run_host *host;
    const ser_run_data *data; /* but for corpus, feature_type and layers, in whose place stand: */
    const char *corpus;
    ser_run_features features;
    const char *encoder_sha256;    /* of the encoder that a model reads; NULL or empty: of any */
    const ser_model_data *carrier; /* the encoders are those inside this model, whose file is carrier_path and
                                      whose encoders' sha256 stands above; NULL: those of data */
    const char *carrier_path;
    bool is_tested; /* figures come of its recordings: SER_E_ARG where an encoder learned from some of them */
    bool is_target; /* corpus may be without emotions: see ser_corpus_open_target */
    size_t n_copies;
    uint64_t seed;
    ser_condition condition;
    const ser_condense *frames; /* how those for temporal networks are condensed; NULL: there are none */
} ser_workbench_settings;

typedef struct ser_workbench {
    ser_corpus *corpus;
    ser_encoders encoders;
    ser_extractor *extractor;
    ser_tree *tree; /* features on disk that fit, or NULL */
    ser_store *store;
    ser_frame_set *frames; /* NULL: not asked for */
    ser_feature_spec spec;
    char encoder_sha256[SER_ENCODERS_SHA256]; /* empty without an encoder */
    ser_heard heard;                          /* what encoders that were tuned learned from */
    size_t n_heard;                           /* recordings of the corpus among them */
    ser_layer_choice layers;
    ser_precision precision; /* in force, never AUTO */
    ser_engine engine;
    size_t n_copies;
    uint64_t seed;
    bool pool_encoder;
    bool without_audio;                /* corpus and features are the tree's */
    char *features_key, *cache_folder; /* of ser_intake_settings; cache_folder may be NULL */
    int n_threads;
} ser_workbench;

/* What the user named, else the usual counterpart of source; SER_E_ARG: it has none. */
ser_status ser_choose_target(const char **out, const char *named, const char *source, ser_error *err);

/* Which blocks of the extractor may be chosen: all, or with SER_LAYERS_AUTO all but the first, too. Returns
 * how many sets of them there are. */
size_t ser_workbench_sets(uint64_t sets[SER_MAX_SETS], const ser_workbench *w);

ser_status ser_workbench_open(ser_workbench *out, const ser_workbench_settings *settings, ser_error *err);
ser_status ser_workbench_leaks(ser_leaks *leaks, const ser_workbench *w, const ser_folds *folds,
                               const ser_progress *progress, ser_error *err);
/* Store and frames; spread as in ser_normalize_apply. */
ser_status ser_workbench_normalize(ser_workbench *w, ser_normalize how, float *spread, ser_error *err);
/* With n_heard, what is wrong with figures of the corpus's recordings: the line for whoever reads them. */
void ser_workbench_append_heard(ser_text *t, const ser_workbench *w);
/* What a report says of the data and the features; the rest is the caller's to add. */
ser_report_facts ser_workbench_facts(const ser_workbench *w, ser_normalize how);
void ser_workbench_close(ser_workbench *w);
/* The corpus stays, for a report that tells of it; all that is large goes. */
void ser_workbench_thin(ser_workbench *w);

#endif

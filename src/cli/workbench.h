/* What evaluations and trainings begin with: the corpus, the encoder, the features. */
#ifndef SER_CLI_WORKBENCH_H
#define SER_CLI_WORKBENCH_H

#include "cli/common.h"
#include "corpus/known.h"
#include "data/intake.h"
#include "data/normalize.h"
#include "learn/learn.h"
#include "run/report_json.h"

typedef struct ser_workbench_options {
    const char *data, *data_dir, *features_dir, *feature_type, *layers, *preset, *augment, *normalize;
    const char *pooling;
    const char *encoder_sha256; /* of the encoder that a model reads; NULL: of any */
    bool is_target;             /* data may be without emotions: see ser_corpus_open_target */
    long hop_length, pad, seed, jobs;
    double c;
    bool pool_encoder;
    ser_engine_options engine;
} ser_workbench_options;

#define SER_DEFAULT_FEATURE_TYPE "WHISPER"
#define SER_WORKBENCH_DEFAULTS                                                                               \
    {                                                                                                        \
        .features_dir = "data/features", .feature_type = SER_DEFAULT_FEATURE_TYPE, .layers = "auto",         \
        .preset = "best", .normalize = "none", .pooling = "both", .hop_length = SER_DEFAULT_HOP, .seed = 46, \
        .engine = SER_ENGINE_OPTIONS_FP32                                                                    \
    }

/* clang-format off */
#define SER_DATA_OPTIONS(o) \
    {SER_OPTION_GROUP, .help = "Data and features"}, \
    {SER_OPTION_STRING, 'd', "data", &(o).data, "CORPUS", SER_KNOWN_NAMES "a folder, a CSV file, or several joined with +"}, \
    {SER_OPTION_STRING, 0, "data-dir", &(o).data_dir, "DIR", "where named corpora lie (default: $SER_DATA_DIR, else data/raw)"}, \
    {SER_OPTION_STRING, 0, "features-dir", &(o).features_dir, "DIR", "where 'ser extract' left features, which are used where they fit"}, \
    {SER_OPTION_STRING, 0, "feature-type", &(o).feature_type, "TYPE", "LOGMEL, MFCC, WHISPER, or several joined with +"}, \
    {SER_OPTION_STRING, 0, "layers", &(o).layers, "LIST", "hidden states such as 1,2,3, of several encoders HUBERT=6+WHISPER=2,3; auto: chosen, weighted: all of them, summed with weights learned inside each training part"}, \
    {SER_OPTION_INT, 0, "hop-length", &(o).hop_length, "N", "samples from one frame to the next (LOGMEL, MFCC)", 16, 16000}, \
    {SER_OPTION_INT, 0, "pad", &(o).pad, "SECONDS", "pad recordings for the encoder as the reference does (30), or not (0)", 0, 30}, \
    {SER_OPTION_FLAG, 0, "pool-encoder", &(o).pool_encoder, NULL, "the encoder's mean over time in every frame"}, \
    {SER_OPTION_INT, 'j', "jobs", &(o).jobs, "N", "threads (default: all cores)", 0, 1024}

/* Of what learns from labels. */
#define SER_TRAINING_OPTIONS(o) \
    {SER_OPTION_GROUP, .help = "Training"}, \
    {SER_OPTION_CHOICE, 0, "preset", &(o).preset, "original|best", "best: what was measured to be best; original: no altered copies"}, \
    {SER_OPTION_STRING, 0, "augment", &(o).augment, "none|N", "altered copies of each training recording (default: by the preset)"}, \
    {SER_OPTION_INT, 0, "seed", &(o).seed, "N", "of everything random", 0, 1e15, .alias = "random-seed"}

/* Of what may look at the unlabelled recordings that it answers for. */
#define SER_NORMALIZE_OPTION(o) \
    {SER_OPTION_CHOICE, 0, "normalize", &(o).normalize, SER_NORMALIZE_WORDS, "standardise by all unlabelled recordings of each speaker (of the corpus)"}

/* Of what fits linear models to labels. */
#define SER_LINEAR_OPTIONS(o) \
    {SER_OPTION_GROUP, .help = "Linear model"}, \
    {SER_OPTION_CHOICE, 0, "pooling", &(o).pooling, "all|both", "statistics of all frames, or of the active ones besides"}, \
    {SER_OPTION_DOUBLE, 0, "c", &(o).c, "C", "weight of the data against the penalty (default: 300)", 1e-6, 1e6}
/* clang-format on */

typedef struct ser_workbench {
    ser_corpus *corpus;
    ser_encoders encoders;
    ser_extractor *extractor;
    ser_tree *tree; /* features on disk that fit, or NULL */
    ser_store *store;
    ser_frame_set *frames; /* NULL: not asked for */
    ser_feature_spec spec;
    char encoder_sha256[SER_ENCODERS_SHA256]; /* empty without an encoder */
    const char *precision;
    ser_candidate candidates[SER_MAX_CANDIDATES];
    size_t n_candidates;
    /* Of a head for a voice's own baseline, where the shift between corpora does not matter. */
    ser_candidate baseline_candidates[SER_MAX_CANDIDATES];
    size_t n_baseline_candidates;
    size_t n_copies;
    bool without_audio;                /* corpus and features are the tree's */
    char *features_key, *cache_folder; /* of ser_intake_settings; cache_folder may be NULL */
    int n_threads;
} ser_workbench;

/* What the user named, else the usual counterpart of source; SER_E_ARG: it has none. */
ser_status ser_choose_target(const char **out, const char *named, const char *source, ser_error *err);

/* Which blocks of the extractor may be chosen: all, or with layers "auto" all but the first, too. Returns how
 * many sets of them there are. */
size_t ser_workbench_sets(uint64_t sets[SER_MAX_SETS], const ser_extractor *e, const char *layers);

/* frames: how those for temporal networks are condensed; NULL: there are none. */
ser_status ser_workbench_open(ser_workbench *out, const ser_workbench_options *o, ser_condition condition,
                              const ser_condense *frames, const ser_progress *progress, ser_error *err);
ser_status ser_workbench_leaks(ser_leaks *leaks, const ser_workbench *w, const ser_folds *folds,
                               ser_error *err);
/* Store and frames; spread as in ser_normalize_apply. */
ser_status ser_workbench_normalize(ser_workbench *w, ser_normalize how, float *spread, ser_error *err);
/* What a report says of the data, the features and the options; what was computed is the caller's to add. */
ser_report_facts ser_workbench_facts(const ser_workbench *w, const ser_workbench_options *o);
void ser_workbench_close(ser_workbench *w);

#endif

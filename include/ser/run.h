/* ser/run: training and judging models of emotion, as the commands of the program do. The public interface of
 * libser-run, beside ser.h, whose statuses, errors, encoders' precision and engine it uses.
 *
 * One function a job: ser_run_train, ser_run_evaluate, ser_run_test, ser_run_test_across, ser_run_adapt,
 * ser_run_extract. Each takes a struct of settings, does the work, and gives a ser_run_result: the run
 * folder, the report as JSON, and as text. ser_run_json does the same for settings that come as JSON.
 * ser_run_predict answers for many recordings, and tells each answer.
 *
 * Settings: fill a struct with its ..._init, set what should be otherwise, and give it to the job. Texts and
 * arrays are borrowed until the job returns. ..._check says what is wrong with settings before anything is
 * read; the jobs check the same. Words, numbers and names are those of the program's options.
 *
 * Listening: a job tells how far it is, each epoch of a network, and what a person should know; all of it
 * from one thread at a time, which need not be the caller's. Nothing is printed.
 *
 * Errors and threads: as in ser.h. A job that fails gives no result (*out is NULL); one that is stopped
 * returns SER_E_CANCELLED, and where it has a run folder, resume goes on with it. Jobs may run side by side
 * in threads, each in a run folder of its own; one folder takes one job at a time, also of other processes.
 *
 * Versions: a program runs with every later library of the same SER_RUN_API_VERSION. Settings begin with
 * size; fields join at the end of a struct, and inside the structs that several jobs share in the room they
 * keep for that. What a program does not know of keeps its default. */
#ifndef SER_RUN_H
#define SER_RUN_H

#include "ser.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SER_RUN_API_VERSION 1
/* SER_RUN_API_VERSION of the library that runs. */
SER_API int ser_run_api_version(void);

/* ---- listening ---- */

/* Of a network, or of the projection that adapts a linear model. */
typedef struct ser_run_epoch_info {
    const char *part;                            /* "fold 3", "final model", "adapted"; gone after the call */
    size_t network, n_networks;                  /* 1 ... n_networks of the part, or trainings of its soup */
    size_t epoch, n_epochs;                      /* 1 ... n_epochs, which it may end before */
    double train_loss, train_accuracy;           /* nats; percent */
    double validation_loss, validation_accuracy; /* NAN: there is no validation part */
    double lmmd, entropy;                        /* of an adaptation; NAN else */
    double rate, seconds;                        /* learning rate; seconds NAN where nobody measured them */
    int restored;                                /* of an earlier process whose run is resumed */
} ser_run_epoch_info;

typedef enum ser_run_message {
    SER_RUN_WARNING, /* a person should know of it: recordings left out, figures that say less than they seem
                        to */
    SER_RUN_DONE,    /* a part of the work is done: a feature tree */
    SER_RUN_FOLDER,  /* the run folder's path, as soon as it is there: what to resume, should the job be
                      * stopped
                      */
    SER_RUN_SETTINGS /* a line of the settings that are in force, before networks learn by them for long */
} ser_run_message;

/* Each may be NULL. What they are given is gone after the call. */
typedef struct ser_run_listener {
    size_t size;
    void *context;
    /* what: "features", "fold 3"; done of total items, total 0: not known. Not 0: stop, SER_E_CANCELLED. */
    int (*on_progress)(void *context, const char *what, size_t done, size_t total);
    void (*on_epoch)(void *context, const ser_run_epoch_info *epoch);
    void (*on_message)(void *context, ser_run_message kind, const char *text); /* one line */
    struct ser_ranks *ranks; /* other processes at work on the same job, which the program 'ser' knows of */
} ser_run_listener;
SER_API void ser_run_listener_init(ser_run_listener *l, size_t size); /* nobody listens */

/* ---- what several jobs share ---- */

typedef enum ser_run_preset {
    SER_RUN_ORIGINAL, /* the original system's configuration */
    SER_RUN_BEST      /* what was measured to be best: model size, copies, adaptation */
} ser_run_preset;

typedef enum ser_run_normalize {
    SER_RUN_NORMALIZE_BY_PRESET = -1, /* where that decides */
    SER_RUN_NORMALIZE_NONE,
    SER_RUN_NORMALIZE_SPEAKER, /* mean and deviation of all unlabelled recordings of each speaker */
    SER_RUN_NORMALIZE_CORPUS   /* of the corpus */
} ser_run_normalize;

typedef enum ser_run_pooling { SER_RUN_POOLING_ALL, SER_RUN_POOLING_BOTH } ser_run_pooling;

typedef enum ser_run_condition {
    SER_RUN_CONDITION_NONE,
    SER_RUN_CONDITION_NOISE,
    SER_RUN_CONDITION_TELEPHONE,
    SER_RUN_CONDITION_ECHO,
    SER_RUN_CONDITION_QUIET,
    SER_RUN_CONDITION_CLIPPED
} ser_run_condition;

typedef enum ser_run_activation {
    SER_RUN_ACTIVATION_USUAL = -1, /* ReLU */
    SER_RUN_RELU,
    SER_RUN_ELU,
    SER_RUN_SWISH,
    SER_RUN_TANH
} ser_run_activation;

/* Recordings and what is read of them. */
typedef struct ser_run_data {
    const char *corpus;   /* a known name (EMODB, ...), a folder, a CSV file, or several joined with '+' */
    const char *data_dir; /* where known corpora lie; NULL: $SER_DATA_DIR, else "data/raw" */
    const char *features_dir; /* feature trees, used where they fit: "data/features" */
    const char *feature_type; /* "WHISPER", "LOGMEL+HUBERT", ...; tests, NULL: what the models read */
    const char *layers; /* "auto", "weighted", "1,2,3", "HUBERT=6+WHISPER=2,3"; extract: NULL for the usual */
    int hop_samples;    /* LOGMEL and MFCC, at 16 kHz: 16 ... 16000 */
    int pad_s;          /* encoders: pad to so many seconds as the reference does, 0 ... 30; 0: not */
    int pool_encoder;   /* not 0: the encoder's mean over time in every frame */
    const char *const *encoders; /* as in ser_settings */
    size_t n_encoders;
    ser_precision precision; /* of the encoders: fp32 */
    ser_engine engine;
    int n_threads; /* 0 ... 1024; 0: all cores. It changes no figure */
    uint64_t reserved[8];
} ser_run_data;

/* How models are learned. */
typedef struct ser_run_learning {
    const char
        *model_type;       /* "linear", "timnet", or both joined with '+': their calibrated scores averaged */
    ser_run_preset preset; /* what stands for each -1 here and in ser_run_network */
    int n_copies;          /* altered copies of each training recording, up to 100; -1: by the preset */
    int n_inner_folds;     /* of the choices made inside a training part: 2 ... 20 */
    int64_t seed;          /* of everything random: 0 ... 1e15 */
    ser_run_pooling pooling; /* linear: statistics of all frames, or of the active ones besides */
    double c;                /* linear: weight of the data against the penalty, 1e-6 ... 1e6; 0: the usual;
                                a tenth of it counts where the encoder's own head is what it starts from */
    uint64_t reserved[8];
} ser_run_learning;

/* The temporal network; -1: by the preset. */
typedef struct ser_run_network {
    int n_averaged_frames;   /* one frame is made of so many neighbours; 0, 1: of one. Up to 64 */
    int trim;                /* 1: without the silence before and after the utterance */
    int n_epochs;            /* at most: 1 ... 100000 */
    int batch_size;          /* recordings: 1 ... 4096 */
    double rate;             /* 1e-9 ... 10 */
    double beta1, beta2;     /* of Adam: 0 ... 0.9999, 0 ... 0.99999 */
    int n_warmup_epochs;     /* over which the rate rises */
    double decay;            /* by which the rate falls along half a cosine wave: 0 ... 1 */
    int patience;            /* epochs without a better validation loss; 0: never stop before the end */
    double validation_share; /* of the training part, to stop by and to calibrate with: 0 ... 0.9 */
    int n_average;           /* the weights of so many last epochs are averaged, with patience 0 */
    int n_networks;          /* of consecutive seeds, scores averaged: 1 ... 32 */
    double label_smoothing;  /* 0 ... 0.9 */
    int class_weights;       /* not 0: every emotion counts the same in the loss */
    int n_time_masks, n_feature_masks; /* stretches hidden in each recording: 0 ... 16 */
    double mixup;                      /* 0 ... 2; 0: none */
    double dropout;                    /* 0 ... 0.95 */
    int n_filters;                     /* 1 ... 1024 */
    int kernel_size;                   /* frames: 1 ... 15 */
    int n_dilations, n_stacks;         /* 1 ... 12 */
    ser_run_activation activation;
    int micro_batch; /* train, evaluate: of a batch so many recordings are normalised and learned from
                        together, the parts' gradients added in a fixed order: 1 ... 4096; 0: the whole batch
                      */
    uint64_t reserved[8];
} ser_run_network;

/* How an encoder's layers learn together with the linear model's head: train, evaluate. docs/strangers.md. */
typedef struct ser_run_fine_tuning {
    int on;        /* not 0: Whisper's layers learn, up to the last of data.layers, which are named */
    int from;      /* layers that learn, counted from 0, 0 ... 31; 0: the convolutions too */
    int n_steps;   /* of 16 crops of 3 s: 1 ... 1000000; 0: the head alone, on the encoder as it is */
    double rate;   /* AdamW's at its highest, of the topmost layer: 0 ... 1 */
    double blend;  /* the weights are so much of those at the end, the rest of those at the start: 0 ... 1 */
    double pull;   /* towards the weights at the start: by rate * pull of the way each step, 0 ... 1e6 */
    int lora_rank; /* matrices learn as sums with products of this rank, without pull: 1 ... 1024; 0: whole */
    double lora_alpha; /* a product counts alpha / rank: 1e-3 ... 1e6 */
    int n_copies;      /* with from: so many altered copies of each recording, kept on the disk as the frozen
                          layers hear them, 0.3 MB each: 1 ... 100; 0: each crop is altered anew */
    double mixup;   /* a crop is mixed with another; the larger share is from beta(mixup, mixup): 0 ... 2 */
    int no_variety; /* not 0: crops are as they were recorded */
    double balance; /* corpora are drawn by their number of recordings to this power: 0 alike ... 1 as they
                       are */
    double neutral; /* how often neutral recordings are drawn, beside another emotion's: 0.01 ... 100 */
    double votes;   /* share of the listeners' votes in a target, where there are some: 0 ... 1 */
    int n_soup;     /* trainings in other orders, whose weights are averaged: 1 ... 10 */
    uint64_t reserved[7];
} ser_run_fine_tuning;

/* Where a job leaves what it finds. */
typedef struct ser_run_place {
    const char *folder; /* new or empty; NULL: runs/JOB-CORPUS-FEATURES-DATE-TIME below the current folder */
    int resume;         /* not 0: folder holds a run of the same job, which goes on with its own settings; of
                           these n_threads and place are looked at, and nothing else */
    int without;        /* not 0: nothing is written at all; evaluate, test, test_across */
    int pictures;       /* not 0: more pictures than the usual ones: test_across, adapt */
    uint64_t reserved[4];
} ser_run_place;

/* ---- what a job gives ---- */

typedef struct ser_run_result ser_run_result;

/* Owned by the result. */
SER_API const char *ser_run_result_folder(const ser_run_result *r); /* NULL: there is none */
/* The report, as report.json holds it: an object, UTF-8. docs/report.md lists its keys. "" where a resumed
 * run was complete already and nothing was done. */
SER_API const char *ser_run_result_json(const ser_run_result *r);
/* The same for people, plain UTF-8 in lines of 80 columns. */
SER_API const char *ser_run_result_text(const ser_run_result *r);
SER_API int ser_run_result_was_complete(const ser_run_result *r);
/* extract: recordings that could not be read; what is wrong with each was a message. 0 elsewhere. */
SER_API size_t ser_run_result_n_failed(const ser_run_result *r);
SER_API void ser_run_result_free(ser_run_result **r); /* sets *r to NULL; NULL is fine */

/* ---- jobs ---- */

/* Folds and a final model on the whole corpus: 'ser train'. */
typedef struct ser_run_train_settings {
    size_t size;
    ser_run_data data;
    ser_run_learning learning; /* "timnet", SER_RUN_ORIGINAL */
    ser_run_network network;
    ser_run_place place;
    int n_folds;          /* random ones for the figures: 0 ... 1000; 0: the final model alone */
    const char *protocol; /* other folds: "loso", "group-kfold=5", ...; NULL: kfold=n_folds */
    const char *folds;    /* CSV with utterance,test_fold, for "emobox"; NULL: the corpus's own column */
    int embed_encoder;    /* not 0: the model file holds the encoder's needed layers, in 8 bits */
    /* With n_folds 0 and no protocol. Confidence is calibrated on each joined corpus left out in turn (of one
     * alone, on speakers); the tuned checkpoint lies in the run folder's "encoder". */
    ser_run_fine_tuning fine_tuning;
    /* not 0: the tuned checkpoints that calibrate the confidence are kept, too: "encoder-without-CORPUS", for
     * figures on a corpus that its encoder has not heard; an encoder that heard what is tested is refused */
    int keep_encoders;
} ser_run_train_settings;
SER_API void ser_run_train_settings_init(ser_run_train_settings *s, size_t size);
SER_API ser_status ser_run_train_check(const ser_run_train_settings *s, ser_error *err);
/* listener NULL: nobody listens. The caller owns *out: ser_run_result_free. */
SER_API ser_status ser_run_train(ser_run_result **out, const ser_run_train_settings *s,
                                 const ser_run_listener *listener, ser_error *err);

/* Figures by a protocol; no model is kept: 'ser evaluate'. */
typedef struct ser_run_evaluate_settings {
    size_t size;
    ser_run_data data;
    ser_run_learning learning; /* "linear", SER_RUN_BEST */
    ser_run_network network;
    ser_run_place place;
    const char *protocol;        /* "emobox", "loso", "loco", "kfold=K", "group-kfold=K", "text-kfold=K" */
    const char *folds;           /* as in ser_run_train_settings */
    ser_run_normalize normalize; /* test recordings as well, labels unseen: SER_RUN_NORMALIZE_NONE */
    ser_run_condition condition; /* what test recordings are altered by */
    int n_seeds; /* seed, seed + 1, ...: 1 ... 100; mean and spread join the first one's report */
    int honest;  /* not 0: random folds, speakers, sentences and corpora left out besides, as "honest" in the
                    report;  protocol NULL: "group-kfold=5" */
    ser_run_fine_tuning fine_tuning; /* within each training part; no normalize */
    /* 1 ...: only this fold of the protocol, of the one seed; the run folder is a part then. 0: all folds. */
    int fold;
    const char *const
        *parts; /* run folders that such runs left, one of each fold: their folds are put together */
    size_t n_parts;
} ser_run_evaluate_settings;
SER_API void ser_run_evaluate_settings_init(ser_run_evaluate_settings *s, size_t size);
SER_API ser_status ser_run_evaluate_check(const ser_run_evaluate_settings *s, ser_error *err);
SER_API ser_status ser_run_evaluate(ser_run_result **out, const ser_run_evaluate_settings *s,
                                    const ser_run_listener *listener, ser_error *err);

/* The models of a run, each and on average, on a corpus with the same emotions: 'ser test'. */
typedef struct ser_run_test_settings {
    size_t size;
    ser_run_data data;     /* feature_type NULL; layers, hop_samples, pad_s: of Keras weights */
    const char *models;    /* a run folder, a model file, a folder with Keras weights (.h5), or such a file */
    ser_run_preset preset; /* of Keras weights, which do not tell what network they are of: */
    ser_run_network network; /* its shape, n_averaged_frames and trim alone are looked at */
    int64_t seed;            /* of the resamples behind the intervals */
    ser_run_place place;
} ser_run_test_settings;
SER_API void ser_run_test_settings_init(ser_run_test_settings *s, size_t size);
SER_API ser_status ser_run_test_check(const ser_run_test_settings *s, ser_error *err);
SER_API ser_status ser_run_test(ser_run_result **out, const ser_run_test_settings *s,
                                const ser_run_listener *listener, ser_error *err);

/* The same on another corpus: 'ser test-cross-corpus'. */
typedef struct ser_run_test_across_settings {
    size_t size;
    ser_run_data data; /* corpus: what the models were trained on */
    const char *models;
    ser_run_preset preset;
    ser_run_network network;
    int64_t seed;
    ser_run_place place;
    const char *target;          /* the corpus to test on; NULL: the usual counterpart */
    const char *mapping;         /* CSV with emotion,counts_as; NULL: the usual one */
    ser_run_normalize normalize; /* the target's statistics in the place of the models' own: NONE */
} ser_run_test_across_settings;
SER_API void ser_run_test_across_settings_init(ser_run_test_across_settings *s, size_t size);
SER_API ser_status ser_run_test_across_check(const ser_run_test_across_settings *s, ser_error *err);
SER_API ser_status ser_run_test_across(ser_run_result **out, const ser_run_test_across_settings *s,
                                       const ser_run_listener *listener, ser_error *err);

/* A model of one corpus, adapted to another without its labels: 'ser train-lmmd'. */
typedef struct ser_run_adapt_settings {
    size_t size;
    ser_run_data data;         /* layers "weighted" is not possible */
    ser_run_learning learning; /* "linear", SER_RUN_BEST; pooling, c, n_inner_folds are not looked at */
    ser_run_network network;
    ser_run_place place;
    const char *target;                    /* as in ser_run_test_across_settings */
    const char *mapping;                   /* for the figures */
    ser_run_normalize normalize;           /* SER_RUN_NORMALIZE_BY_PRESET */
    double lmmd_weight;                    /* 0 ... 1000; -1: linear 1, timnet 0.3 */
    double entropy_weight, balance_weight; /* 0 ... 1000 */
} ser_run_adapt_settings;
SER_API void ser_run_adapt_settings_init(ser_run_adapt_settings *s, size_t size);
SER_API ser_status ser_run_adapt_check(const ser_run_adapt_settings *s, ser_error *err);
SER_API ser_status ser_run_adapt(ser_run_result **out, const ser_run_adapt_settings *s,
                                 const ser_run_listener *listener, ser_error *err);

/* Feature trees of corpora, or the features of one recording: 'ser extract'. */
typedef struct ser_run_extract_settings {
    size_t size;
    ser_run_data data; /* corpus NULL: every known corpus that is found; feature_type "FUSION"; layers NULL */
    int overwrite;     /* not 0: trees of other parameters are replaced */
    const char *recording, *output; /* instead of corpora: an audio file, and the .npy to write: float32,
                                       (frames, dims), C order */
    const char *shard; /* "2/4": of the corpora's recordings the second of four shares, into features_dir,
                          which has its name only once that is whole; 'ser merge' joins them. NULL: all */
} ser_run_extract_settings;
SER_API void ser_run_extract_settings_init(ser_run_extract_settings *s, size_t size);
SER_API ser_status ser_run_extract_check(const ser_run_extract_settings *s, ser_error *err);
SER_API ser_status ser_run_extract(ser_run_result **out, const ser_run_extract_settings *s,
                                   const ser_run_listener *listener, ser_error *err);

/* Answers of a model for many recordings, several at a time: 'ser predict'. There is no run folder and no
 * ser_run_result: each answer is told, and kept by nobody. */
typedef struct ser_run_predict_settings {
    size_t size;
    int n_threads;  /* 0 ... 1024; 0: all cores */
    int timeline;   /* not 0: as in ser_predict_options */
    size_t n_peaks; /* likewise */
    /* Recordings of one voice (n_voice) by which all are judged, as with ser_session_set_baseline; adapt not
     * 0: to which the model is adapted, as with ser_session_adapt. */
    const char *const *voice;
    size_t n_voice;
    int adapt;
    int follow; /* not 0: all are of one voice, see ser_session_follow_voice, and are taken one by one; no
                   voice */
    /* Recording i has its result, which is gone after the call, or r is NULL and failure says why. In the
     * order of the paths, from one thread at a time, which need not be the caller's. */
    void (*on_answer)(void *context, size_t i, const ser_result *r, const ser_error *failure);
    void *context; /* of on_answer */
    int sound;     /* not 0: as in ser_predict_options */
} ser_run_predict_settings;
SER_API void ser_run_predict_settings_init(ser_run_predict_settings *s, size_t size);
/* paths (n): as ser_predict_file takes them. A recording that fails leaves the others be. SER_E_CANCELLED:
 * the listener's on_progress said stop; what was told is told. Other failures are of the voice or of memory.
 * The answers are those of ser_predict_file, whatever n_threads is. */
SER_API ser_status ser_run_predict(const ser_model *model, const char *const *paths, size_t n,
                                   const ser_run_predict_settings *settings, const ser_run_listener *listener,
                                   ser_error *err);

/* A job by its name ("train", "evaluate", "test", "test-cross-corpus", "train-lmmd", "extract") with settings
 * as one JSON object: what 'config' in a report and config.json hold, with the keys that the program's
 * options have
 * ({"data": "EMODB", "feature_type": "LOGMEL", "protocol": "loso"}), and "run", "resume", "visualize"
 * besides. What is missing or null has its default; SER_E_ARG: an unknown key, a value that does not fit. */
SER_API ser_status ser_run_json(ser_run_result **out, const char *job, const char *settings,
                                const ser_run_listener *listener, ser_error *err);

#ifdef __cplusplus
}
#endif
#endif

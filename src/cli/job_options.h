/* Options of commands that run a job (ser/run.h): what they are called and mean to a person. Type, range,
 * words and default of each stand in the job's table of fields. j: the job; s: the command's settings. */
#ifndef SER_CLI_JOB_OPTIONS_H
#define SER_CLI_JOB_OPTIONS_H

#include "cli/options.h"
#include "run/settings.h"

/* What is given besides the settings. */
typedef struct ser_job_words {
    ser_option_list encoders;
    const char *json, *resume; /* --json, --resume */
    ser_run_kept kept;         /* settings of a run to resume or of a report */
} ser_job_words;
extern ser_job_words ser_job_given; /* a process runs one command */

/* clang-format off */
#define SER_FEATURE_WORDS "LOGMEL|MFCC|WHISPER|HUBERT|WAV2VEC2|WAVLM|DATA2VEC|FUSION"
#define SER_PROTOCOL_WORDS "loso|group-kfold=5|text-kfold=5|kfold=5|emobox|loco"
#define SER_JOB_OPTION(j, s, letter, name, argument, help, ...) \
    {SER_OPTION_FIELD, letter, name, &(s), argument, help, .fields = &(j).fields, __VA_ARGS__}
#define SER_JOB_PLACE(j, s, letter, name, argument, help) \
    {SER_OPTION_FIELD, letter, name, &(s), argument, help, .fields = &(j).places}

#define SER_JOB_DATA(j, s) \
    {SER_OPTION_GROUP, .help = "Data and features"}, \
    SER_JOB_OPTION(j, s, 'd', "data", "CORPUS", SER_KNOWN_NAMES "a folder, a CSV file, or several joined with +", .suggested = SER_KNOWN_WORDS), \
    SER_JOB_OPTION(j, s, 0, "data-dir", "DIR", "where named corpora lie (default: $SER_DATA_DIR, else data/raw)"), \
    SER_JOB_OPTION(j, s, 0, "features-dir", "DIR", "where 'ser extract' left features, which are used where they fit"), \
    SER_JOB_OPTION(j, s, 0, "feature-type", "TYPE", "LOGMEL, MFCC, WHISPER, HUBERT, WAV2VEC2, WAVLM, DATA2VEC, FUSION (LOGMEL+HUBERT), or several joined with +", .suggested = SER_FEATURE_WORDS), \
    SER_JOB_OPTION(j, s, 0, "layers", "LIST", "hidden states such as 1,2,3, of several encoders HUBERT=6+WHISPER=2,3; auto: chosen, weighted: all of them, summed with weights learned inside each training part"), \
    SER_JOB_OPTION(j, s, 0, "hop-length", "N", "samples from one frame to the next (LOGMEL, MFCC)"), \
    SER_JOB_OPTION(j, s, 0, "pad", "SECONDS", "pad recordings for the encoder as the reference does (30), or not (0)"), \
    SER_JOB_OPTION(j, s, 0, "pool-encoder", NULL, "the encoder's mean over time in every frame"), \
    SER_JOB_OPTION(j, s, 'j', "jobs", "N", "threads (default: all cores)")

#define SER_JOB_ENCODER(j, s) \
    {SER_OPTION_GROUP, .help = "Encoder"}, \
    {SER_OPTION_LIST, 'e', "encoder", &ser_job_given.encoders, "[TYPE=]DIR|NAME", "checkpoint: a folder, or a name such as openai/whisper-base that 'ser pull' fetched; once for each where features need several (default: the usual ones)"}, \
    SER_JOB_OPTION(j, s, 0, "precision", NULL, "of the encoder's products"), \
    SER_JOB_OPTION(j, s, 0, "engine", NULL, "ref: plain C, slow, to compare with")

/* Of what learns from labels. */
#define SER_JOB_TRAINING(j, s) \
    {SER_OPTION_GROUP, .help = "Training"}, \
    SER_JOB_OPTION(j, s, 0, "model-type", "TYPE", "linear: statistics pooling and a softmax layer; timnet: the temporal network; linear+timnet: scores averaged"), \
    SER_JOB_OPTION(j, s, 0, "preset", NULL, "best: what was measured to be best; original: no altered copies"), \
    SER_JOB_OPTION(j, s, 0, "augment", "none|N", "altered copies of each training recording (default: by the preset)"), \
    SER_JOB_OPTION(j, s, 0, "seed", "N", "of everything random", .alias = "random-seed")

/* Of what may look at the unlabelled recordings that it answers for. */
#define SER_JOB_NORMALIZE(j, s) \
    SER_JOB_OPTION(j, s, 0, "normalize", NULL, "standardise by all unlabelled recordings of each speaker (of the corpus)")

/* Of what fits linear models to labels. */
#define SER_JOB_TUNING(job, s) \
    SER_JOB_OPTION(job, s, 0, "fine-tune", NULL, \
                   "Whisper's layers learn with the linear model's head, from many corpora joined with +"), \
        SER_JOB_OPTION(job, s, 0, "fine-tune-from", "LAYER", \
                       "the lowest layer that learns; 0: the convolutions too"), \
        SER_JOB_OPTION(job, s, 0, "fine-tune-steps", "N", \
                       "batches of 16 crops of 3 s; 0: the head alone, on the encoder as it is"), \
        SER_JOB_OPTION(job, s, 0, "fine-tune-rate", "RATE", "learning rate of the topmost layer"), \
        SER_JOB_OPTION(job, s, 0, "fine-tune-soup", "N", \
                       "so many trainings in other orders, whose weights are averaged"), \
        SER_JOB_OPTION(job, s, 0, "fine-tune-blend", "SHARE", \
                       "of the weights at the end, beside those at the start"), \
        SER_JOB_OPTION(job, s, 0, "fine-tune-pull", "STRENGTH", "towards the weights at the start"), \
        SER_JOB_OPTION(job, s, 0, "lora", "RANK", \
                       "matrices learn as sums with products of this rank; 0: all weights learn"), \
        SER_JOB_OPTION(job, s, 0, "lora-alpha", "ALPHA", "a product counts ALPHA / RANK"), \
        SER_JOB_OPTION(job, s, 0, "fine-tune-copies", "N", \
                       "with --fine-tune-from: altered copies of each recording, which the frozen layers hear " \
                       "once (0.3 MB each in the cache folder); 0: each crop is altered anew"), \
        SER_JOB_OPTION(job, s, 0, "fine-tune-mixup", "ALPHA", "mix pairs of crops and their emotions"), \
        SER_JOB_OPTION(job, s, 0, "fine-tune-plain", NULL, "crops as they were recorded, not altered"), \
        SER_JOB_OPTION(job, s, 0, "fine-tune-balance", "EXPONENT", \
                       "of a corpus's size, for how often it is drawn: 0 alike, 1 as they are"), \
        SER_JOB_OPTION(job, s, 0, "fine-tune-neutral", "TIMES", \
                       "how often neutral recordings are drawn, beside another emotion's"), \
        SER_JOB_OPTION(job, s, 0, "fine-tune-votes", "SHARE", \
                       "of listeners' votes in what is learned, where a corpus has some")
#define SER_JOB_LINEAR(j, s) \
    {SER_OPTION_GROUP, .help = "Linear model"}, \
    SER_JOB_OPTION(j, s, 0, "inner-folds", "N", "folds of the choices made inside each training part"), \
    SER_JOB_OPTION(j, s, 0, "pooling", NULL, "statistics of all frames, or of the active ones besides"), \
    SER_JOB_OPTION(j, s, 0, "c", "C", "weight of the data against the penalty (default: 300); a tenth of it where the penalty pulls to the head of a tuned encoder")

/* What a network is, which its Keras weights do not tell. */
#define SER_JOB_SHAPE(j, s) \
    SER_JOB_OPTION(j, s, 0, "average-frames", "N", "make one frame of N neighbours; 0: none (default: original 0)"), \
    SER_JOB_OPTION(j, s, 0, "trim", "0|1", "leave out the silence before and after an utterance (default: original 0)"), \
    SER_JOB_OPTION(j, s, 0, "filter-size", "N", "filters (default: original 128)"), \
    SER_JOB_OPTION(j, s, 0, "kernel-size", "N", "frames that a convolution sees (default: 3)"), \
    SER_JOB_OPTION(j, s, 0, "dilation-size", "N", "blocks of a stack, with dilations 1, 2, 4, ... (default: original 8)"), \
    SER_JOB_OPTION(j, s, 0, "stack-size", "N", "stacks (default: original 3)"), \
    SER_JOB_OPTION(j, s, 0, "activation", NULL, "(default: relu)")

#define SER_JOB_NETWORK(j, s) \
    {SER_OPTION_GROUP, .help = "Temporal network (defaults: those of the preset)"}, \
    SER_JOB_OPTION(j, s, 0, "epoch", "N", "epochs, at most (default: original 50)"), \
    SER_JOB_OPTION(j, s, 0, "batch-size", "N", "recordings in a batch (default: original 32)"), \
    SER_JOB_OPTION(j, s, 0, "lr", "RATE", "learning rate (default: original 3e-4)"), \
    SER_JOB_OPTION(j, s, 0, "beta1", "B", "of Adam (default: 0.93)"), \
    SER_JOB_OPTION(j, s, 0, "beta2", "B", "of Adam (default: 0.98)"), \
    SER_JOB_OPTION(j, s, 0, "warmup", "N", "epochs over which the rate rises (default: original 0)"), \
    SER_JOB_OPTION(j, s, 0, "decay", "SHARE", "by which the rate falls along half a cosine wave (default: original 0)"), \
    SER_JOB_OPTION(j, s, 0, "patience", "N", "stop after so many epochs without a better validation loss; 0: never (default: original 10)"), \
    SER_JOB_OPTION(j, s, 0, "validation", "SHARE", "of the training part, to stop by and to calibrate with (default: 0.1)"), \
    SER_JOB_OPTION(j, s, 0, "average", "N", "average the weights of the last N epochs, with --patience 0 (default: original 0)"), \
    SER_JOB_OPTION(j, s, 0, "networks", "N", "networks of consecutive seeds, whose scores are averaged (default: original 1)"), \
    SER_JOB_OPTION(j, s, 0, "label-smoothing", "SHARE", "(default: 0.1)"), \
    SER_JOB_OPTION(j, s, 0, "class-weights", NULL, "let each emotion count the same in the loss"), \
    SER_JOB_OPTION(j, s, 0, "time-masks", "N", "stretches of time hidden in each recording (default: original 0)"), \
    SER_JOB_OPTION(j, s, 0, "feature-masks", "N", "stretches of features hidden in each recording (default: original 0)"), \
    SER_JOB_OPTION(j, s, 0, "mixup", "ALPHA", "mix pairs of recordings and their labels (default: original 0)"), \
    SER_JOB_OPTION(j, s, 0, "dropout", "SHARE", "(default: original 0.4)"), \
    SER_JOB_SHAPE(j, s)

/* Of tests, where models tell themselves what they read and are, and Keras weights do not. */
#define SER_JOB_TESTED(j, s) \
    SER_JOB_DATA(j, s), \
    SER_JOB_OPTION(j, s, 0, "seed", "N", "of the resamples behind the intervals", .alias = "random-seed"), \
    {SER_OPTION_GROUP, .help = "Keras weights, which do not tell what network they are of"}, \
    SER_JOB_OPTION(j, s, 0, "preset", NULL, "the defaults of the next ones"), \
    SER_JOB_SHAPE(j, s)

#define SER_JOB_RESUME() \
    {SER_OPTION_STRING, 0, "resume", &ser_job_given.resume, "DIR", "go on with an interrupted run, with the options it was begun with"}
#define SER_JOB_JSON() \
    {SER_OPTION_STRING, 0, "json", &ser_job_given.json, "FILE", "the whole report as JSON"}
/* clang-format on */

#endif

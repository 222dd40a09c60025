/* ser train: fit models to a corpus, fold by fold and on all of it, and write them into a run folder. */
#include "cli/commands.h"
#include "cli/job.h"
#include "corpus/known.h"

static ser_run_train_settings settings;

static const ser_option options[] = {
    SER_JOB_OPTION(ser_job_train, settings, 0, "split-fold", "N",
                   "random folds for the run's figures; 0: none, train the final model only"),
    SER_JOB_OPTION(
        ser_job_train, settings, 0, "protocol", "PROTOCOL",
        "other folds than those of --split-fold: emobox, loso, loco, kfold=K, group-kfold=K, text-kfold=K",
        .suggested = SER_PROTOCOL_WORDS),
    SER_JOB_OPTION(ser_job_train, settings, 0, "folds", "FILE", "CSV with utterance,test_fold, for emobox"),
    SER_JOB_OPTION(
        ser_job_train, settings, 0, "embed-encoder", NULL,
        "put the encoder's needed layers into the model, in 8 bits, so that it needs no checkpoint"),
    SER_JOB_TUNING(ser_job_train, settings),
    SER_JOB_OPTION(ser_job_train, settings, 0, "keep-encoders", NULL,
                   "with --fine-tune: keep each encoder that did not hear one of the corpora, in "
                   "RUN/encoder-without-CORPUS, for --encoder"),
    SER_JOB_DATA(ser_job_train, settings),
    SER_JOB_TRAINING(ser_job_train, settings),
    SER_JOB_LINEAR(ser_job_train, settings),
    SER_JOB_NETWORK(ser_job_train, settings),
    SER_JOB_OPTION(
        ser_job_train, settings, 0, "micro-batch", "N",
        "recordings of a batch that are normalised and learned from together, the parts' gradients added; "
        "several ranks share them, to the same bits for any number (default: the whole batch)"),
    SER_JOB_ENCODER(ser_job_train, settings),
    {SER_OPTION_GROUP, .help = "Output"},
    SER_JOB_PLACE(ser_job_train, settings, 0, "run", "DIR",
                  "run folder (default: runs/train-CORPUS-FEATURES-DATE-TIME)"),
    SER_JOB_RESUME(),
    {SER_OPTION_END},
};

static const ser_job_command job = {.command = &ser_command_train,
                                    .job = &ser_job_train,
                                    .settings = &settings,
                                    .needs = {{"data", "no corpus is named: give --data"}}};

const ser_command ser_command_train = {
    .name = "train",
    SER_JOB_RUNS(job),
    .summary = "train a model on a corpus",
    .usage = "",
    .description =
        "Trains a model for every fold and tests it on the part that it has not seen, then a final one on "
        "the whole corpus, for 'ser predict --model'. Random folds have the same speakers on both sides, as "
        "in the original system; for figures on strangers' voices use --protocol loso or group-kfold.\n"
        "The linear model has two heads, one for recordings as they are and one for a voice whose baseline "
        "is known ('ser predict --baseline'), which after --fine-tune both answer; figures with features "
        "standardised by speaker are those of 'ser evaluate --normalize speaker'.\n"
        "With --fine-tune the encoder learns, too; each corpus is left out in turn, to say what a confidence "
        "is worth on strangers' recordings, before all are learned from.\n"
        "The run folder gets the models, their Keras weights, metrics.xlsx, report.html, pictures and a line "
        "per epoch; its path is printed last. Ctrl-C loses at most the epoch under way: go on with --resume.",
    .examples =
        "ser train --data EMODB --feature-type LOGMEL --epoch 50 --batch-size 32\n"
        "ser train --data my-recordings/ --feature-type WHISPER --preset best --protocol group-kfold=5\n"
        "ser train --data EMODB+mine.csv --model-type linear --preset best --split-fold 0 --embed-encoder\n"
        "ser predict --model runs/train-.../model.safetensors recording.wav",
    .options = options,
};

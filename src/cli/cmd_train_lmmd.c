/* ser train-lmmd: adapt a model of one corpus to another whose labels are not looked at. */
#include "cli/commands.h"
#include "cli/job.h"
#include "corpus/known.h"

static ser_run_adapt_settings settings;

static const ser_option options[] = {
    SER_JOB_OPTION(
        ser_job_adapt, settings, 't', "target", "CORPUS",
        "to adapt to: its recordings are used, not its labels (default: the usual counterpart of the "
        "labelled one, where it has one)",
        .suggested = SER_KNOWN_WORDS),
    SER_JOB_OPTION(ser_job_adapt, settings, 0, "mapping", "FILE",
                   "CSV with emotion,counts_as, for the figures"),
    SER_JOB_DATA(ser_job_adapt, settings),
    SER_JOB_TRAINING(ser_job_adapt, settings),
    SER_JOB_NORMALIZE(ser_job_adapt, settings),
    {SER_OPTION_GROUP, .help = "Adaptation"},
    SER_JOB_OPTION(
        ser_job_adapt, settings, 0, "lmmd-weight", "W",
        "of the distance between the corpora, emotion by emotion: LMMD (default: linear 1, timnet 0.3)"),
    SER_JOB_OPTION(ser_job_adapt, settings, 0, "entropy-weight", "W", "of unsure answers on the target"),
    SER_JOB_OPTION(ser_job_adapt, settings, 0, "balance-weight", "W",
                   "of answers on the target that crowd in a few emotions"),
    SER_JOB_NETWORK(ser_job_adapt, settings),
    SER_JOB_ENCODER(ser_job_adapt, settings),
    {SER_OPTION_GROUP, .help = "Output"},
    SER_JOB_PLACE(ser_job_adapt, settings, 0, "visualize", NULL,
                  "draw the losses, the confusions and maps of both corpora, before and after"),
    SER_JOB_JSON(),
    SER_JOB_PLACE(ser_job_adapt, settings, 0, "run", "DIR",
                  "run folder (default: runs/train-lmmd-SOURCE-TARGET-FEATURES-DATE-TIME)"),
    SER_JOB_RESUME(),
    {SER_OPTION_END},
};

static const ser_job_command job = {.command = &ser_command_train_lmmd,
                                    .job = &ser_job_adapt,
                                    .settings = &settings,
                                    .needs = {{"data", "no corpus is named: give --data"}}};

const ser_command ser_command_train_lmmd = {
    .name = "train-lmmd",
    SER_JOB_RUNS(job),
    .summary = "adapt a model to a corpus without its labels",
    .usage = "",
    .description =
        "Trains a model on a labelled corpus twice: once alone, and once with the target's recordings "
        "beside, which draw the corpora together emotion by emotion (local maximum mean discrepancy). The "
        "target's labels are used for nothing but the figures at the end; which model is kept is decided "
        "without them, and told.\n"
        "With --layers auto a linear model reads the layers in which its unadapted twin sees the corpora "
        "closer. With --preset best both corpora are standardised by speaker, where speakers are known, "
        "else as a whole.",
    .examples = "ser train-lmmd --data EMODB --feature-type WHISPER --visualize\n"
                "ser train-lmmd --data EMODB --target my-recordings/ --feature-type WHISPER",
    .options = options,
};

/* ser test-cross-corpus: every model of a run, and their average, on another corpus than theirs. */
#include "cli/commands.h"
#include "cli/job.h"
#include "corpus/known.h"

static ser_run_test_across_settings settings;

static const ser_option options[] = {
    SER_JOB_OPTION(ser_job_test_across, settings, 0, "test-path", "DIR",
                   "a run folder of 'ser train', a model file, or Keras weights (.h5) of this network"),
    SER_JOB_OPTION(
        ser_job_test_across, settings, 't', "target", "CORPUS",
        "corpus to test on (default: the usual counterpart of the one trained on, where it has one)",
        .suggested = SER_KNOWN_WORDS),
    SER_JOB_OPTION(
        ser_job_test_across, settings, 0, "mapping", "FILE",
        "CSV with the columns emotion,counts_as (default: the table built in for the two corpora, else "
        "the emotions that both corpora have)"),
    SER_JOB_NORMALIZE(ser_job_test_across, settings),
    SER_JOB_TESTED(ser_job_test_across, settings),
    SER_JOB_ENCODER(ser_job_test_across, settings),
    {SER_OPTION_GROUP, .help = "Output"},
    SER_JOB_PLACE(ser_job_test_across, settings, 0, "visualize", NULL,
                  "confusion matrices of each model and of the shared emotions, beside that of the average"),
    SER_JOB_JSON(),
    SER_JOB_PLACE(ser_job_test_across, settings, 0, "run", "DIR",
                  "run folder (default: runs/test-cross-corpus-SOURCE-TARGET-FEATURES-DATE-TIME)"),
    {SER_OPTION_END},
};

static const ser_job_command job = {
    .command = &ser_command_test_cross_corpus,
    .job = &ser_job_test_across,
    .settings = &settings,
    .needs = {{"data", "no corpus is named that the models were trained on: give --data"},
              {"test_path", "no models are named: give --test-path"}}};

const ser_command ser_command_test_cross_corpus = {
    .name = "test-cross-corpus",
    SER_JOB_RUNS(job),
    .summary = "test the models of a run on another corpus",
    .usage = "",
    .description =
        "Models trained on --data answer for every recording of the target, each and on average. Two "
        "accuracies are told: UA over the emotions that both corpora have, with the models asked for these "
        "alone; and the accuracy by a mapping, where an answer is right when the truth is among the emotions "
        "it counts as. Recordings whose emotion nothing counts as are left out, and told.\n"
        "--normalize speaker (corpus) puts the mean and deviation of each of the target's speakers (of the "
        "target) in the place of the models' own; no label of the target is looked at.\n"
        "Keras weights of a network with other layers are loaded as far as they fit, and what does not is "
        "told.",
    .examples = "ser test-cross-corpus --data EMODB --feature-type FUSION --test-path runs/train-emodb-... "
                "--visualize\n"
                "ser test-cross-corpus --data EMODB --test-path runs/train-emodb-... --normalize speaker\n"
                "ser test-cross-corpus --data EMODB --test-path runs/train-... --target mine.csv --mapping "
                "mine-counts.csv",
    .options = options,
};

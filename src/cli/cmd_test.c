/* ser test: every fold's model of a run, and their average, on a corpus. */
#include "cli/commands.h"
#include "cli/job.h"
#include "corpus/known.h"

static ser_run_test_settings settings;

static const ser_option options[] = {
    SER_JOB_OPTION(ser_job_test, settings, 0, "test-path", "DIR",
                   "a run folder of 'ser train', a model file, or Keras weights (.h5) of this network"),
    SER_JOB_TESTED(ser_job_test, settings),
    SER_JOB_ENCODER(ser_job_test, settings),
    {SER_OPTION_GROUP, .help = "Output"},
    SER_JOB_JSON(),
    SER_JOB_PLACE(ser_job_test, settings, 0, "run", "DIR",
                  "run folder (default: runs/test-CORPUS-FEATURES-DATE-TIME)"),
    {SER_OPTION_END},
};

static const ser_job_command job = {.command = &ser_command_test,
                                    .job = &ser_job_test,
                                    .settings = &settings,
                                    .needs = {{"data", "no corpus is named: give --data"},
                                              {"test_path", "no models are named: give --test-path"}}};

const ser_command ser_command_test = {
    .name = "test",
    SER_JOB_RUNS(job),
    .summary = "test the models of a run on a corpus",
    .usage = "",
    .description =
        "Every fold's model answers for every recording of the corpus, and so does their average. Features, "
        "layers and scaling are those of the models; with Keras weights, which hold neither, they are what "
        "the options say. Recordings that a model was trained on are found by their content and told; the "
        "figures over answers of models that had not heard the recording stand beside.",
    .examples =
        "ser test --data EMODB --feature-type LOGMEL --test-path runs/train-emodb-logmel-20260131-235959\n"
        "ser test --data my-recordings/ --test-path runs/train-... --json test.json",
    .options = options,
};

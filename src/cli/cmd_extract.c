/* ser extract: the features of a recording as .npy, or of whole corpora as a feature tree. */
#include "cli/commands.h"
#include "cli/job.h"
#include "cli/progress.h"
#include "cli/together.h"
#include "corpus/known.h"

#include <string.h>

static ser_run_extract_settings settings;
static ser_option_list encoders;
static ser_run_kept kept;
static bool type_given;

static const ser_option options[] = {
    {SER_OPTION_GROUP, .help = "One recording"},
    SER_JOB_OPTION(ser_job_extract, settings, 'o', "output", "OUT.npy",
                   "where the features go: float32, (frames, dims), C order"),
    {SER_OPTION_GROUP, .help = "Corpora"},
    SER_JOB_OPTION(ser_job_extract, settings, 'd', "data", "CORPUS",
                   SER_KNOWN_NAMES
                   "a folder, a CSV file, or several joined with + (default: those known by name, where "
                   "they are found)"),
    SER_JOB_OPTION(ser_job_extract, settings, 0, "data-dir", "DIR",
                   "where named corpora lie (default: $SER_DATA_DIR, else data/raw)"),
    SER_JOB_OPTION(ser_job_extract, settings, 0, "features-dir", "DIR", "where the feature trees go"),
    SER_JOB_OPTION(ser_job_extract, settings, 0, "overwrite", NULL, "replace what is there"),
    SER_JOB_OPTION(
        ser_job_extract, settings, 0, "shard", "I/N",
        "only the Ith of N shares of the recordings, into a --features-dir of its own; 'ser merge' "
        "joins them"),
    {SER_OPTION_GROUP, .help = "Features"},
    SER_JOB_OPTION(
        ser_job_extract, settings, 0, "feature-type", "TYPE",
        "LOGMEL, MFCC, WHISPER, HUBERT, WAV2VEC2, WAVLM, DATA2VEC, FUSION (LOGMEL+HUBERT), or several joined "
        "with + (default, of corpora: FUSION)",
        .given = &type_given),
    SER_JOB_OPTION(
        ser_job_extract, settings, 0, "layers", "LIST",
        "hidden states of the encoder, such as 1,2,3, of several HUBERT=6+WHISPER=2,3 (default: 3 of "
        "WHISPER, the last of others)"),
    SER_JOB_OPTION(ser_job_extract, settings, 0, "hop-length", "N",
                   "samples from one frame to the next (LOGMEL, MFCC)"),
    SER_JOB_OPTION(ser_job_extract, settings, 0, "pad", "SECONDS",
                   "pad the recording for the encoder as the reference does (30), or not (0)"),
    SER_JOB_OPTION(ser_job_extract, settings, 0, "pool-encoder", NULL,
                   "the encoder's mean over time in every frame, as the original system had it"),
    SER_JOB_OPTION(ser_job_extract, settings, 'j', "jobs", "N", "threads (default: all cores)"),
    SER_JOB_ENCODER(ser_job_extract, settings, encoders),
    {SER_OPTION_END},
};

static void prepare(void);
static int run(int argc, char **argv);

const ser_command ser_command_extract = {
    .name = "extract",
    .prepare = prepare,
    .run = run,
    .summary = "write the features of recordings as .npy",
    .usage = "[--data CORPUS | -o OUT.npy AUDIO]",
    .description =
        "LOGMEL and MFCC are librosa's (16 kHz, n_fft 2048, 128 bands; 96 coefficients), the others the "
        "hidden states of a checkpoint's encoder, side by side in the order of --layers. Recordings of more "
        "than 30 s are read in windows with 5 s of overlap.\n"
        "Of a corpus, FEATURES/TYPE/CORPUS_TYPE/ gets one .npy per recording, index.json (label, speaker, "
        "parameters) and the folder index/ (what else 'ser evaluate' and 'ser train' need to do without the "
        "recordings). FUSION also fills LOGMEL and HUBERT. After an interruption the same command goes on "
        "where it was.",
    .examples = "ser extract --feature-type LOGMEL -o a.npy a.wav\n"
                "ser extract --feature-type WHISPER --encoder whisper-base/ --layers 2,3 -o a.npy a.wav\n"
                "ser extract --data EMODB --feature-type FUSION\n"
                "ser extract",
    .options = options,
};

static const ser_job_command job = {.command = &ser_command_extract,
                                    .job = &ser_job_extract,
                                    .settings = &settings,
                                    .encoders = &encoders,
                                    .kept = &kept};

static void prepare(void)
{
    ser_run_extract_settings_init(&settings, sizeof settings);
}

static int check_usage(const ser_option_list *paths)
{
    if (!settings.output && paths->n)
        return ser_usage_error(&ser_command_extract, "no output is named: give -o OUT.npy");
    if (!settings.output)
        return SER_EXIT_OK;
    const char *ending = strrchr(settings.output, '.');
    if (ending &&
        (strcmp(ending, ".csv") == 0 || strcmp(ending, ".txt") == 0 || strcmp(ending, ".json") == 0))
        return ser_usage_error(&ser_command_extract, "%s: features are written as NumPy arrays: name OUT.npy",
                               settings.output);
    if (settings.data.corpus || settings.overwrite || settings.shard)
        return ser_usage_error(&ser_command_extract, "-o is for one recording, %s for corpora",
                               settings.data.corpus ? "--data"
                               : settings.overwrite ? "--overwrite"
                                                    : "--shard");
    if (!type_given)
        return ser_usage_error(&ser_command_extract, "no features are named: give --feature-type");
    if (paths->n != 1)
        return ser_usage_error(&ser_command_extract, "one recording is expected, and %zu are named",
                               paths->n);
    settings.recording = paths->items[0];
    return SER_EXIT_OK;
}

static int run(int argc, char **argv)
{
    ser_option_list paths = {0};
    int status;
    bool go_on =
        ser_job_parse(&job, argc, argv, &paths, &status) && (status = check_usage(&paths)) == SER_EXIT_OK;
    if (settings.shard)
        ser_together_apart();
    if (go_on)
        status = ser_job_finish(&job, NULL);
    ser_option_list_release(&paths);
    ser_job_release(&job);
    return status;
}

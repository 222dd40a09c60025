/* ser extract: the features of recordings as .npy, or of whole corpora as a feature tree. */
#include "base/memory.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/job.h"
#include "cli/progress.h"
#include "cli/together.h"
#include "corpus/known.h"
#include "io/file.h"

#include <string.h>
#include <sys/stat.h>

static ser_run_extract_settings settings;
static bool type_given;

static const ser_option options[] = {
    {SER_OPTION_GROUP, .help = "Recordings"},
    SER_JOB_OPTION(ser_job_extract, settings, 'o', "output", "OUT.npy",
                   "where the features go: float32, (frames, dims), C order; of several recordings a folder, "
                   "which gets NAME.npy of each"),
    {SER_OPTION_GROUP, .help = "Corpora"},
    SER_JOB_OPTION(ser_job_extract, settings, 'd', "data", "CORPUS",
                   SER_KNOWN_NAMES
                   "a folder, a CSV file, or several joined with + (default: those known by name, where "
                   "they are found)",
                   .suggested = SER_KNOWN_WORDS),
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
        .given = &type_given, .suggested = SER_FEATURE_WORDS),
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
    SER_JOB_ENCODER(ser_job_extract, settings),
    {SER_OPTION_END},
};

static const ser_job_command job;
static int run(int argc, char **argv);

const ser_command ser_command_extract = {
    .name = "extract",
    SER_JOB_RUNS(job),
    .run = run,
    .summary = "write the features of recordings as .npy",
    .usage = "[--data CORPUS | -o OUT.npy AUDIO | -o FOLDER AUDIO...]",
    .description =
        "LOGMEL and MFCC are librosa's (16 kHz, n_fft 2048, 128 bands; 96 coefficients), the others the "
        "hidden states of a checkpoint's encoder, side by side in the order of --layers. Recordings of more "
        "than 30 s are read in windows with 5 s of overlap.\n"
        "Of a corpus, FEATURES/TYPE/CORPUS_TYPE/ gets one .npy per recording, index.json (label, speaker, "
        "parameters) and the folder index/ (what else 'ser evaluate' and 'ser train' need to do without the "
        "recordings). FUSION also fills LOGMEL and HUBERT. After an interruption the same command goes on "
        "where it was.",
    .examples = "ser extract --feature-type LOGMEL -o a.npy a.wav\n"
                "ser extract --feature-type LOGMEL -o features/ a.wav b.wav\n"
                "ser extract --feature-type WHISPER --encoder whisper-base/ --layers 2,3 -o a.npy a.wav\n"
                "ser extract --data EMODB --feature-type FUSION\n"
                "ser extract",
    .options = options,
};

static const ser_job_command job = {
    .command = &ser_command_extract, .job = &ser_job_extract, .settings = &settings};

static bool is_folder(const char *path)
{
    struct stat st;
    size_t n = strlen(path);
    return (n && path[n - 1] == '/') || (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
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
        return ser_usage_error(&ser_command_extract, "-o is for recordings, %s for corpora",
                               settings.data.corpus ? "--data"
                               : settings.overwrite ? "--overwrite"
                                                    : "--shard");
    if (!type_given)
        return ser_usage_error(&ser_command_extract, "no features are named: give --feature-type");
    if (!paths->n)
        return ser_usage_error(&ser_command_extract, "no recording is named: name one or several");
    if (paths->n > 1 && !is_folder(settings.output))
        return ser_usage_error(&ser_command_extract,
                               "%zu recordings are named: name a folder for their features, -o %s/", paths->n,
                               settings.output);
    return SER_EXIT_OK;
}

/* FOLDER/a.npy of x/a.wav; NULL: out of memory. */
static char *name_output(const char *folder, const char *recording)
{
    const char *slash = strrchr(recording, '/'), *base = slash ? slash + 1 : recording,
               *dot = strrchr(base, '.');
    ser_text name = {0};
    ser_text_append_n(&name, base, dot && dot > base ? (size_t)(dot - base) : strlen(base));
    ser_text_append(&name, ".npy");
    char *path = name.failed ? NULL : ser_io_join(folder, name.s);
    ser_text_release(&name);
    return path;
}

/* Two recordings of one name would be written over each other. */
static int check_names(char *const *outputs, const ser_option_list *paths)
{
    for (size_t i = 0; i < paths->n; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(outputs[i], outputs[k]) == 0)
                return ser_usage_error(&ser_command_extract, "%s and %s would both be written to %s: %s",
                                       paths->items[k], paths->items[i], outputs[i],
                                       "name folders of their own, in two calls");
    return SER_EXIT_OK;
}

/* A recording that cannot be read does not keep the others from being written. */
static int extract_each(char *const *outputs, const ser_option_list *paths)
{
    int status = SER_EXIT_OK;
    for (size_t i = 0; i < paths->n && status <= SER_EXIT_FAILED; i++) {
        settings.recording = paths->items[i];
        settings.output = outputs[i];
        int now = ser_job_finish(&job);
        status = now > status ? now : status;
    }
    return status;
}

static int extract_into_folder(const ser_option_list *paths)
{
    ser_error err = {0};
    const char *folder = settings.output;
    char **outputs = ser_alloc(paths->n, sizeof *outputs);
    bool good = outputs != NULL;
    for (size_t i = 0; good && i < paths->n; i++)
        good = (outputs[i] = name_output(folder, paths->items[i])) != NULL;
    int status = SER_EXIT_OK;
    if (!good || ser_io_make_folder(folder, &err) != SER_OK) {
        ser_say("%s: %s", folder, good ? err.text : "out of memory");
        status = SER_EXIT_FAILED;
    }
    if (status == SER_EXIT_OK)
        status = check_names(outputs, paths);
    if (status == SER_EXIT_OK)
        status = extract_each(outputs, paths);
    for (size_t i = 0; outputs && i < paths->n; i++)
        ser_free(outputs[i]);
    ser_free(outputs);
    return status;
}

static int run(int argc, char **argv)
{
    ser_option_list paths = {0};
    int status;
    bool go_on =
        ser_job_parse(&job, argc, argv, &paths, &status) && (status = check_usage(&paths)) == SER_EXIT_OK;
    if (settings.shard)
        ser_together_apart();
    if (go_on && settings.output && is_folder(settings.output))
        status = extract_into_folder(&paths);
    else if (go_on) {
        settings.recording = settings.output ? paths.items[0] : NULL;
        status = ser_job_finish(&job);
    }
    ser_option_list_release(&paths);
    ser_job_release();
    return status;
}

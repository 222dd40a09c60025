/* ser extract: the features of a recording as .npy. */
#include "audio/audio.h"
#include "base/memory.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/progress.h"
#include "extract/extract.h"
#include "io/npy.h"
#include "model/hearing.h"

#include <string.h>

static const char *output, *feature_type, *layers;
static long hop_length = SER_DEFAULT_HOP, pad, n_jobs;
static ser_engine_options engine = SER_ENGINE_OPTIONS_FP32;

static const ser_option options[] = {
    {SER_OPTION_STRING, 'o', "output", &output, "OUT.npy",
     "where the features go: float32, (frames, dims), C order"},
    {SER_OPTION_STRING, 0, "feature-type", &feature_type, "TYPE",
     "LOGMEL, MFCC, WHISPER, or several joined with +"},
    {SER_OPTION_STRING, 0, "layers", &layers, "LIST",
     "hidden states of the encoder, such as 1,2,3 (default: 3)"},
    {SER_OPTION_INT, 0, "hop-length", &hop_length, "N", "samples from one frame to the next (LOGMEL, MFCC)",
     16, 16000},
    {SER_OPTION_INT, 0, "pad", &pad, "SECONDS",
     "pad the recording for the encoder as the reference does (30), or not (0)", 0, 30},
    {SER_OPTION_INT, 'j', "jobs", &n_jobs, "N", "threads (default: all cores)", 0, 1024},
    SER_ENGINE_OPTIONS(engine),
    {SER_OPTION_END},
};

static int run(int argc, char **argv);

const ser_command ser_command_extract = {
    .name = "extract",
    .run = run,
    .summary = "write the features of a recording as .npy",
    .usage = "--feature-type TYPE -o OUT.npy AUDIO",
    .description = "LOGMEL and MFCC are librosa's (16 kHz, n_fft 2048, 128 bands; 96 coefficients), WHISPER "
                   "the hidden states of "
                   "the checkpoint's encoder, side by side in the order of --layers. Recordings of more than "
                   "30 s are read in "
                   "windows with 5 s of overlap.",
    .examples = "ser extract --feature-type LOGMEL -o a.npy a.wav\n"
                "ser extract --feature-type WHISPER --encoder whisper-base/ --layers 2,3 -o a.npy a.wav",
    .options = options,
};

typedef struct frames {
    float *x;
    size_t n, dims, capacity;
} frames;

static ser_status keep(void *context, const ser_frames *f, ser_error *err)
{
    frames *all = context;
    size_t n_values;
    if (!ser_mul_size(&n_values, all->n + f->n, all->dims) ||
        !ser_grow(&all->x, &all->capacity, n_values, sizeof *all->x))
        return ser_fail_nomem(err);
    memcpy(all->x + all->n * all->dims, f->x, f->n * all->dims * sizeof *all->x);
    all->n += f->n;
    return ser_interrupted() ? ser_fail(err, SER_E_CANCELLED, "interrupted: nothing was written") : SER_OK;
}

static ser_status open_extractor(ser_extractor **e, ser_encoder **encoder, ser_error *err)
{
    ser_feature_spec spec;
    char *folder = NULL;
    ser_status st = ser_feature_spec_parse(&spec, feature_type, err);
    spec.hop_samples = (int)hop_length;
    spec.pad_s = (int)pad;
    if (st == SER_OK && (layers || ser_feature_spec_encoder(&spec)))
        st = ser_feature_spec_set_layers(&spec, layers ? layers : "3", err);
    if (st == SER_OK)
        st = ser_open_encoder(encoder, &folder, &engine, &spec, -1, err);
    if (st == SER_OK)
        st = ser_extractor_new(e, &spec, *encoder, err);
    ser_free(folder);
    return st;
}

static ser_status extract(const char *path, ser_error *err)
{
    ser_encoder *encoder = NULL;
    ser_extractor *e = NULL;
    ser_extractor_work *work = NULL;
    ser_audio *audio = NULL;
    frames all = {0};
    ser_progress_start(); /* for Ctrl-C */
    ser_status st = open_extractor(&e, &encoder, err);
    if (st == SER_OK)
        st = ser_extractor_work_new(&work, e, (int)n_jobs, err);
    if (st == SER_OK && (st = ser_audio_open(&audio, path, err)) != SER_OK)
        ser_fail_within(err, st, "%s: ", path);
    if (st == SER_OK) {
        ser_pcm_source source = ser_pcm_from_audio(audio);
        all.dims = ser_extractor_dims(e);
        st = ser_extract(e, work, &source, keep, &all, err);
    }
    if (st == SER_OK && *ser_audio_warning(audio))
        ser_say("%s: %s", path, ser_audio_warning(audio));
    if (st == SER_OK && (st = ser_npy_write(output, all.x, 2, (size_t[]){all.n, all.dims}, err)) != SER_OK)
        ser_fail_within(err, st, "%s: ", output);
    ser_free(all.x);
    ser_audio_close(&audio);
    ser_extractor_work_free(&work);
    ser_extractor_free(&e);
    ser_encoder_close(&encoder);
    return st;
}

static int run(int argc, char **argv)
{
    ser_option_list paths = {0};
    ser_error err = {0};
    int status;
    if (!ser_options_start(&ser_command_extract, argc, argv, &paths, &status))
        goto done;
    if (!feature_type)
        status = ser_usage_error(&ser_command_extract, "no features are named: give --feature-type");
    else if (!output)
        status = ser_usage_error(&ser_command_extract, "no output is named: give -o OUT.npy");
    else if (paths.n != 1)
        status =
            ser_usage_error(&ser_command_extract, "one recording is expected, and %zu are named", paths.n);
    if (status != SER_EXIT_OK)
        goto done;
    ser_status st = extract(paths.items[0], &err);
    if (st != SER_OK)
        ser_say("%s", err.text);
    status = ser_exit_status(st);
done:
    ser_option_list_release(&paths);
    return status;
}

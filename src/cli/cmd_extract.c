/* ser extract: the features of a recording as .npy, or of whole corpora as a feature tree. */
#include "audio/audio.h"
#include "base/memory.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/progress.h"
#include "corpus/known.h"
#include "data/buffer.h"
#include "data/fill.h"
#include "io/npy.h"
#include "model/hearing.h"

#include <string.h>

static const char *output, *feature_type, *layers, *data, *data_dir, *features_dir = "data/features";
static bool overwrite, pool_encoder;
static long hop_length = SER_DEFAULT_HOP, pad, n_jobs;
static ser_engine_options engine = SER_ENGINE_OPTIONS_FP32;

static const ser_option options[] = {
    {SER_OPTION_GROUP, .help = "One recording"},
    {SER_OPTION_STRING, 'o', "output", &output, "OUT.npy",
     "where the features go: float32, (frames, dims), C order"},
    {SER_OPTION_GROUP, .help = "Corpora"},
    {SER_OPTION_STRING, 'd', "data", &data, "CORPUS",
     SER_KNOWN_NAMES
     "a folder, a CSV file, or several joined with + (default: all of those known by name that "
     "are found)"},
    {SER_OPTION_STRING, 0, "data-dir", &data_dir, "DIR",
     "where named corpora lie (default: $SER_DATA_DIR, else data/raw)"},
    {SER_OPTION_STRING, 0, "features-dir", &features_dir, "DIR", "where the feature trees go"},
    {SER_OPTION_FLAG, 0, "overwrite", &overwrite, NULL, "replace what is there"},
    {SER_OPTION_GROUP, .help = "Features"},
    {SER_OPTION_STRING, 0, "feature-type", &feature_type, "TYPE",
     "LOGMEL, MFCC, WHISPER, HUBERT, WAV2VEC2, WAVLM, DATA2VEC, FUSION (LOGMEL+HUBERT), or several joined "
     "with + (default, of corpora: FUSION)"},
    {SER_OPTION_STRING, 0, "layers", &layers, "LIST",
     "hidden states of the encoder, such as 1,2,3, of several HUBERT=6+WHISPER=2,3 (default: 3 of WHISPER, "
     "the last "
     "of others)"},
    {SER_OPTION_INT, 0, "hop-length", &hop_length, "N", "samples from one frame to the next (LOGMEL, MFCC)",
     16, 16000},
    {SER_OPTION_INT, 0, "pad", &pad, "SECONDS",
     "pad the recording for the encoder as the reference does (30), or not (0)", 0, 30},
    {SER_OPTION_FLAG, 0, "pool-encoder", &pool_encoder, NULL,
     "the encoder's mean over time in every frame, as the original system had it"},
    {SER_OPTION_INT, 'j', "jobs", &n_jobs, "N", "threads (default: all cores)", 0, 1024},
    SER_ENGINE_OPTIONS(engine),
    {SER_OPTION_END},
};

static int run(int argc, char **argv);

const ser_command ser_command_extract = {
    .name = "extract",
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

/* ---- what both ways need ---- */

typedef struct tools {
    ser_feature_spec spec;
    ser_encoders encoders;
    ser_extractor *extractor;
    char encoder_sha256[SER_ENCODERS_SHA256];
} tools;

static void set_default_layers(tools *t)
{
    size_t n = 0;
    for (size_t p = 0; p < t->spec.n_parts; p++) {
        ser_encoder_info info;
        if (!ser_feature_kind_is_encoder(t->spec.parts[p].kind))
            continue;
        ser_encoder_get_info(t->encoders.items[n++], &info);
        ser_feature_part_set_default_layers(&t->spec.parts[p], &info);
    }
}

static ser_status open_tools(tools *t, const char *type, ser_error *err)
{
    ser_status st = ser_feature_spec_parse(&t->spec, type, err);
    t->spec.hop_samples = (int)hop_length;
    t->spec.pad_s = (int)pad;
    if (st == SER_OK && layers)
        st = ser_feature_spec_set_layers(&t->spec, layers, err);
    if (st == SER_OK)
        st = ser_open_encoders(&t->encoders, &engine, &t->spec, err);
    if (st != SER_OK)
        return st;
    set_default_layers(t);
    return ser_extractor_new_joined(&t->extractor, &t->spec, (const ser_encoder *const *)t->encoders.items,
                                    t->encoders.n, err);
}

static void close_tools(tools *t)
{
    ser_extractor_free(&t->extractor);
    ser_encoders_close(&t->encoders);
}

/* ---- one recording ---- */

static ser_status keep(void *context, const ser_frames *frames, ser_error *err)
{
    if (ser_interrupted())
        return ser_fail(err, SER_E_CANCELLED, "interrupted: nothing was written");
    return ser_frame_buffer_add(context, frames, err);
}

static ser_status extract_recording(const char *path, ser_error *err)
{
    tools t = {0};
    ser_extractor_work *work = NULL;
    ser_audio *audio = NULL;
    ser_frame_buffer all = {0};
    ser_status st = open_tools(&t, feature_type, err);
    if (st == SER_OK)
        st = ser_extractor_work_new(&work, t.extractor, (int)n_jobs, err);
    if (st == SER_OK && (st = ser_audio_open(&audio, path, err)) != SER_OK)
        ser_fail_within(err, st, "%s: ", path);
    if (st == SER_OK) {
        ser_pcm_source source = ser_pcm_from_audio(audio);
        all.dims = ser_extractor_dims(t.extractor);
        st = ser_extract(t.extractor, work, &source, keep, &all, err);
    }
    if (st == SER_OK && *ser_audio_warning(audio))
        ser_say("%s: %s", path, ser_audio_warning(audio));
    if (st == SER_OK && pool_encoder)
        ser_frame_buffer_pool_encoder(&all, t.extractor);
    if (st == SER_OK && (st = ser_npy_write(output, all.x, 2, (size_t[]){all.n, all.dims}, err)) != SER_OK)
        ser_fail_within(err, st, "%s: ", output);
    ser_frame_buffer_release(&all);
    ser_audio_close(&audio);
    ser_extractor_work_free(&work);
    close_tools(&t);
    return st;
}

/* ---- corpora ---- */

/* What failed in the tree before it is not told again. */
static void say_notes(const ser_tree_filled *filled, const ser_tree_filled *before)
{
    for (size_t u = 0; u < filled->n && filled->failures && filled->warnings; u++) {
        if (filled->warnings[u])
            ser_say("%s", filled->warnings[u]);
        if (filled->failures[u] && !(before && before->failures[u]))
            ser_say("%s", filled->failures[u]);
    }
}

/* The trees of one corpus: those of FUSION's parts, and the one of all. */
typedef struct trees {
    ser_feature_spec specs[SER_MAX_PARTS + 1];
    ser_tree_recipe recipes[SER_MAX_PARTS + 1];
    ser_extractor *extractors[SER_MAX_PARTS + 1];
    ser_tree_content contents[SER_MAX_PARTS + 1];
    size_t n;
} trees;

/* The next tree, of t's specification, or of one part of it. */
static ser_status add_tree(trees *all, const tools *t, const ser_feature_part *part, bool joined,
                           ser_error *err)
{
    size_t i = all->n++;
    ser_feature_spec *spec = &all->specs[i];
    *spec = t->spec;
    if (part) {
        spec->parts[0] = *part;
        spec->n_parts = 1;
    }
    /* FUSION's parts have its one encoder or none. */
    size_t n_encoders = ser_feature_spec_n_encoders(spec);
    all->recipes[i] =
        (ser_tree_recipe){.spec = spec,
                          .encoder_sha256 = n_encoders ? t->encoder_sha256 : "",
                          .precision = ser_precision_name(
                              n_encoders ? ser_encoder_precision(t->encoders.items[0]) : SER_PRECISION_FP32),
                          .engine = engine.engine,
                          .pool_encoder = pool_encoder && !part};
    ser_status st = ser_extractor_new_joined(&all->extractors[i], spec,
                                             (const ser_encoder *const *)t->encoders.items, n_encoders, err);
    all->contents[i] = (ser_tree_content){all->extractors[i], &all->recipes[i], joined};
    return st;
}

/* FUSION's parts have trees of their own, and it is joined from them. Padded, an encoder has other frames
 * alone than beside log-mel, so that all are computed. */
static ser_status list_trees(trees *all, const tools *t, ser_error *err)
{
    ser_text type = {0};
    ser_status st = SER_OK;
    ser_feature_spec_type(&t->spec, &type);
    bool fusion = type.s && strcmp(type.s, "LOGMEL+HUBERT") == 0;
    for (size_t p = 0; fusion && p < t->spec.n_parts && st == SER_OK; p++)
        st = add_tree(all, t, &t->spec.parts[p], false, err);
    ser_text_release(&type);
    return st == SER_OK ? add_tree(all, t, NULL, fusion && !pad, err) : st;
}

static ser_status fill_trees(bool *failed, const trees *all, const ser_corpus *corpus,
                             const ser_progress *progress, ser_error *err)
{
    ser_tree_filled filled[SER_MAX_PARTS + 1] = {0};
    const ser_tree_fill_settings settings = {.features_dir = features_dir,
                                             .overwrite = overwrite,
                                             .n_threads = (int)n_jobs,
                                             .progress = *progress};
    ser_status st = ser_trees_fill(filled, all->contents, all->n, corpus, &settings, err);
    ser_progress_clear();
    for (size_t i = 0; i < all->n; i++) {
        const ser_tree_filled *f = &filled[i];
        say_notes(f, i ? &filled[i - 1] : NULL);
        if (st == SER_OK)
            printf("%s: %zu recordings of %zu dims%s\n", f->folder, f->n - f->n_failed, f->dims,
                   f->n_failed ? ", unfinished" : "");
        *failed = *failed || f->n_failed;
    }
    for (size_t i = 0; i < all->n; i++)
        ser_tree_filled_release(&filled[i]);
    return st;
}

static ser_status fill_corpus(bool *failed, const tools *t, const ser_corpus *corpus,
                              const ser_progress *progress, ser_error *err)
{
    trees all = {0};
    for (size_t i = 0; i < corpus->n_warnings; i++)
        ser_say("%s", corpus->warnings[i]);
    ser_status st = list_trees(&all, t, err);
    if (st == SER_OK)
        st = fill_trees(failed, &all, corpus, progress, err);
    for (size_t i = 0; i < all.n; i++)
        ser_extractor_free(&all.extractors[i]);
    return st;
}

/* Of the corpora with a name those that are found; at least one. */
static ser_status fill_named(bool *failed, const tools *t, const ser_progress *progress, ser_error *err)
{
    const ser_known_corpus *known;
    ser_status st = SER_OK;
    size_t n_found = 0;
    for (size_t i = 0; st == SER_OK && (known = ser_known_corpus_at(i)); i++) {
        ser_corpus *corpus = NULL;
        st = ser_corpus_open(&corpus, known->name, data_dir, err);
        if (st == SER_OK) {
            n_found++;
            st = fill_corpus(failed, t, corpus, progress, err);
        } else if (st == SER_E_IO && (n_found || ser_known_corpus_at(i + 1))) {
            ser_say("%s", err->text);
            st = SER_OK;
        }
        ser_corpus_free(&corpus);
    }
    return st;
}

static ser_status extract_corpora(bool *failed, const ser_progress *progress, ser_error *err)
{
    tools t = {0};
    ser_corpus *corpus = NULL;
    ser_status st = data ? ser_corpus_open(&corpus, data, data_dir, err) : SER_OK;
    if (st == SER_OK)
        st = open_tools(&t, feature_type ? feature_type : "FUSION", err);
    if (st == SER_OK)
        st = ser_encoders_sha256(&t.encoders, t.encoder_sha256, err);
    if (st == SER_OK)
        st = corpus ? fill_corpus(failed, &t, corpus, progress, err) : fill_named(failed, &t, progress, err);
    ser_corpus_free(&corpus);
    close_tools(&t);
    return st;
}

/* ---- the command ---- */

static int check_usage(const ser_option_list *paths)
{
    if (!output && paths->n)
        return ser_usage_error(&ser_command_extract, "no output is named: give -o OUT.npy");
    if (!output)
        return SER_EXIT_OK;
    if (data || overwrite)
        return ser_usage_error(&ser_command_extract, "-o is for one recording, %s for corpora",
                               data ? "--data" : "--overwrite");
    if (!feature_type)
        return ser_usage_error(&ser_command_extract, "no features are named: give --feature-type");
    if (paths->n != 1)
        return ser_usage_error(&ser_command_extract, "one recording is expected, and %zu are named",
                               paths->n);
    return SER_EXIT_OK;
}

static int run(int argc, char **argv)
{
    ser_option_list paths = {0};
    ser_error err = {0};
    bool failed = false;
    int status;
    if (!ser_options_start(&ser_command_extract, argc, argv, &paths, &status) ||
        (status = check_usage(&paths)) != SER_EXIT_OK)
        goto done;
    ser_progress progress = ser_progress_start();
    ser_status st =
        output ? extract_recording(paths.items[0], &err) : extract_corpora(&failed, &progress, &err);
    if (st != SER_OK)
        ser_say("%s", err.text);
    status = st == SER_OK && failed ? SER_EXIT_FAILED : ser_exit_status(st);
done:
    ser_option_list_release(&paths);
    return status;
}

/* ser predict: the emotion of each recording, in the order of the arguments. */
#include "base/clock.h"
#include "base/memory.h"
#include "base/threads.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/extras.h"
#include "cli/inputs.h"
#include "cli/outputs.h"
#include "cli/predict_share.h"
#include "cli/progress.h"
#include "cli/together.h"
#include "io/file.h"
#include "report/annotation.h"
#include "report/escape.h"
#include "report/pictures.h"
#include "report/prediction.h"
#include "run/predict.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *model_path, *format_name = "text", *baseline_folder, *adapt_folder, *picture_path,
                               *output_path, *min_confidence = "auto";
static const char *shard_text;
static bool timeline, follow, explain, quiet, verbose;
static long n_jobs;
static ser_engine_options engine = SER_ENGINE_OPTIONS_AUTO;
static const ser_team *team;      /* NULL: this process alone */
static ser_journal *journal;      /* NULL: there is none */
static ser_annotation annotation; /* SER_N_ANNOTATIONS: another format */

static const ser_option options[] = {
    {SER_OPTION_STRING, 'm', "model", &model_path, "FILE",
     "model that answers: a file, or a run folder (default: the one built in)"},
    {SER_OPTION_CHOICE, 'f', "format", &format_name, "text|json|csv|" SER_ANNOTATION_WORDS,
     "text with bars, one JSON object per line, CSV, or with --timeline what other tools read"},
    {SER_OPTION_STRING, 'o', "output", &output_path, "FILE",
     "write there, and only when all is done, instead of to standard output; a folder for several recordings "
     "in a format that has one a file"},
    {SER_OPTION_STRING, 0, "shard", &shard_text, "I/N",
     "only the Ith of N shares of the recordings, into -o FILE; 'ser merge' joins them"},
    {SER_OPTION_FLAG, 't', "timeline", &timeline, NULL, "the emotion over time, as segments"},
    {SER_OPTION_STRING, 'p', "picture", &picture_path, "FILE",
     "draw the timeline of one recording (.png or .svg)"},
    {SER_OPTION_STRING, 0, "min-confidence", &min_confidence, "auto|P",
     "below this the label is 'uncertain' (0: never; default: auto, the model's own rule)"},
    {SER_OPTION_FLAG, 0, "explain", &explain, NULL,
     "how each recording sounds, as far as answers suffer from it: what was measured, what to do"},
    {SER_OPTION_STRING, 'b', "baseline", &baseline_folder, "FOLDER",
     "recordings of the same voice, without labels: answers become relative to it"},
    {SER_OPTION_FLAG, 0, "follow", &follow, NULL,
     "all recordings are of one voice: each joins its baseline before it is answered for, in their order"},
    {SER_OPTION_STRING, 'a', "adapt", &adapt_folder, "FOLDER",
     "adapt to these recordings, 20 or more with all emotions among them, whose labels nobody knows"},
    {SER_OPTION_INT, 'j', "jobs", &n_jobs, "N", "threads (default: all cores)", 0, 1024},
    {SER_OPTION_FLAG, 'q', "quiet", &quiet, NULL, "no progress and no warnings, only errors"},
    {SER_OPTION_FLAG, 'v', "verbose", &verbose, NULL,
     "say what answers, with how many threads, and how fast"},
    SER_ENGINE_OPTIONS(engine),
    {SER_OPTION_END},
};

static int run(int argc, char **argv);

const ser_command ser_command_predict = {
    .name = "predict",
    .run = run,
    .summary = "tell the emotion of recordings",
    .usage = "PATH...",
    .description =
        "PATH is an audio file of any rate and channel count (WAV, FLAC, Ogg, Opus, MP3, AIFF and others), a "
        "folder, which is searched recursively, or - for a recording on standard input.\n"
        "Scores are calibrated probabilities. Silence, and sound without a voice, are said to be that and "
        "get no label. The exit status is 1 when a recording could not be read; the others are answered all "
        "the same.",
    .examples =
        "ser predict call.wav\nser predict --format csv -o emotions.csv recordings/\n"
        "ser predict --timeline --picture talk.png talk.mp3\nffmpeg -i film.mkv -f wav - | ser predict -",
    .options = options,
};

/* Who gets the answers. */
typedef struct printing {
    const ser_inputs *inputs;
    ser_prediction_form form;
    FILE *out;
    bool on_terminal; /* the progress line stands where the answers go */
    ser_prediction_counts counts;
    double heard_s;
    ser_predict_share *share; /* NULL: no shard */
    ser_status picture;       /* whether it could be drawn */
    bool listens;             /* to the wish to stop: from the first report on */
    bool apart;               /* each recording's annotation is a file of its own */
    ser_status annotated;     /* whether those could be written */
    ser_status written;       /* whether there was memory for all that was to be */
} printing;

static bool is_format(const char *name)
{
    return strcmp(format_name, name) == 0;
}

/* ---- one recording ---- */

/* What is made for programs keeps whatever names and labels hold, which a terminal must not obey. */
static void write_out(printing *p, const ser_text *t)
{
    ser_text shown = {0};
    if (p->on_terminal)
        ser_progress_clear();
    if (p->on_terminal && !is_format("text") && t->n)
        ser_append_shown(&shown, t->s);
    const ser_text *out = shown.n ? &shown : t;
    if (t->failed || shown.failed)
        p->written = SER_E_NOMEM; /* half of it, or what a terminal obeys, is worse than nothing */
    else if (out->n)
        fwrite(out->s, 1, out->n, p->out);
    ser_text_release(&shown);
}

/* A file name must not move the cursor. */
static void write_message(const printing *p, const char *name, const char *text)
{
    if (p->out == stdout)
        fflush(stdout);
    ser_say("%s: %s", name, text);
}

static void write_error(printing *p, const char *name, const char *text)
{
    ser_text t = {0};
    if (is_format("json"))
        ser_prediction_json_error(&t, name, text);
    else if (is_format("csv"))
        ser_prediction_csv_error(&t, &p->form, name, text);
    write_out(p, &t);
    ser_text_release(&t);
    write_message(p, name, text);
    p->counts.n++;
    p->counts.n_failed++;
}

/* FOLDER/NAME.TextGrid, NAME being the path below a folder that was named, or a file's name. */
static ser_status write_apart(const ser_input *input, const ser_text *t, ser_error *err)
{
    const char *slash = strrchr(input->name, '/');
    const char *name = input->relative ? input->name + input->relative : slash ? slash + 1 : input->name;
    const char *base = strrchr(name, '/'), *dot = strrchr(base ? base : name, '.');
    char *path = ser_format("%s/%.*s%s", output_path, dot ? (int)(dot - name) : (int)strlen(name), name,
                            ser_annotation_suffix(annotation));
    ser_status st = path ? ser_io_make_folder_of(path, err) : ser_fail_nomem(err);
    if (st == SER_OK && access(path, F_OK) == 0)
        st = ser_fail(err, SER_E_ARG, "%s: it is there already: name an empty folder", path);
    if (st == SER_OK)
        st = t->failed ? ser_fail_nomem(err) : ser_io_write(path, t->s, t->n, err);
    ser_free(path);
    return st;
}

static void write_annotation(printing *p, const ser_input *input, const ser_result *r)
{
    ser_text t = {0};
    ser_error err = {0};
    if (p->apart || !ser_annotation_joins(annotation))
        ser_annotation_begin(&t, annotation, &p->form);
    ser_annotation_append(&t, annotation, &p->form, input->name, r);
    ser_status st = p->apart ? write_apart(input, &t, &err) : SER_OK;
    if (!p->apart)
        write_out(p, &t);
    if (st != SER_OK)
        ser_say("%s", err.text);
    p->annotated = p->annotated == SER_OK ? st : p->annotated;
    ser_text_release(&t);
}

static void write_result(printing *p, const ser_input *input, const ser_result *r)
{
    ser_text t = {0};
    const char *name = input->name;
    if (annotation != SER_N_ANNOTATIONS)
        write_annotation(p, input, r);
    else if (is_format("json"))
        ser_prediction_json(&t, &p->form, name, r);
    else if (is_format("csv"))
        ser_prediction_csv(&t, &p->form, name, r);
    else
        ser_prediction_text(&t, &p->form, name, r);
    write_out(p, &t);
    ser_text_release(&t);
    if (r->warning[0] && !quiet)
        write_message(p, name, r->warning);
    ser_prediction_counts_add(&p->counts, &p->form, r);
    p->heard_s += r->duration_s;
}

static ser_status draw(const printing *p, const char *name, const ser_result *r, ser_error *err)
{
    const char *slash = strrchr(name, '/');
    const ser_timeline_picture picture = {.title = slash ? slash + 1 : name,
                                          .labels = p->form.labels,
                                          .n_labels = p->form.n_labels,
                                          .segments = r->segments,
                                          .n_segments = r->n_segments,
                                          .duration_s = r->duration_s,
                                          .peaks = r->peaks,
                                          .n_peaks = r->n_peaks};
    ser_status st = ser_picture_save(picture_path, SER_PICTURE_TIMELINE, &picture, err);
    return st == SER_OK ? st : ser_fail_within(err, st, "%s: ", picture_path);
}

static void print_answer(void *context, size_t i, const ser_result *r, const ser_error *failure)
{
    printing *p = context;
    ser_error err = {0};
    const char *name = p->inputs->items[i].name;
    if (r)
        write_result(p, &p->inputs->items[i], r);
    else
        write_error(p, name, failure->text);
    if (p->share)
        ser_predict_share_note(p->share, i, name, r ? NULL : failure->text, p->out);
    if (r && picture_path && (p->picture = draw(p, name, r, &err)) != SER_OK)
        ser_say("%s", err.text);
}

/* Ctrl-C ends the program at once while there is nothing to save. */
static bool report(void *context, const char *what, size_t done, size_t total)
{
    static ser_progress line;
    printing *p = context;
    if (!p->listens)
        line = ser_progress_start();
    p->listens = true;
    if (quiet)
        return !ser_interrupted();
    return ser_progress_report(&line, what, done, total);
}

/* ---- the voice ---- */

typedef struct voice_check {
    const ser_model *model;
    size_t n, n_without, n_of[SER_MAX_LABELS];
} voice_check;

static void check_one(void *context, size_t i, const ser_result *r, const ser_error *failure)
{
    voice_check *c = context;
    (void)i, (void)failure; /* will be told by who listens for the baseline */
    c->n += r != NULL;
    c->n_without += r && r->label < 0;
    if (r && r->label >= 0)
        c->n_of[r->label]++;
}

/* Recordings that nothing can be learned from do no harm that anybody would notice, so somebody says so. */
static ser_status check_voice(const ser_model *model, const char *const *paths, size_t n, ser_error *err)
{
    voice_check c = {.model = model};
    const ser_predict_many_settings settings = {.n_jobs = (int)n_jobs, .on_answer = check_one, .context = &c};
    ser_status st = n && !quiet ? ser_predict_many(model, paths, n, &settings, err) : SER_OK;
    size_t n_emotions = 0;
    for (size_t k = 0; k < ser_model_n_labels(model); k++)
        n_emotions += c.n_of[k] > 0;
    if (c.n_without)
        ser_say("%s: %zu of %zu recordings hold no voice: leave them out",
                adapt_folder ? adapt_folder : baseline_folder, c.n_without, c.n);
    if (adapt_folder && c.n && n_emotions < ser_model_n_labels(model) &&
        2 * n_emotions <= ser_model_n_labels(model))
        ser_say("%s: only %zu of %zu emotions seem to be among them: all should be, or answers will be "
                "spread over what is not there",
                adapt_folder, n_emotions, ser_model_n_labels(model));
    return st;
}

/* ---- all of them ---- */

static size_t count_all(const printing *p)
{
    return p->share ? p->share->part.n_listed : p->inputs->n;
}

static ser_status answer_all(printing *p, const ser_model *model, const ser_inputs *voice, ser_error *err)
{
    enum { N_PEAKS = 600 };
    const char **paths = ser_alloc(p->inputs->n, sizeof *paths),
               **voices = ser_alloc(voice->n, sizeof *voices);
    const ser_predict_many_settings settings = {.n_jobs = (int)n_jobs,
                                                .n_all = count_all(p),
                                                .timeline = timeline || picture_path,
                                                .sound = explain || p->form.warns,
                                                .n_peaks = picture_path ? N_PEAKS : 0,
                                                .voice = voices,
                                                .n_voice = voice->n,
                                                .adapt = adapt_folder != NULL,
                                                .follow = follow,
                                                .progress = {report, p},
                                                .on_answer = print_answer,
                                                .context = p,
                                                .team = team,
                                                .journal = journal};
    ser_status st = paths && voices ? SER_OK : ser_fail_nomem(err);
    for (size_t i = 0; i < p->inputs->n && st == SER_OK; i++)
        paths[i] = p->inputs->items[i].path;
    for (size_t i = 0; i < voice->n && st == SER_OK; i++)
        voices[i] = voice->items[i].path;
    if (st == SER_OK && ser_team_is_first(team))
        st = check_voice(model, voices, voice->n, err);
    bool joined = annotation != SER_N_ANNOTATIONS && ser_annotation_joins(annotation);
    if (st == SER_OK && (joined || is_format("csv")) && ser_team_is_first(team)) {
        ser_text header = {0};
        if (joined)
            ser_annotation_begin(&header, annotation, &p->form);
        else
            ser_prediction_csv_header(&header, &p->form);
        write_out(p, &header);
        ser_text_release(&header);
    }
    if (st == SER_OK && p->share)
        ser_predict_share_begin(p->share, p->out);
    if (st == SER_OK)
        st = ser_predict_many(model, paths, p->inputs->n, &settings, err);
    ser_progress_clear();
    ser_free(paths);
    ser_free(voices);
    return st == SER_E_ARG ? SER_E_FORMAT : st; /* too few recordings are a matter of the input */
}

static void write_summary(printing *p, double seconds)
{
    ser_text t = {0}, fitted = {0};
    if (is_format("text") && p->inputs->n > 1 && !p->share && ser_team_is_first(team)) {
        ser_prediction_counts_text(&t, &p->form, &p->counts);
        if (t.n && !t.failed)
            ser_append_fitted(&fitted, t.s, p->form.style);
        fitted.failed |= t.failed;
        write_out(p, &fitted);
    }
    ser_text_release(&t);
    ser_text_release(&fitted);
    if (verbose)
        ser_say("%zu recording%s, %.1f s of sound, in %.2f s: %.0f times real time", p->counts.n,
                p->counts.n == 1 ? "" : "s", p->heard_s, seconds, p->heard_s / seconds);
}

static void say_what_answers(const ser_model *model)
{
    ser_say("model: %s (%s), %s", model_path ? model_path : "built in", ser_model_type(model),
            ser_model_features(model));
    ser_say("threads: %d", n_jobs ? (int)n_jobs : ser_n_cores());
}

static bool is_apart(const ser_inputs *inputs)
{
    return annotation != SER_N_ANNOTATIONS && !ser_annotation_joins(annotation) && inputs->n > 1;
}

static void tell_before(void *context, const char *text)
{
    (void)context;
    ser_say("%s", text);
}

/* Where there are ranks, or the run before left one. */
static ser_status open_journal(const printing *p, const ser_inputs *voice, ser_error *err)
{
    char identity[65] = "";
    ser_journal_settings settings = {
        .output = output_path, .identity = identity, .team = team, .tell = tell_before};
    if (!ser_journal_is_wanted(&settings))
        return SER_OK;
    ser_status st = ser_predict_identity(identity, p->inputs, model_path, &p->form, options, voice, err);
    return st == SER_OK ? ser_journal_open(&journal, &settings, err) : st;
}

/* output: NULL where out is standard output. */
static ser_status predict(const ser_inputs *inputs, const ser_inputs *voice, double least,
                          const ser_output *output, ser_predict_share *share, size_t *n_failed,
                          ser_error *err)
{
    FILE *out = output ? output->file : stdout;
    double since = ser_clock_s();
    ser_settings settings;
    ser_model *model = NULL;
    ser_default_settings(&settings);
    ser_engine_options_apply(&engine, &settings);
    ser_status st = ser_model_open(&model, model_path, &settings, err);
    if (st != SER_OK)
        return model_path ? ser_fail_within(err, st, "%s: ", model_path) : st;
    ser_style style = ser_together_style(out);
    printing p = {.inputs = inputs,
                  .form = ser_prediction_form_of(model, least),
                  .out = out,
                  .share = share,
                  .apart = is_apart(inputs),
                  .on_terminal = style.terminal};
    p.form.timeline = timeline;
    p.form.explain = explain;
    p.form.style = style;
    p.form.bars = count_all(&p) == 1;
    p.form.warns = p.form.bars && is_format("text");
    if (verbose)
        say_what_answers(model);
    if (share)
        st = ser_predict_share_describe(share, model_path, &p.form, options, voice, err);
    if (st == SER_OK && output_path && !share)
        st = open_journal(&p, voice, err);
    if (st == SER_OK)
        st = answer_all(&p, model, voice, err);
    if (st == SER_OK && share)
        st = ser_predict_share_write(share, &p.counts, out, output->temporary_path, output_path, err);
    if (st == SER_OK) {
        write_summary(&p, ser_clock_s() - since);
        st = p.picture == SER_OK ? SER_OK : ser_fail(err, p.picture, "the picture is missing");
        if (p.annotated != SER_OK)
            st = ser_fail(err, p.annotated, "some files are missing");
        if (p.written != SER_OK)
            st = ser_fail_nomem(err);
    }
    ser_model_close(&model);
    *n_failed += p.counts.n_failed;
    return st;
}

/* ---- the command line ---- */

/* A folder where each recording has a file of its own, once it is known how many there are. */
static bool outputs_fit(int *exit_status)
{
    struct stat info;
    const char *end = output_path ? output_path + strlen(output_path) : NULL;
    bool is_folder =
        end && annotation != SER_N_ANNOTATIONS && !ser_annotation_joins(annotation) &&
        ((end > output_path && end[-1] == '/') || (stat(output_path, &info) == 0 && S_ISDIR(info.st_mode)));
    return !ser_together_is_first() ||
           (ser_picture_fits(&ser_command_predict, "picture", picture_path, NULL, exit_status) &&
            (is_folder || ser_output_fits(&ser_command_predict, "output", output_path, NULL, exit_status)));
}

/* *exit_status is SER_EXIT_USAGE where something does not fit. */
static void check_usage(const ser_option_list *paths, double *least, int *exit_status)
{
    if (!paths->n)
        *exit_status = ser_usage_error(&ser_command_predict, "no recording is named");
    else if ((adapt_folder != NULL) + (baseline_folder != NULL) + follow > 1)
        *exit_status =
            ser_usage_error(&ser_command_predict, "--adapt, --baseline and --follow: give one of them");
    else if (quiet && verbose)
        *exit_status = ser_usage_error(&ser_command_predict, "--quiet and --verbose: give one of them");
    else if (!ser_read_min_confidence(least, min_confidence))
        *exit_status = ser_usage_error(
            &ser_command_predict, "--min-confidence: '%s' does not fit: give auto or a number from 0 to 1",
            min_confidence);
    else if (picture_path && paths->n > 1)
        *exit_status = ser_usage_error(&ser_command_predict,
                                       "--picture draws one recording, and %zu are named", paths->n);
    else if (annotation != SER_N_ANNOTATIONS && (!timeline || shard_text))
        *exit_status = ser_usage_error(&ser_command_predict, "--format %s %s", format_name,
                                       shard_text ? "and --shard: leave one of them out"
                                                  : "shows the emotion over time: give --timeline, too");
    else if (annotation != SER_N_ANNOTATIONS && explain)
        *exit_status = ser_usage_error(&ser_command_predict,
                                       "--explain: --format %s has no place for it: take text, json or csv",
                                       format_name);
    else
        outputs_fit(exit_status);
}

static void check_shard(const ser_option_list *paths, ser_shard *shard, int *exit_status)
{
    ser_error err = {0};
    bool piped = false;
    for (size_t i = 0; i < paths->n; i++)
        piped = piped || strcmp(paths->items[i], "-") == 0;
    if (!shard_text)
        return;
    if (ser_shard_parse(shard, shard_text, &err) != SER_OK)
        *exit_status = ser_usage_error(&ser_command_predict, "--shard: %s", err.text);
    else if (!output_path)
        *exit_status =
            ser_usage_error(&ser_command_predict, "--shard needs a file for its answers: give -o FILE");
    else if (picture_path || follow || piped)
        *exit_status = ser_usage_error(&ser_command_predict,
                                       "--shard: %s goes over all recordings: leave one of them out",
                                       picture_path ? "--picture"
                                       : follow     ? "--follow"
                                                    : "standard input");
}

/* What goes over all recordings cannot be shared out. */
static void check_ranks(const ser_option_list *paths, int *exit_status)
{
    bool piped = false;
    for (size_t i = 0; i < paths->n; i++)
        piped = piped || strcmp(paths->items[i], "-") == 0;
    if (picture_path || follow || piped)
        *exit_status = ser_usage_error(&ser_command_predict, "%s is for one process: start it without mpirun",
                                       picture_path ? "--picture"
                                       : follow     ? "--follow"
                                                    : "standard input");
}

/* A run folder stands for the model in it. *owned is the caller's. */
static void find_model(char **owned)
{
    char *inside = model_path ? ser_io_join(model_path, "model.safetensors") : NULL;
    if (inside && access(inside, R_OK) == 0)
        model_path = *owned = inside;
    else
        ser_free(inside);
}

static size_t list_inputs(ser_inputs *inputs, const ser_option_list *paths)
{
    size_t n_failed = 0;
    for (size_t i = 0; i < paths->n; i++) {
        ser_error err = {0};
        if (ser_inputs_add(inputs, paths->items[i], &err) != SER_OK) {
            ser_say("%s: %s", paths->items[i], err.text);
            n_failed++;
        }
    }
    if (inputs->n_need_ffmpeg && !quiet)
        ser_say("%zu file%s audio that cannot be read here (%s): install ffmpeg, or convert elsewhere with "
                "ffmpeg -i FILE OUT.wav",
                inputs->n_need_ffmpeg, inputs->n_need_ffmpeg == 1 ? " is" : "s are",
                inputs->kinds.s ? inputs->kinds.s : "");
    if (inputs->n_skipped && !quiet)
        ser_say("%zu file%s in the folders %s not audio and left out: %s", inputs->n_skipped,
                inputs->n_skipped == 1 ? "" : "s", inputs->n_skipped == 1 ? "is" : "are",
                inputs->skipped.failed ? "" : inputs->skipped.s);
    if (inputs->n_folder_links && !quiet)
        ser_say("links to folders are not followed: %zu", inputs->n_folder_links);
    return n_failed;
}

static ser_status list_voice(ser_inputs *voice, ser_error *err)
{
    const char *folder = adapt_folder ? adapt_folder : baseline_folder;
    struct stat info;
    if (!folder)
        return SER_OK;
    if (stat(folder, &info) != 0)
        return ser_fail(err, SER_E_IO, "%s: %s: name a folder with recordings", folder, strerror(errno));
    if (!S_ISDIR(info.st_mode))
        return ser_fail(err, SER_E_ARG, "%s: it is no folder: name one with recordings", folder);
    ser_status st = ser_inputs_add(voice, folder, err);
    return st == SER_OK ? st : ser_fail_within(err, st, "%s: ", folder);
}

/* To standard output, or to the file once all of it is there. */
static ser_status predict_to(const ser_inputs *inputs, const ser_inputs *voice, double least,
                             ser_predict_share *share, size_t *n_failed, ser_error *err)
{
    ser_output file = {0};
    bool to_file = output_path && !is_apart(inputs) && ser_team_is_first(team);
    ser_status st = to_file ? ser_output_open(&file, output_path, err) : SER_OK;
    if (st != SER_OK)
        return ser_fail_within(err, st, "%s: ", output_path);
    if (st == SER_OK && share && !file.temporary_path)
        st = ser_fail(err, SER_E_ARG, "--shard: %s is no file that a manifest could be beside", output_path);
    if (st == SER_OK)
        st = predict(inputs, voice, least, to_file ? &file : NULL, share, n_failed, err);
    if (st == SER_OK && to_file && (st = ser_output_commit(&file, err)) != SER_OK)
        ser_fail_within(err, st, "%s: ", output_path);
    ser_output_abort(&file);
    return st;
}

static int run(int argc, char **argv)
{
    ser_option_list paths = {0};
    ser_inputs inputs = {0}, voice = {0};
    ser_shard shard = {0};
    ser_predict_share share = {0};
    ser_error err = {0};
    ser_status st = SER_OK;
    char *model_inside = NULL;
    double least = -1;
    ser_ranks *ranks = NULL;
    int status, n_ranks = ser_together_begin(argc, argv);
    if (!ser_options_start(&ser_command_predict, argc, argv, &paths, &status)) {
        ser_option_list_release(&paths);
        return status;
    }
    if (shard_text)
        ser_together_apart();
    annotation = ser_annotation_from_name(format_name);
    check_usage(&paths, &least, &status);
    if (status == SER_EXIT_OK)
        check_shard(&paths, &shard, &status);
    if (status == SER_EXIT_OK && !shard.count && n_ranks > 1)
        check_ranks(&paths, &status);
    if (status == SER_EXIT_OK) {
        find_model(&model_inside);
        size_t n_failed = list_inputs(&inputs, &paths);
        st = picture_path ? ser_extras_check(&err) : SER_OK;
        if (st == SER_OK)
            st = ser_together_open(&ranks, &err);
        team = ser_ranks_team(ranks);
        if (st == SER_OK)
            st = list_voice(&voice, &err);
        if (st == SER_OK)
            st = ser_together_compare(team, &inputs, &voice, model_path, &err);
        if (st == SER_OK && picture_path && inputs.n > 1)
            st = ser_fail(&err, SER_E_ARG, "--picture draws one recording, and the folder holds %zu",
                          inputs.n);
        if (st == SER_OK && is_apart(&inputs) && !output_path)
            st = ser_fail(&err, SER_E_ARG, "--format %s has one recording a file: give -o FOLDER for %zu",
                          format_name, inputs.n);
        if (st == SER_OK && shard.count && n_failed)
            st = ser_fail(&err, SER_E_IO, "nothing was written: a shard must find all that is named");
        if (st == SER_OK && shard.count)
            st = ser_predict_share_open(&share, &shard, &inputs, &err);
        if (st == SER_OK && (inputs.n || shard.count))
            st = predict_to(&inputs, &voice, least, shard.count ? &share : NULL, &n_failed, &err);
        ser_journal_close(&journal, st == SER_OK);
        ser_ranks_close(&ranks, &st, &err);
        if (st != SER_OK)
            ser_say("%s", err.text);
        status = st != SER_OK ? ser_exit_status(st) : n_failed ? SER_EXIT_FAILED : SER_EXIT_OK;
    }
    ser_predict_share_close(&share);
    ser_free(model_inside);
    ser_inputs_release(&inputs);
    ser_inputs_release(&voice);
    ser_option_list_release(&paths);
    return status;
}

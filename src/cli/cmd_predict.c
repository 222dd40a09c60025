/* ser predict: the emotion of each recording, in the order of the arguments. */
#include "audio/audio.h"
#include "base/memory.h"
#include "base/threads.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/inputs.h"
#include "cli/progress.h"
#include "report/escape.h"
#include "report/pictures.h"
#include "report/prediction.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const char *model_path, *format_name = "text", *baseline_folder, *adapt_folder, *picture_path;
static bool timeline, follow;
static double min_confidence;
static long n_jobs;
static ser_engine_options engine = SER_ENGINE_OPTIONS_AUTO;

static const ser_option options[] = {
    {SER_OPTION_STRING, 'm', "model", &model_path, "FILE",
     "model file that answers (default: the one built in)"},
    {SER_OPTION_CHOICE, 'f', "format", &format_name, "text|json|csv",
     "text with bars, one JSON object per line, or CSV"},
    {SER_OPTION_FLAG, 't', "timeline", &timeline, NULL, "the emotion over time, as segments (text and json)"},
    {SER_OPTION_STRING, 'p', "picture", &picture_path, "FILE",
     "draw the timeline of one recording (.png or .svg)"},
    {SER_OPTION_DOUBLE, 0, "min-confidence", &min_confidence, "P",
     "below this the label is 'uncertain' (0: never)", 0, 1},
    {SER_OPTION_STRING, 'b', "baseline", &baseline_folder, "FOLDER",
     "recordings of the same voice, without labels: answers become relative to it"},
    {SER_OPTION_FLAG, 0, "follow", &follow, NULL,
     "all recordings are of one voice: each joins its baseline before it is answered for, in their order"},
    {SER_OPTION_STRING, 'a', "adapt", &adapt_folder, "FOLDER",
     "adapt to these recordings, 20 or more with all emotions among them, whose labels nobody knows"},
    {SER_OPTION_INT, 'j', "jobs", &n_jobs, "N", "threads (default: all cores)", 0, 1024},
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
        "get no "
        "label. The exit status is 1 when a recording could not be read; the others are answered all the "
        "same.",
    .examples =
        "ser predict call.wav\nser predict --format csv recordings/ > emotions.csv\n"
        "ser predict --timeline --picture talk.png talk.mp3\nffmpeg -i film.mkv -f wav - | ser predict -",
    .options = options,
};

/* One recording's answer, printed when its turn comes. */
typedef struct answer {
    ser_text out, messages;
    bool done, failed;
} answer;

typedef struct job {
    const ser_model *model;
    const ser_inputs *inputs;
    ser_session *voice; /* knows the baseline, or is adapted; NULL: there is none */
    ser_prediction_form form;
    ser_session **sessions; /* one per thread, made when the thread gets its first recording */
    answer *answers;
    pthread_mutex_t lock; /* guards all below and the output */
    size_t n_printed, n_done, n_failed;
    ser_progress progress;
} job;

static bool is_format(const char *name)
{
    return strcmp(format_name, name) == 0;
}

/* ---- one recording ---- */

static ser_status get_session(job *j, int worker, ser_session **session, ser_error *err)
{
    ser_status st = SER_OK;
    if (!j->sessions[worker]) {
        st = ser_session_new(&j->sessions[worker], j->model, NULL, err);
        if (st == SER_OK && j->voice)
            st = ser_session_copy_baseline(j->sessions[worker], j->voice, err);
        if (st == SER_OK && follow)
            st = ser_session_follow_voice(j->sessions[worker], err);
    }
    *session = j->sessions[worker];
    return st;
}

/* A file name must not move the cursor. */
static void write_message(answer *a, const char *name, const char *text)
{
    ser_text_append(&a->messages, "ser: ");
    ser_append_line(&a->messages, name, 0, true);
    ser_text_append(&a->messages, ": ");
    ser_append_line(&a->messages, text, 0, true);
    ser_text_append(&a->messages, "\n");
}

static void write_error(answer *a, const ser_prediction_form *form, const char *name, const char *text)
{
    a->failed = true;
    write_message(a, name, text);
    if (is_format("json"))
        ser_prediction_json_error(&a->out, name, text);
    else if (is_format("csv"))
        ser_prediction_csv_error(&a->out, form, name, text);
}

static void write_result(answer *a, const ser_prediction_form *form, const char *name, const ser_result *r)
{
    if (r->warning[0])
        write_message(a, name, r->warning);
    if (is_format("json"))
        ser_prediction_json(&a->out, form, name, r);
    else if (is_format("csv"))
        ser_prediction_csv(&a->out, form, name, r);
    else
        ser_prediction_text(&a->out, form, name, r);
}

static ser_status draw(const ser_prediction_form *form, const char *name, const ser_result *r, ser_error *err)
{
    const char *slash = strrchr(name, '/');
    const ser_timeline_picture picture = {.title = slash ? slash + 1 : name,
                                          .labels = form->labels,
                                          .n_labels = form->n_labels,
                                          .segments = r->segments,
                                          .n_segments = r->n_segments,
                                          .duration_s = r->duration_s,
                                          .peaks = r->peaks,
                                          .n_peaks = r->n_peaks};
    ser_status st = ser_save_timeline(picture_path, &picture, err);
    return st == SER_OK ? st : ser_fail_within(err, st, "%s: ", picture_path);
}

/* Prints the answers whose turn has come. */
static void print_ready(job *j)
{
    while (j->n_printed < j->inputs->n && j->answers[j->n_printed].done) {
        answer *a = &j->answers[j->n_printed++];
        if (a->out.n)
            fwrite(a->out.s, 1, a->out.n, stdout);
        if (a->messages.n) {
            fflush(stdout);
            ser_progress_clear();
            fputs(a->messages.s, stderr);
        }
        j->n_failed += a->failed;
        ser_text_release(&a->out);
        ser_text_release(&a->messages);
    }
}

/* Of the only recording. */
static int tell_heard(void *context, double heard_s, double total_s)
{
    size_t done_s = (size_t)heard_s, all_s = (size_t)total_s;
    return !ser_progress_report(context, "seconds", all_s && done_s > all_s ? all_s : done_s, all_s);
}

static ser_status answer_input(job *j, const ser_input *input, int worker, ser_result *r, ser_error *err)
{
    enum { N_PEAKS = 600 };
    ser_session *session;
    ser_predict_options wanted = {.size = sizeof wanted, .timeline = timeline || picture_path};
    if (picture_path)
        wanted.n_peaks = N_PEAKS;
    if (j->inputs->n == 1 && j->progress.fn) {
        wanted.on_progress = tell_heard;
        wanted.context = &j->progress;
    }
    ser_status st = get_session(j, worker, &session, err);
    if (st == SER_OK)
        st = ser_predict_file(session, input->path, &wanted, r, err);
    if (st == SER_OK && picture_path)
        st = draw(&j->form, input->name, r, err);
    return st;
}

/* ser_work: never fails, so that the other recordings are still answered; SER_E_CANCELLED ends the work. */
static ser_status answer_one(void *context, size_t i, int worker, ser_error *err)
{
    job *j = context;
    const ser_input *input = &j->inputs->items[i];
    answer *a = &j->answers[i];
    ser_result r = {.label = -1};
    ser_error failure = {0};
    ser_status st = answer_input(j, input, worker, &r, &failure);
    if (st == SER_E_CANCELLED)
        return ser_fail(err, st, "interrupted");
    if (st == SER_OK)
        write_result(a, &j->form, input->name, &r);
    else
        write_error(a, &j->form, input->name, failure.text);
    ser_result_release(&r);
    pthread_mutex_lock(&j->lock);
    a->done = true;
    print_ready(j);
    j->n_done++;
    bool go_on =
        j->inputs->n == 1 || ser_progress_report(&j->progress, "recordings", j->n_done, j->inputs->n);
    pthread_mutex_unlock(&j->lock);
    return go_on ? SER_OK : ser_fail(err, SER_E_CANCELLED, "interrupted");
}

/* ---- all of them ---- */

static ser_status answer_all(job *j, int n_threads, ser_error *err)
{
    j->answers = ser_alloc(j->inputs->n, sizeof *j->answers);
    j->sessions = ser_alloc((size_t)n_threads, sizeof(ser_session *));
    if (!j->answers || !j->sessions)
        return ser_fail_nomem(err);
    if (is_format("csv")) {
        ser_text header = {0};
        ser_prediction_csv_header(&header, &j->form);
        fwrite(header.s, 1, header.n, stdout);
        ser_text_release(&header);
    }
    pthread_mutex_init(&j->lock, NULL);
    ser_status st = ser_parallel_for(n_threads, j->inputs->n, answer_one, j, err);
    pthread_mutex_destroy(&j->lock);
    for (size_t i = 0; i < j->inputs->n; i++) {
        ser_text_release(&j->answers[i].out);
        ser_text_release(&j->answers[i].messages);
    }
    for (int t = 0; t < n_threads; t++)
        ser_session_free(&j->sessions[t]);
    return st;
}

static ser_status hear_voice(ser_session **out, const ser_model *model, const ser_inputs *recordings,
                             ser_error *err)
{
    const char **paths = ser_alloc(recordings->n, sizeof *paths);
    ser_status st = paths ? ser_session_new(out, model, NULL, err) : ser_fail_nomem(err);
    for (size_t i = 0; i < recordings->n && st == SER_OK; i++)
        paths[i] = recordings->items[i].path;
    if (st == SER_OK)
        st = (adapt_folder ? ser_session_adapt : ser_session_set_baseline)(*out, paths, recordings->n, err);
    ser_free(paths);
    return st == SER_E_ARG ? SER_E_FORMAT
                           : st; /* too few recordings are a matter of the input, not of the usage */
}

static ser_status predict(const ser_inputs *inputs, const ser_inputs *voice, size_t *n_failed, ser_error *err)
{
    int n_threads = n_jobs ? (int)n_jobs : ser_n_cores();
    bool many = inputs->n > 1 && !follow; /* which takes them one by one */
    ser_settings settings;
    ser_model *model = NULL;
    const char *labels[SER_MAX_LABELS];
    ser_default_settings(&settings);
    ser_engine_options_apply(&engine, &settings);
    settings.n_threads = many ? 1 : n_threads; /* many recordings: one to a thread */
    ser_status st = ser_model_open(&model, model_path, &settings, err);
    if (st != SER_OK)
        return model_path ? ser_fail_within(err, st, "%s: ", model_path) : st;
    for (size_t i = 0; i < ser_model_n_labels(model); i++)
        labels[i] = ser_model_label(model, i);
    ser_style style = ser_style_of(stdout);
    job j = {.model = model,
             .inputs = inputs,
             .form = {.labels = labels,
                      .n_labels = ser_model_n_labels(model),
                      .min_confidence = min_confidence,
                      .timeline = timeline,
                      .bars = inputs->n == 1,
                      .style = style}};
    if (voice->n) /* while Ctrl-C still ends the program at once: there is nothing to save */
        st = hear_voice(&j.voice, model, voice, err);
    if (inputs->n == 1 || !style.terminal)
        j.progress = ser_progress_start();
    if (st == SER_OK)
        st = answer_all(&j, many ? n_threads : 1, err);
    ser_progress_clear();
    ser_session_free(&j.voice);
    ser_free(j.answers);
    ser_free(j.sessions);
    ser_model_close(&model);
    *n_failed += j.n_failed;
    return st;
}

static int run(int argc, char **argv)
{
    ser_option_list paths = {0};
    ser_inputs inputs = {0}, voice = {0};
    const char *voice_folder;
    ser_error err = {0};
    int status;
    size_t n_failed = 0;
    if (!ser_options_start(&ser_command_predict, argc, argv, &paths, &status)) {
        ser_option_list_release(&paths);
        return status;
    }
    if (!paths.n)
        status = ser_usage_error(&ser_command_predict, "no recording is named");
    else if ((adapt_folder != NULL) + (baseline_folder != NULL) + follow > 1)
        status = ser_usage_error(&ser_command_predict, "--adapt, --baseline and --follow: give one of them");
    else if (picture_path && paths.n > 1)
        status = ser_usage_error(&ser_command_predict, "--picture draws one recording, and %zu are named",
                                 paths.n);
    if (status != SER_EXIT_OK)
        goto done;
    for (size_t i = 0; i < paths.n; i++)
        if (ser_inputs_add(&inputs, paths.items[i], &err) != SER_OK) {
            ser_say("%s: %s", paths.items[i], err.text);
            n_failed++;
        }
    if (inputs.n_need_ffmpeg)
        ser_say("%zu file%s audio that cannot be read here (%s): install ffmpeg, or convert elsewhere with "
                "ffmpeg -i FILE OUT.wav",
                inputs.n_need_ffmpeg, inputs.n_need_ffmpeg == 1 ? " is" : "s are",
                inputs.kinds.s ? inputs.kinds.s : "");
    if (inputs.n_skipped)
        ser_say("%zu file%s in the folders %s not audio and left out: %s", inputs.n_skipped,
                inputs.n_skipped == 1 ? "" : "s", inputs.n_skipped == 1 ? "is" : "are",
                inputs.skipped.failed ? "" : inputs.skipped.s);
    if (inputs.n_folder_links)
        ser_say("links to folders are not followed: %zu", inputs.n_folder_links);
    ser_status st = SER_OK;
    voice_folder = adapt_folder ? adapt_folder : baseline_folder;
    if (voice_folder && (st = ser_inputs_add(&voice, voice_folder, &err)) != SER_OK)
        ser_fail_within(&err, st, "%s: ", voice_folder);
    if (st == SER_OK && picture_path && inputs.n > 1)
        st = ser_fail(&err, SER_E_ARG, "--picture draws one recording, and the folder holds %zu", inputs.n);
    if (st == SER_OK && inputs.n)
        st = predict(&inputs, &voice, &n_failed, &err);
    if (st != SER_OK)
        ser_say("%s", err.text);
    status = st != SER_OK ? ser_exit_status(st) : n_failed ? SER_EXIT_FAILED : SER_EXIT_OK;
done:
    ser_inputs_release(&inputs);
    ser_inputs_release(&voice);
    ser_option_list_release(&paths);
    return status;
}

/* ser listen: the emotion of speech while it is spoken, from a microphone or from standard input. */
#include "audio/microphone.h"
#include "audio/recorder.h"
#include "base/clock.h"
#include "base/memory.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/inputs.h"
#include "cli/live_screen.h"
#include "cli/progress.h"
#include "io/file.h"
#include "report/prediction.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const char *model_path, *format_name, *device, *encoding = "s16le", *record_path, *baseline_folder,
                                                      *min_confidence = "auto";
static bool list_devices, follow;
static long rate_hz = SER_SAMPLE_RATE_HZ, n_channels = 1, n_jobs;
static double update_s = 1, pause_s = 0.5;
static ser_engine_options engine = SER_ENGINE_OPTIONS_AUTO;

static const ser_option options[] = {
    {SER_OPTION_STRING, 'm', "model", &model_path, "FILE", "model that answers (default: the one built in)"},
    {SER_OPTION_CHOICE, 'f', "format", &format_name, "text|json",
     "a picture that moves, or one JSON event per line (default: text on a terminal, else json)"},
    {SER_OPTION_DOUBLE, 'u', "update", &update_s, "S", "seconds between measurements while somebody speaks",
     0.25, 10},
    {SER_OPTION_DOUBLE, 0, "pause", &pause_s, "S", "seconds without a voice that end an utterance", 0.1, 10},
    {SER_OPTION_STRING, 'r', "record", &record_path, "FILE", "keep what is heard (.wav or .flac)"},
    {SER_OPTION_STRING, 0, "min-confidence", &min_confidence, "auto|P",
     "below this the label is 'uncertain' (0: never; default: auto, the model's own rule)"},
    {SER_OPTION_STRING, 'b', "baseline", &baseline_folder, "FOLDER",
     "recordings of the same voice, without labels: answers become relative to it"},
    {SER_OPTION_FLAG, 0, "follow", &follow, NULL,
     "one voice: each utterance joins its baseline when it has ended"},
    {SER_OPTION_INT, 'j', "jobs", &n_jobs, "N", "threads (default: all cores)", 0, 1024},
    {SER_OPTION_GROUP, .help = "Where sound comes from"},
    {SER_OPTION_STRING, 'd', "device", &device, "NAME",
     "microphone, or a part of its name that no other has"},
    {SER_OPTION_FLAG, 'l', "list-devices", &list_devices, NULL, "list microphones, and end"},
    {SER_OPTION_INT, 0, "rate", &rate_hz, "HZ", "of standard input, samples a second", 1000, 768000},
    {SER_OPTION_INT, 0, "channels", &n_channels, "N", "of standard input", 1, 64},
    {SER_OPTION_CHOICE, 0, "encoding", &encoding, "s16le|f32le", "of standard input"},
    SER_ENGINE_OPTIONS(engine),
    {SER_OPTION_END},
};

static int run(int argc, char **argv);

const ser_command ser_command_listen = {
    .name = "listen",
    .run = run,
    .summary = "tell the emotion of speech while it is spoken",
    .usage = "[-]",
    .description = "From a microphone, or with - from raw samples on standard input. Events are "
                   "speech_start, measurement (of the last 3 s of the utterance so far; final ones are what "
                   "'ser predict --timeline' says of a recording), and speech_end with the answer for the "
                   "utterance.\n"
                   "Ctrl-C ends it, after the answer for the utterance under way; the exit status is then "
                   "130. People must be told when they are heard.",
    .examples = "ser listen\nser listen --list-devices\nser listen --device USB --record talk.flac\n"
                "arecord -q -f S16_LE -r 16000 -t raw | ser listen -",
    .options = options,
};

/* ---- where sound comes from ---- */

typedef struct source {
    ser_microphone *microphone; /* NULL: standard input */
    int rate_hz, n_channels;
    float *frames; /* (n_most, n_channels) */
    size_t n_most;
    unsigned char *bytes; /* of standard input: n_bytes lie there, the beginning of a frame */
    size_t n_bytes, sample_bytes;
} source;

/* Sound systems print what they do not find to standard error, in many lines: nothing of it is for the user.
 */
static int silence_stderr(void)
{
    fflush(stderr);
    int kept = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere >= 0) {
        dup2(nowhere, STDERR_FILENO);
        close(nowhere);
    }
    return kept;
}

static void restore_stderr(int kept)
{
    if (kept >= 0) {
        dup2(kept, STDERR_FILENO);
        close(kept);
    }
}

static ser_status open_source(source *s, bool from_stdin, ser_error *err)
{
    ser_status st = SER_OK;
    *s = (source){.rate_hz = (int)rate_hz, .n_channels = (int)n_channels};
    if (from_stdin && isatty(STDIN_FILENO))
        return ser_fail(err, SER_E_IO, "-: it is a terminal: pipe raw samples into the program");
    if (!from_stdin) {
        int kept = silence_stderr();
        st = ser_microphone_open(&s->microphone, device, err);
        restore_stderr(kept);
        if (st != SER_OK)
            return st;
        s->rate_hz = ser_microphone_rate_hz(s->microphone);
        s->n_channels = 1;
    }
    s->n_most = (size_t)(s->rate_hz / SER_MICROPHONE_BLOCKS_PER_S);
    s->sample_bytes = strcmp(encoding, "f32le") == 0 ? 4 : 2;
    s->frames = ser_alloc(s->n_most * (size_t)s->n_channels, sizeof *s->frames);
    s->bytes = ser_alloc(s->n_most * (size_t)s->n_channels, s->sample_bytes);
    return s->frames && s->bytes ? SER_OK : ser_fail_nomem(err);
}

static void close_source(source *s)
{
    ser_microphone_close(&s->microphone);
    ser_free(s->frames);
    ser_free(s->bytes);
}

static float sample_at(const unsigned char *bytes, size_t sample_bytes)
{
    uint32_t bits;
    float x;
    if (sample_bytes == 2)
        return (float)(int16_t)(bytes[0] | bytes[1] << 8) / 32768;
    bits = bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* What is there, at most 40 ms of it; *n 0: the end, or the wish to stop. */
static ser_status read_stdin(source *s, size_t *n, ser_error *err)
{
    size_t frame_bytes = s->sample_bytes * (size_t)s->n_channels;
    *n = 0;
    while (s->n_bytes < frame_bytes && !ser_interrupted()) {
        ssize_t k = read(STDIN_FILENO, s->bytes + s->n_bytes, s->n_most * frame_bytes - s->n_bytes);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return ser_fail(err, SER_E_IO, "-: it cannot be read (%s)", strerror(errno));
        if (k == 0 && s->n_bytes)
            ser_say("-: the last %zu byte%s no whole sample of %ld channel%s in %s: left out", s->n_bytes,
                    s->n_bytes == 1 ? " is" : "s are", n_channels, n_channels == 1 ? "" : "s", encoding);
        if (k == 0)
            return SER_OK;
        s->n_bytes += (size_t)k;
    }
    *n = s->n_bytes / frame_bytes;
    for (size_t i = 0; i < *n * (size_t)s->n_channels; i++)
        s->frames[i] = sample_at(s->bytes + i * s->sample_bytes, s->sample_bytes);
    s->n_bytes -= *n * frame_bytes;
    memmove(s->bytes, s->bytes + *n * frame_bytes, s->n_bytes);
    return SER_OK;
}

static ser_status read_source(source *s, size_t *n, ser_error *err)
{
    bool lost;
    if (!s->microphone)
        return read_stdin(s, n, err);
    *n = ser_interrupted() ? 0 : s->n_most;
    return *n ? ser_microphone_read(s->microphone, s->frames, &lost, err) : SER_OK;
}

/* ---- where events go ---- */

typedef struct output {
    ser_prediction_form form;
    bool as_json, moves; /* moves: a picture on a terminal */
    ser_live_screen screen;
    double drawn_s;
    ser_output record;
    ser_recorder *recorder;
} output;

static void write_text(ser_text *t)
{
    if (t->n)
        fwrite(t->s, 1, t->n, stdout);
    fflush(stdout);
    ser_text_release(t);
}

static void write_events(output *o, ser_stream *stream)
{
    const ser_event *e;
    while ((e = ser_stream_next(stream)) != NULL) {
        ser_text t = {0};
        if (o->as_json)
            ser_prediction_event(&t, &o->form, e);
        else if (o->moves)
            ser_live_screen_event(&o->screen, e);
        else if (e->kind == SER_EVENT_SPEECH_END)
            ser_prediction_event_text(&t, &o->form, e);
        if (t.n)
            write_text(&t);
    }
}

static void draw(output *o, const source *s, size_t n)
{
    static const double draw_every_s = 0.1;
    ser_live_screen_hear(&o->screen, s->frames, n * (size_t)s->n_channels, (double)n / s->rate_hz);
    if (!o->moves || ser_interrupted() || ser_clock_s() - o->drawn_s < draw_every_s)
        return;
    ser_text t = {0};
    ser_live_screen_draw(&o->screen, &t, ser_style_of(stdout));
    o->drawn_s = ser_clock_s();
    write_text(&t);
}

static ser_status open_record(output *o, const source *s, ser_error *err)
{
    if (!record_path)
        return SER_OK;
    ser_status st = ser_output_open(&o->record, record_path, err);
    if (st == SER_OK)
        st = ser_recorder_new(&o->recorder, fileno(o->record.file), record_path, s->rate_hz, s->n_channels,
                              err);
    return st == SER_OK ? st : ser_fail_within(err, st, "%s: ", record_path);
}

static ser_status close_record(output *o, ser_error *err)
{
    bool was_open = o->recorder != NULL;
    ser_recorder_free(&o->recorder);
    ser_status st = was_open ? ser_output_commit(&o->record, err) : SER_OK;
    ser_output_abort(&o->record);
    return st;
}

/* ---- listening ---- */

static ser_status hear(source *s, ser_stream *stream, output *o, ser_error *err)
{
    for (;;) {
        size_t n;
        ser_status st = read_source(s, &n, err);
        if (st != SER_OK || !n)
            return st;
        if (o->recorder && (st = ser_recorder_add(o->recorder, s->frames, n, err)) != SER_OK)
            return st;
        if ((st = ser_stream_push(stream, s->frames, n, err)) != SER_OK)
            return st;
        write_events(o, stream);
        draw(o, s, n);
    }
}

/* The answer for the utterance under way is given, and the recording kept, also where hearing ends badly. */
static ser_status listen_to(source *s, ser_session *session, output *o, ser_error *err)
{
    const ser_stream_settings settings = {.size = sizeof settings,
                                          .sample_rate_hz = s->rate_hz,
                                          .n_channels = s->n_channels,
                                          .pause_s = pause_s,
                                          .update_s = update_s};
    ser_stream *stream = NULL;
    ser_error later = {0};
    ser_status st = ser_stream_open(&stream, session, &settings, err);
    if (st == SER_OK)
        st = open_record(o, s, err);
    if (st == SER_OK)
        st = hear(s, stream, o, err);
    if (stream && ser_stream_finish(stream, &later) == SER_OK)
        write_events(o, stream);
    if (o->moves) {
        ser_text t = {0};
        if (ser_interrupted()) /* what is said of that stands below the last picture */
            ser_live_screen_leave(&o->screen);
        ser_live_screen_draw(&o->screen, &t, ser_style_of(stdout));
        write_text(&t);
    }
    ser_stream_close(&stream);
    ser_status kept = close_record(o, st == SER_OK ? err : &later);
    return st == SER_OK ? kept : st;
}

static ser_status know_voice(ser_session *session, ser_error *err)
{
    ser_inputs voice = {0};
    ser_status st = SER_OK;
    if (follow)
        return ser_session_follow_voice(session, err);
    if (!baseline_folder)
        return SER_OK;
    st = ser_inputs_add(&voice, baseline_folder, err);
    const char **paths = st == SER_OK ? ser_alloc(voice.n, sizeof *paths) : NULL;
    for (size_t i = 0; i < voice.n && paths; i++)
        paths[i] = voice.items[i].path;
    if (st == SER_OK)
        st = paths ? ser_session_set_baseline(session, paths, voice.n, err) : ser_fail_nomem(err);
    ser_free(paths);
    ser_inputs_release(&voice);
    if (st != SER_OK)
        ser_fail_within(err, st, "%s: ", baseline_folder);
    return st == SER_E_ARG ? SER_E_FORMAT : st;
}

static ser_status listen_with(const ser_model *model, source *s, double least, ser_error *err)
{
    ser_session *session = NULL;
    const ser_session_settings settings = {.size = sizeof settings, .n_threads = (int)n_jobs};
    ser_style style = ser_style_of(stdout);
    bool text = format_name ? strcmp(format_name, "text") == 0 : style.terminal;
    output o = {
        .form = ser_prediction_form_of(model, least), .as_json = !text, .moves = text && style.terminal};
    o.form.style = style;
    ser_live_screen_init(&o.screen, &o.form);
    ser_status st = ser_session_new(&session, model, &settings, err);
    if (st == SER_OK)
        st = know_voice(session, err);
    if (st == SER_OK && s->microphone && o.moves)
        ser_tell("%s, %d Hz. Ctrl-C ends it.", ser_microphone_name(s->microphone), s->rate_hz);
    ser_progress_start(); /* from now on Ctrl-C asks */
    if (st == SER_OK)
        st = listen_to(s, session, &o, err);
    ser_session_free(&session);
    return st;
}

static ser_status listen_from(bool from_stdin, double least, ser_error *err)
{
    ser_settings settings;
    ser_model *model = NULL;
    source s = {0};
    ser_default_settings(&settings);
    ser_engine_options_apply(&engine, &settings);
    ser_status st = ser_model_open(&model, model_path, &settings, err);
    if (st != SER_OK)
        return model_path ? ser_fail_within(err, st, "%s: ", model_path) : st;
    st = open_source(&s, from_stdin, err);
    if (st == SER_OK)
        st = listen_with(model, &s, least, err);
    close_source(&s);
    ser_model_close(&model);
    return st;
}

static int show_devices(void)
{
    ser_text lines = {0};
    ser_error err = {0};
    int kept = silence_stderr();
    ser_status st = ser_microphone_list(&lines, &err);
    restore_stderr(kept);
    if (st != SER_OK)
        ser_say("%s", err.text);
    else if (!lines.n)
        ser_say("there is no microphone: plug one in, or pipe sound in (ser listen -)");
    if (lines.n)
        fputs(lines.s, stdout);
    bool ok = st == SER_OK && lines.n;
    ser_text_release(&lines);
    return ok ? SER_EXIT_OK : SER_EXIT_FAILED;
}

static int run(int argc, char **argv)
{
    ser_option_list paths = {0};
    ser_error err = {0};
    double least = -1;
    int status;
    if (!ser_options_start(&ser_command_listen, argc, argv, &paths, &status))
        return status;
    bool from_stdin = paths.n == 1 && strcmp(paths.items[0], "-") == 0;
    if (paths.n && !from_stdin)
        status = ser_usage_error(&ser_command_listen,
                                 "%s: it listens to a microphone, or with - to standard input; "
                                 "'ser predict' takes recordings",
                                 paths.items[paths.n > 1]);
    else if (from_stdin && device)
        status = ser_usage_error(&ser_command_listen, "--device and -: give one of them");
    else if (baseline_folder && follow)
        status = ser_usage_error(&ser_command_listen, "--baseline and --follow: give one of them");
    else if (!ser_read_min_confidence(&least, min_confidence))
        status = ser_usage_error(&ser_command_listen,
                                 "--min-confidence: '%s' does not fit: give auto or a number from 0 to 1",
                                 min_confidence);
    else if (list_devices)
        status = show_devices();
    else if (listen_from(from_stdin, least, &err) != SER_OK) {
        ser_say("%s", err.text);
        status = ser_exit_status(err.status);
    } else if (ser_interrupted()) {
        status = SER_EXIT_INTERRUPTED;
    }
    ser_option_list_release(&paths);
    return status;
}

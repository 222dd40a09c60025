#include "failures/calls.h"
#include "voice.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RATE_HZ = 16000, MAX_SAMPLES = 3 * RATE_HZ };
static float pcm[MAX_SAMPLES];

#define CORPUS  "\"data\": \"corpus.csv\", "
#define LOGMEL  CORPUS "\"feature_type\": \"LOGMEL\", "
#define TINY    CORPUS "\"feature_type\": \"WHISPER\", \"encoder\": [\"tiny\"], \"layers\": \"1,2\", "
#define NETWORK "\"epoch\": 2, \"filter_size\": 4, \"dilation_size\": 1, \"stack_size\": 1, "
#define OUT     "\"run\": \"out\""

/* ---- what they work on ---- */

static void put_word(FILE *f, unsigned long x, int n)
{
    for (int i = 0; i < n; i++)
        fputc((int)(x >> 8 * i & 255), f);
}

static bool write_voice(const char *path, double pitch_hz, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (!f)
        return false;
    make_voice(pcm, n, pitch_hz);
    fwrite("RIFF", 1, 4, f), put_word(f, 36 + 2 * n, 4), fwrite("WAVEfmt ", 1, 8, f), put_word(f, 16, 4);
    put_word(f, 1, 2), put_word(f, 1, 2), put_word(f, RATE_HZ, 4), put_word(f, 2 * RATE_HZ, 4);
    put_word(f, 2, 2), put_word(f, 16, 2), fwrite("data", 1, 4, f), put_word(f, 2 * n, 4);
    for (size_t i = 0; i < n; i++)
        put_word(f, (unsigned long)lrintf(32767 * pcm[i]) & 0xffff, 2);
    return fclose(f) == 0;
}

/* A table of recordings of three emotions and two voices. */
static bool make_corpus(const char *name, double shift_hz)
{
    static const char *const emotions[] = {"angry", "neutral", "sad"};
    char path[64];
    snprintf(path, sizeof path, "%s.csv", name);
    FILE *table = fopen(path, "w");
    bool good = table && mkdir(name, 0777) == 0;
    if (good)
        fputs("file,emotion,speaker\n", table);
    for (int e = 0; e < 3; e++)
        for (int i = 0; i < 4 && good; i++) {
            snprintf(path, sizeof path, "%s/%s%d.wav", name, emotions[e], i);
            good = write_voice(path, 110 + 60 * e + 7 * i + shift_hz, RATE_HZ * 2 / 5);
            fprintf(table, "%s,%s,v%d\n", path, emotions[e], i % 3);
        }
    if (table)
        good = fclose(table) == 0 && good;
    return good;
}

static ser_status do_job(const char *job, const char *settings, char *answer, ser_error *err)
{
    ser_run_result *r = NULL;
    char json[1024];
    snprintf(json, sizeof json, "{%s, \"jobs\": 1}", settings);
    ser_status st = ser_run_json(&r, job, json, NULL, err);
    if (st == SER_OK && answer)
        snprintf(answer, ANSWER_BYTES, "%s", ser_run_result_text(r));
    else if (r && st != SER_OK)
        st = ser_run_result_folder(r) ? SER_E_ARG : SER_E_FORMAT; /* a result in spite of the failure */
    ser_run_result_free(&r);
    return st;
}

bool calls_prepare(const char *golden)
{
    ser_error err = {0};
    char target[512];
    snprintf(target, sizeof target, "%s/tune/tiny", golden);
    bool good = make_corpus("corpus", 0) && make_corpus("other", 11) &&
                write_voice("voice.wav", 140, MAX_SAMPLES) && symlink(target, "tiny") == 0;
    good = good && do_job("train", LOGMEL NETWORK "\"model_type\": \"linear+timnet\", \"run\": \"trained\"",
                          NULL, &err) == SER_OK;
    good = good && do_job("train",
                          LOGMEL "\"model_type\": \"linear\", \"split_fold\": 0, \"run\": \"trained-linear\"",
                          NULL, &err) == SER_OK;
    if (!good)
        fprintf(stderr, "not prepared: %s\n", err.text);
    return good;
}

/* ---- ser.h ---- */

static const char MODEL[] = "trained/model.safetensors";

static ser_status open_model(ser_model **model, ser_session **session, const char *path, ser_error *err)
{
    ser_settings s;
    ser_default_settings(&s);
    s.n_threads = 1;
    ser_status st = ser_model_open(model, path, &s, err);
    return st == SER_OK ? ser_session_new(session, *model, NULL, err) : st;
}

static void tell(char *answer, const ser_result *r)
{
    /* Whole numbers, which are written alike everywhere. */
    snprintf(answer, ANSWER_BYTES, "%d, %ld ppm, %zu segments of %ld ms", r->label,
             lrint(1e6 * (double)r->confidence), r->n_segments, lrint(1e3 * r->duration_s));
}

static ser_status predict(const call *c, char *answer, ser_error *err)
{
    ser_model *model = NULL;
    ser_session *session = NULL;
    ser_result r, before;
    const ser_predict_options options = {.timeline = 1};
    memset(&r, 0x5a, sizeof r);
    before = r;
    ser_status st = open_model(&model, &session, c->settings, err);
    if (st == SER_OK)
        st = ser_predict_file(session, "voice.wav", &options, &r, err);
    if (st == SER_OK) {
        tell(answer, &r);
        ser_result_release(&r);
    } else if (memcmp(&r, &before, sizeof r) != 0) {
        strcpy(answer, "the result was touched");
    }
    ser_session_free(&session);
    ser_model_close(&model);
    return st;
}

static ser_status hear_voice(const call *c, char *answer, ser_error *err)
{
    static const char *const paths[] = {"corpus/angry0.wav", "corpus/sad0.wav", "corpus/neutral0.wav"};
    ser_model *model = NULL;
    ser_session *session = NULL;
    ser_result r;
    (void)c;
    ser_status st = open_model(&model, &session, "trained-linear/model.safetensors", err);
    if (st == SER_OK)
        st = ser_session_set_baseline(session, paths, 3, err);
    if (st == SER_OK)
        st = ser_session_follow_voice(session, err);
    if (st == SER_OK)
        st = ser_predict_file(session, "voice.wav", NULL, &r, err);
    if (st == SER_OK) {
        tell(answer, &r);
        ser_result_release(&r);
    }
    ser_session_free(&session);
    ser_model_close(&model);
    return st;
}

static ser_status stream(const call *c, char *answer, ser_error *err)
{
    enum { PORTION = 1600 };
    ser_model *model = NULL;
    ser_session *session = NULL;
    ser_stream *s = NULL;
    size_t n_events = 0;
    double sum = 0;
    (void)c;
    make_voice(pcm, MAX_SAMPLES, 140);
    ser_status st = open_model(&model, &session, MODEL, err);
    if (st == SER_OK)
        st = ser_stream_open(&s, session, NULL, err);
    for (size_t at = 0; at <= MAX_SAMPLES && st == SER_OK; at += PORTION) {
        st = at < MAX_SAMPLES ? ser_stream_push(s, pcm + at, PORTION, err) : ser_stream_finish(s, err);
        for (const ser_event *e; st == SER_OK && (e = ser_stream_next(s)); n_events++)
            sum += e->start_s;
    }
    if (st == SER_OK)
        snprintf(answer, ANSWER_BYTES, "%zu events, %ld us", n_events, lrint(1e6 * sum));
    ser_stream_close(&s);
    ser_session_free(&session);
    ser_model_close(&model);
    return st;
}

/* ---- ser/run.h ---- */

static ser_status run_job(const call *c, char *answer, ser_error *err)
{
    return do_job(c->job, c->settings, answer, err);
}

const call calls[] = {
    {"predict", predict, NULL, MODEL, true},
    {"voice", hear_voice, NULL, NULL, true},
    {"stream", stream, NULL, NULL, true},
    {"train", run_job, "train", LOGMEL NETWORK OUT, true},
    {"train-linear", run_job, "train",
     LOGMEL "\"model_type\": \"linear\", \"inner_folds\": 2, \"split_fold\": 0, " OUT},
    {"fine-tune", run_job, "train",
     TINY "\"model_type\": \"linear\", \"pooling\": \"all\", \"split_fold\": 0, \"fine_tune\": true, "
          "\"fine_tune_steps\": 2, \"embed_encoder\": true, " OUT},
    {"evaluate", run_job, "evaluate",
     LOGMEL "\"protocol\": \"kfold=2\", \"augment\": 1, \"inner_folds\": 2, " OUT, true},
    {"evaluate-honest", run_job, "evaluate",
     LOGMEL
     "\"honest\": true, \"protocol\": \"group-kfold=2\", \"augment\": \"none\", \"inner_folds\": 2, " OUT},
    {"evaluate-corpora-left-out", run_job, "evaluate",
     LOGMEL "\"data\": \"corpus.csv+other.csv\", \"protocol\": \"loco\", \"augment\": \"none\", "
            "\"inner_folds\": 2, " OUT},
    {"test", run_job, "test", CORPUS "\"test_path\": \"trained\", " OUT, true},
    {"test-cross-corpus", run_job, "test-cross-corpus",
     CORPUS "\"target\": \"other.csv\", \"test_path\": \"trained\", \"visualize\": true, " OUT, true},
    {"train-lmmd", run_job, "train-lmmd",
     LOGMEL NETWORK "\"model_type\": \"timnet\", \"target\": \"other.csv\", \"visualize\": true, " OUT},
    {"extract-tree", run_job, "extract", LOGMEL "\"features_dir\": \"out\"", true},
    {"extract-one", run_job, "extract",
     "\"recording\": \"corpus/sad0.wav\", \"feature_type\": \"WHISPER\", \"encoder\": [\"tiny\"], "
     "\"layers\": "
     "\"1,2\", "
     "\"output\": \"out.npy\"",
     true},
    {"built-in", predict, NULL, NULL, true},
    {NULL},
};

/* The public interface of libser-run, by its header alone: settings, checks, JSON, listening, results. */
#include <ser/run.h>

#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int n_passed, n_failed;

#define CHECK(condition)                                                                                     \
    ((condition)                                                                                             \
         ? (void)n_passed++                                                                                  \
         : (void)(n_failed++, fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition)))
#define FAILS(call, status, words)                                                                           \
    do {                                                                                                     \
        err.text[0] = 0;                                                                                     \
        CHECK((call) == (status));                                                                           \
        CHECK(strstr(err.text, words));                                                                      \
        if (!strstr(err.text, words))                                                                        \
            fprintf(stderr, "    it says: %s\n", err.text);                                                  \
    } while (0)

static char folder[64] = "/tmp/ser-test-run-XXXXXX";
static ser_error err;

/* ---- a corpus ---- */

static const char *in_folder(const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof *paths, "%s/%s", folder, name);
    return path;
}

static void put_word(FILE *f, unsigned long x, int n)
{
    for (int i = 0; i < n; i++)
        fputc((int)(x >> 8 * i & 255), f);
}

/* Half a second of a tone, WAV of 16 bits. */
static void write_tone(const char *path, double hz)
{
    enum { RATE = 16000, N = RATE / 2 };
    FILE *f = fopen(path, "wb");
    if (!f)
        exit(1);
    fwrite("RIFF", 1, 4, f), put_word(f, 36 + 2 * N, 4), fwrite("WAVEfmt ", 1, 8, f), put_word(f, 16, 4);
    put_word(f, 1, 2), put_word(f, 1, 2), put_word(f, RATE, 4), put_word(f, 2 * RATE, 4), put_word(f, 2, 2);
    put_word(f, 16, 2), fwrite("data", 1, 4, f), put_word(f, 2 * N, 4);
    for (int i = 0; i < N; i++)
        put_word(f, (unsigned long)(long)(9000 * sin(6.283185307 * hz * i / RATE) + rand() % 200) & 0xffff,
                 2);
    fclose(f);
}

static void make_corpus(void)
{
    static const struct {
        const char *name;
        double hz;
    } emotions[] = {{"angry", 900}, {"sad", 200}, {"neutral", 450}};
    mkdir(in_folder("corpus"), 0777);
    for (int e = 0; e < 3; e++) {
        char path[64];
        snprintf(path, sizeof path, "corpus/%s", emotions[e].name);
        mkdir(in_folder(path), 0777);
        for (int i = 0; i < 6; i++) {
            snprintf(path, sizeof path, "corpus/%s/%d.wav", emotions[e].name, i);
            write_tone(in_folder(path), emotions[e].hz * (1 + 0.03 * i));
        }
    }
}

/* ---- settings ---- */

static void test_settings(void)
{
    ser_run_evaluate_settings s;
    ser_run_train_settings train;
    CHECK(ser_run_api_version() == SER_RUN_API_VERSION);
    ser_run_evaluate_settings_init(&s, sizeof s);
    CHECK(s.size == sizeof s && s.learning.preset == SER_RUN_BEST && s.learning.seed == 46 &&
          s.n_seeds == 1 && strcmp(s.learning.model_type, "linear") == 0 && s.network.n_epochs == -1 &&
          s.data.reserved[0] == 0);
    FAILS(ser_run_evaluate_check(&s, &err), SER_E_ARG, "data");
    s.data.corpus = "EMODB";
    FAILS(ser_run_evaluate_check(&s, &err), SER_E_ARG, "protocol");
    s.protocol = "loso";
    CHECK(ser_run_evaluate_check(&s, &err) == SER_OK);
    s.protocol = "kfold=none";
    FAILS(ser_run_evaluate_check(&s, &err), SER_E_ARG, "kfold");
    s.protocol = "loso";
    s.network.dropout = 2;
    FAILS(ser_run_evaluate_check(&s, &err), SER_E_ARG, "dropout: '2' does not fit");
    s.network.dropout = (double)NAN;
    FAILS(ser_run_evaluate_check(&s, &err), SER_E_ARG, "dropout");
    s.network.dropout = -1;
    s.normalize = (ser_run_normalize)7;
    FAILS(ser_run_evaluate_check(&s, &err), SER_E_ARG, "normalize");
    s.normalize = SER_RUN_NORMALIZE_NONE;
    s.data.feature_type = "LOGMEL+NOTHING";
    FAILS(ser_run_evaluate_check(&s, &err), SER_E_ARG, "NOTHING");
    s.data.feature_type = "WHISPER";
    s.data.layers = "2,x";
    FAILS(ser_run_evaluate_check(&s, &err), SER_E_ARG, "2,x");
    s.data.layers = "auto";
    s.learning.model_type = "tree";
    FAILS(ser_run_evaluate_check(&s, &err), SER_E_ARG, "tree");
    s.learning.model_type = "timnet+linear";
    CHECK(ser_run_evaluate_check(&s, &err) == SER_OK);
    s.learning.model_type = "linear+linear";
    FAILS(ser_run_evaluate_check(&s, &err), SER_E_ARG, "linear, timnet");
    s.learning.model_type = "linear+";
    FAILS(ser_run_evaluate_check(&s, &err), SER_E_ARG, "linear+");
    ser_run_train_settings_init(&train, sizeof train);
    train.data.corpus = "EMODB";
    train.n_folds = 1;
    FAILS(ser_run_train_check(&train, &err), SER_E_ARG, "split_fold");
    train.n_folds = 0;
    train.place.without = 1;
    FAILS(ser_run_train_check(&train, &err), SER_E_ARG, "lost");
}

/* A program of an older header has a shorter struct; what is beyond it has its default and is not touched. */
static void test_sizes(void)
{
    struct {
        ser_run_evaluate_settings s;
        char beyond[16];
    } room;
    size_t shorter = offsetof(ser_run_evaluate_settings, condition);
    memset(&room, 0x5a, sizeof room);
    ser_run_evaluate_settings_init(&room.s, shorter);
    CHECK(room.s.size == shorter && ((unsigned char *)&room.s)[shorter] == 0x5a && room.beyond[0] == 0x5a);
    room.s.data.corpus = "EMODB";
    room.s.protocol = "loso";
    CHECK(ser_run_evaluate_check(&room.s, &err) == SER_OK); /* n_seeds is rubbish, and beyond */
    memset(&room, 0, sizeof room);
    FAILS(ser_run_evaluate_check(&room.s, &err), SER_E_ARG, "not filled");
    FAILS(ser_run_evaluate_check(NULL, &err), SER_E_ARG, "not filled");
    room.s.size = sizeof room;
    FAILS(ser_run_evaluate_check(&room.s, &err), SER_E_ARG, "newer");
}

static void test_json_settings(void)
{
    static const struct {
        const char *job, *settings, *words;
    } wrong[] = {
        {"dance", "{}", "no such job"},
        {"evaluate", "", "no JSON object"},
        {"evaluate", "[1]", "no JSON object"},
        {"evaluate", "{\"data\": \"EMODB\", \"protocol\": \"loso\", \"epochs\": 3}",
         "epochs: there is no such setting: did you mean epoch?"},
        {"evaluate", "{\"data\": \"EMODB\", \"protocol\": \"loso\", \"colour\": 3}",
         "colour: there is no such setting"},
        {"evaluate", "{\"data\": \"EMODB\", \"protocol\": \"loso\", \"epoch\": \"3\"}",
         "epoch: its value is of a wrong type: give a whole number"},
        {"evaluate", "{\"data\": \"EMODB\", \"protocol\": \"loso\", \"run\": 3}",
         "run: its value is of a wrong type: give text"},
        {"evaluate", "{\"data\": \"EMODB\", \"protocol\": \"loso\", \"augment\": 1.5}",
         "augment: its value is of a wrong type: give a whole number, or \"none\""},
        {"evaluate", "{\"data\": \"EMODB\", \"protocol\": \"loso\", \"epoch\": 0}",
         "epoch: '0' does not fit"},
        {"evaluate", "{\"data\": \"EMODB\", \"protocol\": \"loso\", \"precision\": \"nonsense\"}",
         "precision"},
        {"evaluate", "{\"data\": \"EMODB\", \"protocol\": \"loso\", \"seed\": 1e300}", "seed"},
        {"evaluate", "{\"data\": \"EMODB\", \"protocol\": \"loso\", \"encoder\": [1]}", "encoder"},
        {"evaluate", "{\"data\": \"EMODB\"}", "protocol"},
        {"train", "{\"data\": \"EMODB\", \"resume\": true}", "resume"},
        {"train-lmmd", "{\"data\": \"EMODB\", \"layers\": \"weighted\"}", "weighted"},
        {"test", "{\"data\": \"EMODB\"}", "test_path"},
        {"extract", "{\"recording\": \"a.wav\"}", "output"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ser_run_result *r = (ser_run_result *)&err;
        FAILS(ser_run_json(&r, wrong[i].job, wrong[i].settings, NULL, &err), SER_E_ARG, wrong[i].words);
        CHECK(r == NULL);
    }
}

/* ---- jobs ---- */

typedef struct heard {
    int n_progress, n_epochs, n_restored, n_folders, stop_after, stop_after_epochs;
    double last_loss;
} heard;

static int on_progress(void *context, const char *what, size_t done, size_t total)
{
    heard *h = context;
    (void)what, (void)done, (void)total;
    return (h->stop_after && ++h->n_progress >= h->stop_after) ||
           (h->stop_after_epochs && h->n_epochs >= h->stop_after_epochs);
}

static void on_epoch(void *context, const ser_run_epoch_info *e)
{
    heard *h = context;
    h->n_epochs++;
    h->n_restored += e->restored;
    h->last_loss = e->train_loss;
    CHECK(e->epoch >= 1 && e->epoch <= e->n_epochs && e->n_networks == 1 && isnan(e->lmmd));
}

static void on_message(void *context, ser_run_message kind, const char *text)
{
    ((heard *)context)->n_folders += kind == SER_RUN_FOLDER && *text;
}

static ser_run_listener listen_with(heard *h)
{
    ser_run_listener l;
    ser_run_listener_init(&l, sizeof l);
    l.context = h;
    l.on_progress = on_progress;
    l.on_epoch = on_epoch;
    l.on_message = on_message;
    return l;
}

/* The same job by its struct and by JSON: the same figures. */
static void test_evaluate(void)
{
    char json[400];
    heard h = {0};
    const ser_run_listener listener = listen_with(&h);
    ser_run_result *r = NULL, *same = NULL;
    ser_run_evaluate_settings s;
    ser_run_evaluate_settings_init(&s, sizeof s);
    s.data.corpus = in_folder("corpus");
    s.data.feature_type = "LOGMEL";
    s.learning.n_copies = 0;
    s.learning.n_inner_folds = 2;
    s.protocol = "kfold=2";
    s.place.without = 1;
    CHECK(ser_run_evaluate(&r, &s, &listener, &err) == SER_OK);
    CHECK(r && !ser_run_result_folder(r) && !ser_run_result_was_complete(r) && !ser_run_result_n_failed(r));
    CHECK(h.n_folders == 0 && access("runs", F_OK) != 0);
    snprintf(json, sizeof json,
             "{\"data\": \"%s\", \"feature_type\": \"LOGMEL\", \"augment\": \"none\", \"inner_folds\": 2, "
             "\"protocol\": "
             "\"kfold=2\", \"run\": \"%s\"}",
             in_folder("corpus"), in_folder("evaluated"));
    CHECK(ser_run_json(&same, "evaluate", json, &listener, &err) == SER_OK);
    CHECK(h.n_folders == 1 && same && strcmp(ser_run_result_folder(same), in_folder("evaluated")) == 0);
    CHECK(access(in_folder("evaluated/report.html"), F_OK) == 0 &&
          access(in_folder("evaluated/.made"), F_OK) != 0);
    if (r && same) {
        const char *a = strstr(ser_run_result_json(r), "\"ua\""),
                   *b = strstr(ser_run_result_json(same), "\"ua\"");
        CHECK(a && b && strncmp(a, b, 30) == 0);
        CHECK(strcmp(ser_run_result_text(r), ser_run_result_text(same)) == 0 &&
              strstr(ser_run_result_text(r), "UA "));
    }
    ser_run_result_free(&r);
    ser_run_result_free(&same);
    CHECK(r == NULL);
    ser_run_result_free(&r);
    ser_run_result_free(NULL);
}

/* Stopped and resumed: the settings of the run are in force. */
static void test_train(void)
{
    heard h = {.stop_after = 30};
    const ser_run_listener listener = listen_with(&h);
    ser_run_result *r = NULL;
    ser_run_train_settings s;
    ser_run_train_settings_init(&s, sizeof s);
    s.data.corpus = in_folder("corpus");
    s.data.feature_type = "LOGMEL";
    s.network.n_epochs = 4;
    s.network.n_filters = 8;
    s.network.n_dilations = 2;
    s.network.n_stacks = 1;
    s.place.folder = in_folder("trained");
    CHECK(ser_run_train(&r, &s, &listener, &err) == SER_E_CANCELLED && r == NULL);
    CHECK(h.n_folders == 1);
    h = (heard){0};
    ser_run_train_settings_init(&s, sizeof s);
    s.place.folder = in_folder("trained");
    s.place.resume = 1;
    CHECK(ser_run_train(&r, &s, &listener, &err) == SER_OK);
    CHECK(h.n_epochs == 12 && h.last_loss > 0 && !ser_run_result_was_complete(r));
    CHECK(r && strstr(ser_run_result_json(r), "\"epoch\": 4"));
    ser_run_result_free(&r);
    CHECK(ser_run_train(&r, &s, &listener, &err) == SER_OK && ser_run_result_was_complete(r));
    CHECK(r && !*ser_run_result_json(r) && !*ser_run_result_text(r));
    ser_run_result_free(&r);
    FAILS(ser_run_json(&r, "evaluate", "{\"run\": \"/nowhere\", \"resume\": true}", NULL, &err), SER_E_IO,
          "/nowhere");
}

/* Stopped in the second seed and resumed: what both had learned is there still, and goes in the end. */
static void test_seeds(void)
{
    enum { N_FOLDS = 2, N_EPOCHS = 2 };
    heard h = {.stop_after_epochs = 3 * N_EPOCHS};
    const ser_run_listener listener = listen_with(&h);
    ser_run_result *whole = NULL, *r = NULL;
    ser_run_evaluate_settings s;
    ser_run_evaluate_settings_init(&s, sizeof s);
    s.data.corpus = in_folder("corpus");
    s.data.feature_type = "LOGMEL";
    s.learning.model_type = "timnet";
    s.learning.preset = SER_RUN_ORIGINAL;
    s.network.n_epochs = N_EPOCHS;
    s.network.n_filters = 8;
    s.network.n_dilations = 2;
    s.network.n_stacks = 1;
    s.protocol = "kfold=2";
    s.n_seeds = 2;
    s.place.without = 1;
    CHECK(ser_run_evaluate(&whole, &s, NULL, &err) == SER_OK);
    s.place.without = 0;
    s.place.folder = in_folder("seeds");
    CHECK(ser_run_evaluate(&r, &s, &listener, &err) == SER_E_CANCELLED && r == NULL);
    CHECK(access(in_folder("seeds/fold-1/state-1.safetensors"), F_OK) == 0);
    CHECK(access(in_folder("seeds/fold-seed-47-1/state-1.safetensors"), F_OK) == 0);
    ser_run_evaluate_settings_init(&s, sizeof s);
    s.place.folder = in_folder("seeds");
    s.place.resume = 1;
    h = (heard){0};
    CHECK(ser_run_evaluate(&r, &s, &listener, &err) == SER_OK);
    CHECK(h.n_epochs == 2 * N_FOLDS * N_EPOCHS && h.n_restored >= 3 * N_EPOCHS && h.n_restored < h.n_epochs);
    const char *of_whole = whole ? strstr(ser_run_result_json(whole), "\"seeds\"") : NULL;
    const char *of_both = r ? strstr(ser_run_result_json(r), "\"seeds\"") : NULL;
    CHECK(of_whole && of_both && strncmp(of_whole, of_both, strcspn(of_whole, "]")) == 0);
    CHECK(access(in_folder("seeds/fold-seed-47-1"), F_OK) != 0);
    ser_run_result_free(&whole);
    ser_run_result_free(&r);
}

/* ---- answers for many ---- */

typedef struct answers {
    size_t n, n_failed, out_of_order;
    float scores[8][SER_MAX_LABELS];
} answers;

static void on_answer(void *context, size_t i, const ser_result *r, const ser_error *failure)
{
    answers *a = context;
    a->out_of_order += i != a->n;
    a->n_failed += !r && strstr(failure->text, "No such file") != NULL;
    if (r && i < 8)
        memcpy(a->scores[i], r->scores, sizeof r->scores);
    a->n++;
}

/* In their order, the same by any number of threads as one by one, and the others in spite of one that fails.
 */
static void test_predict(void)
{
    enum { N = 6, MISSING = 2 };
    char names[N][200];
    const char *paths[N];
    answers one = {0}, several = {0};
    heard h = {0};
    ser_model *model = NULL;
    ser_session *session = NULL;
    ser_result r = {0};
    ser_run_predict_settings s;
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "%s/corpus/%s/%d.wav", folder, i % 2 ? "sad" : "angry", i);
        paths[i] = i == MISSING ? "/nowhere.wav" : names[i];
    }
    CHECK(ser_model_open(&model, in_folder("trained/model.safetensors"), NULL, &err) == SER_OK);
    ser_run_predict_settings_init(&s, sizeof s);
    CHECK(s.size == sizeof s && !s.on_answer);
    FAILS(ser_run_predict(model, paths, N, &s, NULL, &err), SER_E_ARG, "on_answer");
    s.on_answer = on_answer;
    s.context = &one;
    s.n_threads = 1;
    CHECK(ser_run_predict(model, paths, N, &s, NULL, &err) == SER_OK);
    s.context = &several;
    s.n_threads = 3;
    const ser_run_listener listener = listen_with(&h);
    CHECK(ser_run_predict(model, paths, N, &s, &listener, &err) == SER_OK);
    CHECK(one.n == N && several.n == N && one.n_failed == 1 && several.n_failed == 1);
    CHECK(!one.out_of_order && !several.out_of_order);
    CHECK(memcmp(one.scores, several.scores, sizeof one.scores) == 0);
    CHECK(ser_session_new(&session, model, NULL, &err) == SER_OK);
    CHECK(ser_predict_file(session, paths[N - 1], NULL, &r, &err) == SER_OK);
    CHECK(memcmp(r.scores, one.scores[N - 1], sizeof r.scores) == 0);
    ser_result_release(&r);
    ser_session_free(&session);
    h.stop_after = 1;
    FAILS(ser_run_predict(model, paths, N, &s, &listener, &err), SER_E_CANCELLED, "interrupted");
    s.adapt = 1;
    FAILS(ser_run_predict(model, paths, N, &s, NULL, &err), SER_E_ARG, "adapt");
    s.adapt = 0;
    s.follow = 1;
    s.voice = paths;
    s.n_voice = 1;
    FAILS(ser_run_predict(model, paths, N, &s, NULL, &err), SER_E_ARG, "follow");
    s.n_threads = -1;
    FAILS(ser_run_predict(model, paths, N, &s, NULL, &err), SER_E_ARG, "n_threads");
    ser_model_close(&model);
}

static void *train_beside(void *context)
{
    char json[500];
    ser_run_result *r = NULL;
    snprintf(json, sizeof json,
             "{\"data\": \"%s/corpus\", \"feature_type\": \"LOGMEL\", \"epoch\": 3, \"filter_size\": 8, "
             "\"dilation_size\": 2, \"stack_size\": 1, \"jobs\": 1, \"run\": \"%s/%s\"}",
             folder, folder, (const char *)context);
    bool good = ser_run_json(&r, "train", json, NULL, NULL) == SER_OK;
    ser_run_result_free(&r);
    return good ? context : NULL;
}

static bool same_files(const char *a, const char *b)
{
    FILE *x = fopen(in_folder(a), "rb"), *y = fopen(in_folder(b), "rb");
    int c = 0;
    bool same = x && y;
    while (same && c != EOF) {
        c = fgetc(x);
        same = c == fgetc(y);
    }
    if (x)
        fclose(x);
    if (y)
        fclose(y);
    return same;
}

/* Two jobs side by side do not know of each other: the same bits. */
static void test_threads(void)
{
    pthread_t threads[2];
    static char names[2][8] = {"beside", "besides"};
    void *good[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, train_beside, names[i]) == 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], &good[i]);
    CHECK(good[0] && good[1]);
    CHECK(same_files("beside/fold-1/weights.h5", "besides/fold-1/weights.h5"));
    CHECK(same_files("beside/model.safetensors", "besides/model.safetensors"));
}

int main(void)
{
    char command[128];
    if (!mkdtemp(folder) || chdir(folder) != 0)
        return 1;
    setenv("XDG_CACHE_HOME", in_folder("cache"), 1);
    make_corpus();
    test_settings();
    test_sizes();
    test_json_settings();
    test_evaluate();
    test_train();
    test_seeds();
    test_predict();
    test_threads();
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (chdir("/") != 0 || system(command) != 0)
        n_failed++;
    printf("%d passed, %d failed\n", n_passed, n_failed);
    return n_failed != 0;
}

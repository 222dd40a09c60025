/* Training a temporal network: that it learns, the same bits again, stops, averages, and goes on after kill.
 */
#include "base/memory.h"
#include "base/random.h"
#include "failures/failing.h"
#include "io/safetensors.h"
#include "scratch.h"
#include "test.h"
#include "train/timnet_fit.h"

#include <signal.h>
#include <sys/wait.h>

enum { N = 48, N_IN = 5, N_LABELS = 3, MAX_FRAMES = 40, SEED = 46 };

static ser_nn_ops *ops;

/* Recordings of 15 to 40 frames, whose label is where in time the first feature is high: a mean over time
 * says nothing. The others are noise, on a scale of hundreds. */
typedef struct corpus {
    float x[2 * N][MAX_FRAMES * N_IN];
    const float *frames[2 * N];
    size_t n_frames[2 * N], copy_of[2 * N];
    int label[2 * N], group[2 * N];
    ser_timnet_rows rows;
} corpus;

static void make_recording(corpus *c, size_t r, int label, ser_random *random)
{
    size_t n = 15 + ser_random_below(random, MAX_FRAMES - 14);
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < N_IN; i++) {
            double place = (double)t / (double)n * N_LABELS;
            double cue = (int)place != label ? 0 : i % 2 ? -1 : 1;
            double x = 0.2 * ser_random_normal(random) + cue;
            c->x[r][t * N_IN + i] = (float)(300 * x - 1000);
        }
    c->frames[r] = c->x[r];
    c->n_frames[r] = n;
    c->label[r] = label;
    c->copy_of[r] = r;
    c->group[r] = (int)r % 6;
}

/* With n_copies 1, rows N to 2 N - 1 are copies of the first. */
static corpus *make_corpus(size_t n, size_t n_copies)
{
    corpus *c = ser_alloc(1, sizeof *c);
    ser_random random;
    ser_random_init(&random, 7);
    for (size_t r = 0; r < n * (1 + n_copies); r++) {
        make_recording(c, r, (int)(r % n / 6 % N_LABELS), &random);
        c->copy_of[r] = r % n;
    }
    c->rows = (ser_timnet_rows){.frames = c->frames,
                                .n_frames = c->n_frames,
                                .label = c->label,
                                .group = c->group,
                                .copy_of = c->copy_of,
                                .n = n * (1 + n_copies),
                                .n_in = N_IN,
                                .n_labels = N_LABELS};
    return c;
}

static ser_timnet_settings small_settings(size_t n_epochs)
{
    ser_timnet_settings s = ser_timnet_default_settings();
    s.shape.n_filters = 12;
    s.shape.n_dilations = 3;
    s.shape.n_stacks = 1;
    s.shape.dropout = 0.1;
    s.n_epochs = n_epochs;
    s.batch_size = 8;
    s.rate = 1e-2;
    s.validation_share = 0.25;
    s.patience = 0;
    s.ops = ops;
    s.n_threads = 1;
    return s;
}

static bool same_bits(const ser_timnet_fit *a, const ser_timnet_fit *b)
{
    size_t n = a->member.net->n_values;
    return memcmp(a->member.net->values, b->member.net->values, n * sizeof(float)) == 0 &&
           memcmp(a->member.mean, b->member.mean, N_IN * sizeof(float)) == 0 &&
           memcmp(a->member.scale, b->member.scale, N_IN * sizeof(float)) == 0 &&
           a->member.temperature == b->member.temperature && a->n_epochs == b->n_epochs &&
           a->epoch_kept == b->epoch_kept && a->validation_loss == b->validation_loss;
}

static double right_of(const ser_timnet_fit *f, const ser_timnet_rows *rows)
{
    ser_error err = {0};
    ser_nn_work *nn = NULL;
    ser_timnet_scorer *scorer = NULL;
    const ser_timnet_layout layout = {.dims = N_IN};
    float scores[2 * N * N_LABELS];
    CHECK_OK(ser_nn_work_new(&nn, ops, 1, &err), &err);
    CHECK_OK(ser_timnet_scorer_new(&scorer, &f->member, 1, &layout, nn, &err), &err);
    const ser_timnet_batch batch = {rows->n, rows->frames, rows->n_frames};
    CHECK_OK(ser_timnet_score(scorer, &batch, scores, &err), &err);
    double n_right = 0;
    for (size_t r = 0; r < rows->n; r++) {
        const float *s = scores + r * N_LABELS;
        int best = s[1] > s[0] ? 1 : 0;
        n_right += (s[2] > s[best] ? 2 : best) == rows->label[r];
    }
    ser_timnet_scorer_free(&scorer);
    ser_nn_work_free(&nn);
    return n_right / (double)rows->n;
}

typedef struct listener {
    size_t n, n_restored, last;
    size_t kill_at;
} listener;

static void listen(void *context, const ser_timnet_epoch *e)
{
    listener *l = context;
    CHECK(e->epoch == ++l->n && e->n_epochs > 0);
    l->n_restored += e->restored;
    l->last = e->epoch;
    if (l->kill_at == e->epoch && !e->restored)
        raise(SIGKILL);
}

static void test_learning(void)
{
    corpus *c = make_corpus(N, 0);
    ser_error err = {0};
    ser_timnet_fit f;
    listener l = {0};
    ser_timnet_settings s = small_settings(60);
    s.on_epoch = listen;
    s.context = &l;
    CHECK_OK(ser_timnet_train(&f, &c->rows, &s, &err), &err);
    CHECK(l.n == 60 && l.n_restored == 0 && f.n_epochs == 60 && f.epoch_kept == 60);
    CHECK(f.n_train + f.n_validation == N && f.n_validation == 12 && !f.note[0]);
    const ser_timnet_epoch *first = &f.history[0], *last = &f.history[59];
    CHECK(first->train_loss > last->train_loss + 0.2 && last->train_accuracy > 90);
    CHECK(first->rate == 1e-2 && last->rate == 1e-2 && last->seconds > 0);
    CHECK(f.validation_ua > 90 && f.validation_accuracy > 90 && f.validation_loss < 0.3);
    CHECK(f.member.temperature > 0.04f && f.member.temperature < 20);
    CHECK(fabsf(f.member.mean[1] + 1100) < 10 && fabsf(f.member.scale[1] * 153 - 1) < 0.05f);
    CHECK(right_of(&f, &c->rows) > 0.95);
    ser_timnet_fit_release(&f);
    ser_free(c);
}

/* In bf16, where the processor has it: it learns, and threads make no difference. */
static void test_bf16(void)
{
    corpus *c = make_corpus(N, 0);
    ser_error err = {0};
    ser_timnet_fit f[2];
    ser_nn_ops *bf16 = NULL;
    ser_timnet_settings s = small_settings(60);
    if (ser_nn_ops_new(&bf16, SER_ENGINE_ONEDNN, SER_PRECISION_BF16, &err) == SER_OK) {
        s.ops = bf16;
        for (int i = 0; i < 2; i++) {
            s.n_threads = i + 1;
            CHECK_OK(ser_timnet_train(&f[i], &c->rows, &s, &err), &err);
        }
        CHECK(same_bits(&f[0], &f[1]) && right_of(&f[0], &c->rows) > 0.9);
        ser_timnet_fit_release(&f[0]);
        ser_timnet_fit_release(&f[1]);
    } else {
        CHECK(err.status == SER_E_UNSUPPORTED);
    }
    ser_nn_ops_free(&bf16);
    ser_free(c);
}

/* All that is random in training. */
static ser_timnet_settings rich_settings(size_t n_epochs)
{
    ser_timnet_settings s = small_settings(n_epochs);
    s.n_time_masks = s.n_feature_masks = 1;
    s.feature_mask_share = 0.4;
    s.mixup = 0.3;
    s.max_frames = 30;
    s.class_weights = true;
    s.n_warmup_epochs = 2;
    s.decay = 1;
    return s;
}

static void test_same_bits(void)
{
    corpus *c = make_corpus(N, 1);
    ser_error err = {0};
    ser_timnet_fit f[4];
    ser_timnet_settings s = rich_settings(3);
    for (int i = 0; i < 4; i++) {
        s.n_threads = i == 1 ? 2 : 1;
        s.n_average = i == 3 ? 0 : 2;
        s.seed = i == 2 ? 47 : 46;
        CHECK_OK(ser_timnet_train(&f[i], &c->rows, &s, &err), &err);
    }
    CHECK(same_bits(&f[0], &f[1]) && !same_bits(&f[0], &f[2]) && !same_bits(&f[0], &f[3]));
    CHECK(f[0].n_train == 72 && f[0].n_validation == 12);
    CHECK(f[0].history[0].rate < 0.51e-2 && f[0].history[1].rate == 1e-2 && f[0].history[2].rate < 1e-3);
    for (int i = 0; i < 4; i++)
        ser_timnet_fit_release(&f[i]);
    ser_free(c);
}

/* Each alteration changes what is learned; none changes what a mask of no width or an alpha near 0 would. */
static void test_alterations(void)
{
    corpus *c = make_corpus(N, 0);
    ser_error err = {0};
    enum { N_KINDS = 6 };
    ser_timnet_fit f[N_KINDS];
    for (int i = 0; i < N_KINDS; i++) {
        ser_timnet_settings s = small_settings(2);
        s.n_time_masks = i == 1 || i == 5;
        s.n_feature_masks = i == 2 || i == 5;
        s.time_mask_share = i == 5 ? 0 : 0.5;
        s.feature_mask_share = i == 5 ? 0 : 0.5;
        s.mixup = i == 3 ? 1 : 0;
        s.max_frames = i == 4 ? 10 : 500;
        CHECK_OK(ser_timnet_train(&f[i], &c->rows, &s, &err), &err);
    }
    for (int i = 1; i < N_KINDS; i++)
        CHECK(same_bits(&f[0], &f[i]) == (i == 5));
    for (int i = 0; i < N_KINDS; i++)
        ser_timnet_fit_release(&f[i]);
    ser_free(c);
}

/* With all weights constant (rate next to nothing) an average is what each epoch had, and its normalisation
 * is measured: the network answers as in training, where the running averages are still far off. */
static void test_average(void)
{
    corpus *c = make_corpus(N, 0);
    ser_error err = {0};
    ser_timnet_fit plain, average;
    ser_timnet_settings s = small_settings(2);
    s.rate = 1e-12;
    s.shape.dropout = 0;
    s.validation_share = 0;
    s.batch_size = N; /* one batch: its statistics are those of the whole part */
    CHECK_OK(ser_timnet_train(&plain, &c->rows, &s, &err), &err);
    s.n_average = 2;
    CHECK_OK(ser_timnet_train(&average, &c->rows, &s, &err), &err);
    const ser_timnet *a = average.member.net, *b = plain.member.net;
    check_close("weights", a->values, b->values, a->n_trained, 1e-5, 1e-9);
    /* Two steps of Keras's running averages from 0 and 1 have come so far. */
    const double come = 1 - 0.99 * 0.99;
    float *expected = ser_alloc(a->n_values, sizeof *expected);
    for (size_t i = 0; i < a->n_params; i++) {
        const ser_timnet_param *p = &a->params[i];
        double start = strstr(p->name, "variance") ? 1 : 0;
        for (size_t j = p->offset; p->offset >= a->n_trained && j < p->offset + p->n; j++)
            expected[j] = (float)(((double)b->values[j] - start * (1 - come)) / come);
    }
    check_close("norms", a->values + a->n_trained, expected + a->n_trained, a->n_values - a->n_trained, 1e-3,
                1e-4);
    CHECK(average.n_validation == 0 && isnan(average.validation_loss) && average.member.temperature == 1);
    CHECK(isnan(average.history[0].validation_loss));
    ser_free(expected);
    ser_timnet_fit_release(&plain);
    ser_timnet_fit_release(&average);
    ser_free(c);
}

static void test_patience(void)
{
    corpus *c = make_corpus(N, 0);
    ser_error err = {0};
    ser_timnet_fit f, until;
    ser_timnet_settings s = small_settings(40);
    s.patience = 3;
    s.rate = 0.05;
    CHECK_OK(ser_timnet_train(&f, &c->rows, &s, &err), &err);
    size_t best = 0;
    for (size_t i = 0; i < f.n_epochs; i++)
        best = f.history[i].validation_loss < f.history[best].validation_loss ? i : best;
    CHECK(f.epoch_kept == best + 1 && f.n_epochs == best + 4 && f.n_epochs < 40);
    s.n_epochs = f.epoch_kept;
    s.patience = 0;
    CHECK_OK(ser_timnet_train(&until, &c->rows, &s, &err), &err);
    until.n_epochs = f.n_epochs;
    CHECK(same_bits(&f, &until));
    ser_timnet_fit_release(&f);
    ser_timnet_fit_release(&until);
    ser_free(c);
}

/* Validation by speaker: rows 0, 6, ... belong to one; copies follow theirs. */
static void test_parts(void)
{
    corpus *c = make_corpus(N, 1);
    ser_error err = {0};
    ser_timnet_fit f;
    ser_timnet_settings s = small_settings(1);
    s.speaker_disjoint = true;
    s.validation_share = 1 / 6.0;
    CHECK_OK(ser_timnet_train(&f, &c->rows, &s, &err), &err);
    CHECK(f.n_validation == 8 && f.n_train == 2 * (N - 8) && !f.note[0]);
    ser_timnet_fit_release(&f);

    static const char *const labels[] = {"angry", "calm", "sad"};
    c->rows.n = N;
    c->rows.labels = labels;
    s.speaker_disjoint = false;
    for (size_t r = 0; r < N; r++) /* one sad, of speaker 0 */
        c->label[r] = r == 0 ? 2 : (int)r % 2;
    CHECK_OK(ser_timnet_train(&f, &c->rows, &s, &err), &err);
    CHECK(strcmp(f.note, "the validation part is too small to have any of sad") == 0);
    ser_timnet_fit_release(&f);
    s.speaker_disjoint = true;
    size_t n_notes = 0;
    for (s.seed = 0; s.seed < 12; s.seed++) {
        CHECK_OK(ser_timnet_train(&f, &c->rows, &s, &err), &err);
        n_notes += strstr(f.note, "nothing is left to learn from of sad; ") == f.note;
        CHECK(f.note[0] && f.n_validation == 8);
        ser_timnet_fit_release(&f);
    }
    CHECK(n_notes > 0 && n_notes < 12);

    c->rows.n = 2; /* of two emotions: nothing can be spared */
    c->label[1] = 0;
    s.speaker_disjoint = false;
    s.patience = 2;
    s.n_epochs = 4;
    CHECK_OK(ser_timnet_train(&f, &c->rows, &s, &err), &err);
    CHECK(f.n_validation == 0 && f.n_epochs == 4 && f.epoch_kept == 4 && f.member.temperature == 1 &&
          strstr(f.note, "too few recordings"));
    ser_timnet_fit_release(&f);
    ser_free(c);
}

/* ---- states ---- */

static bool stop_at(void *context, const char *what, size_t done, size_t total)
{
    CHECK(strcmp(what, "fold 1") == 0 && total > done - 1);
    return done < *(size_t *)context;
}

/* A process of its own that is killed after epoch kill_at. */
static void run_and_kill(const corpus *c, ser_timnet_settings s, size_t kill_at)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        listener l = {.kill_at = kill_at};
        ser_timnet_fit f;
        s.on_epoch = listen;
        s.context = &l;
        ser_timnet_train(&f, &c->rows, &s, NULL);
        _exit(0);
    }
    int how = 0;
    CHECK(child > 0 && waitpid(child, &how, 0) == child && WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
}

static void check_resumed(const corpus *c, ser_timnet_settings s, const ser_timnet_fit *undisturbed)
{
    ser_error err = {0};
    const char *path = scratch("run.state");
    ser_timnet_fit f;
    s.state_path = path;
    run_and_kill(c, s, 2);
    run_and_kill(c, s, 3);
    listener l = {0};
    size_t batch_to_stop_at = 5 * ((undisturbed->n_train + 7) / 8) - 1;
    const ser_progress progress = {stop_at, &batch_to_stop_at};
    s.on_epoch = listen;
    s.context = &l;
    s.progress = &progress;
    s.what = "fold 1";
    CHECK_FAILS(ser_timnet_train(&f, &c->rows, &s, &err), SER_E_CANCELLED, &err, "saved");
    CHECK(l.n == 4 && l.n_restored == 3 && !f.history && !f.member.net);
    s.progress = NULL;
    for (size_t again = 0; again < 2; again++) { /* the second time there is nothing left to do */
        l = (listener){0};
        s.n_threads = 2;
        CHECK_OK(ser_timnet_train(&f, &c->rows, &s, &err), &err);
        CHECK(l.n == undisturbed->n_epochs && l.n_restored == (again ? l.n : 4));
        CHECK(same_bits(&f, undisturbed));
        for (size_t i = 0; i < f.n_epochs; i++)
            CHECK(f.history[i].train_loss == undisturbed->history[i].train_loss &&
                  f.history[i].rate == undisturbed->history[i].rate && f.history[i].epoch == i + 1);
        ser_timnet_fit_release(&f);
    }
    remove(path);
}

/* With an average, then with patience, whose best epoch may lie before the interruption. */
static void test_resuming(void)
{
    corpus *c = make_corpus(N, 1);
    ser_error err = {0};
    ser_timnet_fit f;
    ser_timnet_settings s = rich_settings(6);
    s.n_average = 4;
    CHECK_OK(ser_timnet_train(&f, &c->rows, &s, &err), &err);
    check_resumed(c, s, &f);
    ser_timnet_fit_release(&f);
    s.n_average = 0;
    s.patience = 6;
    s.rate = 0.05;
    s.n_warmup_epochs = 0;
    for (size_t r = 0; r < 2 * N; r++) /* nothing to learn but by heart */
        c->label[r] = (int)(r % N * 7 / 5) % N_LABELS;
    CHECK_OK(ser_timnet_train(&f, &c->rows, &s, &err), &err);
    CHECK(f.epoch_kept < 6);
    check_resumed(c, s, &f);
    ser_timnet_fit_release(&f);
    ser_free(c);
}

static void check_refused(const corpus *c, const ser_timnet_settings *s, ser_status status, const char *words)
{
    ser_error err = {0};
    ser_timnet_fit f;
    CHECK_FAILS(ser_timnet_train(&f, &c->rows, s, &err), status, &err, words);
    CHECK(strstr(err.text, ".state: ") && !f.member.net);
}

/* Writes another program version, or format version, into a state. */
static void rewrite(const char *path, const char *before, char digit)
{
    static char bytes[1 << 20];
    FILE *file = fopen(path, "r+b");
    size_t n = file ? fread(bytes, 1, sizeof bytes - 1, file) : 0;
    bytes[n] = 0;
    for (size_t i = 0; i < n; i++)
        bytes[i] = bytes[i] ? bytes[i] : ' ';
    const char *at = strstr(bytes, before);
    CHECK(file && at);
    if (file && at) {
        fseek(file, at - bytes + (long)strlen(before), SEEK_SET);
        fputc(digit, file);
    }
    if (file)
        fclose(file);
}

/* A state is gone on with by another version of the program, and not by one that does not know its format. */
static void test_other_programs(void)
{
    corpus *c = make_corpus(N, 0);
    ser_error err = {0};
    ser_timnet_fit f;
    ser_timnet_settings s = small_settings(2);
    char path[512];
    snprintf(path, sizeof path, "%s", scratch("program.state"));
    s.state_path = path;
    CHECK_OK(ser_timnet_train(&f, &c->rows, &s, &err), &err);
    ser_timnet_fit_release(&f);
    rewrite(path, "version=", '7');
    CHECK_OK(ser_timnet_train(&f, &c->rows, &s, &err), &err);
    CHECK(f.history && f.history[1].restored);
    ser_timnet_fit_release(&f);
    rewrite(path, "state_version\":\"", '7');
    CHECK_FAILS(ser_timnet_train(&f, &c->rows, &s, &err), SER_E_UNSUPPORTED, &err, "format version 7");
    ser_free(c);
}

static void test_other_states(void)
{
    corpus *c = make_corpus(N, 0);
    ser_error err = {0};
    ser_timnet_fit f;
    ser_timnet_settings s = small_settings(2), other;
    s.state_path = scratch("other.state");
    s.identity = "features=LOGMEL;fold=1";
    CHECK_OK(ser_timnet_train(&f, &c->rows, &s, &err), &err);
    ser_timnet_fit_release(&f);
    other = s;
    other.batch_size = 7;
    check_refused(c, &other, SER_E_FORMAT, "it has batch_size=8, now it is batch_size=7");
    other = s;
    other.identity = "features=LOGMEL;fold=2";
    check_refused(c, &other, SER_E_FORMAT, "it has fold=1, now it is fold=2");
    other.identity = NULL;
    check_refused(c, &other, SER_E_FORMAT, "it has features=LOGMEL, now it is ");
    c->x[3][4] += 1e-3f;
    check_refused(c, &s, SER_E_FORMAT, "other features");
    c->x[3][4] -= 1e-3f;
    c->group[2]++;
    check_refused(c, &s, SER_E_FORMAT, "other features");
    c->group[2]--;
    other = s;
    other.state_path = scratch("missing/other.state");
    CHECK_FAILS(ser_timnet_train(&f, &c->rows, &other, &err), SER_E_IO, &err, "missing/other.state: ");
    ser_free(c);
}

/* Any byte of a state that changes is noticed, and any length. */
/* One batch makes the epoch, so that Adam's averages tell of their betas: (1 - beta1) g and (1 - beta2) g^2.
 */
static void test_betas(void)
{
    corpus *c = make_corpus(N, 0);
    ser_timnet_settings s = small_settings(1);
    ser_timnet_fit f;
    ser_error err = {0};
    ser_safetensors *file = NULL;
    char path[512];
    snprintf(path, sizeof path, "%s", scratch("betas.safetensors"));
    s.batch_size = N;
    s.beta1 = 0.6;
    s.beta2 = 0.9;
    s.state_path = path;
    CHECK_OK(ser_timnet_train(&f, &c->rows, &s, &err), &err);
    CHECK_OK(ser_safetensors_open(&file, path, &err), &err);
    const ser_tensor *mean = ser_safetensors_find(file, "adam.mean"),
                     *square = ser_safetensors_find(file, "adam.square");
    size_t n_told = 0;
    for (size_t i = 0; mean && square && i < mean->n_elements; i++) {
        double m = (double)((const float *)mean->data)[i], v = (double)((const float *)square->data)[i];
        if (fabs(m) < 1e-6)
            continue;
        n_told++;
        CHECK(fabs(m * m / v - (1 - 0.6) * (1 - 0.6) / (1 - 0.9)) < 1e-3);
    }
    CHECK(n_told > 100);
    ser_safetensors_close(&file);
    ser_timnet_fit_release(&f);
    unlink(path);
    ser_free(c);
}

static void test_damaged_states(void)
{
    corpus *c = make_corpus(N, 0);
    ser_error err = {0};
    ser_timnet_fit f, whole;
    ser_timnet_settings s = small_settings(1);
    const char *path = s.state_path = scratch("damaged.state");
    CHECK_OK(ser_timnet_train(&whole, &c->rows, &s, &err), &err);
    ser_bytes bytes = {0};
    CHECK_OK(ser_io_read(&bytes, path, 0, &err), &err);
    unsigned char *copy = ser_alloc(bytes.n, 1);
    size_t n_refused = 0, n_tried = 0;
    for (size_t at = 0; at < bytes.n; at += at < 2000 ? 37 : 4999) {
        memcpy(copy, bytes.data, bytes.n);
        copy[at] ^= 4;
        scratch_put("damaged.state", copy, bytes.n);
        ser_status st = ser_timnet_train(&f, &c->rows, &s, &err);
        n_refused += st == SER_E_FORMAT || st == SER_E_UNSUPPORTED;
        CHECK(st != SER_OK || same_bits(&f, &whole)); /* a bit in the padding, or in a key nobody reads */
        ser_timnet_fit_release(&f);
        n_tried++;
    }
    CHECK(n_refused + 2 >= n_tried && n_tried > 50);
    for (size_t n = 0; n < bytes.n; n += bytes.n / 9) {
        scratch_put("damaged.state", bytes.data, n);
        CHECK(ser_timnet_train(&f, &c->rows, &s, &err) == SER_E_FORMAT &&
              strstr(err.text, "damaged.state: "));
    }
    ser_timnet_fit_release(&whole);
    ser_bytes_release(&bytes);
    ser_free(copy);
    ser_free(c);
}

/* ---- bad input ---- */

static void check_bad(const corpus *c, const ser_timnet_settings *s, ser_status status, const char *words)
{
    ser_error err = {0};
    ser_timnet_fit f;
    CHECK_FAILS(ser_timnet_train(&f, &c->rows, s, &err), status, &err, words);
    CHECK(!strchr(err.text, '\n') && !f.history);
}

static void test_bad_rows(void)
{
    static const char *const names[2 * N] = {"a.wav", "b.wav", "c.wav"};
    corpus *c = make_corpus(N, 0);
    ser_timnet_settings s = small_settings(1);
    c->x[1][2 * N_IN + 3] = INFINITY;
    check_bad(c, &s, SER_E_FORMAT, "recording 2, frame 2: feature 3 is not a finite number");
    c->rows.name = names;
    check_bad(c, &s, SER_E_FORMAT, "recording 'b.wav', frame 2");
    c->x[1][2 * N_IN + 3] = 0;
    c->n_frames[2] = 0;
    check_bad(c, &s, SER_E_ARG, "recording 'c.wav' has no frames");
    c->n_frames[2] = 15;
    c->label[0] = N_LABELS;
    check_bad(c, &s, SER_E_ARG, "recording 'a.wav' has label 3");
    c->label[0] = 0;
    c->copy_of[0] = 1;
    c->copy_of[1] = 2;
    check_bad(c, &s, SER_E_ARG, "is a copy of what is no recording");
    c->copy_of[0] = 0;
    c->copy_of[1] = 1;
    c->rows.n = 6;
    check_bad(c, &s, SER_E_ARG, "all 6 recordings are of one emotion");
    c->rows.n = 1;
    check_bad(c, &s, SER_E_ARG, "1 recording: at least two");
    c->rows.n = 0;
    check_bad(c, &s, SER_E_ARG, "0 recordings: at least two");
    c->rows.n = N;
    c->rows.n_in = 0;
    check_bad(c, &s, SER_E_ARG, "width is 0");
    ser_free(c);
}

static void test_bad_settings(void)
{
    corpus *c = make_corpus(N, 0);
    const ser_timnet_settings good = small_settings(2);
    ser_timnet_settings s = good;
    s.patience = 1;
    s.n_average = 1;
    check_bad(c, &s, SER_E_ARG, "set patience 0");
    s.n_average = 0;
    s.validation_share = 0;
    check_bad(c, &s, SER_E_ARG, "needs a validation part");
    s = good;
    s.n_epochs = 0;
    check_bad(c, &s, SER_E_ARG, "number of epochs is 0: choose 1 to");
    s = good;
    s.mixup = NAN;
    check_bad(c, &s, SER_E_ARG, "mixup is nan: choose 0 to 2");
    s = good;
    s.validation_share = 0.6;
    check_bad(c, &s, SER_E_ARG, "validation share is 0.6");
    s = good;
    s.shape.kernel_size = 0;
    check_bad(c, &s, SER_E_ARG, "kernel size is 0");
    s = good;
    s.rate = 1e12;
    s.n_epochs = 60;
    check_bad(c, &s, SER_E_ARG, "lower the learning rate");
    ser_free(c);
}

static void test_memory(void)
{
    corpus *c = make_corpus(N, 0);
    ser_error err = {0};
    ser_timnet_fit f;
    ser_timnet_settings s = small_settings(1);
    s.n_average = 1;
    s.state_path = scratch("memory.state");
    ser_status st = SER_E_NOMEM;
    long n = 0;
    for (; st != SER_OK && n < 5000; n += n < 60 ? 1 : 7) {
        remove(s.state_path);
        failing_at(n);
        st = ser_timnet_train(&f, &c->rows, &s, &err);
        CHECK(st == SER_OK || (st == SER_E_NOMEM && !f.member.net && !f.history));
    }
    failing_at(-1);
    CHECK(st == SER_OK && n > 60);
    ser_timnet_fit_release(&f);
    ser_free(c);
}

/* A batch in one part is the whole batch; in several it learns as well, to the same bits by any number of
 * threads. */
static void test_micro_batches(void)
{
    corpus *c = make_corpus(N, 0);
    ser_error err = {0};
    ser_timnet_settings s = small_settings(3);
    ser_timnet_fit whole, one, parts, again;
    s.shape.dropout = 0;
    CHECK_OK(ser_timnet_train(&whole, &c->rows, &s, &err), &err);
    s.micro_batch = s.batch_size;
    CHECK_OK(ser_timnet_train(&one, &c->rows, &s, &err), &err);
    const ser_timnet *a = whole.member.net, *b = one.member.net;
    CHECK(memcmp(a->values, b->values, a->n_trained * sizeof(float)) == 0);
    check_close("running averages", a->values + a->n_trained, b->values + b->n_trained,
                a->n_values - a->n_trained, 1e-4, 1e-5);
    s = small_settings(30);
    s.micro_batch = 3; /* parts of 3, 3 and 2 */
    CHECK_OK(ser_timnet_train(&parts, &c->rows, &s, &err), &err);
    CHECK(right_of(&parts, &c->rows) > 0.8);
    s.n_threads = 2;
    CHECK_OK(ser_timnet_train(&again, &c->rows, &s, &err), &err);
    CHECK(same_bits(&parts, &again));
    ser_timnet_fit_release(&whole);
    ser_timnet_fit_release(&one);
    ser_timnet_fit_release(&parts);
    ser_timnet_fit_release(&again);
    ser_free(c);
}

int main(void)
{
    ser_error err = {0};
    scratch_make();
    CHECK_OK(ser_nn_ops_new(&ops, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, &err), &err);
    test_learning();
    test_bf16();
    test_same_bits();
    test_alterations();
    test_average();
    test_patience();
    test_parts();
    test_micro_batches();
    test_resuming();
    test_other_states();
    test_other_programs();
    test_betas();
    test_damaged_states();
    test_bad_rows();
    test_bad_settings();
    test_memory();
    ser_nn_ops_free(&ops);
    scratch_remove();
    return test_summary();
}

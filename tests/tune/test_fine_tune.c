/* Training: ten steps against PyTorch, resumed and interrupted runs, threads, what goes wrong. */
#include "failures/failing.h"
#include "scratch.h"
#include "tiny.h"
#include "tune/fine_parts.h"

#include <signal.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

static float *sound;

typedef struct source {
    size_t bad_row;     /* gives a sample that is no number, from draw on */
    uint64_t from_draw; /* 0: never */
} source;

static ser_status read_row(void *context, size_t row, uint64_t draw, int worker, float *pcm, size_t capacity,
                           size_t *n_samples, float *target, bool *mask, ser_error *err)
{
    (void)worker;
    (void)target;
    (void)mask;
    (void)err;
    const source *s = context;
    *n_samples = lengths[row] < capacity ? lengths[row] : capacity;
    memcpy(pcm, sound, *n_samples * sizeof *pcm);
    if (s && s->from_draw && row == s->bad_row && draw >= s->from_draw)
        pcm[100] = NAN;
    return SER_OK;
}

static const char *const names[N_ROWS] = {"a.wav", "b.wav", "c.wav", "d.wav"};
static const ser_tune_rows rows = {.n = N_ROWS,
                                   .n_labels = N_LABELS,
                                   .n_samples = lengths,
                                   .target = targets,
                                   .mask = masks,
                                   .name = names,
                                   .read = read_row};

/* As in tools/make_golden_tune.py: an epoch is a step. */
static ser_tune_settings golden_settings(const ser_nn_ops *ops)
{
    ser_tune_settings s = ser_tune_default_settings();
    s.n_epochs = 10;
    s.batch_size = N_ROWS;
    s.max_samples = MAX_SAMPLES;
    s.rate = 2e-3;
    s.head_rate = 1e-2;
    s.layer_decay = 0.8;
    s.warmup = 0.3;
    s.floor = 0.02;
    s.decay = 0.05;
    s.pull = 0.5;
    s.clip = 0.7;
    s.average = 0.9;
    s.label_smoothing = 0.1;
    s.ops = ops;
    s.n_threads = 1;
    return s;
}

static ser_nn_ops *open_ops(ser_engine engine)
{
    ser_nn_ops *ops = NULL;
    ser_error err = {0};
    CHECK_OK(ser_nn_ops_new(&ops, engine, SER_PRECISION_FP32, &err), &err);
    return ops;
}

static void test_golden(void)
{
    ser_safetensors *f = open_golden("tune/steps.safetensors");
    ser_nn_ops *ops = open_ops(SER_ENGINE_ONEDNN);
    for (int average = 0; average < 2; average++) {
        ser_tune_net *net = open_tiny(f, 0);
        ser_tune_settings s = golden_settings(ops);
        if (!average)
            s.average = 0;
        ser_tune_fit fit;
        ser_error err = {0};
        CHECK_OK(ser_tune_train(&fit, net, &rows, &s, &err), &err);
        CHECK(fit.n_epochs == 10 && fit.n_steps == 10);
        float *losses = golden(f, "step_losses", NULL, NULL);
        for (size_t i = 0; i < fit.n_epochs && losses; i++)
            CHECK(fabs(fit.history[i].loss - (double)losses[i]) < 1e-4 * (double)losses[i]);
        ser_free(losses);
        check_tensors(net, net->values + net->n_frozen, net->n_frozen, f, average ? "average" : "value", 1e-4,
                      1e-4);
        ser_tune_fit_release(&fit);
        ser_tune_net_free(&net);
    }
    ser_nn_ops_free(&ops);
    ser_safetensors_close(&f);
}

/* ---- the same bits ---- */

/* Batches of two, five steps an epoch, with everything that is random. */
static ser_tune_settings busy_settings(const ser_nn_ops *ops)
{
    ser_tune_settings s = golden_settings(ops);
    s.n_epochs = 2;
    s.batch_size = 2;
    s.n_per_epoch = 10;
    s.rate = 1e-3;
    s.dropout = 0.2;
    s.open_share = 0.3;
    s.stripe_probability = 0.7;
    return s;
}

typedef struct stop {
    uint64_t at; /* step after which to stop */
} stop;

static bool stop_at(void *context, const char *what, size_t done, size_t total)
{
    (void)what;
    (void)total;
    return done != ((stop *)context)->at;
}

static float *train_busy(const ser_nn_ops *ops, size_t rank, int n_threads, const uint64_t *stops,
                         size_t n_stops, size_t *n_values)
{
    ser_tune_net *net = NULL;
    ser_tune_settings s = busy_settings(ops);
    char path[512];
    snprintf(path, sizeof path, "%s", scratch("state"));
    unlink(path);
    s.n_threads = n_threads;
    s.lora_rank = rank;
    s.pull = rank ? 0 : s.pull;
    s.state_path = n_stops ? path : NULL;
    for (size_t i = 0; i <= n_stops; i++) {
        stop context = {i < n_stops ? stops[i] : 0};
        ser_progress progress = {stop_at, &context};
        ser_tune_fit fit;
        ser_error err = {0};
        s.progress = &progress;
        ser_tune_net_free(&net);
        net = open_tiny(NULL, 0);
        ser_status expected = i < n_stops ? SER_E_CANCELLED : SER_OK;
        ser_status status = ser_tune_train(&fit, net, &rows, &s, &err);
        if (status != expected)
            fprintf(stderr, "%s\n", err.text);
        CHECK(status == expected);
        ser_tune_fit_release(&fit);
    }
    *n_values = net->n_values;
    float *values = ser_alloc(net->n_values, sizeof *values);
    memcpy(values, net->values, net->n_values * sizeof *values);
    ser_tune_net_free(&net);
    return values;
}

static void test_same_bits(size_t rank)
{
    size_t n;
    ser_nn_ops *ops = open_ops(SER_ENGINE_ONEDNN);
    float *plain = train_busy(ops, rank, 1, NULL, 0, &n), *threads = train_busy(ops, rank, 3, NULL, 0, &n);
    float *resumed = train_busy(ops, rank, 2, (const uint64_t[]){3, 5, 7}, 3, &n);
    CHECK(memcmp(plain, threads, n * sizeof *plain) == 0);
    CHECK(memcmp(plain, resumed, n * sizeof *plain) == 0);
    ser_free(plain);
    ser_free(threads);
    ser_free(resumed);
    ser_nn_ops_free(&ops);
}

/* Gradients of parts add up to those of the whole batch, but for rounding; another size adds otherwise. */
static void test_parts(void)
{
    enum { N_TRAININGS = 3 };
    static const size_t sizes[N_TRAININGS] = {0, 1, 3};
    ser_nn_ops *ops = open_ops(SER_ENGINE_ONEDNN);
    ser_tune_net *nets[N_TRAININGS];
    ser_tune_fit fits[N_TRAININGS];
    for (size_t i = 0; i < N_TRAININGS; i++) {
        ser_error err = {0};
        ser_tune_settings s = busy_settings(ops);
        s.n_epochs = 1;
        s.batch_size = N_ROWS;
        s.micro_batch = sizes[i];
        nets[i] = open_tiny(NULL, 0);
        CHECK_OK(ser_tune_train(&fits[i], nets[i], &rows, &s, &err), &err);
        if (!i)
            continue;
        const ser_tune_epoch *e = fits[i].history, *whole = fits[0].history;
        CHECK(fabs(e->loss - whole->loss) < 1e-5 && e->accuracy == whole->accuracy);
        CHECK(fabs(e->gradient_norm - whole->gradient_norm) < 1e-4 * whole->gradient_norm);
        CHECK(e->seconds_of_sound == whole->seconds_of_sound);
        CHECK(memcmp(nets[i]->values, nets[i - 1]->values, nets[i]->n_values * sizeof *nets[i]->values) != 0);
    }
    for (size_t i = 0; i < N_TRAININGS; i++) {
        ser_tune_fit_release(&fits[i]);
        ser_tune_net_free(&nets[i]);
    }
    ser_nn_ops_free(&ops);
}

static void die(void *context, const ser_tune_step *step)
{
    (void)context;
    if (step->step == 7)
        raise(SIGKILL);
}

/* Killed in a step, with a state every third one: the run that follows goes on from the sixth. */
static void test_killed(void)
{
    size_t n;
    ser_nn_ops *ops = open_ops(SER_ENGINE_ONEDNN);
    float *plain = train_busy(ops, 0, 1, NULL, 0, &n);
    ser_tune_net *net = open_tiny(NULL, 0);
    ser_tune_settings s = busy_settings(ops);
    ser_tune_fit fit;
    ser_error err = {0};
    char path[512];
    snprintf(path, sizeof path, "%s", scratch("killed"));
    s.state_path = path;
    s.state_every = 3;
    pid_t child = fork();
    if (child == 0) {
        s.on_step = die;
        ser_tune_train(&fit, net, &rows, &s, &err);
        _exit(EXIT_SUCCESS);
    }
    int how = 0;
    CHECK(waitpid(child, &how, 0) == child && WIFSIGNALED(how) && access(path, F_OK) == 0);
    CHECK_OK(ser_tune_train(&fit, net, &rows, &s, &err), &err);
    CHECK(fit.n_epochs == 2 && fit.history[0].restored && !fit.history[1].restored);
    CHECK(memcmp(plain, net->values, n * sizeof *plain) == 0);
    ser_free(plain);
    ser_tune_fit_release(&fit);
    ser_tune_net_free(&net);
    ser_nn_ops_free(&ops);
}

/* LoRA: only sums of low rank move, the loss falls, and one step is that of its factors' gradient. */
static void test_lora(void)
{
    enum { RANK = 2 };
    ser_nn_ops *ops = open_ops(SER_ENGINE_ONEDNN);
    ser_tune_net *net = open_tiny(NULL, 0), *start = open_tiny(NULL, 0);
    ser_tune_settings s = golden_settings(ops);
    ser_tune_fit fit;
    ser_error err = {0};
    s.average = s.pull = 0;
    s.lora_rank = RANK;
    CHECK_OK(ser_tune_train(&fit, net, &rows, &s, &err), &err);
    CHECK(fit.n_epochs == 10 && fit.history[9].loss < 0.8 * fit.history[0].loss);
    for (size_t i = 0; i < net->n_tensors; i++) {
        const ser_tune_tensor *t = &net->tensors[i];
        bool moves = t->depth >= 1 && (t->n_in > 1 || t->depth > 2);
        CHECK(moves == (memcmp(net->values + t->at, start->values + t->at, t->n * sizeof(float)) != 0));
    }
    /* Of a difference of rank 2, every minor of size 3 is 0. */
    const ser_tune_tensor *t = ser_tune_net_find(net, "layers.0.fc2.weight");
    double m[3][3], size = 0;
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) {
            size_t at = t->at + (size_t)i * 7 * 64 + (size_t)k * 11;
            m[i][k] = (double)net->values[at] - (double)start->values[at];
            size += m[i][k] * m[i][k];
        }
    double minor = m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
                   m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
                   m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
    CHECK(size > 0 && fabs(minor) < 1e-3 * pow(size, 1.5));
    ser_tune_fit_release(&fit);
    ser_tune_net_free(&net);
    ser_tune_net_free(&start);
    ser_nn_ops_free(&ops);
}

/* ---- what goes wrong ---- */

static struct statvfs disk = {.f_blocks = 1 << 30, .f_bavail = 1 << 30, .f_frsize = 4096};

/* In place of the C library's: what the program is told of a disk. */
int statvfs(const char *restrict path, struct statvfs *restrict out)
{
    (void)path;
    *out = disk;
    return 0;
}

/* All trainings' states lie on the disk together: too few bytes are told before the first of them begins, but
 * not where the disk does not count them. */
static void test_no_room(void)
{
    ser_nn_ops *ops = open_ops(SER_ENGINE_ONEDNN);
    ser_tune_net *net = open_tiny(NULL, 0);
    char path[] = "no-room.safetensors";
    ser_tune_settings s = golden_settings(ops);
    ser_tune_fit fit;
    ser_error err = {0};
    s.state_path = path;
    s.n_epochs = 1;
    disk.f_bavail = 100;
    CHECK_FAILS(ser_tune_train(&fit, net, &rows, &s, &err), SER_E_IO, &err, "trainings to come");
    CHECK(access(path, F_OK) != 0);
    disk.f_blocks = disk.f_bavail = 0;
    CHECK_OK(ser_tune_train(&fit, net, &rows, &s, &err), &err);
    CHECK(access(path, F_OK) == 0);
    unlink(path);
    ser_tune_fit_release(&fit);
    disk.f_blocks = disk.f_bavail = 1 << 30;
    ser_tune_net_free(&net);
    ser_nn_ops_free(&ops);
}

static void test_not_finite(void)
{
    ser_nn_ops *ops = open_ops(SER_ENGINE_ONEDNN);
    ser_tune_net *net = open_tiny(NULL, 0);
    source bad = {2, 5}; /* of the second epoch on */
    ser_tune_rows with = rows;
    with.context = &bad;
    ser_tune_settings s = golden_settings(ops);
    s.average = 0;
    ser_tune_fit fit;
    ser_error err = {0};
    CHECK_FAILS(ser_tune_train(&fit, net, &with, &s, &err), SER_E_FORMAT, &err, "c.wav");
    ser_tune_net_free(&net);
    net = open_tiny(NULL, 0);
    s.rate = 1e30; /* what comes out of the first step cannot be computed with */
    CHECK_FAILS(ser_tune_train(&fit, net, &rows, &s, &err), SER_E_FORMAT, &err,
                ".wav' is not finite in step 2");
    ser_tune_net_free(&net);
    net = open_tiny(NULL, 0);
    s.micro_batch = 2;
    CHECK_FAILS(ser_tune_train(&fit, net, &rows, &s, &err), SER_E_FORMAT, &err,
                ".wav' is not finite in step 2");
    bool finite = true, moved = false;
    ser_tune_net *start = open_tiny(NULL, 0);
    for (size_t i = 0; i < net->n_values; i++) {
        finite = finite && isfinite(net->values[i]);
        moved = moved || net->values[i] != start->values[i];
    }
    CHECK(finite && moved);
    ser_tune_net_free(&start);
    ser_tune_net_free(&net);
    ser_nn_ops_free(&ops);
}

static void test_bad_state(void)
{
    ser_nn_ops *ops = open_ops(SER_ENGINE_ONEDNN);
    ser_tune_net *net = open_tiny(NULL, 0);
    ser_tune_settings s = golden_settings(ops);
    ser_tune_fit fit;
    ser_error err = {0};
    char path[512];
    snprintf(path, sizeof path, "%s", scratch("bad-state"));
    s.n_epochs = 1;
    s.state_path = path;
    CHECK_OK(ser_tune_train(&fit, net, &rows, &s, &err), &err);
    ser_tune_fit_release(&fit);
    s.rate *= 2;
    ser_tune_net_free(&net);
    net = open_tiny(NULL, 0);
    CHECK_FAILS(ser_tune_train(&fit, net, &rows, &s, &err), SER_E_FORMAT, &err, "it has rate=0.002");
    s.rate /= 2;
    net->values[net->n_values - 1] += 1;
    CHECK_FAILS(ser_tune_train(&fit, net, &rows, &s, &err), SER_E_FORMAT, &err, "another encoder");
    net->values[net->n_values - 1] -= 1;
    FILE *f = fopen(path, "r+b");
    fseek(f, -100, SEEK_END);
    fputc(77, f);
    fclose(f);
    CHECK_FAILS(ser_tune_train(&fit, net, &rows, &s, &err), SER_E_FORMAT, &err, "damaged");
    ser_tune_net_free(&net);
    ser_nn_ops_free(&ops);
}

static void test_bad_rows(void)
{
    ser_nn_ops *ops = open_ops(SER_ENGINE_ONEDNN);
    ser_tune_net *net = open_tiny(NULL, 0);
    ser_tune_settings s = golden_settings(ops);
    ser_tune_fit fit;
    ser_error err = {0};
    float wrong[N_ROWS * N_LABELS];
    memcpy(wrong, targets, sizeof wrong);
    wrong[7] = 0.5f; /* b.wav: a label outside its mask */
    ser_tune_rows with = rows;
    with.target = wrong;
    CHECK_FAILS(ser_tune_train(&fit, net, &with, &s, &err), SER_E_ARG, &err, "b.wav");
    memcpy(wrong, targets, sizeof wrong);
    wrong[0] = 0.5f; /* a.wav: do not add up */
    CHECK_FAILS(ser_tune_train(&fit, net, &with, &s, &err), SER_E_ARG, &err, "a.wav");
    with = rows;
    with.weight = (const double[N_ROWS]){0};
    CHECK_FAILS(ser_tune_train(&fit, net, &with, &s, &err), SER_E_ARG, &err, "weight 0");
    s.max_samples = 17000;
    CHECK_FAILS(ser_tune_train(&fit, net, &rows, &s, &err), SER_E_ARG, &err, "17000 samples");
    s = golden_settings(ops);
    s.lora_rank = 4; /* beside a pull */
    CHECK_FAILS(ser_tune_train(&fit, net, &rows, &s, &err), SER_E_ARG, &err, "no pull");
    /* Three times as many recordings take three times the memory; less where layers are computed again. */
    size_t some = ser_tune_memory(net, ops, 8, MAX_SAMPLES, 0),
           more = ser_tune_memory(net, ops, 24, MAX_SAMPLES, 0);
    CHECK(more > 2.9 * (double)some && more < 3.1 * (double)some);
    CHECK(ser_tune_memory(net, ops, 24, MAX_SAMPLES, some) < 0.8 * (double)more);
    ser_tune_net_free(&net);
    ser_nn_ops_free(&ops);
}

/* ---- who is drawn ---- */

static void test_order(void)
{
    enum { N = 40, N_MANY = 6 };
    ser_tune_settings s = ser_tune_default_settings();
    s.batch_size = 8;
    const size_t long_ago[N_MANY] = {100, 200, 300, 400, 500, 600};
    const double weight[N_MANY] = {1, 1, 2, 4, 0, 2};
    ser_tune_rows many = {.n = N_MANY, .n_labels = 2, .n_samples = long_ago, .weight = weight};
    tune_draw draws[N], again[N];
    ser_error err = {0};
    size_t counts[N_MANY] = {0};
    CHECK_OK(ser_tune_order(draws, N, &many, &s, 3, &err), &err);
    CHECK_OK(ser_tune_order(again, N, &many, &s, 3, &err), &err);
    bool same = true, in_order = true, numbered[N] = {0};
    for (size_t i = 0; i < N; i++) {
        same = same && draws[i].row == again[i].row && draws[i].number == again[i].number;
        in_order = in_order && (i % 8 == 0 || long_ago[draws[i - 1].row] <= long_ago[draws[i].row]);
        counts[draws[i].row]++;
        CHECK(draws[i].number > 3 * N && draws[i].number <= 4 * N);
        numbered[(draws[i].number - 1) % N] = true;
    }
    for (size_t i = 0; i < N; i++)
        CHECK(numbered[i]);
    CHECK(same && in_order);
    for (size_t r = 0; r < N_MANY; r++)
        CHECK(fabs((double)counts[r] - N * weight[r] / 10) < 1.01);
    CHECK_OK(ser_tune_order(again, N, &many, &s, 4, &err), &err);
    same = true;
    for (size_t i = 0; i < N; i++)
        same = same && draws[i].row == again[i].row;
    CHECK(!same);
}

/* ---- the head alone, and the way back to a file ---- */

static void test_head(void)
{
    ser_nn_ops *ops = open_ops(SER_ENGINE_ONEDNN);
    ser_tune_net *net = open_tiny(NULL, 0);
    ser_tune_settings s = golden_settings(ops);
    const ser_tune_loss loss = {0};
    ser_error err = {0};
    float *pooled = ser_alloc(N_ROWS * net->n_in, sizeof *pooled), logits[N_ROWS * N_LABELS], d[N_LABELS];
    s.batch_size = 3;
    CHECK_OK(ser_tune_features(pooled, net, &rows, NULL, NULL, N_ROWS, &s, &err), &err);
    ser_tune_standardise(net, pooled, NULL, N_ROWS);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < N_ROWS; i++) {
        double z = (double)((pooled[i * net->n_in + 5] - net->centre[5]) * net->factor[5]);
        sum += z;
        squares += z * z;
    }
    CHECK(fabs(sum) < 1e-4 && fabs(squares / N_ROWS - 1) < 1e-4);
    CHECK_OK(ser_tune_fit_head(net, pooled, &rows, NULL, NULL, N_ROWS, &loss, 1e-4, 2, &err), &err);
    ser_tune_head_forward(net, logits, pooled, NULL, N_ROWS);
    for (size_t i = 0; i < N_ROWS; i++) { /* close to the targets' own entropy */
        double entropy = 0;
        for (size_t o = 0; o < N_LABELS; o++)
            entropy -= targets[i * N_LABELS + o] > 0
                           ? (double)targets[i * N_LABELS + o] * log((double)targets[i * N_LABELS + o])
                           : 0;
        double is = ser_tune_cross_entropy(d, logits + i * N_LABELS, targets + i * N_LABELS,
                                           masks + i * N_LABELS, N_LABELS, &loss, 1);
        CHECK(is < entropy + 0.05);
    }
    ser_free(pooled);
    ser_tune_net_free(&net);
    ser_nn_ops_free(&ops);
}

/* The encoder that is saved gives what the net heard. */
static void test_save(void)
{
    ser_nn_ops *ops = open_ops(SER_ENGINE_ONEDNN);
    ser_tune_net *net = open_tiny(NULL, 0);
    ser_tune_settings s = golden_settings(ops);
    ser_tune_fit fit;
    ser_error err = {0};
    s.n_epochs = 2;
    CHECK_OK(ser_tune_train(&fit, net, &rows, &s, &err), &err);
    CHECK_OK(ser_tune_save_encoder(net, NULL, scratch("encoder"), &err), &err);
    float *pooled = ser_alloc(N_ROWS * net->n_in, sizeof *pooled);
    CHECK_OK(ser_tune_features(pooled, net, &rows, NULL, NULL, N_ROWS, &s, &err), &err);
    ser_encoder *e = NULL;
    ser_encoder_work *work = NULL;
    CHECK_OK(ser_encoder_open(&e, scratch("encoder"), -1, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, &err), &err);
    CHECK_OK(ser_encoder_work_new(&work, e, 1, &err), &err);
    size_t dims = net->shape.dims, n_frames = ser_encoder_n_frames(e, lengths[0]);
    float *hidden = ser_alloc(n_frames * 2 * dims, sizeof *hidden);
    CHECK_OK(ser_encoder_run(e, work, hidden, sound, lengths[0], 0, (const int[]){1, 2}, 2, &err), &err);
    for (size_t j = 0; j < 2; j++)
        for (size_t k = 0; k < dims; k++) {
            double sum = 0;
            for (size_t t = 0; t < n_frames; t++)
                sum += (double)hidden[(t * 2 + j) * dims + k];
            CHECK(fabs(sum / (double)n_frames - (double)pooled[2 * j * dims + k]) < 2e-5);
        }
    ser_free(hidden);
    ser_free(pooled);
    ser_encoder_work_free(&work);
    ser_encoder_close(&e);
    ser_tune_fit_release(&fit);
    ser_tune_net_free(&net);
    ser_nn_ops_free(&ops);
}

/* ---- from what the frozen layers give ---- */

typedef struct kept {
    float *hidden[N_ROWS];
    size_t n_frames[N_ROWS], n_below;
} kept;

static ser_status read_kept(void *context, size_t row, uint64_t draw, int worker, float *hidden,
                            size_t capacity, size_t *n_frames, float *target, bool *mask, ser_error *err)
{
    (void)draw;
    (void)worker;
    (void)target;
    (void)mask;
    (void)err;
    const kept *k = context;
    *n_frames = k->n_frames[row] < capacity ? k->n_frames[row] : capacity;
    memcpy(hidden, k->hidden[row], (*n_frames + k->n_below) * 64 * sizeof *hidden);
    return SER_OK;
}

static ser_tune_net *open_pooled(int lowest, int from)
{
    ser_tune_shape shape = {.from = from, .n_labels = N_LABELS};
    ser_tune_net *net = NULL;
    ser_error err = {0};
    for (int i = lowest; i <= 2; i++)
        shape.pooled[shape.n_pooled++] = i;
    CHECK_OK(ser_tune_net_open(&net, tiny_folder(), &shape, &err), &err);
    return net;
}

/* lowest: of the pooled hidden states; 0 lies below those that learn. */
static void test_hidden(int lowest)
{
    ser_nn_ops *ops = open_ops(SER_ENGINE_ONEDNN);
    ser_tune_net *heard = open_pooled(lowest, 1), *read = open_pooled(lowest, 1),
                 *all = open_pooled(lowest, 0);
    ser_tune_settings s = golden_settings(ops);
    ser_tune_fit fit[2];
    ser_error err = {0};
    kept k = {.n_below = ser_tune_n_below(&read->shape)};
    ser_tune_rows with = rows;
    CHECK(k.n_below == (lowest == 0 ? 2 : 0));
    CHECK_OK(ser_tune_hidden_states(k.hidden, k.n_frames, read, &rows, NULL, NULL, N_ROWS, &s, &err), &err);
    with.read_hidden = read_kept;
    with.context = &k;
    CHECK_FAILS(ser_tune_train(&fit[0], all, &with, &s, &err), SER_E_ARG, &err, "above layer 0");
    CHECK_OK(ser_tune_train(&fit[0], heard, &rows, &s, &err), &err);
    CHECK_OK(ser_tune_train(&fit[1], read, &with, &s, &err), &err);
    CHECK(memcmp(heard->values, read->values, read->n_values * sizeof(float)) == 0);
    CHECK(memcmp(heard->values, all->values, heard->n_frozen * sizeof(float)) == 0);
    CHECK(fit[1].history[9].loss < fit[1].history[0].loss);
    for (size_t i = 0; i < N_ROWS; i++)
        ser_free(k.hidden[i]);
    ser_tune_fit_release(&fit[0]);
    ser_tune_fit_release(&fit[1]);
    ser_tune_net_free(&heard);
    ser_tune_net_free(&read);
    ser_tune_net_free(&all);
    ser_nn_ops_free(&ops);
}

/* Whichever allocation fails, the training ends with that, and nothing is lost. */
static void test_no_memory(void)
{
    ser_nn_ops *ops = open_ops(SER_ENGINE_REF);
    ser_status status = SER_E_NOMEM;
    long n = 0;
    for (; n < 2000 && status == SER_E_NOMEM; n++) {
        ser_tune_shape shape = {.pooled = {1}, .n_pooled = 1, .n_labels = N_LABELS};
        ser_tune_net *net = NULL;
        ser_tune_settings s = golden_settings(ops);
        ser_tune_fit fit = {0};
        ser_error err = {0};
        s.n_epochs = 1;
        s.lora_rank = 1;
        s.pull = 0;
        s.max_samples = 3200;
        failing_at(n);
        status = ser_tune_net_open(&net, tiny_folder(), &shape, &err);
        if (status == SER_OK)
            status = ser_tune_train(&fit, net, &rows, &s, &err);
        failing_at(-1);
        ser_tune_fit_release(&fit);
        ser_tune_net_free(&net);
    }
    CHECK(status == SER_OK && n > 50);
    ser_nn_ops_free(&ops);
}

int main(void)
{
    scratch_make();
    sound = make_signal(MAX_SAMPLES);
    test_golden();
    test_same_bits(0);
    test_same_bits(3);
    test_parts();
    test_killed();
    test_lora();
    test_no_room();
    test_not_finite();
    test_bad_state();
    test_bad_rows();
    test_order();
    test_head();
    test_save();
    test_hidden(1);
    test_hidden(0);
    test_no_memory();
    ser_free(sound);
    scratch_remove();
    return test_summary();
}

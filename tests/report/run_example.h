/* A run as training on EMO-DB leaves it, with numbers from a generator of random numbers: for tests of what
 * is made of it, and for looking at that (make_run_example.c). */
#ifndef SER_TESTS_RUN_EXAMPLE_H
#define SER_TESTS_RUN_EXAMPLE_H

#include "base/random.h"
#include "report/run_report.h"
#include "test.h"

enum { RUN_N = 535, RUN_N_LABELS = 7, RUN_MAX_FOLDS = 10, RUN_MAX_EPOCHS = 50 };

typedef struct run_example {
    ser_run_report report;
    ser_figures figures;
    ser_run_fold folds[RUN_MAX_FOLDS + 1];
    ser_run_epoch epochs[RUN_MAX_FOLDS][RUN_MAX_EPOCHS];
    char fold_names[RUN_MAX_FOLDS][8];
    ser_run_prediction predictions[RUN_N];
    char files[RUN_N][24];
    float scores[RUN_N][RUN_N_LABELS];
    int truth[RUN_N], group[RUN_N];
    json_t *config;
} run_example;

static const char *const run_labels[RUN_N_LABELS] = {"angry", "boredom", "disgust", "fear",
                                                     "happy", "neutral", "sad"};

static inline void run_example_answers(run_example *e, ser_random *random, size_t n_folds)
{
    static const size_t last[RUN_N_LABELS] = {127, 208, 254, 323, 394, 473, 535};
    for (size_t i = 0; i < RUN_N; i++) {
        size_t truth = 0;
        while (i >= last[truth])
            truth++;
        double sum = 0, logits[RUN_N_LABELS];
        for (size_t k = 0; k < RUN_N_LABELS; k++) {
            bool close = (truth == 0 && k == 4) || (truth == 4 && k == 0) || (truth == 5 && k == 1);
            logits[k] = exp(1.3 * ser_random_normal(random) + (k == truth ? 4.2 : 0) + (close ? 1.6 : 0));
            sum += logits[k];
        }
        for (size_t k = 0; k < RUN_N_LABELS; k++)
            e->scores[i][k] = (float)(logits[k] / sum);
        e->truth[i] = (int)truth;
        e->group[i] = (int)(i % 10);
        snprintf(e->files[i], sizeof e->files[i], "wav/%02zua%02zu%c%c.wav", 3 + i % 10, i / 10 % 99,
                 "WLEAFTN"[truth], (char)('a' + i % 4));
        e->predictions[i] = (ser_run_prediction){.file = e->files[i],
                                                 .fold = e->fold_names[i % n_folds],
                                                 .truth = truth,
                                                 .predicted = (size_t)ser_argmax(e->scores[i], RUN_N_LABELS),
                                                 .scores = e->scores[i]};
    }
}

static inline void run_example_fold(run_example *e, ser_random *random, size_t f, size_t n_folds)
{
    size_t n_epochs = 30 + ser_random_below(random, RUN_MAX_EPOCHS - 30 + 1), best = 0;
    double noise = 0;
    snprintf(e->fold_names[f], sizeof e->fold_names[f], "%zu", f + 1);
    for (size_t i = 0; i < n_epochs; i++) {
        double t = (double)i;
        ser_run_epoch *x = &e->epochs[f][i];
        noise = 0.7 * noise + 0.04 * ser_random_normal(random);
        x->epoch = i + 1;
        x->train_loss = 0.42 + 1.6 * exp(-t / 7) + 0.015 * ser_random_normal(random);
        x->validation_loss = 0.62 + 1.35 * exp(-t / 9) + noise + 0.002 * t;
        x->train_accuracy = 100 - 84 * exp(-t / 8) - fabs(ser_random_normal(random));
        x->validation_accuracy = 90 - 74 * exp(-t / 9) - 40 * noise;
        x->rate = 3e-4 * fmin(1, (t + 1) / 5) * (1 - t / 60);
        x->seconds = 1.71 + 0.05 * ser_random_normal(random);
        best = x->validation_loss < e->epochs[f][best].validation_loss ? i : best;
    }
    e->folds[f] = (ser_run_fold){.name = e->fold_names[f],
                                 .n_train = RUN_N - RUN_N / n_folds - 48,
                                 .n_validation = 48,
                                 .n_test = RUN_N / n_folds,
                                 .ua = 88 + 4 * ser_random_normal(random),
                                 .wa = 89 + 3 * ser_random_normal(random),
                                 .f1 = 88 + 4 * ser_random_normal(random),
                                 .loss = 0.45 + 0.06 * ser_random_normal(random),
                                 .seconds = 1.71 * (double)n_epochs,
                                 .shared = {0, 10, 0, 0},
                                 .kept_epoch = best + 1,
                                 .epochs = e->epochs[f],
                                 .n_epochs = n_epochs};
}

/* Release with run_example_release. */
static inline void run_example_init(run_example *e, size_t n_folds)
{
    static const double seeds[] = {88.1, 88.9, 89.7};
    static const ser_run_note notes[] = {
        {"Fold 3 stopped after 31 epochs: its validation loss had not fallen for 10.", false}};
    ser_random random;
    ser_error err = {0};
    memset(e, 0, sizeof *e);
    ser_random_init(&random, 46);
    for (size_t f = 0; f < n_folds; f++)
        run_example_fold(e, &random, f, n_folds);
    run_example_answers(e, &random, n_folds);
    CHECK_OK(ser_figures_compute(&e->figures, e->scores[0], e->truth, e->group, RUN_N, RUN_N_LABELS, 1000, 46,
                                 &err),
             &err);
    e->folds[n_folds] = (ser_run_fold){.name = "average of all",
                                       .combined = true,
                                       .n_test = RUN_N,
                                       .ua = 91.2,
                                       .wa = 91.8,
                                       .f1 = 91.0,
                                       .loss = 0.39,
                                       .seconds = NAN,
                                       .shared = {-1, -1, -1, -1}};
    e->config = json_pack("{s:s, s:s, s:s, s:i, s:i, s:f, s:f, s:i, s:i, s:n}", "data", "EMODB",
                          "feature_type", "WHISPER", "layers", "2, 3, 4", "epoch", 50, "batch_size", 32, "lr",
                          0.0003, "dropout", 0.4, "seed", 46, "jobs", 2, "folds");
    e->report = (ser_run_report){
        .title = "EMODB",
        .corpus = "EMODB",
        .protocol = "group-kfold=10",
        .features = "WHISPER",
        .model_type = "timnet",
        .version = "0.1.0",
        .date = "2026-11-23 02:15",
        .labels = run_labels,
        .figures = &e->figures,
        .intervals_over = "speakers",
        .seeds = {seeds, 3, 88.9, 0.8},
        .folds = e->folds,
        .n_folds = n_folds + 1,
        .normalize = "none",
        .precision = "bf16",
        .config = e->config,
        .notes = notes,
        .n_notes = 1,
        .predictions = e->predictions,
        .n_predictions = RUN_N,
    };
}

static inline void run_example_release(run_example *e)
{
    ser_figures_release(&e->figures);
    json_decref(e->config);
}

#endif

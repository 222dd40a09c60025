#include "run/tuning.h"
#include "base/memory.h"
#include "corpus/folds.h"
#include "extract/encoders.h"
#include "io/file.h"
#include "metrics/metrics.h"
#include "train/softmax_regression.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ASKED = 500 /* recordings of each part that is left out */ };

/* ---- what a left-out part is asked, and what it answers ---- */

typedef struct answers {
    float *logits; /* (n, n_labels): of labels that the training part has; the others' are far below */
    int *label;
    size_t n, n_labels;
} answers;

typedef struct work {
    const ser_run_train_settings *s;
    const ser_run_host *host;
    const char *folder;
    ser_corpus *corpus;
    ser_crops *crops;
    ser_nn_ops *ops;
    ser_folds *folds;
    ser_encoders encoders;
    ser_fine_tune_settings tuning;
    answers all;
    char what[64], *state;
} work;

static const float nowhere = -1e4f;

/* Labels that the recordings which crops has selected could have. */
static uint64_t heard_labels(const work *k)
{
    uint64_t labels = 0;
    for (size_t i = 0; i < k->crops->n_learned; i++)
        labels |= UINT64_C(1) << k->corpus->utterances[k->crops->learned[i]].label;
    return labels;
}

/* At most MAX_ASKED recordings of a fold, spread evenly, whose emotion was heard. */
static size_t choose_asked(size_t *row, const work *k, int fold, uint64_t heard)
{
    size_t n_all = 0, n = 0, seen = 0;
    for (size_t u = 0; u < k->corpus->n_utterances; u++)
        n_all += k->folds->test_fold[u] == fold && (heard >> k->corpus->utterances[u].label & 1);
    for (size_t u = 0; u < k->corpus->n_utterances; u++) {
        if (k->folds->test_fold[u] != fold || !(heard >> k->corpus->utterances[u].label & 1))
            continue;
        if (n_all <= MAX_ASKED || seen * MAX_ASKED / n_all != (seen + 1) * MAX_ASKED / n_all)
            row[n++] = u;
        seen++;
    }
    return n;
}

/* UA in percent; restricted: answers among the emotions that these recordings have. */
static double ua_of(const answers *a, size_t first, bool restricted)
{
    size_t right[SER_MAX_LABELS] = {0}, all[SER_MAX_LABELS] = {0}, n_present = 0;
    double sum = 0;
    for (size_t i = first; i < a->n; i++)
        all[a->label[i]]++;
    for (size_t i = first; i < a->n; i++) {
        const float *z = a->logits + i * a->n_labels;
        int best = a->label[i];
        for (size_t l = 0; l < a->n_labels; l++)
            if ((!restricted || all[l]) && z[l] > z[best])
                best = (int)l;
        right[a->label[i]] += best == a->label[i];
    }
    for (size_t l = 0; l < a->n_labels; l++)
        if (all[l] && ++n_present)
            sum += (double)right[l] / (double)all[l];
    return n_present ? 100 * sum / (double)n_present : 0;
}

static ser_status ask(work *k, const ser_tune_net *net, int fold, json_t *figures, ser_error *err)
{
    uint64_t heard = heard_labels(k);
    size_t first = k->all.n, n_labels = k->all.n_labels;
    size_t *row = ser_alloc(k->corpus->n_utterances, sizeof *row);
    size_t n = row ? choose_asked(row, k, fold, heard) : 0;
    ser_status st = row ? SER_OK : ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_fine_tune_logits(k->all.logits + first * n_labels, net, k->crops, row, n, &k->tuning, err);
    for (size_t i = 0; st == SER_OK && i < n; i++) {
        k->all.label[first + i] = k->corpus->utterances[row[i]].label;
        for (size_t l = 0; l < n_labels; l++)
            if (!(heard >> l & 1))
                k->all.logits[(first + i) * n_labels + l] = nowhere;
    }
    if (st == SER_OK) {
        k->all.n += n;
        json_array_append_new(figures,
                              json_pack("{s:s, s:I, s:f, s:f}", "left_out", k->folds->names[fold], "n",
                                        (json_int_t)n, "ua_restricted", ua_of(&k->all, first, true),
                                        "ua_open", ua_of(&k->all, first, false)));
    }
    ser_free(row);
    return st;
}

/* ---- trainings ---- */

static void tell_epoch(void *context, const ser_tune_epoch *e)
{
    const work *k = context;
    const ser_run_epoch_info info = {.part = k->what,
                                     .network = 1,
                                     .n_networks = 1,
                                     .epoch = e->epoch,
                                     .n_epochs = e->n_epochs,
                                     .train_loss = e->loss,
                                     .train_accuracy = e->accuracy,
                                     .validation_loss = NAN,
                                     .validation_accuracy = NAN,
                                     .lmmd = NAN,
                                     .entropy = NAN,
                                     .rate = e->rate,
                                     .seconds = e->seconds,
                                     .restored = e->restored};
    if (k->host->listener.on_epoch)
        k->host->listener.on_epoch(k->host->listener.context, &info);
}

/* What few corpora ask for is told apart by what those corpora sound like, and answered too often elsewhere;
 * plain speech, of which none of them has much, is neutral. In logits, found on corpora left out. */
static void correct_bias(const work *k, ser_tune_net *net)
{
    const double per_octave = 0.7, neutral = 0.4;
    const ser_tune_tensor *bias = ser_tune_net_find(net, "head.bias");
    uint64_t learned = 0; /* parts */
    for (size_t i = 0; i < k->crops->n_learned; i++)
        learned |= UINT64_C(1) << k->corpus->utterances[k->crops->learned[i]].part;
    for (size_t l = 0; l < k->corpus->n_labels; l++) {
        double n = 0, n_with = 0;
        for (size_t p = 0; p < k->corpus->n_parts; p++) {
            n += (double)(learned >> p & 1);
            n_with += (double)(learned >> p & 1 & k->corpus->parts[p].emotions >> l);
        }
        if (n_with > 0)
            net->values[bias->at + l] += (float)(per_octave * log2(n_with / n));
        if (strcmp(k->corpus->labels[l], "neutral") == 0)
            net->values[bias->at + l] += (float)neutral;
    }
}

/* fold -1: from everything. */
static ser_status train(work *k, ser_tune_net **net, int fold, ser_error *err)
{
    ser_text state = {0};
    if (fold < 0)
        snprintf(k->what, sizeof k->what, "final encoder");
    else
        snprintf(k->what, sizeof k->what, "without %.40s", k->folds->names[fold]);
    ser_text_appendf(&state, "%s/tuning-%d.safetensors", k->folder,
                     fold < 0 ? (int)k->folds->n_folds + 1 : fold + 1);
    if (state.failed)
        return ser_fail_nomem(err);
    k->tuning.tune.what = k->what;
    k->tuning.tune.state_path = state.s;
    ser_status st = ser_crops_select(k->crops, fold < 0 ? NULL : k->folds->test_fold, fold, err);
    if (st == SER_OK)
        st = ser_fine_tune(net, NULL, k->crops, &k->tuning, err);
    if (st == SER_OK)
        correct_bias(k, *net);
    ser_text_release(&state);
    return st;
}

static ser_status calibrate(work *k, ser_run_tuning *out, ser_error *err)
{
    ser_status st = SER_OK;
    for (size_t f = 0; f < k->folds->n_folds && st == SER_OK; f++) {
        ser_tune_net *net = NULL;
        st = train(k, &net, (int)f, err);
        if (st == SER_OK)
            st = ask(k, net, (int)f, out->figures, err);
        ser_tune_net_free(&net);
    }
    return st;
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The temperature, the confidence that two thirds of the answers have, and what both are worth. */
static ser_status measure(const work *k, ser_run_tuning *out, ser_error *err)
{
    const answers *a = &k->all;
    ser_reliability reliability;
    size_t n_right = 0, n_right_above = 0, n_above = 0;
    float *scores = ser_alloc(a->n, a->n_labels * sizeof *scores),
          *confidence = ser_alloc(a->n, sizeof *confidence);
    ser_status st =
        a->n ? SER_OK
             : ser_fail(
                   err, SER_E_ARG,
                   "no corpus that was left out has an emotion that others have: nothing can be calibrated");
    if (st == SER_OK && (!scores || !confidence))
        st = ser_fail_nomem(err);
    if (st == SER_OK) {
        out->temperature = ser_temperature_fit(a->logits, a->label, a->n, a->n_labels);
        memcpy(scores, a->logits, a->n * a->n_labels * sizeof *scores);
        for (size_t i = 0; i < a->n; i++) {
            ser_softmax(scores + i * a->n_labels, a->n_labels, out->temperature);
            confidence[i] =
                scores[i * a->n_labels + (size_t)ser_argmax(scores + i * a->n_labels, a->n_labels)];
        }
        qsort(confidence, a->n, sizeof *confidence, compare_floats);
        out->min_confidence = (double)confidence[a->n / 3];
        ser_reliability_compute(&reliability, scores, a->label, a->n, a->n_labels);
        for (size_t i = 0; i < a->n; i++) {
            int best = ser_argmax(scores + i * a->n_labels, a->n_labels);
            bool above = (double)scores[i * a->n_labels + (size_t)best] >= out->min_confidence,
                 right = best == a->label[i];
            n_right += right;
            n_above += above;
            n_right_above += above && right;
        }
        out->ece = reliability.ece;
        out->right = (double)n_right / (double)a->n;
        out->right_above = (double)n_right_above / (double)n_above;
    }
    ser_free(scores);
    ser_free(confidence);
    return st;
}

/* ---- beginning and end ---- */

/* The features are checked: ser_run_train_check. */
static ser_status read_shape(work *k, const ser_run_features *f, ser_error *err)
{
    const ser_feature_part *part = &f->spec.parts[0];
    if (part->n_layers > SER_TUNE_MAX_POOLED)
        return ser_fail(err, SER_E_ARG, "fine_tune: at most %d layers can be read", SER_TUNE_MAX_POOLED);
    k->tuning.shape.n_pooled = part->n_layers;
    for (size_t i = 0; i < part->n_layers; i++)
        k->tuning.shape.pooled[i] = part->layers[i];
    k->tuning.shape.from = k->s->fine_tune_from;
    return SER_OK;
}

static ser_status open_work(work *k, const ser_run_features *f, ser_error *err)
{
    const ser_run_data *d = &k->s->data;
    enum { PER_EPOCH = 100 };
    int n_steps = k->s->fine_tune_steps;
    k->tuning = ser_fine_tune_default_settings();
    ser_status st = read_shape(k, f, err);
    if (st == SER_OK)
        st = ser_encoders_open(&k->encoders, &f->spec, d->encoders, d->n_encoders, d->engine, d->precision,
                               err);
    if (st == SER_OK)
        st = ser_corpus_open(&k->corpus, d->corpus, d->data_dir, err);
    if (st == SER_OK)
        st = ser_nn_ops_new(&k->ops, d->engine, d->precision, err);
    if (st != SER_OK)
        return st;
    ser_encoder_info info;
    ser_encoder_get_info(k->encoders.items[0], &info);
    ser_crops_settings crops = ser_crops_default_settings();
    crops.max_samples = crops.max_samples < info.max_samples ? crops.max_samples : info.max_samples;
    k->tuning.max_answer = k->tuning.max_answer < info.max_samples ? k->tuning.max_answer : info.max_samples;
    crops.seed = (uint64_t)k->s->learning.seed;
    crops.n_threads = d->n_threads;
    crops.progress = &k->host->progress;
    ser_tune_settings *t = &k->tuning.tune;
    t->n_epochs = n_steps > PER_EPOCH ? (size_t)n_steps / PER_EPOCH : 1;
    t->n_per_epoch = t->batch_size * ((size_t)n_steps / t->n_epochs);
    t->seed = crops.seed;
    t->n_threads = d->n_threads;
    t->ops = k->ops;
    t->progress = &k->host->progress;
    t->on_epoch = tell_epoch;
    t->context = k;
    k->tuning.encoder = k->encoders.folders[0];
    return ser_crops_new(&k->crops, k->corpus, &crops, err);
}

static ser_status open_folds(work *k, ser_error *err)
{
    const char *text = k->corpus->n_parts > 1 ? "loco" : "group-kfold=3";
    ser_protocol protocol;
    size_t n;
    ser_status st = ser_protocol_parse(&protocol, text, err);
    if (st == SER_OK)
        st = ser_folds_new(&k->folds, k->corpus, &protocol, (uint64_t)k->s->learning.seed, err);
    if (st != SER_OK)
        return st;
    k->all.n_labels = k->corpus->n_labels;
    k->all.label = ser_alloc(k->folds->n_folds * MAX_ASKED, sizeof *k->all.label);
    k->all.logits = ser_mul_size(&n, k->folds->n_folds * MAX_ASKED, k->all.n_labels)
                        ? ser_alloc(n, sizeof *k->all.logits)
                        : NULL;
    return k->all.label && k->all.logits ? SER_OK : ser_fail_nomem(err);
}

static void close_work(work *k)
{
    ser_free(k->all.label);
    ser_free(k->all.logits);
    ser_folds_free(&k->folds);
    ser_crops_free(&k->crops);
    ser_nn_ops_free(&k->ops);
    ser_corpus_free(&k->corpus);
    ser_encoders_close(&k->encoders);
}

ser_status ser_run_tune(ser_run_tuning *out, const ser_run_train_settings *s,
                        const ser_run_features *features, const ser_run_host *host, ser_run_folder *folder,
                        ser_error *err)
{
    static const char *const states[] = {"tuning", NULL};
    work k = {.s = s, .host = host, .folder = folder->path};
    *out = (ser_run_tuning){
        .temperature = 1, .figures = json_array(), .encoder = ser_io_join(folder->path, "encoder")};
    ser_status st = out->figures && out->encoder ? open_work(&k, features, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = open_folds(&k, err);
    if (st == SER_OK)
        st = ser_run_folder_begin(folder, NULL, states, k.folds->n_folds + 1, err);
    if (st == SER_OK)
        st = calibrate(&k, out, err);
    if (st == SER_OK)
        st = measure(&k, out, err);
    if (st == SER_OK)
        st = train(&k, &out->net, -1, err);
    if (st == SER_OK)
        st = ser_io_make_folder(out->encoder, err);
    if (st == SER_OK)
        st = ser_tune_save_encoder(out->net, NULL, out->encoder, err);
    close_work(&k);
    if (st != SER_OK)
        ser_run_tuning_release(out);
    return st;
}

void ser_run_tuning_release(ser_run_tuning *t)
{
    ser_tune_net_free(&t->net);
    ser_free(t->encoder);
    json_decref(t->figures);
    *t = (ser_run_tuning){0};
}

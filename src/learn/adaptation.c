#include "learn/adaptation.h"
#include "base/memory.h"
#include "base/text.h"
#include "metrics/metrics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FEWEST = 20 /* recordings of a target */ };
static const double least_agreement = 50;

void ser_adaptation_release(ser_adaptation *a)
{
    ser_learned_release(&a->source);
    ser_learned_release(&a->adapted);
    ser_free(a->before);
    ser_free(a->after);
    *a = (ser_adaptation){0};
}

static ser_status answer(float **scores, int *label, const ser_learned *model, const ser_learn_data *source,
                         const ser_learn_settings *s, ser_error *err)
{
    const ser_learn_data *target = s->transfer->target;
    size_t n = target->store->n, n_labels = source->corpus->n_labels;
    int *all = ser_alloc(n, sizeof *all);
    *scores = ser_alloc(n * n_labels, sizeof **scores);
    const ser_asking how = {s->timnet.ops, s->n_threads, s->progress};
    ser_status st =
        all && *scores ? ser_learned_score(model, *scores, target, all, 0, &how, err) : ser_fail_nomem(err);
    for (size_t i = 0; i < n && st == SER_OK; i++)
        label[i] = ser_argmax(*scores + i * n_labels, n_labels);
    ser_free(all);
    return st;
}

/* The mean confidence when every score is raised to this power and made to add up to 1 again. */
static double mean_confidence(const float *scores, size_t n, size_t n_labels, double power)
{
    double confidence = 0;
    for (size_t i = 0; i < n; i++) {
        double sum = 0, most = 0;
        for (size_t k = 0; k < n_labels; k++) {
            double p = pow((double)scores[i * n_labels + k], power);
            sum += p;
            most = fmax(most, p);
        }
        confidence += most / sum / (double)n;
    }
    return confidence;
}

/* On the target, models are sure of much that is wrong, and there are no labels to calibrate with. But how
 * often two models that learned apart disagree tells how often they err (Jiang et al. 2022, "Assessing
 * Generalization of SGD via Disagreement", arXiv:2106.13799), so that the temperature makes the mean
 * confidence that of their agreement. Returns its factor. */
static double fit_temperature(const float *scores, size_t n, size_t n_labels, double agreement)
{
    double low = 0.02, high = 5; /* powers, the inverse of temperatures */
    for (int i = 0; i < 40; i++) {
        double power = sqrt(low * high);
        *(mean_confidence(scores, n, n_labels, power) < agreement ? &low : &high) = power;
    }
    return 1 / sqrt(low * high);
}

static ser_status calibrate(ser_learned *model, float **scores, const ser_learn_data *source, int *label,
                            double agreement, const ser_learn_settings *s, ser_error *err)
{
    float factor =
        (float)fit_temperature(*scores, s->transfer->target->store->n, source->corpus->n_labels, agreement);
    model->linear.head.temperature *= factor;
    model->linear.temperature *= factor;
    for (size_t i = 0; i < model->n_networks; i++)
        model->members[i].temperature *= factor;
    ser_free(*scores);
    return answer(scores, label, model, source, s, err);
}

static void decide(ser_adaptation *a, size_t n_target)
{
    a->kept_adapted = n_target >= FEWEST && a->agreement >= least_agreement;
    if (n_target < FEWEST)
        snprintf(a->reason, sizeof a->reason,
                 "%zu recording%s of the target are too few to adapt to: %d are needed", n_target,
                 n_target == 1 ? "" : "s", FEWEST);
    else
        snprintf(a->reason, sizeof a->reason,
                 "both models give the same answer to %.1f %% of the recordings, and %.0f %% are needed",
                 a->agreement, least_agreement);
}

static ser_status learn_both(ser_adaptation *a, const ser_learn_data *source,
                             const ser_learn_settings *settings, const char *state, ser_error *err)
{
    ser_learn_settings plain = *settings, adapting = *settings;
    ser_learn_transfer transfer = *settings->transfer, from = *settings->transfer;
    ser_text path = {0};
    int *fold = ser_alloc(source->corpus->n_utterances, sizeof *fold);
    transfer.linear.weights = (ser_adapt_weights){0};
    plain.timnet.weights = (ser_adapt_weights){0};
    plain.transfer = &transfer;
    adapting.transfer = &from;
    if (state)
        ser_text_appendf(&path, "%s-source", state);
    ser_status st = fold && !path.failed
                        ? ser_learn(&a->source, source, fold, -1, &plain, "source", path.s, err)
                        : ser_fail_nomem(err);
    from.sets[0] = a->source.linear.chosen.blocks;
    from.n_sets = 1;
    ser_text_clear(&path);
    if (state)
        ser_text_appendf(&path, "%s-adapted", state);
    if (st == SER_OK)
        st = path.failed ? ser_fail_nomem(err)
                         : ser_learn(&a->adapted, source, fold, -1, &adapting, "adapted", path.s, err);
    ser_text_release(&path);
    ser_free(fold);
    return st;
}

ser_status ser_adaptation_run(ser_adaptation *out, const ser_learn_data *source,
                              const ser_learn_settings *settings, const char *state, ser_error *err)
{
    *out = (ser_adaptation){0};
    size_t n = settings->transfer->target->store->n, n_same = 0;
    int *before = ser_alloc(n, sizeof *before), *after = ser_alloc(n, sizeof *after);
    ser_status st = before && after ? learn_both(out, source, settings, state, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = answer(&out->before, before, &out->source, source, settings, err);
    if (st == SER_OK)
        st = answer(&out->after, after, &out->adapted, source, settings, err);
    for (size_t i = 0; i < n && st == SER_OK; i++)
        n_same += before[i] == after[i];
    double agreement = (double)n_same / (double)n;
    if (st == SER_OK)
        st = calibrate(&out->source, &out->before, source, before, agreement, settings, err);
    if (st == SER_OK)
        st = calibrate(&out->adapted, &out->after, source, after, agreement, settings, err);
    if (st == SER_OK) {
        out->agreement = 100 * agreement;
        decide(out, n);
    } else {
        ser_adaptation_release(out);
    }
    ser_free(before);
    ser_free(after);
    return st;
}

/* ---- maps ---- */

ser_status ser_adaptation_embed(float **out, size_t *dims, const ser_learned *model,
                                const ser_learn_data *data, const ser_nn_ops *ops, int n_threads,
                                ser_error *err)
{
    const ser_adapted *a = &model->adapted;
    size_t n = data->store->n;
    *dims = a->n_hidden ? a->n_hidden : model->members[0].net->shape.n_labels;
    *out = ser_alloc(n * *dims, sizeof **out);
    if (!*out)
        return ser_fail_nomem(err);
    for (size_t u = 0; u < n && a->n_hidden; u++)
        ser_adapted_project(a, *out + u * *dims, ser_store_row(data->store, u, 0), data->store->dims);
    ser_status st = a->n_hidden ? SER_OK : ser_learned_logits(model, *out, data, ops, n_threads, err);
    if (st != SER_OK) {
        ser_free(*out);
        *out = NULL;
    }
    return st;
}

#include "report/run_report.h"
#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void ser_run_headlines(ser_run_figure *out, const ser_run_report *r)
{
    const ser_figures *f = r->figures;
    const double none[2] = {NAN, NAN};
    const bool has_intervals = ser_run_resampled(r);
    const double *ua = has_intervals ? f->ua_ci95 : none, *wa = has_intervals ? f->wa_ci95 : none;
    const char *ua_meaning = r->cross ? "mean recall of the emotions that both corpora have, the model asked "
                                        "for these alone"
                                      : "unweighted accuracy: the mean recall of the emotions";
    const char *wa_meaning =
        r->cross ? "accuracy over the recordings of those emotions" : "accuracy over all recordings";
    const ser_run_figure figures[SER_N_HEADLINES] = {
        {r->cross ? "UA, shared emotions" : "UA", ua_meaning, "%", f->ua, {ua[0], ua[1]}},
        {r->cross ? "WA, shared emotions" : "WA", wa_meaning, "%", f->wa, {wa[0], wa[1]}},
        {"F1", "macro F1", "%", f->f1, {NAN, NAN}},
        {"ECE", "calibration error: how far confidence is from the truth", "%", f->ece, {NAN, NAN}},
        {"Loss", "mean negative log probability of the truth", "", f->loss, {NAN, NAN}},
    };
    for (size_t i = 0; i < SER_N_HEADLINES; i++)
        out[i] = figures[i];
}

static void add_extra(ser_run_figure *out, size_t *n, const char *name, const char *meaning, double value,
                      const double interval[2])
{
    if (*n < SER_MAX_EXTRAS)
        out[(*n)++] = (ser_run_figure){
            name, meaning, "%", value, {interval ? interval[0] : NAN, interval ? interval[1] : NAN}};
}

size_t ser_run_extras(ser_run_figure out[SER_MAX_EXTRAS], const ser_run_report *r)
{
    size_t n = 0;
    if (r->cross)
        add_extra(out, &n, "Accuracy by the mapping",
                  "answers that count as the truth, over the recordings for which some answer can",
                  r->cross->lenient, r->cross->lenient_ci95);
    if (r->corpora_left_out) {
        add_extra(out, &n, "UA, restricted",
                  "mean over the corpora left out, answers among the tested corpus's emotions",
                  r->left_out.ua_restricted, r->left_out.restricted_ci95);
        add_extra(out, &n, "UA, open", "mean over the corpora left out, answers among all emotions",
                  r->left_out.ua_open, r->left_out.open_ci95);
        add_extra(out, &n, "ECE, left out", "calibration error, mean over the corpora left out",
                  r->left_out.ece, NULL);
    }
    for (size_t i = 0; i < r->n_honest; i++)
        if (!*r->honest[i].reason)
            add_extra(out, &n, r->honest[i].what, r->honest[i].meaning, r->honest[i].figures->ua,
                      r->honest[i].figures->ua_ci95);
    const ser_run_seeds *s = &r->seeds;
    if (s->n)
        add_extra(out, &n, "UA over all seeds", "mean, and one standard deviation to both sides", s->mean,
                  (const double[]){s->mean - s->deviation, s->mean + s->deviation});
    if (r->unheard) {
        const char *meaning = "of models that had not heard the recording";
        add_extra(out, &n, "UA, unheard", meaning, r->unheard->ua, r->unheard->ua_ci95);
        add_extra(out, &n, "WA, unheard", meaning, r->unheard->wa, r->unheard->wa_ci95);
    }
    return n;
}

const ser_run_voice *ser_run_worst_voice(const ser_run_left_out *c)
{
    const ser_run_voice *worst = NULL;
    for (size_t i = 0; i < c->n_voices; i++)
        if (c->voices[i].n && (!worst || c->voices[i].ua_restricted < worst->ua_restricted))
            worst = &c->voices[i];
    return worst;
}

const char *ser_run_resampled(const ser_run_report *r)
{
    return r->cross && !r->cross->n_lenient && !r->figures->n ? NULL : r->intervals_over;
}

const char *ser_run_program(char text[SER_RUN_PROGRAM], const ser_run_report *r)
{
    snprintf(text, SER_RUN_PROGRAM, "%s%s", r->version ? "ser " : "", r->version ? r->version : "");
    return text;
}

ser_matrix ser_run_matrix(const ser_run_report *r)
{
    return r->cross ? r->cross->matrix
                    : ser_matrix_square(r->labels, r->figures->confusion, r->figures->n_labels);
}

size_t ser_run_n(const ser_run_report *r)
{
    return r->cross ? r->cross->n : r->figures->n;
}

bool ser_run_is_scored(const ser_matrix *m, const ser_run_prediction *p)
{
    return !p->excluded && p->truth != SER_RUN_NO_TRUTH && ser_matrix_can_be_right(m, p->truth);
}

ser_status ser_run_reliability(ser_reliability *out, const ser_run_report *r, ser_error *err)
{
    if (r->cross) {
        *out = *r->cross->reliability;
        return SER_OK;
    }
    size_t n_labels = r->figures->n_labels;
    float *scores = ser_alloc(r->n_predictions * n_labels, sizeof *scores);
    int *truth = ser_alloc(r->n_predictions, sizeof *truth);
    bool good = scores && truth;
    size_t n = 0;
    for (size_t i = 0; good && i < r->n_predictions; i++) {
        if (r->predictions[i].excluded)
            continue;
        memcpy(scores + n * n_labels, r->predictions[i].scores, n_labels * sizeof *scores);
        truth[n++] = (int)r->predictions[i].truth;
    }
    if (good)
        ser_reliability_compute(out, scores, truth, n, n_labels);
    ser_free(truth);
    ser_free(scores);
    return good ? SER_OK : ser_fail_nomem(err);
}

size_t ser_run_n_classes(const ser_run_report *r)
{
    return r->cross ? r->cross->matrix.n_truths : r->figures->n_labels;
}

ser_class_row ser_run_class_row(const ser_run_report *r, size_t i)
{
    if (!r->cross) {
        const ser_class_figures *f = &r->figures->per_class[i];
        return (ser_class_row){r->labels[i], f, f->support, NAN};
    }
    const ser_run_cross *c = r->cross;
    return (ser_class_row){c->matrix.truths[i], c->classes[i].shared, ser_matrix_row_sum(&c->matrix, i),
                           c->classes[i].lenient};
}

void ser_append_answers(ser_text *t, const ser_matrix *m, size_t truth)
{
    bool any = false;
    for (size_t j = 0; j < m->n_answers; j++) {
        if (!ser_matrix_is_right(m, truth, j))
            continue;
        ser_text_appendf(t, "%s%s", any ? ", " : "", m->answers[j]);
        any = true;
    }
    ser_text_append(t, any ? "" : "none: not scored");
}

static void add_weighted(ser_class_figures *sum, const ser_class_figures *c, double weight)
{
    sum->precision += weight * c->precision;
    sum->recall += weight * c->recall;
    sum->f1 += weight * c->f1;
    sum->support += c->support;
}

void ser_class_means_compute(ser_class_means *out, const ser_figures *f)
{
    size_t n_occurring = 0;
    for (size_t i = 0; i < f->n_labels; i++)
        n_occurring += f->per_class[i].support > 0;
    *out = (ser_class_means){.accuracy = f->wa / 100};
    for (size_t i = 0; i < f->n_labels; i++) {
        const ser_class_figures *c = &f->per_class[i];
        if (!c->support)
            continue;
        add_weighted(&out->macro, c, 1.0 / (double)n_occurring);
        add_weighted(&out->weighted, c, (double)c->support / (double)f->n);
    }
}

const ser_shared_kind ser_shared_kinds[SER_N_SHARED] = {
    {"speakers", "speakers", "the figures hold for known voices; new ones will be recognised less well",
     true},
    {"duplicates", "recordings", "the model has seen what it was tested on", true},
    {"takes", "takes of a sentence", "the same speaker said the same words with the same emotion", true},
    {"texts", "sentences", "usual for acted corpora, but spoken words may give the emotion away", false},
};

ser_shared_count ser_run_count_shared(const ser_run_report *r, size_t kind)
{
    ser_shared_count count = {0};
    for (size_t i = 0; i < r->n_folds; i++) {
        const ser_run_shared *s = &r->folds[i].shared;
        const long counts[SER_N_SHARED] = {s->speakers, s->duplicates, s->takes, s->texts};
        if (r->folds[i].combined || counts[kind] < 0)
            continue;
        count.known = true;
        count.of++;
        count.n_folds += counts[kind] > 0;
        count.most = counts[kind] > count.most ? counts[kind] : count.most;
    }
    return count;
}

ser_verdict ser_shared_verdict(const ser_shared_count counts[SER_N_SHARED])
{
    enum { SPEAKERS = 0 };
    bool known = false, serious = false;
    for (size_t i = 0; i < SER_N_SHARED; i++) {
        known |= counts[i].known;
        serious |= counts[i].n_folds > 0 && ser_shared_kinds[i].serious;
    }
    if (!known)
        return SER_VERDICT_NONE;
    if (serious)
        return SER_VERDICT_BAD;
    return counts[SPEAKERS].known ? SER_VERDICT_GOOD : SER_VERDICT_UNKNOWN;
}

const char *ser_verdict_text(ser_verdict verdict)
{
    switch (verdict) {
    case SER_VERDICT_BAD:
        return "Training and test parts are not independent";
    case SER_VERDICT_GOOD:
        return "Training and test parts share no speaker and no recording";
    case SER_VERDICT_UNKNOWN:
        return "Training and test parts share no recording; whether they share speakers cannot be told: not "
               "all speakers are known";
    case SER_VERDICT_NONE:
        break;
    }
    return "";
}

void ser_append_shared(ser_text *t, size_t kind, ser_shared_count count)
{
    if (count.n_folds)
        ser_text_appendf(t, "shared in %zu of %zu folds, up to %ld: %s", count.n_folds, count.of, count.most,
                         ser_shared_kinds[kind].meaning);
}

#include "learn/cross.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

void ser_cross_release(ser_cross *c)
{
    ser_figures_release(&c->figures);
    ser_free(c->confusion);
    ser_free(c->per_class);
    *c = (ser_cross){0};
}

/* What the figures are computed of. */
typedef struct scoring {
    ser_cross *out;
    const float *scores;
    const ser_mapping *m;
    const ser_corpus *target;
    const bool *counted; /* NULL: all */
    bool has_speakers;
    int n_resamples;
    uint64_t seed;
    ser_error *err;
} scoring;

static size_t position_of_shared(const ser_mapping *m, size_t target_label)
{
    size_t k = 0;
    while (k < m->n_shared && (size_t)m->shared_target[k] != target_label)
        k++;
    return k;
}

static void list_classes(ser_cross *c, const ser_mapping *m)
{
    for (size_t t = 0; t < m->n_target; t++) {
        size_t shared = position_of_shared(m, t);
        c->per_class[t].excluded = !ser_mapping_reaches(m, t);
        c->per_class[t].shared = shared < m->n_shared ? (int)shared : -1;
    }
}

/* Truth (-1: unknown, or not counted) and answer of each recording into the matrix. */
static void count(const scoring *s)
{
    ser_cross *c = s->out;
    const ser_mapping *m = s->m;
    for (size_t u = 0; u < s->target->n_utterances; u++) {
        int truth = s->target->utterances[u].label;
        if (s->counted && !s->counted[u])
            continue;
        c->n++;
        if (truth < 0)
            continue;
        c->n_known++;
        c->confusion[(size_t)truth * m->n_source +
                     (size_t)ser_argmax(s->scores + u * m->n_source, m->n_source)]++;
    }
}

static void judge_classes(const scoring *s)
{
    ser_cross *c = s->out;
    const ser_mapping *m = s->m;
    size_t n_right = 0;
    for (size_t t = 0; t < m->n_target; t++) {
        ser_cross_class *class = &c->per_class[t];
        size_t n_own = 0;
        for (size_t a = 0; a < m->n_source; a++) {
            class->support += c->confusion[t * m->n_source + a];
            n_own += ser_mapping_counts(m, a, t) ? c->confusion[t * m->n_source + a] : 0;
        }
        class->right = class->support && !class->excluded ? (double)n_own / (double)class->support : NAN;
        c->n_lenient += class->excluded ? 0 : class->support;
        n_right += n_own;
    }
    c->acc_lenient = c->n_lenient ? 100 * (double)n_right / (double)c->n_lenient : NAN;
}

/* The accuracy's interval: right and wrong are two labels, the truth is always right. */
static ser_status lenient_interval(const scoring *s)
{
    ser_cross *c = s->out;
    const ser_mapping *m = s->m;
    size_t n = 0, n_all = s->target->n_utterances;
    double unused[2];
    int *right = ser_alloc(3 * n_all, sizeof *right);
    if (!right)
        return ser_fail_nomem(s->err);
    int *truth = right + n_all, *group = truth + n_all;
    for (size_t u = 0; u < n_all; u++) {
        int label = s->target->utterances[u].label;
        if (label < 0 || (s->counted && !s->counted[u]) || c->per_class[label].excluded)
            continue;
        size_t answer = (size_t)ser_argmax(s->scores + u * m->n_source, m->n_source);
        right[n] = ser_mapping_counts(m, answer, (size_t)label);
        truth[n] = 1;
        group[n++] = s->target->utterances[u].speaker;
    }
    ser_status st = ser_bootstrap(unused, c->lenient_ci95, right, truth, s->has_speakers ? group : NULL, n, 2,
                                  s->n_resamples, s->seed, NULL, s->err);
    ser_free(right);
    return st;
}

/* Scores of the shared emotions alone, adding up to 1. */
static void restrict_scores(float *out, const float *scores, const ser_mapping *m)
{
    double sum = 0;
    for (size_t k = 0; k < m->n_shared; k++)
        sum += (double)scores[m->shared_source[k]];
    for (size_t k = 0; k < m->n_shared; k++)
        out[k] = (float)(sum > 0 ? (double)scores[m->shared_source[k]] / sum : 1 / (double)m->n_shared);
}

static ser_status shared_figures(const scoring *s)
{
    ser_cross *c = s->out;
    const ser_mapping *m = s->m;
    size_t n = 0, n_all = s->target->n_utterances;
    float *scores = ser_alloc(n_all * m->n_shared, sizeof *scores);
    int *truth = ser_alloc(n_all, sizeof *truth), *group = ser_alloc(n_all, sizeof *group);
    ser_status st = scores && truth && group ? SER_OK : ser_fail_nomem(s->err);
    for (size_t u = 0; u < n_all && st == SER_OK; u++) {
        int label = s->target->utterances[u].label;
        if (label < 0 || (s->counted && !s->counted[u]) || c->per_class[label].shared < 0)
            continue;
        restrict_scores(scores + n * m->n_shared, s->scores + u * m->n_source, m);
        truth[n] = c->per_class[label].shared;
        group[n++] = s->target->utterances[u].speaker;
    }
    if (st == SER_OK && n) {
        st = ser_figures_compute(&c->figures, scores, truth, s->has_speakers ? group : NULL, n, m->n_shared,
                                 s->n_resamples, s->seed, s->err);
        ser_reliability_compute(&c->reliability, scores, truth, n, m->n_shared);
    } else if (st == SER_OK) {
        const double none[2] = {NAN, NAN};
        c->figures = (ser_figures){.ua = NAN, .wa = NAN, .f1 = NAN, .loss = NAN, .ece = NAN};
        memcpy(c->figures.ua_ci95, none, sizeof none);
        memcpy(c->figures.wa_ci95, none, sizeof none);
    }
    ser_free(scores);
    ser_free(truth);
    ser_free(group);
    return st;
}

ser_status ser_cross_compute(ser_cross *out, const float *scores, const bool *counted, const ser_mapping *m,
                             const ser_corpus *target, int n_resamples, uint64_t seed, ser_error *err)
{
    *out = (ser_cross){.confusion = ser_alloc(m->n_target * m->n_source, sizeof *out->confusion),
                       .per_class = ser_alloc(m->n_target, sizeof *out->per_class),
                       .lenient_ci95 = {NAN, NAN}};
    scoring s = {.out = out,
                 .scores = scores,
                 .m = m,
                 .target = target,
                 .counted = counted,
                 .has_speakers = ser_corpus_has_speakers(target),
                 .n_resamples = n_resamples,
                 .seed = seed,
                 .err = err};
    ser_status st = out->confusion && out->per_class ? SER_OK : ser_fail_nomem(err);
    if (st == SER_OK) {
        list_classes(out, m);
        count(&s);
        judge_classes(&s);
        st = shared_figures(&s);
    }
    if (st == SER_OK && n_resamples > 0 && out->n_lenient)
        st = lenient_interval(&s);
    if (st != SER_OK)
        ser_cross_release(out);
    return st;
}

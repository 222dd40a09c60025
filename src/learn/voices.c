/* Of corpora left out: figures of each speaker and each sex, and intervals over speakers. */
#include "base/memory.h"
#include "corpus/folds.h"
#include "learn/evaluate.h"

#include <math.h>
#include <string.h>

/* Recordings that are scored together, with the answers to them. */
typedef struct answers {
    int *truth, *speaker, *restricted, *open; /* (n) */
    size_t n;
    bool has_speakers;
} answers;

static void release(answers *a)
{
    ser_free(a->truth);
    ser_free(a->speaker);
    ser_free(a->restricted);
    ser_free(a->open);
}

/* Among the emotions of allowed, the first of equals. */
static int best_of(const float *scores, size_t n_labels, uint64_t allowed)
{
    int best = -1;
    for (size_t k = 0; k < n_labels; k++)
        if ((allowed >> k & 1) && (best < 0 || scores[k] > scores[best]))
            best = (int)k;
    return best;
}

static ser_status collect(answers *a, const ser_evaluation *e, const ser_corpus *c, const ser_folds *folds,
                          size_t f, ser_error *err)
{
    uint64_t allowed = c->parts[f].emotions & ser_folds_emotions_outside(folds, c, (int)f);
    *a = (answers){.truth = ser_alloc(e->n, sizeof *a->truth),
                   .speaker = ser_alloc(e->n, sizeof *a->speaker),
                   .restricted = ser_alloc(e->n, sizeof *a->restricted),
                   .open = ser_alloc(e->n, sizeof *a->open),
                   .has_speakers = true};
    if (!a->truth || !a->speaker || !a->restricted || !a->open)
        return ser_fail_nomem(err);
    for (size_t u = 0; u < e->n; u++) {
        if (folds->test_fold[u] != (int)f || !e->scored[u])
            continue;
        const float *scores = e->scores + u * e->n_labels;
        a->truth[a->n] = c->utterances[u].label;
        a->speaker[a->n] = c->utterances[u].speaker;
        a->has_speakers = a->has_speakers && c->utterances[u].speaker >= 0;
        a->restricted[a->n] = best_of(scores, e->n_labels, allowed);
        a->open[a->n++] = ser_argmax(scores, e->n_labels);
    }
    return SER_OK;
}

/* UA of the recordings of a that are marked; confusion (n_labels, n_labels) is room. */
static double ua_of(const answers *a, const bool *marked, const int *answer, size_t *confusion,
                    size_t n_labels)
{
    memset(confusion, 0, n_labels * n_labels * sizeof *confusion);
    for (size_t i = 0; i < a->n; i++)
        confusion[(size_t)a->truth[i] * n_labels + (size_t)answer[i]] += marked[i];
    return ser_ua(confusion, n_labels);
}

static void judge(ser_group_result *out, const answers *a, const bool *marked, size_t *confusion,
                  size_t n_labels)
{
    out->n = 0;
    for (size_t i = 0; i < a->n; i++)
        out->n += marked[i];
    out->ua_restricted = out->n ? ua_of(a, marked, a->restricted, confusion, n_labels) : NAN;
    out->ua_open = out->n ? ua_of(a, marked, a->open, confusion, n_labels) : NAN;
}

static ser_status judge_groups(ser_evaluation *e, const answers *a, const ser_corpus *c, size_t f,
                               ser_error *err)
{
    bool *marked = ser_alloc(a->n, sizeof *marked);
    size_t *confusion = ser_alloc(e->n_labels, e->n_labels * sizeof *confusion);
    ser_status st = marked && confusion ? SER_OK : ser_fail_nomem(err);
    for (size_t s = 0; s < c->n_speakers && st == SER_OK; s++) {
        bool any = false;
        for (size_t i = 0; i < a->n; i++)
            any |= marked[i] = a->speaker[i] == (int)s;
        if (any) {
            judge(&e->voices[s], a, marked, confusion, e->n_labels);
            e->voices[s].fold = (int)f;
        }
    }
    for (int sex = 0; sex < SER_N_SEXES && st == SER_OK; sex++) {
        for (size_t i = 0; i < a->n; i++)
            marked[i] = a->speaker[i] >= 0 && (int)c->sexes[a->speaker[i]] == sex;
        judge(&e->folds[f].sexes[sex], a, marked, confusion, e->n_labels);
    }
    ser_free(marked);
    ser_free(confusion);
    return st;
}

enum { RESTRICTED, OPEN, N_FIGURES };

/* Resamples of all corpora: of the means over them, which are as sure as their corpora are together. */
typedef struct resamples {
    double *own, *sum[N_FIGURES]; /* (n): UA in percent of one corpus; over the corpora */
    size_t n, n_corpora;
} resamples;

static ser_status resamples_init(resamples *m, int n, ser_error *err)
{
    *m = (resamples){.n = (size_t)n};
    m->own = ser_alloc(m->n, sizeof *m->own);
    for (int k = 0; k < N_FIGURES; k++)
        m->sum[k] = ser_alloc(m->n, sizeof *m->sum[k]);
    return m->own && m->sum[RESTRICTED] && m->sum[OPEN] ? SER_OK : ser_fail_nomem(err);
}

static void resamples_release(resamples *m)
{
    ser_free(m->own);
    for (int k = 0; k < N_FIGURES; k++)
        ser_free(m->sum[k]);
}

/* Over recordings where some speaker is unknown, as the intervals of all answers. */
static ser_status resample(ser_fold_result *r, resamples *m, const answers *a, size_t n_labels, uint64_t seed,
                           ser_error *err)
{
    const int *answer[N_FIGURES] = {a->restricted, a->open}, *group = a->has_speakers ? a->speaker : NULL;
    double unused[2], *interval[N_FIGURES] = {r->restricted_ci95, r->open_ci95};
    ser_status st = SER_OK;
    r->by_speakers = a->has_speakers;
    for (int k = 0; k < N_FIGURES && st == SER_OK; k++) {
        st = ser_bootstrap(interval[k], unused, answer[k], a->truth, group, a->n, n_labels, (int)m->n, seed,
                           m->own, err);
        /* Corpora with as many speakers drew the same numbers: shifted, resamples meet others'. */
        for (size_t i = 0; i < m->n && st == SER_OK; i++)
            m->sum[k][(i + m->n_corpora) % m->n] += m->own[i];
    }
    m->n_corpora++;
    return st;
}

static void set_mean_intervals(ser_evaluation *e, resamples *m)
{
    double *interval[N_FIGURES] = {e->restricted_ci95, e->open_ci95};
    for (int k = 0; k < N_FIGURES; k++) {
        interval[k][0] = interval[k][1] = NAN;
        if (!m->n_corpora)
            continue;
        for (size_t i = 0; i < m->n; i++)
            m->sum[k][i] /= (double)m->n_corpora;
        ser_ci95(interval[k], m->sum[k], m->n);
    }
}

ser_status ser_evaluation_add_voices(ser_evaluation *e, const ser_corpus *c, const ser_folds *folds,
                                     int n_resamples, uint64_t seed, ser_error *err)
{
    resamples all;
    ser_status st = resamples_init(&all, n_resamples, err);
    e->n_voices = c->n_speakers;
    e->voices = ser_alloc(c->n_speakers ? c->n_speakers : 1, sizeof *e->voices);
    if (!e->voices && st == SER_OK)
        st = ser_fail_nomem(err);
    for (size_t f = 0; f < e->n_folds && st == SER_OK; f++) {
        answers a;
        st = collect(&a, e, c, folds, f, err);
        if (st == SER_OK && a.n)
            st = judge_groups(e, &a, c, f, err);
        if (st == SER_OK && a.n)
            st = resample(&e->folds[f], &all, &a, e->n_labels, seed, err);
        release(&a);
    }
    if (st == SER_OK)
        set_mean_intervals(e, &all);
    resamples_release(&all);
    return st;
}

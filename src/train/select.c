#include "train/select.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/threads.h"
#include "metrics/metrics.h"
#include "model/linear.h"
#include "train/softmax_regression.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

enum { PANEL = 256 /* rows of the Gram matrix computed at once */ };

/* Candidates with the same features and different penalties, and what the threads share about them. */
typedef struct variant {
    const ser_select_data *data;
    const ser_select_candidate *candidates;
    size_t first, end; /* candidates */
    ser_selection *out;
    const long *scored_as; /* (n): place of a row among the scored ones, or NOT_SCORED */
    ser_nn_work **works;   /* one for each thread, of one thread */
    size_t n_columns;
    size_t *column; /* (n_columns): features that are used */
    float *factor;  /* (n_columns): scale times emphasis */
    float *z;       /* (n, n_columns): features, or NULL when gram is there instead */
    float *gram;    /* (n, n): inner products of the rows */
    int n_folds;
    size_t first_fold; /* of those that are tried */
    const ser_select_settings *settings;
    const ser_progress *progress;
    pthread_mutex_t lock; /* guards n_done and the calls of progress */
    size_t n_done, n_to_do;
    double last_asked_s;
} variant;

enum { NOT_SCORED = -1 };

/* What the labels' masks make of a fold: bits of the labels that its training rows have, and compete for. */
typedef struct known_labels {
    uint64_t seen, competing;
} known_labels;

static const float no_logit =
    -1e4f; /* of a label that does not compete: finite, and no score is left of it */

static known_labels known_outside(const ser_select_data *d, int left_out)
{
    known_labels known = {0};
    for (size_t r = 0; r < d->n; r++)
        if (d->fold[r] != left_out) {
            known.seen |= UINT64_C(1) << d->label[r];
            known.competing |= d->mask[r];
        }
    return known;
}

/* ---- features of a variant ---- */

static ser_status choose_columns(variant *v, ser_error *err)
{
    const float *emphasis = v->candidates[v->first].emphasis;
    v->n_columns = 0;
    for (size_t i = 0; i < v->data->n_in; i++) {
        float factor = v->data->scale[i] * emphasis[i];
        if (factor == 0)
            continue;
        v->column[v->n_columns] = i;
        v->factor[v->n_columns++] = factor;
    }
    if (!v->n_columns)
        return ser_fail(err, SER_E_ARG, "candidate %zu uses no feature that varies", v->first);
    return SER_OK;
}

static ser_status fill_row(void *context, size_t row, int worker, ser_error *err)
{
    (void)worker;
    variant *v = context;
    const float *x = v->data->x[row], *mean = v->data->mean;
    float *z = v->z + row * v->n_columns;
    bool finite = true;
    for (size_t i = 0; i < v->n_columns; i++) {
        z[i] = (x[v->column[i]] - mean[v->column[i]]) * v->factor[i];
        finite = finite && isfinite(z[i]);
    }
    if (!finite)
        return ser_fail(err, SER_E_FORMAT,
                        "row %zu has features that are not finite numbers: compute the features again", row);
    return SER_OK;
}

/* Rows first ... of the upper triangle, and their mirror image. */
static ser_status fill_panel(void *context, size_t panel, int worker, ser_error *err)
{
    variant *v = context;
    size_t n = v->data->n, width = v->n_columns, first = panel * PANEL;
    size_t m = n - first < PANEL ? n - first : PANEL;
    float *corner = v->gram + first * n + first;
    const float *z = v->z + first * width;
    const ser_gemm g = {.n_batch = 1,
                        .m = m,
                        .n = n - first,
                        .k = width,
                        .lda = width,
                        .ldb = width,
                        .ldc = n,
                        .b_transposed = true};
    ser_status st = ser_nn_gemm(v->works[worker], corner, z, z, &g, err);
    for (size_t j = m; j < n - first && st == SER_OK; j++)
        for (size_t i = 0; i < m; i++)
            corner[j * n + i] = corner[i * n + j];
    return st;
}

/* With more features than rows, the rows' inner products are fewer, and each fold's are a part of them. */
static ser_status fill_features(variant *v, ser_error *err)
{
    size_t n = v->data->n, n_values;
    ser_status st = choose_columns(v, err);
    if (st != SER_OK)
        return st;
    if (!ser_mul_size(&n_values, n, v->n_columns) || !(v->z = ser_alloc(n_values, sizeof *v->z)))
        return ser_fail_nomem(err);
    st = ser_parallel_for(v->settings->n_threads, n, fill_row, v, err);
    if (st != SER_OK || n >= v->n_columns)
        return st;
    if (!(v->gram = ser_alloc(n, n * sizeof *v->gram)))
        return ser_fail_nomem(err);
    st = ser_parallel_for(v->settings->n_threads, (n + PANEL - 1) / PANEL, fill_panel, v, err);
    ser_free(v->z);
    v->z = NULL;
    return st;
}

static void release_features(variant *v)
{
    ser_free(v->z);
    ser_free(v->gram);
    v->z = v->gram = NULL;
}

/* ---- one fold ---- */

typedef struct fold {
    size_t *train, *test; /* rows */
    size_t n_train, n_test, width;
    float *z, *z_test; /* (n_train, width), (n_test, width) */
    int *label;
    float *weight; /* (n_train) each */
    uint64_t *mask;
    float *offset;      /* (n_train, n_labels), where there are some */
    known_labels known; /* with masks */
    float *theta;       /* (n_labels, width) */
    float *bias;        /* (n_labels) */
    float *logits;      /* (n_test, n_labels) */
} fold;

static void fold_release(fold *f)
{
    ser_free(f->train);
    ser_free(f->test);
    ser_free(f->z);
    ser_free(f->z_test);
    ser_free(f->label);
    ser_free(f->weight);
    ser_free(f->mask);
    ser_free(f->offset);
    ser_free(f->theta);
    ser_free(f->bias);
    ser_free(f->logits);
}

/* The features of some rows, or their inner products with the training rows. */
static void gather(float *to, const variant *v, const fold *f, const size_t *rows, size_t n)
{
    for (size_t r = 0; r < n; r++, to += f->width) {
        if (v->z) {
            memcpy(to, v->z + rows[r] * f->width, f->width * sizeof *to);
            continue;
        }
        const float *products = v->gram + rows[r] * v->data->n;
        for (size_t i = 0; i < f->width; i++)
            to[i] = products[f->train[i]];
    }
}

static ser_status fold_init(fold *f, const variant *v, int left_out, ser_error *err)
{
    const ser_select_data *d = v->data;
    *f = (fold){.train = ser_alloc(d->n, sizeof *f->train), .test = ser_alloc(d->n, sizeof *f->test)};
    if (!f->train || !f->test)
        return ser_fail_nomem(err);
    for (size_t r = 0; r < d->n; r++)
        if (d->fold[r] != left_out)
            f->train[f->n_train++] = r;
        else if (v->scored_as[r] != NOT_SCORED)
            f->test[f->n_test++] = r;
    f->width = v->z ? v->n_columns : f->n_train;
    f->z = ser_alloc(f->n_train, f->width * sizeof *f->z); /* no larger than the variant's own */
    f->z_test = ser_alloc(f->n_test, f->width * sizeof *f->z_test);
    f->label = ser_alloc(f->n_train, sizeof *f->label);
    f->weight = ser_alloc(f->n_train, sizeof *f->weight);
    f->mask = ser_alloc(f->n_train, sizeof *f->mask);
    f->offset = d->offset ? ser_alloc(f->n_train, d->n_labels * sizeof *f->offset) : NULL;
    f->theta = ser_alloc(f->width, d->n_labels * sizeof *f->theta);
    f->bias = ser_alloc(d->n_labels, sizeof *f->bias);
    f->logits = ser_alloc(f->n_test, d->n_labels * sizeof *f->logits);
    if (!f->z || !f->z_test || !f->label || !f->weight || !f->mask || !f->theta || !f->bias || !f->logits ||
        (d->offset && !f->offset))
        return ser_fail_nomem(err);
    gather(f->z, v, f, f->train, f->n_train);
    gather(f->z_test, v, f, f->test, f->n_test);
    for (size_t i = 0; i < f->n_train; i++) {
        f->label[i] = d->label[f->train[i]];
        f->weight[i] = d->weight ? d->weight[f->train[i]] : 1;
        f->mask[i] = d->mask ? d->mask[f->train[i]] : UINT64_MAX;
        for (size_t k = 0; k < d->n_labels && d->offset; k++)
            f->offset[i * d->n_labels + k] = d->offset[f->train[i] * d->n_labels + k];
    }
    if (d->mask)
        f->known = known_outside(d, left_out);
    return SER_OK;
}

/* Every step of every fit asks; who listens may take long to answer. */
static bool go_on(void *context)
{
    variant *v = context;
    bool yes = true;
    double now = ser_clock_s();
    pthread_mutex_lock(&v->lock);
    if (now - v->last_asked_s >= 0.1) {
        v->last_asked_s = now;
        yes = ser_progress_report(v->progress, v->settings->what, v->n_done, v->n_to_do);
    }
    pthread_mutex_unlock(&v->lock);
    return yes;
}

static ser_status try_candidate(fold *f, variant *v, size_t candidate, ser_nn_work *work, ser_error *err)
{
    size_t n_labels = v->data->n_labels;
    const ser_softmax_data data = {.z = f->z,
                                   .n = f->n_train,
                                   .width = f->width,
                                   .gram = !v->z,
                                   .label = f->label,
                                   .weight = f->weight,
                                   .mask = v->data->mask ? f->mask : NULL,
                                   .offset = f->offset,
                                   .n_labels = n_labels};
    ser_softmax_fit fit = ser_softmax_fit_default(v->candidates[candidate].c);
    fit.go_on = go_on;
    fit.context = v;
    const ser_gemm g = {.n_batch = 1,
                        .m = f->n_test,
                        .n = n_labels,
                        .k = f->width,
                        .lda = f->width,
                        .ldb = f->width,
                        .ldc = n_labels,
                        .b_transposed = true};
    ser_status st = ser_softmax_minimise(f->theta, f->bias, &data, &fit, work, NULL, err);
    if (st == SER_OK)
        st = ser_nn_gemm(work, f->logits, f->z_test, f->theta, &g, err);
    float *out = v->out->logits + candidate * v->out->n_scored * n_labels;
    for (size_t i = 0; i < f->n_test && st == SER_OK; i++) {
        size_t row = f->test[i], to = (size_t)v->scored_as[row] * n_labels;
        uint64_t mask = v->data->mask ? v->data->mask[row] & f->known.competing : UINT64_MAX;
        const float *offset = v->data->offset ? v->data->offset + row * n_labels : NULL;
        for (size_t k = 0; k < n_labels; k++) {
            float logit = f->logits[i * n_labels + k] + f->bias[k] + (offset ? offset[k] : 0);
            out[to + k] = mask >> k & 1 ? logit : no_logit;
        }
    }
    return st;
}

static ser_status report(variant *v, ser_error *err)
{
    pthread_mutex_lock(&v->lock);
    bool go_on = ser_progress_report(v->progress, v->settings->what, ++v->n_done, v->n_to_do);
    pthread_mutex_unlock(&v->lock);
    return go_on ? SER_OK : ser_fail(err, SER_E_CANCELLED, "interrupted");
}

/* All penalties in turn, each fit starting from the one before. */
static ser_status try_fold(void *context, size_t item, int worker, ser_error *err)
{
    variant *v = context;
    fold f;
    ser_status st = fold_init(&f, v, (int)(v->first_fold + item), err);
    for (size_t c = v->first; c < v->end && st == SER_OK; c++) {
        if (f.n_test)
            st = try_candidate(&f, v, c, v->works[worker], err);
        if (st == SER_OK)
            st = report(v, err);
    }
    fold_release(&f);
    return st;
}

/* ---- verdicts ---- */

/* The first candidate that is not certainly worse than the one with the lowest loss: by no more than the
 * standard error of the difference, over the same recordings (the rule of Breiman et al., Classification and
 * Regression Trees, section 3.4.3). losses (n_candidates, n_scored). */
static size_t choose(const ser_selection *s, const double *losses)
{
    size_t lowest = 0;
    for (size_t c = 1; c < s->n_candidates; c++)
        if (s->verdicts[c].loss < s->verdicts[lowest].loss)
            lowest = c;
    for (size_t c = 0; c < lowest; c++) {
        double n = (double)s->n_scored, mean = s->verdicts[c].loss - s->verdicts[lowest].loss, sum = 0;
        for (size_t i = 0; i < s->n_scored; i++) {
            double d = losses[c * s->n_scored + i] - losses[lowest * s->n_scored + i] - mean;
            sum += d * d;
        }
        if (mean <= sqrt(sum) / n)
            return c;
    }
    return lowest;
}

static ser_status judge(ser_selection *s, const ser_select_data *d, const long *scored_as, ser_error *err)
{
    size_t n_labels = d->n_labels;
    double *losses = ser_alloc(s->n_candidates, s->n_scored * sizeof *losses); /* no larger than logits */
    int *truth = ser_alloc(s->n_scored, sizeof *truth);
    size_t *confusion = ser_alloc(n_labels, n_labels * sizeof *confusion);
    float *scores = ser_alloc(n_labels, sizeof *scores);
    ser_status st = truth && confusion && scores && losses ? SER_OK : ser_fail_nomem(err);
    for (size_t r = 0; r < d->n && st == SER_OK; r++)
        if (scored_as[r] != NOT_SCORED)
            truth[scored_as[r]] = d->label[r];
    for (size_t c = 0; c < s->n_candidates && st == SER_OK; c++) {
        const float *logits = s->logits + c * s->n_scored * n_labels;
        ser_select_verdict *verdict = &s->verdicts[c];
        verdict->temperature = ser_temperature_fit(logits, truth, s->n_scored, n_labels);
        memset(confusion, 0, n_labels * n_labels * sizeof *confusion);
        for (size_t i = 0; i < s->n_scored; i++) {
            memcpy(scores, logits + i * n_labels, n_labels * sizeof *scores);
            ser_softmax(scores, n_labels, verdict->temperature);
            confusion[(size_t)truth[i] * n_labels + (size_t)ser_argmax(scores, n_labels)]++;
            double loss = -log(fmax((double)scores[truth[i]], 1e-12));
            losses[c * s->n_scored + i] = loss;
            verdict->loss += loss / (double)s->n_scored;
        }
        verdict->ua = ser_ua(confusion, n_labels);
    }
    if (st == SER_OK)
        s->best = choose(s, losses);
    ser_free(losses);
    ser_free(truth);
    ser_free(confusion);
    ser_free(scores);
    return st;
}

/* ---- all of it ---- */

static ser_status check(const ser_select_data *d, size_t n_candidates, int *n_folds, ser_error *err)
{
    *n_folds = 0;
    if (!n_candidates)
        return ser_fail(err, SER_E_ARG, "no candidates to choose from");
    for (size_t r = 0; r < d->n; r++) {
        if (d->fold[r] < 0 || (size_t)d->fold[r] >= d->n)
            return ser_fail(err, SER_E_ARG, "row %zu is in fold %d of at most %zu", r, d->fold[r], d->n);
        if (d->label[r] < 0 || (size_t)d->label[r] >= d->n_labels)
            return ser_fail(err, SER_E_ARG, "row %zu has label %d of %zu", r, d->label[r], d->n_labels);
        *n_folds = d->fold[r] >= *n_folds ? d->fold[r] + 1 : *n_folds;
    }
    if (*n_folds < 2)
        return ser_fail(err, SER_E_ARG, "%zu recordings in one fold: choosing takes two folds", d->n);
    return SER_OK;
}

static ser_status selection_init(ser_selection *s, long *scored_as, const ser_select_data *d, int n_folds,
                                 size_t n_candidates, ser_error *err)
{
    size_t n_values;
    *s = (ser_selection){.n_candidates = n_candidates};
    for (size_t r = 0; r < d->n; r++)
        scored_as[r] = d->is_copy && d->is_copy[r] ? NOT_SCORED : 0;
    for (int f = 0; f < n_folds && d->mask; f++) {
        uint64_t seen = known_outside(d, f).seen;
        for (size_t r = 0; r < d->n; r++)
            if (d->fold[r] == f && !(seen >> d->label[r] & 1))
                scored_as[r] = NOT_SCORED;
    }
    for (size_t r = 0; r < d->n; r++)
        if (scored_as[r] != NOT_SCORED)
            scored_as[r] = (long)s->n_scored++;
    if (ser_mul_size(&n_values, s->n_scored, n_candidates))
        s->logits = ser_alloc(n_values, d->n_labels * sizeof *s->logits);
    s->verdicts = ser_alloc(n_candidates, sizeof *s->verdicts);
    return s->logits && s->verdicts ? SER_OK : ser_fail_nomem(err);
}

/* Where the variant ends that begins with candidate first. */
static size_t end_of(const variant *v, size_t first)
{
    size_t end = first + 1;
    while (end < v->out->n_candidates && v->candidates[end].emphasis == v->candidates[first].emphasis)
        end++;
    return end;
}

static ser_status run_variants(variant *v, ser_error *err)
{
    ser_status st = SER_OK;
    v->n_to_do = v->out->n_candidates * (size_t)v->n_folds;
    for (v->first = 0; v->first < v->out->n_candidates && st == SER_OK; v->first = v->end) {
        v->end = end_of(v, v->first);
        st = fill_features(v, err);
        if (st == SER_OK)
            st = ser_parallel_for(v->settings->n_threads, (size_t)v->n_folds, try_fold, v, err);
        release_features(v);
    }
    return st;
}

/* ---- dealt to ranks ---- */

/* Variants and, where they are fewer than ranks, shares of their folds. */
typedef struct dealt {
    variant *v;
    size_t *first; /* (n_candidates): of each variant */
    size_t n_variants, n_shares;
    size_t filled; /* which variant's features are there; n_variants: none */
} dealt;

static void share_of(const dealt *d, size_t item, size_t *first_fold, size_t *end_fold)
{
    size_t share = item % d->n_shares, n_folds = (size_t)d->v->n_folds;
    *first_fold = n_folds * share / d->n_shares;
    *end_fold = n_folds * (share + 1) / d->n_shares;
}

/* The logits of an item, between the selection and bytes: in the order of candidates and rows. */
static ser_status move_logits(const dealt *d, size_t item, ser_text *to, const char *from, size_t n,
                              ser_error *err)
{
    const variant *v = d->v;
    size_t first_fold, end_fold, first = d->first[item / d->n_shares], n_labels = v->data->n_labels, at = 0;
    share_of(d, item, &first_fold, &end_fold);
    for (size_t c = first; c < end_of(v, first); c++)
        for (size_t r = 0; r < v->data->n; r++) {
            size_t fold_of_row = (size_t)v->data->fold[r], n_row = n_labels * sizeof(float);
            if (v->scored_as[r] == NOT_SCORED || fold_of_row < first_fold || fold_of_row >= end_fold)
                continue;
            float *logits = v->out->logits + (c * v->out->n_scored + (size_t)v->scored_as[r]) * n_labels;
            if (to)
                ser_text_append_n(to, (const char *)logits, n_row);
            else if (n - at >= n_row)
                memcpy(logits, from + at, n_row);
            else
                return ser_fail(err, SER_E_FORMAT, "a rank tried other candidates");
            at += n_row;
        }
    return SER_OK;
}

static ser_status try_dealt(void *context, size_t item, int worker, ser_text *answer, ser_error *err)
{
    dealt *d = context;
    variant *v = d->v;
    size_t number = item / d->n_shares, end_fold;
    ser_status st = SER_OK;
    (void)worker;
    v->first = d->first[number];
    v->end = end_of(v, v->first);
    share_of(d, item, &v->first_fold, &end_fold);
    v->n_done = 0;
    v->n_to_do = (v->end - v->first) * (end_fold - v->first_fold);
    if (d->filled != number) {
        release_features(v);
        d->filled = d->n_variants;
        st = fill_features(v, err);
    }
    if (st == SER_OK) {
        d->filled = number;
        st = ser_parallel_for(v->settings->n_threads, end_fold - v->first_fold, try_fold, v, err);
    }
    return st == SER_OK ? move_logits(d, item, answer, NULL, 0, err) : st;
}

static ser_status take_dealt(void *context, size_t item, const void *answer, size_t n, ser_error *err)
{
    return move_logits(context, item, NULL, answer, n, err);
}

/* All ranks have all logits in the end. */
static ser_status deal_variants(variant *v, ser_error *err)
{
    const ser_team *team = v->settings->team;
    size_t n_candidates = v->out->n_candidates, n_ranks = (size_t)team->n, n_folds = (size_t)v->n_folds,
           n_bytes = n_candidates * v->out->n_scored * v->data->n_labels * sizeof(float);
    dealt d = {.v = v, .first = ser_alloc(n_candidates, sizeof *d.first)};
    ser_text all = {0};
    if (!d.first)
        return ser_fail_nomem(err);
    for (size_t c = 0; c < n_candidates; c = end_of(v, c))
        d.first[d.n_variants++] = c;
    d.filled = d.n_variants;
    d.n_shares = (n_ranks + d.n_variants - 1) / d.n_variants;
    d.n_shares = d.n_shares < n_folds ? d.n_shares : n_folds;
    v->progress = &team->within;
    const ser_deal deal = {.n_items = d.n_variants * d.n_shares,
                           .n_threads = 1, /* each item with all of the rank's */
                           .work = try_dealt,
                           .take = take_dealt,
                           .context = &d,
                           .progress = v->settings->progress,
                           .what = v->settings->what,
                           .long_items = true};
    ser_status st = team->deal(team->context, &deal, err);
    release_features(v);
    if (st == SER_OK && ser_team_is_first(team))
        ser_text_append_n(&all, (const char *)v->out->logits, n_bytes);
    if (st == SER_OK)
        st = ser_team_share(team, &all, err);
    if (st == SER_OK && all.n != n_bytes)
        st = ser_fail(err, SER_E_FORMAT, "rank 0 tried other candidates");
    if (st == SER_OK)
        memcpy(v->out->logits, all.s, n_bytes);
    ser_text_release(&all);
    ser_free(d.first);
    return st;
}

ser_status ser_select(ser_selection *out, const ser_select_data *data, const ser_select_candidate *candidates,
                      size_t n_candidates, const ser_select_settings *settings, ser_error *err)
{
    ser_selection s = {0};
    ser_select_settings own = *settings;
    own.n_threads = settings->n_threads > 0 ? settings->n_threads : ser_n_cores();
    variant v = {
        .data = data, .candidates = candidates, .out = &s, .settings = &own, .progress = own.progress};
    ser_status st = check(data, n_candidates, &v.n_folds, err);
    if (st != SER_OK)
        return st;
    pthread_mutex_init(&v.lock, NULL);
    long *scored_as = ser_alloc(data->n, sizeof *scored_as);
    v.scored_as = scored_as;
    v.column = ser_alloc(data->n_in, sizeof *v.column);
    v.factor = ser_alloc(data->n_in, sizeof *v.factor);
    v.works = ser_alloc((size_t)own.n_threads, sizeof *v.works);
    if (!scored_as || !v.column || !v.factor || !v.works)
        st = ser_fail_nomem(err);
    for (int i = 0; i < own.n_threads && st == SER_OK; i++)
        if ((st = ser_nn_work_new(&v.works[i], own.ops, 1, err)) == SER_OK)
            st = ser_nn_work_keep_shapes(v.works[i], SER_SOFTMAX_SHAPES, err);
    if (st == SER_OK)
        st = selection_init(&s, scored_as, data, v.n_folds, n_candidates, err);
    if (st == SER_OK)
        st = own.team ? deal_variants(&v, err) : run_variants(&v, err);
    if (st == SER_OK)
        st = judge(&s, data, scored_as, err);
    for (int i = 0; i < own.n_threads && v.works; i++)
        ser_nn_work_free(&v.works[i]);
    ser_free(v.works);
    ser_free(v.column);
    ser_free(v.factor);
    ser_free(scored_as);
    pthread_mutex_destroy(&v.lock);
    if (st == SER_OK)
        *out = s;
    else
        ser_selection_release(&s);
    return st;
}

void ser_selection_release(ser_selection *s)
{
    ser_free(s->logits);
    ser_free(s->verdicts);
    *s = (ser_selection){0};
}

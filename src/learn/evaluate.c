#include "learn/evaluate.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/file.h"
#include "learn/kind.h"
#include "learn/pack.h"

#include <math.h>
#include <string.h>

enum { N_RESAMPLES = 10000 };

void ser_evaluation_release(ser_evaluation *e)
{
    ser_free(e->scores);
    ser_free(e->folds);
    ser_free(e->scored);
    ser_free(e->voices);
    ser_figures_release(&e->figures);
    *e = (ser_evaluation){0};
}

/* ---- figures ---- */

/* Recordings that are scored together. */
typedef struct scored {
    float *scores; /* (n, n_labels) */
    int *truth, *group;
    size_t n;
    bool has_speakers;
} scored;

static ser_status scored_init(scored *s, size_t n, size_t n_labels, ser_error *err)
{
    *s = (scored){.scores = ser_alloc(n * n_labels, sizeof *s->scores),
                  .truth = ser_alloc(n, sizeof *s->truth),
                  .group = ser_alloc(n, sizeof *s->group),
                  .has_speakers = true};
    return s->scores && s->truth && s->group ? SER_OK : ser_fail_nomem(err);
}

static void scored_release(scored *s)
{
    ser_free(s->scores);
    ser_free(s->truth);
    ser_free(s->group);
}

static void add_scored(scored *s, const float *scores, size_t n_labels, const ser_corpus *corpus, size_t u)
{
    const ser_utterance *utterance = &corpus->utterances[u];
    memcpy(s->scores + s->n * n_labels, scores + u * n_labels, n_labels * sizeof *s->scores);
    s->truth[s->n] = utterance->label;
    s->group[s->n++] = utterance->speaker;
    s->has_speakers = s->has_speakers && utterance->speaker >= 0;
}

/* Scores of the labels of allowed alone, adding up to 1. */
static void restrict_scores(scored *s, size_t n_labels, uint64_t allowed)
{
    for (size_t i = 0; i < s->n; i++) {
        float *own = s->scores + i * n_labels;
        double sum = 0;
        for (size_t k = 0; k < n_labels; k++)
            sum += allowed >> k & 1 ? (double)own[k] : 0;
        for (size_t k = 0; k < n_labels; k++)
            own[k] = allowed >> k & 1 && sum > 0 ? (float)((double)own[k] / sum) : 0;
    }
}

void ser_fold_result_set(ser_fold_result *r, const ser_figures *figures)
{
    r->ua = figures->ua;
    r->wa = figures->wa;
    r->f1 = figures->f1;
    r->loss = figures->loss;
}

static ser_status compute(ser_fold_result *r, double *ece, const scored *s, size_t n_labels, ser_error *err)
{
    ser_figures figures = {0};
    ser_status st = ser_figures_compute(&figures, s->scores, s->truth, NULL, s->n, n_labels, 0, 0, err);
    ser_fold_result_set(r, &figures);
    *ece = figures.ece;
    ser_figures_release(&figures);
    return st;
}

/* A corpus of which nothing is scored has no figures. */
static ser_status figures_across(ser_fold_result *r, scored *s, const ser_evaluation *e, uint64_t allowed,
                                 ser_error *err)
{
    ser_fold_result restricted = {0};
    double unused;
    if (!s->n) {
        r->ua = r->wa = r->f1 = r->loss = r->ua_restricted = r->ua_open = r->ece = NAN;
        return SER_OK;
    }
    ser_status st = compute(r, &r->ece, s, e->n_labels, err);
    r->ua_open = r->ua;
    restrict_scores(s, e->n_labels, allowed);
    if (st == SER_OK)
        st = compute(&restricted, &unused, s, e->n_labels, err);
    r->ua_restricted = restricted.ua;
    return st;
}

/* Of the recordings that fold f tests. */
static ser_status fold_figures(ser_evaluation *out, const ser_corpus *corpus, const ser_folds *folds,
                               size_t f, ser_error *err)
{
    ser_fold_result *r = &out->folds[f];
    uint64_t seen = out->across ? ser_folds_emotions_outside(folds, corpus, (int)f) : UINT64_MAX;
    double unused;
    scored s;
    ser_status st = scored_init(&s, out->n, out->n_labels, err);
    for (size_t u = 0; u < out->n && st == SER_OK; u++) {
        if (folds->test_fold[u] != (int)f)
            continue;
        r->n_test++;
        out->scored[u] = seen >> corpus->utterances[u].label & 1;
        if (out->scored[u])
            add_scored(&s, out->scores, out->n_labels, corpus, u);
        else
            r->excluded[corpus->utterances[u].label]++;
    }
    r->n_train = out->n - r->n_test;
    if (st == SER_OK)
        st = out->across ? figures_across(r, &s, out, corpus->parts[f].emotions & seen, err)
                         : compute(r, &unused, &s, out->n_labels, err);
    scored_release(&s);
    return st;
}

ser_status ser_figures_of(ser_figures *out, const float *scores, size_t n_labels, const bool *scored_ones,
                          const ser_corpus *corpus, int n_resamples, uint64_t seed, ser_error *err)
{
    scored s;
    ser_status st = scored_init(&s, corpus->n_utterances, n_labels, err);
    for (size_t u = 0; u < corpus->n_utterances && st == SER_OK; u++)
        if (scored_ones[u])
            add_scored(&s, scores, n_labels, corpus, u);
    if (st == SER_OK && s.n)
        st = ser_figures_compute(out, s.scores, s.truth, s.has_speakers ? s.group : NULL, s.n, n_labels,
                                 n_resamples, seed, err);
    scored_release(&s);
    return st;
}

/* Of the folds that have figures. */
static void mean_over_folds(ser_evaluation *e)
{
    double n = 0;
    for (size_t f = 0; f < e->n_folds; f++) {
        const ser_fold_result *r = &e->folds[f];
        if (isnan(r->ua_open))
            continue;
        n++;
        e->ua_restricted += r->ua_restricted;
        e->ua_open += r->ua_open;
        e->ece += r->ece;
    }
    e->ua_restricted /= n;
    e->ua_open /= n;
    e->ece /= n;
}

/* ---- a fold ---- */

char *ser_fold_path(const char *folder, const char *prefix, const char *name, const char *end)
{
    ser_text path = {0};
    ser_text_appendf(&path, "%s/fold-", folder);
    size_t start = path.n;
    ser_text_append(&path, prefix ? prefix : "");
    ser_text_append(&path, name);
    for (size_t i = start; i < path.n && !path.failed; i++)
        if (path.s[i] == '/')
            path.s[i] = '-';
    ser_text_append(&path, end);
    return ser_text_take(&path);
}

/* Makes the folder; *out is NULL where no state is kept. */
static ser_status fold_state(char **out, const ser_evaluate_settings *s, const char *name, ser_error *err)
{
    *out = NULL;
    if (!s->state)
        return SER_OK;
    char *own = ser_fold_path(s->state, s->state_prefix, name, "");
    ser_status st = own ? ser_io_make_folder(own, err) : ser_fail_nomem(err);
    ser_free(own);
    if (st == SER_OK && !(*out = ser_fold_path(s->state, s->state_prefix, name, "/state")))
        st = ser_fail_nomem(err);
    return st;
}

/* A fold's models, its answers in out->scores, and what a report says of it besides figures. */
static ser_status learn_fold(ser_learned *models, ser_evaluation *out, const ser_learn_data *data,
                             const ser_folds *folds, const ser_evaluate_settings *s, size_t f, ser_error *err)
{
    ser_fold_result *r = &out->folds[f];
    char *state = NULL;
    ser_text what = {0};
    /* Called as its states are: those of other seeds and protocols have folds of the same names. */
    ser_text_appendf(&what, "fold %s%s", s->state_prefix ? s->state_prefix : "", folds->names[f]);
    double start = ser_clock_s();
    const ser_asking how = {s->learn.timnet.ops, s->learn.n_threads, s->learn.progress};
    ser_status st = what.failed ? ser_fail_nomem(err) : fold_state(&state, s, folds->names[f], err);
    if (st == SER_OK)
        st = ser_learn(models, data, folds->test_fold, (int)f, &s->learn, what.s, state, err);
    r->seconds = ser_clock_s() - start;
    bool first = ser_team_is_first(s->learn.team);
    if (st == SER_OK && first)
        st = ser_learned_score(models, out->scores, data, folds->test_fold, (int)f, &how, err);
    if (st == SER_OK && first) {
        r->chosen = s->learn.candidates[0];
        for (size_t i = 0; i < models->n_kinds; i++)
            if (models->kinds[i]->describe)
                models->kinds[i]->describe(r, models, models->own[i]);
    }
    ser_text_release(&what);
    ser_free(state);
    return st;
}

/* Its figures; whoever wants models gets them. */
static ser_status finish_fold(ser_learned *models, ser_evaluation *out, const ser_learn_data *data,
                              const ser_folds *folds, const ser_evaluate_settings *s, size_t f,
                              ser_error *err)
{
    if (!ser_team_is_first(s->learn.team))
        return SER_OK;
    ser_status st = fold_figures(out, data->corpus, folds, f, err);
    return st == SER_OK && s->on_fold ? s->on_fold(s->context, f, models, &out->folds[f], err) : st;
}

static ser_status run_fold(ser_evaluation *out, const ser_learn_data *data, const ser_folds *folds,
                           const ser_evaluate_settings *s, size_t f, ser_error *err)
{
    ser_learned models = {0};
    ser_status st = learn_fold(&models, out, data, folds, s, f, err);
    if (st == SER_OK)
        st = finish_fold(&models, out, data, folds, s, f, err);
    ser_learned_release(&models);
    return st == SER_OK ? st : ser_fail_within(err, st, "fold %s: ", folds->names[f]);
}

/* ---- folds dealt to ranks ---- */

typedef struct dealt_folds {
    ser_evaluation *out;
    const ser_learn_data *data;
    const ser_folds *folds;
    const ser_evaluate_settings *settings;
    ser_evaluate_settings alone; /* of a rank that has a fold to itself */
    ser_text *blocks;            /* rank 0: (n_folds) what came before its turn */
    size_t n_taken;
} dealt_folds;

static void pack_fold(ser_text *t, const ser_evaluation *e, const ser_folds *folds, size_t f,
                      const ser_learned *models)
{
    ser_text_append_n(t, (const char *)&e->folds[f], sizeof e->folds[f]);
    for (size_t u = 0; u < e->n; u++)
        if (folds->test_fold[u] == (int)f)
            ser_text_append_n(t, (const char *)(e->scores + u * e->n_labels),
                              e->n_labels * sizeof *e->scores);
    ser_learned_pack(t, models);
}

static ser_status unpack_fold(ser_evaluation *e, ser_learned *models, const ser_folds *folds, size_t f,
                              const ser_text *block, ser_error *err)
{
    ser_pack_reader r = {.at = block->s, .end = block->s + block->n};
    ser_pack_read(&r, &e->folds[f], sizeof e->folds[f]);
    for (size_t u = 0; u < e->n; u++)
        if (folds->test_fold[u] == (int)f)
            ser_pack_read(&r, e->scores + u * e->n_labels, e->n_labels * sizeof *e->scores);
    ser_status st = ser_learned_unpack(models, &r, err);
    return st == SER_OK && r.at != r.end ? ser_fail(err, SER_E_FORMAT, "what was learned is damaged") : st;
}

static ser_status learn_dealt(void *context, size_t f, int worker, ser_text *answer, ser_error *err)
{
    dealt_folds *d = context;
    ser_learned models = {0};
    (void)worker;
    ser_status st = learn_fold(&models, d->out, d->data, d->folds, &d->alone, f, err);
    if (st == SER_OK)
        pack_fold(answer, d->out, d->folds, f, &models);
    ser_learned_release(&models);
    return st == SER_OK ? st : ser_fail_within(err, st, "fold %s: ", d->folds->names[f]);
}

/* In the order of the folds, as one process would finish them. */
static ser_status take_dealt(void *context, size_t f, const void *answer, size_t n, ser_error *err)
{
    dealt_folds *d = context;
    ser_status st = SER_OK;
    ser_text_append_n(&d->blocks[f], answer, n);
    if (d->blocks[f].failed)
        return ser_fail_nomem(err);
    for (; d->n_taken < d->out->n_folds && d->blocks[d->n_taken].n && st == SER_OK; d->n_taken++) {
        ser_text *block = &d->blocks[d->n_taken];
        ser_learned models = {0};
        st = unpack_fold(d->out, &models, d->folds, d->n_taken, block, err);
        if (st == SER_OK)
            st = finish_fold(&models, d->out, d->data, d->folds, d->settings, d->n_taken, err);
        if (st != SER_OK)
            ser_fail_within(err, st, "fold %s: ", d->folds->names[d->n_taken]);
        ser_learned_release(&models);
        ser_text_release(block);
    }
    return st;
}

static ser_status deal_folds(ser_evaluation *out, const ser_learn_data *data, const ser_folds *folds,
                             const ser_evaluate_settings *settings, ser_error *err)
{
    const ser_team *team = settings->learn.team;
    dealt_folds d = {.out = out,
                     .data = data,
                     .folds = folds,
                     .settings = settings,
                     .alone = *settings,
                     .blocks = ser_alloc(folds->n_folds, sizeof *d.blocks)};
    d.alone.learn.team = NULL;
    d.alone.learn.progress = &team->within;
    const ser_deal deal = {.n_items = folds->n_folds,
                           .n_threads = 1, /* each learns with all of the rank's */
                           .work = learn_dealt,
                           .take = take_dealt,
                           .context = &d,
                           .progress = settings->learn.progress,
                           .what = "folds",
                           .long_items = true};
    ser_status st = d.blocks ? team->deal(team->context, &deal, err) : ser_fail_nomem(err);
    for (size_t f = 0; d.blocks && f < folds->n_folds; f++)
        ser_text_release(&d.blocks[f]);
    ser_free(d.blocks);
    return st;
}

/* ---- folds apart ---- */

static ser_status learn_only(ser_evaluation *out, const ser_learn_data *data, const ser_folds *folds,
                             const ser_evaluate_settings *s, ser_error *err)
{
    ser_learned models = {0};
    ser_text block = {0};
    size_t f = s->only - 1;
    if (f >= folds->n_folds)
        return ser_fail(err, SER_E_ARG, "there is no fold %zu: the protocol has %zu", s->only,
                        folds->n_folds);
    ser_status st = learn_fold(&models, out, data, folds, s, f, err);
    if (st == SER_OK)
        pack_fold(&block, out, folds, f, &models);
    if (st == SER_OK)
        st = block.failed ? ser_fail_nomem(err) : s->on_block(s->context, &block, err);
    ser_learned_release(&models);
    ser_text_release(&block);
    return st;
}

static ser_status take_block(ser_evaluation *out, const ser_learn_data *data, const ser_folds *folds,
                             const ser_evaluate_settings *s, size_t f, ser_error *err)
{
    ser_learned models = {0};
    ser_text block = {0};
    ser_status st = s->block_of(s->context, f, &block, err);
    if (st == SER_OK)
        st = unpack_fold(out, &models, folds, f, &block, err);
    if (st == SER_OK)
        st = finish_fold(&models, out, data, folds, s, f, err);
    ser_learned_release(&models);
    ser_text_release(&block);
    return st;
}

/* Else ranks share what one fold has: each batch, or networks and candidates where folds are too few. */
static bool folds_are_dealt(const ser_learn_settings *s, size_t n_folds)
{
    if (ser_learns_in_step(s))
        return false;
    return s->n_more || n_folds >= (size_t)s->team->n || (n_folds > 1 && n_folds >= s->n_networks);
}

static ser_status run_folds(ser_evaluation *out, const ser_learn_data *data, const ser_folds *folds,
                            const ser_evaluate_settings *settings, ser_error *err)
{
    const ser_learn_settings *learn = &settings->learn;
    ser_status st = SER_OK;
    if (settings->only)
        return learn_only(out, data, folds, settings, err);
    for (size_t f = 0; settings->block_of && f < out->n_folds && st == SER_OK; f++)
        st = take_block(out, data, folds, settings, f, err);
    if (settings->block_of)
        return st;
    if (learn->team && folds_are_dealt(learn, out->n_folds))
        return deal_folds(out, data, folds, settings, err);
    for (size_t f = 0; f < out->n_folds && st == SER_OK; f++)
        st = run_fold(out, data, folds, settings, f, err);
    return st;
}

ser_status ser_evaluate(ser_evaluation *out, const ser_learn_data *data, const ser_folds *folds,
                        const ser_evaluate_settings *settings, ser_error *err)
{
    const ser_corpus *corpus = data->corpus;
    *out = (ser_evaluation){.n = corpus->n_utterances,
                            .n_labels = corpus->n_labels,
                            .n_folds = folds->n_folds,
                            .across = settings->learn.corpus_disjoint};
    out->scores = ser_alloc(out->n * out->n_labels, sizeof *out->scores);
    out->folds = ser_alloc(out->n_folds, sizeof *out->folds);
    out->scored = ser_alloc(out->n, sizeof *out->scored);
    ser_status st = out->scores && out->folds && out->scored ? SER_OK : ser_fail_nomem(err);
    bool first = ser_team_is_first(settings->learn.team) && !settings->only;
    if (st == SER_OK)
        st = run_folds(out, data, folds, settings, err);
    if (st == SER_OK && first)
        st = ser_figures_of(&out->figures, out->scores, out->n_labels, out->scored, corpus, N_RESAMPLES,
                            settings->seed, err);
    if (st == SER_OK && first && out->across) {
        mean_over_folds(out);
        st = ser_evaluation_add_voices(out, corpus, folds, N_RESAMPLES, settings->seed, err);
    }
    if (st != SER_OK)
        ser_evaluation_release(out);
    return st;
}

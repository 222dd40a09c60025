/* Every model of a run, and their average, on a corpus with the same emotions. */
#include "base/memory.h"
#include "io/json.h"
#include "run/answers.h"
#include "run/job.h"

#include <string.h>

/* Models are those of the run in the order of their names. */
typedef struct test_job {
    ser_job job;
    ser_run_test_settings s;
    ser_answers a;
    ser_evaluation e;   /* of the average */
    ser_figures honest; /* of those who had not heard it; n 0: there are none */
    size_t n_honest;
} test_job;

/* ---- figures ---- */

/* Figures of the mean of models' scores; unheard: of those that had not heard a recording, over the
 * recordings of which there are some. *scores (n, n_labels), or NULL, receives the means. */
static ser_status average(ser_figures *out, size_t *n_scored, float *scores, const ser_answers *a,
                          size_t first, size_t end, bool unheard, int n_resamples, uint64_t seed,
                          ser_error *err)
{
    const ser_corpus *corpus = a->w.corpus;
    size_t n = a->n, at = 0;
    float *mean = ser_alloc(n * a->n_labels, sizeof *mean);
    int *truth = ser_alloc(n, sizeof *truth), *group = ser_alloc(n, sizeof *group);
    bool *answered = ser_alloc(n, sizeof *answered), has_speakers = true;
    ser_status st = mean && truth && group && answered ? SER_OK : ser_fail_nomem(err);
    if (st == SER_OK)
        ser_answers_average(a, mean, answered, first, end, unheard);
    if (st == SER_OK && scores)
        memcpy(scores, mean, n * a->n_labels * sizeof *scores);
    for (size_t u = 0; u < n && st == SER_OK; u++) {
        if (!answered[u])
            continue;
        memmove(mean + at * a->n_labels, mean + u * a->n_labels, a->n_labels * sizeof *mean);
        truth[at] = corpus->utterances[u].label;
        group[at] = corpus->utterances[u].speaker;
        has_speakers = has_speakers && group[at] >= 0;
        at++;
    }
    *n_scored = at;
    if (st == SER_OK && at)
        st = ser_figures_compute(out, mean, truth, has_speakers ? group : NULL, at, a->n_labels, n_resamples,
                                 seed, err);
    ser_free(mean);
    ser_free(truth);
    ser_free(group);
    ser_free(answered);
    return st;
}

static ser_status compute_figures(test_job *k, ser_error *err)
{
    enum { N_RESAMPLES = 10000 };
    const ser_answers *a = &k->a;
    size_t n_models = a->models.n, n_scored;
    int most;
    uint64_t seed = (uint64_t)k->s.seed;
    k->e = (ser_evaluation){.n = a->n, .n_labels = a->n_labels, .n_folds = n_models};
    k->e.scores = ser_alloc(a->n * a->n_labels, sizeof *k->e.scores);
    k->e.folds = ser_alloc(n_models, sizeof *k->e.folds);
    ser_status st = k->e.scores && k->e.folds ? SER_OK : ser_fail_nomem(err);
    for (size_t m = 0; m < n_models && st == SER_OK; m++) {
        ser_figures own = {0};
        st = average(&own, &n_scored, NULL, a, m, m + 1, false, 0, seed, err);
        k->e.folds[m] = (ser_fold_result){.n_train = a->models.items[m].heard.n,
                                          .n_test = a->n,
                                          .ua = own.ua,
                                          .wa = own.wa,
                                          .f1 = own.f1,
                                          .loss = own.loss};
        ser_figures_release(&own);
    }
    if (st == SER_OK)
        st = average(&k->e.figures, &n_scored, k->e.scores, a, 0, n_models, false, N_RESAMPLES, seed, err);
    if (st == SER_OK && ser_answers_count_heard(a, &most))
        st = average(&k->honest, &k->n_honest, NULL, a, 0, n_models, true, N_RESAMPLES, seed, err);
    return st;
}

/* ---- what is told ---- */

/* The loud line, and the honest figures as an extra of the report. */
static ser_status tell_leaks(test_job *k, ser_error *err)
{
    ser_text t = {0};
    int most;
    size_t n_models = ser_answers_count_heard(&k->a, &most);
    if (!n_models)
        return SER_OK;
    ser_text_appendf(
        &t,
        "%zu of %zu models were trained on recordings of this test, up to %d of %zu: the figures "
        "are of what was learned by heart. ",
        n_models, k->a.models.n, most, k->e.n);
    if (k->n_honest)
        ser_text_appendf(&t,
                         "Answers of models that had not heard the recording, %zu recordings: UA %.1f %%, WA "
                         "%.1f %%",
                         k->n_honest, k->honest.ua, k->honest.wa);
    else
        ser_text_append(&t, "Every model had heard every recording: there is no honest figure");
    ser_status st =
        t.failed ? ser_fail_nomem(err) : ser_run_material_add_note(&k->job.material, true, t.s, err);
    if (st == SER_OK)
        ser_run_tell(&k->job.host, SER_RUN_WARNING, "%s", t.s);
    ser_text_release(&t);
    if (!k->n_honest)
        return st;
    const char *meaning = "of models that had not heard the recording";
    ser_run_material_add_figure(&k->job.material,
                                &(ser_run_figure){.name = "UA, unheard",
                                                  .meaning = meaning,
                                                  .unit = "%",
                                                  .value = k->honest.ua,
                                                  .interval = {k->honest.ua_ci95[0], k->honest.ua_ci95[1]}});
    ser_run_material_add_figure(&k->job.material,
                                &(ser_run_figure){.name = "WA, unheard",
                                                  .meaning = meaning,
                                                  .unit = "%",
                                                  .value = k->honest.wa,
                                                  .interval = {k->honest.wa_ci95[0], k->honest.wa_ci95[1]}});
    return st;
}

static json_t *honest_json(const test_job *k)
{
    const ser_figures *f = &k->honest;
    return json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:[f, f], s:[f, f]}", "n", (json_int_t)k->n_honest, "ua",
                     f->ua, "wa", f->wa, "f1", f->f1, "loss", f->loss, "ece", f->ece, "ua_ci95",
                     f->ua_ci95[0], f->ua_ci95[1], "wa_ci95", f->wa_ci95[0], f->wa_ci95[1]);
}

static ser_status save(test_job *k, ser_error *err)
{
    ser_job *job = &k->job;
    ser_report_facts facts = ser_answers_facts(&k->a, SER_NORMALIZE_NONE);
    facts.evaluation = &k->e;
    facts.protocol = "test";
    facts.config = job->config;
    ser_status st = ser_report_json(&job->report, &facts, err);
    if (st == SER_OK && k->n_honest)
        ser_json_set(&job->report, "unheard", honest_json(k));
    if (st == SER_OK)
        st = ser_run_material_init(&job->material, &k->a.folds, err);
    if (st == SER_OK)
        st = ser_run_material_finish(&job->material, &facts, err);
    for (size_t m = 0; m < k->a.models.n && st == SER_OK; m++)
        job->material.folds[m].is_model = true;
    job->material.report.of_what = "Average of all models";
    if (st == SER_OK)
        st = ser_run_material_set_setup(&job->material, &facts, ser_run_told_settings, err);
    if (st == SER_OK)
        st = tell_leaks(k, err);
    return st == SER_OK ? ser_run_save(&job->folder, &job->material.report, job->report, err) : st;
}

/* ---- one test ---- */

static void release(void *work)
{
    test_job *k = work;
    ser_evaluation_release(&k->e);
    ser_figures_release(&k->honest);
    ser_answers_release(&k->a);
}

static ser_status test(void *job, ser_error *err)
{
    test_job *k = job;
    const ser_answers_settings settings = {.path = k->s.models,
                                           .corpus = k->s.data.corpus,
                                           .data = &k->s.data,
                                           .network = k->s.network,
                                           .preset = k->s.preset,
                                           .seed = (uint64_t)k->s.seed,
                                           .host = &k->job.host};
    ser_status st = ser_job_set_config(&k->job, &k->s, err);
    if (st == SER_OK)
        st = ser_answers_new(&k->a, &settings, err);
    if (!ser_team_is_first(k->job.host.team))
        return st; /* others help with the features alone */
    k->job.host.team = NULL;
    if (st == SER_OK)
        st = compute_figures(k, err);
    const ser_run_naming naming = {.corpus = k->a.w.corpus ? k->a.w.corpus->name : NULL,
                                   .spec = &k->a.w.spec};
    if (st == SER_OK)
        st = ser_job_open_folder(&k->job, &k->s.place, &naming, err);
    if (st == SER_OK && !k->job.was_complete)
        st = save(k, err);
    ser_workbench_thin(&k->a.w);
    return st;
}

ser_status ser_run_test(ser_run_result **out, const ser_run_test_settings *s,
                        const ser_run_listener *listener, ser_error *err)
{
    static const ser_job_way way = {&ser_job_test, sizeof(test_job), offsetof(test_job, s), test, release};
    return ser_job_do(out, &way, s, listener, err);
}

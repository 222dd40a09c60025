/* Every model of a run, and their average, on a corpus with the same emotions. */
#include "run/answers.h"
#include "run/job.h"

/* Models are those of the run in the order of their names. */
typedef struct test_job {
    ser_job job;
    ser_run_test_settings s;
    ser_answers a;
    ser_evaluation e;   /* of the average */
    ser_figures honest; /* of those who had not heard it; n 0: there are none */
} test_job;

/* ---- figures ---- */

static ser_status judge(void *job, ser_judged which, size_t m, ser_fold_result *fold, const float *scores,
                        const bool *answered, int n_resamples, ser_error *err)
{
    test_job *k = job;
    ser_figures own = {0}, *f = which == SER_JUDGED_ALL ? &k->e.figures : fold ? &own : &k->honest;
    (void)m;
    ser_status st = ser_figures_of(f, scores, k->a.n_labels, answered, k->a.w.corpus, n_resamples,
                                   (uint64_t)k->s.seed, err);
    if (fold)
        ser_fold_result_set(fold, &own);
    ser_figures_release(&own);
    return st;
}

/* ---- what is told ---- */

/* The loud line, and the honest figures as an extra of the report. */
static ser_status tell_leaks(test_job *k, ser_error *err)
{
    ser_text t = {0};
    const ser_figures *f = &k->honest;
    ser_answers_append_leaks(&t, &k->a);
    if (!t.n && !t.failed)
        return SER_OK;
    if (f->n) {
        ser_text_appendf(&t,
                         "Answers of models that had not heard the recording, %zu recordings: UA %.1f %%, WA "
                         "%.1f %%",
                         f->n, f->ua, f->wa);
        k->job.material.report.unheard = f;
    } else
        ser_text_append(&t, "Every model had heard every recording: there is no honest figure");
    return ser_job_note(&k->job, true, &t, err);
}

static ser_status save(test_job *k, ser_error *err)
{
    ser_job *job = &k->job;
    ser_report_facts facts = ser_answers_facts(&k->a, SER_NORMALIZE_NONE);
    facts.evaluation = &k->e;
    facts.protocol = "test";
    facts.config = job->config;
    ser_status st = ser_run_material_init(&job->material, &k->a.folds, err);
    if (st == SER_OK)
        st = ser_job_report(job, &facts, err);
    for (size_t m = 0; m < k->a.models.n && st == SER_OK; m++)
        job->material.folds[m].is_model = true;
    job->material.report.of_what = "Average of all models";
    if (st == SER_OK)
        st = tell_leaks(k, err);
    return st == SER_OK ? ser_job_save(job, err) : st;
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
        st = ser_answers_judge(&k->e, &k->a, judge, k, err);
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

/* Every model of a run, and their average, on another corpus than theirs. */
#include "base/memory.h"
#include "run/answers.h"
#include "run/job.h"
#include "run/pictures.h"

#include <string.h>
#include <strings.h>

typedef struct cross_job {
    ser_job job;
    ser_run_test_across_settings s;
    char *source; /* what its corpus is called */
    ser_answers a;
    ser_mapping mapping;
    ser_evaluation e;    /* scores of the average; figures are cross's */
    ser_cross *of_model; /* a.models.n */
    ser_cross cross;     /* of the average */
    ser_cross honest;    /* of those who had not heard the recording; n 0: there are none */
} cross_job;

/* ---- figures ---- */

static ser_status open_mapping(cross_job *k, ser_error *err)
{
    const ser_corpus *corpus = k->a.w.corpus;
    const ser_emotion_list source = {k->source, k->a.labels, k->a.n_labels},
                           target = {corpus->name, corpus->labels, corpus->n_labels};
    return ser_mapping_new(&k->mapping, k->s.mapping, &source, &target, err);
}

static ser_status judge(void *job, ser_judged which, size_t m, ser_fold_result *fold, const float *scores,
                        const bool *answered, int n_resamples, ser_error *err)
{
    cross_job *k = job;
    ser_cross *c = which == SER_JUDGED_ALL ? &k->cross : fold ? &k->of_model[m] : &k->honest;
    ser_status st = ser_cross_compute(c, scores, answered, &k->mapping, k->a.w.corpus, n_resamples,
                                      (uint64_t)k->s.seed, err);
    if (fold && st == SER_OK) {
        ser_fold_result_set(fold, &c->figures);
        fold->acc_lenient = c->acc_lenient;
    }
    return st;
}

/* ---- what is told ---- */

static ser_status tell_of_models(cross_job *k, ser_error *err)
{
    ser_status st = SER_OK;
    for (size_t m = 0; m < k->a.models.n && st == SER_OK; m++) {
        const ser_trained *model = &k->a.models.items[m];
        ser_text t = {0};
        if (model->misfit)
            ser_text_appendf(&t, "%s: %s", model->name, model->misfit);
        else if (model->corpus && strcasecmp(model->corpus, k->source) != 0 && !m)
            ser_text_appendf(&t, "%s was trained on %s, and --data says %s: is that right?", model->name,
                             model->corpus, k->source);
        if (t.n || t.failed)
            st = ser_job_note(&k->job, true, &t, err);
    }
    return st;
}

static ser_status tell_leaks(cross_job *k, ser_error *err)
{
    ser_text t = {0};
    ser_answers_append_leaks(&t, &k->a);
    if (!t.n && !t.failed)
        return SER_OK;
    if (k->honest.figures.n)
        ser_text_appendf(
            &t,
            "Answers of models that had not heard the recording, %zu recordings: UA %.1f %% over the "
            "shared emotions, %.1f %% by the mapping",
            k->honest.n, k->honest.figures.ua, k->honest.acc_lenient);
    else
        ser_text_append(&t, "There is no honest figure");
    return ser_job_note(&k->job, true, &t, err);
}

/* Standardised by itself, one recording is nothing but zeros. */
static ser_status tell_lonely(cross_job *k, ser_error *err)
{
    const ser_corpus *corpus = k->a.w.corpus;
    size_t n_lonely = 0;
    ser_text t = {0};
    ser_normalize how = (ser_normalize)k->s.normalize;
    size_t n_groups = how == SER_NORMALIZE_SPEAKER  ? corpus->n_speakers
                      : how == SER_NORMALIZE_CORPUS ? corpus->n_parts
                                                    : 0;
    for (size_t i = 0; i < n_groups; i++) {
        size_t n = 0;
        for (size_t u = 0; u < corpus->n_utterances; u++)
            n += (how == SER_NORMALIZE_CORPUS ? corpus->utterances[u].part : corpus->utterances[u].speaker) ==
                 (int)i;
        n_lonely += n == 1;
    }
    if (!n_lonely)
        return SER_OK;
    ser_text_appendf(
        &t,
        "%zu recording%s alone of %s and cannot be standardised by it: the answer means nothing; use "
        "--normalize none, or more recordings",
        n_lonely, n_lonely == 1 ? " is" : "s are",
        how == SER_NORMALIZE_CORPUS ? "its corpus" : "its speaker");
    return ser_job_note(&k->job, true, &t, err);
}

/* ---- pictures ---- */

static ser_status save_matrix(const cross_job *k, const char *name, const char *title,
                              const ser_matrix *matrix, const ser_cross *c, ser_error *err)
{
    char subtitle[200];
    snprintf(subtitle, sizeof subtitle, "%.60s to %.60s: UA %.1f %%, WA %.1f %% (shared emotions)%s",
             k->mapping.source, k->mapping.target, c->figures.ua, c->figures.wa,
             matrix->right ? "; framed: counts as right" : "");
    const ser_confusion_picture picture = {.title = title, .subtitle = subtitle, .matrix = matrix};
    return ser_run_picture_save(k->job.folder.path, name, SER_PICTURE_CONFUSION, &picture, err);
}

static ser_status save_of_model(const cross_job *k, size_t m, ser_error *err)
{
    ser_text name = {0}, title = {0};
    ser_matrix matrix = k->job.material.report.cross->matrix;
    matrix.counts = k->of_model[m].confusion;
    ser_text_appendf(&name, "confusion-%s", k->a.models.items[m].name);
    ser_text_appendf(&title, "Confusion matrix, %s", k->a.models.items[m].name);
    for (size_t i = 0; i < name.n && !name.failed; i++)
        name.s[i] = name.s[i] == '/' ? '-' : name.s[i];
    ser_status st = name.failed || title.failed
                        ? ser_fail_nomem(err)
                        : save_matrix(k, name.s, title.s, &matrix, &k->of_model[m], err);
    ser_text_release(&name);
    ser_text_release(&title);
    return st;
}

static ser_status save_pictures(const cross_job *k, ser_error *err)
{
    const ser_run_report *r = &k->job.material.report;
    ser_status st = SER_OK;
    if (!k->s.place.pictures || !k->job.folder.path || !k->cross.figures.n)
        return SER_OK;
    const ser_matrix shared = ser_matrix_square(r->labels, r->figures->confusion, r->figures->n_labels);
    st = save_matrix(k, "confusion-shared", "Confusion matrix, shared emotions", &shared, &k->cross, err);
    for (size_t m = 0; m < k->a.models.n && k->a.models.n > 1 && st == SER_OK; m++)
        st = save_of_model(k, m, err);
    return st;
}

/* ---- one test ---- */

static ser_status make_material(cross_job *k, const ser_report_facts *facts, ser_error *err)
{
    ser_status st = ser_run_material_init(&k->job.material, &k->a.folds, err);
    if (st == SER_OK)
        st = tell_of_models(k, err);
    if (st == SER_OK)
        st = tell_leaks(k, err);
    if (st == SER_OK)
        st = tell_lonely(k, err);
    if (st == SER_OK)
        st = ser_job_report(&k->job, facts, err);
    if (st == SER_OK && k->honest.n)
        st = ser_run_material_add_cross(&k->job.material.report.unheard_across, &k->job.material, &k->mapping,
                                        &k->honest, err);
    if (st == SER_OK)
        ser_run_material_add_average(&k->job.material, &k->cross);
    k->job.material.report.of_what = k->a.models.n > 1 ? "Average of all models" : NULL;
    return st;
}

static ser_status save(cross_job *k, ser_error *err)
{
    ser_job *job = &k->job;
    ser_report_facts facts = ser_answers_facts(&k->a, (ser_normalize)k->s.normalize);
    facts.evaluation = &k->e;
    facts.protocol = "test-cross-corpus";
    facts.config = job->config;
    facts.cross = &k->cross;
    facts.mapping = &k->mapping;
    ser_status st = make_material(k, &facts, err);
    if (st == SER_OK)
        st = save_pictures(k, err);
    return st == SER_OK ? ser_job_save(job, err) : st;
}

static void release(void *work)
{
    cross_job *k = work;
    ser_evaluation_release(&k->e);
    for (size_t m = 0; k->of_model && m < k->a.models.n; m++)
        ser_cross_release(&k->of_model[m]);
    ser_free(k->of_model);
    ser_cross_release(&k->cross);
    ser_cross_release(&k->honest);
    ser_mapping_release(&k->mapping);
    ser_answers_release(&k->a);
    ser_free(k->source);
}

static ser_status answer(cross_job *k, ser_error *err)
{
    ser_answers_settings settings = {.path = k->s.models,
                                     .data = &k->s.data,
                                     .network = k->s.network,
                                     .preset = k->s.preset,
                                     .normalize = (ser_normalize)k->s.normalize,
                                     .seed = (uint64_t)k->s.seed,
                                     .source = k->s.data.corpus,
                                     .host = &k->job.host};
    ser_status st = ser_job_set_config(&k->job, &k->s, err);
    if (st == SER_OK)
        st = ser_corpus_name(&k->source, k->s.data.corpus, err);
    if (st == SER_OK)
        st = ser_choose_target(&settings.corpus, k->s.target, k->source, err);
    return st == SER_OK ? ser_answers_new(&k->a, &settings, err) : st;
}

static ser_status test(void *job, ser_error *err)
{
    cross_job *k = job;
    ser_status st = answer(k, err);
    if (!ser_team_is_first(k->job.host.team))
        return st; /* others help with the features alone */
    k->job.host.team = NULL;
    if (st == SER_OK)
        st = open_mapping(k, err);
    if (st == SER_OK && !(k->of_model = ser_alloc(k->a.models.n, sizeof *k->of_model)))
        st = ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_answers_judge(&k->e, &k->a, judge, k, err);
    const ser_run_naming naming = {
        .corpus = k->source, .target = k->a.w.corpus ? k->a.w.corpus->name : NULL, .spec = &k->a.w.spec};
    if (st == SER_OK)
        st = ser_job_open_folder(&k->job, &k->s.place, &naming, err);
    if (st == SER_OK && !k->job.was_complete)
        st = save(k, err);
    ser_workbench_thin(&k->a.w);
    return st;
}

ser_status ser_run_test_across(ser_run_result **out, const ser_run_test_across_settings *s,
                               const ser_run_listener *listener, ser_error *err)
{
    static const ser_job_way way = {&ser_job_test_across, sizeof(cross_job), offsetof(cross_job, s), test,
                                    release};
    return ser_job_do(out, &way, s, listener, err);
}

#include "run/job.h"
#include "base/memory.h"
#include "report/run_json.h"
#include "report/summary.h"

#include <locale.h>
#include <stdlib.h>

struct ser_run_result {
    ser_job *job;
    char *folder;
    ser_text text;
};

static void release(ser_job *job)
{
    if (!job)
        return;
    job->way->release(job);
    ser_run_folder_close(&job->folder);
    ser_run_material_release(&job->material);
    json_decref(job->told);
    free(job->json);
    json_decref(job->config);
    json_decref(job->given);
    ser_run_kept_release(&job->kept);
    ser_free(job);
}

ser_status ser_job_open_folder(ser_job *job, const ser_run_place *place, const ser_run_naming *naming,
                               ser_error *err)
{
    ser_status st = SER_OK;
    if (ser_team_is_first(job->host.team))
        st = ser_run_folder_open(&job->folder, job->way->kind, place, naming, job->given, err);
    if (st == SER_OK)
        st = ser_run_folder_share(&job->folder, job->host.team, err);
    job->was_complete = st == SER_OK && job->folder.complete;
    if (st == SER_OK && job->folder.path)
        ser_run_tell(&job->host, SER_RUN_FOLDER, "%s", job->folder.path);
    return st;
}

ser_status ser_job_report(ser_job *job, const ser_report_facts *facts, ser_error *err)
{
    job->material.report.n_ranks = job->host.team ? job->host.team->n : 0;
    return ser_run_material_finish(&job->material, facts, err);
}

static char *dump(json_t *object)
{
    char *text = object ? ser_json_dump(object, SER_RUN_JSON) : NULL;
    json_decref(object);
    return text;
}

ser_status ser_job_save(ser_job *job, ser_error *err)
{
    const ser_run_report *r = &job->material.report;
    job->json = dump(ser_run_report_json(r));
    return job->json ? ser_run_save(&job->folder, r, job->json, err) : ser_fail_nomem(err);
}

ser_status ser_job_note(ser_job *job, bool serious, ser_text *t, ser_error *err)
{
    ser_status st =
        t->failed ? ser_fail_nomem(err) : ser_run_material_add_note(&job->material, serious, t->s, err);
    if (st == SER_OK && serious)
        ser_run_tell(&job->host, SER_RUN_WARNING, "%s", t->s);
    ser_text_release(t);
    return st;
}

ser_status ser_job_set_config(ser_job *job, const void *settings, ser_error *err)
{
    job->config = ser_run_settings_to_json(job->way->kind, settings);
    return job->config ? SER_OK : ser_fail_nomem(err);
}

static ser_status make_result(ser_run_result **out, ser_job *job, ser_error *err)
{
    const ser_style plain = {.width = 80, .utf8 = true};
    ser_run_result *r = *out = ser_alloc(1, sizeof *r);
    if (job->told)
        job->json = dump(json_incref(job->told));
    /* There was no memory for all of it; other ranks than the first have none. */
    if (!r || (!job->json && !job->was_complete && ser_team_is_first(job->host.team)))
        return ser_fail_nomem(err);
    r->folder = job->folder.path ? ser_strdup(job->folder.path) : NULL;
    r->job = job;
    ser_run_result_append(&r->text, r, plain);
    return !r->folder == !job->folder.path && !r->text.failed ? SER_OK : ser_fail_nomem(err);
}

static ser_status adopt(ser_job *job, const void *settings, ser_error *err)
{
    const ser_job_way *way = job->way;
    void *own = (char *)job + way->settings;
    ser_status st = ser_run_adopt(own, &job->kept, settings, way->kind, err);
    if (st == SER_OK && !(job->given = ser_run_settings_to_json(way->kind, own)))
        st = ser_fail_nomem(err);
    return st;
}

/* Numbers are read and written with a point, whatever the caller's locale says: for this thread, which also
 * makes all texts. What its letters are stays. false: out of memory. */
static bool numbers_as_in_c(locale_t *own, locale_t *before)
{
    locale_t copy = duplocale(uselocale((locale_t)0));
    *own = copy ? newlocale(LC_NUMERIC_MASK, "C", copy) : (locale_t)0;
    if (!*own) {
        if (copy)
            freelocale(copy);
        return false;
    }
    *before = uselocale(*own);
    return true;
}

static ser_status work_and_tell(ser_run_result **out, ser_job *job, const void *settings, ser_error *err)
{
    locale_t own, before;
    if (!numbers_as_in_c(&own, &before))
        return ser_fail_nomem(err);
    ser_status st = adopt(job, settings, err);
    if (st == SER_OK)
        st = job->way->work(job, err);
    if (st == SER_OK)
        st = make_result(out, job, err);
    uselocale(before);
    freelocale(own);
    return st;
}

ser_status ser_job_do(ser_run_result **out, const ser_job_way *way, const void *settings,
                      const ser_run_listener *listener, ser_error *err)
{
    ser_job *job = ser_alloc(1, way->size);
    *out = NULL;
    if (!job)
        return ser_fail_nomem(err);
    job->way = way;
    job->folder.lock.fd = -1;
    ser_run_host_init(&job->host, listener);
    ser_status st = work_and_tell(out, job, settings, err);
    if (st == SER_OK) {
        ser_run_folder_close(&job->folder);
        return st;
    }
    if (*out) {
        (*out)->job = NULL;
        ser_run_result_free(out);
    }
    release(job);
    return st;
}

void ser_run_result_append(ser_text *t, const ser_run_result *r, ser_style style)
{
    const ser_run_report *report = ser_run_result_report(r);
    if (report)
        ser_append_run(t, report, style);
}

const ser_run_report *ser_run_result_report(const ser_run_result *r)
{
    return r->job->json && r->job->material.report.figures ? &r->job->material.report : NULL;
}

const char *ser_run_result_folder(const ser_run_result *r)
{
    return r->folder;
}

const char *ser_run_result_json(const ser_run_result *r)
{
    return r->job->json ? r->job->json : "";
}

const char *ser_run_result_text(const ser_run_result *r)
{
    return r->text.s ? r->text.s : "";
}

int ser_run_result_was_complete(const ser_run_result *r)
{
    return r->job->was_complete;
}

size_t ser_run_result_n_failed(const ser_run_result *r)
{
    return r->job->n_failed;
}

void ser_run_result_free(ser_run_result **result)
{
    ser_run_result *r = result ? *result : NULL;
    if (!r)
        return;
    release(r->job);
    ser_free(r->folder);
    ser_text_release(&r->text);
    ser_free(r);
    *result = NULL;
}

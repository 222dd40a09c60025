#include "base/clock.h"
#include "base/memory.h"
#include "report/prediction.h"
#include "serve/multipart.h"
#include "serve/service.h"

#include <string.h>
#include <strings.h>

/* A recording of more sound than LONG_S is computed for more than a second, and one that is not decoded
 * within QUICK_S may hold as much: others are answered before it where it would take the last worker. */
enum { LONG_S = 30, QUICK_S = 2 };
/* Features are computed without a pause, and are many numbers: of sound, and in one answer. */
enum { MAX_FEATURES_S = 600, MAX_FEATURES = 8 << 20 };

/* *out is the worker's. */
static ser_status session_of(ser_session **out, ser_service *s, size_t model, int worker, ser_error *err)
{
    ser_session **session = &s->workers[worker].sessions[model];
    ser_status st = *session ? SER_OK : ser_session_new(session, s->models[model], NULL, err);
    *out = *session;
    return st;
}

static bool is_for_nobody(const ser_request *r)
{
    return atomic_load(&r->abandoned) || atomic_load(&r->service->is_out_of_time);
}

/* ser_predict_options.on_progress: an answer that nobody waits for any more is not finished. */
static int is_over(void *context, double heard_s, double total_s)
{
    const ser_request *r = context;
    (void)heard_s, (void)total_s;
    return is_for_nobody(r) || ser_clock_s() - r->complete_s > r->service->settings->limits.answer_s;
}

static void fail_with(ser_request *r, const ser_error *err)
{
    switch (err->status) {
    case SER_E_CANCELLED:
        if (atomic_load(&r->service->is_out_of_time))
            ser_request_fail(r, 503, "stopping", "the service stops");
        else
            ser_request_fail(r, 503, "timeout", "no answer within %g s: send a shorter recording",
                             r->service->settings->limits.answer_s);
        break;
    case SER_E_ARG:
        ser_request_fail(r, 413, "too_long", "%s", err->text);
        break;
    case SER_E_FORMAT:
    case SER_E_UNSUPPORTED:
        ser_request_fail(r, 422, "invalid_audio", "%s", err->text);
        break;
    case SER_E_NOMEM:
        ser_request_fail(r, 503, "overloaded", "out of memory: try again later");
        break;
    default:
        ser_request_fail(r, 500, "internal", "%s", err->text);
    }
}

/* false: the request is put aside, and goes on where it was. */
static bool may_be_long(ser_request *r, int worker)
{
    r->is_put_aside = !r->task.is_long && !ser_workers_become_long(r->service->pool, worker);
    return !r->is_put_aside;
}

static ser_status put_aside(ser_error *err)
{
    return ser_fail(err, SER_E_CANCELLED, "a long recording waits for its turn");
}

static ser_status decode(ser_request *r, int worker, const ser_upload *u, ser_error *err)
{
    ser_decoders *d = r->service->decoders;
    unsigned limit_s = (unsigned)r->service->settings->limits.decode_s;
    if (!r->task.is_long && limit_s > QUICK_S) {
        ser_status st = ser_decoders_decode(d, &r->sound, u->bytes, u->n, QUICK_S, err);
        if (st == SER_OK || !r->sound.is_late)
            return st;
        if (!may_be_long(r, worker))
            return put_aside(err);
    }
    return ser_decoders_decode(d, &r->sound, u->bytes, u->n, limit_s, err);
}

/* Counts the sound of the next recording, and says whether it may be answered now. */
static ser_status admit(ser_request *r, int worker, ser_error *err)
{
    double limit_s = r->service->settings->limits.audio_s,
           s = (double)r->sound.n_samples / SER_SAMPLE_RATE_HZ;
    r->audio_s += s;
    ser_metrics_add_audio(&r->service->metrics, s);
    if (r->audio_s > limit_s)
        return ser_fail(err, SER_E_ARG,
                        "the recordings hold more than %g s of sound together, which is what one request may",
                        limit_s);
    if (r->route == SER_ROUTE_FEATURES && s > MAX_FEATURES_S)
        return ser_fail(err, SER_E_ARG, "features are given of at most %d s of sound", MAX_FEATURES_S);
    return s <= LONG_S || may_be_long(r, worker) ? SER_OK : put_aside(err);
}

/* The sound of an upload; *session answers for it. */
static ser_status open_upload(ser_request *r, int worker, const ser_upload *u, ser_session **session,
                              ser_decoded *sound, ser_error *err)
{
    bool is_decoded = r->sound.pcm != NULL; /* before it was put aside */
    ser_status st = session_of(session, r->service, r->model, worker, err);
    if (st == SER_OK && !is_decoded)
        st = decode(r, worker, u, err);
    if (st != SER_OK && atomic_load(&r->service->is_out_of_time)) /* which ended the decoder */
        st = ser_fail(err, SER_E_CANCELLED, "the service stops");
    if (st == SER_OK && !is_decoded)
        st = admit(r, worker, err);
    if (!r->is_put_aside) {
        *sound = r->sound;
        r->sound = (ser_decoded){0};
    }
    return st;
}

static ser_status predict(ser_request *r, int worker, const ser_upload *u, ser_result *result, ser_error *err)
{
    ser_session *session;
    ser_decoded sound = {0};
    const ser_predict_options options = {.size = sizeof options,
                                         .timeline = r->timeline,
                                         .sound = r->explain,
                                         .on_progress = is_over,
                                         .context = r};
    ser_status st = open_upload(r, worker, u, &session, &sound, err);
    if (st == SER_OK)
        st = ser_predict(session, sound.pcm, sound.n_samples, &options, result, err);
    if (st == SER_OK && r->explain)
        result->sound.clipped = (float)sound.clipped; /* as the upload has it, before resampling */
    ser_decoded_release(&sound);
    return st;
}

static ser_prediction_form form_of(const ser_request *r)
{
    ser_prediction_form form = ser_prediction_form_of(r->service->models[r->model], r->min_confidence);
    form.timeline = r->timeline;
    form.explain = r->explain;
    return form;
}

/* One recording: its object is the answer, its error the request's. */
static void answer_one(ser_request *r, int worker, const ser_upload *u)
{
    const ser_prediction_form form = form_of(r);
    ser_result result = {0};
    ser_error err = {0};
    if (predict(r, worker, u, &result, &err) == SER_OK)
        ser_prediction_json(&r->text, &form, u->name, &result);
    else if (!r->is_put_aside)
        fail_with(r, &err);
    ser_result_release(&result);
}

/* Several: each has its own object or error, and one that fails takes nothing from the others. */
static void answer_all(ser_request *r, int worker)
{
    const ser_prediction_form form = form_of(r);
    if (!r->n_answered)
        ser_text_append(&r->text, "{\"results\": [\n");
    for (; r->n_answered < r->n_uploads; r->n_answered++) {
        const ser_upload *u = &r->uploads[r->n_answered];
        ser_result result = {0};
        ser_error err = {0};
        ser_status st = predict(r, worker, u, &result, &err);
        if (r->is_put_aside)
            return;
        if (st == SER_OK)
            ser_prediction_json(&r->text, &form, u->name, &result);
        else
            ser_prediction_json_error(&r->text, u->name, err.text);
        ser_result_release(&result);
        if (st == SER_E_CANCELLED) {
            fail_with(r, &err);
            return;
        }
        if (r->n_answered + 1 < r->n_uploads) /* the object's line ends before the comma */
            ser_text_append(&r->text, ",");
    }
    ser_text_append(&r->text, "]}\n");
}

/* Rows of numbers that give back the same floats. */
static void append_features(ser_text *t, const ser_feature_array *a)
{
    ser_text_appendf(t, "{\"rows\": %zu, \"dims\": %zu, \"frames_per_s\": %.9g, \"values\": [", a->n_rows,
                     a->n_dims, a->frames_per_s);
    for (size_t i = 0; i < a->n_rows * a->n_dims; i++)
        ser_text_appendf(t, "%s%.9g%s",
                         i % a->n_dims ? ", "
                         : i           ? ",\n["
                                       : "[",
                         (double)a->values[i], (i + 1) % a->n_dims ? "" : "]");
    ser_text_append(t, "]}\n");
}

static void answer_features(ser_request *r, int worker, const ser_upload *u)
{
    ser_session *session;
    ser_decoded sound = {0};
    ser_feature_array features = {0};
    ser_error err = {0};
    ser_status st = open_upload(r, worker, u, &session, &sound, &err);
    if (st == SER_OK)
        st = ser_features(session, sound.pcm, sound.n_samples, !r->frames, &features, &err);
    if (st == SER_OK && features.n_rows > MAX_FEATURES / (features.n_dims ? features.n_dims : 1))
        st = ser_fail(&err, SER_E_ARG,
                      "%zu rows of %zu features are more than one answer holds: ask for a shorter stretch",
                      features.n_rows, features.n_dims);
    if (st == SER_OK)
        append_features(&r->text, &features);
    else if (!r->is_put_aside)
        fail_with(r, &err);
    ser_feature_array_release(&features);
    ser_decoded_release(&sound);
}

/* Finds the recordings in the body. false: it is said what is wrong. */
static bool find_uploads(ser_request *r)
{
    static const char multipart[] = "multipart/form-data";
    ser_error err = {0};
    ser_status st = SER_OK;
    bool several = strncasecmp(r->content_type, multipart, sizeof multipart - 1) == 0;
    if (r->uploads) /* before it was put aside */
        return true;
    r->uploads = ser_alloc(several ? SER_MAX_UPLOADS : 1, sizeof *r->uploads);
    if (!r->uploads) {
        ser_request_fail(r, 503, "overloaded", "out of memory: try again later");
        return false;
    }
    r->n_uploads = 1;
    if (several)
        st = ser_multipart_read(r->uploads, &r->n_uploads, r->content_type, r->body, r->n_body, &err);
    else
        r->uploads[0] = (ser_upload){.name = "upload", .bytes = r->body, .n = r->n_body};
    if (st != SER_OK)
        ser_request_fail(r, st == SER_E_ARG ? 413 : 400, "invalid_request", "%s", err.text);
    return st == SER_OK;
}

static void answer_uploads(ser_request *r, int worker)
{
    if (!find_uploads(r))
        return;
    if (r->route == SER_ROUTE_FEATURES && r->n_uploads > 1)
        ser_request_fail(r, 400, "invalid_request", "features are given of one recording a request");
    else if (r->route == SER_ROUTE_FEATURES)
        answer_features(r, worker, &r->uploads[0]);
    else if (r->n_uploads == 1)
        answer_one(r, worker, &r->uploads[0]);
    else
        answer_all(r, worker);
}

void ser_answer(ser_task *task, int worker)
{
    ser_request *r = (ser_request *)task;
    r->status = 200;
    r->is_put_aside = false;
    if (atomic_load(&r->service->is_out_of_time))
        ser_request_fail(r, 503, "stopping", "the service stops");
    else if (!is_for_nobody(r))
        answer_uploads(r, worker);
    if (r->is_put_aside) {
        r->task.is_long = true;
        ser_workers_add(r->service->pool, &r->task, SER_TASK_AGAIN);
        return;
    }
    if (r->text.failed)
        ser_request_fail(r, 503, "overloaded", "out of memory: try again later");
    ser_http_answered(r);
}

void ser_answer_drop(ser_task *task)
{
    ser_request_release((ser_request *)task);
}

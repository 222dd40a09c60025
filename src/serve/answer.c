#include "base/clock.h"
#include "base/memory.h"
#include "report/prediction.h"
#include "serve/multipart.h"
#include "serve/service.h"

#include <string.h>
#include <strings.h>

double ser_serve_min_confidence(const ser_service *s, size_t model, double p)
{
    return p < 0 ? ser_model_min_confidence(s->models[model]) : p;
}

ser_status ser_serve_session(ser_session **out, ser_service *s, size_t model, int worker, ser_error *err)
{
    ser_session **session = &s->workers[worker].sessions[model];
    ser_status st = *session ? SER_OK : ser_session_new(session, s->models[model], NULL, err);
    *out = *session;
    return st;
}

/* ser_predict_options.on_progress: an answer that nobody waits for any more is not finished. */
static int is_over(void *context, double heard_s, double total_s)
{
    const ser_request *r = context;
    (void)heard_s, (void)total_s;
    return atomic_load(&r->abandoned) ||
           ser_clock_s() - r->complete_s > r->service->settings->limits.answer_s;
}

static void fail_with(ser_request *r, const ser_error *err)
{
    switch (err->status) {
    case SER_E_CANCELLED:
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
    default:
        ser_request_fail(r, 500, "internal", "%s", err->text);
    }
}

/* The sound of an upload, counted; *session answers for it. */
static ser_status open_upload(ser_request *r, int worker, const ser_upload *u, ser_session **session,
                              ser_decoded *sound, ser_error *err)
{
    double limit_s = r->service->settings->limits.audio_s;
    ser_status st = ser_serve_session(session, r->service, r->model, worker, err);
    if (st == SER_OK)
        st = ser_decoders_decode(r->service->decoders, sound, u->bytes, u->n, err);
    if (st != SER_OK)
        return st;
    double s = (double)sound->n_samples / SER_SAMPLE_RATE_HZ;
    r->audio_s += s;
    ser_metrics_add_audio(&r->service->metrics, s);
    return r->audio_s <= limit_s
               ? SER_OK
               : ser_fail(
                     err, SER_E_ARG,
                     "the recordings hold more than %g s of sound together, which is what one request may",
                     limit_s);
}

static ser_status predict(ser_request *r, int worker, const ser_upload *u, ser_result *result, ser_error *err)
{
    ser_session *session;
    ser_decoded sound = {0};
    const ser_predict_options options = {
        .size = sizeof options, .timeline = r->timeline, .on_progress = is_over, .context = r};
    ser_status st = open_upload(r, worker, u, &session, &sound, err);
    if (st == SER_OK)
        st = ser_predict(session, sound.pcm, sound.n_samples, &options, result, err);
    ser_decoded_release(&sound);
    return st;
}

static ser_prediction_form form_of(const ser_request *r, const char **labels)
{
    const ser_model *model = r->service->models[r->model];
    size_t n = ser_model_n_labels(model);
    for (size_t i = 0; i < n; i++)
        labels[i] = ser_model_label(model, i);
    return (ser_prediction_form){.labels = labels,
                                 .n_labels = n,
                                 .min_confidence =
                                     ser_serve_min_confidence(r->service, r->model, r->min_confidence),
                                 .timeline = r->timeline};
}

/* One recording: its object is the answer, its error the request's. */
static void answer_one(ser_request *r, int worker, const ser_upload *u)
{
    const char *labels[SER_MAX_LABELS];
    const ser_prediction_form form = form_of(r, labels);
    ser_result result = {0};
    ser_error err = {0};
    if (predict(r, worker, u, &result, &err) == SER_OK)
        ser_prediction_json(&r->text, &form, u->name, &result);
    else
        fail_with(r, &err);
    ser_result_release(&result);
}

/* Several: each has its own object or error, and one that fails takes nothing from the others. */
static void answer_all(ser_request *r, int worker, const ser_upload *uploads, size_t n)
{
    const char *labels[SER_MAX_LABELS];
    const ser_prediction_form form = form_of(r, labels);
    ser_text_append(&r->text, "{\"results\": [\n");
    for (size_t i = 0; i < n; i++) {
        ser_result result = {0};
        ser_error err = {0};
        ser_status st = predict(r, worker, &uploads[i], &result, &err);
        if (st == SER_OK)
            ser_prediction_json(&r->text, &form, uploads[i].name, &result);
        else
            ser_prediction_json_error(&r->text, uploads[i].name, err.text);
        ser_result_release(&result);
        if (st == SER_E_CANCELLED) {
            fail_with(r, &err);
            return;
        }
        if (i + 1 < n && r->text.n) /* the object's line ends before the comma */
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
    if (st == SER_OK)
        append_features(&r->text, &features);
    else
        fail_with(r, &err);
    ser_feature_array_release(&features);
    ser_decoded_release(&sound);
}

static void answer_uploads(ser_request *r, int worker)
{
    static const char multipart[] = "multipart/form-data";
    ser_error err = {0};
    size_t n = 1;
    ser_upload *uploads = ser_alloc(SER_MAX_UPLOADS, sizeof *uploads);
    if (!uploads) {
        ser_request_fail(r, 503, "overloaded", "out of memory: try again later");
        return;
    }
    ser_status st = SER_OK;
    if (strncasecmp(r->content_type, multipart, sizeof multipart - 1) == 0)
        st = ser_multipart_read(uploads, &n, r->content_type, r->body, r->n_body, &err);
    else
        uploads[0] = (ser_upload){.name = "upload", .bytes = r->body, .n = r->n_body};
    if (st != SER_OK)
        ser_request_fail(r, st == SER_E_ARG ? 413 : 400, "invalid_request", "%s", err.text);
    else if (r->route == SER_ROUTE_FEATURES && n > 1)
        ser_request_fail(r, 400, "invalid_request", "features are given of one recording a request");
    else if (r->route == SER_ROUTE_FEATURES)
        answer_features(r, worker, &uploads[0]);
    else if (n == 1)
        answer_one(r, worker, &uploads[0]);
    else
        answer_all(r, worker, uploads, n);
    ser_free(uploads);
}

void ser_answer(ser_task *task, int worker)
{
    ser_request *r = (ser_request *)task;
    r->status = 200;
    if (!atomic_load(&r->abandoned))
        answer_uploads(r, worker);
    if (r->text.failed)
        ser_request_fail(r, 503, "overloaded", "out of memory: try again later");
    ser_http_answered(r);
}

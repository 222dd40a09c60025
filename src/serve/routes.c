#include "report/escape.h"
#include "serve/service.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- queries ---- */

static bool is_yes(const char *value)
{
    return strcmp(value, "1") == 0 || strcmp(value, "true") == 0 || strcmp(value, "") == 0;
}

static bool is_no(const char *value)
{
    return strcmp(value, "0") == 0 || strcmp(value, "false") == 0;
}

static bool read_flag(ser_request *r, bool *out, const char *name, const char *value)
{
    *out = is_yes(value);
    if (*out || is_no(value))
        return true;
    ser_request_fail(r, 400, "invalid_request", "%s: 'true' or 'false' is expected", name);
    return false;
}

static bool read_confidence(ser_request *r, const char *value)
{
    char *end;
    double p = strtod(value, &end);
    if (*value && !*end && isfinite(p) && p >= 0 && p <= 1) {
        r->min_confidence = p;
        return true;
    }
    ser_request_fail(r, 400, "invalid_request", "min_confidence: a number from 0 to 1 is expected");
    return false;
}

static bool read_model(ser_request *r, const char *value)
{
    const ser_serve_settings *s = r->service->settings;
    for (size_t i = 0; i < s->n_models; i++)
        if (strcmp(s->models[i].name, value) == 0) {
            r->model = i;
            return true;
        }
    ser_request_fail(r, 404, "unknown_model",
                     "there is no model of that name here: GET /v1/models lists those there are");
    return false;
}

/* Of the route's own. false: there is none of that name. */
static bool read_own(ser_request *r, const char *name, const char *value, bool *fits)
{
    if (r->route == SER_ROUTE_FEATURES) {
        bool known = strcmp(name, "frames") == 0;
        *fits = known && read_flag(r, &r->frames, name, value);
        return known;
    }
    if (strcmp(name, "timeline") == 0)
        *fits = read_flag(r, &r->timeline, name, value);
    else if (strcmp(name, "explain") == 0)
        *fits = read_flag(r, &r->explain, name, value);
    else if (strcmp(name, "min_confidence") == 0)
        *fits = read_confidence(r, value);
    else
        return false;
    return true;
}

bool ser_route_query(ser_request *r, const char *one)
{
    char name[32];
    const char *equals = strchr(one, '=');
    size_t n = equals ? (size_t)(equals - one) : strlen(one);
    const char *value = equals ? equals + 1 : "";
    bool fits;
    if ((!n && !*value) || strcmp(one, "/") == 0) /* which is what libwebsockets makes of a '?' and nothing */
        return true;
    if (n < sizeof name) {
        memcpy(name, one, n);
        name[n] = 0;
        if (strcmp(name, "model") == 0)
            return read_model(r, value);
        if (read_own(r, name, value, &fits))
            return fits;
    }
    ser_request_fail(r, 400, "invalid_request", "the query asks for something unknown: %s are what there is",
                     r->route == SER_ROUTE_FEATURES ? "frames and model"
                                                    : "timeline, explain, min_confidence and model");
    return false;
}

/* ---- what is answered at once ---- */

/* NULL: it answers. */
static const char *what_is_wrong(const ser_service *s)
{
    double hang_s = s->settings->limits.answer_s + s->settings->limits.decode_s + 10;
    switch (atomic_load(&s->state)) {
    case SER_SERVE_LOADING:
        return "loading";
    case SER_SERVE_BROKEN:
        return "a model cannot be opened";
    case SER_SERVE_STOPPING:
        return "stopping";
    default:
        return ser_workers_longest_s(s->pool) > hang_s ? "a worker hangs" : NULL;
    }
}

static void answer_health(ser_request *r)
{
    const char *wrong = what_is_wrong(r->service);
    r->status = wrong ? 503 : 200;
    ser_text_appendf(&r->text, "{\"status\": \"%s\", \"version\": \"%s\"}\n", wrong ? wrong : "ok",
                     ser_version());
}

static void answer_metrics(ser_request *r)
{
    ser_service *s = r->service;
    const ser_serve_gauges now = {.n_waiting = ser_workers_n_waiting(s->pool),
                                  .n_running = ser_workers_n_running(s->pool),
                                  .n_workers = s->n_workers,
                                  .n_connections = s->n_connections,
                                  .n_streams = s->n_streams,
                                  .n_upload_bytes = atomic_load(&s->n_upload_bytes)};
    r->type = "text/plain; version=0.0.4";
    ser_metrics_append(&r->text, &s->metrics, &now);
}

static void answer_models(ser_request *r)
{
    const ser_service *s = r->service;
    ser_text_append(&r->text, "{\"models\": [");
    for (size_t m = 0; m < s->settings->n_models; m++) {
        ser_text_append(&r->text, m ? ", {\"name\": " : "{\"name\": ");
        ser_append_json(&r->text, s->settings->models[m].name);
        ser_text_append(&r->text, ", \"type\": ");
        ser_append_json(&r->text, ser_model_type(s->models[m]));
        ser_text_appendf(&r->text, ", \"default\": %s, \"labels\": [", m ? "false" : "true");
        for (size_t i = 0; i < ser_model_n_labels(s->models[m]); i++) {
            ser_text_append(&r->text, i ? ", " : "");
            ser_append_json(&r->text, ser_model_label(s->models[m], i));
        }
        ser_text_append(&r->text, "]}");
    }
    ser_text_append(&r->text, "]}\n");
}

void ser_route_get(ser_request *r)
{
    r->status = 200;
    switch (r->route) {
    case SER_ROUTE_PAGE:
    case SER_ROUTE_WORKLET:
    case SER_ROUTE_OPENAPI:
        r->fixed = ser_serve_asset(r->route, &r->n_fixed, &r->type);
        r->is_page = r->route != SER_ROUTE_OPENAPI;
        break;
    case SER_ROUTE_HEALTH:
        answer_health(r);
        break;
    case SER_ROUTE_METRICS:
        answer_metrics(r);
        break;
    case SER_ROUTE_MODELS:
        if (atomic_load(&r->service->state) == SER_SERVE_LOADING)
            ser_request_fail(r, 503, "loading", "the models are being loaded: try again in a second");
        else
            answer_models(r);
        break;
    default:
        ser_request_fail(r, 404, "not_found", "there is nothing here: GET /openapi.json says what there is");
    }
    if (r->text.failed)
        ser_request_fail(r, 503, "overloaded", "out of memory: try again later");
}

/* ser serve: the service. */
#include "base/memory.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/progress.h"
#include "serve/serve.h"

#include <string.h>

static const char *host = "127.0.0.1", *key_path, *certificate_path, *private_key_path, *log_path;
static long port = 8080, n_workers, max_body_mb = 64, max_uploads_mb = 512, max_connections = 2000,
            max_connections_per_address = 1200, max_queue = 256, max_queue_per_address = 128,
            max_streams = 64;
static double max_seconds = 3600, header_s = 10, body_s = 60, idle_s = 60, answer_s = 300, decode_s = 60,
              ahead_s = 30, grace_s = 10;
static bool page_needs_key, log_addresses;
static ser_option_list model_names, origins;
static const char *min_confidence = "auto", *precision = "auto", *engine = "onednn";

static const ser_option options[] = {
    {SER_OPTION_GROUP, .help = "Models"},
    {SER_OPTION_LIST, 'm', "model", &model_names, "[NAME=]FILE",
     "a model, by the name that clients use (default: the built-in one, 'default'); repeatable, the first is "
     "the default"},
    {SER_OPTION_INT, 'j', "workers", &n_workers, "N",
     "threads that answer (default: one a core, and at least 2)", 1, 256, .alias = "jobs"},
    {SER_OPTION_STRING, 0, "min-confidence", &min_confidence, "auto|P",
     "below this an answer is 'uncertain', where a request does not say (0: never; default: auto, the "
     "model's own rule)"},
    {SER_OPTION_CHOICE, 0, "precision", &precision, "auto|fp32|bf16|int8", "of the encoder's products"},
    {SER_OPTION_CHOICE, 0, "engine", &engine, "ref|onednn", "ref: plain C, slow, to compare with"},
    {SER_OPTION_GROUP, .help = "Network"},
    {SER_OPTION_STRING, 0, "host", &host, "ADDRESS", "address to listen on; 0.0.0.0: all of this machine's"},
    {SER_OPTION_INT, 'p', "port", &port, "N", "port; 0: any that is free", 0, 65535},
    {SER_OPTION_STRING, 0, "tls-cert", &certificate_path, "FILE", "certificate chain (PEM), for https"},
    {SER_OPTION_STRING, 0, "tls-key", &private_key_path, "FILE", "its private key (PEM)"},
    {SER_OPTION_STRING, 0, "api-key-file", &key_path, "FILE",
     "a key a line: requests without one of them are refused, but for the page and /health"},
    {SER_OPTION_FLAG, 0, "page-needs-key", &page_needs_key, NULL, "the page and /health need a key, too"},
    {SER_OPTION_LIST, 0, "cors-origin", &origins, "ORIGIN",
     "a site whose pages may call, such as https://example.org; repeatable"},
    {SER_OPTION_GROUP, .help = "Limits"},
    {SER_OPTION_INT, 0, "max-body", &max_body_mb, "MB", "of one request", 1, 4096},
    {SER_OPTION_INT, 0, "max-uploads", &max_uploads_mb, "MB", "of all requests together, in memory", 1,
     1 << 20},
    {SER_OPTION_DOUBLE, 0, "max-seconds", &max_seconds, "S", "of sound in one request", 1, 86400},
    {SER_OPTION_INT, 0, "max-connections", &max_connections, "N", "open at once", 1, 100000},
    {SER_OPTION_INT, 0, "max-connections-per-address", &max_connections_per_address, "N",
     "open at once from one address", 1, 100000},
    {SER_OPTION_INT, 0, "max-queue", &max_queue, "N", "requests that wait for a worker", 1, 100000},
    {SER_OPTION_INT, 0, "max-queue-per-address", &max_queue_per_address, "N",
     "unanswered requests of one address", 1, 100000},
    {SER_OPTION_INT, 0, "max-streams", &max_streams, "N", "open streams", 0, 10000},
    {SER_OPTION_DOUBLE, 0, "stream-ahead", &ahead_s, "S",
     "of sound that a stream may send faster than real time", 1, 3600},
    {SER_OPTION_DOUBLE, 0, "header-timeout", &header_s, "S", "for a request's head to arrive", 1, 3600},
    {SER_OPTION_DOUBLE, 0, "body-timeout", &body_s, "S", "for its body to arrive", 1, 3600},
    {SER_OPTION_DOUBLE, 0, "idle-timeout", &idle_s, "S", "between two requests of a connection", 1, 3600},
    {SER_OPTION_DOUBLE, 0, "answer-timeout", &answer_s, "S", "to compute one answer", 1, 86400},
    {SER_OPTION_DOUBLE, 0, "decode-timeout", &decode_s, "S", "to decode one recording", 1, 3600},
    {SER_OPTION_DOUBLE, 0, "grace", &grace_s, "S", "for running requests after SIGTERM", 0, 3600},
    {SER_OPTION_GROUP, .help = "Log"},
    {SER_OPTION_STRING, 0, "log", &log_path, "FILE",
     "a line of JSON per request; SIGHUP opens it anew (default: standard error)"},
    {SER_OPTION_FLAG, 0, "log-addresses", &log_addresses, NULL, "with the clients' addresses"},
    {SER_OPTION_END},
};

static int run(int argc, char **argv);

const ser_command ser_command_serve = {
    .name = "serve",
    .run = run,
    .summary = "answer over HTTP, with a web page",
    .usage = "",
    .description = "Loads the models once and answers many requests: POST /v1/predict takes a recording as "
                   "body, or several as multipart fields 'file', and gives what 'ser predict --format json' "
                   "prints. GET / is a page to try it on, GET /openapi.json describes everything, GET "
                   "/health and GET /metrics are for those who watch over it.\n"
                   "It listens on this machine alone unless --host says otherwise. Recordings are decoded in "
                   "processes of their own, kept in memory only and never logged. SIGTERM lets running "
                   "requests finish.",
    .examples = "ser serve\n"
                "curl --data-binary @recording.wav http://127.0.0.1:8080/v1/predict\n"
                "curl -F file=@a.wav -F file=@b.mp3 'http://127.0.0.1:8080/v1/predict?timeline=true'\n"
                "ser serve --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem --api-key-file keys.txt",
    .options = options,
};

static void tell_listening(void *context, int bound_port)
{
    const ser_serve_settings *s = context;
    const char *colon = strchr(s->host, ':'); /* of IPv6, which stands in brackets in a URL */
    ser_say("listening on http%s://%s%s%s:%d", s->certificate_path ? "s" : "", colon ? "[" : "", s->host,
            colon ? "]" : "", bound_port);
    if (strncmp(s->host, "127.", 4) == 0 || strcmp(s->host, "localhost") == 0 || strcmp(s->host, "::1") == 0)
        return;
    if (!s->key_path || !s->certificate_path)
        ser_say("warning: %s can be reached by others, %s: see --api-key-file, --tls-cert and --tls-key",
                s->host,
                !s->key_path && !s->certificate_path ? "without keys and in the clear"
                : s->key_path                        ? "in the clear"
                                                     : "without keys");
}

/* "NAME=FILE", or a file whose name without folder and ending is the name; texts is what they point to, of
 * ours. */
static ser_status read_models(ser_serve_model *models, char **texts, ser_error *err)
{
    for (size_t i = 0; i < model_names.n; i++) {
        const char *given = model_names.items[i], *equals = strchr(given, '='), *slash = strrchr(given, '/');
        if (equals && (!slash || equals < slash || slash < given) && equals > given) {
            if (!(texts[i] = ser_strndup(given, (size_t)(equals - given))))
                return ser_fail_nomem(err);
            models[i] = (ser_serve_model){texts[i], equals + 1};
        } else {
            const char *base = slash ? slash + 1 : given, *dot = strrchr(base, '.');
            if (!(texts[i] = ser_strndup(base, dot && dot > base ? (size_t)(dot - base) : strlen(base))))
                return ser_fail_nomem(err);
            models[i] = (ser_serve_model){texts[i], given};
        }
        for (size_t k = 0; k < i; k++)
            if (strcmp(models[k].name, models[i].name) == 0)
                return ser_fail(err, SER_E_ARG, "two models are called '%s': name them with NAME=FILE",
                                models[i].name);
    }
    return SER_OK;
}

static ser_status serve(double least, ser_error *err)
{
    ser_settings computing;
    ser_engine_options choice = {.precision = precision, .engine = engine};
    ser_serve_model built_in = {"default", NULL};
    ser_serve_model *models = ser_alloc(model_names.n, sizeof *models);
    char **texts = ser_alloc(model_names.n, sizeof *texts);
    ser_default_settings(&computing);
    ser_engine_options_apply(&choice, &computing);
    ser_serve_settings s = {.host = host,
                            .port = (int)port,
                            .models = model_names.n ? models : &built_in,
                            .n_models = model_names.n ? model_names.n : 1,
                            .n_workers = (int)n_workers,
                            .precision = computing.precision,
                            .engine = computing.engine,
                            .min_confidence = least,
                            .key_path = key_path,
                            .page_needs_key = page_needs_key,
                            .certificate_path = certificate_path,
                            .private_key_path = private_key_path,
                            .origins = origins.items,
                            .n_origins = origins.n,
                            .log_path = log_path,
                            .log_addresses = log_addresses,
                            .limits = {.body_bytes = (size_t)max_body_mb << 20,
                                       .upload_bytes = (size_t)max_uploads_mb << 20,
                                       .audio_s = max_seconds,
                                       .connections = (int)max_connections,
                                       .connections_per_peer = (int)max_connections_per_address,
                                       .queue = (int)max_queue,
                                       .queue_per_peer = (int)max_queue_per_address,
                                       .header_s = header_s,
                                       .body_s = body_s,
                                       .idle_s = idle_s,
                                       .answer_s = answer_s,
                                       .decode_s = decode_s,
                                       .streams = (int)max_streams,
                                       .stream_ahead_s = ahead_s,
                                       .grace_s = grace_s},
                            .on_listening = tell_listening};
    s.context = &s;
    ser_status st = models && texts ? read_models(models, texts, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_serve(&s, err);
    for (size_t i = 0; texts && i < model_names.n; i++)
        ser_free(texts[i]);
    ser_free(texts);
    ser_free(models);
    return st;
}

static int run(int argc, char **argv)
{
    ser_option_list rest = {0};
    ser_error err = {0};
    int status;
    if (!ser_options_start(&ser_command_serve, argc, argv, &rest, &status))
        goto done;
    double least;
    if (!ser_read_min_confidence(&least, min_confidence))
        status = ser_usage_error(&ser_command_serve,
                                 "--min-confidence: '%s' does not fit: give auto or a number from 0 to 1",
                                 min_confidence);
    else if (rest.n)
        status = ser_usage_error(&ser_command_serve, "'%s' is not expected here", rest.items[0]);
    else if (max_uploads_mb < max_body_mb)
        status =
            ser_usage_error(&ser_command_serve, "--max-uploads: less than one request may have (--max-body)");
    else if (!certificate_path != !private_key_path)
        status = ser_usage_error(&ser_command_serve, "--tls-cert and --tls-key belong together: give both");
    if (status != SER_EXIT_OK)
        goto done;
    ser_status st = serve(least, &err);
    if (st != SER_OK)
        ser_say("%s", err.text);
    status = ser_exit_status(st);
done:
    ser_option_list_release(&rest);
    ser_option_list_release(&model_names);
    ser_option_list_release(&origins);
    return status;
}

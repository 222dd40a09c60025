/* The service: HTTP and WebSocket by libwebsockets on one loop thread, answers by worker threads that share
 * the models, uploads decoded in child processes. */
#ifndef SER_SERVE_SERVE_H
#define SER_SERVE_SERVE_H

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ser_serve_model {
    const char *name; /* by which clients ask for it */
    const char *path; /* NULL: the model that is built in */
} ser_serve_model;

typedef struct ser_serve_limits {
    size_t body_bytes;        /* of one request */
    size_t upload_bytes;      /* of all requests together, in memory */
    double audio_s;           /* of sound in one request, of one recording or all of them */
    int connections;          /* all together */
    int connections_per_peer; /* of one address */
    int queue;                /* requests that wait for a worker */
    int queue_per_peer;       /* of one address, waiting or being answered */
    double header_s, body_s;  /* in which a request has to arrive */
    double idle_s;            /* between requests of a connection */
    double answer_s;          /* that one request may compute */
    double decode_s;          /* that one recording may be decoded */
    int streams;              /* open WebSockets */
    double stream_ahead_s;    /* of sound that a stream may send faster than it is spoken */
    double grace_s;           /* for requests under way after SIGTERM */
} ser_serve_limits;

typedef struct ser_serve_settings {
    const char *host; /* address to listen on */
    int port;         /* 0: any that is free */
    const ser_serve_model *models;
    size_t n_models; /* at least 1; the first is the default */
    int n_workers;   /* 0: one a core */
    ser_precision precision;
    ser_engine engine;
    double
        min_confidence; /* where a request does not say: below it 'uncertain'; < 0: by the model's own rule */
    const char *key_path; /* a key per line; NULL: none are asked for */
    bool page_needs_key;  /* and so does /health */
    const char *certificate_path, *private_key_path;
    const char *const *origins; /* that pages of other sites may call from */
    size_t n_origins;
    const char *log_path; /* NULL: standard error; a line of JSON per request */
    bool log_addresses;
    ser_serve_limits limits;
    /* Told once, from the loop's thread, when requests are accepted. */
    void (*on_listening)(void *context, int port);
    void *context;
} ser_serve_settings;

/* Serves until SIGTERM or SIGINT, whose handlers it sets, as that of SIGHUP, which opens the log anew. To be
 * called while the process has one thread. SER_E_IO: the address is taken or not there, a key or certificate
 * cannot be read. */
ser_status ser_serve(const ser_serve_settings *settings, ser_error *err);

#endif

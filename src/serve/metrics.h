/* What the service counts, in Prometheus's text format. All functions may be called by any thread. */
#ifndef SER_SERVE_METRICS_H
#define SER_SERVE_METRICS_H

#include "base/text.h"
#include <pthread.h>
#include <stdint.h>

/* The routes and their paths. */
#define SER_ROUTES(ROUTE)                                                                                    \
    ROUTE(PAGE, "/")                                                                                         \
    ROUTE(WORKLET, "/worklet.js")                                                                            \
    ROUTE(HEALTH, "/health")                                                                                 \
    ROUTE(METRICS, "/metrics")                                                                               \
    ROUTE(MODELS, "/v1/models")                                                                              \
    ROUTE(OPENAPI, "/openapi.json")                                                                          \
    ROUTE(PREDICT, "/v1/predict")                                                                            \
    ROUTE(FEATURES, "/v1/features")                                                                          \
    ROUTE(STREAM, "/v1/stream")                                                                              \
    ROUTE(UNKNOWN, "other")

typedef enum ser_route {
#define SER_ROUTE_NUMBER(name, path) SER_ROUTE_##name,
    SER_ROUTES(SER_ROUTE_NUMBER) SER_N_ROUTES
} ser_route;

/* "/v1/predict"; "other" for SER_ROUTE_UNKNOWN. */
const char *ser_route_path(ser_route r);
ser_route ser_route_of(const char *path, size_t n);

enum { SER_N_LATENCIES = 12, SER_MAX_STATUSES = 24 };

typedef struct ser_serve_metrics {
    pthread_mutex_t mutex;
    int status[SER_MAX_STATUSES]; /* HTTP's, as they occur */
    size_t n_statuses;
    uint64_t requests[SER_N_ROUTES][SER_MAX_STATUSES];
    uint64_t latencies[SER_N_LATENCIES + 1]; /* of answered POST requests, by bucket; the last: slower */
    double latency_sum_s, audio_s;
    uint64_t n_latencies, stream_events;
} ser_serve_metrics;

/* What is so at this moment, and is known elsewhere. */
typedef struct ser_serve_gauges {
    int n_waiting, n_running, n_workers, n_connections, n_streams;
    size_t n_upload_bytes;
} ser_serve_gauges;

void ser_metrics_init(ser_serve_metrics *m);
void ser_metrics_release(ser_serve_metrics *m);
/* seconds below 0: not of the histogram. */
void ser_metrics_count(ser_serve_metrics *m, ser_route route, int status, double seconds);
void ser_metrics_add_audio(ser_serve_metrics *m, double seconds);
void ser_metrics_add_events(ser_serve_metrics *m, uint64_t n);
void ser_metrics_append(ser_text *t, ser_serve_metrics *m, const ser_serve_gauges *now);

#endif

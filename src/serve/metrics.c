#include "serve/metrics.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATH(name, path) path,
static const char *const paths[SER_N_ROUTES] = {SER_ROUTES(PATH)};
static const double buckets[SER_N_LATENCIES] = {0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5, 10, 60};

const char *ser_route_path(ser_route r)
{
    return paths[r];
}

ser_route ser_route_of(const char *path, size_t n)
{
    for (int r = 0; r < SER_ROUTE_UNKNOWN; r++)
        if (strlen(paths[r]) == n && memcmp(paths[r], path, n) == 0)
            return (ser_route)r;
    return SER_ROUTE_UNKNOWN;
}

void ser_metrics_init(ser_serve_metrics *m)
{
    *m = (ser_serve_metrics){0};
    pthread_mutex_init(&m->mutex, NULL);
}

void ser_metrics_release(ser_serve_metrics *m)
{
    pthread_mutex_destroy(&m->mutex);
}

static size_t place_of(ser_serve_metrics *m, int status)
{
    size_t i = 0;
    while (i < m->n_statuses && m->status[i] != status)
        i++;
    if (i == m->n_statuses && i < SER_MAX_STATUSES)
        m->status[m->n_statuses++] = status;
    return i < SER_MAX_STATUSES ? i : SER_MAX_STATUSES - 1;
}

void ser_metrics_count(ser_serve_metrics *m, ser_route route, int status, double seconds)
{
    pthread_mutex_lock(&m->mutex);
    m->requests[route][place_of(m, status)]++;
    if (seconds >= 0) {
        size_t i = 0;
        while (i < SER_N_LATENCIES && seconds > buckets[i])
            i++;
        m->latencies[i]++;
        m->latency_sum_s += seconds;
        m->n_latencies++;
    }
    pthread_mutex_unlock(&m->mutex);
}

void ser_metrics_add_audio(ser_serve_metrics *m, double seconds)
{
    pthread_mutex_lock(&m->mutex);
    m->audio_s += seconds;
    pthread_mutex_unlock(&m->mutex);
}

void ser_metrics_add_events(ser_serve_metrics *m, uint64_t n)
{
    pthread_mutex_lock(&m->mutex);
    m->stream_events += n;
    pthread_mutex_unlock(&m->mutex);
}

static unsigned long resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm && fscanf(statm, "%*u %lu", &pages) != 1)
        pages = 0;
    if (statm)
        fclose(statm);
    return pages * (unsigned long)sysconf(_SC_PAGESIZE);
}

static void append_head(ser_text *t, const char *name, const char *type, const char *help)
{
    ser_text_appendf(t, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void append_gauge(ser_text *t, const char *name, const char *help, double value)
{
    append_head(t, name, "gauge", help);
    ser_text_appendf(t, "%s %.17g\n", name, value);
}

static void append_histogram(ser_text *t, const ser_serve_metrics *m)
{
    uint64_t sum = 0;
    append_head(t, "ser_request_duration_seconds", "histogram",
                "Time to answer a POST request, from its last byte on.");
    for (size_t i = 0; i < SER_N_LATENCIES; i++) {
        sum += m->latencies[i];
        ser_text_appendf(t, "ser_request_duration_seconds_bucket{le=\"%g\"} %llu\n", buckets[i],
                         (unsigned long long)sum);
    }
    ser_text_appendf(
        t,
        "ser_request_duration_seconds_bucket{le=\"+Inf\"} %llu\nser_request_duration_seconds_sum %.17g\n"
        "ser_request_duration_seconds_count %llu\n",
        (unsigned long long)m->n_latencies, m->latency_sum_s, (unsigned long long)m->n_latencies);
}

void ser_metrics_append(ser_text *t, ser_serve_metrics *m, const ser_serve_gauges *now)
{
    pthread_mutex_lock(&m->mutex);
    append_head(t, "ser_requests_total", "counter", "Requests, by route and status.");
    for (int r = 0; r < SER_N_ROUTES; r++)
        for (size_t s = 0; s < m->n_statuses; s++)
            if (m->requests[r][s])
                ser_text_appendf(t, "ser_requests_total{route=\"%s\",status=\"%d\"} %llu\n", paths[r],
                                 m->status[s], (unsigned long long)m->requests[r][s]);
    append_head(t, "ser_audio_seconds_total", "counter", "Sound that was answered for.");
    ser_text_appendf(t, "ser_audio_seconds_total %.17g\n", m->audio_s);
    append_head(t, "ser_stream_events_total", "counter", "Events that were sent on streams.");
    ser_text_appendf(t, "ser_stream_events_total %llu\n", (unsigned long long)m->stream_events);
    append_histogram(t, m);
    pthread_mutex_unlock(&m->mutex);
    append_gauge(t, "ser_queue_length", "Requests that wait for a worker.", now->n_waiting);
    append_gauge(t, "ser_workers_busy", "Workers that are answering.", now->n_running);
    append_gauge(t, "ser_workers", "Workers.", now->n_workers);
    append_gauge(t, "ser_connections", "Open connections.", now->n_connections);
    append_gauge(t, "ser_streams", "Open streams.", now->n_streams);
    append_gauge(t, "ser_upload_bytes", "Bodies of requests, in memory.", (double)now->n_upload_bytes);
    append_gauge(t, "process_resident_memory_bytes", "Memory in use.", (double)resident_bytes());
}

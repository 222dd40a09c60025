#include "learn/tuned_unlike.h"
#include "base/memory.h"
#include "model/moments.h"
#include "model/pooled.h"

enum { MOST_OF_A_CORPUS = 300, AT_ONCE = 256 };

/* Of each corpus evenly spread ones. row: room for all that is learned from. */
static size_t choose(size_t *row, const ser_crops *c)
{
    size_t n = 0;
    for (size_t p = 0; p < c->corpus->n_parts; p++) {
        size_t n_all = 0, seen = 0;
        for (size_t i = 0; i < c->n_learned; i++)
            n_all += (size_t)c->corpus->utterances[c->learned[i]].part == p;
        size_t most = n_all < MOST_OF_A_CORPUS ? n_all : MOST_OF_A_CORPUS;
        for (size_t i = 0; i < c->n_learned; i++) {
            if ((size_t)c->corpus->utterances[c->learned[i]].part != p)
                continue;
            if (seen * most / n_all != (seen + 1) * most / n_all)
                row[n++] = c->learned[i];
            seen++;
        }
    }
    return n;
}

/* pooled (n, n_in) */
static ser_status hear(float *pooled, const ser_tune_net *net, const ser_tuned_source *source,
                       const size_t *row, size_t n, ser_error *err)
{
    ser_tune_settings tune = source->settings.tune;
    tune.max_samples = source->settings.max_answer;
    return ser_tune_features(pooled, net, &source->crops->rows, row, NULL, n, &tune, err);
}

ser_status ser_tuned_unlike(ser_unlike *out, const ser_tune_net *net, const ser_tuned_source *source,
                            ser_error *err)
{
    size_t *row = ser_alloc(source->crops->n_learned, sizeof *row), n_values;
    size_t n = row ? choose(row, source->crops) : 0;
    float *pooled = ser_mul_size(&n_values, n, net->n_in) ? ser_alloc(n_values, sizeof *pooled) : NULL;
    const float **rows = ser_alloc(n, sizeof *rows);
    ser_status st = ser_unlike_init(out, net->n_in, err);
    if (st == SER_OK)
        st = row && pooled && rows ? hear(pooled, net, source, row, n, err) : ser_fail_nomem(err);
    for (size_t i = 0; i < n && st == SER_OK; i++)
        rows[i] = pooled + i * net->n_in;
    if (st == SER_OK && ser_team_is_first(source->settings.tune.team))
        st = ser_standardise(out->mean, out->scale, rows, n, net->n_in, err);
    ser_free(row);
    ser_free(pooled);
    ser_free(rows);
    if (st != SER_OK)
        ser_unlike_release(out);
    return st;
}

ser_status ser_tuned_distances(double *distance, const ser_unlike *u, const ser_tune_net *net,
                               const ser_tuned_source *source, const size_t *row, size_t n, ser_error *err)
{
    float *pooled = ser_alloc(AT_ONCE, net->n_in * sizeof *pooled);
    ser_status st = pooled ? SER_OK : ser_fail_nomem(err);
    for (size_t first = 0; first < n && st == SER_OK; first += AT_ONCE) {
        size_t n_now = n - first < AT_ONCE ? n - first : AT_ONCE;
        st = hear(pooled, net, source, row + first, n_now, err);
        for (size_t i = 0; i < n_now && st == SER_OK && ser_team_is_first(source->settings.tune.team); i++)
            distance[first + i] = ser_unlike_distance(u, pooled + i * net->n_in);
    }
    ser_free(pooled);
    return st;
}

ser_status ser_tuned_unlike_pooled(ser_unlike *out, const ser_unlike *u, const ser_tune_net *net,
                                   ser_error *err)
{
    size_t dims = net->shape.dims, n_states = net->shape.n_pooled;
    ser_status st = ser_unlike_init(out, n_states * SER_N_STATISTICS * dims, err);
    for (size_t s = 0; s < n_states && st == SER_OK; s++)
        for (size_t i = 0; i < 2 * dims; i++) { /* means, then deviations, of all frames */
            out->mean[s * SER_N_STATISTICS * dims + i] = u->mean[s * 2 * dims + i];
            out->scale[s * SER_N_STATISTICS * dims + i] = u->scale[s * 2 * dims + i];
        }
    if (st == SER_OK)
        out->reach = u->reach;
    return st;
}

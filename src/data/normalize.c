#include "data/normalize.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

static const char *const normalize_names[] = {"none", "speaker", "corpus"};

ser_normalize ser_normalize_from_name(const char *name)
{
    for (int i = 0; i < 3; i++)
        if (strcmp(normalize_names[i], name) == 0)
            return (ser_normalize)i;
    return SER_NORMALIZE_NONE;
}

const char *ser_normalize_name(ser_normalize n)
{
    return normalize_names[n];
}

/* One group's rows: members are the utterances whose key is group (how NORMALIZE_CORPUS: all). */
static void normalize_group(ser_store *store, const ser_corpus *corpus, ser_normalize how, int group,
                            double *mean, double *deviation, double *spread_sum)
{
    size_t dims = store->dims, n = 0;
    memset(mean, 0, dims * sizeof *mean);
    memset(deviation, 0, dims * sizeof *deviation);
    for (size_t u = 0; u < store->n; u++) {
        if (how == SER_NORMALIZE_SPEAKER && corpus->utterances[u].speaker != group)
            continue;
        const float *x = ser_store_row(store, u, 0);
        n++;
        for (size_t i = 0; i < dims; i++) {
            mean[i] += x[i];
            deviation[i] += (double)x[i] * x[i];
        }
    }
    if (!n)
        return;
    for (size_t i = 0; i < dims; i++) {
        mean[i] /= (double)n;
        deviation[i] = sqrt(fmax(deviation[i] / (double)n - mean[i] * mean[i], 0));
        spread_sum[i] += deviation[i] * deviation[i];
    }
    for (size_t u = 0; u < store->n; u++) {
        if (how == SER_NORMALIZE_SPEAKER && corpus->utterances[u].speaker != group)
            continue;
        for (size_t copy = 0; copy < store->n_rows; copy++) {
            float *x = ser_store_row(store, u, copy);
            for (size_t i = 0; i < dims; i++)
                x[i] = deviation[i] > 1e-6 ? (float)((x[i] - mean[i]) / deviation[i]) : 0;
        }
    }
}

ser_status ser_dataset_check_normalize(const ser_corpus *corpus, ser_normalize how, ser_error *err)
{
    for (size_t u = 0; how == SER_NORMALIZE_SPEAKER && u < corpus->n_utterances; u++)
        if (corpus->utterances[u].speaker < 0)
            return ser_fail(err, SER_E_ARG,
                            "--normalize speaker, but %s has no speakers: use a CSV with a speaker column",
                            corpus->name);
    return SER_OK;
}

ser_status ser_dataset_normalize(ser_store *store, const ser_corpus *corpus, ser_normalize how, float *spread,
                                 ser_error *err)
{
    if (how == SER_NORMALIZE_NONE)
        return SER_OK;
    ser_status st = ser_dataset_check_normalize(corpus, how, err);
    if (st != SER_OK)
        return st;
    size_t dims = store->dims, n_groups = how == SER_NORMALIZE_SPEAKER ? corpus->n_speakers : 1;
    double *sums = ser_alloc(3 * dims, sizeof *sums);
    if (!sums)
        return ser_fail_nomem(err);
    for (size_t g = 0; g < n_groups; g++)
        normalize_group(store, corpus, how, (int)g, sums, sums + dims, sums + 2 * dims);
    for (size_t i = 0; spread && i < dims; i++)
        spread[i] = (float)sqrt(sums[2 * dims + i] / (double)n_groups);
    ser_free(sums);
    return SER_OK;
}

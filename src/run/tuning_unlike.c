/* How unlike what a tuned model learned from recordings of parts left out are, while it is made or
 * afterwards. */
#include "base/memory.h"
#include "io/file.h"
#include "learn/tuned_unlike.h"
#include "report/escape.h"
#include "run/tuning_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of the recordings of parts left out: so many are no further away than the reach. */
static const double share_within = 0.99;

static int compare_distances(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* What this share of x (n) keeps within; NAN: no memory. */
static double most_of(const double *x, size_t n, double share)
{
    double *sorted = ser_alloc(n, sizeof *sorted), value = NAN;
    if (sorted) {
        memcpy(sorted, x, n * sizeof *sorted);
        qsort(sorted, n, sizeof *sorted, compare_distances);
        value = sorted[(size_t)ceil(share * (double)n) - 1];
    }
    ser_free(sorted);
    return value;
}

ser_status ser_tuning_distances(const ser_tuning *k, const ser_tune_net *net, size_t first, size_t n,
                                json_t *part, ser_error *err)
{
    ser_unlike own = {0};
    double *distance = k->all.distance + first;
    ser_status st = ser_tuned_unlike(&own, net, &k->tuned.source, err);
    if (st == SER_OK)
        st = ser_tuned_distances(distance, &own, net, &k->tuned.source, k->all.row + first, n, err);
    if (st == SER_OK && n && ser_team_is_first(k->tuned.host->team)) {
        double half = most_of(distance, n, 0.5), most = most_of(distance, n, share_within);
        if (isnan(half) || isnan(most) ||
            json_object_set_new(part, "distance", json_pack("{s:f, s:f}", "half", half, "most", most)) != 0)
            st = ser_fail_nomem(err);
    }
    ser_unlike_release(&own);
    return st;
}

ser_status ser_tuning_reach(const ser_tuning *k, const ser_tune_net *net, ser_unlike *out, ser_error *err)
{
    ser_unlike own = {0};
    ser_status st = ser_tuned_unlike(&own, net, &k->tuned.source, err);
    if (st == SER_OK && ser_team_is_first(k->tuned.host->team)) {
        double reach = most_of(k->all.distance, k->all.n, share_within);
        if (isnan(reach))
            st = ser_fail_nomem(err);
        own.reach = fmaxf((float)reach, SER_UNLIKE_LEAST_REACH);
        if (st == SER_OK)
            st = ser_tuned_unlike_pooled(out, &own, net, err);
    }
    ser_unlike_release(&own);
    return st;
}

void ser_tuning_append_distance(ser_text *t, double distance)
{
    ser_text_appendf(t, ", \"distance\": %.5f}\n", distance);
}

/* ---- a run that was made without the measure of how unlike recordings are ---- */

/* Of the encoder without a fold, or of all (-1). */
static char *kept_path(const ser_tuning *k, int fold)
{
    ser_text path = {0};
    ser_text_appendf(&path, fold < 0 ? "%s/encoder" : "%s/encoder-without-%s", k->folder,
                     fold < 0 ? "" : k->folds->names[fold]);
    if (path.failed)
        ser_text_release(&path);
    return path.s;
}

static bool has_kept(const ser_tuning *k)
{
    bool all = true;
    for (int f = -1; f < (int)k->folds->n_folds && all; f++) {
        char *folder = kept_path(k, f), *path = folder ? ser_io_join(folder, "config.json") : NULL;
        all = path && access(path, F_OK) == 0;
        ser_free(path);
        ser_free(folder);
    }
    return all;
}

/* The net of a kept encoder, its head at 0, with the crops that it learned from selected. */
static ser_status reopen(const ser_tuning *k, ser_tune_net **net, int fold, ser_error *err)
{
    const ser_tuned_source *source = &k->tuned.source;
    ser_tune_shape shape = source->settings.shape;
    char *folder = kept_path(k, fold);
    shape.n_labels = k->corpus->n_labels;
    ser_status st = folder ? ser_crops_select(source->crops, fold < 0 ? NULL : k->folds->test_fold, fold, err)
                           : ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_tune_net_open(net, folder, &shape, err);
    ser_free(folder);
    return st;
}

static ser_status measure_again(ser_tuning *k, ser_run_tuning *out, ser_error *err)
{
    ser_tune_net *net = NULL;
    ser_status st = SER_OK;
    for (size_t f = 0; f < k->folds->n_folds && st == SER_OK; f++) {
        size_t *row = ser_alloc(k->corpus->n_utterances, sizeof *row), n = 0;
        json_t *part = json_object();
        st = row && json_array_append(out->figures, part) == 0 ? reopen(k, &net, (int)f, err)
                                                               : ser_fail_nomem(err);
        if (st == SER_OK) {
            n = ser_tuning_choose(row, k, (int)f, ser_tuned_heard(k->tuned.source.crops));
            memcpy(k->all.row + k->all.n, row, n * sizeof *row);
            st = ser_tuning_distances(k, net, k->all.n, n, part, err);
            k->all.n += n;
        }
        ser_tune_net_free(&net);
        json_decref(part);
        ser_free(row);
    }
    if (st == SER_OK)
        st = reopen(k, &net, -1, err);
    if (st == SER_OK)
        st = ser_tuning_reach(k, net, &out->unlike, err);
    ser_tune_net_free(&net);
    return st;
}

/* Line i of left-out.jsonl, which path names, with its recording's distance. */
static ser_status join_distance(ser_text *out, const ser_tuning *k, size_t i, char *line, const char *path,
                                ser_error *err)
{
    size_t n = strlen(line);
    ser_text file = {0};
    if (i < k->all.n)
        ser_append_json(&file, k->corpus->utterances[k->all.row[i]].file);
    bool failed = file.failed, fits = file.s && strstr(line, file.s) && line[n - 1] == '}';
    ser_text_release(&file);
    if (failed)
        return ser_fail_nomem(err);
    if (!fits)
        return ser_fail(err, SER_E_FORMAT, "%s: line %zu is not of the recording that was asked then", path,
                        i + 1);
    char *old = strstr(line, ", \"distance\"");
    ser_text_append_n(out, line, old ? (size_t)(old - line) : n - 1);
    ser_tuning_append_distance(out, k->all.distance[i]);
    return SER_OK;
}

/* Distances join the lines of left-out.jsonl, which are of the same recordings in the same order. */
static ser_status save_distances(const ser_tuning *k, ser_error *err)
{
    enum { MOST_BYTES = 1 << 28 };
    char *path = ser_io_join(k->folder, "left-out.jsonl"), *end;
    size_t i = 0;
    ser_text t = {0}, text = {0};
    ser_bytes bytes = {0};
    ser_status st = path ? ser_io_read(&bytes, path, MOST_BYTES, err) : ser_fail_nomem(err);
    ser_text_append_n(&text, (const char *)bytes.data, bytes.n);
    if (st == SER_OK && text.failed)
        st = ser_fail_nomem(err);
    for (char *line = text.s; st == SER_OK && line && *line; line = end, i++) {
        end = line + strcspn(line, "\n");
        if (*end) /* the last line may lack it */
            *end++ = 0;
        st = join_distance(&t, k, i, line, path, err);
    }
    if (st == SER_OK && i != k->all.n)
        st = ser_fail(err, SER_E_FORMAT, "%s: it has %zu lines, and %zu recordings were asked", path, i,
                      k->all.n);
    if (st == SER_OK)
        st = t.failed ? ser_fail_nomem(err) : ser_io_write(path, t.s, t.n, err);
    ser_text_release(&t);
    ser_text_release(&text);
    ser_bytes_release(&bytes);
    ser_free(path);
    return st;
}

ser_status ser_run_tune_unlike(ser_run_tuning *out, bool *kept, size_t n_in, const ser_run_train_settings *s,
                               const ser_run_features *features, const ser_run_host *host,
                               const ser_run_folder *folder, ser_error *err)
{
    ser_tuning k = {.s = s, .spec = &features->spec, .folder = folder->path};
    *out = (ser_run_tuning){.figures = json_array()};
    *kept = false;
    ser_status st = out->figures ? ser_tuning_open(&k, features, host, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_tuning_open_folds(&k, err);
    *kept = st == SER_OK && has_kept(&k);
    if (*kept)
        st = measure_again(&k, out, err);
    if (st == SER_OK && *kept && out->unlike.n_in != n_in)
        st = ser_fail(err, SER_E_FORMAT, "%s: the model reads other features than the encoders kept give",
                      folder->path);
    if (st == SER_OK && *kept)
        st = save_distances(&k, err);
    ser_tuning_close(&k);
    if (st != SER_OK)
        ser_run_tuning_release(out);
    return st;
}

#include "base/memory.h"
#include "corpus/folds.h"
#include "io/file.h"
#include "metrics/metrics.h"
#include "report/escape.h"
#include "run/heard.h"
#include "run/tuned_head.h"
#include "run/tuning_parts.h"
#include "train/softmax_regression.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ASKED = 500 }; /* recordings of each part that is left out */

/* ---- what a left-out part is asked, and what it answers ---- */

size_t ser_tuning_choose(size_t *row, const ser_tuning *k, int fold, uint64_t heard)
{
    size_t n_all = 0, n = 0, seen = 0;
    for (size_t u = 0; u < k->corpus->n_utterances; u++)
        n_all += k->folds->test_fold[u] == fold && (heard >> k->corpus->utterances[u].label & 1);
    for (size_t u = 0; u < k->corpus->n_utterances; u++) {
        if (k->folds->test_fold[u] != fold || !(heard >> k->corpus->utterances[u].label & 1))
            continue;
        if (n_all <= MAX_ASKED || seen * MAX_ASKED / n_all != (seen + 1) * MAX_ASKED / n_all)
            row[n++] = u;
        seen++;
    }
    return n;
}

/* UA in percent, NAN where nothing was asked; restricted: answers among the emotions that these recordings
 * have. */
static double ua_of(const ser_tuning_answers *a, size_t first, bool restricted)
{
    size_t right[SER_MAX_LABELS] = {0}, all[SER_MAX_LABELS] = {0}, n_present = 0;
    double sum = 0;
    for (size_t i = first; i < a->n; i++)
        all[a->label[i]]++;
    for (size_t i = first; i < a->n; i++) {
        const float *z = a->logits + i * a->n_labels;
        int best = a->label[i];
        for (size_t l = 0; l < a->n_labels; l++)
            if ((!restricted || all[l]) && z[l] > z[best])
                best = (int)l;
        right[a->label[i]] += best == a->label[i];
    }
    for (size_t l = 0; l < a->n_labels; l++)
        if (all[l] && ++n_present)
            sum += (double)right[l] / (double)all[l];
    return n_present ? 100 * sum / (double)n_present : NAN;
}

/* Adds "conditions": restricted UA of the part's n recordings, which all.row and all.label have from first
 * on, as they are and altered. */
static ser_status ask_again(const ser_tuning *k, const ser_tune_net *net, uint64_t heard, size_t first,
                            size_t n, json_t *figures, ser_error *err)
{
    ser_tuned_source source = k->tuned.source;
    ser_tuning_answers a = {.n_labels = k->all.n_labels, .n = n, .label = k->all.label + first};
    json_t *conditions = json_pack("{s:o}", ser_condition_name(SER_CONDITION_NONE),
                                   ser_number_json(ua_of(&k->all, first, true)));
    a.logits = ser_alloc(n ? n : 1, a.n_labels * sizeof *a.logits);
    ser_status st = a.logits && conditions ? SER_OK : ser_fail_nomem(err);
    for (int c = SER_CONDITION_NONE + 1; c < SER_N_CONDITIONS && st == SER_OK; c++) {
        source.condition = (ser_condition)c;
        st = ser_tuned_ask(a.logits, net, &source, heard, k->all.row + first, n, err);
        if (st == SER_OK && json_object_set_new(conditions, ser_condition_name(source.condition),
                                                ser_number_json(ua_of(&a, 0, true))) != 0)
            st = ser_fail_nomem(err);
    }
    ser_free(a.logits);
    if (json_object_set_new(figures, "conditions", conditions) != 0 && st == SER_OK)
        st = ser_fail_nomem(err);
    return st;
}

static ser_status ask(ser_tuning *k, const ser_tune_net *net, int fold, json_t *figures, ser_error *err)
{
    uint64_t heard = ser_tuned_heard(k->tuned.source.crops);
    size_t first = k->all.n, n_labels = k->all.n_labels;
    size_t *row = k->all.row + first, n;
    size_t *chosen = ser_alloc(k->corpus->n_utterances, sizeof *chosen);
    if (!chosen)
        return ser_fail_nomem(err);
    n = ser_tuning_choose(chosen, k, fold, heard);
    memcpy(row, chosen, n * sizeof *row);
    ser_free(chosen);
    ser_status st =
        ser_tuned_ask(k->all.logits + first * n_labels, net, &k->tuned.source, heard, row, n, err);
    if (st != SER_OK)
        return st;
    for (size_t i = 0; i < n; i++)
        k->all.label[first + i] = k->corpus->utterances[row[i]].label;
    k->all.n += n;
    json_t *part = json_pack("{s:s, s:I, s:o, s:o}", "left_out", k->folds->names[fold], "n", (json_int_t)n,
                             "ua_restricted", ser_number_json(ua_of(&k->all, first, true)), "ua_open",
                             ser_number_json(ua_of(&k->all, first, false)));
    st = json_array_append(figures, part) == 0 ? ask_again(k, net, heard, first, n, part, err)
                                               : ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_tuning_distances(k, net, first, n, part, err);
    json_decref(part);
    return st;
}

/* left-out.jsonl: what each recording of a left-out part was answered, so that whoever doubts temperature,
 * threshold or bias can fit them again without training again. */
static ser_status save_answers(const ser_tuning *k, ser_error *err)
{
    ser_text t = {0};
    char *path = ser_io_join(k->folder, "left-out.jsonl");
    for (size_t i = 0; i < k->all.n; i++) {
        const ser_utterance *u = &k->corpus->utterances[k->all.row[i]];
        ser_text_append(&t, "{\"file\": ");
        ser_append_json(&t, u->file);
        ser_text_append(&t, ", \"left_out\": ");
        ser_append_json(&t, k->folds->names[k->folds->test_fold[k->all.row[i]]]);
        ser_text_append(&t, ", \"emotion\": ");
        ser_append_json(&t, k->corpus->labels[u->label]);
        ser_text_append(&t, ", \"logits\": {");
        for (size_t l = 0; l < k->all.n_labels; l++) {
            ser_text_append(&t, l ? ", " : "");
            ser_append_json(&t, k->corpus->labels[l]);
            ser_text_appendf(&t, ": %.5f", (double)k->all.logits[i * k->all.n_labels + l]);
        }
        ser_text_append(&t, "}");
        ser_tuning_append_distance(&t, k->all.distance[i]);
    }
    ser_status st = path && !t.failed ? ser_io_write(path, t.s, t.n, err) : ser_fail_nomem(err);
    ser_text_release(&t);
    ser_free(path);
    return st;
}

/* ---- trainings ---- */

/* fold -1: from everything. */
static ser_status train(ser_tuning *k, ser_tune_net **net, int fold, ser_error *err)
{
    size_t n_before = fold < 0 ? k->folds->n_folds : (size_t)fold;
    char what[64] = "final encoder", *state = ser_io_join(k->folder, "tuning");
    if (fold >= 0)
        snprintf(what, sizeof what, "without %.40s", k->folds->names[fold]);
    ser_status st = state ? ser_tuned_train(net, &k->tuned.source, k->folds->test_fold, fold, what, state,
                                            n_before * (size_t)k->s->fine_tuning.n_soup + 1, err)
                          : ser_fail_nomem(err);
    ser_free(state);
    return st;
}

/* By one rank: a checkpoint and its head, and what it learned from, which is all that the encoder it began
 * from had learned from, and the recordings but those of the fold (-1: all). */
static ser_status save_encoder(const ser_tuning *k, const ser_tune_net *net, int fold, const char *folder,
                               ser_error *err)
{
    ser_heard heard = {0};
    if (!ser_team_is_first(k->tuned.host->team))
        return SER_OK;
    ser_status st = ser_heard_read(&heard, k->tuned.encoders.folders[0], err);
    for (size_t u = 0; u < k->corpus->n_utterances && st == SER_OK; u++) {
        if (k->folds->test_fold[u] == fold)
            continue;
        st = ser_heard_add(&heard, k->tuned.source.crops->sha256[u], err);
        ser_heard_add_corpus(&heard, k->corpus->parts[k->corpus->utterances[u].part].name);
    }
    if (st == SER_OK)
        st = ser_io_make_folder(folder, err);
    if (st == SER_OK) /* first: never is there a checkpoint that does not say it */
        st = ser_heard_write(&heard, folder, err);
    if (st == SER_OK) /* one of other weights */
        st = ser_tuned_head_remove(folder, err);
    if (st == SER_OK)
        st = ser_tune_save_encoder(net, NULL, folder, err);
    if (st == SER_OK)
        st = ser_tuned_head_write(folder, net, k->spec, k->corpus->labels,
                                  ser_tuned_heard(k->tuned.source.crops), err);
    ser_heard_release(&heard);
    return st;
}

static ser_status keep_encoder(const ser_tuning *k, const ser_tune_net *net, int fold, ser_error *err)
{
    ser_text path = {0};
    if (!k->s->keep_encoders)
        return SER_OK;
    ser_text_appendf(&path, "%s/encoder-without-%s", k->folder, k->folds->names[fold]);
    ser_status st = path.failed ? ser_fail_nomem(err) : save_encoder(k, net, fold, path.s, err);
    ser_text_release(&path);
    return st;
}

static ser_status calibrate(ser_tuning *k, ser_run_tuning *out, ser_error *err)
{
    ser_status st = SER_OK;
    for (size_t f = 0; f < k->folds->n_folds && st == SER_OK; f++) {
        ser_tune_net *net = NULL;
        st = train(k, &net, (int)f, err);
        if (st == SER_OK)
            st = ask(k, net, (int)f, out->figures, err);
        if (st == SER_OK)
            st = keep_encoder(k, net, (int)f, err);
        ser_tune_net_free(&net);
    }
    return st;
}

/* By how much the answers of a left-out part are more confident, on average, than they are right; of the
 * worst part. scores (n, n_labels) is room. */
static double overconfidence(const ser_tuning *k, float *scores, float temperature)
{
    const ser_tuning_answers *a = &k->all;
    double worst = -1, sum = 0;
    size_t n = 0;
    memcpy(scores, a->logits, a->n * a->n_labels * sizeof *scores);
    for (size_t i = 0; i < a->n; i++) { /* the answers of a part lie together */
        float *s = scores + i * a->n_labels;
        ser_softmax(s, a->n_labels, temperature);
        int best = ser_argmax(s, a->n_labels);
        sum += (double)s[best] - (best == a->label[i]);
        n++;
        if (i + 1 == a->n || k->folds->test_fold[a->row[i + 1]] != k->folds->test_fold[a->row[i]]) {
            worst = sum / (double)n > worst ? sum / (double)n : worst;
            sum = 0;
            n = 0;
        }
    }
    return worst;
}

/* The lowest temperature at which no part that was left out is answered with more confidence, on average,
 * than it is right, but not below that which fits all answers best. Corpora to come are rather like the
 * hardest of those at hand than like their mean: a temperature for the mean is too sure of them. */
static float choose_temperature(const ser_tuning *k, float *scores)
{
    const ser_tuning_answers *a = &k->all;
    float low = ser_temperature_fit(a->logits, a->label, a->n, a->n_labels), high = 10;
    if (overconfidence(k, scores, low) <= 0)
        return low;
    for (int i = 0; i < 40; i++) {
        float middle = (low + high) / 2;
        if (overconfidence(k, scores, middle) > 0)
            low = middle;
        else
            high = middle;
    }
    return high;
}

typedef struct verdict {
    float confidence;
    bool plain, right;
} verdict;

static int compare_verdicts(const void *a, const void *b)
{
    float x = ((const verdict *)a)->confidence, y = ((const verdict *)b)->confidence;
    return (x < y) - (x > y);
}

/* v[n]: the surest first. */
static void choose_rule(ser_run_tuning *out, const verdict *v, size_t n)
{
    size_t n_plain = 0, n_plain_right = 0, n_right = 0, n_labelled = 0, n_right_labelled = 0;
    for (size_t i = 0; i < n; i++)
        n_right += v[i].right;
    out->right = (double)n_right / (double)n;
    out->min_confidence = (double)v[(n - 1) / 2].confidence;
    out->min_confidence_plain = out->min_confidence;
    for (size_t i = 0; i < n; i++) {
        n_plain += v[i].plain;
        n_plain_right += v[i].plain && v[i].right;
        if (v[i].plain && (double)v[i].confidence < out->min_confidence &&
            (double)n_plain_right >= out->right * (double)n_plain)
            out->min_confidence_plain = (double)v[i].confidence;
    }
    for (size_t i = 0; i < n; i++) {
        bool labelled =
            (double)v[i].confidence >= (v[i].plain ? out->min_confidence_plain : out->min_confidence);
        n_labelled += labelled;
        n_right_labelled += labelled && v[i].right;
    }
    out->labelled = (double)n_labelled / (double)n;
    out->right_above = (double)n_right_labelled / (double)n_labelled;
}

/* The temperature, the confidence from which an answer gets a label, and what both are worth. */
static ser_status measure(const ser_tuning *k, ser_run_tuning *out, ser_error *err)
{
    const ser_tuning_answers *a = &k->all;
    ser_reliability reliability;
    float *scores = ser_alloc(a->n, a->n_labels * sizeof *scores);
    verdict *verdicts = ser_alloc(a->n, sizeof *verdicts);
    ser_status st = SER_OK;
    if (!scores || !verdicts)
        st = ser_fail_nomem(err);
    if (st == SER_OK) {
        out->temperature = choose_temperature(k, scores);
        memcpy(scores, a->logits, a->n * a->n_labels * sizeof *scores);
        for (size_t i = 0; i < a->n; i++) {
            ser_softmax(scores + i * a->n_labels, a->n_labels, out->temperature);
            int best = ser_argmax(scores + i * a->n_labels, a->n_labels);
            verdicts[i] = (verdict){.confidence = scores[i * a->n_labels + (size_t)best],
                                    .plain = ser_emotion_is_plain(k->corpus->labels[best]),
                                    .right = best == a->label[i]};
        }
        ser_reliability_compute(&reliability, scores, a->label, a->n, a->n_labels);
        out->ece = reliability.ece;
        qsort(verdicts, a->n, sizeof *verdicts, compare_verdicts);
        choose_rule(out, verdicts, a->n);
    }
    ser_free(scores);
    ser_free(verdicts);
    return st;
}

/* ---- beginning and end ---- */

/* All are asked in turn. */
static ser_status check_unheard(const ser_tuning *k, ser_error *err)
{
    const char *encoder = k->tuned.encoders.folders[0], (*sha256)[65] = k->tuned.source.crops->sha256;
    ser_heard heard = {0};
    ser_status st = ser_heard_read(&heard, encoder, err);
    if (st == SER_OK)
        st = ser_heard_check(&heard, encoder, k->corpus->name, sha256[0], sizeof *sha256,
                             k->corpus->n_utterances, err);
    ser_heard_release(&heard);
    return st;
}

ser_status ser_tuning_open(ser_tuning *k, const ser_run_features *f, const ser_run_host *host, ser_error *err)
{
    const ser_run_data *d = &k->s->data;
    const ser_tuned_wish wish = {.data = d,
                                 .features = f,
                                 .how = &k->s->fine_tuning,
                                 .micro_batch = k->s->network.micro_batch,
                                 .team = host->team,
                                 .seed = (uint64_t)k->s->learning.seed,
                                 .epochs = k->epochs};
    ser_status st = ser_corpus_open(&k->corpus, d->corpus, d->data_dir, err);
    if (st == SER_OK)
        st = ser_run_compare(host, k->corpus, NULL, err);
    if (st == SER_OK)
        st = ser_tuned_open(&k->tuned, k->corpus, &wish, host, err);
    k->tuned.source.n_after = 1; /* of all corpora */
    return st == SER_OK ? check_unheard(k, err) : st;
}

static ser_status split(ser_folds **out, const ser_corpus *c, uint64_t seed, ser_error *err)
{
    enum { N_PARTS = 3 };
    const bool alone = c->n_parts == 1;
    const ser_protocol protocol = {.kind = alone ? SER_PROTOCOL_GROUP_KFOLD : SER_PROTOCOL_LOCO,
                                   .k = N_PARTS};
    if (alone && (!ser_corpus_has_speakers(c) || c->n_speakers < N_PARTS))
        return ser_fail(err, SER_E_ARG,
                        "--fine-tune leaves a third of the speakers of one corpus out at a time: %s: join "
                        "other corpora with +, as in EMODB+mine.csv",
                        c->n_speakers < N_PARTS && ser_corpus_has_speakers(c)
                            ? "this one has fewer than three"
                            : "those of this one are not all known");
    ser_status st = ser_folds_new(out, c, &protocol, seed, err);
    for (size_t f = 0; st == SER_OK && f < (*out)->n_folds; f++)
        if (ser_folds_n_askable(*out, c, (int)f))
            return SER_OK;
    return st != SER_OK ? st
                        : ser_fail(err, SER_E_ARG,
                                   "each emotion of %s is that of some speakers alone: left out, they cannot "
                                   "be asked: join other corpora with +",
                                   c->name);
}

ser_status ser_run_check_tuning(const ser_run_train_settings *s, const ser_run_features *features,
                                ser_error *err)
{
    const ser_run_data *d = &s->data;
    ser_encoders encoders = {0};
    ser_corpus *corpus = NULL;
    ser_folds *folds = NULL;
    ser_status st = ser_corpus_open(&corpus, d->corpus, d->data_dir, err);
    if (st == SER_OK)
        st = split(&folds, corpus, (uint64_t)s->learning.seed, err);
    if (st == SER_OK)
        st = ser_encoders_open(&encoders, &features->spec, d->encoders, d->n_encoders, d->engine,
                               d->precision, err);
    ser_encoders_close(&encoders);
    ser_folds_free(&folds);
    ser_corpus_free(&corpus);
    return st;
}

ser_status ser_tuning_open_folds(ser_tuning *k, ser_error *err)
{
    size_t n;
    ser_status st = split(&k->folds, k->corpus, (uint64_t)k->s->learning.seed, err);
    if (st != SER_OK)
        return st;
    for (size_t f = 0; f < k->folds->n_folds; f++)
        if (!ser_folds_n_askable(k->folds, k->corpus, (int)f))
            ser_run_tell(k->tuned.host, SER_RUN_WARNING,
                         "%s: no emotion of it is one of the others': left out, it is asked nothing, and "
                         "confidence is measured without it",
                         k->folds->names[f]);
    k->all.n_labels = k->corpus->n_labels;
    k->all.label = ser_alloc(k->folds->n_folds * MAX_ASKED, sizeof *k->all.label);
    k->all.row = ser_alloc(k->folds->n_folds * MAX_ASKED, sizeof *k->all.row);
    k->all.distance = ser_alloc(k->folds->n_folds * MAX_ASKED, sizeof *k->all.distance);
    k->all.logits = ser_mul_size(&n, k->folds->n_folds * MAX_ASKED, k->all.n_labels)
                        ? ser_alloc(n, sizeof *k->all.logits)
                        : NULL;
    return k->all.label && k->all.row && k->all.distance && k->all.logits ? SER_OK : ser_fail_nomem(err);
}

void ser_tuning_close(ser_tuning *k)
{
    ser_free(k->all.label);
    ser_free(k->all.row);
    ser_free(k->all.distance);
    ser_free(k->all.logits);
    ser_folds_free(&k->folds);
    ser_tuned_close(&k->tuned);
    ser_corpus_free(&k->corpus);
}

ser_status ser_run_tune(ser_run_tuning *out, const ser_run_train_settings *s,
                        const ser_run_features *features, const ser_run_host *host, ser_run_folder *folder,
                        ser_epochs *epochs, ser_error *err)
{
    static const char *const states[] = {"tuning", NULL};
    ser_tuning k = {.s = s, .spec = &features->spec, .folder = folder->path, .epochs = epochs};
    *out = (ser_run_tuning){
        .temperature = 1, .figures = json_array(), .encoder = ser_io_join(folder->path, "encoder")};
    ser_status st =
        out->figures && out->encoder ? ser_tuning_open(&k, features, host, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_tuning_open_folds(&k, err);
    bool first = ser_team_is_first(host->team); /* the answers are rank 0's */
    if (st == SER_OK && first)
        st = ser_run_folder_begin(folder, NULL, NULL, states,
                                  (k.folds->n_folds + 1) * (size_t)s->fine_tuning.n_soup, err);
    if (st == SER_OK)
        st = calibrate(&k, out, err);
    if (st == SER_OK && first)
        st = save_answers(&k, err);
    if (st == SER_OK && first)
        st = measure(&k, out, err);
    if (st == SER_OK)
        st = train(&k, &out->net, -1, err);
    if (st == SER_OK)
        st = save_encoder(&k, out->net, -1, out->encoder, err);
    if (st == SER_OK)
        st = ser_tuning_reach(&k, out->net, &out->unlike, err);
    if (st == SER_OK)
        st = ser_team_meet(host->team, err); /* it is read by all */
    ser_tuning_close(&k);
    if (st != SER_OK)
        ser_run_tuning_release(out);
    return st;
}

void ser_run_tuning_release(ser_run_tuning *t)
{
    ser_tune_net_free(&t->net);
    ser_free(t->encoder);
    json_decref(t->figures);
    ser_unlike_release(&t->unlike);
    *t = (ser_run_tuning){0};
}

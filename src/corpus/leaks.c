#include "corpus/leaks.h"
#include "base/memory.h"
#include "base/threads.h"

#include <stdio.h>
#include <string.h>

void ser_leaks_release(ser_leaks *l)
{
    ser_free(l->speakers);
    ser_free(l->texts);
    ser_free(l->duplicates);
    ser_free(l->takes);
    ser_free(l->examples);
    *l = (ser_leaks){0};
}

/* Counts the values of a member of ser_utterance (speaker or text) that occur on both sides of each fold. */
static ser_status count_shared(int *shared, const ser_corpus *c, const ser_folds *f, size_t offset,
                               size_t n_values, ser_error *err)
{
    size_t *in_test = ser_alloc(n_values, sizeof *in_test), *in_all = ser_alloc(n_values, sizeof *in_all);
    ser_status st = in_test && in_all ? SER_OK : ser_fail_nomem(err);
    for (size_t fold = 0; fold < f->n_folds && st == SER_OK; fold++) {
        memset(in_test, 0, n_values * sizeof *in_test);
        memset(in_all, 0, n_values * sizeof *in_all);
        for (size_t u = 0; u < c->n_utterances; u++) {
            int value = *(const int *)((const char *)&c->utterances[u] + offset);
            if (value < 0)
                continue;
            in_all[value]++;
            in_test[value] += f->test_fold[u] == (int)fold;
        }
        for (size_t v = 0; v < n_values; v++)
            shared[fold] += in_test[v] > 0 && in_test[v] < in_all[v];
    }
    ser_free(in_test);
    ser_free(in_all);
    return st;
}

/* Nothing found tells nothing where what was looked for is not known of all recordings. */
static void mark_unknown(ser_leaks *l, const ser_corpus *c)
{
    bool speakers = true, texts = true;
    for (size_t u = 0; u < c->n_utterances; u++) {
        speakers = speakers && c->utterances[u].speaker >= 0;
        texts = texts && c->utterances[u].text >= 0;
    }
    for (size_t f = 0; f < l->n_folds; f++) {
        l->speakers[f] = speakers || l->speakers[f] ? l->speakers[f] : -1;
        l->texts[f] = texts || l->texts[f] ? l->texts[f] : -1;
        l->takes[f] = (speakers && texts) || l->takes[f] ? l->takes[f] : -1;
    }
}

static bool is_take(const ser_utterance *a, const ser_utterance *b)
{
    return a->speaker >= 0 && a->text >= 0 && a->speaker == b->speaker && a->text == b->text &&
           a->label == b->label;
}

/* flag bits of an utterance */
enum { HAS_COPY = 1, HAS_TAKE = 2 };
/* Utterances that are compared with all before them between two looks at whether to stop. */
enum { ROWS = 64 };

/* A copy of which one is tested in a fold; those are told whose pair comes first, whoever found it. */
typedef struct copied {
    size_t later, earlier; /* utterances; both 0: none */
    bool later_is_tested;
} copied;

typedef struct comparison {
    const ser_corpus *corpus;
    const ser_folds *folds;
    ser_fingerprint *const *fingerprints;
    unsigned char *flags; /* (n_threads, n_utterances) */
    copied *first;        /* (n_threads, n_folds) */
    size_t at;            /* the utterance of item 0 */
} comparison;

static void note_copy(copied *first, copied pair)
{
    bool is_earlier =
        pair.later < first->later || (pair.later == first->later && pair.earlier < first->earlier);
    if (!first->later || is_earlier)
        *first = pair;
}

static ser_status compare_with_others(void *context, size_t item, int worker, ser_error *err)
{
    (void)err;
    const comparison *k = context;
    const size_t u = k->at + item;
    const ser_corpus *c = k->corpus;
    const int *fold = k->folds->test_fold;
    unsigned char *flags = k->flags + (size_t)worker * c->n_utterances;
    copied *first = k->first + (size_t)worker * k->folds->n_folds;
    for (size_t v = 0; v < u; v++) {
        if (fold[u] == fold[v])
            continue;
        int found = is_take(&c->utterances[u], &c->utterances[v]) ? HAS_TAKE : 0;
        if (k->fingerprints[u] && k->fingerprints[v] &&
            ser_fingerprint_similarity(k->fingerprints[u], k->fingerprints[v]) >= SER_TWIN_SIMILARITY) {
            found |= HAS_COPY;
            /* Each of the two is on the training side when the other is tested. */
            note_copy(&first[fold[u]], (copied){u, v, true});
            note_copy(&first[fold[v]], (copied){u, v, false});
        }
        flags[u] |= (unsigned char)found;
        flags[v] |= (unsigned char)found;
    }
    return SER_OK;
}

static ser_status compare_all(comparison *k, int n_threads, const ser_progress *progress, ser_error *err)
{
    const size_t n = k->corpus->n_utterances;
    ser_status st = SER_OK;
    for (k->at = 0; k->at < n && st == SER_OK; k->at += ROWS) {
        size_t n_rows = n - k->at < ROWS ? n - k->at : ROWS;
        st = ser_parallel_for(n_threads, n_rows, compare_with_others, k, err);
        if (st == SER_OK && !ser_progress_report(progress, "copies", k->at + n_rows, n))
            st = ser_fail(err, SER_E_CANCELLED, "interrupted");
    }
    return st;
}

/* What the threads found, in one. */
static void gather(ser_leaks *out, const comparison *k, int n_threads)
{
    const size_t n = k->corpus->n_utterances, n_folds = k->folds->n_folds;
    for (int t = 1; t < n_threads; t++) {
        for (size_t u = 0; u < n; u++)
            k->flags[u] |= k->flags[(size_t)t * n + u];
        for (size_t f = 0; f < n_folds; f++)
            if (k->first[(size_t)t * n_folds + f].later)
                note_copy(&k->first[f], k->first[(size_t)t * n_folds + f]);
    }
    for (size_t u = 0; u < n; u++) {
        out->duplicates[k->folds->test_fold[u]] += (k->flags[u] & HAS_COPY) != 0;
        out->takes[k->folds->test_fold[u]] += (k->flags[u] & HAS_TAKE) != 0;
    }
    for (size_t f = 0; f < n_folds; f++) {
        copied c = k->first[f];
        size_t tested = c.later_is_tested ? c.later : c.earlier,
               other = c.later_is_tested ? c.earlier : c.later;
        if (c.later)
            snprintf(out->examples[f], sizeof *out->examples, "%.120s is %.120s",
                     k->corpus->utterances[tested].file, k->corpus->utterances[other].file);
    }
}

static ser_status reserve(ser_leaks *l, size_t n_folds, ser_error *err)
{
    *l = (ser_leaks){.n_folds = n_folds};
    l->speakers = ser_alloc(n_folds, sizeof *l->speakers);
    l->texts = ser_alloc(n_folds, sizeof *l->texts);
    l->duplicates = ser_alloc(n_folds, sizeof *l->duplicates);
    l->takes = ser_alloc(n_folds, sizeof *l->takes);
    l->examples = ser_alloc(n_folds, sizeof *l->examples);
    if (l->speakers && l->texts && l->duplicates && l->takes && l->examples)
        return SER_OK;
    ser_leaks_release(l);
    return ser_fail_nomem(err);
}

ser_status ser_leaks_unknown(ser_leaks *out, size_t n_folds, ser_error *err)
{
    ser_status st = reserve(out, n_folds, err);
    for (size_t f = 0; st == SER_OK && f < n_folds; f++)
        out->speakers[f] = out->texts[f] = out->takes[f] = -1;
    return st;
}

ser_status ser_leaks_find(ser_leaks *out, const ser_corpus *c, const ser_folds *f,
                          ser_fingerprint *const *fingerprints, int n_threads, const ser_progress *progress,
                          ser_error *err)
{
    if (n_threads < 1)
        n_threads = ser_n_cores();
    comparison k = {.corpus = c,
                    .folds = f,
                    .fingerprints = fingerprints,
                    .flags = ser_alloc((size_t)n_threads * c->n_utterances, 1),
                    .first = ser_alloc((size_t)n_threads * f->n_folds, sizeof *k.first)};
    ser_status st = reserve(out, f->n_folds, err);
    if (st == SER_OK && (!k.flags || !k.first))
        st = ser_fail_nomem(err);
    if (st == SER_OK)
        st = count_shared(out->speakers, c, f, offsetof(ser_utterance, speaker), c->n_speakers, err);
    if (st == SER_OK)
        st = count_shared(out->texts, c, f, offsetof(ser_utterance, text), c->n_texts, err);
    if (st == SER_OK)
        st = compare_all(&k, n_threads, progress, err);
    if (st == SER_OK)
        gather(out, &k, n_threads);
    if (st == SER_OK)
        mark_unknown(out, c);
    ser_free(k.flags);
    ser_free(k.first);
    if (st != SER_OK)
        ser_leaks_release(out);
    return st;
}

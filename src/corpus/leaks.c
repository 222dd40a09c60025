#include "corpus/leaks.h"
#include "base/memory.h"

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

static void note_copy(ser_leaks *out, const ser_folds *f, const ser_corpus *c, size_t tested, size_t trained)
{
    char *example = out->examples[f->test_fold[tested]];
    if (!*example)
        snprintf(example, sizeof *out->examples, "%.120s is %.120s", c->utterances[tested].file,
                 c->utterances[trained].file);
}

static void compare_with_others(unsigned char *flags, ser_leaks *out, const ser_corpus *c, const ser_folds *f,
                                ser_fingerprint *const *fingerprints, size_t u)
{
    for (size_t v = 0; v < u; v++) {
        if (f->test_fold[u] == f->test_fold[v])
            continue;
        int found = is_take(&c->utterances[u], &c->utterances[v]) ? HAS_TAKE : 0;
        if (fingerprints[u] && fingerprints[v] &&
            ser_fingerprint_similarity(fingerprints[u], fingerprints[v]) >= SER_TWIN_SIMILARITY) {
            found |= HAS_COPY;
            /* Each of the two is on the training side when the other is tested. */
            note_copy(out, f, c, u, v);
            note_copy(out, f, c, v, u);
        }
        flags[u] |= (unsigned char)found;
        flags[v] |= (unsigned char)found;
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
                          ser_fingerprint *const *fingerprints, ser_error *err)
{
    unsigned char *flags = ser_alloc(c->n_utterances, 1);
    ser_status st = reserve(out, f->n_folds, err);
    if (st == SER_OK && !flags)
        st = ser_fail_nomem(err);
    if (st == SER_OK)
        st = count_shared(out->speakers, c, f, offsetof(ser_utterance, speaker), c->n_speakers, err);
    if (st == SER_OK)
        st = count_shared(out->texts, c, f, offsetof(ser_utterance, text), c->n_texts, err);
    for (size_t u = 0; u < c->n_utterances && st == SER_OK; u++)
        compare_with_others(flags, out, c, f, fingerprints, u);
    for (size_t u = 0; u < c->n_utterances && st == SER_OK; u++) {
        out->duplicates[f->test_fold[u]] += (flags[u] & HAS_COPY) != 0;
        out->takes[f->test_fold[u]] += (flags[u] & HAS_TAKE) != 0;
    }
    if (st == SER_OK)
        mark_unknown(out, c);
    ser_free(flags);
    if (st != SER_OK)
        ser_leaks_release(out);
    return st;
}

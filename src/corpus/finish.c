/* From the rows of a draft to a corpus. */
#include "base/memory.h"
#include "corpus/draft.h"
#include "io/file.h"

#include <stdlib.h>
#include <string.h>

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The different strings among values (n; NULLs are left out), in alphabetical order. */
static ser_status list_different(char ***out, size_t *n_out, char *const *values, size_t n, ser_error *err)
{
    char **list = ser_alloc(n, sizeof *list);
    if (!list)
        return ser_fail_nomem(err);
    size_t n_values = 0, n_different = 0;
    for (size_t i = 0; i < n; i++)
        if (values[i])
            list[n_values++] = values[i];
    if (n_values)
        qsort(list, n_values, sizeof *list, compare_strings);
    for (size_t i = 0; i < n_values; i++)
        if (!n_different || strcmp(list[i], list[n_different - 1]) != 0)
            list[n_different++] = list[i];
    *out = list;
    for (*n_out = 0; *n_out < n_different; ++*n_out)
        if (!(list[*n_out] = ser_strdup(list[*n_out])))
            return ser_fail_nomem(err);
    return SER_OK;
}

/* The lists of different labels, speakers and texts. */
static ser_status make_lists(ser_corpus *c, const ser_draft *d, ser_error *err)
{
    size_t n = d->n_rows;
    char **values = ser_alloc(n, sizeof *values);
    if (!values)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < n; i++)
        values[i] = d->rows[i].label;
    ser_status st = list_different(&c->labels, &c->n_labels, values, n, err);
    for (size_t i = 0; i < n; i++)
        values[i] = d->rows[i].speaker;
    if (st == SER_OK)
        st = list_different(&c->speakers, &c->n_speakers, values, n, err);
    for (size_t i = 0; i < n; i++)
        values[i] = d->rows[i].text;
    if (st == SER_OK)
        st = list_different(&c->texts, &c->n_texts, values, n, err);
    ser_free(values);
    return st;
}

static int index_of(const char *value, char **list, size_t n)
{
    if (!value)
        return -1;
    char **found = bsearch(&value, list, n, sizeof *list, compare_strings);
    return (int)(found - list);
}

static ser_status check_labels(const ser_corpus *c, size_t n_rows, bool is_target, ser_error *err)
{
    if (c->n_labels < 2 && !is_target)
        return ser_fail(err, SER_E_FORMAT,
                        "all of its %zu recordings are '%s': at least two emotions are needed", n_rows,
                        c->labels[0]);
    if (c->n_labels > SER_MAX_LABELS)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "it has %zu different emotions, such as '%s' and '%s': merge them to at most %d",
                        c->n_labels, c->labels[0], c->labels[1], SER_MAX_LABELS);
    return SER_OK;
}

/* ---- parts ---- */

/* The name in front of the first '/', if it is one of those that the corpus's name joins with '+'. */
static size_t joined_prefix(const char *corpus, const char *name)
{
    const char *slash = strchr(name, '/');
    size_t n = slash ? (size_t)(slash - name) : 0;
    for (const char *at = corpus; n && *at; at++)
        if ((at == corpus || at[-1] == '+') && strncmp(at, name, n) == 0 && (!at[n] || at[n] == '+'))
            return n;
    return 0;
}

static ser_status part_of_row(ser_draft *d, ser_draft_row *r, const char *corpus, ser_error *err)
{
    size_t n = strchr(corpus, '+') ? joined_prefix(corpus, r->name) : 0, p = 0;
    const char *name = n ? r->name : corpus;
    n = n ? n : strlen(corpus);
    while (p < d->n_parts && (strncmp(d->parts[p].name, name, n) != 0 || d->parts[p].name[n]))
        p++;
    r->part = (int)p;
    if (p < d->n_parts)
        return SER_OK;
    char *copy = ser_strndup(name, n);
    ser_status st = copy ? ser_draft_begin_part(d, copy, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        d->parts[p].known = ser_known_corpus_find(copy);
    ser_free(copy);
    return st;
}

static ser_status find_parts(ser_draft *d, const char *corpus, ser_error *err)
{
    ser_status st = SER_OK;
    bool begun = d->n_parts > 0;
    for (size_t i = 0; i < d->n_rows && !begun && st == SER_OK; i++)
        st = part_of_row(d, &d->rows[i], corpus, err);
    return st;
}

static ser_status make_parts(ser_corpus *c, ser_draft *d, ser_error *err)
{
    if (!(c->parts = ser_alloc(d->n_parts, sizeof *c->parts)))
        return ser_fail_nomem(err);
    c->n_parts = d->n_parts;
    for (size_t p = 0; p < d->n_parts; p++) {
        const ser_known_corpus *known = d->parts[p].known;
        c->parts[p].name = d->parts[p].name;
        d->parts[p].name = NULL;
        for (size_t e = 0; known && known->emotions[e]; e++)
            for (size_t l = 0; l < c->n_labels; l++)
                if (strcmp(known->emotions[e], c->labels[l]) == 0)
                    c->parts[p].emotions |= UINT64_C(1) << l;
    }
    for (size_t i = 0; i < c->n_utterances; i++)
        if (c->utterances[i].label >= 0)
            c->parts[c->utterances[i].part].emotions |= UINT64_C(1) << c->utterances[i].label;
    return SER_OK;
}

/* What the rows say, else what is known of the corpus's speakers. */
static ser_status make_sexes(ser_corpus *c, const ser_draft *d, ser_error *err)
{
    if (!(c->sexes = ser_alloc(c->n_speakers, sizeof *c->sexes)))
        return ser_fail_nomem(err);
    for (size_t i = 0; i < c->n_utterances; i++) {
        const ser_utterance *u = &c->utterances[i];
        if (u->speaker < 0)
            continue;
        const char *speaker = c->speakers[u->speaker];
        size_t n = d->n_parts > 1 ? strlen(c->parts[u->part].name) : 0;
        if (n && strncmp(speaker, c->parts[u->part].name, n) == 0 && speaker[n] == '/')
            speaker += n + 1;
        const ser_known_corpus *known = d->parts[u->part].known;
        if (d->rows[i].sex != SER_SEX_UNKNOWN)
            c->sexes[u->speaker] = d->rows[i].sex;
        else if (known && c->sexes[u->speaker] == SER_SEX_UNKNOWN)
            c->sexes[u->speaker] = ser_known_sex(known, speaker);
    }
    return SER_OK;
}

/* ---- votes ---- */

/* Votes for emotions that no recording has are left out: no answer could be one of them. */
static ser_status make_votes(ser_corpus *c, ser_draft *d, ser_error *err)
{
    if (!d->n_voted)
        return SER_OK;
    if (!(c->votes = ser_alloc(c->n_utterances, c->n_labels * sizeof *c->votes)))
        return ser_fail_nomem(err);
    ser_status st = SER_OK;
    for (size_t k = 0; k < d->n_voted && st == SER_OK; k++) {
        size_t l = 0;
        double n_left_out = 0;
        while (l < c->n_labels && strcmp(c->labels[l], d->voted[k]) != 0)
            l++;
        for (size_t i = 0; i < c->n_utterances; i++) {
            const float *votes = d->rows[i].votes;
            if (votes && l < c->n_labels)
                c->votes[i * c->n_labels + l] = votes[k];
            else if (votes)
                n_left_out += (double)votes[k];
        }
        if (n_left_out > 0)
            st = ser_draft_warn(d, err, "votes for '%.60s' left out: %g, no recording has this emotion",
                                d->voted[k], n_left_out);
    }
    return st;
}

/* ---- the corpus ---- */

static void take_rows(ser_corpus *c, ser_draft *d)
{
    for (size_t i = 0; i < d->n_rows; i++) {
        ser_draft_row *r = &d->rows[i];
        c->utterances[i] = (ser_utterance){.name = r->name,
                                           .file = r->file,
                                           .path = r->path,
                                           .label = index_of(r->label, c->labels, c->n_labels),
                                           .speaker = index_of(r->speaker, c->speakers, c->n_speakers),
                                           .text = index_of(r->text, c->texts, c->n_texts),
                                           .fold = r->fold,
                                           .part = r->part,
                                           .start_s = r->start_s,
                                           .end_s = r->end_s};
        r->name = r->file = r->path = NULL;
    }
    c->n_utterances = d->n_rows;
}

ser_status ser_draft_finish(ser_corpus **out, ser_draft *d, const char *name, ser_error *err)
{
    *out = NULL;
    if (!d->n_rows)
        return ser_fail(err, SER_E_FORMAT, "it lists no recordings: add some");
    ser_status st = ser_draft_name_rows(d, err);
    if (st == SER_OK)
        st = ser_draft_merge_classes(d, err);
    if (st == SER_OK)
        st = ser_draft_merge_speakers(d, err);
    if (st == SER_OK)
        st = find_parts(d, name, err);
    if (st != SER_OK)
        return st;
    ser_corpus *c = ser_alloc(1, sizeof *c);
    if (!c || !(c->name = ser_strdup(name)) || !(c->utterances = ser_alloc(d->n_rows, sizeof *c->utterances)))
        st = ser_fail_nomem(err);
    if (st == SER_OK)
        st = make_lists(c, d, err);
    if (st == SER_OK)
        st = check_labels(c, d->n_rows, d->is_target, err);
    if (st == SER_OK) {
        take_rows(c, d);
        st = make_parts(c, d, err);
    }
    if (st == SER_OK)
        st = make_sexes(c, d, err);
    if (st == SER_OK)
        st = make_votes(c, d, err);
    if (st != SER_OK) {
        ser_corpus_free(&c);
        return st;
    }
    c->warnings = d->warnings;
    c->n_warnings = d->n_warnings;
    d->warnings = NULL;
    d->n_warnings = d->warnings_capacity = 0;
    *out = c;
    return SER_OK;
}

void ser_corpus_free(ser_corpus **corpus)
{
    ser_corpus *c = *corpus;
    if (!c)
        return;
    for (size_t i = 0; i < c->n_utterances; i++) {
        ser_free(c->utterances[i].name);
        ser_free(c->utterances[i].file);
        ser_free(c->utterances[i].path);
    }
    for (size_t p = 0; p < c->n_parts; p++)
        ser_free(c->parts[p].name);
    ser_free(c->utterances);
    ser_free(c->parts);
    ser_free(c->sexes);
    ser_free(c->votes);
    ser_io_free_list(c->labels, c->n_labels);
    ser_io_free_list(c->speakers, c->n_speakers);
    ser_io_free_list(c->texts, c->n_texts);
    ser_io_free_list(c->warnings, c->n_warnings);
    ser_free(c->name);
    ser_free(c);
    *corpus = NULL;
}

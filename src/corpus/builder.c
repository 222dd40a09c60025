#include "corpus/builder.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/file.h"
#include <stdbool.h>

#include <stdlib.h>
#include <string.h>

/* The index of a name in a list, added where it is new; -1: no memory. */
static int intern(char ***list, size_t *n, size_t *capacity, const char *name)
{
    for (size_t i = *n; i > 0; i--) /* the latest first: files come in runs of one speaker */
        if (strcmp((*list)[i - 1], name) == 0)
            return (int)(i - 1);
    if (!ser_grow(list, capacity, *n + 1, sizeof **list) || !((*list)[*n] = ser_strdup(name)))
        return -1;
    return (int)(*n)++;
}

static int intern_or_unknown(char ***list, size_t *n, size_t *capacity, const char *name, bool *failed)
{
    int i = name ? intern(list, n, capacity, name) : -1;
    *failed = *failed || (name && i < 0);
    return i;
}

/* "a/b.c.flac" -> "b.c" */
static char *base_name(const char *file)
{
    const char *slash = strrchr(file, '/'), *start = slash ? slash + 1 : file, *dot = strrchr(start, '.');
    return ser_strndup(start, dot && dot > start ? (size_t)(dot - start) : strlen(start));
}

ser_status ser_builder_add(ser_corpus *c, const ser_found *found, ser_error *err)
{
    bool failed = false;
    ser_utterance u = {.fold = found->fold, .name = base_name(found->file), .file = ser_strdup(found->file)};
    u.path = ser_io_join(found->root, found->file);
    u.label = intern_or_unknown(&c->labels, &c->n_labels, &c->labels_capacity, found->emotion, &failed);
    u.speaker =
        intern_or_unknown(&c->speakers, &c->n_speakers, &c->speakers_capacity, found->speaker, &failed);
    u.text = intern_or_unknown(&c->texts, &c->n_texts, &c->texts_capacity, found->text, &failed);
    if (failed || !u.name || !u.file || !u.path ||
        !ser_grow(&c->utterances, &c->capacity, c->n_utterances + 1, sizeof *c->utterances)) {
        ser_free(u.name);
        ser_free(u.file);
        ser_free(u.path);
        return ser_fail_nomem(err);
    }
    c->utterances[c->n_utterances++] = u;
    return SER_OK;
}

/* ---- sorting ---- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int compare_utterances(const void *a, const void *b)
{
    const ser_utterance *x = a, *y = b;
    int by_name = strcmp(x->name, y->name);
    return by_name ? by_name : strcmp(x->file, y->file);
}

/* Sorts a list and gives every utterance's index into it (at this offset in ser_utterance) its new value. */
static ser_status sort_list(ser_corpus *c, char **list, size_t n, size_t offset, ser_error *err)
{
    char **sorted = ser_alloc(n, sizeof *sorted);
    int *moved = ser_alloc(n, sizeof *moved);
    ser_status st = sorted && moved ? SER_OK : ser_fail_nomem(err);
    if (st == SER_OK && n) {
        memcpy(sorted, list, n * sizeof *list);
        qsort(sorted, n, sizeof *sorted, compare_names);
        for (size_t old = 0; old < n; old++) {
            char **at = bsearch(&list[old], sorted, n, sizeof *sorted, compare_names);
            moved[old] = (int)(at - sorted);
        }
        for (size_t u = 0; u < c->n_utterances; u++) {
            int *index = (int *)((char *)&c->utterances[u] + offset);
            if (*index >= 0)
                *index = moved[*index];
        }
        memcpy(list, sorted, n * sizeof *list);
    }
    ser_free(sorted);
    ser_free(moved);
    return st;
}

static ser_status check(const ser_corpus *c, ser_error *err)
{
    if (c->n_utterances == 0)
        return ser_fail(err, SER_E_FORMAT,
                        "no recordings with a known emotion in it: see 'ser train --help' for the layouts");
    if (c->n_utterances == 1)
        return ser_fail(err, SER_E_FORMAT, "only one recording in it: at least two are needed");
    if (c->n_labels < 2)
        return ser_fail(err, SER_E_FORMAT, "all its recordings are '%s': at least two emotions are needed",
                        c->labels[0]);
    if (c->n_labels > SER_MAX_LABELS)
        return ser_fail(err, SER_E_UNSUPPORTED, "%zu emotions: at most %d are possible", c->n_labels,
                        SER_MAX_LABELS);
    for (size_t u = 1; u < c->n_utterances; u++)
        if (strcmp(c->utterances[u - 1].name, c->utterances[u].name) == 0)
            return ser_fail(err, SER_E_FORMAT, "two recordings are named '%s' (%.100s, %.100s): rename one",
                            c->utterances[u].name, c->utterances[u - 1].file, c->utterances[u].file);
    return SER_OK;
}

ser_status ser_builder_finish(ser_corpus *c, ser_error *err)
{
    if (c->n_utterances)
        qsort(c->utterances, c->n_utterances, sizeof *c->utterances, compare_utterances);
    ser_status st = sort_list(c, c->labels, c->n_labels, offsetof(ser_utterance, label), err);
    if (st == SER_OK)
        st = sort_list(c, c->speakers, c->n_speakers, offsetof(ser_utterance, speaker), err);
    if (st == SER_OK)
        st = sort_list(c, c->texts, c->n_texts, offsetof(ser_utterance, text), err);
    return st == SER_OK ? check(c, err) : st;
}

/* ---- joining ---- */

static char *prefixed(const char *prefix, const char *name)
{
    ser_text t = {0};
    ser_text_appendf(&t, "%s/%s", prefix, name);
    if (t.failed)
        ser_text_release(&t);
    return t.s;
}

static bool prefix_in_place(char **name, const char *prefix)
{
    char *new = prefixed(prefix, *name);
    if (!new)
        return false;
    ser_free(*name);
    *name = new;
    return true;
}

ser_status ser_builder_join(ser_corpus *c, ser_corpus *from, ser_error *err)
{
    bool ok = true;
    for (size_t i = 0; i < from->n_speakers && ok; i++)
        ok = prefix_in_place(&from->speakers[i], from->name);
    for (size_t i = 0; i < from->n_texts && ok; i++)
        ok = prefix_in_place(&from->texts[i], from->name);
    for (size_t i = 0; i < from->n_utterances && ok; i++) {
        ser_utterance *u = &from->utterances[i];
        bool failed = false;
        ok = prefix_in_place(&u->name, from->name) && prefix_in_place(&u->file, from->name) &&
             ser_grow(&c->utterances, &c->capacity, c->n_utterances + 1, sizeof *c->utterances);
        if (!ok)
            break;
        ser_utterance moved = *u;
        moved.label =
            intern_or_unknown(&c->labels, &c->n_labels, &c->labels_capacity, from->labels[u->label], &failed);
        moved.speaker = intern_or_unknown(&c->speakers, &c->n_speakers, &c->speakers_capacity,
                                          u->speaker < 0 ? NULL : from->speakers[u->speaker], &failed);
        moved.text = intern_or_unknown(&c->texts, &c->n_texts, &c->texts_capacity,
                                       u->text < 0 ? NULL : from->texts[u->text], &failed);
        ok = !failed;
        if (ok) {
            c->utterances[c->n_utterances++] = moved;
            u->name = u->file = u->path = NULL; /* they belong to c now */
        }
    }
    return ok ? SER_OK : ser_fail_nomem(err);
}

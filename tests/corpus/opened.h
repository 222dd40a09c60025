/* What tests ask of an opened corpus. */
#ifndef SER_TESTS_CORPUS_OPENED_H
#define SER_TESTS_CORPUS_OPENED_H

#include "corpus/corpus.h"
#include "tree.h"

static ser_error err;

static inline const ser_utterance *find(const ser_corpus *c, const char *name)
{
    for (size_t i = 0; c && i < c->n_utterances; i++)
        if (strcmp(c->utterances[i].name, name) == 0)
            return &c->utterances[i];
    return NULL;
}

/* The utterance has this label, speaker, text ("-": unknown) and file, and its path leads to that file. */
static inline bool says(const ser_corpus *c, const char *name, const char *label, const char *speaker,
                        const char *text, const char *file)
{
    const ser_utterance *u = find(c, name);
    if (!u)
        return false;
    const char *its_speaker = u->speaker < 0 ? "-" : c->speakers[u->speaker];
    const char *its_text = u->text < 0 ? "-" : c->texts[u->text];
    bool ok = strcmp(c->labels[u->label], label) == 0 && strcmp(its_speaker, speaker) == 0 &&
              strcmp(its_text, text) == 0 && strcmp(u->file, file) == 0 && access(u->path, R_OK) == 0;
    if (!ok)
        fprintf(stderr, "%s: %s %s %s %s %s\n", name, c->labels[u->label], its_speaker, its_text, u->file,
                u->path);
    return ok;
}

static inline bool warns(const ser_corpus *c, const char *words)
{
    for (size_t i = 0; c && i < c->n_warnings; i++)
        if (strstr(c->warnings[i], words))
            return true;
    return false;
}

static inline ser_corpus *open_corpus(const char *spec, const char *data_dir)
{
    ser_corpus *c;
    CHECK_OK(ser_corpus_open(&c, spec, data_dir, &err), &err);
    return c;
}

/* A whole specification that must fail; nothing may come out. */
static inline void check_fails(const char *spec, const char *data_dir, ser_status expected, const char *words)
{
    ser_corpus *c = (ser_corpus *)&c;
    CHECK_FAILS(ser_corpus_open(&c, spec, data_dir, &err), expected, &err, words);
    CHECK(!c);
    ser_corpus_free(&c);
}

#endif

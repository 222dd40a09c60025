/* Corpora that are known by name. Each is one file, which says how its publisher names recordings, where they
 * come from, and what it is to other corpora; and one row here. */
#ifndef SER_CORPUS_KNOWN_H
#define SER_CORPUS_KNOWN_H

#include "base/text.h"
#include "corpus/corpus.h"
#include <stdbool.h>

#define SER_KNOWN_CORPORA(ROW)                                                                               \
    ROW(EMODB, emodb)                                                                                        \
    ROW(RAVDESS, ravdess)                                                                                    \
    ROW(CREMAD, cremad)                                                                                      \
    ROW(NEMO, nemo)

/* "EMODB, ..., " for messages that go on with what else a corpus can be. */
#define SER_KNOWN_NAME_(name, file) #name ", "
#define SER_KNOWN_NAMES             SER_KNOWN_CORPORA(SER_KNOWN_NAME_)
/* "EMODB|...|" where they are offered. */
#define SER_KNOWN_WORD_(name, file) #name "|"
#define SER_KNOWN_WORDS             SER_KNOWN_CORPORA(SER_KNOWN_WORD_)

enum { SER_MAX_KNOWN_EMOTIONS = 9, SER_MAX_KNOWN_MAPPINGS = 2 };

/* What a recording's name says. */
typedef struct ser_name_facts {
    const char *emotion;
    char speaker[8], text[8];
    bool other_kind; /* not speech: see ser_known_corpus */
} ser_name_facts;

/* Where a publisher keeps a corpus. archive NULL: at no address that is known to last, so that where tells a
 * person how to get it. */
typedef struct ser_known_origin {
    const char *host, *archive;
    const char *record, *key; /* where size and hash are stated, and of which file; NULL: nowhere */
    const char *terms, *where;
} ser_known_origin;

/* A built-in table of ser_mapping, as CSV. */
typedef struct ser_known_mapping {
    const char *source, *target, *table;
} ser_known_mapping;

typedef struct ser_known_corpus {
    const char *name, *folder;  /* "EMODB"; "emodb", as its folder may be called besides */
    const char *publisher_name; /* as people write it: "EMO-DB" */
    const char *example;        /* of a recording's name */
    const char *other_kind;     /* what ser_name_facts.other_kind marks, in the plural, or NULL */
    const char *emotions[SER_MAX_KNOWN_EMOTIONS + 1]; /* that its speakers were asked for */
    bool (*parse)(ser_name_facts *f,
                  const char *name); /* a base name without extension; false: not one of its */
    const char *sound_folder; /* that the publisher puts recordings into, where not into the root; each #
                                 stands for a digit */
    const char *men, *women;  /* speakers, with blanks between them */
    const char *votes;        /* the table of votes beside the recordings, or NULL: votes.csv */
    const char *misnamed[2];  /* a recording, and what that table calls it; or NULLs */
    const char *counterpart;  /* the usual other corpus of a pair; of one of the two it is enough to say so */
    ser_known_mapping mappings[SER_MAX_KNOWN_MAPPINGS];
    ser_known_origin origin;
} ser_known_corpus;

/* In the order of the table; NULL behind the last. */
const ser_known_corpus *ser_known_corpus_at(size_t i);
/* In any case; NULL: none is called so. */
const ser_known_corpus *ser_known_corpus_find(const char *name);
/* The one that somebody may have meant who wrote this name; NULL: none. */
const ser_known_corpus *ser_known_corpus_near(const char *name);
/* What to do to have it: "fetch it with: ser pull ..." as it can be typed, or where a person gets it.
 * data_dir: as it was given; NULL: it was not. */
void ser_known_append_fetch(ser_text *t, const ser_known_corpus *c, const char *data_dir);
/* The usual other corpus of a pair, or NULL. */
const char *ser_known_counterpart(const char *name);
/* The built-in table for two corpora, or NULL. */
const ser_known_mapping *ser_known_mapping_find(const char *source, const char *target);

#define SER_KNOWN_DECLARE_(name, file) extern const ser_known_corpus ser_corpus_##file;
SER_KNOWN_CORPORA(SER_KNOWN_DECLARE_)
#undef SER_KNOWN_DECLARE_

/* What a recording's path says by its base name; false: it is none of the corpus's. */
bool ser_known_parse(const ser_known_corpus *c, ser_name_facts *f, const char *file);
/* Whether a path, relative to a corpus's folder, lies in one of the publisher's folders, perhaps further
 * down. */
bool ser_known_lies_as_published(const ser_known_corpus *c, const char *file);

ser_sex ser_known_sex(const ser_known_corpus *c, const char *speaker);

/* Of names with numbers in them: s begins with n digits. */
bool ser_known_digits(const char *s, int n);

#endif

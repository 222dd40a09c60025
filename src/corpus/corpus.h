/* Corpora: who says what how, and where the recording lies. Labels come from the publishers' file names,
 * folder names or a CSV. No audio is decoded here. */
#ifndef SER_CORPUS_CORPUS_H
#define SER_CORPUS_CORPUS_H

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ser_sex { SER_SEX_UNKNOWN, SER_SEX_FEMALE, SER_SEX_MALE } ser_sex;

typedef struct ser_utterance {
    char *name;  /* base name without extension, or path, where others have that (docs/corpora.md); "CORPUS/"
                    in front where corpora are joined */
    char *file;  /* relative to the corpus's root, with '/'; prefixed likewise */
    char *path;  /* to open it */
    int label;   /* index into labels; -1: unknown, which ser_corpus_open_target alone lets pass */
    int speaker; /* index into speakers; -1: unknown */
    int text;    /* index into texts; -1: unknown */
    int fold;    /* of the CSV corpus's own fold column, else -1 */
    int part;    /* index into parts: which of the corpora joined */
    double start_s, end_s; /* the stretch of the file that is the recording; end_s 0: to its end */
} ser_utterance;

/* One of the corpora joined, or the corpus itself. */
typedef struct ser_corpus_part {
    char *name; /* "EMODB" */
    /* Bit l: labels[l] is an emotion that it could have said: one that a known corpus asked its speakers for,
     * or that one of its recordings has. */
    uint64_t emotions;
} ser_corpus_part;

typedef struct ser_corpus {
    char *name;                /* "EMODB", "EMODB+mine", the folder's or CSV's base name */
    ser_utterance *utterances; /* sorted by name; no name twice */
    size_t n_utterances;
    char **labels; /* alphabetical; 2 ... SER_MAX_LABELS, of a target 0 ... SER_MAX_LABELS */
    size_t n_labels;
    /* Alphabetical; prefixed "CORPUS/" where corpora are joined. Of EMO-DB "03", "a01". */
    char **speakers, **texts;
    size_t n_speakers, n_texts;
    ser_sex *sexes; /* of the speakers */
    ser_corpus_part *parts;
    size_t n_parts;
    /* (n_utterances, n_labels): how many listeners heard which emotion, or what share of them; all 0 where
     * nobody was asked. NULL: of no recording. */
    float *votes;
    char **warnings; /* one line each: recordings that were left out, and why */
    size_t n_warnings;
} ser_corpus;

/* spec: a known corpus (EMODB, ...: corpus/known.h), a folder, a CSV file, or several joined with '+' (a path
 * that itself contains '+' is taken whole where it exists). data_dir: where named corpora lie, or NULL
 * ($SER_DATA_DIR, else data/raw). The error's text begins with the part of spec that it is about. */
ser_status ser_corpus_open(ser_corpus **out, const char *spec, const char *data_dir, ser_error *err);
/* The same for a corpus that models are tested on or adapted to: emotions may be missing (an empty field or
 * no column "emotion" in a CSV, recordings in no subfolder), and one emotion or none is enough. */
ser_status ser_corpus_open_target(ser_corpus **out, const char *spec, const char *data_dir, ser_error *err);
void ser_corpus_free(ser_corpus **c);
/* Of its name and of what it says of each recording: whoever has the same has found the same. */
void ser_corpus_hash(char hex[65], const ser_corpus *c);

/* Whether the speaker of every recording is known. */
static inline bool ser_corpus_has_speakers(const ser_corpus *c)
{
    for (size_t u = 0; u < c->n_utterances; u++)
        if (c->utterances[u].speaker < 0)
            return false;
    return true;
}

/* What the corpus of a specification is called, whether it can be opened or not; free with ser_free. */
ser_status ser_corpus_name(char **out, const char *spec, ser_error *err);

/* The project's name for an emotion ("Anger" -> "angry"), or NULL when the spelling is not a known one. Upper
 * and lower case are the same, and so are '_', '-' and blanks; blanks around it do not count. */
const char *ser_emotion_from_spelling(const char *spelling);
/* Whether two labels differ at most in case and in blanks. */
bool ser_emotion_same_class(const char *a, const char *b);

#endif

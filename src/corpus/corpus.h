/* Corpora: who says what how, and where the recording lies. Labels come from the publishers' file names,
 * folder names or a CSV. No audio is decoded here. */
#ifndef SER_CORPUS_CORPUS_H
#define SER_CORPUS_CORPUS_H

#include "base/status.h"
#include <stddef.h>

typedef struct ser_utterance {
    char *name;  /* base name without extension, prefixed "CORPUS/" where corpora are joined */
    char *file;  /* relative to the corpus's root, with '/'; prefixed likewise */
    char *path;  /* to open it */
    int label;   /* index into labels; -1: unknown, which ser_corpus_open_target alone lets pass */
    int speaker; /* index into speakers; -1: unknown */
    int text;    /* index into texts; -1: unknown */
    int fold;    /* of the CSV corpus's own fold column, else -1 */
} ser_utterance;

typedef struct ser_corpus {
    char *name;                /* "EMODB", "EMODB+RAVDESS", the folder's or CSV's base name */
    ser_utterance *utterances; /* sorted by name; no name twice */
    size_t n_utterances;
    char **labels; /* alphabetical; 2 ... SER_MAX_LABELS, of a target 0 ... SER_MAX_LABELS */
    size_t n_labels;
    /* Alphabetical; prefixed "CORPUS/" where corpora are joined. EMO-DB: "03", "a01"; RAVDESS: "01" (the
     * actor), "02" (the statement). */
    char **speakers, **texts;
    size_t n_speakers, n_texts;
    char **warnings; /* one line each: recordings that were left out, and why */
    size_t n_warnings;
} ser_corpus;

/* spec: EMODB, RAVDESS, a folder, a CSV file, or several joined with '+' (a path that itself contains '+' is
 * taken whole where it exists). data_dir: where named corpora lie, or NULL ($SER_DATA_DIR, else data/raw).
 * The error's text begins with the part of spec that it is about. */
ser_status ser_corpus_open(ser_corpus **out, const char *spec, const char *data_dir, ser_error *err);
/* The same for a corpus that models are tested on or adapted to: emotions may be missing (an empty field or
 * no column "emotion" in a CSV, recordings in no subfolder), and one emotion or none is enough. */
ser_status ser_corpus_open_target(ser_corpus **out, const char *spec, const char *data_dir, ser_error *err);
void ser_corpus_free(ser_corpus **c);
/* What the corpus of a specification is called, whether it can be opened or not; free with ser_free. */
ser_status ser_corpus_name(char **out, const char *spec, ser_error *err);

/* The project's name for an emotion ("Anger" -> "angry"), or NULL when the spelling is not a known one. Upper
 * and lower case are the same, and so are '_', '-' and a blank. */
const char *ser_emotion_from_spelling(const char *spelling);

#endif

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
    int label;   /* index into labels */
    int speaker; /* index into speakers; -1: unknown */
    int text;    /* index into texts; -1: unknown */
    int fold;    /* of the CSV corpus's own fold column, else -1 */
} ser_utterance;

typedef struct ser_corpus {
    char *name;                /* "EMODB", "EMODB+RAVDESS", the folder's or CSV's base name */
    ser_utterance *utterances; /* sorted by name */
    size_t n_utterances, capacity;
    char **labels; /* alphabetical */
    size_t n_labels, labels_capacity;
    char **speakers, **texts; /* alphabetical */
    size_t n_speakers, speakers_capacity, n_texts, texts_capacity;
    char warning[512]; /* empty, or what was left out of it and why */
} ser_corpus;

/* spec: EMODB, RAVDESS, a folder, a CSV file, or several joined with '+'. data_dir: where named corpora lie,
 * or NULL
 * ($SER_DATA_DIR, else data/raw). */
ser_status ser_corpus_open(ser_corpus **out, const char *spec, const char *data_dir, ser_error *err);
void ser_corpus_free(ser_corpus **c);

/* The project's name for an emotion ("anger" -> "angry"), or NULL when the spelling is not a known one. */
const char *ser_emotion_from_spelling(const char *spelling);

#endif

/* index.json: what a feature tree's folder holds, and what it was made of. */
#ifndef SER_DATA_INDEX_H
#define SER_DATA_INDEX_H

#include "corpus/corpus.h"
#include "io/json.h"
#include <stdbool.h>

typedef struct ser_tree_recording {
    char *utterance; /* as the corpus names it; its files are called so */
    char *file, *label;
    char *speaker, *text; /* NULL: unknown */
    int fold;             /* -1: none */
    size_t n_frames, n_samples;
    char sha256[65];      /* of the decoded 16 kHz mono float32 samples */
    char file_sha256[65]; /* of the recording's file */
} ser_tree_recording;

typedef struct ser_tree_index {
    char *corpus;
    json_t *parameters; /* an object */
    size_t dims;
    bool complete;                  /* false: written when the work began, and lists nothing */
    ser_tree_recording *recordings; /* sorted by utterance, none twice */
    size_t n_recordings;
} ser_tree_index;

/* SER_E_FORMAT says what is wrong; parse: the text of the file. */
ser_status ser_tree_index_parse(ser_tree_index *out, const void *text, size_t n, ser_error *err);
ser_status ser_tree_index_read(ser_tree_index *out, const char *path, ser_error *err);
ser_status ser_tree_index_write(const ser_tree_index *index, const char *path, ser_error *err);
void ser_tree_index_release(ser_tree_index *index);

/* A relative path below its folder and nothing else, because files are opened by it. */
bool ser_tree_is_safe_name(const char *name);
/* NULL: it is not listed. */
const ser_tree_recording *ser_tree_index_find(const ser_tree_index *index, const char *utterance);
/* Strings are copied; what is no string of the corpus stays as it is. */
ser_status ser_tree_recording_describe(ser_tree_recording *r, const ser_corpus *corpus, size_t utterance,
                                       ser_error *err);
/* A corpus without recordings to open: paths lead nowhere. */
ser_status ser_tree_index_corpus(ser_corpus **out, const ser_tree_index *index, ser_error *err);

#endif

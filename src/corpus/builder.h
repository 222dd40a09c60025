/* How loaders fill a corpus: recordings in any order, labels, speakers and texts by name. */
#ifndef SER_CORPUS_BUILDER_H
#define SER_CORPUS_BUILDER_H

#include "corpus/corpus.h"

/* One recording as a loader sees it; nothing is owned. */
typedef struct ser_found {
    const char *root, *file;    /* root/file is the recording; file stands in reports */
    const char *emotion;        /* the label's name */
    const char *speaker, *text; /* NULL: unknown */
    int fold;                   /* -1: none */
} ser_found;

ser_status ser_builder_add(ser_corpus *c, const ser_found *found, ser_error *err);

/* Sorts utterances, labels, speakers and texts, and checks what every corpus must be: at least two recordings
 * of at least two emotions, no two of one name. */
ser_status ser_builder_finish(ser_corpus *c, ser_error *err);

/* Moves from's utterances into c, with names, files, speakers and texts prefixed by its name. */
ser_status ser_builder_join(ser_corpus *c, ser_corpus *from, ser_error *err);

#endif

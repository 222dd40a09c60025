/* Which emotions of one corpus count as which of another: what the answers of a model that was trained on a
 * source are worth on a target. Tables are data: CSV with the columns emotion,counts_as, a pair in each row,
 * an emotion in as many rows as it has images. */
#ifndef SER_CORPUS_MAPPING_H
#define SER_CORPUS_MAPPING_H

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>

/* The emotions of a corpus, or of a model that was trained on it. Borrowed. */
typedef struct ser_emotion_list {
    const char *corpus;  /* its name: "EMODB" */
    char *const *labels; /* different ones, alphabetical */
    size_t n;            /* 0: the corpus is not labelled */
} ser_emotion_list;

/* A zeroed struct is empty. */
typedef struct ser_mapping {
    char *name;            /* "one-other" for a built-in one, the path of the user's own, "shared emotions" */
    char *source, *target; /* the corpora's names */
    char **source_labels, **target_labels;
    size_t n_source, n_target;
    bool *counts; /* (n_source, n_target): an answer with this emotion is right where that is the truth */
    int *shared_source, *shared_target; /* (n_shared): labels of the emotions that both have, alphabetical */
    size_t n_shared;
} ser_mapping;

/* path: the user's own table; NULL: the one built in for the two, by the corpora's names (corpus/known.h),
 * else the emotions that both have, each counting as itself. Emotions are matched in all their usual
 * spellings. SER_E_IO, SER_E_FORMAT: the file, whose path begins the text; among them an emotion that neither
 * has, a row that stands twice, emotions that map in circles. SER_E_FORMAT also where the target is labelled
 * and no pair is left. */
ser_status ser_mapping_new(ser_mapping *out, const char *path, const ser_emotion_list *source,
                           const ser_emotion_list *target, ser_error *err);
/* The same from a table's bytes. */
ser_status ser_mapping_read_memory(ser_mapping *out, const char *bytes, size_t n_bytes,
                                   const ser_emotion_list *source, const ser_emotion_list *target,
                                   ser_error *err);
void ser_mapping_release(ser_mapping *m);

static inline bool ser_mapping_counts(const ser_mapping *m, size_t source_label, size_t target_label)
{
    return m->counts[source_label * m->n_target + target_label];
}

/* Whether some emotion of the source counts as it: recordings of others are excluded. */
bool ser_mapping_reaches(const ser_mapping *m, size_t target_label);

#endif

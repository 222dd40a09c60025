/* Filling a feature tree: what 'ser extract' does for one corpus and one feature type. */
#ifndef SER_DATA_FILL_H
#define SER_DATA_FILL_H

#include "base/progress.h"
#include "corpus/corpus.h"
#include "data/parameters.h"
#include "extract/extract.h"

/* What was done. */
typedef struct ser_tree_filled {
    char *folder;
    size_t n, dims;
    size_t n_computed; /* recordings that were not there */
    size_t n_failed;
    char **failures, **warnings; /* (n): NULL, or a line that begins with the recording's path */
} ser_tree_filled;

typedef struct ser_tree_fill_settings {
    const char *features_dir;
    bool overwrite;  /* replace what is there */
    bool only_check; /* whether the folder may be filled: nothing is changed */
    int n_threads;   /* 0: all cores; one recording each */
    ser_progress progress;
    /* Trees of the extractor's parts, in its order, filled from the same corpus: frames are joined from them
     * instead of computed. NULL: they are computed. */
    const ser_tree_filled *parts;
} ser_tree_fill_settings;

/* Recordings that are there, whole and made of the same file with the same parameters, are left as they are,
 * so that an interrupted run goes on where it was. Every file is written whole or not at all, the index last.
 * Recordings that cannot be read are noted in out and the others done; then the index stays unfinished.
 * SER_E_UNSUPPORTED: the folder holds something else; SER_E_CANCELLED: interrupted. out is to be released in
 * any case. recipe->spec is e's. */
ser_status ser_tree_fill(ser_tree_filled *out, const ser_corpus *corpus, const ser_extractor *e,
                         const ser_tree_recipe *recipe, const ser_tree_fill_settings *settings,
                         ser_error *err);
void ser_tree_filled_release(ser_tree_filled *filled);

#endif

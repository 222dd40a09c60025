/* Filling feature trees: what 'ser extract' does for one corpus. */
#ifndef SER_DATA_FILL_H
#define SER_DATA_FILL_H

#include "base/team.h"
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

/* What a tree is filled with. */
typedef struct ser_tree_content {
    const ser_extractor *extractor;
    const ser_tree_recipe *recipe; /* of the extractor's specification */
    /* Frames are joined from those of the contents before it, which are its parts in their order, instead of
     * computed. */
    bool joined;
} ser_tree_content;

typedef struct ser_tree_fill_settings {
    const char *features_dir;
    bool overwrite; /* replace what is there */
    int n_threads;  /* 0: all cores; one file each */
    ser_progress progress;
    const ser_team
        *team; /* whose ranks share the recordings; rank 0 alone has all of *out. NULL: no others */
    const ser_watch *watch; /* or NULL */
} ser_tree_fill_settings;

/* Fills n trees in one go: each recording is read, hashed and decoded once at most. Nothing is changed where
 * one of the folders may not be filled.
 *
 * Recordings that are there, whole and made of the same file with the same parameters, are left as they are,
 * so that an interrupted run goes on where it was. Every file is written whole or not at all, the index last.
 * Recordings that cannot be read are noted in out and the others done; then the index stays unfinished.
 * SER_E_UNSUPPORTED: the folder holds something else; SER_E_CANCELLED: interrupted. out (n) is to be released
 * in any case. */
ser_status ser_trees_fill(ser_tree_filled *out, const ser_tree_content *contents, size_t n,
                          const ser_corpus *corpus, const ser_tree_fill_settings *settings, ser_error *err);
void ser_tree_filled_release(ser_tree_filled *filled);

#endif

/* A feature tree that others read from: FEATURES/TYPE/CORPUS_TYPE/ with an .npy of each recording, an
 * index.json, and a folder index/ with what leaks and statistics are computed from. */
#ifndef SER_DATA_TREE_H
#define SER_DATA_TREE_H

#include "data/entry.h"
#include "data/index.h"
#include "data/parameters.h"

typedef struct ser_tree {
    char *folder;
    ser_tree_index index;
    const ser_extractor *extractor; /* what is asked for; borrowed */
    size_t *offset; /* where each of its blocks lies in the tree's frames, which may hold more layers */
} ser_tree;

/* The tree of a corpus with the parameters asked for, or *out NULL: reason then says why, with status
 * SER_E_IO where there is none at all. Failures: its index is damaged. Texts begin with a path. recipe->spec
 * is e's. */
ser_status ser_tree_open(ser_tree **out, ser_error *reason, const char *features_dir, const char *corpus,
                         const ser_extractor *e, const ser_tree_recipe *recipe, ser_error *err);
void ser_tree_close(ser_tree **tree);

/* The frames and facts of a listed recording, columns as the extractor has them. Release it with
 * ser_tree_entry_release. */
ser_status ser_tree_read(ser_tree_entry *out, const ser_tree *tree, const ser_tree_recording *r,
                         ser_error *err);

#endif

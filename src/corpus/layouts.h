/* The layouts in which corpora come. */
#ifndef SER_CORPUS_LAYOUTS_H
#define SER_CORPUS_LAYOUTS_H

#include "corpus/corpus.h"

/* Each adds the recordings of one layout below root. files are all files below it, relative. n_ignored counts
 * audio files whose names do not follow the scheme. */
typedef struct ser_folder {
    const char *root;
    char **files;
    size_t n_files;
    size_t n_ignored;
} ser_folder;

ser_status ser_layout_emodb(ser_corpus *c, ser_folder *f, ser_error *err);
ser_status ser_layout_ravdess(ser_corpus *c, ser_folder *f, ser_error *err);
ser_status ser_layout_classes(ser_corpus *c, ser_folder *f, ser_error *err); /* one subfolder per emotion */
ser_status ser_layout_csv(ser_corpus *c, const char *path, ser_error *err);

/* By the names of the files. */
typedef ser_status (*ser_layout_fn)(ser_corpus *c, ser_folder *f, ser_error *err);
ser_layout_fn ser_layout_recognise(const ser_folder *f);

#endif

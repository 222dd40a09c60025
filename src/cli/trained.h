/* The models of a run, for testing them: those of its folds, or Keras weights. */
#ifndef SER_CLI_TRAINED_H
#define SER_CLI_TRAINED_H

#include "cli/network_options.h"
#include "model/model_file.h"

typedef struct ser_trained {
    char *name; /* "fold-1" */
    ser_model_data data;
    ser_learned learned; /* its parts, borrowed from data, or owned where they are Keras weights */
    char **heard;        /* first halves of the hashes of what it was trained on, sorted */
    size_t n_heard;
} ser_trained;

typedef struct ser_trained_list {
    ser_trained *items;
    size_t n;
} ser_trained_list;

/* fold-*.safetensors of a folder, in byte order; a run without folds has its model.safetensors alone. */
ser_status ser_trained_open(ser_trained_list *out, const char *folder, ser_error *err);
/* Where there are no such models: all .h5 files below the folder, as networks of the options' shape that read
 * the options' features as they are; n_in and labels are those of w. *out is empty where there are none. */
ser_status ser_trained_open_keras(ser_trained_list *out, const char *folder, const ser_workbench *w,
                                  const ser_network_options *o, const ser_workbench_options *bench,
                                  ser_error *err);
void ser_trained_close(ser_trained_list *list);

bool ser_trained_reads_the_same(const ser_trained *a, const ser_trained *b);
/* The corpus of o with the features that the model reads. */
ser_status ser_trained_workbench(ser_workbench *out, const ser_trained *model, const ser_workbench_options *o,
                                 const ser_progress *progress, ser_error *err);
/* SER_E_FORMAT: the corpus has other emotions. */
ser_status ser_trained_check_labels(const ser_trained *model, const ser_corpus *corpus, ser_error *err);
bool ser_trained_has_heard(const ser_trained *model, const char *sha256);

#endif

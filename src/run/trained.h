/* The models of a run, for testing them: those of its folds, or Keras weights. */
#ifndef SER_RUN_TRAINED_H
#define SER_RUN_TRAINED_H

#include "model/model_file.h"
#include "run/heard.h"
#include "run/learning.h"

typedef struct ser_trained {
    char *name;   /* "fold-1" */
    char *corpus; /* that it was trained on; NULL: not known */
    char *misfit; /* of Keras weights: which layers were not loaded, and why; NULL: none */
    ser_model_data data;
    ser_learned learned; /* its parts, borrowed from data, or owned where they are Keras weights */
    char *path;          /* of the file; NULL: Keras weights */
    char carried[65];    /* sha256 of the encoders that the file carries; empty: none */
    ser_heard heard;     /* what it was trained on, its encoder too where that was tuned */
} ser_trained;

typedef struct ser_trained_list {
    ser_trained *items;
    size_t n;
} ser_trained_list;

/* fold-*.safetensors of a folder, in byte order; a run without folds has its model.safetensors alone. path
 * may also be one model file. *out is empty where there are Keras weights alone; SER_E_IO: neither. */
ser_status ser_trained_open(ser_trained_list *out, const char *path, ser_error *err);
/* Where there are no such models: all .h5 files below the folder, or the one of that path, as networks of
 * this shape (in force) that read the features of w as they are. source NULL: they tell apart what the corpus
 * of w has, and have to fit; else what source has, and layers that do not fit keep random values of w's seed.
 */
ser_status ser_trained_open_keras(ser_trained_list *out, const char *path, const ser_workbench *w,
                                  const ser_corpus *source, const ser_run_network *network, ser_error *err);
void ser_trained_close(ser_trained_list *list);

bool ser_trained_reads_the_same(const ser_trained *a, const ser_trained *b);
/* The corpus of s with the features that the model reads. SER_E_FORMAT: s->data names other features or
 * layers, or another encoder. */
ser_status ser_trained_workbench(ser_workbench *out, const ser_trained *model,
                                 const ser_workbench_settings *s, ser_error *err);
/* SER_E_FORMAT: it tells other emotions apart than these, which are whose. */
ser_status ser_trained_check_labels(const ser_trained *model, char *const *labels, size_t n_labels,
                                    const char *whose, ser_error *err);
/* From now on it reads features standardised by the corpus, or by each of its speakers: with the head for a
 * voice's own baseline where it has one, else without its own mean and deviation. */
ser_status ser_trained_read_standardised(ser_trained *model, const ser_extractor *e, bool by_speaker,
                                         ser_error *err);

#endif

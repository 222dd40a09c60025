/* What the files of tuning share; nobody else includes this. */
#ifndef SER_RUN_TUNING_PARTS_H
#define SER_RUN_TUNING_PARTS_H

#include "corpus/folds.h"
#include "run/tuned.h"
#include "run/tuning.h"

/* What parts that were left out were asked, and what they answered, part by part. */
typedef struct ser_tuning_answers {
    float *logits; /* (n, n_labels): of labels that the training part has; the others' are far below */
    int *label;
    size_t *row;
    double *distance; /* from what its net had learned from: model/unlike.h */
    size_t n, n_labels;
} ser_tuning_answers;

typedef struct ser_tuning {
    const ser_run_train_settings *s;
    const ser_feature_spec *spec;
    const char *folder;
    ser_epochs *epochs;
    ser_corpus *corpus;
    ser_folds *folds;
    ser_tuned tuned;
    ser_tuning_answers all;
} ser_tuning;

/* At most 500 recordings of a fold, spread evenly, whose emotion was heard: into row; how many they are. */
size_t ser_tuning_choose(size_t *row, const ser_tuning *k, int fold, uint64_t heard);

/* k->s, k->spec and k->folder are set; k is released with ser_tuning_close, whatever is returned. */
ser_status ser_tuning_open(ser_tuning *k, const ser_run_features *f, const ser_run_host *host,
                           ser_error *err);
ser_status ser_tuning_open_folds(ser_tuning *k, ser_error *err);
void ser_tuning_close(ser_tuning *k);

/* How far n recordings of a part that was left out, all.row from first on, lie from what the net learned from
 * (model/unlike.h): all.distance. Adds "distance" to the part's figures. */
ser_status ser_tuning_distances(const ser_tuning *k, const ser_tune_net *net, size_t first, size_t n,
                                json_t *part, ser_error *err);
/* Of the net of the model that is made, which has learned from all, with the reach of all.distance. */
ser_status ser_tuning_reach(const ser_tuning *k, const ser_tune_net *net, ser_unlike *out, ser_error *err);
/* The end of an answer's line in left-out.jsonl. */
void ser_tuning_append_distance(ser_text *t, double distance);

#endif

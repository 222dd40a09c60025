/* What a report of figures says, and such a report as one JSON object: what 'ser evaluate --json' writes.
 */
#ifndef SER_RUN_REPORT_JSON_H
#define SER_RUN_REPORT_JSON_H

#include "corpus/leaks.h"
#include "io/json.h"
#include "learn/cross.h"
#include "learn/evaluate.h"
#include "report/escape.h"

typedef struct ser_report_facts {
    const ser_corpus *corpus;
    const ser_folds *folds;
    const ser_store *store;
    const ser_leaks *leaks;
    const ser_evaluation *evaluation;
    const ser_feature_spec *spec;
    const char *protocol, *model_type, *normalize, *precision, *encoder_sha256; /* sha256: may be empty */
    const char *encoder_learned_from; /* the corpora that a tuned encoder knows; NULL: it was not tuned */
    uint64_t seed;
    int jobs;
    json_t *config; /* every option in force; borrowed */
    /* Across corpora, else NULL: corpus is the target, evaluation's scores are of the mapping's source; its
     * figures are not looked at, cross's stand in their place. */
    const ser_cross *cross;
    const ser_mapping *mapping;
} ser_report_facts;

/* *out is the caller's (json_decref). */
ser_status ser_report_json(json_t **out, const ser_report_facts *facts, ser_error *err);

/* Of the lines "utterance TAB sha256 of the samples" and "utterance TAB fold", sorted. */
ser_status ser_report_hashes(char data_sha256[65], char split_sha256[65], const ser_corpus *corpus,
                             const ser_folds *folds, const ser_store *store, ser_error *err);

/* "AMD EPYC 9654 96-Core Processor"; "unknown" where the system does not say. */
void ser_cpu_name(char *name, size_t n);

/* The layers that a fold's candidate uses: ascending positions in spec's list are turned into layer numbers.
 */
json_t *ser_chosen_layers_json(const ser_feature_spec *spec, uint64_t blocks);
/* In the same order, weight (one per block): what each hidden state counts. */
json_t *ser_layer_weights_json(const ser_feature_spec *spec, const float *weight);

#endif

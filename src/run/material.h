/* From an evaluation to the report of a run. */
#ifndef SER_RUN_MATERIAL_H
#define SER_RUN_MATERIAL_H

#include "corpus/leaks.h"
#include "learn/cross.h"
#include "learn/evaluate.h"
#include "report/run_report.h"
#include "run/host.h"

/* What a report of figures is made of. */
typedef struct ser_report_facts {
    const ser_corpus *corpus;
    const ser_folds *folds;
    const ser_store *store;
    const ser_leaks *leaks;
    const ser_evaluation *evaluation;
    const ser_feature_spec *spec;
    const char *protocol, *model_type, *normalize, *precision, *encoder_sha256; /* sha256: may be empty */
    const char *encoder_learned_from; /* the corpora that a tuned encoder knows; NULL: it was not tuned */
    bool starts_from_head;            /* the linear part did, from the one that this encoder learned with */
    uint64_t seed;
    int jobs;
    const json_t *config; /* every option in force */
    /* Across corpora, else NULL: corpus is the target, evaluation's scores are of the mapping's source; its
     * figures are not looked at, cross's stand in their place. */
    const ser_cross *cross;
    const ser_mapping *mapping;
} ser_report_facts;

/* Of each corpus that is left out there may be two notes; those beyond are not told. */
enum { SER_MAX_RUN_NOTES = 512, SER_MAX_RUN_CROSSES = 3 };

/* What ser_run_report borrows. */
typedef struct ser_run_material {
    ser_run_report report;
    ser_run_fold *folds; /* histories are added with ser_run_material_add_history */
    ser_run_choice *choices;
    ser_run_prediction *predictions;
    ser_run_voice *voices; /* of corpora left out, those of a corpus together */
    ser_run_block blocks[SER_MAX_BLOCKS];
    ser_run_note notes[SER_MAX_RUN_NOTES];
    char *texts[SER_MAX_RUN_NOTES]; /* of the notes */
    ser_run_cross crosses[SER_MAX_RUN_CROSSES];
    ser_run_class *classes[SER_MAX_RUN_CROSSES];
    size_t n_crosses;
    const char **shared; /* of the mapping, as the next: all crosses' */
    bool *right;         /* (truths, answers) */
    char title[256], features[128], date[32], cpu[128];
    char data_sha256[65], split_sha256[65];
    ser_text drawn; /* of the report */
} ser_run_material;

/* Before the evaluation: room for the folds, so that their histories can be kept as they are learned. */
ser_status ser_run_material_init(ser_run_material *m, const ser_folds *folds, ser_error *err);
void ser_run_material_release(ser_run_material *m);

/* Of the first network of a fold; what it has to say becomes a note. */
ser_status ser_run_material_add_history(ser_run_material *m, size_t fold, const ser_learned *models,
                                        ser_error *err);
ser_status ser_run_material_add_note(ser_run_material *m, bool serious, const char *text, ser_error *err);

/* Everything else; facts and what they point to are borrowed until m is released. Across corpora the matrix,
 * figures, tables, and notes on what is not scored are those of facts->cross, with several models that of
 * their average. */
ser_status ser_run_material_finish(ser_run_material *m, const ser_report_facts *facts, ser_error *err);

/* Figures across corpora besides those of the facts, by their mapping; after ser_run_material_finish. */
ser_status ser_run_material_add_cross(const ser_run_cross **out, ser_run_material *m,
                                      const ser_mapping *mapping, const ser_cross *c, ser_error *err);
ser_run_left_out ser_run_left_out_of(const ser_evaluation *e);

/* The blocks of a feature specification, in its order; how many there are. */
size_t ser_run_blocks(ser_run_block out[SER_MAX_BLOCKS], const ser_feature_spec *spec);

/* The settings of config that a person wants to see, a line each, to whoever listens. */
void ser_run_tell_settings(const ser_run_host *h, const json_t *config);

/* A row for the average, where there are several models; c is of it. */
void ser_run_material_add_average(ser_run_material *m, const ser_cross *c);

#endif

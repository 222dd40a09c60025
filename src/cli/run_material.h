/* From an evaluation to the report of a run. */
#ifndef SER_CLI_RUN_MATERIAL_H
#define SER_CLI_RUN_MATERIAL_H

#include "cli/workbench.h"
#include "corpus/leaks.h"
#include "protocol/evaluate.h"
#include "report/run_report.h"
#include <jansson.h>

enum { SER_MAX_RUN_NOTES = 16 };

/* What ser_run_report borrows. */
typedef struct ser_run_material {
    ser_run_report report;
    ser_run_fold *folds; /* histories are added with ser_run_material_add_history */
    ser_run_fact *facts;
    ser_run_prediction *predictions;
    ser_run_note notes[SER_MAX_RUN_NOTES];
    char *texts[SER_MAX_RUN_NOTES]; /* of the notes */
    char features[128], date[32];
    size_t n_facts;
} ser_run_material;

/* Before the evaluation: room for the folds, so that their histories can be kept as they are learned. */
ser_status ser_run_material_init(ser_run_material *m, const ser_folds *folds, ser_error *err);
void ser_run_material_release(ser_run_material *m);

/* Of the first network of a fold; what it has to say becomes a note. */
ser_status ser_run_material_add_history(ser_run_material *m, size_t fold, const ser_learned *models,
                                        ser_error *err);
ser_status ser_run_material_add_note(ser_run_material *m, bool serious, const char *text, ser_error *err);

/* Everything else. All arguments are borrowed until m is released; config: every option in force. */
ser_status ser_run_material_finish(ser_run_material *m, const ser_workbench *w, const ser_folds *folds,
                                   const ser_leaks *leaks, const ser_evaluation *e, const char *protocol,
                                   const char *model_type, const json_t *config, ser_error *err);

#endif

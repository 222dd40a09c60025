/* From an evaluation to the report of a run. */
#ifndef SER_RUN_MATERIAL_H
#define SER_RUN_MATERIAL_H

#include "report/run_report.h"
#include "run/host.h"
#include "run/report_json.h"

enum { SER_MAX_RUN_NOTES = 16, SER_MAX_RUN_FIGURES = 8 };

/* What ser_run_report borrows. */
typedef struct ser_run_material {
    ser_run_report report;
    ser_run_fold *folds; /* histories are added with ser_run_material_add_history */
    ser_run_fact *facts;
    ser_run_prediction *predictions;
    ser_run_note notes[SER_MAX_RUN_NOTES];
    char *texts[SER_MAX_RUN_NOTES];              /* of the notes */
    ser_run_figure figures[SER_MAX_RUN_FIGURES]; /* beside the usual ones */
    ser_run_cross cross;                         /* of a run across corpora, with the next four */
    ser_run_class *classes;
    const char **shared;
    bool *right; /* (truths, answers) */
    char title[256];
    char features[128], date[32];
    char **choices; /* (n of the folds): of folds, or NULL */
    ser_text setup;
    ser_text drawn; /* of the report */
    size_t n_facts;
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

/* Percent, beside the usual figures; name and meaning are borrowed. interval NULL: none. */
void ser_run_material_add_figure(ser_run_material *m, const char *name, const char *meaning, double value,
                                 const double interval[2]);

/* The settings of config that a person wants to see, a line each, to whoever listens. */
void ser_run_tell_settings(const ser_run_host *h, const json_t *config);

/* A row for the average, where there are several models; c is of it. */
void ser_run_material_add_average(ser_run_material *m, const ser_cross *c);

#endif

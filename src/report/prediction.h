/* What `ser predict` prints for a recording: JSON lines, CSV rows, or text for people. Each function appends
 * whole lines. File names and labels may be any bytes. */
#ifndef SER_REPORT_PREDICTION_H
#define SER_REPORT_PREDICTION_H

#include "report/text.h"
#include "ser/ser.h"

typedef struct ser_prediction_form {
    size_t n_labels;
    const char *labels[SER_MAX_LABELS];    /* in the order of ser_result.scores: alphabetical */
    double min_confidence[SER_MAX_LABELS]; /* below it that label is "uncertain"; 0: never */
    bool timeline;                         /* with the segments */
    bool explain;                          /* with how the recording sounds, and what to do about it */
    bool bars;                             /* text: a bar for each emotion */
    bool warns;      /* text: a line where the recording sounds bad, which the result must know */
    ser_style style; /* text */
} ser_prediction_form;

/* The labels of a model, which must outlive the form; all else is off. min_confidence < 0: by the model's own
 * rule. Inline, so that who only writes answers needs no model to link. */
static inline ser_prediction_form ser_prediction_form_of(const ser_model *model, double min_confidence)
{
    ser_prediction_form form = {.n_labels = ser_model_n_labels(model)};
    for (size_t i = 0; i < form.n_labels; i++) {
        form.labels[i] = ser_model_label(model, i);
        form.min_confidence[i] = min_confidence < 0 ? ser_model_min_confidence_of(model, i) : min_confidence;
    }
    return form;
}

/* The label, "uncertain", or NULL without one (label < 0). scores: n_labels. */
const char *ser_prediction_label(const ser_prediction_form *form, int label, const float *scores);

/* One object on one line. */
void ser_prediction_json(ser_text *t, const ser_prediction_form *form, const char *file, const ser_result *r);
void ser_prediction_json_error(ser_text *t, const char *file, const char *error);

/* An event of a stream, likewise: event, start, end, for measurements final, then the answer. */
void ser_prediction_event(ser_text *t, const ser_prediction_form *form, const ser_event *e);
/* Its times and its answer, for people. */
void ser_prediction_event_text(ser_text *t, const ser_prediction_form *form, const ser_event *e);

/* file,duration,label,confidence,LABELS...,note,error; with timeline start,end after file, and a row for each
 * segment; with explain how the recording sounds before note. */
void ser_prediction_csv_header(ser_text *t, const ser_prediction_form *form);
void ser_prediction_csv(ser_text *t, const ser_prediction_form *form, const char *file, const ser_result *r);
void ser_prediction_csv_error(ser_text *t, const ser_prediction_form *form, const char *file,
                              const char *error);

/* With explain a line for each thing worth telling about the sound stands below the answer; with warns alone
 * one for the first that is serious. */
void ser_prediction_text(ser_text *t, const ser_prediction_form *form, const char *file, const ser_result *r);

/* How many recordings of each kind there are, in a line. A zeroed struct has counted none. */
typedef struct ser_prediction_counts {
    size_t n, n_of[SER_MAX_LABELS], n_uncertain, n_without, n_failed; /* n: all of them */
} ser_prediction_counts;
void ser_prediction_counts_add(ser_prediction_counts *c, const ser_prediction_form *form,
                               const ser_result *r);
void ser_prediction_counts_text(ser_text *t, const ser_prediction_form *form, const ser_prediction_counts *c);

#endif

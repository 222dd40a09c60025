/* The pictures of a report. Each draws a new chart in the format asked for, to be saved, or appended to a
 * page, and freed by the caller. Labels may be any text. Titles and subtitles may be NULL. */
#ifndef SER_REPORT_PICTURES_H
#define SER_REPORT_PICTURES_H

#include "metrics/metrics.h"

#include "report/chart.h"
#include "report/run_report.h"

/* Counts and the share of each row; rows: truth. */
typedef struct ser_confusion_picture {
    const char *title, *subtitle;
    const char *const *labels; /* n_labels */
    size_t n_labels;           /* 1 ... SER_MAX_LABELS */
    const size_t *counts;      /* (n_labels, n_labels) */
    const ser_matrix *matrix;  /* in place of the three above, or NULL; cells that are right get a frame */
} ser_confusion_picture;

ser_status ser_draw_confusion(ser_chart **out, ser_chart_format format, const ser_confusion_picture *p,
                              ser_error *err);

/* How often the answers given with some confidence were right, and how many there were. */
typedef struct ser_reliability_picture {
    const char *title, *subtitle;
    const ser_reliability *reliability;
} ser_reliability_picture;

ser_status ser_draw_reliability(ser_chart **out, ser_chart_format format, const ser_reliability_picture *p,
                                ser_error *err);

/* The emotion over time: the loudness, the label, the scores. */
typedef struct ser_timeline_picture {
    const char *title, *subtitle;
    const char *const *labels; /* n_labels */
    size_t n_labels;
    const ser_segment *segments; /* in order of time */
    size_t n_segments;
    double duration_s;
    const float *peaks; /* the largest absolute sample of n_peaks equal parts of the recording; or NULL */
    size_t n_peaks;
} ser_timeline_picture;

ser_status ser_draw_timeline(ser_chart **out, ser_chart_format format, const ser_timeline_picture *p,
                             ser_error *err);

/* The peaks that a timeline shows: n_peaks >= 1. */
void ser_timeline_peaks(float *peaks, size_t n_peaks, const float *pcm, size_t n_samples);

/* How training went, epoch by epoch: a panel per fold, training thin, validation bold, the kept epoch marked.
 */
typedef enum ser_curve { SER_CURVE_LOSS, SER_CURVE_ACCURACY } ser_curve;
typedef struct ser_curves_picture {
    const char *title, *subtitle;
    ser_curve what;
    const ser_run_fold *folds; /* those without epochs are left out */
    size_t n_folds;
} ser_curves_picture;

/* SER_E_ARG where no fold has an epoch. */
ser_status ser_draw_curves(ser_chart **out, ser_chart_format format, const ser_curves_picture *p,
                           ser_error *err);

/* Draw into a file, .png or .svg. */
ser_status ser_save_confusion(const char *path, const ser_confusion_picture *p, ser_error *err);
ser_status ser_save_reliability(const char *path, const ser_reliability_picture *p, ser_error *err);
ser_status ser_save_timeline(const char *path, const ser_timeline_picture *p, ser_error *err);
ser_status ser_save_curves(const char *path, const ser_curves_picture *p, ser_error *err);

#endif

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

/* How training went, epoch by epoch: a panel per fold, training thin, validation bold, the kept epoch marked.
 */
typedef enum ser_curve { SER_CURVE_LOSS, SER_CURVE_ACCURACY } ser_curve;
typedef struct ser_curves_picture {
    const char *title, *subtitle;
    ser_curve what;
    const ser_run_fold *folds; /* those without epochs are left out */
    size_t n_folds;
    bool narrow; /* for a page as wide as a phone */
} ser_curves_picture;

/* SER_E_ARG where no fold has an epoch. */
ser_status ser_draw_curves(ser_chart **out, ser_chart_format format, const ser_curves_picture *p,
                           ser_error *err);

/* How several losses went from epoch to epoch: a panel with a scale of its own for each. */
enum { SER_MAX_LOSS_SERIES = 3 };
typedef struct ser_loss_series {
    const char *name;     /* "adapted", "source only"; for the legend */
    const double *values; /* n_values: of epochs 1, 2, ...; NAN is a gap */
    size_t n_values;
} ser_loss_series;
typedef struct ser_loss_panel {
    const char *title, *unit;                    /* unit: "nats", "%" or NULL */
    ser_loss_series series[SER_MAX_LOSS_SERIES]; /* bold blue, thin grey, thin red: the same in all panels */
    size_t n_series;
} ser_loss_panel;
typedef struct ser_losses_picture {
    const char *title, *subtitle;
    const ser_loss_panel *panels; /* those without values are left out */
    size_t n_panels;
    bool narrow; /* as in ser_curves_picture */
} ser_losses_picture;

/* SER_E_ARG where no panel has a value. */
ser_status ser_draw_losses(ser_chart **out, ser_chart_format format, const ser_losses_picture *p,
                           ser_error *err);

/* Maps of the same recordings of two corpora, as metrics/map.h lays them out: colours are emotions, filled
 * dots the source, rings the target. */
typedef struct ser_map_panel {
    const char *title;
    const float *xy; /* (n, 2); what is not finite is left out */
} ser_map_panel;
typedef struct ser_map_picture {
    const char *title, *subtitle;
    const ser_map_panel *panels; /* n_panels, row by row */
    size_t n_panels, n_columns;
    size_t n;                       /* recordings, the same in all panels */
    const int *label;               /* (n): -1 is unknown, drawn grey */
    const unsigned char *is_target; /* (n): 1 is the target */
    const char *const *labels;      /* n_labels */
    size_t n_labels;
    const char *source_name, *target_name;
} ser_map_picture;

/* SER_E_ARG where there is no panel, no recording or no column, or a label that does not exist. */
ser_status ser_draw_map(ser_chart **out, ser_chart_format format, const ser_map_picture *p, ser_error *err);

typedef enum ser_picture_kind {
    SER_PICTURE_CONFUSION, /* ser_confusion_picture, and so on */
    SER_PICTURE_RELIABILITY,
    SER_PICTURE_TIMELINE,
    SER_PICTURE_CURVES,
    SER_PICTURE_LOSSES,
    SER_PICTURE_MAP
} ser_picture_kind;

/* Draws a picture of that kind for a page and appends it; where panels stand beside each other twice, of
 * which a wide page shows one and a narrow one the other. */
ser_status ser_picture_append(ser_text *page, ser_picture_kind kind, const void *picture, ser_error *err);

/* Draws a picture of that kind into a file, .png or .svg. */
ser_status ser_picture_save(const char *path, ser_picture_kind kind, const void *picture, ser_error *err);

#endif

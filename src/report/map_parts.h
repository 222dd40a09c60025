/* Parts of the maps, between pca.c, tsne.c and their test. */
#ifndef SER_REPORT_MAP_PARTS_H
#define SER_REPORT_MAP_PARTS_H

#include "report/map.h"

/* Rows less their mean, divided by the largest magnitude, so that squares neither overflow nor vanish. */
typedef struct ser_map_rows {
    float *x;               /* (n, stride); zeros from dims on */
    size_t n, dims, stride; /* stride: dims, up to whole lanes */
    double scale;           /* what they were divided by; 0: all rows are equal, and x is all 0 */
} ser_map_rows;

ser_status ser_map_rows_init(ser_map_rows *rows, const float *x, size_t n, size_t dims, ser_error *err);
void ser_map_rows_release(ser_map_rows *rows);

/* As ser_pca_2d, in units of the rows as they lie there. */
ser_status ser_map_components(float *xy, const ser_map_rows *rows, ser_error *err);

/* One map on its way. */
typedef struct ser_tsne {
    size_t n, stride; /* stride: n, up to whole lanes */
    int n_threads;
    float
        *p; /* (n, stride): how much i and j are neighbours; all sum to 1; 0 on the diagonal and from n on */
    float *y;          /* (2, stride): where they lie; from n on so far away that nothing pushes */
    float *gradient;   /* (2, stride): of the cost by y */
    float *pushes;     /* (2, stride): scratch */
    double *closeness; /* (n): scratch */
} ser_tsne;

/* All but y, which is left at 0. rows: n >= 2, scale > 0. 1 <= perplexity < n - 1. */
ser_status ser_tsne_init(ser_tsne *t, const ser_map_rows *rows, double perplexity, int n_threads,
                         ser_error *err);
void ser_tsne_release(ser_tsne *t);

/* Equation 5 of the paper, p multiplied by exaggeration. */
ser_status ser_tsne_gradient(ser_tsne *t, float exaggeration, ser_error *err);

#endif

/* Truths by answers, as every confusion matrix shows them. Within one set of emotions the answers are those
 * of the truths and the diagonal is right; across corpora rows and columns differ. Everything is borrowed. */
#ifndef SER_REPORT_MATRIX_H
#define SER_REPORT_MATRIX_H

#include <stdbool.h>
#include <stddef.h>

typedef struct ser_matrix {
    const char *const *truths, *const *answers;
    size_t n_truths, n_answers;
    const size_t *counts; /* (n_truths, n_answers) */
    const bool *right;    /* (n_truths, n_answers): answers that count as the truth; NULL: the diagonal */
} ser_matrix;

static inline ser_matrix ser_matrix_square(const char *const *labels, const size_t *counts, size_t n_labels)
{
    return (ser_matrix){labels, labels, n_labels, n_labels, counts, NULL};
}

static inline bool ser_matrix_is_right(const ser_matrix *m, size_t truth, size_t answer)
{
    return m->right ? m->right[truth * m->n_answers + answer] : truth == answer;
}

static inline size_t ser_matrix_row_sum(const ser_matrix *m, size_t truth)
{
    size_t sum = 0;
    for (size_t j = 0; j < m->n_answers; j++)
        sum += m->counts[truth * m->n_answers + j];
    return sum;
}

static inline size_t ser_matrix_n_right(const ser_matrix *m, size_t truth)
{
    size_t sum = 0;
    for (size_t j = 0; j < m->n_answers; j++)
        sum += ser_matrix_is_right(m, truth, j) ? m->counts[truth * m->n_answers + j] : 0;
    return sum;
}

/* Whether an answer can be right at all: else its recordings are not scored. */
static inline bool ser_matrix_can_be_right(const ser_matrix *m, size_t truth)
{
    for (size_t j = 0; j < m->n_answers; j++)
        if (ser_matrix_is_right(m, truth, j))
            return true;
    return false;
}

#endif

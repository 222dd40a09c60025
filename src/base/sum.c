#include "base/sum.h"
#include "base/memory.h"
#include "base/vector.h"

#include <string.h>

ser_status ser_sum_vector(ser_sum *s, float **out, ser_error *err)
{
    if (s->n_spare) {
        *out = s->spare[--s->n_spare];
        memset(*out, 0, s->n_values * sizeof **out);
        return SER_OK;
    }
    *out = ser_alloc(s->n_values, sizeof **out);
    return *out ? SER_OK : ser_fail_nomem(err);
}

SER_FAST_STATIC(void, add, (float *to, const float *x, size_t n), (to, x, n))
{
    for (size_t i = 0; i < n; i++)
        to[i] += x[i];
}

/* Whether they are the two halves of a node of the tree. */
static bool are_halves(const ser_sum_node *a, const ser_sum_node *b)
{
    return a->n_leaves == b->n_leaves && a->first + a->n_leaves == b->first &&
           a->first % (2 * a->n_leaves) == 0;
}

void ser_sum_push(ser_sum *s, float *x, size_t first, size_t n_leaves)
{
    s->nodes[s->n++] = (ser_sum_node){x, first, n_leaves};
    while (s->n > 1 && are_halves(&s->nodes[s->n - 2], &s->nodes[s->n - 1])) {
        ser_sum_node *left = &s->nodes[s->n - 2], *right = &s->nodes[s->n - 1];
        if (right->x) {
            add(left->x, right->x, s->n_values);
            s->spare[s->n_spare++] = right->x;
        }
        left->n_leaves *= 2;
        s->n--;
    }
}

void ser_sum_total(const ser_sum *s, float *out)
{
    memset(out, 0, s->n_values * sizeof *out);
    for (size_t i = 0; i < s->n; i++)
        add(out, s->nodes[i].x, s->n_values);
}

void ser_sum_clear(ser_sum *s)
{
    for (size_t i = 0; i < s->n; i++)
        s->spare[s->n_spare++] = s->nodes[i].x;
    s->n = 0;
}

void ser_sum_release(ser_sum *s)
{
    ser_sum_clear(s);
    while (s->n_spare)
        ser_free(s->spare[--s->n_spare]);
    *s = (ser_sum){0};
}

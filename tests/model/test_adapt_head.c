#include "base/memory.h"
#include "base/random.h"
#include "failures/failing.h"
#include "model/adapt_head.h"
#include "test.h"

#include <string.h>

enum { N = 90, DIMS = 20, N_LABELS = 3 };

/* A head that tells three clouds apart, and recordings that lie beside them. */
typedef struct shifted {
    ser_linear head;
    float x[N][DIMS];
    const float *row[N];
    int label[N];
} shifted;

static void make(shifted *s)
{
    ser_error err = {0};
    ser_random r;
    ser_random_init(&r, 3);
    memset(s, 0, sizeof *s);
    CHECK_OK(ser_linear_init(&s->head, DIMS, N_LABELS, &err), &err);
    s->head.scale[DIMS - 1] = 0;
    for (int k = 0; k < N_LABELS; k++)
        s->head.w[k * DIMS + k] = 4;
    for (int i = 0; i < N; i++) {
        s->label[i] = i % N_LABELS;
        s->row[i] = s->x[i];
        for (int k = 0; k < DIMS; k++)
            s->x[i][k] = (float)(0.12 * ser_random_normal(&r));
        s->x[i][s->label[i]] += 0.5f;
        s->x[i][0] += 0.55f; /* most are taken for the first */
    }
}

static int n_right(const shifted *s)
{
    int right = 0;
    for (int i = 0; i < N; i++) {
        float logits[N_LABELS];
        ser_linear_logits(&s->head, logits, s->x[i]);
        int best = logits[1] > logits[0];
        right += (logits[2] > logits[best] ? 2 : best) == s->label[i];
    }
    return right;
}

static void test_adapting(void)
{
    static shifted s;
    ser_error err = {0};
    ser_linear again;
    make(&s);
    int before = n_right(&s);
    CHECK(before < 70);
    CHECK_OK(ser_linear_copy(&again, &s.head, &err), &err);
    CHECK_OK(ser_linear_adapt(&s.head, s.row, N, &err), &err);
    CHECK(n_right(&s) > before + 15);
    CHECK(s.head.w[DIMS - 1] == 0); /* what is not read stays as it is */
    CHECK_OK(ser_linear_adapt(&again, s.row, N, &err), &err);
    CHECK(memcmp(again.w, s.head.w, DIMS * N_LABELS * sizeof(float)) == 0);
    ser_linear_release(&again);
    ser_linear_release(&s.head);
}

/* Few recordings move it less than many of the same kind. */
static void test_caution(void)
{
    static shifted few, many;
    ser_error err = {0};
    double moved[2] = {0, 0};
    make(&few);
    make(&many);
    CHECK_OK(ser_linear_adapt(&few.head, few.row, 24, &err), &err);
    CHECK_OK(ser_linear_adapt(&many.head, many.row, N, &err), &err);
    for (int i = 0; i < DIMS * N_LABELS; i++) {
        double origin = i % DIMS == i / DIMS ? 4 : 0;
        moved[0] += pow((double)few.head.w[i] - origin, 2);
        moved[1] += pow((double)many.head.w[i] - origin, 2);
    }
    CHECK(moved[0] > 0 && moved[0] < moved[1]);
    ser_linear_release(&few.head);
    ser_linear_release(&many.head);
}

static void test_bad(void)
{
    static shifted s;
    ser_error err = {0};
    make(&s);
    CHECK(ser_linear_adapt(&s.head, s.row, SER_ADAPT_MIN_RECORDINGS - 1, &err) == SER_E_ARG);
    for (long i = 0; i < 9; i++) {
        failing_at(i);
        CHECK(ser_linear_adapt(&s.head, s.row, N, &err) == SER_E_NOMEM && s.head.w[0] == 4);
    }
    failing_at(-1);
    s.x[40][2] = NAN;
    CHECK(ser_linear_adapt(&s.head, s.row, N, &err) == SER_E_FORMAT && strstr(err.text, "41"));
    CHECK(s.head.w[0] == 4);
    ser_linear_release(&s.head);
}

int main(void)
{
    test_adapting();
    test_caution();
    test_bad();
    return test_summary();
}

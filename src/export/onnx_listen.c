/* A recording of any length, as model/listen.c hears it: what is at most 10 s long is one window and one
 * cell; what is longer goes through model/gliding.c's windows into model/timeline.c's cells, of which those
 * with a voice count. Memory does not grow with the length, but for the waveform. */
#include "export/onnx_parts.h"
#include "model/gliding.h"

#include <stdio.h>

/* ---- numbers ---- */

static ser_onnx_value add(ser_onnx *g, ser_onnx_value a, ser_onnx_value b)
{
    return SER_ONNX(g, "Add", a, b);
}

static ser_onnx_value subtract(ser_onnx *g, ser_onnx_value a, ser_onnx_value b)
{
    return SER_ONNX(g, "Sub", a, b);
}

static ser_onnx_value multiply(ser_onnx *g, ser_onnx_value a, ser_onnx_value b)
{
    return SER_ONNX(g, "Mul", a, b);
}

static ser_onnx_value at_least(ser_onnx *g, ser_onnx_value a, int64_t least)
{
    return SER_ONNX(g, "Max", a, ser_onnx_integer(g, least));
}

/* (1) to a scalar, as a loop counts. */
static ser_onnx_value count(ser_onnx *g, ser_onnx_value n)
{
    return SER_ONNX(g, "Squeeze", n);
}

/* A loop's counter as (1). */
static ser_onnx_value counter(ser_onnx *g)
{
    const int64_t one = 1;
    ser_onnx_value i = ser_onnx_input(g, NULL, (ser_onnx_kind){SER_ONNX_INT64, 0, {NULL}});
    return SER_ONNX(g, "Reshape", i, ser_onnx_i64(g, 1, &one));
}

/* A loop that goes on by nothing but its count. */
static const ser_onnx_kind truth = {SER_ONNX_BOOL, 0, {NULL}};

static ser_onnx_value goes_on(ser_onnx *g)
{
    return ser_onnx_input(g, NULL, truth);
}

/* ---- the plan of a recording ---- */

typedef struct listening {
    ser_onnx *g;
    const ser_onnx_hearer *h;
    ser_onnx_value waveform, spans[2];
    char dims[24], n_labels[24];
    int64_t advance, margin; /* frames */
    /* All integers: */
    ser_onnx_value n_window;        /* samples */
    ser_onnx_value n_windows;       /* of the recording */
    ser_onnx_value frames_per_cell; /* of one utterance: more than there are */
    ser_onnx_value least_voice;     /* samples of utterances in a cell */
    ser_onnx_value largest;         /* power, (1); NULL: nobody asks */
} listening;

static void plan(listening *l)
{
    ser_onnx *g = l->g;
    const ser_timeline_shape *c = &l->h->cells;
    size_t hop = (size_t)l->h->hop_samples;
    l->advance = (int64_t)ser_gliding_advance(SER_LISTEN_OVERLAP, hop);
    l->margin = (int64_t)ser_gliding_margin(SER_LISTEN_OVERLAP, hop);
    int64_t per_cell = (int64_t)((double)SER_SAMPLE_RATE_HZ / (double)hop * c->cell_s + 0.5),
            one_cell = SER_WINDOW_SAMPLES / (int64_t)hop + 2, n_advance = l->advance * (int64_t)hop;
    ser_onnx_value n = ser_onnx_length(g, l->waveform, 1), one = ser_onnx_integer(g, 1);
    ser_onnx_value is_long = SER_ONNX(g, "Greater", n, ser_onnx_integer(g, SER_LISTEN_UTTERANCE));
    ser_onnx_value more = subtract(g, n, ser_onnx_integer(g, SER_GLIDING_SAMPLES - n_advance + 1));
    more = add(g, SER_ONNX(g, "Div", more, ser_onnx_integer(g, n_advance)), one);
    l->n_window = SER_ONNX(g, "Where", is_long, ser_onnx_integer(g, SER_GLIDING_SAMPLES), n);
    l->n_windows = SER_ONNX(g, "Where", is_long, more, one);
    l->frames_per_cell =
        SER_ONNX(g, "Where", is_long, ser_onnx_integer(g, per_cell), ser_onnx_integer(g, one_cell));
    l->least_voice = SER_ONNX(g, "Where", is_long, ser_onnx_integer(g, SER_LISTEN_VOICE_IN_CELL), one);
    snprintf(l->dims, sizeof l->dims, "%zu", l->h->dims);
    snprintf(l->n_labels, sizeof l->n_labels, "%zu", l->h->n_labels);
}

/* ---- windows ---- */

/* More frames than a window has. OpenVINO 2024.6 takes the largest of all numbers for the end of nothing. */
enum { BEYOND = 1 << 20 };

static ser_onnx_value window_at(const listening *l, ser_onnx_value i)
{
    ser_onnx *g = l->g;
    ser_onnx_value from = multiply(g, i, ser_onnx_integer(g, l->advance * l->h->hop_samples));
    return ser_onnx_slice(g, l->waveform, from, add(g, from, l->n_window), 1);
}

/* Log-mel is clamped below the whole recording's maximum, so it is heard once more for that. */
static ser_status measure(listening *l, ser_error *err)
{
    ser_onnx *g = l->g;
    const ser_onnx_kind number = {SER_ONNX_FLOAT, 1, {"1"}};
    ser_onnx_value none, power, zero[1] = {""};
    ser_onnx_floats(g, &none, 1, (const size_t[]){1});
    ser_onnx_value trips = count(g, l->n_windows);
    ser_onnx_begin(g);
    ser_onnx_value i = counter(g), on = goes_on(g), largest = ser_onnx_input(g, NULL, number);
    ser_status st = l->h->measure(l->h->context, &power, window_at(l, i), err);
    ser_onnx_output(g, NULL, on, truth);
    ser_onnx_output(g, NULL, SER_ONNX(g, "Max", largest, power), number);
    ser_onnx_end(g, "Loop", (const ser_onnx_value[]){trips, "", none, NULL}, 1, zero);
    l->largest = zero[0];
    return st;
}

/* ---- cells ---- */

/* Sums over the cells that count: of scores (1, labels), and how many there are, (1, 1). */
enum { SCORES, CELLS, N_SUMS };

static ser_onnx_kind sum_kind(const listening *l, int sum)
{
    return (ser_onnx_kind){SER_ONNX_FLOAT, 2, {"1", sum == SCORES ? l->n_labels : "1"}};
}

/* Samples of utterances in cell c. */
static ser_onnx_value voice_in(const listening *l, ser_onnx_value c)
{
    ser_onnx *g = l->g;
    const int64_t first = 0;
    ser_onnx_value length = multiply(g, l->frames_per_cell, ser_onnx_integer(g, l->h->hop_samples));
    ser_onnx_value start = multiply(g, c, length), end = add(g, start, length);
    ser_onnx_value from = SER_ONNX(g, "Max", l->spans[0], start), to = SER_ONNX(g, "Min", l->spans[1], end);
    return SER_ONNX(g, "ReduceSum", at_least(g, subtract(g, to, from), 0), ser_onnx_i64(g, 1, &first));
}

/* The frames that are kept, from the whole recording's frame kept_from on. */
typedef struct kept {
    ser_onnx_value frames, active, from;
} kept;

/* Cells first, first + 1, ..., n of them, join the sums. */
static void judge_cells(const listening *l, const kept *k, ser_onnx_value first, ser_onnx_value n,
                        ser_onnx_value sums[N_SUMS])
{
    ser_onnx *g = l->g;
    const int64_t radius = (int64_t)l->h->cells.radius;
    ser_onnx_value ins[] = {count(g, n), "", sums[SCORES], sums[CELLS], NULL};
    ser_onnx_begin(g);
    ser_onnx_value c = add(g, first, counter(g)), on = goes_on(g), in[N_SUMS];
    for (int i = 0; i < N_SUMS; i++)
        in[i] = ser_onnx_input(g, NULL, sum_kind(l, i));
    ser_onnx_value from = at_least(g, subtract(g, c, ser_onnx_integer(g, radius)), 0);
    from = subtract(g, multiply(g, from, l->frames_per_cell), k->from);
    ser_onnx_value to = multiply(g, add(g, c, ser_onnx_integer(g, radius + 1)), l->frames_per_cell);
    to = subtract(g, to, k->from); /* may be beyond the end, which is fine */
    ser_onnx_value frames = ser_onnx_slice(g, k->frames, from, to, 1),
                   active = ser_onnx_slice(g, k->active, from, to, 1);
    ser_onnx_value counts = SER_ONNX(g, "GreaterOrEqual", voice_in(l, c), l->least_voice);
    ser_onnx_value loud = SER_ONNX(g, "ReduceMax", active);
    loud = SER_ONNX(g, "Reshape", loud, ser_onnx_integer(g, 1));
    loud = SER_ONNX(g, "Greater", loud, ser_onnx_scalar(g, 0.5f));
    active = SER_ONNX(g, "Where", loud, active, ser_onnx_scalar(g, 1)); /* no cell that counts */
    counts = SER_ONNX(g, "And", counts, loud);
    ser_onnx_value scores = l->h->judge(l->h->context, frames, active);
    scores = SER_ONNX(g, "Where", counts, scores, ser_onnx_scalar(g, 0));
    counts = SER_ONNX(g, "Cast", counts);
    ser_onnx_int(g, "to", SER_ONNX_FLOAT);
    ser_onnx_output(g, NULL, on, truth);
    ser_onnx_output(g, NULL, add(g, in[SCORES], scores), sum_kind(l, SCORES));
    ser_onnx_output(g, NULL, add(g, in[CELLS], counts), sum_kind(l, CELLS));
    ser_onnx_end(g, "Loop", ins, N_SUMS, sums);
}

/* How many cells can be judged when so many frames are known: n_given in model/timeline.c, after all of them.
 */
static ser_onnx_value cells_known(const listening *l, ser_onnx_value n_frames, ser_onnx_value last)
{
    ser_onnx *g = l->g;
    ser_onnx_value one = ser_onnx_integer(g, 1), two = ser_onnx_integer(g, 2);
    ser_onnx_value n = SER_ONNX(g, "Div", n_frames, l->frames_per_cell);
    ser_onnx_value rest = subtract(g, n_frames, multiply(g, n, l->frames_per_cell));
    ser_onnx_value under_way =
        at_least(g, subtract(g, n, ser_onnx_integer(g, (int64_t)l->h->cells.radius)), 0);
    ser_onnx_value joins = SER_ONNX(g, "GreaterOrEqual", multiply(g, two, rest), l->frames_per_cell);
    joins = SER_ONNX(g, "Or", joins, SER_ONNX(g, "Less", n, one));
    return SER_ONNX(g, "Where", last, SER_ONNX(g, "Where", joins, add(g, n, one), n), under_way);
}

/* ---- the loop ---- */

/* What goes from window to window. */
enum { FRAMES, ACTIVE, KEPT_FROM, GIVEN, SUMS, N_STATES = SUMS + N_SUMS };

static ser_onnx_kind state_kind(const listening *l, int state)
{
    switch (state) {
    case FRAMES:
        return (ser_onnx_kind){SER_ONNX_FLOAT, 3, {"1", "kept", l->dims}};
    case ACTIVE:
        return (ser_onnx_kind){SER_ONNX_FLOAT, 3, {"1", "kept", "1"}};
    case KEPT_FROM:
    case GIVEN:
        return (ser_onnx_kind){SER_ONNX_INT64, 1, {"1"}};
    default:
        return sum_kind(l, state - SUMS);
    }
}

/* One frame that no cell reads is there from the beginning: OpenVINO 2024.6 loses what is appended to none.
 */
static ser_onnx_value initial(const listening *l, int state)
{
    ser_onnx_value value;
    ser_onnx *g = l->g;
    if (state == KEPT_FROM || state == GIVEN)
        return ser_onnx_integer(g, state == KEPT_FROM ? -1 : 0);
    if (state >= SUMS)
        ser_onnx_floats(g, &value, 2, (const size_t[]){1, state == SUMS + SCORES ? l->h->n_labels : 1});
    else
        ser_onnx_floats(g, &value, 3, (const size_t[]){1, 1, state == FRAMES ? l->h->dims : 1});
    return value;
}

static ser_onnx_value append(ser_onnx *g, ser_onnx_value a, ser_onnx_value b)
{
    ser_onnx_value x = SER_ONNX(g, "Concat", a, b);
    ser_onnx_int(g, "axis", 1);
    return x;
}

/* Window i: its frames are kept from the middle, all cells that are complete then are judged, and what no
 * cell needs any more is let go. */
static ser_status hear_window(const listening *l, ser_onnx_value i, ser_onnx_value s[N_STATES],
                              ser_error *err)
{
    ser_onnx *g = l->g;
    ser_onnx_value none = ser_onnx_integer(g, 0), frames, active, n;
    ser_onnx_value last = subtract(g, l->n_windows, ser_onnx_integer(g, 1));
    last = SER_ONNX(g, "Equal", i, last);
    ser_status st = l->h->hear(l->h->context, &frames, &active, window_at(l, i), l->largest, err);
    if (st != SER_OK)
        return st;
    ser_onnx_value from =
        SER_ONNX(g, "Where", SER_ONNX(g, "Equal", i, none), none, ser_onnx_integer(g, l->margin));
    ser_onnx_value to =
        SER_ONNX(g, "Where", last, ser_onnx_integer(g, BEYOND), ser_onnx_integer(g, l->advance + l->margin));
    s[FRAMES] = append(g, s[FRAMES], ser_onnx_slice(g, frames, from, to, 1));
    s[ACTIVE] = append(g, s[ACTIVE], ser_onnx_slice(g, active, from, to, 1));
    n = cells_known(l, add(g, s[KEPT_FROM], ser_onnx_length(g, s[ACTIVE], 1)), last);
    const kept k = {s[FRAMES], s[ACTIVE], s[KEPT_FROM]};
    judge_cells(l, &k, s[GIVEN], at_least(g, subtract(g, n, s[GIVEN]), 0), s + SUMS);
    s[GIVEN] = n;
    n = at_least(g, subtract(g, n, ser_onnx_integer(g, (int64_t)l->h->cells.radius)), 0);
    n = SER_ONNX(g, "Max", multiply(g, n, l->frames_per_cell), s[KEPT_FROM]);
    from = subtract(g, n, s[KEPT_FROM]);
    for (int j = FRAMES; j <= ACTIVE; j++)
        s[j] = ser_onnx_slice(g, s[j], from, ser_onnx_integer(g, BEYOND), 1);
    s[KEPT_FROM] = n;
    return st;
}

static ser_status hear_all(const listening *l, ser_onnx_value *scores, ser_error *err)
{
    ser_onnx *g = l->g;
    ser_onnx_value ins[N_STATES + 3] = {count(g, l->n_windows), ""}, s[N_STATES];
    for (int j = 0; j < N_STATES; j++)
        ins[2 + j] = initial(l, j);
    ser_onnx_begin(g);
    ser_onnx_value i = counter(g), on = goes_on(g);
    for (int j = 0; j < N_STATES; j++)
        s[j] = ser_onnx_input(g, NULL, state_kind(l, j));
    ser_status st = hear_window(l, i, s, err);
    ser_onnx_output(g, NULL, on, truth);
    for (int j = 0; j < N_STATES; j++)
        ser_onnx_output(g, NULL, s[j], state_kind(l, j));
    ser_onnx_end(g, "Loop", ins, N_STATES, s);
    *scores =
        SER_ONNX(g, "Div", s[SUMS + SCORES], SER_ONNX(g, "Max", s[SUMS + CELLS], ser_onnx_scalar(g, 1)));
    return st;
}

ser_status ser_onnx_listen(ser_onnx *g, ser_onnx_value *scores, ser_onnx_value waveform,
                           const ser_onnx_hearer *h, ser_error *err)
{
    listening l = {.g = g, .h = h, .waveform = waveform};
    ser_status st = ser_onnx_voice(g, l.spans, waveform, err);
    plan(&l);
    if (st == SER_OK && h->measure)
        st = measure(&l, err);
    return st == SER_OK ? hear_all(&l, scores, err) : st;
}

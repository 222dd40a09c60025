#include "model/smoothing.h"

#include <math.h>

static const double lasting_s = 1;

void ser_smoothing_start(ser_smoothing *s, size_t n_labels, double start_s, double cell_s,
                         ser_segment_fn receive, void *context)
{
    *s = (ser_smoothing){.n_labels = n_labels,
                         .n_lasting = (size_t)fmax(1, round(lasting_s / cell_s)),
                         .start_s = start_s,
                         .cell_s = cell_s,
                         .receive = receive,
                         .context = context};
}

static void add_to_run(ser_run *r, const ser_smoothing *s, int label, const float *scores)
{
    if (!r->n_cells++) {
        r->first = s->n_cells;
        r->label = label;
    }
    for (size_t i = 0; i < s->n_labels; i++)
        r->sums[i] += (double)scores[i];
}

/* The mean over the cells that agree, whose top is the label of each of them. */
static ser_status give(ser_smoothing *s, double end_s, ser_error *err)
{
    ser_segment segment = {
        .start_s = s->start_s + (double)s->now.first * s->cell_s, .end_s = end_s, .label = s->now.label};
    double sum = 0;
    for (size_t i = 0; i < s->n_labels; i++)
        sum += s->now.sums[i];
    for (size_t i = 0; i < s->n_labels && sum > 0; i++)
        segment.scores[i] = (float)(s->now.sums[i] / sum);
    return s->receive(s->context, &segment, err);
}

/* The other one has lasted long enough. */
static ser_status turn(ser_smoothing *s, ser_error *err)
{
    ser_status st = SER_OK;
    if (s->now.n_cells < s->n_lasting) /* only at the beginning */
        s->other.first = s->now.first;
    else
        st = give(s, s->start_s + (double)s->other.first * s->cell_s, err);
    s->now = s->other;
    s->other = (ser_run){0};
    return st;
}

ser_status ser_smoothing_add(ser_smoothing *s, int label, const float *scores, ser_error *err)
{
    ser_status st = SER_OK;
    if (label >= 0 && !s->now.n_cells) {
        add_to_run(&s->now, s, label, scores);
        s->now.first = 0;
    } else if (label >= 0 && label == s->now.label) {
        s->other = (ser_run){0};
        add_to_run(&s->now, s, label, scores);
    } else if (label >= 0) {
        if (s->other.n_cells && s->other.label != label)
            s->other = (ser_run){0};
        add_to_run(&s->other, s, label, scores);
        if (s->other.n_cells >= s->n_lasting)
            st = turn(s, err);
    }
    s->n_cells++;
    return st;
}

ser_status ser_smoothing_finish(ser_smoothing *s, double end_s, ser_error *err)
{
    return s->now.n_cells ? give(s, end_s, err) : SER_OK;
}

#include "model/timnet_model.h"
#include "base/memory.h"
#include "model/linear.h"

#include <math.h>
#include <string.h>

/* Recordings that are read together: so many, of so many frames in all. */
enum { MAX_PIECES = 64, MAX_FRAMES = 2048 };
_Static_assert((int)SER_TIMNET_WINDOW <= (int)MAX_FRAMES, "a window must fit");

/* A window of a recording. */
typedef struct piece {
    size_t recording, first, n_frames;
    float share; /* of the recording's answer */
} piece;

struct ser_timnet_scorer {
    const ser_timnet_member *members;
    size_t n_members, n_labels;
    ser_timnet_layout layout;
    ser_timnet_work **works; /* (n_members): members of one shape share one */
    float *x;                /* (MAX_FRAMES, the largest n_in): what a member reads */
};

/* ---- members ---- */

ser_status ser_timnet_member_init(ser_timnet_member *m, const ser_timnet_shape *shape, ser_error *err)
{
    *m = (ser_timnet_member){.temperature = 1};
    ser_status st = ser_timnet_new(&m->net, shape, err);
    if (st != SER_OK)
        return st;
    m->mean = ser_alloc(shape->n_in, sizeof *m->mean);
    m->scale = ser_alloc(shape->n_in, sizeof *m->scale);
    if (!m->mean || !m->scale) {
        ser_timnet_member_release(m);
        return ser_fail_nomem(err);
    }
    for (size_t i = 0; i < shape->n_in; i++)
        m->scale[i] = 1;
    return SER_OK;
}

void ser_timnet_member_release(ser_timnet_member *m)
{
    ser_timnet_free(&m->net);
    ser_free(m->mean);
    ser_free(m->scale);
    *m = (ser_timnet_member){0};
}

ser_status ser_timnet_member_unscaled(ser_timnet **out, const ser_timnet_member *m, ser_error *err)
{
    const ser_timnet_shape *shape = &m->net->shape;
    ser_status st = ser_timnet_new(out, shape, err);
    if (st != SER_OK)
        return st;
    memcpy((*out)->values, m->net->values, m->net->n_values * sizeof *m->net->values);
    for (size_t d = 0; d < 2; d++) {
        float *kernel = (*out)->values + m->net->input[d].kernel,
              *bias = (*out)->values + m->net->input[d].bias;
        for (size_t k = 0; k < shape->n_filters; k++) {
            double shift = 0;
            for (size_t i = 0; i < shape->n_in; i++) {
                float *w = &kernel[i * shape->n_filters + k];
                *w *= m->scale[i];
                shift += (double)*w * m->mean[i];
            }
            bias[k] -= (float)shift;
        }
    }
    return SER_OK;
}

/* Its values behind those of the first layers, which alone know how wide the frames are. */
static void copy_values(ser_timnet *to, const ser_timnet *from)
{
    for (size_t p = 0; p < from->n_params; p++)
        if (to->params[p].n == from->params[p].n)
            memcpy(to->values + to->params[p].offset, from->values + from->params[p].offset,
                   from->params[p].n * sizeof *to->values);
}

ser_status ser_timnet_member_expand(ser_timnet_member *m, const ser_timnet_sums *sums, ser_error *err)
{
    ser_timnet_member out;
    ser_timnet_shape shape = m->net->shape;
    size_t n_filters = shape.n_filters, n_sums = shape.n_in;
    shape.n_in = sums->n_in;
    ser_status st = ser_timnet_member_init(&out, &shape, err);
    if (st != SER_OK)
        return st;
    out.temperature = m->temperature;
    out.condense = m->condense;
    copy_values(out.net, m->net);
    for (size_t i = 0; i < sums->n_in; i++) {
        out.mean[i] = sums->mean[i];
        out.scale[i] = sums->scale[i] * m->scale[sums->sum[i]];
    }
    for (size_t d = 0; d < 2; d++) {
        const float *from = m->net->values + m->net->input[d].kernel;
        float *to = out.net->values + out.net->input[d].kernel,
              *bias = out.net->values + out.net->input[d].bias;
        for (size_t i = 0; i < sums->n_in; i++)
            for (size_t k = 0; k < n_filters; k++)
                to[i * n_filters + k] = sums->weight[i] * from[sums->sum[i] * n_filters + k];
        for (size_t k = 0; k < n_filters; k++) {
            double shift = 0;
            for (size_t s = 0; s < n_sums; s++)
                shift += (double)from[s * n_filters + k] * (double)m->scale[s] * (double)m->mean[s];
            bias[k] -= (float)shift;
        }
    }
    ser_timnet_member_release(m);
    *m = out;
    return SER_OK;
}

/* ---- scorers ---- */

ser_timnet_layout ser_timnet_layout_of(const ser_extractor *e)
{
    ser_timnet_layout l = {.dims = ser_extractor_dims(e), .n_blocks = ser_extractor_n_blocks(e)};
    for (size_t b = 0; b < l.n_blocks && b < SER_TIMNET_MAX_BLOCKS; b++)
        ser_extractor_block(e, b, &l.offset[b], &l.block_dims[b]);
    return l;
}

static size_t n_read(const ser_timnet_layout *l, uint64_t blocks)
{
    size_t n = 0;
    for (size_t b = 0; b < l->n_blocks; b++)
        n += blocks >> b & 1 ? l->block_dims[b] : 0;
    return blocks ? n : l->dims;
}

static bool same_shape(const ser_timnet_shape *a, const ser_timnet_shape *b)
{
    return a->n_in == b->n_in && a->n_filters == b->n_filters && a->kernel_size == b->kernel_size &&
           a->n_dilations == b->n_dilations && a->n_stacks == b->n_stacks && a->activation == b->activation;
}

/* The works' first owner among the members; m itself where it has a shape of its own. */
static size_t owner(const ser_timnet_scorer *s, size_t m)
{
    size_t i = 0;
    while (!same_shape(&s->members[i].net->shape, &s->members[m].net->shape))
        i++;
    return i;
}

ser_status ser_timnet_members_check(const ser_timnet_member *members, size_t n_members,
                                    const ser_timnet_layout *l, ser_error *err)
{
    for (size_t m = 0; m < n_members; m++) {
        const ser_timnet_shape *shape = &members[m].net->shape;
        size_t n_labels = members[0].net->shape.n_labels;
        bool beyond = l->n_blocks < SER_TIMNET_MAX_BLOCKS && members[m].blocks >> l->n_blocks;
        if (members[m].condense.n_averaged != members[0].condense.n_averaged ||
            members[m].condense.trim != members[0].condense.trim)
            return ser_fail(err, SER_E_FORMAT,
                            "network %zu reads other frames than the first: train the model again", m + 1);
        if (l->n_blocks > SER_TIMNET_MAX_BLOCKS || beyond || shape->n_labels != n_labels ||
            shape->n_in != n_read(l, members[m].blocks))
            return ser_fail(err, SER_E_FORMAT,
                            "network %zu takes %zu features and tells %zu emotions apart, where there are "
                            "%zu and %zu: train the model again",
                            m + 1, shape->n_in, shape->n_labels, n_read(l, members[m].blocks), n_labels);
    }
    return SER_OK;
}

static ser_status add_work(ser_timnet_scorer *s, size_t m, ser_nn_work *nn, ser_error *err)
{
    size_t first = owner(s, m);
    if (first == m)
        return ser_timnet_work_new(&s->works[m], &s->members[m].net->shape, nn, false, err);
    s->works[m] = s->works[first];
    return SER_OK;
}

ser_status ser_timnet_scorer_new(ser_timnet_scorer **out, const ser_timnet_member *members, size_t n_members,
                                 const ser_timnet_layout *layout, ser_nn_work *nn, ser_error *err)
{
    *out = NULL;
    ser_status st = ser_timnet_members_check(members, n_members, layout, err);
    if (st != SER_OK)
        return st;
    ser_timnet_scorer *s = ser_alloc(1, sizeof *s);
    if (!s)
        return ser_fail_nomem(err);
    size_t widest = 0;
    *s = (ser_timnet_scorer){.members = members,
                             .n_members = n_members,
                             .n_labels = members[0].net->shape.n_labels,
                             .layout = *layout};
    s->works = ser_alloc(n_members, sizeof *s->works);
    st = s->works ? SER_OK : ser_fail_nomem(err);
    for (size_t m = 0; m < n_members && st == SER_OK; m++) {
        widest = members[m].net->shape.n_in > widest ? members[m].net->shape.n_in : widest;
        st = add_work(s, m, nn, err);
    }
    if (st == SER_OK && !(s->x = ser_alloc(MAX_FRAMES * widest, sizeof *s->x)))
        st = ser_fail_nomem(err);
    if (st != SER_OK)
        ser_timnet_scorer_free(&s);
    *out = s;
    return st;
}

void ser_timnet_scorer_free(ser_timnet_scorer **scorer)
{
    ser_timnet_scorer *s = scorer ? *scorer : NULL;
    if (!s)
        return;
    for (size_t m = 0; s->works && m < s->n_members; m++)
        if (owner(s, m) == m)
            ser_timnet_work_free(&s->works[m]);
    ser_free(s->works);
    ser_free(s->x);
    ser_free(s);
    *scorer = NULL;
}

/* ---- answers ---- */

/* The next windows of the batch, from recording and window *window on; returns how many. */
static size_t next_pieces(piece *pieces, const ser_timnet_batch *batch, size_t *recording, size_t *window)
{
    size_t n = 0, n_frames = 0;
    while (*recording < batch->n && n < MAX_PIECES) {
        size_t n_all = batch->n_frames[*recording];
        size_t n_windows = (n_all + SER_TIMNET_WINDOW - 1) / SER_TIMNET_WINDOW;
        piece *p = &pieces[n];
        p->recording = *recording;
        p->first = n_all * *window / n_windows;
        p->n_frames = n_all * (*window + 1) / n_windows - p->first;
        p->share = 1 / (float)n_windows;
        if ((n_frames += p->n_frames) > MAX_FRAMES)
            break;
        n++;
        if (++*window == n_windows) {
            *window = 0;
            ++*recording;
        }
    }
    return n;
}

/* What the member reads of n_frames frames. */
static void scale_frames(float *x, const float *frames, size_t n_frames, const ser_timnet_member *m,
                         const ser_timnet_layout *l)
{
    static const size_t whole = 0;
    size_t n_blocks = m->blocks ? l->n_blocks : 1;
    const size_t *offset = m->blocks ? l->offset : &whole, *dims = m->blocks ? l->block_dims : &l->dims;
    for (size_t t = 0; t < n_frames; t++) {
        const float *mean = m->mean, *scale = m->scale;
        for (size_t b = 0; b < n_blocks; b++) {
            if (m->blocks && !(m->blocks >> b & 1))
                continue;
            const float *frame = frames + t * l->dims + offset[b];
            for (size_t i = 0; i < dims[b]; i++)
                x[i] = (frame[i] - mean[i]) * scale[i];
            x += dims[b], mean += dims[b], scale += dims[b];
        }
    }
}

/* Networks may well answer to what is no number, because max(0, x) is 0 then. */
static bool is_finite(const float *x, size_t n)
{
    double sum = 0; /* of finite floats it is finite */
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i];
    return isfinite(sum);
}

static ser_status predict(ser_timnet_scorer *s, size_t member, const ser_timnet_batch *batch,
                          const piece *pieces, size_t n, float *logits, ser_error *err)
{
    const ser_timnet_member *m = &s->members[member];
    const float *frames[MAX_PIECES];
    size_t n_frames[MAX_PIECES];
    float answers[MAX_PIECES * SER_MAX_LABELS], *x = s->x;
    for (size_t i = 0; i < n; i++) {
        const piece *p = &pieces[i];
        size_t n_values = p->n_frames * m->net->shape.n_in;
        scale_frames(x, batch->frames[p->recording] + p->first * s->layout.dims, p->n_frames, m, &s->layout);
        if (!is_finite(x, n_values))
            return ser_fail(err, SER_E_FORMAT,
                            "the features of recording %zu are not finite: compute them again",
                            p->recording + 1);
        frames[i] = x;
        n_frames[i] = p->n_frames;
        x += n_values;
    }
    const ser_timnet_batch together = {n, frames, n_frames};
    ser_status st = ser_timnet_predict(m->net, s->works[member], &together, answers, err);
    if (st == SER_OK && !is_finite(answers, n * s->n_labels))
        st = ser_fail(err, SER_E_FORMAT, "network %zu gives answers that are not finite: train it again",
                      member + 1);
    for (size_t i = 0; i < n * s->n_labels && st == SER_OK; i++) {
        const piece *p = &pieces[i / s->n_labels];
        logits[p->recording * s->n_labels + i % s->n_labels] += answers[i] * p->share;
    }
    return st;
}

ser_status ser_timnet_logits(ser_timnet_scorer *s, size_t member, const ser_timnet_batch *batch,
                             float *logits, ser_error *err)
{
    piece pieces[MAX_PIECES];
    size_t recording = 0, window = 0, n;
    ser_status st = SER_OK;
    for (size_t i = 0; i < batch->n; i++)
        if (!batch->n_frames[i])
            return ser_fail(err, SER_E_ARG, "recording %zu has no frames: leave it out", i + 1);
    memset(logits, 0, batch->n * s->n_labels * sizeof *logits);
    while (st == SER_OK && (n = next_pieces(pieces, batch, &recording, &window)) > 0)
        st = predict(s, member, batch, pieces, n, logits, err);
    return st;
}

ser_status ser_timnet_score(ser_timnet_scorer *s, const ser_timnet_batch *batch, float *scores,
                            ser_error *err)
{
    size_t n = batch->n * s->n_labels;
    float *logits = ser_alloc(n, sizeof *logits);
    ser_status st = logits ? SER_OK : ser_fail_nomem(err);
    memset(scores, 0, n * sizeof *scores);
    for (size_t m = 0; m < s->n_members && st == SER_OK; m++) {
        st = ser_timnet_logits(s, m, batch, logits, err);
        for (size_t i = 0; i < batch->n && st == SER_OK; i++)
            ser_softmax(logits + i * s->n_labels, s->n_labels, s->members[m].temperature);
        for (size_t i = 0; i < n && st == SER_OK; i++)
            scores[i] += logits[i] / (float)s->n_members;
    }
    ser_free(logits);
    return st;
}

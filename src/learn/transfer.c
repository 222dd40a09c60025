#include "learn/transfer.h"
#include "base/memory.h"
#include "base/text.h"
#include "learn/rows.h"
#include "model/moments.h"

#include <string.h>

/* What the projections share. */
typedef struct projections {
    const ser_learn_settings *settings;
    ser_adapt_settings adapt;
    ser_adapt_rows rows;
    float *mean, *scale;
    const float **target;
    const char *what;
    size_t set;      /* of blocks */
    double distance; /* LMMD in the last epoch, mean of all projections */
    ser_text title;
} projections;

static void tell(void *context, const ser_adapt_epoch *e)
{
    const projections *r = context;
    r->settings->on_adapt(r->settings->context, r->title.s, e);
}

static ser_status name_projection(projections *r, size_t k)
{
    const ser_learn_transfer *t = r->settings->transfer;
    ser_text_clear(&r->title);
    ser_text_append(&r->title, r->what);
    if (t->n_sets > 1)
        ser_text_appendf(&r->title, ", layers %zu of %zu", r->set + 1, t->n_sets);
    if (t->n_projections > 1)
        ser_text_appendf(&r->title, ", projection %zu of %zu", k + 1, t->n_projections);
    r->adapt.what = r->title.s;
    r->adapt.seed = r->settings->seed + k;
    return r->title.failed ? SER_E_NOMEM : SER_OK;
}

/* head += share * that of one projection; all of a training read features alike. */
static void add_head(ser_linear *head, const ser_linear *other, float share)
{
    memcpy(head->mean, other->mean, head->n_in * sizeof *head->mean);
    memcpy(head->scale, other->scale, head->n_in * sizeof *head->scale);
    for (size_t i = 0; i < head->n_labels * head->n_in; i++)
        head->w[i] += share * other->w[i];
    for (size_t i = 0; i < head->n_labels; i++)
        head->bias[i] += share * other->bias[i];
}

static ser_status run_projections(ser_learned *out, projections *r, ser_error *err)
{
    size_t n = r->settings->transfer->n_projections;
    ser_linear *head = &out->linear.head;
    ser_linear_release(head);
    ser_status st = ser_linear_init(head, r->rows.n_in, r->rows.n_labels, err);
    r->distance = 0;
    for (size_t k = 0; k < n && st == SER_OK; k++) {
        ser_adapted_release(&out->adapted);
        if (name_projection(r, k) != SER_OK)
            return ser_fail_nomem(err);
        st = ser_adapt(&out->adapted, &r->rows, r->mean, r->scale, &r->adapt, err);
        if (st == SER_OK) {
            add_head(head, &out->adapted.head, 1 / (float)n);
            r->distance += out->adapted.history[out->adapted.n_epochs - 1].lmmd / (double)n;
        }
        ser_linear_release(&out->adapted.head);
    }
    head->temperature = 1;
    return st;
}

/* What is read of the rows. */
static ser_status read_blocks(projections *r, const ser_rows *rows, const ser_candidate *candidate,
                              ser_error *err)
{
    float *emphasis = NULL;
    ser_status st = ser_standardise(r->mean, r->scale, rows->x, rows->n, rows->dims, err);
    if (st == SER_OK)
        st = ser_candidate_emphasis(&emphasis, rows, candidate, err);
    for (size_t i = 0; i < rows->dims && st == SER_OK; i++)
        r->scale[i] *= emphasis[i];
    ser_free(emphasis);
    return st;
}

/* What can be lost on a target grows with the distance between both corpora, which takes no labels of it to
 * measure (S. Ben-David et al., "A theory of learning from different domains", Machine Learning 2010). */
static ser_status try_sets(ser_learned *out, projections *r, const ser_rows *rows, ser_error *err)
{
    const ser_learn_transfer *t = r->settings->transfer;
    size_t closest = 0;
    ser_status st = SER_OK;
    for (r->set = 0; r->set < t->n_sets && st == SER_OK; r->set++) {
        ser_learned own = {0};
        ser_candidate candidate = r->settings->candidates[0];
        candidate.blocks = t->sets[r->set];
        st = read_blocks(r, rows, &candidate, err);
        if (st == SER_OK)
            st = run_projections(&own, r, err);
        out->distance[r->set] = r->distance;
        if (st == SER_OK && (r->set == 0 || r->distance < out->distance[closest])) {
            closest = r->set;
            own.linear.chosen = candidate;
            own.linear.temperature = 1;
            const ser_head_fit linear = out->linear;
            const ser_adapted adapted = out->adapted;
            out->linear = own.linear, own.linear = linear;
            out->adapted = own.adapted, own.adapted = adapted;
        }
        ser_learned_release(&own);
    }
    return st;
}

static ser_status open_projections(projections *r, const ser_rows *rows, const ser_learn_data *source,
                                   ser_error *err)
{
    const ser_learn_settings *s = r->settings;
    const ser_store *target = s->transfer->target->store;
    r->mean = ser_alloc(rows->dims, sizeof *r->mean);
    r->scale = ser_alloc(rows->dims, sizeof *r->scale);
    r->target = ser_alloc(target->n, sizeof *r->target);
    if (!r->mean || !r->scale || !r->target)
        return ser_fail_nomem(err);
    for (size_t u = 0; u < target->n; u++)
        r->target[u] = ser_store_row(target, u, 0);
    r->rows = (ser_adapt_rows){.source = rows->x,
                               .label = rows->label,
                               .target = r->target,
                               .n_source = rows->n,
                               .n_target = target->n,
                               .n_in = rows->dims,
                               .n_labels = source->corpus->n_labels};
    r->adapt = s->transfer->linear;
    r->adapt.seed = s->seed;
    r->adapt.n_threads = s->n_threads;
    r->adapt.progress = s->progress;
    r->adapt.on_epoch = s->on_adapt ? tell : NULL;
    r->adapt.context = r;
    return SER_OK;
}

ser_status ser_learn_projection(ser_learned *out, const ser_learn_data *source, const int *fold,
                                int test_fold, const ser_learn_settings *settings, const char *what,
                                ser_error *err)
{
    ser_rows rows = {0};
    projections r = {.settings = settings, .what = what};
    ser_status st = ser_dataset_rows(&rows, source->store, source->corpus, source->extractor, fold, test_fold,
                                     SER_GROUPS_NONE, err);
    if (st == SER_OK)
        st = open_projections(&r, &rows, source, err);
    if (st == SER_OK)
        st = try_sets(out, &r, &rows, err);
    ser_dataset_rows_release(&rows);
    ser_free(r.mean);
    ser_free(r.scale);
    ser_free(r.target);
    ser_text_release(&r.title);
    return st;
}

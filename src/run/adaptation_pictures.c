#include "run/adaptation_pictures.h"
#include "base/memory.h"
#include "base/random.h"
#include "report/map.h"
#include "report/pictures.h"
#include "run/pictures.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Into files of the run folder, and onto its page. */
static ser_status save_picture(const ser_adaptation_pictures *p, const char *name, ser_picture_kind kind,
                               const void *picture, ser_error *err)
{
    ser_status st = ser_run_picture_save(p->folder, name, kind, picture, err);
    return st == SER_OK ? ser_picture_append(p->page, kind, picture, err) : st;
}

/* ---- losses ---- */

enum { SOURCE_LOSS, LMMD, ENTROPY, BALANCE, N_LOSSES };

static const struct {
    const char *title, *unit;
} losses[N_LOSSES] = {
    {"Cross-entropy of the source", "nats"},
    {"Distance between the corpora (LMMD)", NULL},
    {"Entropy of the target's answers", "nats"},
    {"Entropy of their mean", "nats"},
};

/* values (N_LOSSES, n): of the projection, else of the first network. */
static ser_status list_losses(double **values, size_t *n, const ser_learned *model, ser_error *err)
{
    const ser_adapted *a = &model->adapted;
    const ser_timnet_fit *fit = model->n_networks ? &model->networks[0] : NULL;
    *n = a->n_epochs ? a->n_epochs : fit ? fit->n_epochs : 0;
    double *v = *values = ser_alloc(N_LOSSES * *n, sizeof *v);
    if (!v)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < *n; i++) {
        const ser_adapt_epoch *e = a->n_epochs ? &a->history[i] : NULL;
        v[SOURCE_LOSS * *n + i] = e ? e->source_loss : fit->history[i].train_loss;
        v[LMMD * *n + i] = e ? e->lmmd : fit->history[i].lmmd;
        v[ENTROPY * *n + i] = e ? e->entropy : fit->history[i].entropy;
        v[BALANCE * *n + i] = e ? e->balance : fit->history[i].balance;
    }
    return SER_OK;
}

/* A network that learns from the source alone measures nothing of the target. */
static bool is_measured(const double *values, size_t n)
{
    bool any = false;
    for (size_t i = 0; i < n; i++)
        any = any || values[i] != 0;
    return any;
}

static ser_status save_losses(const ser_adaptation_pictures *p, ser_error *err)
{
    static const char *const names[] = {"adapted", "source alone"};
    const ser_learned *models[] = {&p->adaptation->adapted, &p->adaptation->source};
    double *values[2] = {NULL, NULL};
    size_t n[2] = {0, 0};
    ser_loss_panel panels[N_LOSSES];
    char subtitle[200];
    ser_status st = SER_OK;
    for (size_t m = 0; m < 2 && st == SER_OK; m++)
        st = list_losses(&values[m], &n[m], models[m], err);
    for (size_t i = 0; i < N_LOSSES && st == SER_OK; i++) {
        panels[i] = (ser_loss_panel){.title = losses[i].title, .unit = losses[i].unit, .n_series = 2};
        for (size_t m = 0; m < 2; m++) {
            const double *own = values[m] + i * n[m];
            panels[i].series[m] = (ser_loss_series){names[m], own, is_measured(own, n[m]) ? n[m] : 0};
        }
    }
    snprintf(subtitle, sizeof subtitle, "%.80s to %.80s, epoch by epoch", p->mapping->source,
             p->mapping->target);
    const ser_losses_picture picture = {
        .title = "Losses", .subtitle = subtitle, .panels = panels, .n_panels = N_LOSSES};
    if (st == SER_OK)
        st = save_picture(p, "adaptation-losses", SER_PICTURE_LOSSES, &picture, err);
    ser_free(values[0]);
    ser_free(values[1]);
    return st;
}

/* ---- confusions ---- */

static ser_status save_confusions(const ser_adaptation_pictures *p, ser_error *err)
{
    static const char *const names[] = {"confusion-before", "confusion-after"},
                             *const titles[] = {"Confusion matrix, before the adaptation",
                                                "Confusion matrix, after the adaptation"};
    ser_status st = SER_OK;
    for (size_t m = 0; m < 2 && st == SER_OK && p->matrix.n_truths; m++) {
        char subtitle[200];
        const ser_figures *f = &p->cross[m]->figures;
        ser_matrix matrix = p->matrix;
        matrix.counts = p->cross[m]->confusion;
        snprintf(subtitle, sizeof subtitle, "%.60s to %.60s: UA %.1f %%, WA %.1f %%; framed: right",
                 p->mapping->source, p->mapping->target, f->ua, f->wa);
        const ser_confusion_picture picture = {.title = titles[m], .subtitle = subtitle, .matrix = &matrix};
        st = save_picture(p, names[m], SER_PICTURE_CONFUSION, &picture, err);
    }
    return st;
}

/* ---- maps ---- */

enum { MOST_ON_MAP = 2400, N_PANELS = 4 };

/* The recordings that are drawn: all, or as many of each corpus at random as there is room for. */
typedef struct map {
    size_t n;
    size_t *utterance;
    unsigned char *is_target;
    int *label;
    const char *labels[2 * SER_MAX_LABELS];
    size_t n_labels;
    float *xy[N_PANELS];
} map;

static void map_release(map *m)
{
    ser_free(m->utterance);
    ser_free(m->is_target);
    ser_free(m->label);
    for (size_t i = 0; i < N_PANELS; i++)
        ser_free(m->xy[i]);
}

static int label_number(map *m, const char *name)
{
    for (size_t i = 0; i < m->n_labels; i++)
        if (strcmp(m->labels[i], name) == 0)
            return (int)i;
    m->labels[m->n_labels] = name;
    return (int)m->n_labels++;
}

static ser_status add_corpus(map *m, const ser_corpus *c, bool is_target, ser_error *err)
{
    size_t n = c->n_utterances, n_drawn = n < MOST_ON_MAP / 2 ? n : MOST_ON_MAP / 2;
    size_t *order = ser_alloc(n, sizeof *order);
    ser_random r;
    if (!order)
        return ser_fail_nomem(err);
    ser_random_init(&r, ser_random_derive(0, "map"));
    for (size_t u = 0; u < n; u++)
        order[u] = u;
    if (n_drawn < n)
        ser_random_shuffle(&r, order, n);
    for (size_t i = 0; i < n_drawn; i++, m->n++) {
        int label = c->utterances[order[i]].label;
        m->utterance[m->n] = order[i];
        m->is_target[m->n] = is_target;
        m->label[m->n] = label < 0 ? -1 : label_number(m, c->labels[label]);
    }
    ser_free(order);
    return SER_OK;
}

static ser_status map_init(map *m, const ser_adaptation_pictures *p, ser_error *err)
{
    m->utterance = ser_alloc(MOST_ON_MAP, sizeof *m->utterance);
    m->is_target = ser_alloc(MOST_ON_MAP, sizeof *m->is_target);
    m->label = ser_alloc(MOST_ON_MAP, sizeof *m->label);
    bool ok = m->utterance && m->is_target && m->label;
    for (size_t i = 0; i < N_PANELS; i++)
        ok = (m->xy[i] = ser_alloc(2 * MOST_ON_MAP, sizeof *m->xy[i])) && ok;
    ser_status st = ok ? add_corpus(m, p->source->corpus, false, err) : ser_fail_nomem(err);
    return st == SER_OK ? add_corpus(m, p->target->corpus, true, err) : st;
}

/* What the model makes of the recordings on the map: x (m->n, *dims). */
static ser_status embed(float **x, size_t *dims, const map *m, const ser_learned *model,
                        const ser_adaptation_pictures *p, ser_error *err)
{
    float *of_corpus[2] = {NULL, NULL};
    ser_status st = ser_adaptation_embed(&of_corpus[0], dims, model, p->source, p->ops, p->n_threads, err);
    if (st == SER_OK)
        st = ser_adaptation_embed(&of_corpus[1], dims, model, p->target, p->ops, p->n_threads, err);
    if (st == SER_OK && !(*x = ser_alloc(m->n * *dims, sizeof **x)))
        st = ser_fail_nomem(err);
    for (size_t i = 0; i < m->n && st == SER_OK; i++)
        memcpy(*x + i * *dims, of_corpus[m->is_target[i]] + m->utterance[i] * *dims, *dims * sizeof **x);
    ser_free(of_corpus[0]);
    ser_free(of_corpus[1]);
    return st;
}

static ser_status lay_out(map *m, size_t column, const ser_learned *model, const ser_adaptation_pictures *p,
                          ser_error *err)
{
    float *x = NULL;
    size_t dims;
    ser_status st = embed(&x, &dims, m, model, p, err);
    if (st == SER_OK)
        st = ser_pca_2d(m->xy[column], x, m->n, dims, err);
    if (st == SER_OK)
        st = ser_tsne_2d(m->xy[2 + column], x, m->n, dims, p->n_threads, p->progress, err);
    ser_free(x);
    return st;
}

static ser_status save_map(const ser_adaptation_pictures *p, ser_error *err)
{
    static const char *const titles[N_PANELS] = {
        "Before: principal components", "After: principal components", "Before: t-SNE", "After: t-SNE"};
    map m = {0};
    ser_map_panel panels[N_PANELS];
    ser_status st = map_init(&m, p, err);
    if (st == SER_OK)
        st = lay_out(&m, 0, &p->adaptation->source, p, err);
    if (st == SER_OK)
        st = lay_out(&m, 1, &p->adaptation->adapted, p, err);
    for (size_t i = 0; i < N_PANELS; i++)
        panels[i] = (ser_map_panel){titles[i], m.xy[i]};
    const ser_map_picture picture = {.title = "Both corpora as the models see them",
                                     .subtitle =
                                         "what counts for answers, before and after the adaptation; the "
                                         "target's emotions serve as colours alone",
                                     .panels = panels,
                                     .n_panels = N_PANELS,
                                     .n_columns = 2,
                                     .n = m.n,
                                     .label = m.label,
                                     .is_target = m.is_target,
                                     .labels = m.labels,
                                     .n_labels = m.n_labels,
                                     .source_name = p->mapping->source,
                                     .target_name = p->mapping->target};
    if (st == SER_OK)
        st = save_picture(p, "map", SER_PICTURE_MAP, &picture, err);
    map_release(&m);
    return st;
}

ser_status ser_adaptation_pictures_save(const ser_adaptation_pictures *p, ser_error *err)
{
    ser_status st = save_map(p, err);
    if (st == SER_OK)
        st = save_confusions(p, err);
    return st == SER_OK ? save_losses(p, err) : st;
}

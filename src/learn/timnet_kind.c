/* The kind "timnet": temporal networks of consecutive seeds. */
#include "base/memory.h"
#include "base/text.h"
#include "base/threads.h"
#include "learn/kind.h"
#include "learn/pack.h"
#include "learn/weighted.h"

#include <pthread.h>
#include <string.h>

static bool layers_are_weighted(const ser_learn_settings *s)
{
    return s->candidates[0].weighted;
}

/* ---- what the temporal networks learn from ---- */

typedef struct examples {
    ser_timnet_rows rows;
    const float **frames;
    float *chosen; /* memory of the frames where only some blocks are read; NULL: they are the set's own */
    ser_weighted_frames sums; /* the frames where layers are weighted; else empty */
    size_t *n_frames, *copy_of;
    int *label, *group;
    const char **name;
} examples;

static void examples_release(examples *x)
{
    ser_free(x->frames);
    ser_free(x->chosen);
    ser_weighted_frames_release(&x->sums);
    ser_free(x->n_frames);
    ser_free(x->copy_of);
    ser_free(x->label);
    ser_free(x->group);
    ser_free(x->name);
    *x = (examples){0};
}

static bool examples_reserve(examples *x, size_t n)
{
    x->frames = ser_alloc(n, sizeof *x->frames);
    x->n_frames = ser_alloc(n, sizeof *x->n_frames);
    x->copy_of = ser_alloc(n, sizeof *x->copy_of);
    x->label = ser_alloc(n, sizeof *x->label);
    x->group = ser_alloc(n, sizeof *x->group);
    x->name = ser_alloc(n, sizeof *x->name);
    return x->frames && x->n_frames && x->copy_of && x->label && x->group && x->name;
}

/* Frames of the chosen blocks alone. */
static ser_status choose_blocks(examples *x, const ser_timnet_layout *layout, uint64_t blocks, ser_error *err)
{
    size_t n_in = 0, n_all = 0, n_values, n = x->rows.n + x->rows.n_unlabelled;
    for (size_t b = 0; b < layout->n_blocks; b++)
        n_in += blocks >> b & 1 ? layout->block_dims[b] : 0;
    for (size_t i = 0; i < n; i++)
        n_all += x->n_frames[i];
    if (!ser_mul_size(&n_values, n_all, n_in) || !(x->chosen = ser_alloc(n_values, sizeof *x->chosen)))
        return ser_fail_nomem(err);
    float *to = x->chosen;
    for (size_t i = 0; i < n; i++) {
        const float *from = x->frames[i];
        x->frames[i] = to;
        for (size_t t = 0; t < x->n_frames[i]; t++, from += layout->dims)
            for (size_t b = 0; b < layout->n_blocks; b++)
                if (blocks >> b & 1) {
                    memcpy(to, from + layout->offset[b], layout->block_dims[b] * sizeof *to);
                    to += layout->block_dims[b];
                }
    }
    x->rows.n_in = n_in;
    return SER_OK;
}

/* Recordings of the target behind those of the source, as they are. */
static void add_target(examples *x, const ser_learn_data *target)
{
    const ser_frame_set *set = target->frames;
    for (size_t u = 0, r = x->rows.n; u < set->n; u++, r++) {
        const ser_frame_row *row = ser_frame_set_row(set, u, 0);
        x->frames[r] = row->x;
        x->n_frames[r] = row->n_frames;
        x->name[r] = target->corpus->utterances[u].name;
    }
    x->rows.n_unlabelled = set->n;
}

static bool networks_adapt(const ser_learn_settings *s)
{
    const ser_adapt_weights *w = &s->timnet.weights;
    return s->transfer && (w->lmmd > 0 || w->entropy > 0 || w->balance > 0);
}

/* linear: what was chosen for it, where anything was. */
static ser_status read_chosen(examples *x, const ser_learn_data *data, const ser_head_fit *linear,
                              uint64_t blocks, const ser_learn_settings *s, ser_error *err)
{
    ser_timnet_layout layout = ser_timnet_layout_of(data->extractor);
    if (!layers_are_weighted(s))
        return blocks ? choose_blocks(x, &layout, blocks, err) : SER_OK;
    ser_status st = ser_weighted_frames_init(&x->sums, x->frames, x->n_frames, x->rows.n, data->extractor,
                                             linear->layer_weight, s->n_threads, err);
    x->rows.n_in = x->sums.n_combined;
    return st;
}

static ser_status examples_new(examples *x, const ser_learn_data *data, const int *fold, int test_fold,
                               const ser_learn_settings *settings, ser_error *err)
{
    const ser_frame_set *set = data->frames;
    const ser_corpus *corpus = data->corpus;
    const ser_learn_data *target = networks_adapt(settings) ? settings->transfer->target : NULL;
    bool has_speakers = true;
    size_t n = 0;
    if (!examples_reserve(x, set->n * (1 + set->n_copies) + (target ? target->frames->n : 0)))
        return ser_fail_nomem(err);
    for (size_t u = 0; u < set->n; u++) {
        if (fold[u] == test_fold)
            continue;
        has_speakers = has_speakers && corpus->utterances[u].speaker >= 0;
        size_t first = n;
        for (size_t copy = 0; copy <= set->n_copies; copy++, n++) {
            const ser_frame_row *row = ser_frame_set_row(set, u, copy);
            x->frames[n] = row->x;
            x->n_frames[n] = row->n_frames;
            x->copy_of[n] = first;
            x->label[n] = corpus->utterances[u].label;
            x->group[n] = corpus->utterances[u].speaker;
            x->name[n] = corpus->utterances[u].name;
        }
    }
    x->rows = (ser_timnet_rows){.frames = x->frames,
                                .n_frames = x->n_frames,
                                .label = x->label,
                                .group = has_speakers ? x->group : NULL,
                                .copy_of = x->copy_of,
                                .name = x->name,
                                .labels = (const char *const *)corpus->labels,
                                .n = n,
                                .n_in = set->dims,
                                .n_labels = corpus->n_labels};
    if (target)
        add_target(x, target);
    return SER_OK;
}

/* ---- learning ---- */

static bool blocks_are_free(const ser_learn_settings *s)
{
    for (size_t i = 1; i < s->n_candidates; i++)
        if (s->candidates[i].blocks != s->candidates[0].blocks)
            return true;
    return false;
}

/* Who is told of an epoch, and of what. */
typedef struct listener {
    const ser_learn_settings *settings;
    const char *what;
    size_t network;
} listener;

static void tell(void *context, const ser_timnet_epoch *e)
{
    const listener *l = context;
    l->settings->on_epoch(l->settings->context, l->what, l->network, e);
}

static ser_status learn_network(ser_learned *out, size_t k, const ser_learn_data *data, const examples *x,
                                const ser_learn_settings *s, uint64_t blocks, const char *what,
                                const char *state, ser_error *err)
{
    ser_text path = {0}, title = {0};
    listener own = {.settings = s, .what = what, .network = k + 1};
    ser_timnet_settings settings = s->timnet;
    settings.seed = s->seed + k;
    settings.on_epoch = s->on_epoch ? tell : NULL;
    settings.context = &own;
    settings.speaker_disjoint = s->speaker_disjoint;
    settings.n_threads = s->n_threads;
    settings.progress = s->progress;
    settings.team = ser_learns_in_step(s) ? s->team : NULL;
    ser_text_append(&title, what);
    if (s->n_networks > 1)
        ser_text_appendf(&title, ", network %zu of %zu", k + 1, s->n_networks);
    if (state)
        ser_text_appendf(&path, "%s-%zu.safetensors", state, k + 1);
    settings.what = title.s;
    settings.state_path = path.s;
    ser_status st = path.failed || title.failed
                        ? ser_fail_nomem(err)
                        : ser_timnet_train(&out->networks[k], &x->rows, &settings, err);
    if (st == SER_OK && layers_are_weighted(s))
        st = ser_weighted_frames_expand(&x->sums, &out->networks[k].member, err);
    if (st == SER_OK) {
        out->members[k] = out->networks[k].member;
        out->members[k].blocks = blocks;
        out->members[k].condense = data->frames->condense;
        out->networks[k].member = (ser_timnet_member){0};
    }
    ser_text_release(&path);
    ser_text_release(&title);
    return st;
}

/* ---- networks dealt to ranks ---- */

typedef struct dealt_networks {
    ser_learned *out;
    const ser_learn_data *data;
    const examples *x;
    ser_learn_settings alone; /* of a rank that has a network to itself */
    uint64_t blocks;
    const char *what, *state;
} dealt_networks;

static ser_status learn_dealt(void *context, size_t k, int worker, ser_text *answer, ser_error *err)
{
    dealt_networks *d = context;
    (void)worker;
    ser_status st = learn_network(d->out, k, d->data, d->x, &d->alone, d->blocks, d->what, d->state, err);
    if (st == SER_OK)
        ser_network_pack(answer, &d->out->networks[k], &d->out->members[k]);
    return st;
}

static ser_status take_dealt(void *context, size_t k, const void *answer, size_t n, ser_error *err)
{
    dealt_networks *d = context;
    ser_pack_reader r = {.at = answer, .end = (const char *)answer + n};
    return d->out->members[k].net ? SER_OK /* this rank's own */
                                  : ser_network_unpack(&d->out->networks[k], &d->out->members[k], &r, err);
}

static ser_status deal_networks(dealt_networks *d, const ser_learn_settings *s, ser_error *err)
{
    const ser_deal deal = {.n_items = s->n_networks,
                           .n_threads = 1,
                           .work = learn_dealt,
                           .take = take_dealt,
                           .context = d,
                           .progress = s->progress,
                           .what = d->what,
                           .long_items = true};
    d->alone = *s;
    d->alone.team = NULL;
    d->alone.progress = &s->team->within;
    return s->team->deal(s->team->context, &deal, err);
}

static bool is_asked(const ser_learn_settings *s)
{
    return s->n_networks > 0;
}

/* Where layers are to be chosen or weighted, and there is no linear part that did, a head of its own does. */
static ser_status learn(ser_learned *out, void **own, const ser_kind_training *t, ser_error *err)
{
    (void)own;
    examples x = {0};
    const ser_learn_settings *s = t->settings;
    ser_status st = SER_OK;
    if (!out->has_linear && (blocks_are_free(s) || layers_are_weighted(s)))
        st = ser_learn_head(&out->linear, t->data, t->fold, t->test_fold, s, t->what, err);
    if (st != SER_OK)
        return st;
    uint64_t blocks = blocks_are_free(s) ? out->linear.chosen.blocks : 0;
    out->networks = ser_alloc(s->n_networks, sizeof *out->networks);
    out->members = ser_alloc(s->n_networks, sizeof *out->members);
    if (!out->networks || !out->members)
        return ser_fail_nomem(err);
    out->n_networks = s->n_networks;
    st = examples_new(&x, t->data, t->fold, t->test_fold, s, err);
    if (st == SER_OK)
        st = read_chosen(&x, t->data, &out->linear, blocks, s, err);
    dealt_networks d = {
        .out = out, .data = t->data, .x = &x, .blocks = blocks, .what = t->what, .state = t->state};
    bool dealt = s->team && s->n_networks > 1 && !ser_learns_in_step(s);
    if (st == SER_OK && dealt)
        st = deal_networks(&d, s, err);
    bool is_own = ser_team_is_first(s->team) || ser_learns_in_step(s); /* else one network is rank 0's */
    for (size_t k = 0; k < s->n_networks && st == SER_OK && !dealt && is_own; k++)
        st = learn_network(out, k, t->data, &x, s, blocks, t->what, t->state, err);
    examples_release(&x);
    return st;
}

/* ---- answers ---- */

/* Each thread's own. */
typedef struct network_worker {
    ser_nn_work *nn;
    ser_timnet_scorer *scorer;
} network_worker;

static void free_workers(network_worker *w, int n)
{
    for (int i = 0; w && i < n; i++) {
        ser_timnet_scorer_free(&w[i].scorer);
        ser_nn_work_free(&w[i].nn);
    }
    ser_free(w);
}

static ser_status new_workers(network_worker **out, int n, const ser_learned *l, const ser_extractor *e,
                              const ser_nn_ops *ops, ser_error *err)
{
    const ser_timnet_layout layout = ser_timnet_layout_of(e);
    network_worker *w = *out = ser_alloc((size_t)n, sizeof *w);
    ser_status st = w ? SER_OK : ser_fail_nomem(err);
    for (int i = 0; i < n && st == SER_OK; i++) {
        st = ser_nn_work_new(&w[i].nn, ops, 1, err);
        if (st == SER_OK)
            st = ser_timnet_scorer_new(&w[i].scorer, l->members, l->n_networks, &layout, w[i].nn, err);
    }
    return st;
}

/* What networks are asked. */
typedef struct question {
    network_worker *workers;
    const ser_frame_set *frames;
    const int *fold; /* NULL: all are asked */
    int test_fold;
    size_t n_labels, row;
    float *out;  /* (n, n_labels) */
    bool logits; /* of the first network, of the recordings themselves */
    const ser_progress *progress;
    pthread_mutex_t mutex; /* of what follows */
    size_t n_asked, n_done;
    bool cancelled;
} question;

static bool go_on(question *q)
{
    pthread_mutex_lock(&q->mutex);
    q->n_done++;
    q->cancelled = q->cancelled || !ser_progress_report(q->progress, "answers", q->n_done, q->n_asked);
    bool result = !q->cancelled;
    pthread_mutex_unlock(&q->mutex);
    return result;
}

static ser_status ask(void *context, size_t u, int worker, ser_error *err)
{
    question *q = context;
    if (q->fold && q->fold[u] != q->test_fold)
        return SER_OK;
    float *out = q->out + u * q->n_labels;
    const ser_frame_row *row = ser_frame_set_row(q->frames, u, q->row);
    const float *frames = row->x;
    const ser_timnet_batch batch = {.n = 1, .frames = &frames, .n_frames = &row->n_frames};
    ser_timnet_scorer *scorer = q->workers[worker].scorer;
    ser_status st = q->logits ? ser_timnet_logits(scorer, 0, &batch, out, err)
                              : ser_timnet_score(scorer, &batch, out, err);
    return st == SER_OK && !go_on(q) ? ser_fail(err, SER_E_CANCELLED, "interrupted") : st;
}

static ser_status ask_networks(const ser_learned *l, question *q, const ser_learn_data *data,
                               const ser_nn_ops *ops, int n_threads, ser_error *err)
{
    int n = n_threads > 0 ? n_threads : ser_n_cores();
    q->frames = data->frames;
    q->n_labels = l->members[0].net->shape.n_labels;
    for (size_t u = 0; u < data->frames->n; u++)
        q->n_asked += !q->fold || q->fold[u] == q->test_fold;
    pthread_mutex_init(&q->mutex, NULL);
    ser_status st = new_workers(&q->workers, n, l, data->extractor, ops, err);
    if (st == SER_OK)
        st = ser_parallel_for(n, data->frames->n, ask, q, err);
    free_workers(q->workers, n);
    pthread_mutex_destroy(&q->mutex);
    return st;
}

ser_status ser_learned_logits(const ser_learned *l, float *logits, const ser_learn_data *data,
                              const ser_nn_ops *ops, int n_threads, ser_error *err)
{
    question q = {.out = logits, .logits = true};
    return ask_networks(l, &q, data, ops, n_threads, err);
}

static ser_status score(const ser_learned *l, const void *own, float *scores, const ser_kind_question *q,
                        ser_error *err)
{
    (void)own;
    question asked = {.fold = q->fold,
                      .test_fold = q->test_fold,
                      .row = ser_frame_set_test_row(q->data->frames),
                      .out = scores,
                      .progress = q->how.progress};
    return ask_networks(l, &asked, q->data, q->how.ops, q->how.n_threads, err);
}

static size_t n_labels(const ser_learned *l, const void *own)
{
    (void)own;
    return l->members[0].net->shape.n_labels;
}

/* ---- model files ---- */

static uint64_t blocks(const ser_learned *l, const void *own, const ser_extractor *e)
{
    (void)own;
    uint64_t used = 0;
    for (size_t i = 0; i < l->n_networks; i++)
        used |= l->members[i].blocks ? l->members[i].blocks : ser_all_blocks(ser_extractor_n_blocks(e));
    return used;
}

static ser_status save(ser_model_data *m, ser_learned *l, void *own, const ser_kept *kept, ser_error *err)
{
    (void)own;
    if (!(m->networks = ser_alloc(l->n_networks, sizeof *m->networks)))
        return ser_fail_nomem(err);
    m->n_networks = l->n_networks;
    for (size_t i = 0; i < m->n_networks; i++) {
        m->networks[i] = l->members[i];
        if (m->networks[i].blocks) /* else whole frames: then all blocks are kept */
            m->networks[i].blocks = ser_kept_renumber(m->networks[i].blocks, kept);
        l->members[i] = (ser_timnet_member){0};
    }
    return SER_OK;
}

static bool load(ser_learned *l, void **own, const ser_model_data *m)
{
    (void)own;
    l->members = m->networks;
    l->n_networks = m->n_networks;
    return l->n_networks > 0;
}

const ser_model_kind ser_kind_timnet = {.name = "timnet",
                                        .is_asked = is_asked,
                                        .learn = learn,
                                        .n_labels = n_labels,
                                        .score = score,
                                        .describe = ser_describe_choice,
                                        .blocks = blocks,
                                        .save = save,
                                        .load = load};

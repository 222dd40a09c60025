#include "learn/crops.h"
#include "audio/audio.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "base/threads.h"
#include "data/sound.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

ser_crops_settings ser_crops_default_settings(void)
{
    return (ser_crops_settings){.variety = ser_variety_default(),
                                .neutral = 3,
                                .speaker_exponent = 0.5,
                                .votes_share = 0.5,
                                .max_samples = 3 * SER_SAMPLE_RATE_HZ,
                                .n_rooms = 64,
                                .seed = 46};
}

/* ---- the sound of all recordings ---- */

static const char WHAT[] = "the sound of the recordings";

typedef struct intake {
    ser_crops *crops;
    size_t n_done, n_samples; /* so far */
    pthread_mutex_t mutex;
    bool cancelled;
} intake;

static size_t reserve(intake *in, size_t u, size_t n)
{
    pthread_mutex_lock(&in->mutex);
    size_t first = in->crops->first[u] = in->n_samples;
    in->n_samples += n;
    in->n_done++;
    in->cancelled = in->cancelled || !ser_progress_report(in->crops->settings.progress, "decoding",
                                                          in->n_done, in->crops->rows.n);
    pthread_mutex_unlock(&in->mutex);
    return first;
}

/* ser_sound_work */
static ser_status take_in(void *context, size_t u, ser_sound *sound, int worker, ser_error *err)
{
    intake *in = context;
    (void)worker;
    ser_status st = ser_sound_decode(sound, err);
    if (st != SER_OK)
        return st;
    size_t n = in->crops->n_samples[u] = sound->n_samples;
    int16_t *rounded = ser_alloc(n, sizeof *rounded);
    if (!rounded)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < n; i++)
        rounded[i] = (int16_t)lrintf(fminf(fmaxf(sound->pcm[i] * 32768, -32768), 32767));
    ser_sha256_of(in->crops->sha256[u], sound->pcm, n * sizeof *sound->pcm);
    st = ser_scratch_write(&in->crops->scratch, WHAT, rounded, n * sizeof *rounded,
                           reserve(in, u, n) * sizeof *rounded, err);
    ser_free(rounded);
    return st == SER_OK && in->cancelled ? ser_fail(err, SER_E_CANCELLED, "interrupted") : st;
}

static ser_status decode_all(ser_crops *c, ser_error *err)
{
    intake in = {.crops = c};
    pthread_mutex_init(&in.mutex, NULL);
    ser_status st = ser_scratch_open(&c->scratch, WHAT, err);
    if (st == SER_OK)
        st = ser_sound_for_each(c->corpus, c->settings.n_threads, take_in, &in, err);
    if (st == SER_OK)
        st = ser_scratch_map(&c->scratch, in.n_samples * sizeof *c->sound, err);
    c->sound = c->scratch.data;
    pthread_mutex_destroy(&in.mutex);
    return st;
}

/* ---- targets ---- */

static ser_status fill_targets(ser_crops *c, ser_error *err)
{
    const ser_corpus *corpus = c->corpus;
    size_t n_labels = corpus->n_labels;
    for (size_t u = 0; u < corpus->n_utterances; u++) {
        const ser_utterance *utterance = &corpus->utterances[u];
        const float *votes = corpus->votes ? corpus->votes + u * n_labels : NULL;
        float *target = c->target + u * n_labels;
        double n_votes = 0;
        for (size_t l = 0; l < n_labels; l++) {
            bool possible = corpus->parts[utterance->part].emotions >> l & 1;
            c->mask[u * n_labels + l] = possible;
            n_votes += votes && possible ? (double)votes[l] : 0;
        }
        if (utterance->label < 0)
            return ser_fail(err, SER_E_FORMAT, "%s: its emotion is unknown: nothing can be learned from it",
                            utterance->file);
        double share = n_votes > 0 ? c->settings.votes_share : 0;
        for (size_t l = 0; l < n_labels; l++)
            if (share > 0 && c->mask[u * n_labels + l])
                target[l] = (float)(share * (double)votes[l] / n_votes);
        target[utterance->label] += (float)(1 - share);
        c->names[u] = utterance->file;
    }
    return SER_OK;
}

/* ---- who is drawn how often ---- */

/* Recordings of a group, counted by its number: corpora, emotions of a corpus, speakers of an emotion of a
 * corpus. */
typedef struct groups {
    size_t *corpus, *emotion, *speaker; /* recordings in each */
    double *emotion_sum,
        *speaker_sum; /* powers of them, over the emotions of a corpus, the speakers of an emotion */
    size_t n_parts, n_labels, n_speakers;
} groups;

static size_t emotion_of(const groups *g, const ser_utterance *u)
{
    return (size_t)u->part * g->n_labels + (size_t)u->label;
}

/* Recordings whose speaker is unknown are one speaker's. */
static size_t speaker_of(const groups *g, const ser_utterance *u)
{
    return emotion_of(g, u) * g->n_speakers + (u->speaker < 0 ? g->n_speakers - 1 : (size_t)u->speaker);
}

/* A group's weight beside the other emotions of its corpus. */
static double emotion_weight(const groups *g, const ser_crops *c, size_t e)
{
    double times = strcmp(c->corpus->labels[e % g->n_labels], "neutral") == 0 ? c->settings.neutral : 1;
    return times * pow((double)g->emotion[e], c->settings.emotion_exponent);
}

static void count(groups *g, const ser_crops *c, const ser_crops_settings *s)
{
    for (size_t i = 0; i < c->n_learned; i++) {
        const ser_utterance *u = &c->corpus->utterances[c->learned[i]];
        g->corpus[u->part]++;
        g->emotion[emotion_of(g, u)]++;
        g->speaker[speaker_of(g, u)]++;
    }
    for (size_t e = 0; e < g->n_parts * g->n_labels; e++) {
        if (g->emotion[e])
            g->emotion_sum[e / g->n_labels] += emotion_weight(g, c, e);
        for (size_t k = 0; k < g->n_speakers; k++)
            if (g->speaker[e * g->n_speakers + k])
                g->speaker_sum[e] += pow((double)g->speaker[e * g->n_speakers + k], s->speaker_exponent);
    }
}

static double weight_of(const groups *g, const ser_crops *c, const ser_utterance *u)
{
    const ser_crops_settings *s = &c->settings;
    size_t e = emotion_of(g, u), k = speaker_of(g, u);
    return pow((double)g->corpus[u->part], s->corpus_exponent) * emotion_weight(g, c, e) /
           g->emotion_sum[u->part] * pow((double)g->speaker[k], s->speaker_exponent) / g->speaker_sum[e] /
           (double)g->speaker[k];
}

ser_status ser_crops_select(ser_crops *c, const int *fold, int test_fold, ser_error *err)
{
    const ser_corpus *corpus = c->corpus;
    groups g = {
        .n_parts = corpus->n_parts, .n_labels = corpus->n_labels, .n_speakers = corpus->n_speakers + 1};
    size_t n_emotions = g.n_parts * g.n_labels;
    c->n_learned = 0;
    for (size_t u = 0; u < corpus->n_utterances; u++) {
        c->weight[u] = 0;
        if (!fold || fold[u] != test_fold)
            c->learned[c->n_learned++] = u;
    }
    if (!c->n_learned)
        return ser_fail(err, SER_E_ARG, "no recording is left to learn from");
    g.corpus = ser_alloc(g.n_parts, sizeof *g.corpus);
    g.emotion = ser_alloc(n_emotions, sizeof *g.emotion);
    g.speaker = ser_alloc(n_emotions, g.n_speakers * sizeof *g.speaker);
    g.emotion_sum = ser_alloc(g.n_parts, sizeof *g.emotion_sum);
    g.speaker_sum = ser_alloc(n_emotions, sizeof *g.speaker_sum);
    bool enough = g.corpus && g.emotion && g.speaker && g.emotion_sum && g.speaker_sum;
    if (enough)
        count(&g, c, &c->settings);
    for (size_t i = 0; enough && i < c->n_learned; i++)
        c->weight[c->learned[i]] = weight_of(&g, c, &corpus->utterances[c->learned[i]]);
    ser_free(g.corpus);
    ser_free(g.emotion);
    ser_free(g.speaker);
    ser_free(g.emotion_sum);
    ser_free(g.speaker_sum);
    return enough ? SER_OK : ser_fail_nomem(err);
}

/* ---- a crop ---- */

static ser_recorded recorded(const ser_crops *c, size_t row)
{
    return (ser_recorded){c->sound + c->first[row], c->n_samples[row]};
}

static size_t draw_crop(const ser_crops *c, float *pcm, size_t row, int worker, ser_random *r)
{
    enum { N_OTHERS = 3 };
    ser_recorded others[N_OTHERS];
    for (int i = 0; i < N_OTHERS; i++)
        others[i] = recorded(c, c->learned[ser_random_below(r, c->n_learned)]);
    return ser_vary(c->workers[worker], pcm, recorded(c, row), others, N_OTHERS, &c->settings.variety, r);
}

static double level_of(const float *pcm, size_t n)
{
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += (double)(pcm[i] * pcm[i]);
    return sqrt(squares / (double)n);
}

/* The partner is read round and round, and as loud as the crop, so that its share is what is heard of it.
 * What either's corpus could have said is possible. */
static void mix(const ser_crops *c, float *pcm, size_t n, float *target, bool *mask, int worker,
                ser_random *r)
{
    size_t n_labels = c->rows.n_labels, row = c->learned[ser_random_below(r, c->n_learned)];
    float *partner = c->partners + (size_t)worker * c->settings.max_samples;
    float share = (float)ser_random_share(r, c->settings.mixup);
    size_t n_partner = draw_crop(c, partner, row, worker, r);
    double own = level_of(pcm, n), other = level_of(partner, n_partner);
    float gain = other > 0 ? (1 - share) * (float)(own / other) : 0;
    for (size_t i = 0; i < n; i++)
        pcm[i] = share * pcm[i] + gain * partner[i % n_partner];
    for (size_t l = 0; l < n_labels; l++) {
        target[l] = share * target[l] + (1 - share) * c->target[row * n_labels + l];
        mask[l] = mask[l] || c->mask[row * n_labels + l];
    }
}

/* ser_tune_read */
static ser_status read_crop(void *context, size_t row, uint64_t draw, int worker, float *pcm, size_t capacity,
                            size_t *n_samples, float *target, bool *mask, ser_error *err)
{
    const ser_crops *c = context;
    ser_random r;
    char stream[64];
    if (!draw) { /* as it is */
        size_t n = c->n_samples[row] < capacity ? c->n_samples[row] : capacity;
        const int16_t *from = c->sound + c->first[row];
        for (size_t i = 0; i < n; i++)
            pcm[i] = (float)from[i] * (1.0f / 32768);
        *n_samples = n;
        snprintf(stream, sizeof stream, "condition/%zu", row);
        ser_random_init(&r, ser_random_derive(c->settings.seed, stream));
        return ser_condition_apply(pcm, n, c->condition, &r, err);
    }
    if (capacity < c->settings.max_samples)
        return ser_fail(err, SER_E_ARG, "crops of %zu samples, and room for %zu", c->settings.max_samples,
                        capacity);
    snprintf(stream, sizeof stream, "crop/%llu/%zu", (unsigned long long)draw, row);
    ser_random_init(&r, ser_random_derive(c->settings.seed, stream));
    *n_samples = draw_crop(c, pcm, row, worker, &r);
    if (c->settings.mixup > 0 && draw < SER_CROPS_APART)
        mix(c, pcm, *n_samples, target, mask, worker, &r);
    return SER_OK;
}

/* ---- all of it ---- */

static ser_status reserve_rows(ser_crops *c, ser_error *err)
{
    size_t n = c->rows.n, n_labels = c->rows.n_labels;
    c->n_workers = c->settings.n_threads ? c->settings.n_threads : ser_n_cores();
    c->first = ser_alloc(n, sizeof *c->first);
    c->n_samples = ser_alloc(n, sizeof *c->n_samples);
    c->sha256 = ser_alloc(n, sizeof *c->sha256);
    c->target = ser_alloc(n, n_labels * sizeof *c->target);
    c->mask = ser_alloc(n, n_labels * sizeof *c->mask);
    c->weight = ser_alloc(n, sizeof *c->weight);
    c->learned = ser_alloc(n, sizeof *c->learned);
    c->names = ser_alloc(n, sizeof *c->names);
    c->workers = ser_alloc((size_t)c->n_workers, sizeof *c->workers);
    if (c->settings.mixup > 0) {
        c->partners = ser_alloc((size_t)c->n_workers, c->settings.max_samples * sizeof *c->partners);
        if (!c->partners)
            return ser_fail_nomem(err);
    }
    if (!c->first || !c->n_samples || !c->sha256 || !c->target || !c->mask || !c->weight || !c->learned ||
        !c->names || !c->workers)
        return ser_fail_nomem(err);
    c->rows.n_samples = c->n_samples;
    c->rows.target = c->target;
    c->rows.mask = c->mask;
    c->rows.weight = c->weight;
    c->rows.name = c->names;
    c->rows.read = read_crop;
    c->rows.context = c;
    return SER_OK;
}

ser_status ser_crops_new(ser_crops **out, const ser_corpus *corpus, const ser_crops_settings *settings,
                         ser_error *err)
{
    ser_crops *c = *out = ser_alloc(1, sizeof *c);
    if (!c)
        return ser_fail_nomem(err);
    c->corpus = corpus;
    c->scratch.fd = -1;
    c->settings = *settings;
    c->rows.n = corpus->n_utterances;
    c->rows.n_labels = corpus->n_labels;
    ser_status st = reserve_rows(c, err);
    if (st == SER_OK)
        st = fill_targets(c, err);
    if (st == SER_OK)
        st = ser_rooms_new(&c->rooms, settings->n_rooms, settings->seed, err);
    for (int i = 0; st == SER_OK && i < c->n_workers; i++)
        st = ser_vary_work_new(&c->workers[i], settings->max_samples, c->rooms, err);
    if (st == SER_OK)
        st = decode_all(c, err);
    if (st == SER_OK)
        st = ser_crops_select(c, NULL, -1, err);
    if (st != SER_OK)
        ser_crops_free(out);
    return st;
}

void ser_crops_free(ser_crops **crops)
{
    ser_crops *c = crops ? *crops : NULL;
    if (!c)
        return;
    ser_scratch_close(&c->scratch);
    for (int i = 0; c->workers && i < c->n_workers; i++)
        ser_vary_work_free(&c->workers[i]);
    ser_rooms_free(&c->rooms);
    ser_free(c->workers);
    ser_free(c->partners);
    ser_free(c->first);
    ser_free(c->n_samples);
    ser_free(c->sha256);
    ser_free(c->target);
    ser_free(c->mask);
    ser_free(c->weight);
    ser_free(c->learned);
    ser_free(c->names);
    ser_free(c);
    *crops = NULL;
}

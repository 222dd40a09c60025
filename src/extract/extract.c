#include "extract/extract.h"
#include "base/memory.h"
#include "base/threads.h"
#include "features/mel.h"

#include <string.h>

struct ser_extractor {
    ser_feature_spec spec;
    const ser_encoder *encoders[SER_MAX_PARTS]; /* of each part; NULL: none */
    ser_mel *mel;                               /* of LOGMEL and MFCC */
    float *dct;                                 /* (SER_MFCC_DIMS, SER_LOGMEL_DIMS) */
    size_t part_dims[SER_MAX_PARTS], dims;
};

struct ser_extractor_work {
    ser_mel_work *mel_work;
    ser_encoder_work *encoder_works[SER_MAX_PARTS]; /* as the encoders */
    float *pcm; /* one window, and a sample more; from the first recording on that is read */
    ser_frame_room room;
    int n_threads;
};

/* ---- what is shared ---- */

/* Part i, which encoder (or NULL) computes; dims: of one hidden state. */
static ser_status add_encoder(ser_extractor *e, size_t i, const ser_encoder *encoder, size_t *dims,
                              ser_error *err)
{
    const ser_feature_part *p = &e->spec.parts[i];
    if (!encoder)
        return ser_fail(err, SER_E_ARG, "%s features need an encoder: name its folder with --encoder",
                        ser_feature_kind_name(p->kind));
    if (!p->n_layers)
        return ser_fail(err, SER_E_ARG, "no layer of %s is chosen: use --layers",
                        ser_feature_kind_name(p->kind));
    ser_encoder_info info;
    size_t part;
    ser_encoder_get_info(encoder, &info);
    ser_feature_spec alone = {.parts = {*p}, .n_parts = 1};
    ser_status st = ser_feature_spec_part_of(&part, &alone, info.model_type, err);
    for (size_t k = 0; k < p->n_layers && st == SER_OK; k++)
        if (p->layers[k] > info.n_loaded)
            st = ser_fail(err, SER_E_ARG, "layer %d does not exist: this encoder has hidden states 0 to %d",
                          p->layers[k], info.n_loaded);
    if (st == SER_OK && e->spec.hop_samples != SER_DEFAULT_HOP)
        st = ser_fail(err, SER_E_ARG, "--hop-length %d beside an encoder: its frames come every %d samples",
                      e->spec.hop_samples, SER_DEFAULT_HOP);
    e->encoders[i] = encoder;
    *dims = info.dims;
    return st;
}

static ser_status init_mel(ser_extractor *e, ser_feature_kind kind, ser_error *err)
{
    ser_mel_settings settings = ser_logmel_settings(e->spec.hop_samples);
    ser_status st = e->mel ? SER_OK : ser_mel_new(&e->mel, &settings, err);
    if (st == SER_OK && kind == SER_FEATURE_MFCC)
        st = ser_dct_new(&e->dct, SER_MFCC_DIMS, SER_LOGMEL_DIMS, err);
    return st;
}

ser_status ser_extractor_new_joined(ser_extractor **out, const ser_feature_spec *spec,
                                    const ser_encoder *const *encoders, size_t n_encoders, ser_error *err)
{
    *out = NULL;
    ser_status st = SER_OK;
    ser_extractor *e = ser_alloc(1, sizeof *e);
    if (!e)
        return ser_fail_nomem(err);
    e->spec = *spec;
    for (size_t i = 0, n_used = 0; i < spec->n_parts && st == SER_OK; i++) {
        const ser_feature_part *p = &spec->parts[i];
        size_t dims = p->kind == SER_FEATURE_LOGMEL ? SER_LOGMEL_DIMS : SER_MFCC_DIMS;
        if (ser_feature_kind_is_encoder(p->kind)) {
            st = add_encoder(e, i, n_used < n_encoders ? encoders[n_used] : NULL, &dims, err);
            n_used++;
            dims *= p->n_layers;
        } else {
            st = init_mel(e, p->kind, err);
        }
        e->part_dims[i] = dims;
        e->dims += dims;
    }
    if (st != SER_OK) {
        ser_extractor_free(&e);
        return st;
    }
    *out = e;
    return SER_OK;
}

ser_status ser_extractor_new(ser_extractor **out, const ser_feature_spec *spec, const ser_encoder *encoder,
                             ser_error *err)
{
    return ser_extractor_new_joined(out, spec, &encoder, 1, err);
}

void ser_extractor_free(ser_extractor **e)
{
    if (!e || !*e)
        return;
    ser_mel_free(&(*e)->mel);
    ser_free((*e)->dct);
    ser_free(*e);
    *e = NULL;
}

const ser_feature_spec *ser_extractor_spec(const ser_extractor *e)
{
    return &e->spec;
}

size_t ser_extractor_dims(const ser_extractor *e)
{
    return e->dims;
}

double ser_extractor_frames_per_s(const ser_extractor *e)
{
    return (double)SER_SAMPLE_RATE_HZ / e->spec.hop_samples;
}

static size_t n_blocks_of(const ser_feature_part *p)
{
    return ser_feature_kind_is_encoder(p->kind) ? p->n_layers : 1;
}

size_t ser_extractor_n_blocks(const ser_extractor *e)
{
    size_t n = 0;
    for (size_t i = 0; i < e->spec.n_parts; i++)
        n += n_blocks_of(&e->spec.parts[i]);
    return n;
}

void ser_extractor_block(const ser_extractor *e, size_t block, size_t *offset, size_t *dims)
{
    *offset = 0;
    for (size_t i = 0; i < e->spec.n_parts; i++) {
        size_t n = n_blocks_of(&e->spec.parts[i]);
        *dims = e->part_dims[i] / n;
        if (block < n) {
            *offset += block * *dims;
            return;
        }
        *offset += e->part_dims[i];
        block -= n;
    }
}

bool ser_extractor_block_is_encoder(const ser_extractor *e, size_t block)
{
    size_t part = 0;
    for (; block >= n_blocks_of(&e->spec.parts[part]); part++)
        block -= n_blocks_of(&e->spec.parts[part]);
    return ser_feature_kind_is_encoder(e->spec.parts[part].kind);
}

static void pool_column(float *column, size_t n, size_t stride)
{
    double sum = 0;
    for (size_t t = 0; t < n; t++)
        sum += column[t * stride];
    float mean = (float)(sum / (double)n);
    for (size_t t = 0; t < n; t++)
        column[t * stride] = mean;
}

void ser_extractor_pool_encoder(const ser_extractor *e, float *x, size_t n)
{
    for (size_t b = 0; b < ser_extractor_n_blocks(e); b++) {
        size_t offset, dims = 0;
        ser_extractor_block(e, b, &offset, &dims);
        for (size_t i = 0; ser_extractor_block_is_encoder(e, b) && i < dims; i++)
            pool_column(x + offset + i, n, ser_extractor_dims(e));
    }
}

/* ---- what belongs to one thread ---- */

ser_status ser_extractor_work_new(ser_extractor_work **out, const ser_extractor *e, int n_threads,
                                  ser_error *err)
{
    *out = NULL;
    ser_status st = SER_OK;
    ser_extractor_work *w = ser_alloc(1, sizeof *w);
    if (!w)
        return ser_fail_nomem(err);
    w->n_threads = n_threads > 0 ? n_threads : ser_n_cores();
    if (e->mel)
        st = ser_mel_work_new(&w->mel_work, e->mel, err);
    for (size_t i = 0; i < e->spec.n_parts && st == SER_OK; i++)
        if (e->encoders[i])
            st = ser_encoder_work_new(&w->encoder_works[i], e->encoders[i], n_threads, err);
    if (st != SER_OK) {
        ser_extractor_work_free(&w);
        return st;
    }
    *out = w;
    return SER_OK;
}

void ser_extractor_work_free(ser_extractor_work **w)
{
    if (!w || !*w)
        return;
    ser_mel_work_free(&(*w)->mel_work);
    for (size_t i = 0; i < SER_MAX_PARTS; i++)
        ser_encoder_work_free(&(*w)->encoder_works[i]);
    ser_frame_room_release(&(*w)->room);
    ser_free((*w)->pcm);
    ser_free(*w);
    *w = NULL;
}

int ser_extractor_work_threads(const ser_extractor_work *w)
{
    return w->n_threads;
}

void ser_frame_room_release(ser_frame_room *r)
{
    for (size_t i = 0; i < SER_MAX_PARTS; i++)
        ser_free(r->part[i]);
    ser_free(r->log_mel);
    ser_free(r->frames);
    ser_free(r->level);
    ser_free(r->active);
    *r = (ser_frame_room){0};
}

/* Buffers grow with the longest window seen, so that short recordings stay cheap. */
static ser_status reserve_frames(const ser_extractor *e, ser_frame_room *r, size_t n_frames, ser_error *err)
{
    if (n_frames <= r->capacity)
        return SER_OK;
    r->capacity = 0;
    enum { N_OWN = 3 };
    float **buffers[N_OWN + SER_MAX_PARTS] = {&r->frames, &r->log_mel, &r->level};
    size_t dims[N_OWN + SER_MAX_PARTS] = {e->dims, e->mel ? SER_LOGMEL_DIMS : 0, 1};
    for (size_t i = 0; i < e->spec.n_parts; i++) {
        buffers[N_OWN + i] = &r->part[i];
        dims[N_OWN + i] = e->part_dims[i];
    }
    ser_free(r->active);
    if (!(r->active = ser_alloc(n_frames, 1)))
        return ser_fail_nomem(err);
    for (size_t i = 0; i < N_OWN + e->spec.n_parts; i++) {
        size_t n;
        ser_free(*buffers[i]);
        *buffers[i] = ser_mul_size(&n, n_frames, dims[i]) ? ser_alloc(n, sizeof(float)) : NULL;
        if (!*buffers[i])
            return ser_fail_nomem(err);
    }
    r->capacity = n_frames;
    return SER_OK;
}

/* ---- one window ---- */

typedef struct window {
    const float *pcm;
    size_t n_samples;
    size_t from, to; /* frames that are asked for; to SIZE_MAX: until the last one */
    float
        log_mel_max; /* power, of the whole recording; 0: the window is the whole recording, or nobody asks */
} window;

static float max_of(const float *x, size_t n)
{
    float max = 0;
    for (size_t i = 0; i < n; i++)
        max = x[i] > max ? x[i] : max;
    return max;
}

/* power_to_db clamps at 80 dB below the recording's maximum: one extra value brings in a maximum that lies in
 * another window (the buffer has room for it: see window_frames). */
static void window_log_mel(ser_extractor_work *w, const window *win, size_t n_frames)
{
    size_t n = n_frames * SER_LOGMEL_DIMS;
    w->room.log_mel[n] = win->log_mel_max;
    ser_features_power_to_db(w->room.log_mel, n + 1);
}

static ser_status run_parts(const ser_extractor *e, ser_extractor_work *w, const window *win,
                            size_t *n_frames, ser_error *err)
{
    size_t n_mel = 0;
    *n_frames = SIZE_MAX;
    if (e->mel) {
        n_mel = ser_mel_n_frames(e->mel, win->n_samples);
        ser_mel_run(e->mel, w->mel_work, w->room.log_mel, win->pcm, win->n_samples);
        window_log_mel(w, win, n_mel);
        *n_frames = n_mel;
    }
    for (size_t i = 0; i < e->spec.n_parts; i++) {
        const ser_feature_part *p = &e->spec.parts[i];
        if (p->kind == SER_FEATURE_LOGMEL) {
            memcpy(w->room.part[i], w->room.log_mel, n_mel * SER_LOGMEL_DIMS * sizeof(float));
        } else if (p->kind == SER_FEATURE_MFCC) {
            ser_features_mfcc(w->room.part[i], w->room.log_mel, e->dct, n_mel, SER_LOGMEL_DIMS,
                              SER_MFCC_DIMS);
        } else {
            size_t n_padded = (size_t)e->spec.pad_s * SER_SAMPLE_RATE_HZ;
            size_t n =
                ser_encoder_n_frames(e->encoders[i], n_padded > win->n_samples ? n_padded : win->n_samples);
            ser_status st = ser_encoder_run_frames(e->encoders[i], w->encoder_works[i], w->room.part[i],
                                                   win->pcm, win->n_samples, n_padded, win->from, win->to,
                                                   p->layers, p->n_layers, err);
            if (st != SER_OK)
                return st;
            *n_frames = n < *n_frames ? n : *n_frames;
        }
    }
    return SER_OK;
}

/* How many rows a window's buffers need. */
static size_t window_frames(const ser_extractor *e, size_t n_samples)
{
    size_t n_padded = (size_t)e->spec.pad_s * SER_SAMPLE_RATE_HZ, n = 0;
    if (n_padded < n_samples)
        n_padded = n_samples;
    if (e->mel)
        n = ser_mel_n_frames(e->mel, n_samples) + 1; /* + 1: see window_log_mel */
    for (size_t i = 0; i < e->spec.n_parts; i++) {
        size_t n_encoder = e->encoders[i] ? ser_encoder_n_frames(e->encoders[i], n_padded) : 0;
        n = n_encoder > n ? n_encoder : n;
    }
    return n;
}

/* The stretch of a frame is its hop and half a hop before: what an encoder's frame mostly sees. */
static void find_active(const ser_extractor *e, ser_extractor_work *w, const window *win, size_t n_frames)
{
    static const float threshold = 3.1623e-4f; /* 35 dB */
    size_t hop = (size_t)e->spec.hop_samples;
    for (size_t t = 0; t < n_frames; t++) {
        size_t from = t * hop < hop / 2 ? 0 : t * hop - hop / 2, to = (t + 1) * hop;
        if (to > win->n_samples)
            to = win->n_samples;
        float sum = 0;
        for (size_t i = from; i < to; i++)
            sum += win->pcm[i] * win->pcm[i];
        w->room.level[t] = from < to ? sum / (float)(to - from) : 0;
    }
    float max = max_of(w->room.level, n_frames);
    for (size_t t = 0; t < n_frames; t++)
        w->room.active[t] = w->room.level[t] >= max * threshold;
}

static ser_status emit_window(const ser_extractor *e, ser_extractor_work *w, const window *win,
                              ser_frames_fn receive, void *context, ser_error *err)
{
    size_t n_frames;
    ser_status st = reserve_frames(e, &w->room, window_frames(e, win->n_samples), err);
    if (st == SER_OK)
        st = run_parts(e, w, win, &n_frames, err);
    if (st != SER_OK)
        return st;
    size_t from = win->from, to = win->to < n_frames ? win->to : n_frames;
    if (from >= to)
        return SER_OK;
    find_active(e, w, win, n_frames);
    ser_frames frames = {
        .x = w->room.part[0] + from * e->dims, .active = w->room.active + from, .n = to - from};
    if (e->spec.n_parts > 1) {
        for (size_t t = from; t < to; t++) {
            float *row = w->room.frames + (t - from) * e->dims;
            for (size_t i = 0; i < e->spec.n_parts; row += e->part_dims[i++])
                memcpy(row, w->room.part[i] + t * e->part_dims[i], e->part_dims[i] * sizeof(float));
        }
        frames.x = w->room.frames;
    }
    return receive(context, &frames, err);
}

/* ---- a recording ---- */

typedef ser_status (*window_fn)(const ser_extractor *e, ser_extractor_work *w, const window *win,
                                void *context, ser_error *err);

/* Window after window in w->pcm, of which n_have samples are there already. One sample more than a window is
 * asked for, because only that tells whether the window is the last. */
static ser_status for_each_window(const ser_extractor *e, ser_extractor_work *w, const ser_pcm_source *source,
                                  size_t n_have, float log_mel_max, window_fn run, void *context,
                                  ser_error *err)
{
    size_t hop = (size_t)e->spec.hop_samples;
    size_t advance = (SER_WINDOW_SAMPLES - SER_WINDOW_OVERLAP) / hop; /* frames from one window to the next */
    size_t margin = (SER_WINDOW_SAMPLES / hop - advance) / 2;         /* half the overlap */
    for (bool first = true;; first = false) {
        size_t n_read = 0, n_wanted = SER_WINDOW_SAMPLES + 1 - n_have;
        ser_status st = SER_OK;
        if (n_wanted)
            st = source->read(source->context, w->pcm + n_have, n_wanted, &n_read, err);
        if (st != SER_OK)
            return st;
        n_have += n_read;
        bool last = n_have <= SER_WINDOW_SAMPLES;
        const window win = {.pcm = w->pcm,
                            .n_samples = last ? n_have : SER_WINDOW_SAMPLES,
                            .from = first ? 0 : margin,
                            .to = last ? SIZE_MAX : advance + margin,
                            .log_mel_max = log_mel_max};
        if ((st = run(e, w, &win, context, err)) != SER_OK || last)
            return st;
        n_have -= advance * hop;
        memmove(w->pcm, w->pcm + advance * hop, n_have * sizeof *w->pcm);
    }
}

static ser_status measure_window(const ser_extractor *e, ser_extractor_work *w, const window *win,
                                 void *context, ser_error *err)
{
    float *max = context;
    ser_status st = reserve_frames(e, &w->room, window_frames(e, win->n_samples), err);
    if (st != SER_OK)
        return st;
    size_t n = ser_mel_n_frames(e->mel, win->n_samples);
    ser_mel_run(e->mel, w->mel_work, w->room.log_mel, win->pcm, win->n_samples);
    float window_max = max_of(w->room.log_mel, n * SER_LOGMEL_DIMS);
    *max = window_max > *max ? window_max : *max;
    return SER_OK;
}

typedef struct receiver {
    ser_frames_fn receive;
    void *context;
} receiver;

static ser_status emit_to_receiver(const ser_extractor *e, ser_extractor_work *w, const window *win,
                                   void *context, ser_error *err)
{
    receiver *r = context;
    return emit_window(e, w, win, r->receive, r->context, err);
}

ser_status ser_extract(const ser_extractor *e, ser_extractor_work *w, const ser_pcm_source *source,
                       ser_frames_fn receive, void *context, ser_error *err)
{
    receiver r = {receive, context};
    size_t n_read = 0;
    if (!w->pcm && !(w->pcm = ser_alloc(SER_WINDOW_SAMPLES + 1, sizeof *w->pcm)))
        return ser_fail_nomem(err);
    ser_status st = source->read(source->context, w->pcm, SER_WINDOW_SAMPLES + 1, &n_read, err);
    if (st != SER_OK)
        return st;
    if (!e->mel || n_read <= SER_WINDOW_SAMPLES)
        return for_each_window(e, w, source, n_read, 0, emit_to_receiver, &r, err);
    /* Log-mel is clamped below the whole recording's maximum, so a long one is heard twice. */
    float max = 0;
    st = for_each_window(e, w, source, n_read, 0, measure_window, &max, err);
    if (st == SER_OK)
        st = source->rewind(source->context, err);
    if (st != SER_OK)
        return st;
    return for_each_window(e, w, source, 0, max, emit_to_receiver, &r, err);
}

/* ---- windows that the caller cuts ---- */

static ser_status keep_frames(void *context, const ser_frames *frames, ser_error *err)
{
    (void)err;
    *(ser_frames *)context = *frames;
    return SER_OK;
}

ser_status ser_extract_cut(const ser_extractor *e, ser_extractor_work *w, ser_cut *cut, ser_frame_room *room,
                           ser_error *err)
{
    const window win = {.pcm = cut->pcm,
                        .n_samples = cut->n_samples,
                        .from = cut->from,
                        .to = cut->to,
                        .log_mel_max = cut->log_mel_max};
    const ser_frame_room own = w->room;
    if (room)
        w->room = *room;
    cut->frames = (ser_frames){0};
    ser_status st = emit_window(e, w, &win, keep_frames, &cut->frames, err);
    if (room) {
        *room = w->room;
        w->room = own;
    }
    return st;
}

ser_status ser_extract_window(const ser_extractor *e, ser_extractor_work *w, const float *pcm,
                              size_t n_samples, float log_mel_max, ser_frames *frames, ser_error *err)
{
    ser_cut whole = {.pcm = pcm, .n_samples = n_samples, .log_mel_max = log_mel_max, .to = SIZE_MAX};
    ser_status st = ser_extract_cut(e, w, &whole, NULL, err);
    *frames = whole.frames;
    return st;
}

bool ser_extractor_has_log_mel(const ser_extractor *e)
{
    return e->mel != NULL;
}

ser_status ser_extract_log_mel_max(const ser_extractor *e, ser_extractor_work *w, const float *pcm,
                                   size_t n_samples, float *max, ser_error *err)
{
    const window win = {.pcm = pcm, .n_samples = n_samples};
    *max = 0;
    return measure_window(e, w, &win, max, err);
}

/* ---- samples in memory ---- */

static ser_status read_memory(void *context, float *pcm, size_t n_max, size_t *n_read, ser_error *err)
{
    (void)err;
    ser_pcm_memory *m = context;
    size_t n_left = m->n_samples - m->at;
    *n_read = n_left < n_max ? n_left : n_max;
    if (*n_read)
        memcpy(pcm, m->pcm + m->at, *n_read * sizeof *pcm);
    m->at += *n_read;
    return SER_OK;
}

static ser_status rewind_memory(void *context, ser_error *err)
{
    (void)err;
    ((ser_pcm_memory *)context)->at = 0;
    return SER_OK;
}

ser_pcm_source ser_pcm_from_memory(ser_pcm_memory *m)
{
    return (ser_pcm_source){read_memory, rewind_memory, m};
}

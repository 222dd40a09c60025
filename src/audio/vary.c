#include "audio/vary.h"
#include "audio/audio.h"
#include "audio/augment.h"
#include "audio/room.h"
#include "base/memory.h"

#include <kiss_fft.h>
#include <math.h>
#include <string.h>

enum { ROOM_SAMPLES = SER_SAMPLE_RATE_HZ / 2, CODEC_FFT = 512, N_OCTAVES = 6 };

struct ser_rooms {
    float *responses; /* (n, ROOM_SAMPLES) */
    size_t n;
};

struct ser_vary_work {
    const ser_rooms *rooms;
    size_t max_samples, n_fft;
    kiss_fft_cfg forward, inverse, codec_forward, codec_inverse;
    kiss_fft_cpx *in, *out; /* (n_fft): the crop as real part, the room as imaginary one; their spectra */
    float *gains, *other;   /* (n_fft / 2 + 1); (max_samples) */
    float window[CODEC_FFT], *overlapped; /* (max_samples + CODEC_FFT) */
    kiss_fft_cpx frame[CODEC_FFT], spectrum[CODEC_FFT];
};

ser_variety ser_variety_default(void)
{
    return (ser_variety){.speed = 0.7,
                         .equalise = 0.5,
                         .telephone = 0.12,
                         .low_pass = 0.4,
                         .room = 0.3,
                         .noise = 0.4,
                         .babble = 0.1,
                         .gain = 0.8,
                         .clip = 0.15,
                         .steps = 0.1,
                         .codec = 0.1};
}

/* ---- rooms ---- */

ser_status ser_rooms_new(ser_rooms **out, size_t n, uint64_t seed, ser_error *err)
{
    ser_random r;
    size_t n_values;
    ser_rooms *rooms = *out = ser_alloc(1, sizeof *rooms);
    if (rooms && ser_mul_size(&n_values, n, ROOM_SAMPLES))
        rooms->responses = ser_alloc(n_values, sizeof *rooms->responses);
    if (!rooms || !rooms->responses) {
        ser_rooms_free(out);
        return ser_fail_nomem(err);
    }
    rooms->n = n;
    ser_random_init(&r, seed);
    for (size_t i = 0; i < n; i++) {
        const ser_room room = ser_room_at_random(&r);
        ser_room_response(rooms->responses + i * ROOM_SAMPLES, ROOM_SAMPLES, &room);
    }
    return SER_OK;
}

void ser_rooms_free(ser_rooms **rooms)
{
    if (*rooms)
        ser_free((*rooms)->responses);
    ser_free(*rooms);
    *rooms = NULL;
}

/* ---- working memory ---- */

static kiss_fft_cfg new_transform(size_t n, int inverse)
{
    size_t size = 0;
    kiss_fft_alloc((int)n, inverse, NULL, &size);
    void *memory = ser_alloc(size, 1);
    return memory ? kiss_fft_alloc((int)n, inverse, memory, &size) : NULL;
}

ser_status ser_vary_work_new(ser_vary_work **out, size_t max_samples, const ser_rooms *rooms, ser_error *err)
{
    ser_vary_work *w = *out = ser_alloc(1, sizeof *w);
    if (!w)
        return ser_fail_nomem(err);
    if (max_samples < SER_MIN_SAMPLES || max_samples > 60 * SER_SAMPLE_RATE_HZ) {
        ser_vary_work_free(out);
        return ser_fail(err, SER_E_ARG, "crops of %zu samples: choose 25 ms to 60 s", max_samples);
    }
    w->rooms = rooms;
    w->max_samples = max_samples;
    for (w->n_fft = CODEC_FFT; w->n_fft < max_samples + ROOM_SAMPLES;)
        w->n_fft *= 2;
    w->forward = new_transform(w->n_fft, 0);
    w->inverse = new_transform(w->n_fft, 1);
    w->codec_forward = new_transform(CODEC_FFT, 0);
    w->codec_inverse = new_transform(CODEC_FFT, 1);
    w->in = ser_alloc(w->n_fft, sizeof *w->in);
    w->out = ser_alloc(w->n_fft, sizeof *w->out);
    w->gains = ser_alloc(w->n_fft / 2 + 1, sizeof *w->gains);
    w->other = ser_alloc(max_samples, sizeof *w->other);
    w->overlapped = ser_alloc(max_samples + CODEC_FFT, sizeof *w->overlapped);
    for (int i = 0; i < CODEC_FFT; i++) /* its squares, half a frame apart, add up to 1 */
        w->window[i] = (float)sin(acos(-1) * (i + 0.5) / CODEC_FFT);
    if (w->forward && w->inverse && w->codec_forward && w->codec_inverse && w->in && w->out && w->gains &&
        w->other && w->overlapped)
        return SER_OK;
    ser_vary_work_free(out);
    return ser_fail_nomem(err);
}

void ser_vary_work_free(ser_vary_work **work)
{
    ser_vary_work *w = *work;
    if (!w)
        return;
    ser_free(w->forward);
    ser_free(w->inverse);
    ser_free(w->codec_forward);
    ser_free(w->codec_inverse);
    ser_free(w->in);
    ser_free(w->out);
    ser_free(w->gains);
    ser_free(w->other);
    ser_free(w->overlapped);
    ser_free(w);
    *work = NULL;
}

/* ---- a stretch, at another speed ---- */

static double between_octaves(ser_random *r, double low, double high)
{
    return exp(ser_random_between(r, log(low), log(high)));
}

/* Between four samples by Catmull and Rom's cubic: what it loses lies near 8 kHz. */
static float sample_at(ser_recorded recording, double at)
{
    double floor_at = floor(at);
    float t = (float)(at - floor_at), x[4];
    for (int k = 0; k < 4; k++) {
        long i = (long)floor_at + k - 1;
        i = i < 0 ? 0 : i >= (long)recording.n ? (long)recording.n - 1 : i;
        x[k] = (float)recording.pcm[i] * (1.0f / 32768);
    }
    return x[1] + 0.5f * t *
                      (x[2] - x[0] +
                       t * (2 * x[0] - 5 * x[1] + 4 * x[2] - x[3] + t * (3 * (x[1] - x[2]) + x[3] - x[0])));
}

static size_t cut(float *out, size_t max_samples, ser_recorded recording, double speed, ser_random *r)
{
    size_t n_all = (size_t)((double)recording.n / speed), n = n_all < max_samples ? n_all : max_samples;
    size_t first = r && n_all > n ? ser_random_below(r, n_all - n + 1) : 0;
    for (size_t i = 0; i < n; i++)
        out[i] = speed == 1 ? (float)recording.pcm[first + i] * (1.0f / 32768)
                            : sample_at(recording, (double)(first + i) * speed);
    return n;
}

/* ---- a curve over frequencies, and a room: one multiplication of spectra ---- */

static double hertz(const ser_vary_work *w, size_t bin)
{
    return (double)bin * SER_SAMPLE_RATE_HZ / (double)w->n_fft;
}

/* As a filter of Butterworth's of that order has it. */
static void pass(ser_vary_work *w, double cutoff_hz, int order, bool low)
{
    for (size_t i = 0; i <= w->n_fft / 2; i++) {
        double ratio = low ? hertz(w, i) / cutoff_hz : i ? cutoff_hz / hertz(w, i) : 1e3;
        w->gains[i] *= (float)(1 / sqrt(1 + pow(fmin(ratio, 1e3), 2 * order)));
    }
}

static void equalise(ser_vary_work *w, ser_random *r)
{
    double level_db[N_OCTAVES + 1];
    for (int k = 0; k <= N_OCTAVES; k++)
        level_db[k] = 4 * ser_random_normal(r);
    for (size_t i = 0; i <= w->n_fft / 2; i++) {
        double octave =
            fmin(fmax(log2(fmax(hertz(w, i), 1) / 125), 0), N_OCTAVES - 1e-9); /* 125 Hz to 8 kHz */
        int k = (int)octave;
        double part = octave - k;
        w->gains[i] *= (float)pow(10, ((1 - part) * level_db[k] + part * level_db[k + 1]) / 20);
    }
}

static bool draw(ser_random *r, double probability)
{
    return ser_random_uniform(r) < probability;
}

/* Fills the gains, and the room's response behind the crop; false: nothing is to be done. */
static bool draw_line(ser_vary_work *w, const ser_variety *v, const float **response, ser_random *r)
{
    bool equalised = draw(r, v->equalise), telephone = draw(r, v->telephone), dull = draw(r, v->low_pass);
    bool roomy = draw(r, v->room) && w->rooms && w->rooms->n;
    *response = roomy ? w->rooms->responses + ser_random_below(r, w->rooms->n) * ROOM_SAMPLES : NULL;
    for (size_t i = 0; i <= w->n_fft / 2; i++)
        w->gains[i] = 1;
    if (equalised)
        equalise(w, r);
    if (telephone) {
        pass(w, ser_random_between(r, 150, 350), 4, false);
        pass(w, ser_random_between(r, 3200, 3900), 16, true);
    } else if (dull) {
        pass(w, between_octaves(r, 2000, 8000), 16, true);
    }
    if (roomy)
        pass(w, 50, 2, false); /* walls that reflect all frequencies alike leave a rumble */
    return equalised || telephone || dull || roomy;
}

/* x and the room as one complex signal z; with Z its transform, X = (Z[k] + conj Z[-k]) / 2 and
 * H = (Z[k] - conj Z[-k]) / 2i. */
static void filter(ser_vary_work *w, float *pcm, size_t n, const float *response)
{
    size_t n_fft = w->n_fft;
    float scale = 1 / (float)n_fft;
    for (size_t i = 0; i < n_fft; i++)
        w->in[i] = (kiss_fft_cpx){i < n ? pcm[i] : 0, response && i < ROOM_SAMPLES ? response[i] : 0};
    kiss_fft(w->forward, w->in, w->out);
    for (size_t k = 0; k <= n_fft / 2; k++) {
        kiss_fft_cpx a = w->out[k], b = w->out[k ? n_fft - k : 0];
        kiss_fft_cpx x = {(a.r + b.r) / 2, (a.i - b.i) / 2}, h = {(a.i + b.i) / 2, (b.r - a.r) / 2}, y = x;
        if (response)
            y = (kiss_fft_cpx){x.r * h.r - x.i * h.i, x.r * h.i + x.i * h.r};
        w->in[k] = (kiss_fft_cpx){y.r * w->gains[k] * scale, y.i * w->gains[k] * scale};
        if (k && k < n_fft / 2)
            w->in[n_fft - k] = (kiss_fft_cpx){w->in[k].r, -w->in[k].i};
    }
    kiss_fft(w->inverse, w->in, w->out);
    for (size_t i = 0; i < n; i++)
        pcm[i] = w->out[i].r;
}

/* ---- what is added and taken away ---- */

static double power_of(const float *pcm, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)pcm[i] * (double)pcm[i];
    return sum / (double)n;
}

static void add_noise(float *pcm, size_t n, ser_random *r)
{
    static const ser_noise kinds[] = {SER_NOISE_WHITE, SER_NOISE_PINK, SER_NOISE_BROWN, SER_NOISE_MODULATED};
    ser_noise kind = kinds[ser_random_below(r, sizeof kinds / sizeof *kinds)];
    ser_augment_add_noise(pcm, n, kind, ser_random_between(r, 5, 30), r);
}

static void add_babble(ser_vary_work *w, float *pcm, size_t n, const ser_recorded *others, size_t n_others,
                       ser_random *r)
{
    size_t n_voices = 1 + ser_random_below(r, n_others < 3 ? n_others : 3);
    double own = power_of(pcm, n), snr_db = ser_random_between(r, 5, 20);
    for (size_t k = 0; k < n_voices; k++) {
        size_t n_other = cut(w->other, n, others[k], 1, r);
        double theirs = n_other ? power_of(w->other, n_other) : 0;
        float level = theirs > 0 ? (float)(sqrt(own / theirs / (double)n_voices) * pow(10, -snr_db / 20)) : 0;
        for (size_t i = 0; i < n_other; i++)
            pcm[i] += level * w->other[i];
    }
}

static float loudest(const float *pcm, size_t n)
{
    float peak = 0;
    for (size_t i = 0; i < n; i++)
        peak = fmaxf(peak, fabsf(pcm[i]));
    return peak;
}

static void clip(float *pcm, size_t n, ser_random *r)
{
    float level = loudest(pcm, n) * (float)ser_random_between(r, 0.1, 0.6);
    for (size_t i = 0; i < n; i++)
        pcm[i] = fminf(fmaxf(pcm[i], -level), level);
}

/* Rounded to a few steps on the scale of G.711's mu-law. */
static void coarsen(float *pcm, size_t n, ser_random *r)
{
    const float mu = 255, peak = loudest(pcm, n);
    float n_steps = (float)between_octaves(r, 16, 128) / 2;
    for (size_t i = 0; i < n && peak > 0; i++) {
        float squeezed = log1pf(mu * fabsf(pcm[i]) / peak) / log1pf(mu);
        float rounded = rintf(squeezed * n_steps) / n_steps;
        pcm[i] = copysignf(peak * expm1f(rounded * log1pf(mu)) / mu, pcm[i]);
    }
}

/* In each frame what is so far below the strongest part is left out, as codecs do that have few bits. */
static void leave_holes(ser_vary_work *w, float *pcm, size_t n, ser_random *r)
{
    float share = (float)pow(10, -ser_random_between(r, 20, 40) / 10);
    memset(w->overlapped, 0, (n + CODEC_FFT) * sizeof *w->overlapped);
    for (size_t first = 0; first < n + CODEC_FFT / 2; first += CODEC_FFT / 2) {
        float strongest = 0;
        for (size_t i = 0; i < CODEC_FFT; i++) {
            size_t at =
                first + i; /* half a frame ahead, so that the first samples lie in two frames as well */
            float x = at >= CODEC_FFT / 2 && at - CODEC_FFT / 2 < n ? pcm[at - CODEC_FFT / 2] : 0;
            w->frame[i] = (kiss_fft_cpx){x * w->window[i], 0};
        }
        kiss_fft(w->codec_forward, w->frame, w->spectrum);
        for (size_t k = 0; k < CODEC_FFT; k++)
            strongest =
                fmaxf(strongest, w->spectrum[k].r * w->spectrum[k].r + w->spectrum[k].i * w->spectrum[k].i);
        for (size_t k = 0; k < CODEC_FFT; k++)
            if (w->spectrum[k].r * w->spectrum[k].r + w->spectrum[k].i * w->spectrum[k].i < share * strongest)
                w->spectrum[k] = (kiss_fft_cpx){0, 0};
        kiss_fft(w->codec_inverse, w->spectrum, w->frame);
        for (size_t i = 0; i < CODEC_FFT && first + i < n + CODEC_FFT; i++)
            w->overlapped[first + i] += w->frame[i].r * w->window[i] / CODEC_FFT;
    }
    memcpy(pcm, w->overlapped + CODEC_FFT / 2, n * sizeof *pcm);
}

size_t ser_vary(ser_vary_work *w, float *out, ser_recorded recording, const ser_recorded *others,
                size_t n_others, const ser_variety *v, ser_random *r)
{
    const float *response;
    if (!v)
        return cut(out, w->max_samples, recording, 1, NULL);
    double speed = draw(r, v->speed) ? between_octaves(r, 0.88, 1.14) : 1;
    size_t n = cut(out, w->max_samples, recording, speed, r);
    if (n < SER_MIN_SAMPLES) /* nothing to alter, and nothing that altered could be heard */
        return n;
    if (draw_line(w, v, &response, r))
        filter(w, out, n, response);
    if (draw(r, v->noise))
        add_noise(out, n, r);
    else if (n_others && draw(r, v->babble))
        add_babble(w, out, n, others, n_others, r);
    if (draw(r, v->clip))
        clip(out, n, r);
    if (draw(r, v->steps))
        coarsen(out, n, r);
    if (draw(r, v->codec))
        leave_holes(w, out, n, r);
    if (draw(r, v->gain))
        ser_augment_gain(out, n, ser_random_between(r, -25, 6));
    return n;
}

#include "audio/quality.h"
#include "audio/clipping.h"
#include "audio/decay.h"
#include "base/memory.h"

#include <kiss_fftr.h>
#include <math.h>
#include <string.h>

enum {
    WINDOW = SER_QUALITY_WINDOW,
    N_BINS = WINDOW / 2, /* without the one at 8 kHz */
    N_BANDS = 64,        /* of 125 Hz */
    N_LEVELS = 130,      /* of 1 dB, from floor_db on */
    LEAST_PAUSES = 7,    /* windows: 0.2 s */
    MOST_DB = 80,        /* of a ratio, as much as is told */
    LEAST_DB = 20        /* of one without pauses */
};
static const double floor_db = -120;
static const float speaks = 0.5f, is_silent = 0.1f; /* probabilities */
static const double bandwidth_db = -50;             /* of the strongest band */
static const double nothing_db = -100;
static const double quietest = 0.1; /* share of windows */

/* Mean squares of a window. */
typedef struct window {
    double all, audible; /* audible: above 125 Hz, so that neither hum nor an offset counts */
    float bands[N_BANDS];
} window;

struct ser_quality {
    kiss_fftr_cfg fft;
    float hann[WINDOW]; /* scaled so that a spectrum's powers add up to the mean square */
    float pcm[WINDOW];
    size_t n_pcm;
    ser_clipping clipping;
    ser_decay decay;
    window pending[SER_QUALITY_PENDING];
    size_t first, n_pending;
    uint64_t n_windows, n_voice, n_pauses;
    window voice;                                          /* sums */
    uint64_t levels[N_LEVELS], levels_of_pauses[N_LEVELS]; /* windows, by what is audible */
};

ser_status ser_quality_new(ser_quality **out, ser_error *err)
{
    const double pi = acos(-1);
    ser_quality *q = *out = ser_alloc(1, sizeof *q);
    size_t n_bytes = 0;
    kiss_fftr_alloc(WINDOW, 0, NULL, &n_bytes);
    void *memory = q ? ser_alloc(n_bytes, 1) : NULL;
    if (memory)
        q->fft = kiss_fftr_alloc(WINDOW, 0, memory, &n_bytes);
    if (!memory || !q->fft) {
        ser_free(memory);
        ser_free(q);
        *out = NULL;
        return ser_fail_nomem(err);
    }
    /* The squares of a Hann window add up to 3/8 of its length; each bin stands for two. */
    for (size_t i = 0; i < WINDOW; i++)
        q->hann[i] = (float)((0.5 - 0.5 * cos(2 * pi * (double)i / WINDOW)) * sqrt(2 / 0.375) / WINDOW);
    ser_quality_start(q);
    return SER_OK;
}

void ser_quality_free(ser_quality **q)
{
    if (!*q)
        return;
    ser_free((*q)->fft);
    ser_free(*q);
    *q = NULL;
}

void ser_quality_start(ser_quality *q)
{
    const size_t kept = offsetof(ser_quality, pcm);
    memset((char *)q + kept, 0, sizeof *q - kept);
}

/* ---- a window ---- */

static void measure(ser_quality *q, window *w, size_t n)
{
    enum { PER_BAND = N_BINS / N_BANDS };
    float x[WINDOW];
    kiss_fft_cpx spectrum[N_BINS + 1];
    double sums[WINDOW / SER_DECAY_HOP] = {0};
    for (size_t i = 0; i < WINDOW; i++) {
        sums[i / SER_DECAY_HOP] += (double)q->pcm[i] * (double)q->pcm[i];
        x[i] = q->hann[i] * q->pcm[i];
    }
    *w = (window){0};
    for (size_t k = 0; k < WINDOW / SER_DECAY_HOP; k++) {
        w->all += sums[k] / (double)n;
        if ((k + 1) * SER_DECAY_HOP <= n)
            ser_decay_add(&q->decay, sums[k] / SER_DECAY_HOP);
    }
    kiss_fftr(q->fft, x, spectrum);
    for (size_t i = 1; i < N_BINS; i++)
        w->bands[i / PER_BAND] += spectrum[i].r * spectrum[i].r + spectrum[i].i * spectrum[i].i;
    for (size_t b = 1; b < N_BANDS; b++)
        w->audible += (double)w->bands[b];
}

static void end_window(ser_quality *q)
{
    if (q->n_pending == SER_QUALITY_PENDING)
        ser_quality_voice(q, NAN);
    measure(q, &q->pending[(q->first + q->n_pending) % SER_QUALITY_PENDING], q->n_pcm);
    q->n_pending++;
    q->n_pcm = 0;
}

void ser_quality_add(ser_quality *q, const float *pcm, size_t n)
{
    ser_clipping_add(&q->clipping, pcm, n, 1);
    while (n) {
        size_t n_now = WINDOW - q->n_pcm < n ? WINDOW - q->n_pcm : n;
        memcpy(q->pcm + q->n_pcm, pcm, n_now * sizeof *pcm);
        q->n_pcm += n_now;
        pcm += n_now;
        n -= n_now;
        if (q->n_pcm == WINDOW)
            end_window(q);
    }
}

void ser_quality_finish(ser_quality *q)
{
    memset(q->pcm + q->n_pcm, 0, (WINDOW - q->n_pcm) * sizeof *q->pcm);
    if (q->n_pcm)
        end_window(q);
}

/* ---- what they add up to ---- */

static double to_db(double mean_square)
{
    return 10 * log10(fmax(mean_square, 1e-12));
}

static double to_power(double db)
{
    return pow(10, db / 10);
}

void ser_quality_voice(ser_quality *q, float probability)
{
    if (!q->n_pending)
        return;
    const window *w = &q->pending[q->first];
    size_t level = (size_t)fmin(fmax(to_db(w->audible) - floor_db, 0), N_LEVELS - 1);
    q->first = (q->first + 1) % SER_QUALITY_PENDING;
    q->n_pending--;
    q->n_windows++;
    q->levels[level]++;
    if (probability < is_silent) {
        q->n_pauses++;
        q->levels_of_pauses[level]++;
    }
    if (!(probability >= speaks))
        return;
    q->n_voice++;
    q->voice.all += w->all;
    q->voice.audible += w->audible;
    for (size_t b = 0; b < N_BANDS; b++)
        q->voice.bands[b] += w->bands[b];
}

/* The level that the share of n windows does not reach. */
static double quantile_db(const uint64_t *levels, uint64_t n, double share)
{
    double wanted = share * (double)n, below = 0;
    for (size_t i = 0; i < N_LEVELS; i++) {
        double here = (double)levels[i];
        if (here > 0 && below + here >= wanted)
            return floor_db + (double)i + fmax(wanted - below, 0) / here;
        below += here;
    }
    return floor_db;
}

/* Of what is called a pause some is voiceless speech, so that noise is no louder than the quietest tenth of
 * all windows either; without pauses that is all that is known. What is digitally silent was put there by a
 * program. */
static double noise_db(const ser_quality *q)
{
    uint64_t levels[N_LEVELS], n = 0;
    for (size_t i = 0; i < N_LEVELS; i++) {
        levels[i] = (double)i + floor_db < nothing_db ? 0 : q->levels[i];
        n += levels[i];
    }
    double noise = n >= 2 * LEAST_PAUSES ? quantile_db(levels, n, quietest) : (double)NAN;
    return q->n_pauses >= LEAST_PAUSES ? fmin(noise, quantile_db(q->levels_of_pauses, q->n_pauses, 0.5))
                                       : noise;
}

/* Without pauses the noise is only known to be no louder than that: a ratio that is high all the same is
 * true, one that is low says nothing. */
static double ratio_db(const ser_quality *q, double noise)
{
    double db = to_db(q->voice.audible / (double)q->n_voice / to_power(noise) - 1);
    if (isnan(noise) || (q->n_pauses < LEAST_PAUSES && db < LEAST_DB))
        return NAN;
    return fmin(fmax(db, -10), MOST_DB);
}

static double bandwidth_hz(const window *sums)
{
    float strongest = 0;
    size_t end = N_BANDS;
    for (size_t b = 0; b < N_BANDS; b++)
        strongest = fmaxf(strongest, sums->bands[b]);
    while (end > 1 && sums->bands[end - 1] < (float)to_power(bandwidth_db) * strongest)
        end--;
    return (double)end * SER_SAMPLE_RATE_HZ / 2 / N_BANDS;
}

void ser_quality_tell(const ser_quality *q, ser_acoustics *out)
{
    double n = (double)q->n_voice, noise = noise_db(q);
    *out = (ser_acoustics){.voice_s = (float)(n * WINDOW / SER_SAMPLE_RATE_HZ),
                           .bandwidth_hz = NAN,
                           .level_db = NAN,
                           .noise_db = (float)noise,
                           .snr_db = NAN,
                           .clipped = (float)ser_clipping_share(&q->clipping),
                           .decay_s = (float)ser_decay_s(&q->decay)};
    if (!q->n_voice)
        return;
    out->bandwidth_hz = (float)bandwidth_hz(&q->voice);
    out->level_db = (float)to_db(q->voice.all / n);
    out->snr_db = (float)ratio_db(q, noise);
}

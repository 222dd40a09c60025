#include "features/mel.h"
#include "base/memory.h"
#include "base/vector.h"
#include "features/filters.h"

#include <kiss_fft.h>
#include <math.h>

enum { MAX_N_FFT = 65536, MAX_N_MELS = 4096 };

/* A real transform of n_fft samples is a complex one of half that length, of the samples taken in pairs, and
 * a last step in power_spectrum. */
struct ser_mel {
    ser_mel_settings s;
    float *window;            /* n_fft; Hann, periodic; times 1/2, which power_spectrum owes */
    kiss_fft_cfg half;        /* n_fft / 2 complex points */
    float *turn_re, *turn_im; /* exp(-2 pi i k / n_fft) for k = 0 ... n_fft / 2 */
    ser_mel_filters filters;
};

struct ser_mel_work {
    float *samples;     /* n_fft: a frame that reaches beyond the ends of the recording */
    float *windowed;    /* n_fft: n_fft / 2 complex points */
    kiss_fft_cpx *half; /* n_fft / 2 */
    float *re, *im;     /* n_fft / 2 + 1: its two parts, because loops over them vectorise */
    float *power;       /* n_fft / 2 + 1, and 16 zeros that the last filter's chunk may reach */
};

/* KissFFT's transforms of other factors allocate memory at every call. */
static bool has_small_factors(int n)
{
    for (int factor = 2; factor <= 5; factor++)
        while (n % factor == 0)
            n /= factor;
    return n == 1;
}

static ser_status check_settings(const ser_mel_settings *s, ser_error *err)
{
    if (s->n_fft < 2 || s->n_fft > MAX_N_FFT || s->n_fft % 2 || !has_small_factors(s->n_fft))
        return ser_fail(err, SER_E_ARG, "n_fft is %d: choose an even product of 2, 3 and 5 up to %d",
                        s->n_fft, MAX_N_FFT);
    if (s->hop_samples < 1)
        return ser_fail(err, SER_E_ARG, "the hop is %d samples: choose at least 1", s->hop_samples);
    if (s->n_mels < 1 || s->n_mels > MAX_N_MELS)
        return ser_fail(err, SER_E_ARG, "%d mel bands: choose 1 to %d", s->n_mels, MAX_N_MELS);
    if (s->sample_rate_hz < 1 || !(s->f_min_hz >= 0) || !(s->f_min_hz < s->f_max_hz) ||
        !(s->f_max_hz <= s->sample_rate_hz / 2.0))
        return ser_fail(err, SER_E_ARG,
                        "mel bands from %g to %g Hz at a rate of %d Hz: choose a range within half the rate",
                        s->f_min_hz, s->f_max_hz, s->sample_rate_hz);
    return SER_OK;
}

static ser_status make_tables(ser_mel *m, ser_error *err)
{
    const double turn = 2 * acos(-1) / m->s.n_fft;
    size_t n_fft = (size_t)m->s.n_fft, n_bins = n_fft / 2 + 1, fft_size = 0;
    kiss_fft_alloc(m->s.n_fft / 2, 0, NULL, &fft_size);
    void *fft_memory = ser_alloc(fft_size, 1);
    m->half = fft_memory;
    m->window = ser_alloc(n_fft, sizeof *m->window);
    m->turn_re = ser_alloc(n_bins, sizeof *m->turn_re);
    m->turn_im = ser_alloc(n_bins, sizeof *m->turn_im);
    if (!fft_memory || !m->window || !m->turn_re || !m->turn_im)
        return ser_fail_nomem(err);
    m->half = kiss_fft_alloc(m->s.n_fft / 2, 0, fft_memory, &fft_size);
    for (size_t i = 0; i < n_fft; i++)
        m->window[i] = (float)(0.5 * (0.5 - 0.5 * cos(turn * (double)i)));
    for (size_t k = 0; k < n_bins; k++) {
        m->turn_re[k] = (float)cos(turn * (double)k);
        m->turn_im[k] = (float)-sin(turn * (double)k);
    }
    return ser_mel_filters_init(&m->filters, &m->s, err);
}

ser_status ser_mel_new(ser_mel **out, const ser_mel_settings *s, ser_error *err)
{
    *out = NULL;
    ser_status status = check_settings(s, err);
    if (status != SER_OK)
        return status;
    ser_mel *m = ser_alloc(1, sizeof *m);
    if (!m)
        return ser_fail_nomem(err);
    m->s = *s;
    status = make_tables(m, err);
    if (status != SER_OK) {
        ser_mel_free(&m);
        return status;
    }
    *out = m;
    return SER_OK;
}

void ser_mel_free(ser_mel **m)
{
    if (!*m)
        return;
    ser_free((*m)->window);
    ser_free((*m)->half);
    ser_free((*m)->turn_re);
    ser_free((*m)->turn_im);
    ser_mel_filters_release(&(*m)->filters);
    ser_free(*m);
    *m = NULL;
}

ser_status ser_mel_work_new(ser_mel_work **out, const ser_mel *m, ser_error *err)
{
    size_t n_fft = (size_t)m->s.n_fft, n_bins = n_fft / 2 + 1;
    *out = NULL;
    ser_mel_work *w = ser_alloc(1, sizeof *w);
    if (!w)
        return ser_fail_nomem(err);
    w->samples = ser_alloc(n_fft, sizeof *w->samples);
    w->windowed = ser_alloc(n_fft, sizeof *w->windowed);
    w->half = ser_alloc(n_bins - 1, sizeof *w->half);
    w->re = ser_alloc(n_bins, sizeof *w->re);
    w->im = ser_alloc(n_bins, sizeof *w->im);
    w->power = ser_alloc(n_bins + SER_N_LANES, sizeof *w->power);
    if (!w->samples || !w->windowed || !w->half || !w->re || !w->im || !w->power) {
        ser_mel_work_free(&w);
        return ser_fail_nomem(err);
    }
    *out = w;
    return SER_OK;
}

void ser_mel_work_free(ser_mel_work **w)
{
    if (!*w)
        return;
    ser_free((*w)->samples);
    ser_free((*w)->windowed);
    ser_free((*w)->half);
    ser_free((*w)->re);
    ser_free((*w)->im);
    ser_free((*w)->power);
    ser_free(*w);
    *w = NULL;
}

size_t ser_mel_n_frames(const ser_mel *m, size_t n_samples)
{
    return 1 + n_samples / (size_t)m->s.hop_samples;
}

/* The sample at a position that may lie beyond the ends, as numpy.pad does it: mode constant, or reflect,
 * which goes to and fro as often as it takes. */
static float sample_at(const float *pcm, size_t n_samples, ptrdiff_t at, ser_pad pad)
{
    ptrdiff_t n = (ptrdiff_t)n_samples;
    if (at >= 0 && at < n)
        return pcm[at];
    if (pad == SER_PAD_ZERO || n == 0)
        return 0;
    if (n == 1)
        return pcm[0];
    ptrdiff_t period = 2 * (n - 1), phase = (at % period + period) % period;
    return pcm[phase < n ? phase : period - phase];
}

/* The n_fft samples around the centre of a frame: in place where they all exist. */
static const float *frame_samples(const ser_mel *m, ser_mel_work *w, const float *pcm, size_t n_samples,
                                  size_t frame)
{
    ptrdiff_t n_fft = m->s.n_fft, start = (ptrdiff_t)(frame * (size_t)m->s.hop_samples) - n_fft / 2;
    if (start >= 0 && (size_t)(start + n_fft) <= n_samples)
        return pcm + start;
    for (ptrdiff_t i = 0; i < n_fft; i++)
        w->samples[i] = sample_at(pcm, n_samples, start + i, m->s.pad);
    return w->samples;
}

SER_FAST_STATIC(void, apply_window,
                (float *restrict out, const float *restrict x, const float *restrict window, int n),
                (out, x, window, n))
{
    for (int i = 0; i < n; i++)
        out[i] = x[i] * window[i];
}

SER_FAST_STATIC(void, split_complex,
                (float *restrict re, float *restrict im, const kiss_fft_cpx *restrict z, int n),
                (re, im, z, n))
{
    for (int k = 0; k < n; k++) {
        re[k] = z[k].r;
        im[k] = z[k].i;
    }
    re[n] = re[0];
    im[n] = im[0];
}

/* z = re + i im (n + 1), z[n] = z[0]: the transform of the samples taken in pairs, x[2i] + i x[2i+1]. With
 * the even samples' spectrum E[k] = (z[k] + conj z[n-k]) / 2 and the odd ones' O[k] = (z[k] - conj z[n-k]) /
 * 2i, the spectrum is X[k] = E[k] + turn[k] O[k]. The halves are in the window already. power (n + 1). */
SER_FAST_STATIC(void, power_spectrum,
                (float *restrict power, const float *restrict re, const float *restrict im,
                 const float *restrict turn_re, const float *restrict turn_im, int n),
                (power, re, im, turn_re, turn_im, n))
{
    for (int k = 0; k <= n; k++) {
        float even_re = re[k] + re[n - k], even_im = im[k] - im[n - k];
        float odd_re = im[k] + im[n - k], odd_im = re[n - k] - re[k];
        float x_re = even_re + turn_re[k] * odd_re - turn_im[k] * odd_im;
        float x_im = even_im + turn_re[k] * odd_im + turn_im[k] * odd_re;
        power[k] = x_re * x_re + x_im * x_im;
    }
}

/* mel (n_mels): each band's weighted sum of power. */
SER_FAST_STATIC(void, apply_filters,
                (float *restrict mel, const float *restrict power, const ser_mel_filter *bands,
                 const float *weights, int n_mels),
                (mel, power, bands, weights, n_mels))
{
    for (int band = 0; band < n_mels; band++) {
        const float *p = power + bands[band].first_bin, *w = weights + bands[band].first_weight;
        ser_lanes sum = ser_lanes_load(p) * ser_lanes_load(w);
        for (int i = SER_N_LANES; i < bands[band].n_chunks * SER_N_LANES; i += SER_N_LANES)
            sum += ser_lanes_load(p + i) * ser_lanes_load(w + i);
        mel[band] = ser_lanes_sum(sum);
    }
}

static void run_frames(const ser_mel *m, ser_mel_work *w, float *mel, const float *pcm, size_t n_samples,
                       size_t n_frames)
{
    const int n_fft = m->s.n_fft, n_mels = m->s.n_mels;
    for (size_t frame = 0; frame < n_frames; frame++, mel += n_mels) {
        apply_window(w->windowed, frame_samples(m, w, pcm, n_samples, frame), m->window, n_fft);
        kiss_fft(m->half, (const kiss_fft_cpx *)w->windowed, w->half);
        split_complex(w->re, w->im, w->half, n_fft / 2);
        power_spectrum(w->power, w->re, w->im, m->turn_re, m->turn_im, n_fft / 2);
        apply_filters(mel, w->power, m->filters.bands, m->filters.weights, n_mels);
    }
}

void ser_mel_run(const ser_mel *m, ser_mel_work *w, float *mel, const float *pcm, size_t n_samples)
{
    run_frames(m, w, mel, pcm, n_samples, ser_mel_n_frames(m, n_samples));
}

size_t ser_features_whisper_mel(const ser_mel *m, ser_mel_work *w, float *mel, const float *pcm,
                                size_t n_samples)
{
    size_t n_frames = n_samples / (size_t)m->s.hop_samples;
    run_frames(m, w, mel, pcm, n_samples, n_frames);
    ser_features_whisper_log(mel, n_frames * (size_t)m->s.n_mels);
    return n_frames;
}

#include "features/filters.h"
#include "base/memory.h"
#include "base/vector.h"

#include <math.h>

/* Slaney's scale (Auditory Toolbox, 1998; librosa's htk=False): linear below 1 kHz with 3 mels for 200 Hz,
 * above it 27 mels for each factor of 6.4. */
static const double break_hz = 1000, break_mel = 15, mels_per_hz = 3.0 / 200;

static double log_step(void)
{
    return log(6.4) / 27;
}

static double mel_of_hz(double hz)
{
    return hz < break_hz ? hz * mels_per_hz : break_mel + log(hz / break_hz) / log_step();
}

static double hz_of_mel(double mel)
{
    return mel < break_mel ? mel / mels_per_hz : break_hz * exp((mel - break_mel) * log_step());
}

typedef struct triangle {
    double low_hz, centre_hz, high_hz;
} triangle;

static triangle triangle_of(const ser_mel_settings *s, int band)
{
    double low = mel_of_hz(s->f_min_hz), step = (mel_of_hz(s->f_max_hz) - low) / (s->n_mels + 1);
    return (triangle){hz_of_mel(low + step * band), hz_of_mel(low + step * (band + 1)),
                      hz_of_mel(low + step * (band + 2))};
}

/* Slaney's norm: each triangle has the area 1 (in Hz). */
static double weight_at(const triangle *t, double hz)
{
    double rising = (hz - t->low_hz) / (t->centre_hz - t->low_hz);
    double falling = (t->high_hz - hz) / (t->high_hz - t->centre_hz);
    return fmax(0, fmin(rising, falling)) * 2 / (t->high_hz - t->low_hz);
}

static double hz_of_bin(const ser_mel_settings *s, int bin)
{
    return (double)bin * s->sample_rate_hz / s->n_fft;
}

static ser_mel_filter place(const ser_mel_settings *s, int band, size_t first_weight)
{
    triangle t = triangle_of(s, band);
    int n_bins = s->n_fft / 2 + 1;
    int first = (int)(t.low_hz * s->n_fft / s->sample_rate_hz), last = first;
    while (last + 1 < n_bins && hz_of_bin(s, last + 1) < t.high_hz)
        last++;
    return (ser_mel_filter){first, (last - first) / SER_N_LANES + 1, first_weight};
}

ser_status ser_mel_filters_init(ser_mel_filters *f, const ser_mel_settings *s, ser_error *err)
{
    int n_bins = s->n_fft / 2 + 1;
    f->bands = ser_alloc((size_t)s->n_mels, sizeof *f->bands);
    if (!f->bands)
        return ser_fail_nomem(err);
    size_t n_weights = 0;
    for (int band = 0; band < s->n_mels; band++) {
        f->bands[band] = place(s, band, n_weights);
        n_weights += (size_t)f->bands[band].n_chunks * SER_N_LANES;
    }
    f->weights = ser_alloc(n_weights, sizeof *f->weights);
    if (!f->weights)
        return ser_fail_nomem(err);
    for (int band = 0; band < s->n_mels; band++) {
        const ser_mel_filter *b = &f->bands[band];
        triangle t = triangle_of(s, band);
        for (int i = 0; i < b->n_chunks * SER_N_LANES && b->first_bin + i < n_bins; i++)
            f->weights[b->first_weight + (size_t)i] = (float)weight_at(&t, hz_of_bin(s, b->first_bin + i));
    }
    return SER_OK;
}

void ser_mel_filters_release(ser_mel_filters *f)
{
    ser_free(f->bands);
    ser_free(f->weights);
    *f = (ser_mel_filters){0};
}

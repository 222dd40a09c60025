#include "audio/augment.h"
#include "audio/audio.h"
#include "base/memory.h"
#include "base/vector.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

enum { MAX_TONES = 10 };

/* One noise, sample by sample, so that its level can be measured without keeping it. */
typedef struct noise {
    ser_noise kind;
    ser_random r;
    size_t t; /* samples so far */
    double pole[3];
    double brown;
    double omega[MAX_TONES], phase[MAX_TONES], level[MAX_TONES]; /* tones; of MODULATED: the slow changes */
    int n_tones;
    double click, click_decay;
} noise;

static double radians_per_sample(double hz)
{
    return 2 * PI * hz / SER_SAMPLE_RATE_HZ;
}

static void add_tone(noise *s, double hz, double level)
{
    s->omega[s->n_tones] = radians_per_sample(hz);
    s->phase[s->n_tones] = ser_random_between(&s->r, 0, 2 * PI);
    s->level[s->n_tones++] = level;
}

static noise noise_start(ser_noise kind, const ser_random *r)
{
    noise s = {.kind = kind, .r = *r};
    if (kind == SER_NOISE_HUM) { /* mains and its harmonics */
        double hz = ser_random_below(&s.r, 2) ? 50 : 60;
        for (int i = 1; i <= MAX_TONES; i++)
            add_tone(&s, hz * i, ser_random_between(&s.r, 0.3, 1) / i);
    } else if (kind == SER_NOISE_TONES) {
        size_t n = 1 + ser_random_below(&s.r, 4);
        for (size_t i = 0; i < n; i++)
            add_tone(&s, exp(ser_random_between(&s.r, log(150), log(5000))),
                     ser_random_between(&s.r, 0.3, 1));
    } else if (kind == SER_NOISE_MODULATED) { /* periods of 0.5 to 10 s, up to 8 dB each */
        for (int i = 0; i < 3; i++)
            add_tone(&s, exp(ser_random_between(&s.r, log(0.1), log(2))), ser_random_between(&s.r, 0.3, 0.9));
    }
    return s;
}

static double tones(const noise *s)
{
    double x = 0;
    for (int i = 0; i < s->n_tones; i++)
        x += s->level[i] * sin(s->omega[i] * (double)s->t + s->phase[i]);
    return x;
}

/* White noise through three poles that add up to a slope of about -3 dB per octave: Paul Kellet's filter
 * (musicdsp.org, "Pink noise filter", the economy version). */
static double pink(noise *s)
{
    double white = ser_random_normal(&s->r);
    s->pole[0] = 0.99765 * s->pole[0] + white * 0.0990460;
    s->pole[1] = 0.96300 * s->pole[1] + white * 0.2965164;
    s->pole[2] = 0.57000 * s->pole[2] + white * 1.0526913;
    return s->pole[0] + s->pole[1] + s->pole[2] + white * 0.1848;
}

/* A dozen a second, each dying away within milliseconds; the first at once, so that there is one. */
static double clicks(noise *s)
{
    s->click *= s->click_decay;
    if (s->t == 0 || ser_random_uniform(&s->r) < 12.0 / SER_SAMPLE_RATE_HZ) {
        s->click = ser_random_between(&s->r, 0.2, 1) * (ser_random_below(&s->r, 2) ? 1 : -1);
        s->click_decay = exp(-1 / (ser_random_between(&s->r, 0.0002, 0.003) * SER_SAMPLE_RATE_HZ));
    }
    return s->click;
}

static double noise_next(noise *s)
{
    double x = 0;
    switch (s->kind) {
    case SER_NOISE_PINK:
        x = pink(s);
        break;
    case SER_NOISE_BROWN: /* -6 dB per octave above 25 Hz, so that it does not wander off */
        x = s->brown = 0.99 * s->brown + ser_random_normal(&s->r);
        break;
    case SER_NOISE_HUM:
    case SER_NOISE_TONES:
        x = tones(s);
        break;
    case SER_NOISE_CLICKS:
        x = clicks(s);
        break;
    case SER_NOISE_MODULATED:
        x = pink(s) * exp(tones(s));
        break;
    default:
        x = ser_random_normal(&s->r);
    }
    s->t++;
    return x;
}

/* What to multiply the noise by for a root mean square of 1 over n samples. */
static double noise_scale(ser_noise kind, size_t n, const ser_random *r)
{
    noise s = noise_start(kind, r);
    double power = 0;
    for (size_t i = 0; i < n; i++) {
        double x = noise_next(&s);
        power += x * x;
    }
    return power > 0 ? sqrt((double)n / power) : 0;
}

void ser_augment_add_noise(float *pcm, size_t n, ser_noise kind, double snr_db, ser_random *r)
{
    double power = 0;
    for (size_t i = 0; i < n; i++)
        power += (double)pcm[i] * (double)pcm[i];
    if (!(power > 0))
        return;
    double scale = sqrt(power / (double)n) * pow(10, -snr_db / 20) * noise_scale(kind, n, r);
    noise s = noise_start(kind, r);
    for (size_t i = 0; i < n; i++)
        pcm[i] = (float)((double)pcm[i] + scale * noise_next(&s));
    *r = s.r;
}

typedef struct tap {
    size_t delay;
    float gain;
} tap;

enum { MAX_TAPS = 1024, ECHO_BLOCK = 4096 };

/* The response of a room: the direct sound, then decaying velvet noise: impulses of either sign at random
 * times, which sound as smooth as Gaussian noise from 1,500 a second on (Karjalainen and Järveläinen 2007)
 * and cost as many products as there are impulses. Its energy is 1. */
static size_t make_room(tap taps[MAX_TAPS], double decay_s, double direct_to_echo_db, ser_random *r)
{
    double density_hz = fmin(2000, (MAX_TAPS - 1) / decay_s);
    double step = SER_SAMPLE_RATE_HZ / density_hz,
           first = ser_random_between(r, 0.002, 0.01) * SER_SAMPLE_RATE_HZ;
    double energy = 0;
    size_t n = 1;
    for (; n < MAX_TAPS; n++) {
        double at = first + ((double)(n - 1) + ser_random_uniform(r)) * step;
        if (at > decay_s * SER_SAMPLE_RATE_HZ)
            break;
        double gain = pow(10, -3 * at / (decay_s * SER_SAMPLE_RATE_HZ)); /* -60 dB at decay_s */
        taps[n] = (tap){(size_t)at, (float)(ser_random_below(r, 2) ? gain : -gain)};
        energy += gain * gain;
    }
    double direct = energy > 0 ? sqrt(energy) * pow(10, direct_to_echo_db / 20) : 1;
    double scale = 1 / sqrt(energy + direct * direct);
    taps[0] = (tap){0, (float)direct};
    for (size_t i = 0; i < n; i++)
        taps[i].gain *= (float)scale;
    return n;
}

void ser_augment_echo(float *pcm, size_t n, double decay_s, double direct_to_echo_db, ser_random *r)
{
    tap taps[MAX_TAPS];
    float block[ECHO_BLOCK];
    size_t n_taps = make_room(taps, decay_s, direct_to_echo_db, r);
    /* From the last block to the first, because a block needs only what lies before it unaltered. */
    for (size_t end = n; end > 0;) {
        size_t begin = (end - 1) / ECHO_BLOCK * ECHO_BLOCK;
        memset(block, 0, sizeof block);
        for (size_t k = 0; k < n_taps && taps[k].delay < end; k++) {
            size_t delay = taps[k].delay, from = begin > delay ? begin : delay;
            ser_add_scaled(block + (from - begin), pcm + (from - delay), taps[k].gain, end - from);
        }
        memcpy(pcm + begin, block, (end - begin) * sizeof *pcm);
        end = begin;
    }
}

void ser_augment_gain(float *pcm, size_t n, double gain_db)
{
    float gain = (float)pow(10, gain_db / 20);
    for (size_t i = 0; i < n; i++)
        pcm[i] *= gain;
}

/* How many samples are louder than this. */
static size_t count_louder(const float *pcm, size_t n, float level)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += fabsf(pcm[i]) > level;
    return count;
}

void ser_augment_clip(float *pcm, size_t n, double fraction)
{
    size_t n_clipped = (size_t)(fmin(fmax(fraction, 0), 1) * (double)n);
    /* The lowest level that at most n_clipped samples exceed: positive floats lie in the order of their bits.
     */
    uint32_t low = 0, high = 0x7f800000;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        float level;
        memcpy(&level, &middle, sizeof level);
        if (count_louder(pcm, n, level) <= n_clipped)
            high = middle;
        else
            low = middle + 1;
    }
    float level;
    memcpy(&level, &low, sizeof level);
    if (!n_clipped || level <= 0)
        return;
    for (size_t i = 0; i < n; i++)
        pcm[i] = fminf(fmaxf(pcm[i] / level, -1), 1);
}

ser_status ser_augment_telephone(float *pcm, size_t n, ser_error *err)
{
    float *narrow = NULL, *wide = NULL;
    size_t n_narrow, n_wide;
    ser_status status = ser_audio_resample(&narrow, &n_narrow, pcm, n, SER_SAMPLE_RATE_HZ, 8000, err);
    if (status == SER_OK)
        status = ser_audio_resample(&wide, &n_wide, narrow, n_narrow, 8000, SER_SAMPLE_RATE_HZ, err);
    if (status == SER_OK)
        for (size_t i = 0; i < n; i++)
            pcm[i] = i < n_wide ? wide[i] : 0;
    ser_free(narrow);
    ser_free(wide);
    return status;
}

ser_status ser_augment_speed(float **out, size_t *n_out, const float *pcm, size_t n, double factor,
                             ser_error *err)
{
    return ser_audio_resample(out, n_out, pcm, n, SER_SAMPLE_RATE_HZ * factor, SER_SAMPLE_RATE_HZ, err);
}

ser_status ser_augment_copy(float **out, size_t *n_out, const float *pcm, size_t n, uint64_t seed,
                            ser_error *err)
{
    ser_random r;
    ser_random_init(&r, seed);
    ser_status status = ser_augment_speed(out, n_out, pcm, n, ser_random_between(&r, 0.9, 1.1), err);
    if (status != SER_OK)
        return status;
    /* What stands behind voices in real recordings; hum, tones and clicks as loud as this only cost accuracy.
     */
    static const ser_noise kinds[] = {SER_NOISE_WHITE, SER_NOISE_PINK, SER_NOISE_BROWN, SER_NOISE_MODULATED};
    ser_noise kind;
    double decay_s;
    switch (ser_random_below(&r, 4)) {
    case 0:
        break;
    case 1:
        kind = kinds[ser_random_below(&r, sizeof kinds / sizeof *kinds)];
        ser_augment_add_noise(*out, *n_out, kind, ser_random_between(&r, 8, 25), &r);
        break;
    case 2:
        status = ser_augment_telephone(*out, *n_out, err);
        break;
    default:
        decay_s = ser_random_between(&r, 0.1, 0.5);
        ser_augment_echo(*out, *n_out, decay_s, ser_random_between(&r, 0, 10), &r);
    }
    ser_augment_gain(*out, *n_out, ser_random_between(&r, -6, 6));
    if (status != SER_OK) {
        ser_free(*out);
        *out = NULL;
        *n_out = 0;
    }
    return status;
}

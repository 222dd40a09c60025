/* A voice that the voice detector takes for one: vowels that glide into each other, five syllables a second,
 * made of pulses through three resonances. */
#ifndef SER_TESTS_VOICE_H
#define SER_TESTS_VOICE_H

#include <math.h>
#include <stddef.h>

/* n samples at 16 kHz, with a peak of 0.3. */
static inline void make_voice(float *pcm, size_t n, double pitch_hz)
{
    enum { RATE_HZ = 16000, N_FORMANTS = 3 };
    const double pi = acos(-1), centre[] = {550, 1500, 2500}, swing[] = {250, 600, 300},
                 width[] = {80, 100, 150};
    double y[N_FORMANTS][2] = {{0}}, phase = 0, peak = 1e-9;
    for (size_t i = 0; i < n; i++) {
        double t = (double)i / RATE_HZ, before = floor(phase);
        phase += pitch_hz * (1 + 0.2 * sin(2 * pi * 0.7 * t) + 0.05 * sin(2 * pi * 2.3 * t)) / RATE_HZ;
        double x = floor(phase) > before ? 0.1 + 0.9 * fmin(fmax(1.6 * sin(2 * pi * 5 * t), 0), 1) : 0;
        for (int f = 0; f < N_FORMANTS; f++) {
            double hz = centre[f] + swing[f] * sin(2 * pi * 1.3 * t + centre[f]);
            double r = exp(-pi * width[f] / RATE_HZ);
            x += 2 * r * cos(2 * pi * hz / RATE_HZ) * y[f][0] - r * r * y[f][1];
            y[f][1] = y[f][0];
            y[f][0] = x;
        }
        pcm[i] = (float)x;
        peak = fmax(peak, fabs(x));
    }
    for (size_t i = 0; i < n; i++)
        pcm[i] = (float)(0.3 * (double)pcm[i] / peak);
}

#endif

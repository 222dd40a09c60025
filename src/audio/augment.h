/* Altered copies of recordings, for training and for measuring how a model bears bad conditions. All of them
 * are deterministic: the same input and seed give the same samples. */
#ifndef SER_AUDIO_AUGMENT_H
#define SER_AUDIO_AUGMENT_H

#include "base/random.h"
#include "base/status.h"

typedef enum ser_noise {
    SER_NOISE_WHITE,
    SER_NOISE_PINK,
    SER_NOISE_BROWN,
    SER_NOISE_HUM,
    SER_NOISE_TONES,
    SER_NOISE_CLICKS,
    SER_NOISE_MODULATED, /* coloured noise with a slowly changing level, such as wind or traffic */
    SER_N_NOISES
} ser_noise;

/* All of these in place. The ratio is that of the whole recording's power to the noise's; silence stays
 * silent. */
void ser_augment_add_noise(float *pcm, size_t n, ser_noise kind, double snr_db, ser_random *r);
/* A room whose echo has fallen by 60 dB after decay_s, and is so much weaker than the direct sound, which
 * stays in its place; the level about the same. */
void ser_augment_echo(float *pcm, size_t n, double decay_s, double direct_to_echo_db, ser_random *r);
void ser_augment_gain(float *pcm, size_t n, double gain_db);
/* Amplified until this fraction of the samples lies beyond [-1, 1], and cut off there. */
void ser_augment_clip(float *pcm, size_t n, double fraction);
/* Down to 8 kHz and back. */
ser_status ser_augment_telephone(float *pcm, size_t n, ser_error *err);

/* Speed by a factor (pitch changes too): 1.1 is shorter. *out is the caller's (ser_free). */
ser_status ser_augment_speed(float **out, size_t *n_out, const float *pcm, size_t n, double factor,
                             ser_error *err);

/* One altered copy for training: speed 0.9 to 1.1; then one of nothing, noise at 8 to 25 dB, the telephone
 * band, an echo of 0.1 to 0.5 s; then a gain of -6 to 6 dB. Which ones depends on seed alone. *out is the
 * caller's (ser_free). */
ser_status ser_augment_copy(float **out, size_t *n_out, const float *pcm, size_t n, uint64_t seed,
                            ser_error *err);

#endif

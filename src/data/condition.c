#include "data/condition.h"
#include "audio/augment.h"

#include <math.h>

static const char *const names[SER_N_CONDITIONS] = {"none", "noise", "telephone", "echo", "quiet", "clipped"};

const char *ser_condition_name(ser_condition c)
{
    return names[c];
}

ser_status ser_condition_apply(float *pcm, size_t n_samples, ser_condition c, ser_random *r, ser_error *err)
{
    switch (c) {
    case SER_CONDITION_NOISE:
        ser_augment_add_noise(pcm, n_samples, SER_NOISE_PINK, 10, r);
        return SER_OK;
    case SER_CONDITION_TELEPHONE:
        return ser_augment_telephone(pcm, n_samples, err);
    case SER_CONDITION_ECHO:
        ser_augment_echo(pcm, n_samples, 0.5, 3, r);
        return SER_OK;
    case SER_CONDITION_QUIET:
        ser_augment_gain(pcm, n_samples, -30);
        for (size_t i = 0; i < n_samples; i++)
            pcm[i] = rintf(pcm[i] * 32768) / 32768;
        return SER_OK;
    case SER_CONDITION_CLIPPED:
        ser_augment_clip(pcm, n_samples, 0.05);
        return SER_OK;
    case SER_CONDITION_NONE:
    case SER_N_CONDITIONS:
        break;
    }
    return SER_OK;
}

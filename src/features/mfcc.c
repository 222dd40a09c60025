#include "base/memory.h"
#include "base/vector.h"
#include "features/mel.h"

#include <math.h>

/* scipy.fft.dct, type 2, norm ortho. */
ser_status ser_dct_new(float **table, int n_coefficients, int n_mels, ser_error *err)
{
    *table = NULL;
    if (n_mels < 1 || n_coefficients < 1 || n_coefficients > n_mels)
        return ser_fail(err, SER_E_ARG,
                        "%d coefficients of %d mel bands: choose from 1 to the number of bands",
                        n_coefficients, n_mels);
    size_t n;
    float *t = ser_mul_size(&n, (size_t)n_mels, (size_t)n_coefficients) ? ser_alloc(n, sizeof *t) : NULL;
    if (!t)
        return ser_fail_nomem(err);
    const double half_turn = acos(-1) / n_mels;
    for (int i = 0; i < n_mels; i++)
        for (int c = 0; c < n_coefficients; c++)
            t[(size_t)i * (size_t)n_coefficients + (size_t)c] =
                (float)(sqrt((c ? 2.0 : 1.0) / n_mels) * cos(half_turn * c * (i + 0.5)));
    *table = t;
    return SER_OK;
}

/* Band by band, so that the inner loop runs along the coefficients. */
SER_FAST(void, ser_features_mfcc,
         (float *restrict mfcc, const float *restrict log_mel, const float *restrict table, size_t n_frames,
          int n_mels, int n_coefficients),
         (mfcc, log_mel, table, n_frames, n_mels, n_coefficients))
{
    for (size_t frame = 0; frame < n_frames; frame++, mfcc += n_coefficients, log_mel += n_mels) {
        const float *row = table;
        for (int c = 0; c < n_coefficients; c++)
            mfcc[c] = 0;
        for (int i = 0; i < n_mels; i++, row += n_coefficients)
            for (int c = 0; c < n_coefficients; c++)
                mfcc[c] += log_mel[i] * row[c];
    }
}

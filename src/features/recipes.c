#include "features/mel.h"

ser_mel_settings ser_logmel_settings(int hop_samples)
{
    return (ser_mel_settings){.sample_rate_hz = 16000,
                              .n_fft = 2048,
                              .hop_samples = hop_samples,
                              .n_mels = 128,
                              .f_min_hz = 0,
                              .f_max_hz = 8000,
                              .pad = SER_PAD_ZERO};
}

ser_mel_settings ser_whisper_mel_settings(int n_mels)
{
    return (ser_mel_settings){.sample_rate_hz = 16000,
                              .n_fft = 400,
                              .hop_samples = 160,
                              .n_mels = n_mels,
                              .f_min_hz = 0,
                              .f_max_hz = 8000,
                              .pad = SER_PAD_REFLECT};
}

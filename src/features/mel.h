/* Mel spectrograms, equal to librosa's (librosa.feature.melspectrogram, version 0.11) for the same
 * parameters: Hann window, power 2. The Fourier transform is KissFFT's, in single precision. */
#ifndef SER_FEATURES_MEL_H
#define SER_FEATURES_MEL_H

#include "base/status.h"

typedef enum ser_pad { SER_PAD_ZERO, SER_PAD_REFLECT } ser_pad;

typedef struct ser_mel_settings {
    int sample_rate_hz, n_fft, hop_samples, n_mels; /* n_fft: even, a product of 2, 3 and 5 */
    double f_min_hz, f_max_hz;                      /* Slaney scale and norm */
    ser_pad pad;                                    /* frames are centred; what lies beyond the ends */
} ser_mel_settings;

typedef struct ser_mel ser_mel; /* window, transform tables, filters: read-only, shared by threads */
typedef struct ser_mel_work ser_mel_work; /* belongs to one thread */

ser_status ser_mel_new(ser_mel **out, const ser_mel_settings *s, ser_error *err);
void ser_mel_free(ser_mel **m);
ser_status ser_mel_work_new(ser_mel_work **out, const ser_mel *m, ser_error *err);
void ser_mel_work_free(ser_mel_work **w);

size_t ser_mel_n_frames(const ser_mel *m, size_t n_samples); /* 1 + n_samples / hop */

/* Power mel spectrogram of a whole recording: mel (n_frames, n_mels). Allocates nothing. n_samples may be
 * shorter than a window. */
void ser_mel_run(const ser_mel *m, ser_mel_work *w, float *mel, const float *pcm, size_t n_samples);

/* librosa.power_to_db in place: reference 1, floor 1e-10, 80 dB below the maximum of all n values. */
void ser_features_power_to_db(float *x, size_t n);

/* LOGMEL: 16 kHz, n_fft 2048, 128 bands, 0 to 8 kHz, zero padding; then power_to_db. */
ser_mel_settings ser_logmel_settings(int hop_samples);

/* The first n_coefficients of the orthonormal DCT-II of each frame: mfcc (n_frames, n_coefficients) of
 * log-mel (n_frames, n_mels). table (n_mels, n_coefficients) from ser_dct_new, freed with ser_free. */
ser_status ser_dct_new(float **table, int n_coefficients, int n_mels, ser_error *err);
void ser_features_mfcc(float *mfcc, const float *log_mel, const float *table, size_t n_frames, int n_mels,
                       int n_coefficients);

/* The end of Whisper's recipe, in place: log10 with floor 1e-10, 8 below the maximum of all n values,
 * (x + 4) / 4. */
void ser_features_whisper_log(float *x, size_t n);

/* Whisper's log-mel (openai/whisper, whisper/audio.py, log_mel_spectrogram): n_fft 400, hop 160, reflecting
 * pad, the last frame dropped: n_samples / 160 frames; log10, 8 below the maximum, (x + 4) / 4. The model m
 * is made with ser_whisper_mel_settings; mel must hold ser_mel_n_frames rows. Returns the frames to use. */
ser_mel_settings ser_whisper_mel_settings(int n_mels);
size_t ser_features_whisper_mel(const ser_mel *m, ser_mel_work *w, float *mel, const float *pcm,
                                size_t n_samples);

#endif

/* Silero VAD 6 (https://github.com/snakers4/silero-vad, MIT): how likely each 32 ms of sound hold speech. The
 * weights lie in the program (tools/make_voice_weights.py). A window of 512 samples at 16 kHz, with the 64
 * before it, gives four spectra, these go through four convolutions over time, and a long short-term memory
 * remembers what came before. Here is the network as its authors trained it; what users of it want is
 * voice_activity.h. */
#ifndef SER_MODEL_VOICE_NETWORK_H
#define SER_MODEL_VOICE_NETWORK_H

#include "io/safetensors.h"
#include <stddef.h>

enum {
    SER_VOICE_WINDOW = 512, /* samples per probability */
    SER_VOICE_CONTEXT = 64, /* samples before it that are read too */
    SER_VOICE_READ = SER_VOICE_CONTEXT + SER_VOICE_WINDOW,
    SER_VOICE_BATCH = 8, /* windows at a time: each weight is read once for all of them */
    SER_VOICE_FFT = 256,
    SER_VOICE_HOP = 128,
    SER_VOICE_BINS = SER_VOICE_FFT / 2 + 1,
    SER_VOICE_SPECTRA = 4,                    /* per window */
    SER_VOICE_BASIS = 288,                    /* 2 * SER_VOICE_BINS, a multiple of 32 */
    SER_VOICE_MIRRORED = SER_VOICE_READ + 64, /* the last samples again, backwards */
    SER_VOICE_WIDE = 128,
    SER_VOICE_NARROW = 64,
    SER_VOICE_GATES = 4 * SER_VOICE_WIDE
};

/* Read-only, shared by all threads. */
typedef struct ser_voice_network ser_voice_network;

ser_status ser_voice_network_new(ser_voice_network **out, ser_error *err);
void ser_voice_network_free(ser_voice_network **n);
/* The weights as they lie in the program, by their authors' names; shapes in voice_network.c. */
ser_status ser_voice_weights_open(ser_safetensors **out, ser_error *err);

/* What it remembers of a sound; zeroed: nothing. */
typedef struct ser_voice_memory {
    _Alignas(64) float hidden[SER_VOICE_WIDE];
    float cell[SER_VOICE_WIDE];
} ser_voice_memory;

/* The layers' values of the windows under way, time by channels; what convolutions read and write are floats,
 * kept as doubles. Rows of zeros lie around the time axis where a convolution reads beyond it: they are never
 * written. Zeroed before first use; belongs to one thread. */
typedef struct ser_voice_work {
    _Alignas(64) float pcm[SER_VOICE_BATCH][SER_VOICE_MIRRORED];
    float spectra[SER_VOICE_BATCH][SER_VOICE_SPECTRA][SER_VOICE_BASIS]; /* real parts, then imaginary ones */
    double magnitudes[SER_VOICE_BATCH][1 + SER_VOICE_SPECTRA + 1][SER_VOICE_BINS];
    double conv1[SER_VOICE_BATCH][1 + 4][SER_VOICE_WIDE];
    double conv2[SER_VOICE_BATCH][1 + 2][SER_VOICE_NARROW];
    double conv3[SER_VOICE_BATCH][SER_VOICE_NARROW];
    double conv4[SER_VOICE_BATCH][SER_VOICE_WIDE];
    float inputs[SER_VOICE_BATCH][SER_VOICE_WIDE];
    float gates[SER_VOICE_BATCH][SER_VOICE_GATES]; /* input, forget, cell, output */
    float recurrent[SER_VOICE_GATES];
} ser_voice_work;

/* windows (n, SER_VOICE_READ), n up to SER_VOICE_BATCH, that follow each other -> probabilities (n). The same
 * bits however windows are put together. Samples must be finite. */
void ser_voice_network_run(const ser_voice_network *n, ser_voice_work *work, ser_voice_memory *memory,
                           float *probabilities, const float *windows, size_t n_windows);

#endif

/* Times log-mel (or Whisper's) of one recording; compare_librosa.py runs it beside the reference.
 * Usage: bench-features IN.f32 OUT.f32 logmel|whisper HOP N_RUNS
 * IN: raw float32 samples at 16 kHz; OUT: the result, raw float32, (frames, bands). Prints the milliseconds
 * of the fastest run. */
#include "base/memory.h"
#include "features/mel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static float *read_samples(const char *path, size_t *n)
{
    float *pcm = NULL;
    size_t capacity = 0, n_read;
    FILE *f = fopen(path, "rb");
    *n = 0;
    while (f && ser_grow(&pcm, &capacity, *n + 65536, sizeof *pcm) &&
           (n_read = fread(pcm + *n, sizeof *pcm, 65536, f)) > 0)
        *n += n_read;
    if (f)
        fclose(f);
    return pcm;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: %s IN.f32 OUT.f32 logmel|whisper HOP N_RUNS\n", argv[0]);
        return 2;
    }
    const bool whisper = strcmp(argv[3], "whisper") == 0;
    const int hop = atoi(argv[4]), n_runs = atoi(argv[5]);
    const ser_mel_settings s = whisper ? ser_whisper_mel_settings(80) : ser_logmel_settings(hop);
    size_t n_samples;
    ser_error err = {0};
    ser_mel *m = NULL;
    ser_mel_work *work = NULL;
    float *pcm = read_samples(argv[1], &n_samples), *mel = NULL;
    ser_status status = ser_mel_new(&m, &s, &err);
    if (status == SER_OK)
        status = ser_mel_work_new(&work, m, &err);
    size_t n_values = 0;
    if (status == SER_OK) {
        n_values = (ser_mel_n_frames(m, n_samples) - whisper) * (size_t)s.n_mels;
        mel = ser_alloc(n_values + (size_t)s.n_mels, sizeof *mel);
    }
    double fastest = 1e9;
    for (int i = 0; mel && i < n_runs; i++) {
        double start = now_ms();
        ser_mel_run(m, work, mel, pcm, n_samples);
        if (whisper)
            ser_features_whisper_log(mel, n_values);
        else
            ser_features_power_to_db(mel, n_values);
        double ms = now_ms() - start;
        fastest = ms < fastest ? ms : fastest;
    }
    FILE *out = mel && status == SER_OK ? fopen(argv[2], "wb") : NULL;
    bool written = out && fwrite(mel, sizeof *mel, n_values, out) == n_values;
    written = out && fclose(out) == 0 && written;
    if (written)
        printf("%.4f\n", fastest);
    else
        fprintf(stderr, "bench-features: %s\n", err.text[0] ? err.text : "cannot read or write its files");
    ser_free(pcm);
    ser_free(mel);
    ser_mel_work_free(&work);
    ser_mel_free(&m);
    return written ? EXIT_SUCCESS : EXIT_FAILURE;
}

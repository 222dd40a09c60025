/* The voice detector alone: its speed on one thread, and the network's probabilities for tools that compare
 * them.
 *
 *   bench-voice-activity FILE     of 32 bit floats at 16 kHz, as the machine has them
 *
 * Tells the real time factor, the best of five times through, on standard error; writes the probability of
 * each window, as the network gives it without the detector's rules, to standard output as 32 bit floats. */
#include "base/memory.h"
#include "model/voice_activity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static ser_status time_detector(const ser_voice_network *network, const float *pcm, size_t n, size_t portion,
                                ser_error *err)
{
    ser_voice_detector *d = NULL;
    double best_s = 0;
    ser_status st = ser_voice_detector_new(&d, network, err);
    for (int i = 0; i < 5 && st == SER_OK; i++) {
        clock_t start =
            clock(); /* of this thread, which is the only one: others on the machine do not count */
        ser_voice_detector_start(d, NULL, NULL);
        for (size_t at = 0; at < n && st == SER_OK; at += portion)
            st = ser_voice_detector_push(d, pcm + at, portion < n - at ? portion : n - at, err);
        if (st == SER_OK)
            st = ser_voice_detector_finish(d, err);
        double s = (double)(clock() - start) / CLOCKS_PER_SEC;
        best_s = i && best_s < s ? best_s : s;
    }
    if (st == SER_OK)
        fprintf(stderr, "portions of %zu samples: real time factor %.5f\n", portion,
                best_s / ((double)n / SER_SAMPLE_RATE_HZ));
    ser_voice_detector_free(&d);
    return st;
}

static ser_status write_probabilities(const ser_voice_network *network, const float *pcm, size_t n,
                                      ser_error *err)
{
    ser_voice_memory memory = {0};
    ser_voice_work *work = ser_alloc(1, sizeof *work);
    float window[SER_VOICE_READ] = {0}, probability;
    ser_status st = work ? SER_OK : ser_fail_nomem(err);
    for (size_t at = 0; at < n && st == SER_OK; at += SER_VOICE_WINDOW) {
        size_t n_there = n - at < SER_VOICE_WINDOW ? n - at : SER_VOICE_WINDOW;
        memmove(window, window + SER_VOICE_WINDOW, SER_VOICE_CONTEXT * sizeof *window);
        memset(window + SER_VOICE_CONTEXT, 0, SER_VOICE_WINDOW * sizeof *window);
        memcpy(window + SER_VOICE_CONTEXT, pcm + at, n_there * sizeof *window);
        ser_voice_network_run(network, work, &memory, &probability, window, 1);
        if (fwrite(&probability, sizeof probability, 1, stdout) != 1)
            st = ser_fail(err, SER_E_IO, "cannot write");
    }
    ser_free(work);
    return st;
}

int main(int argc, char **argv)
{
    ser_error err = {0};
    ser_voice_network *network = NULL;
    float *pcm = NULL;
    FILE *f = argc == 2 ? fopen(argv[1], "rb") : NULL;
    size_t n = 0, capacity = 0, n_read = 1;
    if (!f) {
        fprintf(stderr, "usage: bench-voice-activity FILE\n");
        return 2;
    }
    while (n_read) {
        if (!ser_grow(&pcm, &capacity, n + 65536, sizeof *pcm))
            return EXIT_FAILURE;
        n_read = fread(pcm + n, sizeof *pcm, 65536, f);
        n += n_read;
    }
    fclose(f);
    ser_status st = ser_voice_network_new(&network, &err);
    if (st == SER_OK && n)
        st = time_detector(network, pcm, n, SER_VOICE_WINDOW, &err);
    if (st == SER_OK && n)
        st = time_detector(network, pcm, n, SER_SAMPLE_RATE_HZ, &err);
    if (st == SER_OK)
        st = write_probabilities(network, pcm, n, &err);
    if (st != SER_OK || fflush(stdout) != 0)
        fprintf(stderr, "bench-voice-activity: %s\n", err.text);
    ser_voice_network_free(&network);
    ser_free(pcm);
    return st == SER_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

#include "audio/audio.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    enum { MAX_READS = 300 }; /* a few bytes can state hours of silence */
    static float pcm[16000];
    setenv("PATH", "", 1); /* no ffmpeg: it is another program */
    uint8_t *copy = fuzz_copy(data, n);
    ser_audio *a;
    if (ser_audio_open_memory(&a, copy, n, NULL) == SER_OK) {
        size_t n_read = 1;
        for (int i = 0; i < MAX_READS && n_read; i++)
            if (ser_audio_read(a, pcm, sizeof pcm / sizeof *pcm, &n_read, NULL) != SER_OK)
                break;
        if (strlen(ser_audio_warning(a)) > 255)
            abort();
    }
    ser_audio_close(&a);
    free(copy);
    return 0;
}

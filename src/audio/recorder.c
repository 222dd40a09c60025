#include "audio/recorder.h"
#include "base/memory.h"

#include <sndfile.h>
#include <string.h>
#include <strings.h>

struct ser_recorder {
    SNDFILE *file;
};

ser_status ser_recorder_new(ser_recorder **out, int fd, const char *name, int rate_hz, int n_channels,
                            ser_error *err)
{
    size_t n = strlen(name);
    bool flac = n >= 5 && strcasecmp(name + n - 5, ".flac") == 0;
    SF_INFO info = {.samplerate = rate_hz,
                    .channels = n_channels,
                    .format = (flac ? SF_FORMAT_FLAC : SF_FORMAT_WAV) | SF_FORMAT_PCM_16};
    ser_recorder *r = *out = ser_alloc(1, sizeof *r);
    if (!r)
        return ser_fail_nomem(err);
    if (!(r->file = sf_open_fd(fd, SFM_WRITE, &info, 0))) {
        ser_free(r);
        *out = NULL;
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "%d Hz and %d channels cannot be recorded so (%s): choose .wav", rate_hz, n_channels,
                        sf_strerror(NULL));
    }
    sf_command(r->file, SFC_SET_CLIPPING, NULL, SF_TRUE);
    return SER_OK;
}

ser_status ser_recorder_add(ser_recorder *r, const float *frames, size_t n_frames, ser_error *err)
{
    return sf_writef_float(r->file, frames, (sf_count_t)n_frames) == (sf_count_t)n_frames
               ? SER_OK
               : ser_fail(err, SER_E_IO, "it cannot be written (%s)", sf_strerror(r->file));
}

void ser_recorder_free(ser_recorder **r)
{
    if (!r || !*r)
        return;
    sf_close((*r)->file);
    ser_free(*r);
    *r = NULL;
}

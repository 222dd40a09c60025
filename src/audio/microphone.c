#include "audio/microphone.h"
#include "base/memory.h"

#include <errno.h>
#include <portaudio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct ser_microphone {
    PaStream *stream;
    int rate_hz;
    char name[128];
};

static ser_status fail(ser_error *err, PaError failure, const char *what)
{
    if (failure == paDeviceUnavailable)
        return ser_fail(err, SER_E_IO,
                        "%s: it is busy or gone: close what else is using it, or choose another with "
                        "--device (--list-devices shows them)",
                        what);
    if (failure == paUnanticipatedHostError) {
        const PaHostErrorInfo *host = Pa_GetLastHostErrorInfo();
        return ser_fail(
            err, SER_E_IO, "%s: %s: choose another with --device (--list-devices shows them)", what,
            host && host->errorText && *host->errorText ? host->errorText : "the sound system fails");
    }
    return ser_fail(err, SER_E_IO, "%s: %s: choose another with --device (--list-devices shows them)", what,
                    Pa_GetErrorText(failure));
}

/* PortAudio aborts the program where ALSA's configuration is empty or cannot be read, and may hang in a sound
 * server: so a child tries it first. */
static ser_status try_in_child(ser_error *err)
{
    enum { PATIENCE_S = 20 };
    int how = 0;
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        signal(SIGALRM, SIG_DFL);
        alarm(PATIENCE_S);
        if (Pa_Initialize() == paNoError)
            Pa_Terminate();
        _exit(0); /* what PortAudio itself says is said by the parent */
    }
    while (child > 0 && waitpid(child, &how, 0) < 0 && errno == EINTR)
        ;
    if (child <= 0 || !WIFSIGNALED(how))
        return SER_OK;
    return ser_fail(
        err, SER_E_IO,
        WTERMSIG(how) == SIGALRM
            ? "the sound system does not answer: restart it, or pipe sound in (ser listen -)"
            : "the sound system fails: look at ALSA's configuration (ALSA_CONFIG_PATH, ~/.asoundrc, "
              "/usr/share/alsa), or pipe sound in (ser listen -)");
}

static ser_status begin(ser_error *err)
{
    ser_status st = try_in_child(err);
    if (st != SER_OK)
        return st;
    PaError failure = Pa_Initialize();
    return failure == paNoError ? SER_OK : fail(err, failure, "the sound system");
}

static const PaDeviceInfo *hearing_device(PaDeviceIndex i)
{
    const PaDeviceInfo *d = Pa_GetDeviceInfo(i);
    return d && d->maxInputChannels > 0 ? d : NULL;
}

static ser_status find(PaDeviceIndex *out, const char *name, ser_error *err)
{
    size_t n_with = 0;
    PaDeviceIndex with = paNoDevice;
    if (!name) {
        *out = Pa_GetDefaultInputDevice();
        return *out != paNoDevice ? SER_OK
                                  : ser_fail(err, SER_E_IO,
                                             "there is no microphone: plug one in, or pipe sound in "
                                             "(arecord -f S16_LE -r 16000 -t raw | ser listen -)");
    }
    for (PaDeviceIndex i = 0; i < Pa_GetDeviceCount(); i++) {
        const PaDeviceInfo *d = hearing_device(i);
        if (d && strcmp(d->name, name) == 0) {
            *out = i;
            return SER_OK;
        }
        if (d && strstr(d->name, name)) {
            with = i;
            n_with++;
        }
    }
    if (n_with != 1)
        return ser_fail(err, SER_E_ARG, "%s microphone is called '%s': --list-devices shows them",
                        n_with ? "more than one" : "no", name);
    *out = with;
    return SER_OK;
}

static ser_status open_stream(ser_microphone *m, PaDeviceIndex device, ser_error *err)
{
    const PaDeviceInfo *d = Pa_GetDeviceInfo(device);
    /* The longer latency: nothing here is heard back, and less is lost on a busy machine. */
    const PaStreamParameters in = {.device = device,
                                   .channelCount = 1,
                                   .sampleFormat = paFloat32,
                                   .suggestedLatency = d->defaultHighInputLatency};
    snprintf(m->name, sizeof m->name, "%s", d->name);
    m->rate_hz = Pa_IsFormatSupported(&in, NULL, SER_SAMPLE_RATE_HZ) == paFormatIsSupported
                     ? SER_SAMPLE_RATE_HZ
                     : (int)d->defaultSampleRate;
    PaError failure =
        Pa_OpenStream(&m->stream, &in, NULL, m->rate_hz,
                      (unsigned long)(m->rate_hz / SER_MICROPHONE_BLOCKS_PER_S), paClipOff, NULL, NULL);
    if (failure == paNoError)
        failure = Pa_StartStream(m->stream);
    return failure == paNoError ? SER_OK : fail(err, failure, m->name);
}

ser_status ser_microphone_open(ser_microphone **out, const char *name, ser_error *err)
{
    PaDeviceIndex device = paNoDevice;
    *out = NULL;
    ser_status st = begin(err);
    if (st != SER_OK)
        return st;
    ser_microphone *m = ser_alloc(1, sizeof *m);
    st = m ? find(&device, name, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = open_stream(m, device, err);
    if (st == SER_OK) {
        *out = m;
        return SER_OK;
    }
    if (m && m->stream)
        Pa_CloseStream(m->stream);
    ser_free(m);
    Pa_Terminate();
    return st;
}

void ser_microphone_close(ser_microphone **m)
{
    if (!m || !*m)
        return;
    Pa_AbortStream((*m)->stream);
    Pa_CloseStream((*m)->stream);
    Pa_Terminate();
    ser_free(*m);
    *m = NULL;
}

int ser_microphone_rate_hz(const ser_microphone *m)
{
    return m->rate_hz;
}

const char *ser_microphone_name(const ser_microphone *m)
{
    return m->name;
}

ser_status ser_microphone_read(ser_microphone *m, float *pcm, bool *lost, ser_error *err)
{
    PaError failure =
        Pa_ReadStream(m->stream, pcm, (unsigned long)(m->rate_hz / SER_MICROPHONE_BLOCKS_PER_S));
    *lost = failure == paInputOverflowed;
    return failure == paNoError || *lost ? SER_OK : fail(err, failure, m->name);
}

ser_status ser_microphone_list(ser_text *lines, ser_error *err)
{
    ser_status st = begin(err);
    if (st != SER_OK)
        return st;
    for (PaDeviceIndex i = 0; i < Pa_GetDeviceCount(); i++) {
        const PaDeviceInfo *d = hearing_device(i);
        if (d)
            ser_text_appendf(lines, "%s  (%d channel%s, %.0f Hz%s)\n", d->name, d->maxInputChannels,
                             d->maxInputChannels == 1 ? "" : "s", d->defaultSampleRate,
                             i == Pa_GetDefaultInputDevice() ? ", the system's own" : "");
    }
    Pa_Terminate();
    return lines->failed ? ser_fail_nomem(err) : SER_OK;
}

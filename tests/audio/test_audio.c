/* Recordings of every kind are made here with libsndfile's encoders and must come back as the sound they
 * were. */
#include "audio/audio.h"
#include "audio/outline.h"
#include "base/memory.h"
#include "base/random.h"
#include "failures/failing.h"
#include "scratch.h"
#include "sounds.h"
#include "test.h"

#include <fcntl.h>
#include <sys/resource.h>

/* Of what was read to the sound itself, times scale, in dB. A delay of one sample already costs all but 8 dB.
 */
static double signal_to_error_db(const float *pcm, size_t from, size_t to, double scale)
{
    double signal = 0, error = 0;
    for (size_t i = from; i < to; i++) {
        double x = scale * (double)sound_at((double)i / SER_SAMPLE_RATE_HZ), e = (double)pcm[i] - x;
        signal += x * x;
        error += e * e;
    }
    return 10 * log10(signal / (error + 1e-30));
}

static void test_formats(void)
{
    static const struct {
        int format;
        double min_db;
        const char *name;
    } cases[] = {
        {SF_FORMAT_WAV | SF_FORMAT_FLOAT, 120, "WAV, 32 bit float"},
        {SF_FORMAT_WAV | SF_FORMAT_DOUBLE, 120, "WAV, 64 bit float"},
        {SF_FORMAT_WAV | SF_FORMAT_PCM_32, 120, "WAV, Signed 32 bit PCM"},
        {SF_FORMAT_WAV | SF_FORMAT_PCM_24, 110, "WAV, Signed 24 bit PCM"},
        {SF_FORMAT_WAV | SF_FORMAT_PCM_16, 70, "WAV, Signed 16 bit PCM"},
        {SF_FORMAT_WAV | SF_FORMAT_PCM_U8, 25, "WAV, Unsigned 8 bit PCM"},
        {SF_FORMAT_WAV | SF_FORMAT_ULAW, 30, "WAV, U-Law"},
        {SF_FORMAT_WAV | SF_FORMAT_ALAW, 30, "WAV, A-Law"},
        {SF_FORMAT_WAV | SF_FORMAT_IMA_ADPCM, 20, "WAV, IMA ADPCM"},
        {SF_FORMAT_WAV | SF_FORMAT_MS_ADPCM, 15, "WAV, Microsoft ADPCM"},
        {SF_FORMAT_WAV | SF_FORMAT_GSM610, 5, "WAV, GSM 6.10"},
        {SF_FORMAT_WAVEX | SF_FORMAT_PCM_16, 70, "WAV"},
        {SF_FORMAT_RF64 | SF_FORMAT_PCM_16, 70, "RF64, Signed 16 bit PCM"},
        {SF_FORMAT_W64 | SF_FORMAT_PCM_16, 70, "W64, Signed 16 bit PCM"},
        {SF_FORMAT_AIFF | SF_FORMAT_PCM_16, 70, "AIFF, Signed 16 bit PCM"},
        {SF_FORMAT_AU | SF_FORMAT_PCM_16, 70, "AU, Signed 16 bit PCM"},
        {SF_FORMAT_CAF | SF_FORMAT_PCM_16, 70, "CAF, Signed 16 bit PCM"},
        {SF_FORMAT_CAF | SF_FORMAT_ALAC_16, 70, "CAF, 16 bit ALAC"},
        {SF_FORMAT_NIST | SF_FORMAT_PCM_16, 70, "WAV, Signed 16 bit PCM"},
        {SF_FORMAT_VOC | SF_FORMAT_PCM_16, 70, "VOC, Signed 16 bit PCM"},
        {SF_FORMAT_SVX | SF_FORMAT_PCM_16, 70, "IFF, Signed 16 bit PCM"},
        {SF_FORMAT_PAF | SF_FORMAT_PCM_16, 70, "PAF, Signed 16 bit PCM"},
        {SF_FORMAT_AVR | SF_FORMAT_PCM_16, 70, "AVR, Signed 16 bit PCM"},
        {SF_FORMAT_PVF | SF_FORMAT_PCM_16, 70, "PVF, Signed 16 bit PCM"},
        {SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 70, "FLAC, Signed 16 bit PCM"},
        {SF_FORMAT_FLAC | SF_FORMAT_PCM_24, 110, "FLAC, Signed 24 bit PCM"},
        {SF_FORMAT_OGG | SF_FORMAT_VORBIS, 12, "OGG, Vorbis"},
        {SF_FORMAT_OGG | SF_FORMAT_OPUS, 12, "OGG, Opus"},
        {SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, 12, "MP3, MPEG layer 3"},
    };
    ser_error err = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!make_sound("sound", cases[i].format, 1, SER_SAMPLE_RATE_HZ, 3))
            continue;
        ser_audio *a;
        ser_audio_info info = {0};
        float pcm[N_SOUND + 2000];
        size_t n = 0;
        CHECK_OK(ser_audio_open(&a, scratch("sound"), &err), &err);
        if (!a)
            continue;
        ser_audio_get_info(a, &info);
        CHECK_OK(ser_audio_read(a, pcm, sizeof pcm / sizeof *pcm, &n, &err), &err);
        double db = signal_to_error_db(pcm, 800, N_SOUND - 800, 1);
        /* ADPCM and GSM end with a whole block. */
        if (strncmp(info.format, cases[i].name, strlen(cases[i].name)) != 0 || !(db >= cases[i].min_db) ||
            n < N_SOUND || n > N_SOUND + 1000) {
            fprintf(stderr, "%s, expected %s: %zu samples, %.1f dB\n", info.format, cases[i].name, n, db);
            test_n_failed++;
        }
        CHECK(info.sample_rate_hz == SER_SAMPLE_RATE_HZ && info.n_channels == 1);
        CHECK(info.n_frames_stated >= N_SOUND && info.n_frames_stated == n);
        CHECK(*ser_audio_warning(a) == 0);
        CHECK(is_audio(scratch("sound")));
        ser_audio_close(&a);
        CHECK(!a);
    }
}

static void test_our_rate_is_exact(void)
{
    enum { N = 10007 };
    static float frames[N];
    static short shorts[N];
    ser_error err = {0};
    ser_random r;
    ser_random_init(&r, 1);
    for (size_t i = 0; i < N; i++) {
        shorts[i] = (short)((int)ser_random_below(&r, 65536) - 32768);
        frames[i] = (float)ser_random_normal(&r); /* beyond [-1, 1] too */
    }
    float *pcm;
    size_t n;
    char warning[256] = "x";
    CHECK(write_sound("float", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 1, 16000, frames, N));
    CHECK_OK(ser_audio_load(&pcm, &n, scratch("float"), warning, &err), &err);
    CHECK(n == N && memcmp(pcm, frames, sizeof frames) == 0 && !*warning);
    ser_free(pcm);
    SF_INFO info = {.samplerate = 16000, .channels = 1, .format = SF_FORMAT_FLAC | SF_FORMAT_PCM_16};
    SNDFILE *f = sf_open(scratch("short"), SFM_WRITE, &info);
    CHECK(sf_writef_short(f, shorts, N) == N && sf_close(f) == 0);
    CHECK_OK(ser_audio_load(&pcm, &n, scratch("short"), NULL, &err), &err);
    size_t n_wrong = n != N;
    for (size_t i = 0; i < N && n == N; i++)
        n_wrong += pcm[i] != (float)shorts[i] / 32768;
    CHECK(n_wrong == 0);
    ser_free(pcm);
}

static void test_rates(void)
{
    static const int rates[] = {7000,  7999,  8000,  11025, 15999,  16001, 22050,
                                32000, 44100, 48000, 96000, 192000, 352801};
    ser_error err = {0};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        float *pcm;
        size_t n, n_in = (size_t)(1.003 * rates[i]);
        CHECK(make_sound("rate", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 1, rates[i], 1.003));
        CHECK_OK(ser_audio_load(&pcm, &n, scratch("rate"), NULL, &err), &err);
        CHECK(n == (size_t)floor((double)n_in * 16000 / rates[i] + 0.5));
        double db = n > 15000 ? signal_to_error_db(pcm, 800, 15000, 1) : 0;
        if (!(db > 80)) { /* at 6 kHz a part of the sound is beyond half the rate's band */
            fprintf(stderr, "%d Hz: %.1f dB\n", rates[i], db);
            test_n_failed++;
        }
        ser_free(pcm);
    }
    float few[40] = {0};
    ser_audio *a;
    CHECK(write_sound("slow", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 1, 249, few, 40));
    CHECK_FAILS(ser_audio_open(&a, scratch("slow"), &err), SER_E_UNSUPPORTED, &err, "249 samples per second");
    CHECK(write_sound("slow", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 1, 250, few, 40));
    CHECK_OK(ser_audio_open(&a, scratch("slow"), &err), &err);
    ser_audio_close(&a);
}

static void test_channels(void)
{
    static const int channels[] = {2, 3, 6, 1024};
    ser_error err = {0};
    for (size_t i = 0; i < 4; i++)
        for (int rate = 16000; rate <= 48000; rate += 32000) {
            float *pcm;
            size_t n;
            CHECK(make_sound("channels", SF_FORMAT_WAV | SF_FORMAT_FLOAT, channels[i], rate, 0.2));
            CHECK_OK(ser_audio_load(&pcm, &n, scratch("channels"), NULL, &err), &err);
            double mean = (1 + 0.5 * (channels[i] - 1)) / channels[i];
            CHECK(n == 3200 && signal_to_error_db(pcm, 400, 2800, mean) > 90);
            ser_free(pcm);
        }
}

/* What a sample is must not depend on how many are asked for at a time. */
static void test_pieces(void)
{
    static const size_t pieces[] = {1, 7, 160, 4096, 5000};
    ser_error err = {0};
    for (int rate = 16000; rate <= 44100; rate += 28100) {
        float *whole, piece[5000];
        size_t n;
        CHECK(make_sound("pieces", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 2, rate, 1.5));
        CHECK_OK(ser_audio_load(&whole, &n, scratch("pieces"), NULL, &err), &err);
        for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
            ser_audio *a;
            size_t n_read = pieces[i], at = 0, n_wrong = 0;
            CHECK_OK(ser_audio_open(&a, scratch("pieces"), &err), &err);
            while (n_read == pieces[i] && at <= n &&
                   ser_audio_read(a, piece, pieces[i], &n_read, &err) == SER_OK) {
                n_wrong += at + n_read > n || memcmp(piece, whole + at, n_read * sizeof *piece) != 0;
                at += n_read;
            }
            CHECK(n_wrong == 0 && at == n);
            CHECK(ser_audio_read(a, piece, 10, &n_read, &err) == SER_OK && n_read == 0);
            ser_audio_close(&a);
        }
        ser_free(whole);
    }
}

static void test_not_finite(void)
{
    static const float values[] = {NAN, INFINITY, -INFINITY};
    ser_error err = {0};
    float frames[16000], *pcm;
    size_t n;
    for (int rate = 16000; rate <= 44100; rate += 28100)
        for (int i = 0; i < 3; i++) {
            for (int j = 0; j < 16000; j++)
                frames[j] = sound_at((double)j / rate);
            frames[12345] = values[i];
            char words[80];
            snprintf(words, sizeof words, "the sample at %.4f s is not a finite number", 12345.0 / rate);
            CHECK(write_sound("nan", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 1, rate, frames, 16000));
            CHECK_FAILS(ser_audio_load(&pcm, &n, scratch("nan"), NULL, &err), SER_E_FORMAT, &err, words);
            CHECK(!pcm && !n);
        }
    for (int j = 0; j < 16000; j++)
        frames[j] = j % 2 ? 3e38f : -3e38f;
    CHECK(write_sound("huge", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 1, 11025, frames, 16000));
    CHECK_FAILS(ser_audio_load(&pcm, &n, scratch("huge"), NULL, &err), SER_E_FORMAT, &err, "too large");
}

static void test_short(void)
{
    ser_error err = {0};
    float *pcm;
    size_t n;
    CHECK(make_sound("short", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 1, SER_SAMPLE_RATE_HZ, 399.0 / 16000));
    CHECK_FAILS(ser_audio_load(&pcm, &n, scratch("short"), NULL, &err), SER_E_FORMAT, &err, "0.0249 s long");
    CHECK(make_sound("short", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 1, SER_SAMPLE_RATE_HZ, 400.0 / 16000));
    CHECK_OK(ser_audio_load(&pcm, &n, scratch("short"), NULL, &err), &err);
    CHECK(n == SER_MIN_SAMPLES);
    ser_free(pcm);
}

/* Runs load("-") with standard input as fd, which it closes. */
static size_t load_stdin(int fd, ser_error *err)
{
    int saved = dup(STDIN_FILENO);
    float *pcm;
    size_t n;
    *err = (ser_error){0};
    dup2(fd, STDIN_FILENO);
    close(fd);
    ser_audio_load(&pcm, &n, "-", NULL, err);
    ser_free(pcm);
    dup2(saved, STDIN_FILENO);
    close(saved);
    return n;
}

static int pipe_with(const unsigned char *bytes, size_t n)
{
    int ends[2];
    CHECK(pipe(ends) == 0 && write(ends[1], bytes, n) == (ssize_t)n); /* fits into the pipe's buffer */
    close(ends[1]);
    return ends[0];
}

static void test_standard_input(void)
{
    ser_error err;
    size_t n;
    CHECK(make_sound("in", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 1, SER_SAMPLE_RATE_HZ, 1));
    unsigned char *wav = get_file("in", &n);
    CHECK(load_stdin(pipe_with(wav, n), &err) == 16000);
    CHECK(load_stdin(pipe_with(wav, 0), &err) == 0 && strstr(err.text, "empty"));
    CHECK(load_stdin(open(scratch("in"), O_RDONLY), &err) == 16000);

    memmove(wav + 100, wav, n); /* a file that somebody has read a part of */
    scratch_put("late", wav, n + 100);
    int fd = open(scratch("late"), O_RDONLY);
    CHECK(lseek(fd, 100, SEEK_SET) == 100 && load_stdin(fd, &err) == 16000);

    setenv("TMPDIR", scratch("no/such/folder"), 1);
    CHECK(load_stdin(pipe_with(wav + 100, n), &err) == 0 && err.status == SER_E_IO &&
          strstr(err.text, "TMPDIR"));
    unsetenv("TMPDIR");
    ser_free(wav);

    char path[64];
    ser_audio *a;
    wav = get_file("in", &n);
    fd = pipe_with(wav, n); /* what a shell makes of <(command) */
    snprintf(path, sizeof path, "/dev/fd/%d", fd);
    CHECK_OK(ser_audio_open(&a, path, &err), &err);
    ser_audio_close(&a);
    close(fd);
    ser_free(wav);
}

/* Two and a half hours: the memory must stay that of a short one. */
static void test_bounded_memory(void)
{
    const off_t n_bytes = 44 + 300000000;
    size_t n;
    ser_error err = {0};
    CHECK(make_sound("long", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 1, SER_SAMPLE_RATE_HZ, 0.1));
    unsigned char *wav = get_file("long", &n);
    set_u32(wav + 40, (uint32_t)n_bytes - 44, true);
    scratch_put("long", wav, n);
    ser_free(wav);
    CHECK(truncate(scratch("long"), n_bytes) == 0); /* sparse: takes no room */
    struct rusage before, after;
    static float pcm[16000];
    uint64_t n_all = 0;
    ser_audio *a;
    CHECK_OK(ser_audio_open(&a, scratch("long"), &err), &err);
    getrusage(RUSAGE_SELF, &before);
    do {
        CHECK(ser_audio_read(a, pcm, 16000, &n, &err) == SER_OK);
        n_all += n;
    } while (n == 16000);
    getrusage(RUSAGE_SELF, &after);
    CHECK(n_all == 150000000 && !*ser_audio_warning(a));
    CHECK(after.ru_maxrss - before.ru_maxrss < 2000); /* kB */
    ser_audio_close(&a);
    unlink(scratch("long"));
}

static void test_memory_fails(void)
{
    ser_error err = {0};
    float *pcm = NULL;
    size_t n;
    CHECK(make_sound("memory", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 2, 44100, 5));
    ser_status status = SER_E_NOMEM;
    long i = 0;
    for (; status == SER_E_NOMEM && i < 50; i++) {
        failing_at(i);
        status = ser_audio_load(&pcm, &n, scratch("memory"), NULL, &err);
        CHECK(status == SER_OK || (status == SER_E_NOMEM && !pcm && !n));
    }
    failing_at(-1);
    CHECK(status == SER_OK && i > 5);
    ser_free(pcm);
}

static void test_resample(void)
{
    ser_error err = {0};
    float *in = make_frames(16000, 1, 16000), *out;
    size_t n;
    CHECK_OK(ser_audio_resample(&out, &n, in, 16000, 16000, 24000, &err), &err);
    CHECK(n == 24000 && fabsf(out[12000] - in[8000]) < 1e-4f);
    ser_free(out);
    CHECK_OK(ser_audio_resample(&out, &n, in, 16000, 17600, 16000, &err), &err);
    CHECK(n == 14545); /* round(14545.45) */
    ser_free(out);
    CHECK_OK(ser_audio_resample(&out, &n, in, 0, 8000, 16000, &err), &err);
    CHECK(n == 0);
    ser_free(out);
    CHECK_OK(ser_audio_resample(&out, &n, in, 1, 16000, 8000, &err), &err);
    CHECK(n == 1); /* round(0.5) */
    ser_free(out);
    CHECK_FAILS(ser_audio_resample(&out, &n, in, 16000, 1, 65, &err), SER_E_ARG, &err, "at most 64 times");
    CHECK_FAILS(ser_audio_resample(&out, &n, in, 16000, 65, 1, &err), SER_E_ARG, &err, "at most 64 times");
    CHECK_FAILS(ser_audio_resample(&out, &n, in, 16000, 0, 16000, &err), SER_E_ARG, &err,
                "cannot be converted");
    CHECK_FAILS(ser_audio_resample(&out, &n, in, 16000, NAN, 16000, &err), SER_E_ARG, &err,
                "cannot be converted");
    failing_at(0);
    CHECK_FAILS(ser_audio_resample(&out, &n, in, 16000, 16000, 8000, &err), SER_E_NOMEM, &err, "memory");
    CHECK(!out && !n);
    ser_free(in);
}

static float loudest(const float *pcm, size_t from, size_t to)
{
    float peak = 0;
    for (size_t i = from; i < to; i++)
        peak = fmaxf(peak, fabsf(pcm[i]));
    return peak;
}

/* Short and long, so that the cells are merged some times; a second reading changes nothing. */
static void test_peaks(void)
{
    enum { N_PARTS = 4 };
    static float pcm[64 * N_SOUND];
    static ser_outline outline;
    float peaks[N_PARTS] = {0};
    ser_outline_peaks(&outline, peaks, N_PARTS);
    CHECK(peaks[0] == 0 && peaks[N_PARTS - 1] == 0);
    for (size_t n = 4000; n <= 64 * N_SOUND; n *= 8) {
        outline = (ser_outline){0};
        for (size_t i = 0; i < n; i++) /* rising, so that each part has a peak of its own at its end */
            pcm[i] = (i & 1 ? -1.0f : 1.0f) * (float)(i + 1) / (float)n;
        for (size_t at = 0, n_now; at < n; at += n_now) {
            n_now = n - at < 777 ? n - at : 777;
            ser_outline_add(&outline, pcm + at, n_now);
        }
        ser_outline_peaks(&outline, peaks, N_PARTS);
        for (size_t i = 0; i < N_PARTS; i++)
            CHECK(fabsf(peaks[i] - loudest(pcm, i * n / N_PARTS, (i + 1) * n / N_PARTS)) < 0.005f);
    }
}

int main(void)
{
    scratch_make();
    test_formats();
    test_our_rate_is_exact();
    test_rates();
    test_channels();
    test_pieces();
    test_not_finite();
    test_short();
    test_standard_input();
    test_bounded_memory();
    test_memory_fails();
    test_resample();
    test_peaks();
    scratch_remove();
    return test_summary();
}

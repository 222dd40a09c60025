/* Recordings of every kind are made here with libsndfile's encoders and must come back as the sound they
 * were. */
#include "audio/audio.h"
#include "base/memory.h"
#include "base/random.h"
#include "scratch.h"
#include "test.h"

#include <fcntl.h>
#include <sndfile.h>
#include <sys/resource.h>

enum { N_SOUND = 3 * SER_SAMPLE_RATE_HZ };

/* Something between 200 and 3,000 Hz whose level changes: what it is at t seconds, whatever the rate. */
static float sound_at(double t)
{
    double level = 0.15 + 0.1 * sin(7 * t);
    return (float)(level * (sin(1300 * t) + 0.7 * sin(5000 * t + 40 * sin(3 * t)) + 0.3 * sin(18000 * t)));
}

/* frames (n, n_channels); channel c is the sound times 1 - 0.5 c, which is 0.5 on average for two channels
 * less nothing. */
static float *make_frames(size_t n, int n_channels, int rate_hz)
{
    float *frames = ser_alloc(n * (size_t)n_channels, sizeof *frames);
    for (size_t i = 0; i < n; i++)
        for (int c = 0; c < n_channels; c++)
            frames[i * (size_t)n_channels + (size_t)c] = sound_at((double)i / rate_hz) * (c ? 0.5f : 1);
    return frames;
}

/* false: this libsndfile cannot write the format. */
static bool write_sound(const char *name, int format, int n_channels, int rate_hz, const float *frames,
                        size_t n)
{
    SF_INFO info = {.samplerate = rate_hz, .channels = n_channels, .format = format};
    if (!sf_format_check(&info)) {
        fprintf(stderr, "not written by this libsndfile: format %x\n", (unsigned)format);
        return false;
    }
    SNDFILE *f = sf_open(scratch(name), SFM_WRITE, &info);
    int variable = SF_BITRATE_MODE_VARIABLE;
    if (f && format == (SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III))
        sf_command(f, SFC_SET_BITRATE_MODE, &variable, sizeof variable);
    bool good = f && sf_writef_float(f, frames, (sf_count_t)n) == (sf_count_t)n;
    good = f && sf_close(f) == 0 && good;
    CHECK(good);
    return good;
}

static bool make_sound(const char *name, int format, int n_channels, int rate_hz, double seconds)
{
    size_t n = (size_t)(seconds * rate_hz);
    float *frames = make_frames(n, n_channels, rate_hz);
    bool good = write_sound(name, format, n_channels, rate_hz, frames, n);
    ser_free(frames);
    return good;
}

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
        CHECK(ser_audio_is_audio(scratch("sound")));
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

static unsigned char *get_file(const char *name, size_t *n)
{
    FILE *f = fopen(scratch(name), "rb");
    unsigned char *bytes = ser_alloc(1 << 20, 1);
    *n = f ? fread(bytes, 1, 1 << 20, f) : 0;
    if (f)
        fclose(f);
    CHECK(*n > 0);
    return bytes;
}

/* Reads these bytes, an exact copy; returns the number of samples. */
static size_t load_bytes(const unsigned char *bytes, size_t n, char warning[256], ser_error *err)
{
    static float pcm[1 << 18];
    size_t n_read = 0;
    unsigned char *copy = malloc(n ? n : 1);
    memcpy(copy, bytes, n);
    ser_audio *a;
    *err = (ser_error){0};
    warning[0] = 0;
    if (ser_audio_open_memory(&a, copy, n, err) == SER_OK) {
        ser_audio_read(a, pcm, 1 << 18, &n_read, err);
        snprintf(warning, 256, "%s", ser_audio_warning(a));
    }
    ser_audio_close(&a);
    free(copy);
    return n_read;
}

static void test_truncated(void)
{
    static const struct {
        int format;
        const char *words;
    } cases[] = {
        {SF_FORMAT_WAV | SF_FORMAT_PCM_16, "promises 3.000 s, only "},
        {SF_FORMAT_RF64 | SF_FORMAT_PCM_16, "promises 3.000 s, only "},
        {SF_FORMAT_AIFF | SF_FORMAT_PCM_16, "promises 3.000 s, only "},
        {SF_FORMAT_AU | SF_FORMAT_PCM_16, "promises 3.000 s, only "},
        {SF_FORMAT_CAF | SF_FORMAT_PCM_16, "promises 3.000 s, only "},
        {SF_FORMAT_FLAC | SF_FORMAT_PCM_16, "promises 3.000 s, only "},
        {SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, "promises 3.000 s, only "},
        {SF_FORMAT_OGG | SF_FORMAT_OPUS, "end mark is missing"},
    };
    ser_error err;
    char warning[256];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!make_sound("whole", cases[i].format, 1, SER_SAMPLE_RATE_HZ, 3))
            continue;
        size_t n;
        unsigned char *bytes = get_file("whole", &n);
        size_t n_left = load_bytes(bytes, n * 2 / 3, warning, &err);
        if (n_left < N_SOUND / 4 || n_left > N_SOUND * 3 / 4 || !strstr(warning, cases[i].words)) {
            fprintf(stderr, "format %x: %zu samples, '%s', '%s'\n", (unsigned)cases[i].format, n_left,
                    err.text, warning);
            test_n_failed++;
        }
        /* Cut anywhere in the header it must not crash, nor pass for the whole. */
        for (size_t cut = 0; cut < n && cut < 600; cut++)
            CHECK(load_bytes(bytes, cut, warning, &err) < N_SOUND / 2);
        ser_free(bytes);
    }
}

static void set_u32(unsigned char *p, uint32_t x, bool little)
{
    for (int i = 0; i < 4; i++)
        p[little ? i : 3 - i] = (unsigned char)(x >> 8 * i);
}

/* Programs that write to a pipe do not know the sizes when they write the header. */
static void test_stream_headers(void)
{
    static const uint32_t sizes[] = {0, 0xffffffff, 0xffffffff - 36, 0x7ffff000, 0x7fffffff, 0x80000000};
    ser_error err;
    char warning[256];
    size_t n;
    CHECK(make_sound("stream", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 1, SER_SAMPLE_RATE_HZ, 3));
    unsigned char *wav = get_file("stream", &n);
    CHECK(memcmp(wav + 36, "data", 4) == 0);
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < 6; j++) {
            set_u32(wav + 4, sizes[j], true);
            set_u32(wav + 40, sizes[i], true);
            CHECK(load_bytes(wav, n, warning, &err) == N_SOUND && !*warning);
        }
    set_u32(wav + 40, 32000, true); /* smaller than the file: what follows is no sound */
    CHECK(load_bytes(wav, n, warning, &err) == 16000 && !*warning);
    set_u32(wav + 4, 36, true);
    set_u32(wav + 40, 0, true);
    CHECK(load_bytes(wav, 44, warning, &err) == 0 && strstr(err.text, "no samples"));
    ser_free(wav);

    CHECK(make_sound("stream", SF_FORMAT_AU | SF_FORMAT_PCM_16, 1, SER_SAMPLE_RATE_HZ, 3));
    unsigned char *au = get_file("stream", &n);
    for (size_t i = 0; i < 2; i++) {
        set_u32(au + 8, sizes[i], false);
        CHECK(load_bytes(au, n, warning, &err) == N_SOUND && !*warning);
    }
    ser_free(au);

    CHECK(make_sound("stream", SF_FORMAT_CAF | SF_FORMAT_PCM_16, 1, SER_SAMPLE_RATE_HZ, 3));
    unsigned char *caf = get_file("stream", &n);
    size_t at = 8;
    while (at < n && memcmp(caf + at, "data", 4) != 0)
        at++;
    memset(caf + at + 4, 0xff, 8); /* -1: unknown */
    CHECK(load_bytes(caf, n, warning, &err) == N_SOUND && !*warning);
    ser_free(caf);

    CHECK(make_sound("stream", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 1, SER_SAMPLE_RATE_HZ, 3));
    unsigned char *flac = get_file("stream", &n);
    flac[21] &= 0xf0; /* the 36 bits of the number of samples: 0, unknown */
    set_u32(flac + 22, 0, false);
    CHECK(load_bytes(flac, n, warning, &err) == N_SOUND && !*warning);
    ser_free(flac);
}

/* An MP3 of variable bit rate: quiet first, so that its length guessed from the beginning would be wrong. */
static void test_mpeg_without_header(void)
{
    float *frames = make_frames(N_SOUND * 2, 1, SER_SAMPLE_RATE_HZ);
    memset(frames, 0, N_SOUND * sizeof *frames);
    bool written = write_sound("mp3", SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, 1, SER_SAMPLE_RATE_HZ,
                               frames, N_SOUND * 2);
    ser_free(frames);
    if (!written)
        return;
    ser_error err;
    char warning[256];
    size_t n;
    unsigned char *mp3 = get_file("mp3", &n);
    CHECK(load_bytes(mp3, n, warning, &err) == N_SOUND * 2 && !*warning);
    size_t second = 4; /* frame: the first holds the lengths (Xing header), no sound */
    while (second < n && memcmp(mp3 + second, mp3, 2) != 0)
        second++;
    size_t n_all = load_bytes(mp3 + second, n - second, warning, &err);
    CHECK(n_all >= N_SOUND * 2 && n_all < N_SOUND * 2 + 3000 && !*warning);

    unsigned char *tagged = ser_alloc(n + 1000, 1);
    memcpy(tagged, "ID3\4\0\0\0\0\2\0", 10); /* 256 bytes follow */
    memcpy(tagged + 266, mp3, n);
    memcpy(tagged + 266 + n, "TAG", 3); /* ID3v1 at the end: 128 bytes */
    CHECK(load_bytes(tagged, 266 + n + 128, warning, &err) == N_SOUND * 2 && !*warning);
    ser_free(tagged);
    ser_free(mp3);
}

static void test_not_audio(void)
{
    static const struct {
        const char *name, *begin;
        size_t n_begin;
    } cases[] = {{"text.wav", "hello, world", 12}, {"zeros.vox", "", 0},
                 {"raw.gsm", "\x12\x34", 2},       {"raw.au", "\x12\x34", 2},
                 {"sampler", "\1\4", 2},           {"sysex", "\xf0\x7e\0\1", 4},
                 {"sync", "\xff\xfb\x90\x44", 4},  {"matlab", "\0\0\0\0\1\0\0\0\1\0\0\0", 12}};
    ser_error err = {0};
    ser_audio *a;
    unsigned char bytes[20000];
    ser_random r;
    ser_random_init(&r, 5);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t j = 0; j < sizeof bytes; j++)
            bytes[j] = i == 1 ? 0 : (unsigned char)ser_random_below(&r, 256);
        memcpy(bytes, cases[i].begin, cases[i].n_begin);
        scratch_put(cases[i].name, bytes, sizeof bytes);
        CHECK_FAILS(ser_audio_open(&a, scratch(cases[i].name), &err), SER_E_FORMAT, &err,
                    "ffmpeg -i FILE OUT.wav");
        CHECK(!a && !ser_audio_is_audio(scratch(cases[i].name)));
    }
    memcpy(bytes, "RIFF\0\0\0\0WAVE", 12); /* it says that it is a recording, so it is one, damaged */
    scratch_put("damaged", bytes, sizeof bytes);
    CHECK_FAILS(ser_audio_open(&a, scratch("damaged"), &err), SER_E_FORMAT, &err, "damaged");
    CHECK(ser_audio_is_audio(scratch("damaged")));

    scratch_put("empty", "", 0);
    CHECK_FAILS(ser_audio_open(&a, scratch("empty"), &err), SER_E_FORMAT, &err, "empty");
    CHECK_FAILS(ser_audio_open(&a, scratch("missing"), &err), SER_E_IO, &err, "No such file");
    CHECK_FAILS(ser_audio_open(&a, scratch_folder, &err), SER_E_IO, &err, "folder");
    CHECK_FAILS(ser_audio_open(&a, "/dev/zero", &err), SER_E_IO, &err, "device");
    CHECK(!ser_audio_is_audio(scratch("empty")) && !ser_audio_is_audio(scratch("missing")) &&
          !ser_audio_is_audio(scratch_folder));
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
        ser_alloc_fail_at(i);
        status = ser_audio_load(&pcm, &n, scratch("memory"), NULL, &err);
        CHECK(status == SER_OK || (status == SER_E_NOMEM && !pcm && !n));
    }
    ser_alloc_fail_at(-1);
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
    ser_alloc_fail_at(0);
    CHECK_FAILS(ser_audio_resample(&out, &n, in, 16000, 16000, 8000, &err), SER_E_NOMEM, &err, "memory");
    CHECK(!out && !n);
    ser_free(in);
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
    test_truncated();
    test_stream_headers();
    test_mpeg_without_header();
    test_not_audio();
    test_short();
    test_standard_input();
    test_bounded_memory();
    test_memory_fails();
    test_resample();
    scratch_remove();
    return test_summary();
}

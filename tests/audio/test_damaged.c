/* Recordings that are cut, whose headers lie, and what is no recording at all. */
#include "audio/audio.h"
#include "base/memory.h"
#include "base/random.h"
#include "scratch.h"
#include "sounds.h"
#include "test.h"

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

/* Ogg is cut off where the last page has no end mark, or is not whole, though every page before tells how
 * much there is. */
static void test_truncated_ogg(void)
{
    ser_error err;
    char warning[256];
    size_t n, n_whole;
    if (!make_sound("long.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 1, SER_SAMPLE_RATE_HZ, 12))
        return;
    unsigned char *bytes = get_file("long.ogg", &n);
    n_whole = load_bytes(bytes, n, warning, &err);
    CHECK(n_whole == (size_t)12 * SER_SAMPLE_RATE_HZ && !*warning);
    size_t n_left = load_bytes(bytes, n - 1, warning, &err);
    CHECK(n_left > 0 && n_left < n_whole && strstr(warning, "end mark is missing"));
    const unsigned char *last = bytes + n - 4;
    while (last > bytes && memcmp(last, "OggS", 4) != 0)
        last--;
    n_left = load_bytes(bytes, (size_t)(last - bytes), warning, &err);
    CHECK(n_left > 0 && n_left < n_whole && strstr(warning, "end mark is missing"));
    ser_free(bytes);
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
    set_u32(wav + 40, 32000, true); /* smaller than the file: what follows is no sound, but told */
    CHECK(load_bytes(wav, n, warning, &err) == 16000 && strstr(warning, "as many bytes again"));
    set_u32(wav + 40, 64000, true); /* by less than itself: some tag or other */
    CHECK(load_bytes(wav, n, warning, &err) == 32000 && !*warning);
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

    /* A part of a stream begins within a frame: here after the frame's header. */
    size_t n_part = load_bytes(mp3 + n / 2 + 5, n - n / 2 - 5, warning, &err);
    CHECK(n_part > N_SOUND / 2 && n_part < N_SOUND * 2);
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
                    i == 1 ? "there are zeros where it should begin" : "ffmpeg -i FILE OUT.wav");
        CHECK(!a && !is_audio(scratch(cases[i].name)));
    }
    memcpy(bytes, "RIFF\0\0\0\0WAVE", 12); /* it says that it is a recording, so it is one, damaged */
    scratch_put("damaged", bytes, sizeof bytes);
    CHECK_FAILS(ser_audio_open(&a, scratch("damaged"), &err), SER_E_FORMAT, &err, "damaged");
    CHECK(is_audio(scratch("damaged")));

    scratch_put("empty", "", 0);
    CHECK_FAILS(ser_audio_open(&a, scratch("empty"), &err), SER_E_FORMAT, &err, "empty");
    CHECK_FAILS(ser_audio_open(&a, scratch("missing"), &err), SER_E_IO, &err, "No such file");
    CHECK_FAILS(ser_audio_open(&a, scratch_folder, &err), SER_E_IO, &err, "folder");
    CHECK_FAILS(ser_audio_open(&a, "/dev/zero", &err), SER_E_IO, &err, "device");
    CHECK(!is_audio(scratch("empty")) && !is_audio(scratch("missing")) && !is_audio(scratch_folder));
}

/* libsndfile walks such chunks for ever: a list of which the next chunk lies eight bytes before its end. */
static void test_chunk_before_itself(void)
{
    static const unsigned char list[] = "RIFF\x14\0\0\0WAVELIST\xf8\xff\xff\xffLIST\xf8\xff\xff\xff";
    char warning[256];
    ser_error err;
    CHECK(load_bytes(list, sizeof list - 1, warning, &err) == 0 && strstr(err.text, "damaged"));
}

int main(void)
{
    setenv("PATH", "", 1); /* what the libraries refuse is not to be tried by ffmpeg, thousands of times */
    scratch_make();
    test_truncated();
    test_truncated_ogg();
    test_stream_headers();
    test_mpeg_without_header();
    test_not_audio();
    test_chunk_before_itself();
    scratch_remove();
    return test_summary();
}

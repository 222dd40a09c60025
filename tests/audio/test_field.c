/* The WAV files that people have: odd chunks, wrong sizes, samples of another range, channels that cancel.
 * Each must give the sound that the plain file gives. */
#include "audio/audio.h"
#include "base/memory.h"
#include "scratch.h"
#include "sounds.h"
#include "test.h"

#include <limits.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILE = 1 << 21, N = SER_SAMPLE_RATE_HZ };

typedef struct wav {
    unsigned char bytes[MAX_FILE];
    size_t n;
} wav;

static wav w;

static void begin(int coding, int n_channels, int n_bits)
{
    unsigned char format[16] = {0};
    w.n = 12;
    memcpy(w.bytes, "RIFF\0\0\0\0WAVEfmt \x10\0\0\0", 20);
    format[0] = (unsigned char)coding;
    format[2] = (unsigned char)n_channels;
    set_u32(format + 4, SER_SAMPLE_RATE_HZ, true);
    set_u32(format + 8, (uint32_t)(SER_SAMPLE_RATE_HZ * n_channels * n_bits / 8), true);
    format[12] = (unsigned char)(n_channels * n_bits / 8);
    format[14] = (unsigned char)n_bits;
    memcpy(w.bytes + 20, format, 16);
    w.n = 36;
}

static void add(const char *name, uint32_t stated, const void *content, size_t n)
{
    memcpy(w.bytes + w.n, name, 4);
    set_u32(w.bytes + w.n + 4, stated, true);
    if (n)
        memcpy(w.bytes + w.n + 8, content, n);
    w.n += 8 + n;
    set_u32(w.bytes + 4, (uint32_t)(w.n - 8), true);
}

static const short *shorts(void)
{
    static short x[N];
    for (size_t i = 0; i < N; i++)
        x[i] = (short)lrintf(30000 * sound_at((double)i / SER_SAMPLE_RATE_HZ));
    return x;
}

/* The first n_expected samples of the sound, exactly; words: in the warning, or NULL for none at all. */
static void check_sound(const char *what, size_t n_expected, const char *words)
{
    ser_error err = {0};
    float *pcm = NULL;
    size_t n = 0;
    char warning[256] = "";
    const short *expected = shorts();
    scratch_put("field.wav", w.bytes, w.n);
    CHECK_OK(ser_audio_load(&pcm, &n, scratch("field.wav"), warning, &err), &err);
    size_t n_same = 0;
    while (n_same < n && n_same < n_expected && pcm[n_same] == (float)expected[n_same] / 32768)
        n_same++;
    if (n != n_expected || n_same != n || (words ? !strstr(warning, words) : *warning != 0)) {
        fprintf(stderr, "%s: %zu samples, the first %zu right, of %zu; '%s'\n", what, n, n_same, n_expected,
                warning);
        test_n_failed++;
    }
    ser_free(pcm);
}

static void test_chunks(void)
{
    const short *x = shorts();
    const unsigned char zeros[64] = {0};
    begin(1, 1, 16);
    add("smpl", 20, zeros, 20);
    add("data", 2 * N, x, 2 * N);
    check_sound("a short smpl chunk", N, NULL);
    begin(1, 1, 16);
    add("data", 0, NULL, 0);
    add("data", 2 * N, x, 2 * N);
    check_sound("an empty data chunk in front", N, NULL);
    begin(1, 1, 16);
    add("data", N, x, N);
    add("data", N, x + N / 2, N);
    check_sound("two data chunks", N / 2, "second part of sound");
    begin(1, 1, 16);
    add("data", 0, x, 2 * N);
    check_sound("data of size 0, the whole right", N, NULL);
    begin(1, 1, 16);
    add("junk", 3, "abc", 3); /* the byte that makes it even is missing */
    add("data", 2 * N, x, 2 * N);
    check_sound("an odd chunk without padding", N, NULL);
    enum { N_LETTER = 0x7c68 }; /* bytes: with the lowest of this size "ata" looks like a name, "atah" */
    begin(1, 1, 16);
    add("junk", 3, "abc", 3);
    add("data", N_LETTER, x, N_LETTER);
    check_sound("an odd chunk without padding, a size like a letter", N_LETTER / 2, NULL);
    begin(1, 1, 16);
    add("data", 2 * N, x, 2 * N);
    add("LIST", 4, "INFO", 4);
    check_sound("a list behind the sound", N, NULL);
    begin(1, 1, 16);
    add("data", N - 1, x, N - 1);
    add("LIST", 2 * N, x, 2 * N);
    check_sound("a long list behind an odd sound without padding", N / 2 - 1, NULL);
    begin(1, 1, 16);
    add("data", N, x, 2 * N); /* samples in place of bytes */
    check_sound("a size in samples", N / 2, "behind its sound lie as many bytes again");
    begin(1, 1, 16);
    add("data", N, x, N);
    memcpy(w.bytes + w.n, w.bytes, w.n); /* cat a.wav b.wav */
    w.n *= 2;
    check_sound("two files in a row", N / 2, "several files were put together");
    begin(1, 1, 16);
    add("data", N, x, N);
    memset(w.bytes + w.n, 0, 2 * N);
    w.n += 2 * N;
    check_sound("padded by a disk", N / 2, NULL);
    begin(1, 1, 16);
    add("data", 0, NULL, 0);
    add("LIST", 4, "INFO", 4);
    ser_error err = {0};
    ser_audio *a;
    scratch_put("field.wav", w.bytes, w.n);
    CHECK_FAILS(ser_audio_open(&a, scratch("field.wav"), &err), SER_E_FORMAT, &err, "no samples");
}

/* Adobe Audition's stereo files have a PEAK chunk with one entry. */
static void test_peak(void)
{
    static float frames[2 * N];
    unsigned char peak[16] = {1}, fact[4];
    const short *x = shorts();
    for (size_t i = 0; i < N; i++)
        frames[2 * i] = frames[2 * i + 1] = (float)x[i] / 32768;
    set_u32(fact, N, true);
    begin(3, 2, 32);
    add("fact", 4, fact, 4);
    add("PEAK", 16, peak, 16);
    add("data", sizeof frames, frames, sizeof frames);
    check_sound("PEAK of one entry", N, NULL);
}

static void test_integers_as_floats(void)
{
    static float frames[N];
    const short *x = shorts();
    for (size_t i = 0; i < N; i++)
        frames[i] = (float)x[i];
    begin(3, 1, 32);
    add("data", sizeof frames, frames, sizeof frames);
    check_sound("16-bit integers kept as floats", N, "divided by 32768");
    for (size_t i = 0; i < N; i++)
        frames[i] *= 256;
    begin(3, 1, 32);
    add("data", sizeof frames, frames, sizeof frames);
    check_sound("24-bit integers kept as floats", N, "divided by 8388608");
    for (size_t i = 0; i < N; i++)
        frames[i] = (float)x[i] / 256; /* also what is far too loud: it must not end as silence */
    begin(3, 1, 32);
    add("data", sizeof frames, frames, sizeof frames);
    check_sound("8-bit integers kept as floats", N, "divided by 128");
}

static void test_channels(void)
{
    static short frames[2 * N];
    const short *x = shorts();
    for (size_t i = 0; i < N; i++) {
        frames[2 * i] = x[i];
        frames[2 * i + 1] = (short)-x[i];
    }
    begin(1, 2, 16);
    add("data", sizeof frames, frames, sizeof frames);
    check_sound("channels of opposite phase", N, "cancel each other");
    static short four[4 * N], many[100 * (N / 20)];
    for (size_t i = 0; i < 4 * N; i++)
        four[i] = i % 2 ? (short)-x[i / 4] : x[i / 4];
    begin(1, 4, 16);
    add("data", sizeof four, four, sizeof four);
    check_sound("four of opposite phase", N, "its 4 channels cancel each other");
    for (size_t i = 0; i < N / 20; i++)
        many[100 * i + 70] = x[i];
    ser_error err = {0};
    float *pcm = NULL;
    size_t n = 0;
    char warning[256] = "";
    begin(1, 100, 16); /* one microphone of a hundred hears something: that is no cancelling */
    add("data", sizeof many, many, sizeof many);
    scratch_put("field.wav", w.bytes, w.n);
    CHECK_OK(ser_audio_load(&pcm, &n, scratch("field.wav"), warning, &err), &err);
    CHECK(n == N / 20 && !*warning && fabsf(pcm[100] - (float)x[100] / 3276800) < 1e-6F);
    ser_free(pcm);
    for (size_t i = 0; i < 2 * N; i++)
        frames[i] = x[i / 2];
    begin(1, 2, 16);
    add("data", sizeof frames, frames, sizeof frames);
    check_sound("two equal channels", N, NULL);
    for (size_t i = 0; i < N; i++)
        frames[2 * i + 1] = 0;
    begin(1, 2, 16);
    add("data", sizeof frames, frames, sizeof frames);
    scratch_put("field.wav", w.bytes, w.n);
    CHECK_OK(ser_audio_load(&pcm, &n, scratch("field.wav"), warning, &err), &err);
    CHECK(n == N && pcm[100] == (float)x[100] / 65536 && !*warning); /* the mean, as ever */
    ser_free(pcm);
}

/* Sound whose size does not fit in 32 bits, in a file without real content: sizes wrap around, or are in the
 * own chunk of RF64 and BW64. */
static void test_over_4_gb(void)
{
    const uint64_t n_sound = ((uint64_t)1 << 32) + 64000;
    const short *x = shorts();
    ser_error err = {0};
    for (int is_rf64 = 0; is_rf64 < 3; is_rf64++) {
        unsigned char sizes[28] = {0};
        set_u32(sizes + 8, (uint32_t)n_sound, true);
        set_u32(sizes + 12, (uint32_t)(n_sound >> 32), true);
        begin(1, 1, 16);
        if (is_rf64)
            add("ds64", 28, sizes, 28);
        add("data", is_rf64 ? UINT32_MAX : (uint32_t)n_sound, x, 2 * N);
        if (is_rf64)
            memcpy(w.bytes, is_rf64 == 2 ? "BW64" : "RF64", 4);
        scratch_put("big.wav", w.bytes, w.n);
        CHECK(truncate(scratch("big.wav"), (off_t)(w.n - 2 * N + n_sound)) == 0);
        ser_audio *a = NULL;
        ser_audio_info info = {0};
        float pcm[100];
        size_t n = 0;
        CHECK_OK(ser_audio_open(&a, scratch("big.wav"), &err), &err);
        if (!a)
            continue;
        ser_audio_get_info(a, &info);
        CHECK(info.n_frames_stated == n_sound / 2);
        CHECK_OK(ser_audio_read(a, pcm, 100, &n, &err), &err);
        CHECK(n == 100 && pcm[99] == (float)x[99] / 32768);
        ser_audio_close(&a);
        unlink(scratch("big.wav"));
    }
}

/* Zeros between a tag and the first frame; and a Git LFS pointer in the place of a recording. */
static void test_padding_and_pointers(void)
{
    ser_error err = {0};
    ser_audio *a = NULL;
    float *pcm = NULL;
    size_t n = 0, n_plain = 0;
    const char *kind;
    if (make_sound("plain.mp3", SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, 1, SER_SAMPLE_RATE_HZ, 3)) {
        unsigned char *mp3 = get_file("plain.mp3", &n), *padded = ser_alloc(n + 10010, 1);
        memcpy(padded, "ID3\4\0\0\0\0\0\0", 10);
        memcpy(padded + 10010, mp3, n);
        scratch_put("padded.mp3", padded, n + 10010);
        CHECK_OK(ser_audio_load(&pcm, &n_plain, scratch("padded.mp3"), NULL, &err), &err);
        CHECK(n_plain == N_SOUND);
        ser_free(pcm);
        ser_free(mp3);
        ser_free(padded);
    }
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 60822\n";
    scratch_put("pointer.wav", pointer, sizeof pointer - 1);
    CHECK_FAILS(ser_audio_open(&a, scratch("pointer.wav"), &err), SER_E_FORMAT, &err, "git lfs pull");
    CHECK(ser_audio_look(scratch("pointer.wav"), &kind) == SER_AUDIO_NOT_FETCHED);
}

/* Without the program: each kind is named by its content, whatever its name. */
static void test_kinds_without_ffmpeg(void)
{
    static const struct {
        const char *kind, *begin;
        size_t n;
    } cases[] = {{"M4A",
                  "\0\0\0\x20"
                  "ftypM4A ",
                  12},
                 {"MP4",
                  "\0\0\0\x20"
                  "ftypisom",
                  12},
                 {"3GP",
                  "\0\0\0\x20"
                  "ftyp3gp4",
                  12},
                 {"MOV",
                  "\0\0\0\x14"
                  "ftypqt  ",
                  12},
                 {"AMR", "#!AMR-WB\n", 9},
                 {"WMA or WMV", "\x30\x26\xb2\x75\x8e\x66\xcf\x11", 8},
                 {"WebM", "\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", 16},
                 {"MKV", "\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x88matroska", 20},
                 {"AVI", "RIFF\0\0\0\0AVI ", 12},
                 {"AC-3", "\x0b\x77", 2},
                 {"MXF", "\x06\x0e\x2b\x34\2\5\1\1", 8},
                 {"DTS", "\x7f\xfe\x80\x01", 4}};
    char *path = ser_strdup(getenv("PATH"));
    ser_error err = {0};
    char here[PATH_MAX];
    CHECK(getcwd(here, sizeof here) && mkdir(scratch("relative"), 0777) == 0 && chdir(scratch_folder) == 0);
    scratch_put("relative/ffmpeg", "#!/bin/sh\n", 10); /* which would be run */
    scratch_put("ffmpeg", "#!/bin/sh\n", 10);
    CHECK(chmod(scratch("relative/ffmpeg"), 0777) == 0 && chmod(scratch("ffmpeg"), 0777) == 0);
    setenv("PATH", ":relative:/nonexistent", 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char bytes[400] = {0};
        ser_audio *a = NULL;
        const char *kind;
        memcpy(bytes, cases[i].begin, cases[i].n);
        scratch_put("kind.wav", bytes, sizeof bytes);
        CHECK_FAILS(ser_audio_open(&a, scratch("kind.wav"), &err), SER_E_UNSUPPORTED, &err, "install ffmpeg");
        CHECK(strstr(err.text, cases[i].kind) != NULL);
        CHECK(ser_audio_look(scratch("kind.wav"), &kind) == SER_AUDIO_NEEDS_FFMPEG &&
              strcmp(kind, cases[i].kind) == 0);
    }
    unsigned char aac[30] = {0};
    for (int i = 0; i < 3; i++) /* three frames of ten bytes */
        memcpy(aac + 10 * i, "\xff\xf1\x60\x40\x01\x40", 6);
    scratch_put("kind.wav", aac, sizeof aac);
    ser_audio *a;
    CHECK_FAILS(ser_audio_open(&a, scratch("kind.wav"), &err), SER_E_UNSUPPORTED, &err, "this is AAC");
    setenv("PATH", path, 1);
    ser_free(path);
    unlink(scratch("relative/ffmpeg"));
    unlink(scratch("ffmpeg"));
    CHECK(chdir(here) == 0);
}

/* What people take for a recording is named, and in a folder it is none. */
static void test_strangers(void)
{
    static const struct {
        const char *bytes, *words;
    } cases[] = {{"\n<!DOCTYPE html><html><body>404</body></html>", "it is a web page"},
                 {"\xef\xbb\xbf<HTML>", "it is a web page"},
                 {"PK\x03\x04", "(ZIP), no recording: unpack it first"},
                 {"\x1f\x8b", "(gzip), no recording: unpack it first"},
                 {"%PDF-1.4", "it is a PDF"},
                 {"\x89PNG", "it is a picture (PNG)"},
                 {"{\"error\": 404}", "it is not audio that can be read"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ser_error err = {0};
        ser_audio *a = NULL;
        const char *kind;
        scratch_put("stranger.wav", cases[i].bytes, strlen(cases[i].bytes));
        CHECK_FAILS(ser_audio_open(&a, scratch("stranger.wav"), &err), SER_E_FORMAT, &err, cases[i].words);
        CHECK(ser_audio_look(scratch("stranger.wav"), &kind) == SER_AUDIO_NONE && !*kind);
    }
    const unsigned char zeros[3000] = {0};
    ser_error err = {0};
    ser_audio *a = NULL;
    scratch_put("stranger.wav", zeros, sizeof zeros);
    CHECK_FAILS(ser_audio_open(&a, scratch("stranger.wav"), &err), SER_E_FORMAT, &err,
                "there are zeros where it should begin");
    CHECK_FAILS(ser_audio_open(&a, "https://example.org/a.wav", &err), SER_E_IO, &err, "it is an address");
}

/* Hours of silence from a few bytes. */
static void test_bomb(void)
{
    enum { N_SECONDS = 4100 };
    static float silence[SER_SAMPLE_RATE_HZ];
    SF_INFO info = {.samplerate = 1000, .channels = 1, .format = SF_FORMAT_FLAC | SF_FORMAT_PCM_16};
    SNDFILE *f = sf_open(scratch("bomb.flac"), SFM_WRITE, &info);
    for (int i = 0; f && i < N_SECONDS * 1000 / SER_SAMPLE_RATE_HZ + 1; i++)
        sf_writef_float(f, silence, SER_SAMPLE_RATE_HZ);
    CHECK(f && sf_close(f) == 0);
    ser_error err = {0};
    float *pcm;
    size_t n;
    CHECK_FAILS(ser_audio_load(&pcm, &n, scratch("bomb.flac"), NULL, &err), SER_E_FORMAT, &err,
                "unfold into hours");
    CHECK(!pcm);
}

int main(void)
{
    scratch_make();
    test_chunks();
    test_peak();
    test_integers_as_floats();
    test_channels();
    test_over_4_gb();
    test_padding_and_pointers();
    test_kinds_without_ffmpeg();
    test_strangers();
    test_bomb();
    scratch_remove();
    return test_summary();
}

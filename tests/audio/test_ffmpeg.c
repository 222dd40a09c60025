/* Recordings of telephones, messengers and films, made by the program ffmpeg where it is installed (exit 77
 * where it is not), against the sound they were made of; and how its ends are told, by programs that only
 * bear its name. */
#include "audio/audio.h"
#include "base/memory.h"
#include "failures/failing.h"
#include "scratch.h"
#include "sounds.h"
#include "test.h"

#include <math.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* ---- programs of its name ---- */

#define HEADER                                                                                               \
    "printf "                                                                                                \
    "'."                                                                                                     \
    "snd\\000\\000\\000\\030\\377\\377\\377\\377\\000\\000\\000\\006\\000\\000\\076\\200\\000\\000\\000\\00" \
    "1'\n"

static void put_program(const char *script)
{
    char text[600];
    snprintf(text, sizeof text, "#!/bin/sh\n%s", script);
    scratch_put("bin/ffmpeg", text, strlen(text));
    CHECK(chmod(scratch("bin/ffmpeg"), 0755) == 0);
}

static bool no_time;

/* Instead of the C library's: so that a minute passes at once. */
int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    const struct timespec wait = {timeout_ms / 1000, 0};
    return no_time ? 0 : ppoll(fds, n, &wait, NULL);
}

static void check_no_children(const char *after)
{
    if (waitpid(-1, NULL, WNOHANG) >= 0) { /* neither running nor a zombie */
        fprintf(stderr, "a child is left: %s\n", after);
        test_n_failed++;
    }
}

static void check_end(const char *script, ser_status expected, const char *words)
{
    ser_error err = {0};
    float *pcm = NULL;
    size_t n;
    char warning[256] = "";
    put_program(script);
    ser_status st = ser_audio_load(&pcm, &n, scratch("any.m4a"), warning, &err);
    if (st != expected || !strstr(st == SER_OK ? warning : err.text, words)) {
        fprintf(stderr, "%s: %d, '%s', '%s'\n", script, st, err.text, warning);
        test_n_failed++;
    }
    CHECK(st != SER_OK || n == 25000 || n == 0);
    ser_free(pcm);
    check_no_children(script);
}

static void test_ends(void)
{
    scratch_put("any.m4a",
                "\0\0\0\x20"
                "ftypM4A \0\0\0\0",
                16);
    CHECK(mkdir(scratch("bin"), 0755) == 0);
    setenv("PATH", scratch("bin"), 1);
    check_end(HEADER "/usr/bin/head -c 100000 /dev/zero", SER_OK, "");
    check_end(HEADER "/usr/bin/head -c 100000 /dev/zero; exit 1", SER_OK, "only 1.562 s can be decoded");
    check_end(HEADER "/usr/bin/head -c 100000 /dev/zero; kill -9 $$", SER_E_IO, "stopped by signal 9");
    check_end("exit 127", SER_E_IO, "cannot be run here");
    check_end("exit 1", SER_E_FORMAT, "status 1");
    check_end("echo '[mov @ 0x1] moov atom not found' >&2; exit 1", SER_E_FORMAT, "its index is missing");
    check_end("echo 'Output file #0 does not contain any stream' >&2; exit 1", SER_E_FORMAT,
              "no sound track");
    check_end("printf '[x @ 0x1] a \\033[31mred\\001 word\\nmore' >&2; exit 1", SER_E_FORMAT,
              "says: a ?[31mred? word");
    check_end("echo no header of twenty-four bytes", SER_E_FORMAT, "gives no sound");
    check_end("while :; do echo words >&2; done & /bin/sleep 0.2; kill $!; " HEADER
              "/usr/bin/head -c 100000 /dev/zero",
              SER_OK, "words");
    no_time = true;
    check_end("/bin/sleep 100", SER_E_IO, "gave nothing for");
    no_time = false;
}

/* It dies with the process that started it, whose end is no clean one. */
static void test_dies_with_us(void)
{
    int report[2];
    pid_t helper = 0;
    put_program(HEADER "/usr/bin/head -c 100000 /dev/zero; exec /bin/sleep 1000");
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        return; /* an emulated processor's: nobody else could see the helper end */
    CHECK(pipe(report) == 0);
    pid_t child = fork();
    if (child == 0) {
        ser_audio *a = NULL;
        char name[64], text[32] = "";
        snprintf(name, sizeof name, "/proc/self/task/%d/children", (int)getpid());
        ser_status st = ser_audio_open(&a, scratch("any.m4a"), NULL);
        FILE *f = fopen(name, "r");
        pid_t pid = st == SER_OK && f && fgets(text, sizeof text, f) ? atoi(text) : 0;
        if (write(report[1], &pid, sizeof pid) == sizeof pid)
            pause();
        _exit(1);
    }
    CHECK(read(report[0], &helper, sizeof helper) == sizeof helper && helper > 0);
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
    int status = 0;
    pid_t ended = 0;
    for (int i = 0; i < 500 && helper > 0 && !(ended = waitpid(helper, &status, WNOHANG)); i++)
        usleep(10000);
    if (helper > 0 && !ended)
        kill(helper, SIGKILL);
    CHECK(helper > 0 && ended == helper && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    while (waitpid(-1, NULL, 0) > 0) /* what the script had started */
        ;
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 0) == 0);
    close(report[0]);
    close(report[1]);
}

/* Closing in the middle ends it; going back begins anew. */
static void test_closing(void)
{
    ser_error err = {0};
    ser_audio *a = NULL;
    static float pcm[30000];
    size_t n = 0;
    put_program(HEADER "exec /usr/bin/head -c 100000000 /dev/zero");
    CHECK_OK(ser_audio_open(&a, scratch("any.m4a"), &err), &err);
    CHECK_OK(ser_audio_read(a, pcm, 30000, &n, &err), &err);
    CHECK(n == 30000);
    CHECK_OK(ser_audio_rewind(a, &err), &err);
    CHECK_OK(ser_audio_read(a, pcm, 100, &n, &err), &err);
    ser_audio_close(&a);
    check_no_children("closing");
}

/* Each allocation fails once: no child is left, and "out of memory" is said. */
static void test_out_of_memory(void)
{
    ser_error err = {0};
    float *pcm = NULL;
    size_t n = 0;
    long i = 0;
    put_program(HEADER "exec /usr/bin/head -c 100000 /dev/zero");
    for (ser_status st = SER_E_NOMEM; st != SER_OK && i < 100; i++) {
        failing_at(i);
        st = ser_audio_load(&pcm, &n, scratch("any.m4a"), NULL, &err);
        CHECK(st == SER_OK || (st == SER_E_NOMEM && !pcm && strstr(err.text, "out of memory")));
        check_no_children("out of memory");
    }
    failing_at(-1);
    CHECK(i > 5 && n == 25000);
    ser_free(pcm);
}

/* ---- the program itself ---- */

/* The largest correlation with the sound over shifts of some thousand samples: encoders delay. */
static double likeness(const float *pcm, size_t n)
{
    enum { MAX_SHIFT = 4000, STEP = 2, FROM = 8000, TO = 16000 };
    static double sound[TO];
    double best = 0;
    for (int i = FROM; i < TO; i += STEP)
        sound[i] = (double)sound_at((double)i / SER_SAMPLE_RATE_HZ);
    for (int shift = -MAX_SHIFT; shift <= MAX_SHIFT && n > TO + MAX_SHIFT; shift++) {
        double xy = 0, xx = 0, yy = 0;
        for (int i = FROM; i < TO; i += STEP) {
            double x = sound[i], y = (double)pcm[i + shift];
            xy += x * y;
            xx += x * x;
            yy += y * y;
        }
        best = fmax(best, xy / sqrt(xx * yy + 1e-30));
    }
    return best;
}

static bool convert(const char *options, const char *name)
{
    char command[1500];
    snprintf(command, sizeof command, "ffmpeg -nostdin -loglevel error -y -i %s %s %s 2>%s",
             scratch("sound.wav"), options, scratch(name), scratch("words"));
    return system(command) == 0;
}

static void check_recording(const char *name, double min_likeness)
{
    ser_error err = {0};
    float *pcm = NULL;
    size_t n = 0, n_bytes;
    char warning[256] = "";
    ser_audio *a = NULL;
    CHECK(is_audio(scratch(name)));
    CHECK_OK(ser_audio_load(&pcm, &n, scratch(name), warning, &err), &err);
    double found = pcm ? likeness(pcm, n) : 0;
    if (found < min_likeness || n < N_SOUND - 1000 || n > N_SOUND + 4000 || *warning) {
        fprintf(stderr, "%s: %zu samples, likeness %.3f, '%s'\n", name, n, found, warning);
        test_n_failed++;
    }
    unsigned char *bytes = get_file(name, &n_bytes); /* the same from memory, as an upload comes */
    size_t n_read = 0;
    float *again = ser_alloc(n + 1, sizeof *again);
    CHECK_OK(ser_audio_open_memory(&a, bytes, n_bytes, &err), &err);
    if (a)
        CHECK_OK(ser_audio_read(a, again, n + 1, &n_read, &err), &err);
    CHECK(n_read == n && pcm && memcmp(again, pcm, n * sizeof *pcm) == 0);
    ser_audio_close(&a);
    ser_free(again);
    ser_free(bytes);
    ser_free(pcm);
    check_no_children(name);
}

static void test_recordings(void)
{
    static const struct {
        const char *name, *options;
        double likeness;
    } cases[] = {
        {"memo.m4a", "-c:a aac -b:a 96k", 0.95},
        {"start.m4a", "-c:a aac -b:a 96k -movflags faststart", 0.95},
        {"lossless.m4a", "-c:a alac", 0.9999},
        {"stream.aac", "-c:a aac -b:a 96k", 0.95},
        {"old.wma", "-c:a wmav2 -b:a 96k", 0.9},
        {"browser.webm", "-c:a libopus -b:a 96k", 0.95},
        {"film.mp4", "-f lavfi -i testsrc=duration=3:size=64x64 -map 1:v -map 0:a -c:a aac -b:a 96k", 0.95},
        {"film.mkv", "-c:a flac", 0.9999},
        {"film.avi", "-c:a pcm_s16le", 0.9999},
        {"transport.ts", "-c:a aac -b:a 96k", 0.95},
        {"camcorder.m2ts", "-c:a ac3 -b:a 96k -f mpegts -mpegts_m2ts_mode 1", 0.9},
        {"camera.mxf", "-c:a pcm_s16le -ar 48000 -f mxf_opatom", 0.999},
        {"old.voc", "-c:a pcm_u8 -ar 8000", 0.9}, /* which libsndfile refuses */
        {"apple.caf", "-c:a alac", 0.9999},
        {"flac.oga", "-c:a flac", 0.9999},
        {"mp3.wav", "-c:a libmp3lame -b:a 32k", 0.9}}; /* its header counts the encoder's delay */
    CHECK(make_sound("sound.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 1, SER_SAMPLE_RATE_HZ, 3));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (convert(cases[i].options, cases[i].name))
            check_recording(cases[i].name, cases[i].likeness);
        else
            fprintf(stderr, "not made by this ffmpeg: %s\n", cases[i].name);
}

/* Few programs write AMR, so that its frames are made here: 3 s of 20 ms, of the lowest rate, all bits 0. */
static void test_amr(void)
{
    enum { N_FRAMES = 150, FRAME = 13 };
    unsigned char bytes[6 + N_FRAMES * FRAME] = "#!AMR\n";
    ser_error err = {0};
    float *pcm = NULL;
    size_t n = 0;
    char warning[256] = "";
    for (size_t i = 0; i < N_FRAMES; i++)
        bytes[6 + i * FRAME] = 4;
    scratch_put("message.amr", bytes, sizeof bytes);
    CHECK_OK(ser_audio_load(&pcm, &n, scratch("message.amr"), warning, &err), &err);
    CHECK(n == N_SOUND && !*warning);
    ser_free(pcm);
}

static void append(const char *to, const char *from)
{
    size_t n;
    unsigned char *bytes = get_file(from, &n);
    FILE *f = fopen(scratch(to), "ab");
    CHECK(f && fwrite(bytes, 1, n, f) == n && fclose(f) == 0);
    ser_free(bytes);
}

static void test_chained(void)
{
    static const char *const names[] = {"link.ogg", "link.opus"};
    char *path = ser_strdup(getenv("PATH"));
    for (size_t i = 0; i < 2; i++) {
        ser_error err = {0};
        float *pcm = NULL;
        size_t n = 0;
        char warning[256] = "";
        if (!make_sound(names[i], SF_FORMAT_OGG | (i ? SF_FORMAT_OPUS : SF_FORMAT_VORBIS), 1,
                        SER_SAMPLE_RATE_HZ, 3))
            continue;
        append("chain", names[i]);
        append("chain", names[i]);
        CHECK_OK(ser_audio_load(&pcm, &n, scratch("chain"), warning, &err), &err);
        CHECK(n >= 2 * N_SOUND - 1000 && n < 2 * N_SOUND + 2000 && !*warning);
        ser_free(pcm);
        setenv("PATH", "", 1);
        CHECK_OK(ser_audio_load(&pcm, &n, scratch("chain"), warning, &err), &err);
        CHECK(n < N_SOUND + 1000 && strstr(warning, "only the first is used"));
        ser_free(pcm);
        setenv("PATH", path, 1);
        unlink(scratch("chain"));
    }
    ser_free(path);
}

static void test_damage(void)
{
    ser_error err = {0};
    ser_audio *a;
    size_t n;
    float *pcm = NULL;
    char warning[256] = "";
    if (!convert("-c:a aac", "memo.m4a") || !convert("-c:a aac -movflags faststart", "start.m4a"))
        return;
    unsigned char *bytes = get_file("memo.m4a", &n);
    scratch_put("cut", bytes, n / 2);
    ser_free(bytes);
    CHECK_FAILS(ser_audio_open(&a, scratch("cut"), &err), SER_E_FORMAT, &err, "its index is missing");
    bytes = get_file("start.m4a", &n);
    scratch_put("cut", bytes, n * 3 / 4);
    ser_free(bytes);
    CHECK_OK(ser_audio_load(&pcm, &n, scratch("cut"), warning, &err), &err);
    CHECK(n > N_SOUND / 3 && n < N_SOUND && strstr(warning, "cut off"));
    ser_free(pcm);
    CHECK(convert("-f lavfi -i testsrc=duration=1:size=64x64 -map 1:v", "mute.mp4"));
    CHECK_FAILS(ser_audio_open(&a, scratch("mute.mp4"), &err), SER_E_FORMAT, &err, "no sound track");
    /* A playlist that names another file is no recording. */
    scratch_put("list.m3u8", "#EXTM3U\n#EXTINF:3,\nsound.wav\n#EXT-X-ENDLIST\n", 45);
    CHECK_FAILS(ser_audio_open(&a, scratch("list.m3u8"), &err), SER_E_FORMAT, &err, "not audio");
    check_no_children("damage");
}

int main(void)
{
    char *path = ser_strdup(getenv("PATH"));
    scratch_make();
    test_ends();
    test_dies_with_us();
    test_closing();
    test_out_of_memory();
    setenv("PATH", path, 1);
    ser_free(path);
    bool is_there = system("ffmpeg -version >/dev/null 2>&1") == 0;
    if (is_there) {
        test_recordings();
        test_amr();
        test_chained();
        test_damage();
    }
    scratch_remove();
    int status = test_summary();
    return status || is_there ? status : 77;
}

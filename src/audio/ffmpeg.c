#include "audio/ffmpeg.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Seconds without a byte from it: a decoder gives hundreds of seconds of sound in one. Its memory and
 * processor time, whatever the recording says. */
enum { MAX_SILENCE_S = 60, MAX_CPU_S = 3600, N_BUFFER = 1 << 16, N_PATH = 4096, N_SAID = 512 };
static const rlim_t max_memory = (rlim_t)2 << 30;

struct ser_ffmpeg {
    pid_t pid;        /* 0: waited for */
    int sound, words; /* its standard output and error; -1: ended */
    unsigned char *buffer;
    size_t at, n; /* bytes of the buffer: used, held */
    int rate_hz, n_channels;
    char said[N_SAID]; /* the beginning of what it wrote */
    size_t n_said;
    char complaint[N_SAID + 64];
    bool late;
    ser_ffmpeg_end end;
};

static bool find_program(char path[N_PATH])
{
    const char *folders = getenv("PATH");
    while (folders && *folders) {
        size_t n = strcspn(folders, ":");
        /* A relative folder would run whatever lies beside the recordings. */
        if (folders[0] == '/' && snprintf(path, N_PATH, "%.*s/ffmpeg", (int)n, folders) < N_PATH &&
            access(path, X_OK) == 0)
            return true;
        folders += n + (folders[n] == ':');
    }
    return false;
}

bool ser_ffmpeg_is_there(void)
{
    char path[N_PATH];
    return find_program(path);
}

/* ---- the child ---- */

typedef struct start {
    char path[N_PATH], search[N_PATH + 8], libraries[N_PATH + 32];
    int input, sound, words; /* what becomes its standard input, output and error */
    pid_t parent;
} start;

static void limit(int what, rlim_t most)
{
    const struct rlimit value = {most, most};
    setrlimit(what, &value);
}

/* In the child: nothing that is not safe after a fork of a program with threads. */
static _Noreturn void become_ffmpeg(start *s)
{
    /* Demuxers that read the file they are given and no other: no playlists, no lists of files, no devices.
     */
    static char formats[] =
        "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,asf,amr,amrnb,amrwb,aac,loas,adts,avi,flv,mpegts,"
        "mpeg,wav,w64,caf,aiff,au,ogg,flac,mp3,wv,ape,tta,mpc,mpc8,dsf,rm,qcp,xwma,ac3,eac3,dts,mxf,voc";
    static char nostdin[] = "-nostdin", banner[] = "-hide_banner", level[] = "-loglevel", error[] = "error",
                protocols[] = "-protocol_whitelist", local[] = "file,pipe", whitelist[] = "-format_whitelist",
                threads[] = "-threads", one[] = "1", input[] = "-i", by_file[] = "file:/dev/fd/0",
                by_pipe[] = "pipe:0", map[] = "-map", first[] = "0:a:0", metadata[] = "-map_metadata",
                none[] = "-1", codec[] = "-c:a", floats[] = "pcm_f32be", format[] = "-f", au[] = "au",
                output[] = "pipe:1", name[] = "ffmpeg", locale[] = "LC_ALL=C";
    /* Opened anew it can go back and forth; an MP4 file's index may lie at its end. */
    char *from = access("/proc/self/fd/0", R_OK) == 0 ? by_file : by_pipe;
    char *arguments[] = {name,    nostdin, banner, level,  error, protocols, local,    whitelist, formats,
                         threads, one,     input,  from,   map,   first,     metadata, none,      codec,
                         floats,  threads, one,    format, au,    output,    NULL};
    char *environment[] = {locale, s->search, s->libraries[0] ? s->libraries : NULL, NULL};
    sigset_t none_blocked;
    sigemptyset(&none_blocked);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != s->parent) /* which has ended meanwhile */
        _exit(127);
    setpgid(0, 0); /* Ctrl-C is for the program that started it */
    signal(SIGPIPE, SIG_DFL);
    pthread_sigmask(SIG_SETMASK, &none_blocked, NULL);
    limit(RLIMIT_AS, max_memory);
    limit(RLIMIT_CPU, MAX_CPU_S);
    limit(RLIMIT_FSIZE, 0); /* it writes to pipes alone */
    limit(RLIMIT_CORE, 0);
#ifdef SYS_close_range
    syscall(SYS_close_range, 3u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */);
#endif
    execve(s->path, arguments, environment);
    _exit(127);
}

/* The child's three descriptors in their places, whichever numbers they had. */
static bool place_descriptors(start *s)
{
    int *places[] = {&s->input, &s->sound, &s->words};
    for (int i = 0; i < 3; i++) /* out of the way first */
        if ((*places[i] = fcntl(*places[i], F_DUPFD_CLOEXEC, 10)) < 0)
            return false;
    for (int i = 0; i < 3; i++)
        if (dup2(*places[i], i) < 0)
            return false;
    return true;
}

static ser_status fail_start(ser_error *err)
{
    return ser_fail(err, SER_E_IO, "ffmpeg cannot be started (%s): try again", strerror(errno));
}

static ser_status launch(ser_ffmpeg *f, int input, ser_error *err)
{
    int sound[2] = {-1, -1}, words[2] = {-1, -1};
    const char *search = getenv("PATH"), *libraries = getenv("LD_LIBRARY_PATH");
    start *s = ser_alloc(1, sizeof *s);
    if (!s)
        return ser_fail_nomem(err);
    ser_status st = SER_OK;
    if (!find_program(s->path))
        st = ser_fail(err, SER_E_UNSUPPORTED, "ffmpeg is not installed");
    snprintf(s->search, sizeof s->search, "PATH=%s", search ? search : "");
    if (libraries && *libraries)
        snprintf(s->libraries, sizeof s->libraries, "LD_LIBRARY_PATH=%s", libraries);
    if (st == SER_OK && (pipe2(sound, O_CLOEXEC) != 0 || pipe2(words, O_CLOEXEC) != 0))
        st = fail_start(err);
    s->input = input;
    s->sound = sound[1];
    s->words = words[1];
    s->parent = getpid();
    if (st == SER_OK && (f->pid = fork()) < 0) {
        f->pid = 0;
        st = fail_start(err);
    } else if (st == SER_OK && f->pid == 0) {
        if (place_descriptors(s))
            become_ffmpeg(s);
        _exit(127);
    }
    f->sound = sound[0];
    f->words = words[0];
    if (sound[1] >= 0)
        close(sound[1]);
    if (words[1] >= 0)
        close(words[1]);
    ser_free(s);
    return st;
}

static void wait_for(ser_ffmpeg *f, int *status)
{
    *status = 0;
    while (f->pid > 0 && waitpid(f->pid, status, 0) < 0 && errno == EINTR)
        ;
    f->pid = 0;
}

/* ---- what it says ---- */

/* ffmpeg's words -> ours; the first that occurs counts. */
static const char *in_plain_words(const char *said)
{
    static const struct {
        const char *theirs, *ours;
    } words[] = {
        {"moov atom not found", "its index is missing, as if it had been cut off: fetch the file again"},
        {"matches no streams", "it has no sound track"},
        {"does not contain any stream", "it has no sound track"},
        {"Cannot allocate memory", "it needs more memory than ffmpeg is given here"},
        {"Decoder not found", "this ffmpeg has no decoder for it: convert it elsewhere"},
        {"Unknown decoder", "this ffmpeg has no decoder for it: convert it elsewhere"},
        {"could not find codec parameters", "it is damaged or cut off: fetch the file again"},
        {"ended prematurely", "it is cut off: fetch the file again"},
        {"partial file", "it is cut off: fetch the file again"},
        {"Invalid data found", "it is damaged: fetch the file again"},
        {"End of file", "it is cut off: fetch the file again"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(said, words[i].theirs))
            return words[i].ours;
    return NULL;
}

/* Its first line without "[mov @ 0x55...] " and the name of its input, in printable ASCII. */
static void quote(char *out, size_t n_out, const char *said)
{
    const char *from = said;
    if (*from == '[' && strstr(from, "] "))
        from = strstr(from, "] ") + 2;
    static const char *const names[] = {"file:/dev/fd/0: ", "pipe:0: "};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(from, names[i], strlen(names[i])) == 0)
            from += strlen(names[i]);
    size_t n = 0;
    for (; *from && *from != '\n' && n + 1 < n_out; from++)
        out[n++] = *from >= ' ' && *from <= '~' ? *from : '?';
    out[n] = 0;
}

static void note_end(ser_ffmpeg *f, int status)
{
    char line[200];
    const char *plain = in_plain_words(f->said);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    quote(line, sizeof line, f->said);
    if (f->late || WIFSIGNALED(status) || code == 127)
        f->end = SER_FFMPEG_STOPPED;
    else
        f->end = code ? SER_FFMPEG_FAILED : line[0] ? SER_FFMPEG_REMARKS : SER_FFMPEG_DONE;
    if (f->late)
        snprintf(f->complaint, sizeof f->complaint, "ffmpeg gave nothing for %d s and was stopped",
                 MAX_SILENCE_S);
    else if (WIFSIGNALED(status))
        snprintf(f->complaint, sizeof f->complaint, "ffmpeg was stopped by signal %d", WTERMSIG(status));
    else if (code == 127)
        snprintf(f->complaint, sizeof f->complaint, "ffmpeg cannot be run here: check its installation");
    else if (plain)
        snprintf(f->complaint, sizeof f->complaint, "%s", plain);
    else if (line[0])
        snprintf(f->complaint, sizeof f->complaint, "ffmpeg says: %s", line);
    else if (code)
        snprintf(f->complaint, sizeof f->complaint, "ffmpeg ended with status %d and no word", code);
}

static void end(ser_ffmpeg *f, bool by_force)
{
    int status;
    if (by_force && f->pid > 0) {
        kill(-f->pid, SIGKILL); /* its group: what goes by its name may be a script */
        kill(f->pid, SIGKILL);
    }
    wait_for(f, &status);
    if (f->sound >= 0)
        close(f->sound);
    if (f->words >= 0)
        close(f->words);
    f->sound = f->words = -1;
    note_end(f, status);
}

/* ---- what it gives ---- */

static void hear_words(ser_ffmpeg *f)
{
    char rest[256];
    bool full = f->n_said == sizeof f->said - 1;
    ssize_t n = full ? read(f->words, rest, sizeof rest)
                     : read(f->words, f->said + f->n_said, sizeof f->said - 1 - f->n_said);
    if (n > 0 && !full)
        f->n_said += (size_t)n;
    if (n == 0 || (n < 0 && errno != EINTR)) {
        close(f->words);
        f->words = -1;
    }
}

/* Moves what is left to the beginning of the buffer and reads on behind it. */
static void hear_sound(ser_ffmpeg *f)
{
    memmove(f->buffer, f->buffer + f->at, f->n - f->at);
    f->n -= f->at;
    f->at = 0;
    ssize_t n = read(f->sound, f->buffer + f->n, N_BUFFER - f->n);
    if (n > 0)
        f->n += (size_t)n;
    if (n == 0 || (n < 0 && errno != EINTR)) {
        close(f->sound);
        f->sound = -1;
    }
}

/* Until n bytes of sound are held, n <= N_BUFFER; false: it has ended before, and is waited for. */
static bool hold(ser_ffmpeg *f, size_t n)
{
    while (f->n - f->at < n && (f->sound >= 0 || f->words >= 0)) {
        struct pollfd fds[] = {{.fd = f->sound, .events = POLLIN}, {.fd = f->words, .events = POLLIN}};
        int n_ready = poll(fds, 2, MAX_SILENCE_S * 1000);
        if (n_ready == 0 || (n_ready < 0 && errno != EINTR)) {
            f->late = n_ready == 0;
            end(f, true);
            break;
        }
        if (n_ready > 0 && fds[1].revents)
            hear_words(f);
        if (n_ready > 0 && fds[0].revents)
            hear_sound(f);
    }
    if (f->n - f->at < n && f->pid > 0)
        end(f, false);
    return f->n - f->at >= n;
}

static uint32_t big_u32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The header of a Sun audio file, which is the shortest that says what is needed. */
static ser_status read_header(ser_ffmpeg *f, ser_error *err)
{
    enum { HEADER = 24, FLOATS = 6, MAX_HEADER = 4096, MAX_CHANNELS = 1024 };
    if (!hold(f, HEADER)) {
        if (f->end == SER_FFMPEG_STOPPED)
            return ser_fail(err, SER_E_IO, "%s: try again", f->complaint);
        return ser_fail(err, SER_E_FORMAT, "%s", f->complaint[0] ? f->complaint : "it has no samples");
    }
    const unsigned char *h = f->buffer + f->at;
    uint32_t n_header = big_u32(h + 4), rate_hz = big_u32(h + 16), n_channels = big_u32(h + 20);
    if (memcmp(h, ".snd", 4) != 0 || n_header < HEADER || n_header > MAX_HEADER ||
        big_u32(h + 12) != FLOATS || rate_hz - 1 >= INT32_MAX || n_channels - 1 >= MAX_CHANNELS ||
        !hold(f, n_header))
        return ser_fail(err, SER_E_FORMAT, "ffmpeg gives no sound for it: convert it elsewhere");
    f->at += n_header;
    f->rate_hz = (int)rate_hz;
    f->n_channels = (int)n_channels;
    return SER_OK;
}

ser_status ser_ffmpeg_open(ser_ffmpeg **out, ser_source *s, ser_error *err)
{
    *out = NULL;
    int input = -1;
    ser_ffmpeg *f = ser_alloc(1, sizeof *f);
    if (!f)
        return ser_fail_nomem(err);
    f->sound = f->words = -1;
    f->buffer = ser_alloc(N_BUFFER, 1);
    ser_status st = f->buffer ? ser_source_descriptor(s, &input, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = launch(f, input, err);
    if (st == SER_OK)
        st = read_header(f, err);
    if (input >= 0)
        close(input);
    if (st == SER_OK)
        *out = f;
    else
        ser_ffmpeg_close(&f);
    return st;
}

void ser_ffmpeg_close(ser_ffmpeg **f)
{
    if (!*f)
        return;
    end(*f, true);
    ser_free((*f)->buffer);
    ser_free(*f);
    *f = NULL;
}

void ser_ffmpeg_format(const ser_ffmpeg *f, int *rate_hz, int *n_channels)
{
    *rate_hz = f->rate_hz;
    *n_channels = f->n_channels;
}

size_t ser_ffmpeg_read(ser_ffmpeg *f, float *frames, size_t n)
{
    size_t n_values = n * (size_t)f->n_channels, n_done = 0;
    while (n_done < n_values && hold(f, sizeof *frames)) {
        size_t n_now = (f->n - f->at) / sizeof *frames;
        if (n_now > n_values - n_done)
            n_now = n_values - n_done;
        for (size_t i = 0; i < n_now; i++, f->at += sizeof *frames) {
            uint32_t bits = big_u32(f->buffer + f->at);
            memcpy(&frames[n_done++], &bits, sizeof bits);
        }
    }
    return n_done / (size_t)f->n_channels;
}

ser_ffmpeg_end ser_ffmpeg_outcome(const ser_ffmpeg *f, const char **complaint)
{
    *complaint = f->complaint;
    return f->end;
}

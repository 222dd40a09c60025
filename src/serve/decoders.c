#include "serve/decoders.h"
#include "audio/audio.h"
#include "base/clock.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A decoder is replaced after so many uploads, or when they have left it larger by so much, so that one that
 * a library's fault has changed does not stay, and each upload has its whole limit of memory. This is about
 * accidents: code that an upload has run in it need not obey. */
enum { MAX_TURNS = 100, MAX_GROWTH = 32 << 20 };

struct ser_decoders {
    int socket; /* to the decoders: whichever is free takes the next task */
    pid_t pid;  /* of the process that forks them */
};

/* What comes with the three descriptors of a task. */
typedef struct order {
    uint64_t n; /* bytes of the upload */
    uint32_t wall_s;
} order;

/* What a decoder says at a task's end, on the pipe that it was given; nothing at all where it died. */
typedef struct verdict {
    ser_status status;
    uint64_t n_samples;
    double clipped;
    char text[512]; /* of the error, or the warning */
} verdict;

/* ---- the decoder ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNLIMITED_MEMORY 1 /* their shadow memory is larger than any limit */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define UNLIMITED_MEMORY 1
#endif
#endif

/* The memory that this process has, in bytes. */
static rlim_t held_memory(void)
{
    FILE *statm = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    if (statm) {
        if (fscanf(statm, "%lu", &pages) != 1)
            pages = 0;
        fclose(statm);
    }
    return pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

static void limit_myself(const ser_decode_limits *l)
{
    signal(SIGALRM, SIG_DFL);
#ifdef UNLIMITED_MEMORY
    (void)l;
#else
    struct rlimit memory;
    memory.rlim_cur = memory.rlim_max = held_memory() + l->memory_bytes;
    setrlimit(RLIMIT_AS, &memory);
#endif
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
}

static ser_status write_all(int fd, const void *bytes, size_t n, ser_error *err)
{
    const char *from = bytes;
    while (n) {
        ssize_t written = write(fd, from, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return ser_fail(err, SER_E_IO, "no memory for the decoded sound: %s", strerror(errno));
        from += written;
        n -= (size_t)written;
    }
    return SER_OK;
}

static ser_status decode(const void *bytes, size_t n, int out, const ser_decode_limits *l, verdict *v,
                         ser_error *err)
{
    enum { PIECE = 16384 };
    static float piece[PIECE]; /* of a process with one thread */
    size_t n_read = PIECE;
    ser_audio *audio = NULL;
    ser_status st = ser_audio_open_memory(&audio, bytes, n, err);
    while (st == SER_OK && n_read == PIECE) {
        st = ser_audio_read(audio, piece, PIECE, &n_read, err);
        if (st == SER_OK)
            v->n_samples += n_read;
        if (st == SER_OK && (double)v->n_samples > l->audio_s * SER_SAMPLE_RATE_HZ)
            st = ser_fail(err, SER_E_ARG, "holds more than %g s of sound, which is what this service accepts",
                          l->audio_s);
        if (st == SER_OK)
            st = write_all(out, piece, n_read * sizeof *piece, err);
    }
    if (st == SER_OK) {
        snprintf(v->text, sizeof v->text, "%s", ser_audio_warning(audio));
        v->clipped = ser_audio_clipped(audio);
    }
    ser_audio_close(&audio);
    memset(piece, 0, sizeof piece); /* not for the next one to see */
    return st;
}

/* false: it was refused, or damaged. */
static bool do_task(const int fds[3], const order *o, const ser_decode_limits *l)
{
    size_t n = (size_t)o->n;
    verdict v = {.status = SER_OK};
    ser_error err = {0};
    alarm(o->wall_s);
    void *bytes = n ? mmap(NULL, n, PROT_READ, MAP_PRIVATE, fds[0], 0) : NULL;
    v.status =
        bytes == MAP_FAILED ? ser_fail_nomem(&err) : decode(bytes ? bytes : "", n, fds[1], l, &v, &err);
    if (v.status != SER_OK)
        snprintf(v.text, sizeof v.text, "%s", err.text);
    if (bytes && bytes != MAP_FAILED)
        munmap(bytes, n);
    bool is_told = write_all(fds[2], &v, sizeof v, &err) == SER_OK;
    alarm(0);
    return is_told && v.status == SER_OK;
}

/* Three descriptors (sound in, samples out, verdict) and the order. 0: nobody asks any more; -1: it did not
 * come as a whole. */
static int receive_task(int socket, int fds[3], order *o)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(3 * sizeof(int))];
    } control;
    struct iovec data = {o, sizeof *o};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t got;
    do
        got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    const struct cmsghdr *c = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (got == 0 || !c || c->cmsg_type != SCM_RIGHTS)
        return got == 0 ? 0 : -1;
    int n = 0;
    for (; n < 3 && c->cmsg_len >= CMSG_LEN((size_t)(n + 1) * sizeof(int)); n++)
        memcpy(&fds[n], CMSG_DATA(c) + (size_t)n * sizeof(int), sizeof(int));
    if (n == 3 && got == (ssize_t)sizeof *o)
        return 1;
    while (n > 0) /* whoever asks waits for the end of the pipe */
        close(fds[--n]);
    return -1;
}

static _Noreturn void do_tasks(int socket, const ser_decode_limits *l)
{
    int fds[3];
    order o;
    limit_myself(l);
#ifdef __GLIBC__
    mallopt(M_PERTURB, 0x55); /* overwrites what is freed, but for pieces of about a kB and less */
#endif
    rlim_t most = held_memory() + MAX_GROWTH;
    bool is_good = true;
    for (int n = 0; is_good && n < MAX_TURNS && held_memory() <= most; n++) {
        if (receive_task(socket, fds, &o) <= 0)
            break;
        is_good = do_task(fds, &o, l);
        for (int i = 0; i < 3; i++)
            close(fds[i]);
    }
    _exit(0);
}

/* ---- the process that forks them ---- */

static pid_t fork_decoder(int socket, const ser_decode_limits *l)
{
    pid_t myself = getpid(), pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != myself) /* which was ended meanwhile */
        _exit(1);
    do_tasks(socket, l);
}

/* Those that are missing among n; returns how many there are. */
static int fork_missing(pid_t *pids, int n, int socket, const ser_decode_limits *l)
{
    int n_alive = 0;
    for (int i = 0; i < n; i++) {
        if (pids[i] <= 0)
            pids[i] = fork_decoder(socket, l);
        n_alive += pids[i] > 0;
    }
    return n_alive;
}

/* One that ended: a decoder, or an ffmpeg whose decoder was killed. false: there is none. */
static bool reap(pid_t *pids, int n, int how)
{
    pid_t ended = waitpid(-1, NULL, how);
    bool none = ended < 0 && errno == ECHILD;
    for (int i = 0; i < n; i++)
        if (none || pids[i] == ended)
            pids[i] = 0;
    return ended > 0;
}

static void rest(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
}

/* Where not one could be forked: the pipe's end tells. false: nobody asks any more. */
static bool refuse_task(int socket)
{
    int fds[3];
    order o;
    int got = receive_task(socket, fds, &o);
    for (int i = 0; i < 3 && got > 0; i++)
        close(fds[i]);
    if (got < 0)
        rest();
    return got != 0;
}

/* Keeps n at work until it is killed. The time of those that ended counts as that of its children. pids: (n)
 * of 0. */
static _Noreturn void keep_decoders(int socket, pid_t parent, pid_t *pids, int n, const ser_decode_limits *l)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGCHLD, SIG_DFL); /* may have been inherited as ignored: nobody would be waited for */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN); /* requests under way end first */
    signal(SIGHUP, SIG_IGN);
    while (getppid() == parent) {
        while (reap(pids, n, WNOHANG))
            ;
        int n_alive = fork_missing(pids, n, socket, l);
        if (n_alive == n)
            reap(pids, n, 0);
        else if (n_alive)
            rest(); /* and try again */
        else if (!refuse_task(socket))
            break;
    }
    _exit(0);
}

ser_status ser_decoders_new(ser_decoders **out, int n, const ser_decode_limits *limits, ser_error *err)
{
    int ends[2];
    pid_t parent = getpid();
    *out = NULL;
    ser_decoders *d = ser_alloc(1, sizeof *d);
    pid_t *pids = ser_alloc((size_t)n, sizeof *pids);
    if (!d || !pids || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        bool had_memory = d && pids;
        ser_free(pids);
        ser_free(d);
        if (!had_memory)
            return ser_fail_nomem(err);
        return ser_fail(err, SER_E_IO, "no socket for the decoders: %s", strerror(errno));
    }
    d->socket = ends[0];
    d->pid = fork();
    if (d->pid == 0) {
        close(ends[0]);
        keep_decoders(ends[1], parent, pids, n, limits);
    }
    ser_free(pids);
    close(ends[1]);
    if (d->pid < 0) {
        ser_fail(err, SER_E_IO, "no process for the decoders: %s", strerror(errno));
        ser_decoders_free(&d);
        return SER_E_IO;
    }
    *out = d;
    return SER_OK;
}

void ser_decoders_stop(ser_decoders *d)
{
    if (d->pid > 0)
        kill(d->pid, SIGKILL); /* the decoders go with it: PR_SET_PDEATHSIG */
}

void ser_decoders_free(ser_decoders **d)
{
    if (!d || !*d)
        return;
    ser_decoders_stop(*d);
    close((*d)->socket);
    if ((*d)->pid > 0)
        waitpid((*d)->pid, NULL, 0);
    ser_free(*d);
    *d = NULL;
}

/* ---- asking one ---- */

static ser_status send_task(const ser_decoders *d, const int fds[3], order o, ser_error *err)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(3 * sizeof(int))];
    } control = {0};
    struct iovec data = {&o, sizeof o};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(3 * sizeof(int));
    memcpy(CMSG_DATA(c), fds, 3 * sizeof(int));
    ssize_t sent;
    do
        sent = sendmsg(d->socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof o ? SER_OK
                                     : ser_fail(err, SER_E_IO, "the decoders are gone: %s", strerror(errno));
}

static ser_status read_verdict(verdict *v, int fd, ser_error *err)
{
    size_t n = 0;
    while (n < sizeof *v) {
        ssize_t got = read(fd, (char *)v + n, sizeof *v - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return ser_fail(
                err, SER_E_FORMAT,
                "cannot be decoded within the limits of time and memory: it is damaged or hostile");
        n += (size_t)got;
    }
    v->text[sizeof v->text - 1] = 0;
    return SER_OK;
}

static ser_status map_samples(ser_decoded *out, int fd, uint64_t n_samples, ser_error *err)
{
    /* Reading what a decoder cuts off meanwhile would end this process; nor may it change what is read. */
    bool is_sealed = fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0;
    off_t held = lseek(fd, 0, SEEK_END);
    if (!is_sealed || held < 0 || (uint64_t)held % sizeof(float) != 0 ||
        (uint64_t)held / sizeof(float) != n_samples)
        return ser_fail(err, SER_E_FORMAT, "cannot be decoded: its decoder contradicts itself");
    out->n_samples = n_samples;
    /* Shared, older kernels refuse what is sealed against writing. */
    out->pcm = held ? mmap(NULL, (size_t)held, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    if (out->pcm != MAP_FAILED)
        return SER_OK;
    *out = (ser_decoded){0};
    return ser_fail_nomem(err);
}

ser_status ser_decoders_decode(ser_decoders *d, ser_decoded *out, const void *bytes, size_t n,
                               unsigned wall_s, ser_error *err)
{
    verdict v = {0};
    double since_s = ser_clock_s();
    int sound = memfd_create("upload", MFD_CLOEXEC),
        samples = memfd_create("samples", MFD_CLOEXEC | MFD_ALLOW_SEALING), ends[2] = {-1, -1};
    *out = (ser_decoded){0};
    ser_status st = sound >= 0 && samples >= 0 && pipe2(ends, O_CLOEXEC) == 0
                        ? write_all(sound, bytes, n, err)
                        : ser_fail(err, SER_E_IO, "no descriptors for a decoder: %s", strerror(errno));
    if (st == SER_OK)
        st = send_task(d, (int[]){sound, samples, ends[1]}, (order){.n = n, .wall_s = wall_s}, err);
    if (ends[1] >= 0)
        close(ends[1]);
    if (st == SER_OK)
        st = read_verdict(&v, ends[0], err);
    out->is_late = st != SER_OK && ser_clock_s() - since_s >= wall_s;
    if (st == SER_OK && v.status != SER_OK)
        st = ser_fail(err, v.status, "%s", v.text);
    if (st == SER_OK)
        st = map_samples(out, samples, v.n_samples, err);
    if (st == SER_OK)
        snprintf(out->warning, sizeof out->warning, "%.255s", v.text);
    out->clipped = v.clipped;
    if (sound >= 0)
        close(sound);
    if (samples >= 0)
        close(samples);
    if (ends[0] >= 0)
        close(ends[0]);
    return st;
}

void ser_decoded_release(ser_decoded *d)
{
    if (d->pcm)
        munmap(d->pcm, d->n_samples * sizeof *d->pcm);
    *d = (ser_decoded){0};
}

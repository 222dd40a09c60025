/* Runs a program of which one system call that writes fails.
 *
 * Usage: fail-call N WHAT FOLDER REPORT COMMAND...
 *   Of the calls that write below FOLDER, or on a path relative to the current folder, the N-th (from 0)
 *   ends with WHAT: ENOSPC, EIO, EDQUOT, EROFS; "short": of the writes alone the N-th takes half of its
 *   bytes; "kill": the program is killed before it. N -1: none; N such as rename:refs/main: the first call
 *   of this name on a path that ends so.
 *   REPORT gets one line for each such call: its name and path. The exit status is the command's, 99: it
 *   cannot be run so here.
 * By seccomp's notifications (man 2 seccomp_unotify): the kernel asks here before it does what the program
 * asks for, so that nothing in the program, C's library included, can tell the failure from a real one. */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CANNOT = 99, MAX_PATH = 4096, SHORT = 0, KILL = -1 /* beside the numbers of errors */ };

typedef enum kind { ON_FILE, ON_PATH, ON_TWO_PATHS, CREATES } kind;

static const struct watched {
    int number;
    const char *name;
    kind kind;
    int argument; /* where the file or the path stands; of two the first */
} watched[] = {
    {__NR_write, "write", ON_FILE, 0},     {__NR_pwrite64, "pwrite", ON_FILE, 0},
    {__NR_writev, "writev", ON_FILE, 0},   {__NR_ftruncate, "ftruncate", ON_FILE, 0},
    {__NR_fsync, "fsync", ON_FILE, 0},     {__NR_fdatasync, "fdatasync", ON_FILE, 0},
    {__NR_syncfs, "syncfs", ON_FILE, 0},   {__NR_close, "close", ON_FILE, 0},
    {__NR_openat, "create", CREATES, 1},   {__NR_mkdirat, "mkdir", ON_PATH, 1},
    {__NR_renameat, "rename", ON_PATH, 3}, {__NR_renameat2, "rename", ON_PATH, 3},
#ifdef __NR_rename
    {__NR_rename, "rename", ON_PATH, 1},   {__NR_mkdir, "mkdir", ON_PATH, 0},
    {__NR_open, "create", CREATES, 0},
#endif
};
enum { N_WATCHED = sizeof watched / sizeof *watched };

/* ---- in the program ---- */

static int install_filter(void)
{
    struct sock_filter code[N_WATCHED + 3], *at = code;
    *at++ = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < N_WATCHED; i++)
        *at++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)watched[i].number,
                                             (uint8_t)(N_WATCHED - i), 0);
    *at++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    *at++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    const struct sock_fprog program = {.len = (unsigned short)(at - code), .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return (int)syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

static bool send_file(int to, int fd)
{
    char byte = 0;
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof fd)];
    } control = {0};
    struct iovec data = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    return sendmsg(to, &message, 0) == 1;
}

static int receive_file(int from)
{
    int fd = -1;
    char byte;
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof fd)];
    } control = {0};
    struct iovec data = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    if (recvmsg(from, &message, 0) == 1 && CMSG_FIRSTHDR(&message))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

/* ---- beside it ---- */

typedef struct watch {
    int listener;
    long n, fail_at;
    const char *name, *end; /* in place of fail_at, or NULL */
    int error;              /* or SHORT, or KILL */
    const char *folder;
    FILE *report;
} watch;

/* Or the folder itself. */
static bool is_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return path[0] != '/' || (strncmp(path, folder, n) == 0 && (path[n] == '/' || !path[n]));
}

static bool read_memory(void *to, size_t n, pid_t process, uint64_t address)
{
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/mem", (int)process);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : pread(fd, to, n, (off_t)address);
    if (fd >= 0)
        close(fd);
    return got > 0;
}

/* Where an open file lies; false: it cannot be written to, as one that is only read. */
static bool path_of_file(char path[MAX_PATH], pid_t process, uint64_t fd)
{
    char name[64], line[128] = "";
    unsigned flags = 0;
    snprintf(name, sizeof name, "/proc/%d/fd/%d", (int)process, (int)fd);
    ssize_t n = readlink(name, path, MAX_PATH - 1);
    if (n <= 0)
        return false;
    path[n] = 0;
    snprintf(name, sizeof name, "/proc/%d/fdinfo/%d", (int)process, (int)fd);
    FILE *info = fopen(name, "re");
    while (info && fgets(line, sizeof line, info) && sscanf(line, "flags: %o", &flags) != 1)
        ;
    if (info)
        fclose(info);
    return path[0] == '/' && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_DIRECTORY));
}

static bool path_of(char path[MAX_PATH], const struct watched *w, const struct seccomp_notif *request)
{
    pid_t process = (pid_t)request->pid;
    const __u64 *args = request->data.args;
    if (w->kind == ON_FILE)
        return path_of_file(path, process, args[w->argument]);
    if (w->kind == CREATES && !(args[w->argument + 1] & O_CREAT))
        return false;
    memset(path, 0, MAX_PATH);
    return read_memory(path, MAX_PATH - 1, process, args[w->argument]);
}

/* Half of what a write was to write, which is at least a byte; -1: it cannot be done. */
static long write_half(const struct seccomp_notif *request)
{
    size_t n = (size_t)request->data.args[2] / 2;
    int process = (int)syscall(__NR_pidfd_open, (pid_t)request->pid, 0);
    int fd = process < 0 ? -1 : (int)syscall(__NR_pidfd_getfd, process, (int)request->data.args[0], 0);
    char *bytes = malloc(n ? n : 1);
    long done = -1;
    if (fd >= 0 && n && bytes && read_memory(bytes, n, (pid_t)request->pid, request->data.args[1]))
        done = (long)write(fd, bytes, n);
    free(bytes);
    if (fd >= 0)
        close(fd);
    if (process >= 0)
        close(process);
    return done;
}

static const struct watched *watched_call(int number)
{
    for (size_t i = 0; i < N_WATCHED; i++)
        if (watched[i].number == number)
            return &watched[i];
    return NULL;
}

static bool is_meant(watch *k, const struct watched *w, const char *path)
{
    size_t n = strlen(path), n_end = k->end ? strlen(k->end) : 0;
    if (!k->name)
        return k->n++ == k->fail_at;
    if (strcmp(k->name, w->name) != 0 || n < n_end || strcmp(path + n - n_end, k->end) != 0)
        return false;
    k->name = ""; /* once */
    return true;
}

static void answer(watch *k, const struct seccomp_notif *request)
{
    char path[MAX_PATH];
    const struct watched *w = watched_call(request->data.nr);
    struct seccomp_notif_resp response = {.id = request->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    if (w && path_of(path, w, request) && is_below(path, k->folder) &&
        (k->error != SHORT || w->number == __NR_write)) {
        bool now = is_meant(k, w, path);
        fprintf(k->report, "%s %s\n", w->name, path);
        long half = now && k->error == SHORT ? write_half(request) : -1;
        if (now && k->error == KILL) { /* and the call is not made on the way out */
            kill((pid_t)request->pid, SIGKILL);
            response.flags = 0;
            response.error = -EINTR;
        } else if (now && (k->error != SHORT || half > 0)) {
            response.flags = 0;
            response.error = -k->error;
            response.val = half > 0 ? half : 0;
        }
    }
    ioctl(k->listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

static void attend(watch *k)
{
    struct pollfd waiting = {.fd = k->listener, .events = POLLIN};
    while (poll(&waiting, 1, -1) > 0 && waiting.revents & POLLIN) { /* until nobody is left who could ask */
        struct seccomp_notif request;
        memset(&request, 0, sizeof request);
        if (ioctl(k->listener, SECCOMP_IOCTL_NOTIF_RECV, &request) == 0)
            answer(k, &request);
        else if (errno != EINTR && errno != ENOENT)
            return;
    }
}

static int error_named(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } errors[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO},     {"EDQUOT", EDQUOT},
                  {"EROFS", EROFS},   {"short", SHORT}, {"kill", KILL}};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (strcmp(name, errors[i].name) == 0)
            return errors[i].number;
    exit(CANNOT);
}

int main(int argc, char **argv)
{
    int pair[2], status = 0;
    if (argc < 6 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return CANNOT;
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int listener = install_filter();
        if (listener < 0 || !send_file(pair[1], listener))
            _exit(CANNOT);
        /* Not closed here, which would be asked about: it is, when the program begins. */
        execv(argv[5], argv + 5);
        _exit(CANNOT);
    }
    close(pair[1]);
    watch k = {.fail_at = atol(argv[1]), .error = error_named(argv[2]), .folder = argv[3]};
    char *colon = strchr(argv[1], ':');
    if (colon) {
        *colon = 0;
        k.name = argv[1];
        k.end = colon + 1;
    }
    k.report = fopen(argv[4], "we");
    k.listener = child > 0 && k.report ? receive_file(pair[0]) : -1;
    if (k.listener >= 0)
        attend(&k);
    else if (child > 0)
        kill(child, SIGKILL);
    if (child < 0 || waitpid(child, &status, 0) != child || k.listener < 0)
        return CANNOT;
    fclose(k.report);
    if (WIFSIGNALED(status))
        raise(WTERMSIG(status));
    return WEXITSTATUS(status);
}

#include "cli/progress.h"
#include "report/escape.h"
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static void check_line_from(size_t done_before, size_t done, size_t total, double elapsed_s, size_t width,
                            bool utf8, const char *expected)
{
    ser_text t = {0};
    ser_progress_line(&t, "features", done, total, done_before, elapsed_s,
                      (ser_style){.width = width, .utf8 = utf8});
    CHECK(t.s && strcmp(t.s, expected) == 0);
    if (t.s && strcmp(t.s, expected) != 0)
        fprintf(stderr, "is '%s', expected '%s'\n", t.s, expected);
    CHECK(ser_columns(t.s) < width);
    ser_text_release(&t);
}

static void check_line(size_t done, size_t total, double elapsed_s, size_t width, bool utf8,
                       const char *expected)
{
    check_line_from(0, done, total, elapsed_s, width, utf8, expected);
}

static void test_line(void)
{
    check_line_from(10, 15, 20, 10, 60, false, "features #################..... 15/20  75 % 0:10, 0:10 left");
    check_line_from(15, 15, 20, 10, 40, false, "features ##########... 15/20  75 % 0:10");
    check_line(0, 0, 61, 60, true, "features 1:01");
    check_line(5, 20, 10, 60, true, "features █████▊                  5/20  25 % 0:10, 0:30 left");
    check_line(5, 20, 10, 60, false, "features ######................. 5/20  25 % 0:10, 0:30 left");
    check_line(20, 20, 3700, 60, true, "features ██████████████████████████████ 20/20 100 % 1:01:40");
    check_line(5, 20, 0.5, 40, true, "features ███▌           5/20  25 % 0:01");
    check_line(123, 0, 61, 60, true, "features 123 1:01");
    check_line(5, 20, 10, 40, true, "features 5/20  25 % 0:10, 0:30 left"); /* no room for a bar */
    check_line(1000000, 2000000, 99999, 40, true, "features");              /* nor for figures */
    check_line(7, 5, 10, 60, true, "features ███████████████████████████████████ 7/5 100 % 0:10");
}

/* ---- on a terminal ---- */

typedef struct session {
    int master;
    pid_t child;
} session;

static void wait_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

/* A process whose standard error is a terminal of 80 columns; it is the reader of that terminal's keys too.
 */
static session start(void (*work)(void))
{
    session s = {.master = posix_openpt(O_RDWR | O_NOCTTY)};
    CHECK(s.master >= 0 && grantpt(s.master) == 0 && unlockpt(s.master) == 0);
    char name[64];
    CHECK(ptsname_r(s.master, name, sizeof name) == 0);
    fflush(NULL);
    s.child = fork();
    if (s.child == 0) {
        setsid();
        int fd = open(name, O_RDWR);
        ioctl(fd, TIOCSCTTY, 0);
        ioctl(fd, TIOCSWINSZ, &(struct winsize){.ws_col = 80, .ws_row = 24});
        dup2(fd, STDERR_FILENO);
        setenv("TERM", "xterm", 1);
        work();
        _exit(0);
    }
    return s;
}

/* Everything the process writes until it ends; returns its wait status. */
static int finish(session *s, char *text, size_t size)
{
    size_t n = 0;
    ssize_t k;
    while (n < size - 1 && (k = read(s->master, text + n, size - 1 - n)) > 0)
        n += (size_t)k;
    text[n] = 0;
    int status = 0;
    waitpid(s->child, &status, 0);
    close(s->master);
    return status;
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *s = text; (s = strstr(s, what)) != NULL; s++)
        n++;
    return n;
}

static void quick_work(void)
{
    ser_progress p = ser_progress_start();
    for (size_t i = 0; i <= 20000; i++)
        ser_progress_report(&p, "features", i, 20000);
    ser_say("a.wav: it is \033[2J odd");
    ser_progress_report(&p, "fold 1", 0, 5);
    ser_progress_clear();
    ser_progress_clear();
}

/* Twenty thousand reports in a moment draw a few lines; a message stands alone; at the end the line is empty.
 */
static void test_terminal(void)
{
    static char text[100000];
    session s = start(quick_work);
    int status = finish(&s, text, sizeof text);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(count(text, "features") >= 1 && count(text, "features") <= 20);
    CHECK(strstr(text, "\r\033[Kser: a.wav: it is ?[2J odd\r\n"));
    CHECK(count(text, "fold 1") == 1);
    const char *last = "\r\033[K";
    CHECK(strlen(text) > 4 && strcmp(text + strlen(text) - strlen(last), last) == 0);
}

static void test_no_terminal(void)
{
    FILE *file = tmpfile();
    char text[1000];
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        dup2(fileno(file), STDERR_FILENO);
        quick_work();
        _exit(0);
    }
    waitpid(child, NULL, 0);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    CHECK(strcmp(text, "ser: a.wav: it is ?[2J odd\n") == 0);
    fclose(file);
}

/* ---- interrupts ---- */

static void endless_work(void)
{
    ser_progress p = ser_progress_start();
    size_t i = 0;
    while (ser_progress_report(&p, "endless", i++, 0))
        wait_a_little();
    ser_progress_clear();
    _exit(ser_interrupted() ? 42 : 43);
}

static void stubborn_work(void)
{
    ser_progress p = ser_progress_start();
    ser_progress_report(&p, "stubborn", 0, 0);
    for (;;)
        wait_a_little();
}

static void wait_for_output(const session *s, const char *what)
{
    char text[4096];
    size_t n = 0;
    ssize_t k;
    while (n < sizeof text - 1 && (k = read(s->master, text + n, sizeof text - 1 - n)) > 0) {
        n += (size_t)k;
        text[n] = 0;
        if (strstr(text, what))
            return;
    }
    CHECK(!"the process wrote what it should");
}

static void test_interrupt(void)
{
    static const int signals[] = {SIGINT, SIGTERM};
    static char text[100000];
    for (size_t i = 0; i < 2; i++) {
        session s = start(endless_work);
        wait_for_output(&s, "endless");
        kill(s.child, signals[i]);
        int status = finish(&s, text, sizeof text);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42); /* the work was told, and ended by itself */
        CHECK(strstr(text, "ser: stopping"));
    }
}

static void test_second_interrupt(void)
{
    static char text[100000];
    session s = start(stubborn_work);
    wait_for_output(&s, "stubborn");
    CHECK(write(s.master, "\003", 1) == 1); /* Ctrl-C */
    wait_for_output(&s, "stopping");
    CHECK(kill(s.child, 0) == 0 && waitpid(s.child, NULL, WNOHANG) == 0); /* still there */
    CHECK(write(s.master, "\003", 1) == 1);
    int status = finish(&s, text, sizeof text);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
}

int main(void)
{
    test_line();
    test_terminal();
    test_no_terminal();
    test_interrupt();
    test_second_interrupt();
    return test_summary();
}

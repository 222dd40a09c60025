#include "cli/progress.h"
#include "base/clock.h"
#include "report/escape.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LABEL = 24, NARROWEST_BAR = 8, WIDEST_BAR = 40 };

static const double DRAW_EVERY_S = 0.1;
static const char ERASE_LINE[] = "\r\033[K";

static volatile sig_atomic_t interrupted;

static struct {
    pthread_mutex_t lock; /* guards all below */
    bool drawn;           /* a line stands on the terminal */
    bool hushed;
    char what[64];
    double started_s, last_drawn_s;
    size_t done_before; /* when the clock started: a fetch may go on from the middle */
} line = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void note_interrupt(int signal_number)
{
    static const char text[] = "\nser: stopping after saving what is done; once more ends at once\n";
    if (isatty(STDERR_FILENO)) {
        ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
        (void)ignored;
    }
    interrupted = signal_number;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

static void catch_interrupts(void)
{
    /* Without SA_RESTART: a read that waits for standard input ends too. */
    struct sigaction action = {.sa_handler = note_interrupt};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool ser_interrupted(void)
{
    return interrupted != 0;
}

static void append_duration(ser_text *t, double seconds)
{
    unsigned long s = (unsigned long)(seconds + 0.5);
    if (s >= 3600)
        ser_text_appendf(t, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    else
        ser_text_appendf(t, "%lu:%02lu", s / 60, s % 60);
}

void ser_progress_line(ser_text *t, const char *what, size_t done, size_t total, size_t done_before,
                       double elapsed_s, ser_style style)
{
    ser_text figures = {0};
    double share = total ? (double)(done < total ? done : total) / (double)total : 0;
    if (total)
        ser_text_appendf(&figures, " %zu/%zu %3.0f %% ", done, total, 100 * share);
    else if (done)
        ser_text_appendf(&figures, " %zu ", done);
    else
        ser_text_append(&figures, " ");
    append_duration(&figures, elapsed_s);
    if (done > done_before && done < total && elapsed_s > 1) {
        ser_text_append(&figures, ", ");
        append_duration(&figures, elapsed_s * (double)(total - done) / (double)(done - done_before));
        ser_text_append(&figures, " left");
    }
    size_t n_label = ser_columns(what) < LABEL ? ser_columns(what) : LABEL;
    size_t room = style.width - 1, n_taken = n_label + 1 + figures.n;
    ser_append_line(t, what, n_label, style.utf8);
    if (total && n_taken + NARROWEST_BAR <= room) {
        size_t n_bar = room - n_taken < WIDEST_BAR ? room - n_taken : WIDEST_BAR;
        ser_text_append(t, " ");
        ser_append_bar(t, share, n_bar, style);
    }
    if (n_label + figures.n <= room && figures.n)
        ser_text_append(t, figures.s);
    t->failed |= figures.failed;
    ser_text_release(&figures);
}

static void erase(void)
{
    if (line.drawn)
        fputs(ERASE_LINE, stderr);
    line.drawn = false;
}

/* Behind mpirun standard error is a pipe, even where a terminal shows it. */
static bool is_wanted(void)
{
    const char *wish = getenv("SER_PROGRESS");
    return wish && strcmp(wish, "1") == 0;
}

static void draw(const char *what, size_t done, size_t total)
{
    ser_style style = ser_style_of(stderr); /* each time: the window may have changed */
    double now = ser_clock_s();
    if (line.hushed || !(style.terminal || is_wanted()))
        return;
    if (strncmp(what, line.what, sizeof line.what - 1) != 0) {
        snprintf(line.what, sizeof line.what, "%s", what);
        line.started_s = now;
        line.done_before = done;
    }
    if (line.drawn && now - line.last_drawn_s < DRAW_EVERY_S)
        return;
    ser_text t = {0};
    ser_text_append(&t, ERASE_LINE);
    ser_progress_line(&t, what, done, total, line.done_before, now - line.started_s, style);
    if (!t.failed)
        fputs(t.s, stderr);
    ser_text_release(&t);
    fflush(stderr);
    line.drawn = true;
    line.last_drawn_s = now;
}

static bool report(void *context, const char *what, size_t done, size_t total)
{
    (void)context;
    pthread_mutex_lock(&line.lock);
    if (!interrupted)
        draw(what, done, total);
    pthread_mutex_unlock(&line.lock);
    return !interrupted;
}

ser_progress ser_progress_start(void)
{
    catch_interrupts();
    pthread_mutex_lock(&line.lock);
    line.what[0] = 0; /* the clock starts anew */
    pthread_mutex_unlock(&line.lock);
    return (ser_progress){.fn = report};
}

void ser_progress_clear(void)
{
    pthread_mutex_lock(&line.lock);
    erase();
    fflush(stderr);
    pthread_mutex_unlock(&line.lock);
}

void ser_progress_hush(bool hushed)
{
    pthread_mutex_lock(&line.lock);
    line.hushed = hushed;
    pthread_mutex_unlock(&line.lock);
}

static void say(const char *head, const char *format, va_list args)
{
    char text[2048];
    ser_text clean = {0};
    vsnprintf(text, sizeof text, format, args);
    ser_append_line(&clean, text, 0, true);
    pthread_mutex_lock(&line.lock);
    erase();
    if (!line.hushed)
        fprintf(stderr, "%s%s\n", head, clean.failed || !clean.n ? text : clean.s);
    fflush(stderr);
    pthread_mutex_unlock(&line.lock);
    ser_text_release(&clean);
}

void ser_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say("ser: ", format, args);
    va_end(args);
}

void ser_tell(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say("", format, args);
    va_end(args);
}

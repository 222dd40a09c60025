/* Allocations of the libraries that make metrics.xlsx or a picture fail, one in a process: that is told as
 * "out of memory", whichever library asked for it, or the file is made without it.
 * Nothing is under its name where it is told.
 *
 * Usage: test-workbook [STEP [picture]]      every STEP-th of them */
#include "failures/failing.h"
#include "io/file.h"
#include "report/formats.h"
#include "report/pictures.h"
#include "report/run_example.h"
#include "scratch.h"

#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { LAST = 12 };
static run_example example;
static bool is_picture;
static long n_crashed;
static struct shared {
    char by[FAILING_NAME];
    long count;
} * all; /* with the children */

static const char *path(void)
{
    return scratch(is_picture ? "confusion.png" : "metrics.xlsx");
}

static ser_status save(ser_error *err)
{
    const ser_matrix matrix = ser_run_matrix(&example.report);
    const ser_confusion_picture picture = {.title = "Confusion matrix", .matrix = &matrix};
    return is_picture ? ser_picture_save(path(), SER_PICTURE_CONFUSION, &picture, err)
                      : ser_spreadsheet_save(path(), &example.report, err);
}

/* A picture may be hinted otherwise, where libfreetype does without; it has an end. */
static bool is_whole(void)
{
    static const unsigned char end[] = "IEND\xae\x42\x60\x82";
    ser_bytes now = {0};
    bool whole = !is_picture || (ser_io_read(&now, path(), 0, NULL) == SER_OK && now.n >= 8 &&
                                 memcmp(now.data + now.n - 8, end, 8) == 0);
    ser_bytes_release(&now);
    return whole;
}

static int save_failing(long n)
{
    ser_error err = {0};
    if (!freopen("/dev/null", "w", stderr)) /* libxlsxwriter writes to it */
        return EXIT_FAILURE;
    failing_arm(FAILING_LIBRARIES, n, all->by, false);
    ser_status st = save(&err);
    all->count = failing_disarm();
    bool good = st == SER_OK ? is_whole() : st == SER_E_NOMEM && access(path(), F_OK) != 0;
    if (!good)
        printf("allocation %ld, for %s: status %d, '%s'\n", n, all->by, (int)st, err.text);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Or the process crashes in a library that does not look at what it gets everywhere. */
static bool is_their_fault(int status)
{
    static const char *const known[] = {"libxlsxwriter.", "libminizip.", "libfontconfig."};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV &&
            strncmp(all->by, known[i], strlen(known[i])) == 0)
            return true;
    return false;
}

static bool ends_well(long n)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        exit(save_failing(n));
    if (child < 0 || waitpid(child, &status, 0) != child)
        return false;
    remove(path());
    if (is_their_fault(status))
        n_crashed++;
    else if (WIFSIGNALED(status))
        printf("allocation %ld, for %s: %s\n", n, all->by, strsignal(WTERMSIG(status)));
    return status == 0 || is_their_fault(status);
}

int main(int argc, char **argv)
{
    long step = argc > 1 ? atol(argv[1]) : 1;
    ser_error err = {0};
    is_picture = argc > 2;
    all = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED || step < 1)
        return EXIT_FAILURE;
    scratch_make();
    run_example_init(&example, 1);
    example.report.n_predictions = is_picture ? RUN_N : 3;
    if (!is_picture) /* of a picture those that libraries need to set themselves up, too */
        CHECK_OK(save(&err), &err);
    CHECK(ends_well(LONG_MAX));
    long count = all->count;
    for (long n = 0; n < count; n += step)
        CHECK(ends_well(n));
    for (long n = count - LAST; is_picture && n < count; n++) /* libpng's */
        CHECK(ends_well(n));
    printf("%ld allocations, %ld crashed in a library\n", count, n_crashed);
    run_example_release(&example);
    scratch_remove();
    return test_summary();
}

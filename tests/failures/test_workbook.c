/* Allocations of the libraries that make metrics.xlsx fail, one in a process: that is told as "out of
 * memory", whichever library asked for it, or the workbook is made without it. Nothing is under its name
 * where it is told.
 *
 * Usage: test-workbook [STEP]      every STEP-th of them */
#include "failures/failing.h"
#include "report/formats.h"
#include "report/run_example.h"
#include "scratch.h"

#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

static run_example example;
static char *by; /* FAILING_NAME bytes, shared with the children */
static long n_crashed;

static ser_status save(ser_error *err)
{
    return ser_spreadsheet_save(scratch("metrics.xlsx"), &example.report, err);
}

static int save_failing(long n)
{
    ser_error err = {0};
    if (!freopen("/dev/null", "w", stderr)) /* libxlsxwriter writes to it */
        return EXIT_FAILURE;
    failing_arm(FAILING_LIBRARIES, n, by, false);
    ser_status st = save(&err);
    failing_disarm();
    bool good = st == SER_OK || (st == SER_E_NOMEM && access(scratch("metrics.xlsx"), F_OK) != 0);
    if (!good)
        printf("allocation %ld, for %s: status %d, '%s'\n", n, by, (int)st, err.text);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Or the process crashes in a library that does not look at what it gets everywhere. */
static bool is_their_fault(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV &&
           (strncmp(by, "libxlsxwriter.", strlen("libxlsxwriter.")) == 0 ||
            strncmp(by, "libminizip.", strlen("libminizip.")) == 0);
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
    remove(scratch("metrics.xlsx"));
    if (is_their_fault(status))
        n_crashed++;
    else if (WIFSIGNALED(status))
        printf("allocation %ld, for %s: %s\n", n, by, strsignal(WTERMSIG(status)));
    return status == 0 || is_their_fault(status);
}

int main(int argc, char **argv)
{
    long step = argc > 1 ? atol(argv[1]) : 1;
    ser_error err = {0};
    by = mmap(NULL, FAILING_NAME, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (by == MAP_FAILED || step < 1)
        return EXIT_FAILURE;
    scratch_make();
    run_example_init(&example, 1);
    example.report.n_predictions = 3;
    CHECK_OK(save(&err), &err);
    failing_arm(FAILING_LIBRARIES, LONG_MAX, by, false);
    CHECK_OK(save(&err), &err);
    long count = failing_disarm();
    remove(scratch("metrics.xlsx"));
    for (long n = 0; n < count; n += step)
        CHECK(ends_well(n));
    printf("%ld allocations, %ld crashed in a library\n", count, n_crashed);
    run_example_release(&example);
    scratch_remove();
    return test_summary();
}

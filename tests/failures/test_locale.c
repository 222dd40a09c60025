/* Every call of ser.h and ser/run.h in a program whose numbers have a comma: the same files, the same
 * answers.
 *
 * Usage: test-locale GOLDEN         exit status 77: there is no such locale and none can be made */
#include "failures/calls.h"
#include "failures/folders.h"
#include "scratch.h"

#include <locale.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { SKIPPED = 77 };

static bool in_child(bool (*work)(const void *context), const void *context)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        exit(work(context) ? EXIT_SUCCESS : EXIT_FAILURE);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static bool prepare(const void *golden)
{
    return calls_prepare(golden);
}

static char (*answers)[ANSWER_BYTES]; /* shared: with a point, with a comma */

static bool run(const call *c, char *answer)
{
    ser_error err = {0};
    folder_clear("cache");
    if (c->run(c, answer, &err) == SER_OK)
        return true;
    fprintf(stderr, "%s: %s\n", c->name, err.text);
    return false;
}

static bool with_point(const void *c)
{
    return run(c, answers[0]);
}

static bool with_comma(const void *c)
{
    char number[8];
    setlocale(LC_ALL, "de_DE.UTF-8");
    snprintf(number, sizeof number, "%.1f", 0.5);
    return strcmp(number, "0,5") == 0 && run(c, answers[1]);
}

static bool is_the_same(const call *c)
{
    folder_clear("out");
    folder_clear("out.npy");
    memset(answers, 0, 2 * sizeof *answers);
    bool good = in_child(with_point, c);
    rename("out", "reference");
    rename("out.npy", "reference.npy");
    good = in_child(with_comma, c) && good;
    good = folder_is_whole("out", "reference", true) && good;
    if (access("reference.npy", F_OK) == 0)
        good = folder_is_whole("out.npy", "reference.npy", true) && good;
    if (strcmp(answers[0], answers[1]) != 0) {
        fprintf(stderr, "'%.300s' became '%.300s'\n", answers[0], answers[1]);
        good = false;
    }
    folder_clear("reference");
    folder_clear("reference.npy");
    if (!good)
        fprintf(stderr, "FAILED: %s\n", c->name);
    return good;
}

int main(int argc, char **argv)
{
    char *golden = argc == 2 ? realpath(argv[1], NULL) : NULL;
    int n_bad = 0;
    scratch_make();
    answers = mmap(NULL, 2 * sizeof *answers, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!golden || answers == MAP_FAILED || chdir(scratch_folder) != 0)
        return EXIT_FAILURE;
    setenv("LOCPATH", scratch_folder, 1);
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    bool there = system("localedef -i de_DE -f UTF-8 ./de_DE.UTF-8 >/dev/null 2>&1") == 0;
    bool good = there && in_child(prepare, golden);
    for (const call *c = calls; good && c->name; c++)
        n_bad += !is_the_same(c);
    if (chdir("/") == 0)
        scratch_remove();
    free(golden);
    printf("%d are not the same\n", n_bad);
    return !there ? SKIPPED : !good || n_bad ? EXIT_FAILURE : EXIT_SUCCESS;
}

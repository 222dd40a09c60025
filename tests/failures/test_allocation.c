/* Every call of ser.h and ser/run.h with the n-th allocation failing: ours, or the libraries'. Each ends in
 * "out of memory", or does without what it did not get; outputs are untouched, nothing is half-written, and
 * what a run folder holds is gone on with.
 *
 * Usage: test-allocation [--long] [--call NAME] [--one ours|libraries N] GOLDEN
 *   Without --long a sample of n. --one shows who asked for that allocation.
 * Each n runs in a process of its own, or some of ours in one. What is leaked is not looked at. */
#include "failures/calls.h"
#include "failures/failing.h"
#include "failures/folders.h"
#include "scratch.h"

#include <execinfo.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { MAX_N = 1 << 17, FIRST = 500, AT_RANDOM = 500, IN_ONE_PROCESS = 32, LONGEST_S = 120 };
static const char *const kinds[] = {"ours", "libraries"};

typedef struct shared {
    char answer[ANSWER_BYTES];                            /* where nothing fails */
    long count;                                           /* of allocations, where nothing fails */
    size_t at;                                            /* the one under way */
    char by[FAILING_NAME];                                /* who asked for it */
    size_t n_done, n_bad, n_without, n_resumed, n_theirs; /* n_without: it did without that memory */
} shared;
static shared *all;

typedef struct plan {
    const call *call;
    failing_kind kind;
    const long *ns;
    size_t n;
    bool trace;
} plan;

/* ---- in the child ---- */

static void start_afresh(void)
{
    folder_clear("out");
    folder_clear("out.npy");
    folder_clear("cache");
}

static int count_open_files(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

static bool is_whole(bool complete)
{
    bool good = folder_is_whole("out", "reference", complete);
    if (access("out.npy", F_OK) == 0)
        good = folder_is_whole("out.npy", "reference.npy", false) && good;
    return good;
}

/* The run is gone on with, or begun again. */
static bool ends_the_same(const call *c)
{
    static char answer[ANSWER_BYTES];
    ser_error err = {0};
    call again = *c;
    if (access("out/config.json", F_OK) == 0)
        again.settings = strstr(c->settings, "visualize")
                             ? "\"run\": \"out\", \"resume\": true, \"visualize\": true"
                             : "\"run\": \"out\", \"resume\": true";
    ser_status st = again.run(&again, answer, &err);
    if (st != SER_OK)
        fprintf(stderr, "the next run: %s\n", err.text);
    return st == SER_OK && is_whole(true);
}

static bool is_as_promised(const call *c, ser_status st, const char *answer, const ser_error *err, bool again)
{
    bool good = true;
    if (st == SER_OK) {
        all->n_without++;
        good = strcmp(answer, all->answer) == 0;
        if (!good)
            fprintf(stderr, "another answer: '%.300s' in place of '%.300s'\n", answer, all->answer);
        return is_whole(true) && good;
    }
    if (st != SER_E_NOMEM || err->status != st || !strstr(err->text, "out of memory") || *answer) {
        fprintf(stderr, "status %d, '%s' %s\n", (int)st, err->text, answer);
        good = false;
    }
    good = is_whole(false) && good;
    if (again) {
        all->n_resumed++;
        good = ends_the_same(c) && good;
    }
    return good;
}

/* False: there are no n allocations. */
static bool fail_one(const plan *p, long n, bool again)
{
    static char answer[ANSWER_BYTES];
    ser_error err = {0};
    start_afresh();
    answer[0] = 0;
    int n_files = count_open_files();
    failing_arm(p->kind, n, all->by, p->trace);
    ser_status st = p->call->run(p->call, answer, &err);
    failing_disarm();
    if (!failing_hit())
        return false;
    bool good = is_as_promised(p->call, st, answer, &err, again);
    if (p->kind == FAILING_OURS && count_open_files() > n_files + 2) { /* 2: what libraries keep */
        fprintf(stderr, "%d open files, %d before\n", count_open_files(), n_files);
        good = false;
    }
    all->n_done++;
    if (!good) {
        all->n_bad++;
        fprintf(stderr, "FAILED: --call %s --one %s %ld\n", p->call->name, kinds[p->kind], n);
    } else if (p->trace) {
        fprintf(stderr, "status %d, '%s'\n", (int)st, err.text);
    }
    return true;
}

static void show_where(int number)
{
    enum { DEEP = 40 };
    void *frames[DEEP];
    fprintf(stderr, "signal %d:\n", number);
    backtrace_symbols_fd(frames, backtrace(frames, DEEP), 2);
    _exit(EXIT_FAILURE);
}

static void run_some(const plan *p, size_t from, size_t to)
{
    if (p->trace)
        signal(SIGSEGV, show_where);
    for (size_t i = from; i < to; i++) {
        all->at = i;
        if (!fail_one(p, p->ns[i], i % 4 == 0))
            break;
    }
}

static void run_undisturbed(const plan *p, size_t from, size_t to)
{
    ser_error err = {0};
    (void)from, (void)to;
    start_afresh();
    folder_clear("reference");
    folder_clear("reference.npy");
    failing_arm(p->kind, LONG_MAX, all->by, false);
    ser_status st = p->call->run(p->call, all->answer, &err);
    all->count = failing_disarm();
    rename("out", "reference");
    rename("out.npy", "reference.npy");
    if (st != SER_OK) {
        fprintf(stderr, "%s: %s\n", p->call->name, err.text);
        exit(EXIT_FAILURE);
    }
}

/* ---- in the parent ---- */

static void describe_end(int status)
{
    if (WIFSIGNALED(status))
        fprintf(stderr, "ended by signal %d (%s), memory asked for by %s\n", WTERMSIG(status),
                strsignal(WTERMSIG(status)), all->by);
    else
        fprintf(stderr, "ended with exit status %d\n", WEXITSTATUS(status));
}

/* Some libraries do not look at what malloc gives them everywhere. Nobody who calls them can mend that. */
static bool is_their_fault(const plan *p, int status)
{
    static const char *const known[] = {"libfontconfig.", "libsndfile.", "libxlsxwriter."};
    if (p->kind != FAILING_LIBRARIES || !WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV)
        return false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(all->by, known[i], strlen(known[i])) == 0)
            return true;
    return false;
}

static bool in_child(void (*work)(const plan *, size_t, size_t), const plan *p, size_t from, size_t to)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_CPU, &(struct rlimit){LONGEST_S, LONGEST_S});
        all->by[0] = 0;
        work(p, from, to);
        exit(EXIT_SUCCESS);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return false;
    if (is_their_fault(p, status)) {
        all->n_theirs++;
        return true;
    }
    if (status != 0)
        describe_end(status);
    return status == 0;
}

/* A process that died is that allocation's fault; one that leaked says so at its end, and its allocations are
 * tried one by one. */
static void run_plan(const plan *p)
{
    size_t at_once = p->kind == FAILING_OURS ? IN_ONE_PROCESS : 1;
    for (size_t from = 0; from < p->n;) {
        size_t to = from + at_once < p->n ? from + at_once : p->n;
        if (in_child(run_some, p, from, to)) {
            from = to;
        } else if (all->at + 1 < to || at_once == 1) {
            fprintf(stderr, "FAILED: --call %s --one %s %ld\n", p->call->name, kinds[p->kind],
                    p->ns[all->at]);
            all->n_bad++;
            from = all->at + 1;
        } else {
            for (; from < to; from++)
                if (!in_child(run_some, p, from, from + 1)) {
                    fprintf(stderr, "FAILED: --call %s --one %s %ld\n", p->call->name, kinds[p->kind],
                            p->ns[from]);
                    all->n_bad++;
                }
        }
    }
}

/* Which are tried: all of ours or a sample; of the libraries' the first, and some of the others. */
static size_t choose(long *ns, failing_kind kind, long count, bool longer)
{
    size_t n = 0;
    uint64_t x = 88172645463325252u; /* xorshift: the same in every run */
    if (kind == FAILING_OURS) {
        long step = longer || count < 16 ? 1 : count / 16;
        for (long i = longer ? 0 : count % step; i < count && n < MAX_N; i += step)
            ns[n++] = i;
        return n;
    }
    long first = longer ? FIRST : 4, others = longer ? AT_RANDOM : 8;
    for (long i = 0; i < first && i < count; i++)
        ns[n++] = i;
    for (long i = 0; i < others && count > first; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        ns[n++] = first + (long)(x % (uint64_t)(count - first));
    }
    return n;
}

static void try_call(const call *c, failing_kind kind, bool longer)
{
    static long ns[MAX_N];
    plan p = {c, kind, ns, 0, false};
    all->n_theirs = all->n_done = all->n_without = all->n_resumed = 0;
    if (!in_child(run_undisturbed, &p, 0, 0)) {
        all->n_bad++;
        return;
    }
    p.n = choose(ns, kind, all->count, longer);
    run_plan(&p);
    printf("%-18s %-10s %6ld allocations, %5zu failed, %5zu did without, %5zu gone on with, %3zu crashed in "
           "a library\n",
           c->name, kinds[kind], all->count, all->n_done, all->n_without, all->n_resumed, all->n_theirs);
    fflush(stdout);
}

static void prepare(const plan *p, size_t from, size_t to)
{
    (void)from, (void)to;
    if (!calls_prepare((const char *)(const void *)p))
        exit(EXIT_FAILURE);
}

static bool interposed(void)
{
    char by[FAILING_NAME];
    failing_arm(FAILING_LIBRARIES, LONG_MAX, by, false);
    free(strdup("?"));
    return failing_disarm() > 0;
}

int main(int argc, char **argv)
{
    bool longer = false;
    const char *only = NULL;
    long one = -1;
    failing_kind one_kind = FAILING_OURS;
    for (int i = 1; i < argc - 1; i++) {
        longer = longer || strcmp(argv[i], "--long") == 0;
        if (strcmp(argv[i], "--call") == 0)
            only = argv[++i];
        else if (strcmp(argv[i], "--one") == 0 && i + 2 < argc) {
            one_kind = strcmp(argv[i + 1], "ours") == 0 ? FAILING_OURS : FAILING_LIBRARIES;
            one = atol(argv[i + 2]);
            i += 2;
        }
    }
    char *golden = argc > 1 ? realpath(argv[argc - 1], NULL) : NULL;
    all = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    scratch_make();
    if (argc < 2 || all == MAP_FAILED || chdir(scratch_folder) != 0)
        return EXIT_FAILURE;
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    bool good = golden && in_child(prepare, (const plan *)(const void *)golden, 0, 0);
    for (const call *c = calls; good && c->name; c++) {
        if (only && strcmp(only, c->name) != 0)
            continue;
        const plan p = {c, one_kind, &one, 1, true};
        for (int kind = FAILING_OURS; one < 0 && kind <= FAILING_LIBRARIES; kind++)
            if (kind == FAILING_OURS || interposed())
                try_call(c, (failing_kind)kind, longer);
        if (one >= 0)
            good = in_child(run_undisturbed, &p, 0, 0) && in_child(run_some, &p, 0, 1);
    }
    if (chdir("/") == 0)
        scratch_remove();
    free(golden);
    printf("%zu are not as promised\n", all->n_bad);
    return good && all->n_bad == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Every call of ser.h and ser/run.h with the n-th allocation failing: ours, or the libraries'. Each ends in
 * "out of memory", or does without what it did not get; outputs are untouched, nothing is half-written, and
 * what a run folder holds is gone on with.
 *
 * Usage: test-allocation [--long] [--later] [--call NAME,...] [--one ours|first|later N] GOLDEN
 *   --long: every n of ours in the smallest call of each kind, else the first 500 and 500 at random, of the
 *   libraries' too; without it a sample. --one shows who asked for that allocation.
 * ours: our allocator's. first: of libraries in a process's first call, while they set themselves up; later:
 * when they have done that, with --later. Each n runs in a process of its own, or some of ours in one. */
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

enum { MAX_KEPT = 64, MAX_N = 1 << 17, FIRST = 500, AT_RANDOM = 500, IN_ONE_PROCESS = 32, LONGEST_S = 120 };
typedef enum turn { OURS, FIRST_CALL, LATER_CALL, N_TURNS } turn;
static const char *const turns[] = {"ours", "first", "later"};

typedef struct shared {
    char answer[ANSWER_BYTES];   /* where nothing fails */
    long count;                  /* of allocations, where nothing fails */
    size_t at;                   /* the one under way */
    char by[FAILING_NAME];       /* who asked for it */
    failing_kept kept[MAX_KEPT]; /* by libraries, where nothing fails */
    size_t n_kept;
    size_t n_done, n_bad, n_without, n_resumed, n_theirs; /* n_without: it did without that memory */
} shared;
static shared *all;

typedef struct plan {
    const call *call;
    turn turn;
    failing_kind kind;
    const long *ns;
    size_t n;
    bool longer, trace;
} plan;

typedef struct choice { /* of the command line */
    bool longer, later;
    const char *calls; /* NULL: all */
    turn turn;         /* of the only one, else N_TURNS */
    long one;
} choice;

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

static bool is_by(const char *library)
{
    return strncmp(all->by, library, strlen(library)) == 0;
}

static bool is_as_promised(const call *c, ser_status st, const char *answer, const ser_error *err, bool again)
{
    bool good = true;
    if (st == SER_OK) {
        all->n_without++;
        good = strcmp(answer, all->answer) == 0;
        if (!good)
            fprintf(stderr, "another answer: '%.300s' in place of '%.300s'\n", answer, all->answer);
        bool whole = is_whole(true);
        /* cairo (1.16) takes a clip that it gets no memory for as one that hides everything: a picture then
         * lacks a line, and cairo_status knows of nothing. fontconfig, or expat below it, leaves out the rule
         * of its configuration that it gets no memory for: a picture then has another font. */
        if (!whole && (is_by("libcairo.") || is_by("libfontconfig.") || is_by("libexpat."))) {
            all->n_theirs++;
            whole = true;
        }
        return whole && good;
    }
    if (st != SER_E_NOMEM || err->status != st || !strstr(err->text, "out of memory") || *answer) {
        fprintf(stderr, "status %d, '%s' %s\n", (int)st, err->text, answer);
        good = false;
    }
    good = is_whole(false) && good;
    /* libhdf5 cannot be used any more in a process in which it did not get memory. */
    if (again && !is_by("libhdf5")) {
        all->n_resumed++;
        good = ends_the_same(c) && good;
    }
    return good;
}

static size_t kept_by(const failing_kept *kept, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(kept[i].name, name) == 0)
            return kept[i].n;
    return 0;
}

/* After the call: all that this program asked for is free again, and all of libraries that keep nothing of
 * their own. Others have caches, or lose memory where they do not get more. */
static bool is_watched(const char *name)
{
    static const char *const libraries[] = {"libjansson.", "libsndfile.", "libsoxr.", "libmpg123.",
                                            "libzip."};
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
        if (strncmp(name, libraries[i], strlen(libraries[i])) == 0)
            return true;
    return !*name;
}

static bool is_all_free(void)
{
    failing_kept kept[MAX_KEPT];
    size_t n = failing_unwatch(kept, MAX_KEPT);
    bool good = true;
    for (size_t i = 0; i < n; i++) {
        size_t usual = kept_by(all->kept, all->n_kept, kept[i].name);
        if (kept[i].n <= usual || !is_watched(kept[i].name))
            continue;
        fprintf(stderr, "leaked: %zu blocks of '%s', else %zu\n", kept[i].n, kept[i].name, usual);
        good = false;
    }
    return good;
}

static void tell_failed(const plan *p, long n)
{
    fprintf(stderr, "FAILED: --call %s --one %s %ld\n", p->call->name, turns[p->turn], n);
    all->n_bad++;
}

/* False: there are no n allocations. */
static bool fail_one(const plan *p, long n, bool again)
{
    static char answer[ANSWER_BYTES];
    ser_error err = {0};
    start_afresh();
    answer[0] = 0;
    int n_files = count_open_files();
    failing_watch(p->trace);
    failing_arm(p->kind, n, all->by, p->trace);
    ser_status st = p->call->run(p->call, answer, &err);
    failing_disarm();
    bool good = is_all_free();
    if (!failing_hit())
        return false;
    good = is_as_promised(p->call, st, answer, &err, again) && good;
    if (p->kind == FAILING_OURS && count_open_files() > n_files + 2) { /* 2: what libraries keep */
        fprintf(stderr, "%d open files, %d before\n", count_open_files(), n_files);
        good = false;
    }
    all->n_done++;
    if (!good)
        tell_failed(p, n);
    else if (p->trace)
        fprintf(stderr, "status %d, '%s'\n", (int)st, err.text);
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
    failing_watch(false);
    failing_arm(p->kind, LONG_MAX, all->by, false);
    ser_status st = p->call->run(p->call, all->answer, &err);
    all->count = failing_disarm();
    all->n_kept = failing_unwatch(all->kept, MAX_KEPT);
    size_t n_ours = kept_by(all->kept, all->n_kept, "");
    rename("out", "reference");
    rename("out.npy", "reference.npy");
    if (st == SER_OK && n_ours == 0)
        return;
    if (st != SER_OK)
        fprintf(stderr, "%s: %s\n", p->call->name, err.text);
    else
        fprintf(stderr, "%s: %zu blocks are never freed\n", p->call->name, n_ours);
    exit(EXIT_FAILURE);
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

/* Some libraries do not look at what malloc gives them everywhere, and libhdf5's H5I_register ends the
 * process by exit(-1) where the hash table of its identifiers cannot grow, libgomp by exit(1). Nobody who
 * calls them can mend that. */
static bool is_their_fault(const plan *p, int status)
{
    static const char *const known[] = {"libcairo.",   "libdnnl.",    "libfontconfig.",
                                        "libhdf5",     "libminizip.", "libpixman-1.",
                                        "libsndfile.", "libsoxr.",    "libxlsxwriter."};
    if (p->kind == FAILING_LIBRARIES && WIFEXITED(status) && WEXITSTATUS(status) == 255)
        return is_by("libhdf5");
    if (p->kind == FAILING_LIBRARIES && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE)
        return is_by("libgomp."); /* at the first omp_set_num_threads of a thread */
    if (p->kind != FAILING_LIBRARIES || !WIFSIGNALED(status))
        return false;
    if (WTERMSIG(status) == SIGABRT) /* it jumps into a function that has returned, which glibc sees */
        return is_by("libcairo.");
    if (WTERMSIG(status) != SIGSEGV)
        return false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (is_by(known[i]))
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

/* A process that died is that allocation's fault; one that leaked says so at its end, and its allocations
 * are tried one by one. */
static void run_plan(const plan *p)
{
    size_t at_once = p->kind == FAILING_OURS ? IN_ONE_PROCESS : 1;
    for (size_t from = 0; from < p->n;) {
        size_t to = from + at_once < p->n ? from + at_once : p->n;
        if (in_child(run_some, p, from, to)) {
            from = to;
        } else if (all->at + 1 < to || at_once == 1) {
            tell_failed(p, p->ns[all->at]);
            from = all->at + 1;
        } else {
            for (; from < to; from++)
                if (!in_child(run_some, p, from, from + 1))
                    tell_failed(p, p->ns[from]);
        }
    }
}

/* Which are tried: of ours all of the smallest calls, or a sample; else the first, and others at random. */
static size_t choose(long *ns, const plan *p, long count)
{
    size_t n = 0;
    uint64_t x = 88172645463325252u; /* xorshift: the same in every run */
    if (p->turn == OURS && (!p->longer || p->call->is_smallest)) {
        long step = p->longer || count < 16 ? 1 : count / 16;
        for (long i = p->longer ? 0 : count % step; i < count && n < MAX_N; i += step)
            ns[n++] = i;
        return n;
    }
    long first = p->turn == LATER_CALL ? 0 : p->longer ? FIRST : 4, others = p->longer ? AT_RANDOM : 6;
    for (long i = 0; i < first && i < count; i++)
        ns[n++] = i;
    for (long i = 0; i < others && count > first; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        ns[n++] = first + (long)(x % (uint64_t)(count - first));
    }
    return n;
}

static void run_chosen(const plan *p)
{
    static long ns[MAX_N];
    plan chosen = *p;
    if (!p->n) {
        chosen.n = choose(ns, p, all->count);
        chosen.ns = ns;
    }
    run_plan(&chosen);
}

/* In a process that has made the call before, so that each of its children begins where libraries are set
 * up.
 */
static void run_later(const plan *p, size_t from, size_t to)
{
    run_undisturbed(p, from, to);
    run_undisturbed(p, from, to);
    run_chosen(p);
}

static bool try_turn(const plan *p)
{
    all->n_theirs = all->n_done = all->n_without = all->n_resumed = 0;
    if (p->turn != FIRST_CALL)
        return in_child(run_later, p, 0, 0);
    if (!in_child(run_undisturbed, p, 0, 0))
        return false;
    run_chosen(p);
    return true;
}

static bool try_call(const call *c, const choice *chosen, bool libraries)
{
    for (turn t = OURS; t < N_TURNS; t++) {
        plan p = {.call = c,
                  .turn = t,
                  .kind = t == OURS ? FAILING_OURS : FAILING_LIBRARIES,
                  .longer = chosen->longer};
        if (chosen->turn != N_TURNS)
            p.ns = &chosen->one, p.n = 1, p.trace = true;
        else if (t == LATER_CALL && !chosen->later)
            continue;
        if ((t != OURS && !libraries) || (chosen->turn != N_TURNS && chosen->turn != t))
            continue;
        if (!try_turn(&p))
            return false;
        printf("%-18s %-6s %6ld allocations, %5zu failed, %5zu did without, %5zu gone on with, %3zu crashed "
               "in a library\n",
               c->name, turns[t], all->count, all->n_done, all->n_without, all->n_resumed, all->n_theirs);
        fflush(stdout);
    }
    return true;
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

static bool is_among(const char *name, const char *names)
{
    size_t n = strlen(name);
    for (const char *at = names; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, name, n) == 0 && (!at[n] || at[n] == ','))
            return true;
    return !names;
}

static choice read_arguments(int argc, char **argv)
{
    choice c = {.turn = N_TURNS, .one = -1};
    for (int i = 1; i < argc - 1; i++) {
        c.longer = c.longer || strcmp(argv[i], "--long") == 0;
        c.later = c.later || strcmp(argv[i], "--later") == 0;
        if (strcmp(argv[i], "--call") == 0)
            c.calls = argv[++i];
        else if (strcmp(argv[i], "--one") == 0 && i + 2 < argc) {
            for (c.turn = OURS; c.turn < LATER_CALL && strcmp(argv[i + 1], turns[c.turn]) != 0;)
                c.turn++;
            c.one = atol(argv[i + 2]);
            i += 2;
        }
    }
    return c;
}

int main(int argc, char **argv)
{
    const choice chosen = read_arguments(argc, argv);
    char *golden = argc > 1 ? realpath(argv[argc - 1], NULL) : NULL;
    all = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    scratch_make();
    if (argc < 2 || all == MAP_FAILED || chdir(scratch_folder) != 0)
        return EXIT_FAILURE;
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    bool good = golden && in_child(prepare, (const plan *)(const void *)golden, 0, 0),
         libraries = interposed();
    for (const call *c = calls; good && c->name; c++)
        if (is_among(c->name, chosen.calls))
            good = try_call(c, &chosen, libraries);
    if (chdir("/") == 0)
        scratch_remove();
    free(golden);
    printf("%zu are not as promised\n", all->n_bad);
    return good && all->n_bad == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

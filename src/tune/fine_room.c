/* Whether memory and disk suffice, told before the first step. */
#include "base/memory.h"
#include "io/file.h"
#include "tune/fine_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const double megabyte = 1e6;

/* Activations of the largest batch, what learns several times over, the values as products read them. */
static double memory_needed(const ser_tune_net *net, const tune_learned *l, const ser_tune_settings *s)
{
    double numbers =
        (double)l->n * (3 + (l->average != NULL) + (l->origin != NULL)) + (double)net->n_values * 1.5;
    if (l->n_adapted)
        numbers += 2 * (double)(net->n_values - net->n_frozen);
    return numbers * sizeof(float) +
           (double)ser_tune_memory(net, s->ops, s->batch_size, s->max_samples, s->memory);
}

/* The first number of a file; 0: there is none. */
static double number_in(const char *path)
{
    char text[64] = "";
    FILE *f = fopen(path, "re");
    if (f) {
        if (!fgets(text, sizeof text, f))
            *text = 0;
        fclose(f);
    }
    return strtod(text, NULL);
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

/* What this process may still have: of the machine, of a container, below ulimit -v. */
static double memory_there(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES);
    double page = (double)sysconf(_SC_PAGESIZE), there = pages > 0 ? (double)pages * page : INFINITY;
    double container = number_in("/sys/fs/cgroup/memory.max");
    struct rlimit limit;
    if (container > 0)
        there = least(there, container);
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        there = least(there, (double)limit.rlim_cur - number_in("/proc/self/statm") * page);
    return there;
}

static ser_status check_memory(double needed, ser_error *err)
{
    double there = memory_there();
    if (needed > there)
        return ser_fail(
            err, SER_E_NOMEM,
            "fine-tuning takes %.0f MB of memory with these batches, and there are %.0f MB: let fewer layers "
            "learn, or take a smaller encoder",
            needed / megabyte, there / megabyte);
    return SER_OK;
}

/* A state is written beside the last one before it takes its place. One that is there already is of a
 * training that goes on. */
static ser_status check_disk(const char *state_path, double state, size_t n_states, ser_error *err)
{
    double needed = state * (access(state_path, F_OK) == 0 ? 1 : (double)(n_states ? n_states : 1) + 1);
    struct statvfs disk;
    const char *slash = strrchr(state_path, '/');
    char *folder = slash ? ser_strndup(state_path, (size_t)(slash - state_path) + 1) : ser_strdup(".");
    if (!folder)
        return ser_fail_nomem(err);
    bool known = statvfs(folder, &disk) == 0;
    ser_free(folder);
    double there = known ? ser_io_room(&disk) : INFINITY;
    if (needed > there)
        return ser_fail(
            err, SER_E_IO,
            "%s: the states of the trainings to come take %.0f MB, and the disk has %.0f MB left: "
            "make room, or name a run folder elsewhere",
            state_path, needed / megabyte, there / megabyte);
    return SER_OK;
}

ser_status ser_tune_check_room(const ser_tune_net *net, const tune_learned *l, const ser_tune_settings *s,
                               ser_error *err)
{
    ser_status st = check_memory(memory_needed(net, l, s), err);
    double state = (double)l->n * (3 + (l->average != NULL)) * sizeof(float);
    return st == SER_OK && s->state_path ? check_disk(s->state_path, state, s->n_states, err) : st;
}

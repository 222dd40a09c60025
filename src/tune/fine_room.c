/* Whether memory and disk suffice, told before the first step. */
#include "base/memory.h"
#include "tune/fine_parts.h"

#include <string.h>
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

static ser_status check_memory(double needed, ser_error *err)
{
    long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
    double there = (double)pages * (double)bytes;
    if (pages > 0 && bytes > 0 && needed > there)
        return ser_fail(
            err, SER_E_NOMEM,
            "fine-tuning takes %.0f MB of memory with these batches, and this machine has %.0f MB: take "
            "smaller batches or shorter crops",
            needed / megabyte, there / megabyte);
    return SER_OK;
}

/* The state is written beside the last one before it takes its place. */
static ser_status check_disk(const char *state_path, double needed, ser_error *err)
{
    struct statvfs disk;
    const char *slash = strrchr(state_path, '/');
    char *folder = slash ? ser_strndup(state_path, (size_t)(slash - state_path) + 1) : ser_strdup(".");
    if (!folder)
        return ser_fail_nomem(err);
    bool known = statvfs(folder, &disk) == 0;
    ser_free(folder);
    double there = known ? (double)disk.f_bavail * (double)disk.f_frsize : 0;
    if (known && needed > there)
        return ser_fail(err, SER_E_IO,
                        "%s: a state of the training takes %.0f MB, twice, and the disk has %.0f MB left",
                        state_path, needed / 2 / megabyte, there / megabyte);
    return SER_OK;
}

ser_status ser_tune_check_room(const ser_tune_net *net, const tune_learned *l, const ser_tune_settings *s,
                               ser_error *err)
{
    ser_status st = check_memory(memory_needed(net, l, s), err);
    double state = (double)l->n * (3 + (l->average != NULL)) * sizeof(float);
    return st == SER_OK && s->state_path ? check_disk(s->state_path, 2 * state, err) : st;
}

#include "failures/failing.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Behind ours: the sanitizer's functions where there is one, else libc's. */
#ifdef FAILING_SANITIZER
#define BEHIND(name)   __interceptor_##name
#define BEHIND_ALIGNED __interceptor_memalign
#else
#define BEHIND(name)   __libc_##name
#define BEHIND_ALIGNED __libc_memalign
#endif
void *BEHIND(malloc)(size_t);
void *BEHIND(calloc)(size_t, size_t);
void *BEHIND(realloc)(void *, size_t);
void *BEHIND_ALIGNED(size_t, size_t);
void BEHIND(free)(void *);

static atomic_int armed = -1; /* the kind, or -1 */
static atomic_long counter, fail_at;
static atomic_bool hit, show;
static char *asked_by;

void failing_arm(failing_kind kind, long n, char *by, bool trace)
{
    void *warm[1];
    backtrace(warm, 1); /* which loads a library the first time */
    hit = false;
    show = trace;
    asked_by = by;
    by[0] = 0;
    counter = 0;
    fail_at = n;
    armed = (int)kind;
}

long failing_disarm(void)
{
    armed = -1;
    return counter;
}

bool failing_hit(void)
{
    return hit;
}

/* The innermost one that is not of C or C++ itself, nor this program. */
static void name_library(void *const *frames, int n)
{
    Dl_info own, info;
    if (!dladdr((void *)(uintptr_t)failing_arm, &own))
        return;
    for (int i = 0; i < n && !*asked_by; i++) {
        if (!dladdr(frames[i], &info) || info.dli_fbase == own.dli_fbase)
            continue;
        const char *slash = strrchr(info.dli_fname, '/'), *name = slash ? slash + 1 : info.dli_fname;
        if (strncmp(name, "libc.", 5) != 0 && strncmp(name, "libstdc++", 9) != 0)
            snprintf(asked_by, FAILING_NAME, "%s", name);
    }
}

static void look_back(void)
{
    enum { DEEP = 40 };
    void *frames[DEEP];
    int n = backtrace(frames, DEEP);
    name_library(frames, n);
    if (show)
        backtrace_symbols_fd(frames, n, 2);
}

static bool must_fail(failing_kind kind)
{
    if (armed != (int)kind || atomic_fetch_add(&counter, 1) != fail_at)
        return false;
    hit = true;
    armed = -1;
    look_back();
    armed = (int)kind;
    errno = ENOMEM;
    return true;
}

/* ---- what is not free yet ---- */

#ifdef FAILING_INTERPOSE
enum { N_SLOTS = 1 << 18, MOST = N_SLOTS / 2, DEEP_ENOUGH = 12 };

/* By linear probing; block NULL: empty. */
static struct slot {
    void *block, *caller;
} slots[N_SLOTS];
static void *frames_of[N_SLOTS][DEEP_ENOUGH]; /* where they are shown; of others never touched */
static size_t n_slots;
static atomic_bool watching, is_shown;
static atomic_flag in_slots = ATOMIC_FLAG_INIT;

static void enter(void)
{
    while (atomic_flag_test_and_set(&in_slots))
        ;
}

static size_t home_of(const void *block)
{
    return (size_t)((uintptr_t)block >> 4) * 0x9e3779b97f4a7c15u >> 46; /* 18 bits of 64 */
}

static void *keep_in_mind(void *block, void *caller)
{
    if (!block || !watching)
        return block;
    enter();
    size_t i = home_of(block);
    while (slots[i].block)
        i = (i + 1) % N_SLOTS;
    if (++n_slots > MOST)
        abort();
    slots[i] = (struct slot){block, caller};
    if (is_shown) {
        is_shown = false; /* of what backtrace itself may ask for, nothing */
        memset(frames_of[i], 0, sizeof frames_of[i]);
        backtrace(frames_of[i], DEEP_ENOUGH);
        is_shown = true;
    }
    atomic_flag_clear(&in_slots);
    return block;
}

static void forget(void *block)
{
    if (!block || !watching)
        return;
    enter();
    size_t i = home_of(block);
    while (slots[i].block && slots[i].block != block)
        i = (i + 1) % N_SLOTS;
    n_slots -= slots[i].block != NULL;
    for (size_t j = i; slots[i].block;) { /* what follows moves up, as far as its home lets it */
        j = (j + 1) % N_SLOTS;
        size_t home = home_of(slots[j].block);
        if (!slots[j].block || (j - home) % N_SLOTS >= (j - i) % N_SLOTS) {
            slots[i] = slots[j];
            memcpy(frames_of[i], frames_of[j], is_shown ? sizeof frames_of[i] : 0);
            i = j;
        }
    }
    atomic_flag_clear(&in_slots);
}

void failing_watch(bool trace)
{
    memset(slots, 0, sizeof slots);
    n_slots = 0;
    is_shown = trace;
    watching = true;
}

static const char *name_of_caller(const void *caller)
{
    Dl_info own, info;
    if (!dladdr(caller, &info) || !dladdr((void *)(uintptr_t)failing_arm, &own))
        return "?";
    const char *slash = strrchr(info.dli_fname, '/');
    return info.dli_fbase == own.dli_fbase ? "" : slash ? slash + 1 : info.dli_fname;
}

size_t failing_unwatch(failing_kept *kept, size_t n_most)
{
    size_t n = 0;
    watching = false;
    for (size_t i = 0; i < N_SLOTS; i++) {
        const char *name = slots[i].block ? name_of_caller(slots[i].caller) : NULL;
        size_t k = 0;
        while (name && k < n && strncmp(kept[k].name, name, FAILING_NAME - 1) != 0)
            k++;
        if (!name || k == n_most)
            continue;
        if (k == n) {
            kept[n] = (failing_kept){0};
            snprintf(kept[n++].name, FAILING_NAME, "%s", name);
        }
        kept[k].n++;
        if (is_shown && !*name) {
            fprintf(stderr, "never freed:\n");
            backtrace_symbols_fd(frames_of[i], DEEP_ENOUGH, 2);
        }
    }
    is_shown = false;
    return n;
}
#else
void failing_watch(bool trace)
{
    (void)trace;
}

size_t failing_unwatch(failing_kept *kept, size_t n_most)
{
    (void)kept, (void)n_most;
    return 0;
}
#endif

/* ---- ours ---- */

static _Thread_local long until_failure = -1;

void failing_at(long n)
{
    until_failure = n;
}

long failing_left(void)
{
    return until_failure;
}

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    if ((until_failure >= 0 && until_failure-- == 0) || must_fail(FAILING_OURS))
        return NULL;
#ifdef FAILING_INTERPOSE /* the real one is below, and counts as a library's */
    return keep_in_mind(BEHIND_ALIGNED(alignment, size), __builtin_return_address(0));
#else
    return __real_aligned_alloc(alignment, size);
#endif
}

/* ---- the libraries' ---- */

#ifdef FAILING_INTERPOSE
#pragma GCC visibility push(default) /* or libraries would not find them */
static void *get(size_t alignment, size_t size, void *caller)
{
    void *p = NULL;
    if (!must_fail(FAILING_LIBRARIES))
        p = alignment ? BEHIND_ALIGNED(alignment, size) : BEHIND(malloc)(size);
    return keep_in_mind(p, caller);
}

void *malloc(size_t size)
{
    return get(0, size, __builtin_return_address(0));
}

void *calloc(size_t n, size_t size)
{
    return must_fail(FAILING_LIBRARIES) ? NULL
                                        : keep_in_mind(BEHIND(calloc)(n, size), __builtin_return_address(0));
}

void *realloc(void *p, size_t size)
{
    if (must_fail(FAILING_LIBRARIES))
        return NULL;
    forget(p); /* before another thread may get its address */
    void *moved = BEHIND(realloc)(p, size);
    return keep_in_mind(moved ? moved : size ? p : NULL, __builtin_return_address(0)) ? moved : NULL;
}

void free(void *p)
{
    forget(p);
    BEHIND(free)(p);
}

void *memalign(size_t alignment, size_t size);
void *memalign(size_t alignment, size_t size)
{
    return get(alignment, size, __builtin_return_address(0));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return get(alignment, size, __builtin_return_address(0));
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *p = get(alignment, size, __builtin_return_address(0));
    if (p)
        *out = p;
    return p ? 0 : ENOMEM;
}
#endif

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

/* ---- ours ---- */

static _Thread_local long until_failure = -1;

void failing_at(long n)
{
    until_failure = n;
}

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    if ((until_failure >= 0 && until_failure-- == 0) || must_fail(FAILING_OURS))
        return NULL;
#ifdef FAILING_INTERPOSE
    return BEHIND_ALIGNED(alignment, size); /* the real one is below, and counts as a library's */
#else
    return __real_aligned_alloc(alignment, size);
#endif
}

/* ---- the libraries' ---- */

#ifdef FAILING_INTERPOSE
#pragma GCC visibility push(default) /* or libraries would not find them */
void *malloc(size_t size)
{
    return must_fail(FAILING_LIBRARIES) ? NULL : BEHIND(malloc)(size);
}

void *calloc(size_t n, size_t size)
{
    return must_fail(FAILING_LIBRARIES) ? NULL : BEHIND(calloc)(n, size);
}

void *realloc(void *p, size_t size)
{
    return must_fail(FAILING_LIBRARIES) ? NULL : BEHIND(realloc)(p, size);
}

void *memalign(size_t alignment, size_t size);
void *memalign(size_t alignment, size_t size)
{
    return must_fail(FAILING_LIBRARIES) ? NULL : BEHIND_ALIGNED(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *p = memalign(alignment, size);
    if (p)
        *out = p;
    return p ? 0 : ENOMEM;
}
#endif

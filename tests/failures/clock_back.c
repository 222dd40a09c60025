/* To be preloaded: a clock that is set back an hour at every look. */
#include <time.h>

#pragma GCC visibility push(default)

static long long now(void)
{
    static long long at = 2000000000;
    return __atomic_sub_fetch(&at, 3600, __ATOMIC_RELAXED);
}

time_t time(time_t *out)
{
    time_t t = (time_t)now();
    if (out)
        *out = t;
    return t;
}

/* The monotonic one as well, which only a fault in the system could do. */
int clock_gettime(clockid_t clock, struct timespec *out)
{
    (void)clock;
    *out = (struct timespec){.tv_sec = (time_t)now()};
    return 0;
}

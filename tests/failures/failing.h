/* Memory that runs out at a chosen allocation, once. The allocator's own allocations (base/memory.c) reach us
 * by the linker's --wrap=aligned_alloc (failing_dep in meson), those of libraries because a program's malloc
 * takes the place of libc's: only in programs that are built with FAILING_INTERPOSE. */
#ifndef SER_TESTS_FAILING_H
#define SER_TESTS_FAILING_H

#include <stdbool.h>

typedef enum failing_kind { FAILING_OURS, FAILING_LIBRARIES } failing_kind;

enum { FAILING_NAME = 64 };

/* From now on the n-th allocation of this kind (0: the next one), of any thread, fails. by (FAILING_NAME)
 * gets the library's name that asked for it, such as libcairo.so.2. trace: whoever asked is shown. */
void failing_arm(failing_kind kind, long n, char *by, bool trace);
/* None fails any more. The number of allocations of the kind since it was armed. */
long failing_disarm(void);
/* Whether one failed since it was armed. */
bool failing_hit(void);

/* For a single call: the n-th allocation of ours from now on this thread (0: the next one) fails. Negative:
 * none. */
void failing_at(long n);

#endif

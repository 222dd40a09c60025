/* Memory that runs out at a chosen allocation, once, and what is not given back. The allocator's own
 * allocations (base/memory.c) reach us by the linker's --wrap=aligned_alloc (failing_dep in meson), those of
 * libraries because a program's malloc takes the place of libc's: only in programs that are built with
 * FAILING_INTERPOSE. */
#ifndef SER_TESTS_FAILING_H
#define SER_TESTS_FAILING_H

#include <stdbool.h>
#include <stddef.h>

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
/* How many more there are before that one; negative: it has failed. */
long failing_left(void);

/* From now on each allocation is kept in mind, up to its free. trace: each with who asked for it, to be shown
 * in the end. Nothing is watched in a program that is built without FAILING_INTERPOSE. */
void failing_watch(bool trace);
/* Those that are not free yet, by who called malloc. */
typedef struct failing_kept {
    size_t n;
    char name[FAILING_NAME]; /* of the library's file; "" is this program */
} failing_kept;
/* Ends that. How many of kept (room for n_most) are filled. */
size_t failing_unwatch(failing_kept *kept, size_t n_most);

#endif

/* Several processes, ranks, that do one job together, as the work sees them. Whoever is alone has no team:
 * NULL. What stands behind one is known in run/ranks.c alone. */
#ifndef SER_BASE_TEAM_H
#define SER_BASE_TEAM_H

#include "base/progress.h"
#include "base/sum.h"
#include "base/text.h"

/* Items that any rank may do, each handed to whoever asks next. */
typedef struct ser_deal {
    size_t n_items;
    const size_t *sizes; /* (n_items), of rank 0, the longest first: short ones are handed out several at a
                          * time; NULL: one by one */
    int n_threads;       /* of this rank; 0: all cores */
    /* Does an item, on whichever rank, and appends what rank 0 is to know. worker as in ser_parallel_for. */
    ser_status (*work)(void *context, size_t item, int worker, ser_text *answer, ser_error *err);
    /* On rank 0 an item's answer, as soon as it is there, one at a time. */
    ser_status (*take)(void *context, size_t item, const void *answer, size_t n, ser_error *err);
    void (*on_stop)(void *context); /* this rank is asked to stop: before anything else happens; NULL */
    void *context;
    const ser_progress *progress; /* this rank's: told on rank 0, asked for the wish to stop on each; NULL */
    const char *what;             /* for progress */
    bool long_items;              /* each tells how far it is by ser_team.within */
} ser_deal;

typedef struct ser_team {
    int rank, n; /* 0 ... n-1, n > 1 */
    void *context;
    /* All ranks call it with the same items, and get the same status. */
    ser_status (*deal)(void *context, const ser_deal *deal, ser_error *err);
    /* A block of rank 0, into that of the others. */
    ser_status (*share)(void *context, ser_text *block, ser_error *err);
    /* SER_E_FORMAT on all where they do not have the same text; what: "recordings", for the message. */
    ser_status (*compare)(void *context, const char *what, const char *text, ser_error *err);
    /* The leaves of all ranks added up into out (sum->n_values) of each; a rank's own are those of
     * ser_team_leaves, pushed in their order. */
    ser_status (*add)(void *context, float *out, const ser_sum *sum, size_t n_leaves, ser_error *err);
    ser_progress within; /* of the work on a long item, in the place of the job's */
} ser_team;

/* The leaves first ... end-1 are a rank's. */
static inline void ser_team_leaves(size_t *first, size_t *end, size_t n_leaves, int rank, int n)
{
    *first = n_leaves * (size_t)rank / (size_t)n;
    *end = n_leaves * ((size_t)rank + 1) / (size_t)n;
}

/* How many items from the at'th on go together to one of n_ranks: a small share of *left, the sizes of all
 * that are not handed out, which these leave. n_ranks 0: one item. */
size_t ser_deal_some(const ser_deal *deal, size_t at, uint64_t *left, int n_ranks);

/* Writes leaf m, a zeroed vector of the sum's n_values. */
typedef ser_status (*ser_team_leaf)(void *context, float *leaf, size_t m, ser_error *err);
/* The sum of n_leaves leaves, of which this rank writes its own: the same bits with any number of ranks, and
 * with team NULL. What was in sum before is dropped. */
ser_status ser_team_sum(const ser_team *team, float *out, ser_sum *sum, size_t n_leaves, ser_team_leaf write,
                        void *context, ser_error *err);
/* A team's own functions, also for whoever is alone: team NULL. */
ser_status ser_team_deal(const ser_team *team, const ser_deal *deal, ser_error *err);
ser_status ser_team_share(const ser_team *team, ser_text *block, ser_error *err);
/* The same of parts that all have the size of rank 0's, in place. SER_E_FORMAT: they have not. */
typedef struct ser_team_part {
    void *data;
    size_t n_bytes;
} ser_team_part;
ser_status ser_team_share_parts(const ser_team *team, const ser_team_part *parts, size_t n, ser_error *err);
/* Waits until all are here. */
ser_status ser_team_meet(const ser_team *team, ser_error *err);

/* Who notes what is worked on, for the case that it ends the program. begin, end and stop are called by the
 * rank that it is about, from any thread; crashes on rank 0. */
typedef struct ser_watch {
    void (*begin)(void *context, const char *name);
    void (*end)(void *context, const char *name);
    void (*stop)(void *context);
    /* How often it ended the program; *why is filled where that is too often to try again. */
    int (*crashes)(void *context, const char *name, ser_error *why);
    void *context;
} ser_watch;

/* Items in the order in which they are dealt; the first n_alone only by one rank each with nothing else at
 * work in it, because one of them may have ended the program. */
typedef struct ser_todo {
    size_t *items, *sizes; /* sizes: rank 0's; NULL on the others */
    size_t n, n_alone;
} ser_todo;
typedef struct ser_todo_item {
    size_t item, size; /* size: by which they are sorted, the longest first */
    bool alone;
} ser_todo_item;
/* all (n): rank 0's, which is sorted; the others have none. */
ser_status ser_todo_share(ser_todo *out, const ser_team *team, ser_todo_item *all, size_t n, ser_error *err);
void ser_todo_release(ser_todo *t);

/* What only one process of the job may do: writing results, telling of them. */
static inline bool ser_team_is_first(const ser_team *team)
{
    return !team || team->rank == 0;
}

#endif

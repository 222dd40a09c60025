/* What ranks.c, ranks_deal.c, ranks_look.c and ranks_meet.c share; nobody else includes this. */
#ifndef SER_RUN_RANKS_PARTS_H
#define SER_RUN_RANKS_PARTS_H

#include "run/ranks.h"

#include <pthread.h>

/* URGENT: looked for at any time; UP and DOWN: by who waits for them. */
enum { SER_RANKS_UP = 1, SER_RANKS_DOWN, SER_RANKS_URGENT };
enum { SER_RANKS_REST_US = 500 };
typedef enum ser_ranks_kind {
    SER_RANKS_ASK,
    SER_RANKS_ANSWER,
    SER_RANKS_SHARE,
    SER_RANKS_NOTE,
    SER_RANKS_STOPPING,
    SER_RANKS_FINISHED,
    SER_RANKS_TEXT, /* up */
    SER_RANKS_ITEM,
    SER_RANKS_NO_ITEM,
    SER_RANKS_STOP,
    SER_RANKS_END,
    SER_RANKS_BLOCK, /* down */
    SER_RANKS_FAILED,
    SER_RANKS_LEAVING,
    SER_RANKS_TORN_LEAVING,
    SER_RANKS_VERDICT,
    SER_RANKS_TORN_VERDICT /* urgent */
} ser_ranks_kind;

typedef struct ser_ranks_head {
    int kind, status;
    uint64_t item, n; /* n: items, the first of which is item */
    double share;
} ser_ranks_head;

typedef struct ser_ranks_message {
    ser_ranks_head h;
    int from;
    char *bytes; /* n of them, and a 0; owned */
    size_t n;
} ser_ranks_message;

/* A deal under way. */
typedef struct ser_ranks_dealing {
    const ser_deal *d;
    size_t next, n_done, n_asks; /* rank 0: how many are handed out, and answered; how often ranks asked */
    uint64_t left;               /* rank 0: the sizes of those that are not handed out */
    double *shares;              /* rank 0: (n) of the item that each rank is at */
    bool *finished;              /* rank 0: (n) */
    bool stop, told_stop, ready; /* ready: this rank's own work is over */
    ser_status status;
    ser_error error;
    uint64_t failed_item;
    bool asked, no_more, ended; /* the others */
    size_t item, end;           /* which they have and have not begun */
    int n_waiting;              /* workers that have none */
    double share;
} ser_ranks_dealing;

struct ser_ranks {
    ser_team team;
    ser_progress progress;
    char (*hosts)[64];   /* rank 0: (n) */
    pthread_mutex_t mpi; /* one call at a time */
    pthread_mutex_t lock;
    pthread_cond_t wake;       /* of workers that wait for an item */
    pthread_mutex_t listening; /* rank 0: whoever is told something is told one thing at a time */
    ser_ranks_dealing *deal;   /* NULL: none is under way */
    bool *gone, *left;         /* rank 0: (n) whether each failed, and whether it only waits for the end */
    bool failed;               /* another rank, or rank 0 told so: */
    ser_error failure;
    bool has_verdict, is_torn; /* is_torn: something is left under way inside MPI */
    double last_asked_s;
    void (*handler)(void *context, const void *note, size_t n);
    void *handler_context;
};

/* A variable of the environment that holds a number; else usual. */
int ser_ranks_number(const char *name, int usual);

/* Short ones that nobody can do anything about are sent with tell. */
ser_status ser_ranks_send(ser_ranks *r, int to, int tag, const ser_ranks_head *h, const void *bytes, size_t n,
                          ser_error *err);
void ser_ranks_tell(ser_ranks *r, int to, int tag, ser_ranks_kind k, ser_status status, const char *text);
void ser_ranks_tell_others(ser_ranks *r, int tag, ser_ranks_kind k, ser_status status, const char *text);
/* false: there is none. */
bool ser_ranks_receive(ser_ranks *r, int tag, ser_ranks_message *m);
void ser_ranks_look_for_urgent(ser_ranks *r);
/* Whether somebody at this rank wants to stop; asked ten times a second. */
bool ser_ranks_want_to_stop(ser_ranks *r, const ser_progress *p, const char *what, size_t done, size_t total);
ser_status ser_ranks_failure(ser_ranks *r, ser_error *err);
/* A moment longer each time that there was nothing to do, up to longest_us. */
void ser_ranks_rest(long *pause_us, long longest_us);
void ser_ranks_handle_note(ser_ranks *r, const void *note, size_t n);

/* ser_team.share and compare; context: the ranks. */
ser_status ser_ranks_share(void *context, ser_text *block, ser_error *err);
ser_status ser_ranks_compare(void *context, const char *what, const char *text, ser_error *err);
/* Whether all are of one version, and were given the same arguments. warning: filled where they are not of
 * one processor. */
ser_status ser_ranks_meet(ser_ranks *r, int argc, char **argv, char warning[256], ser_error *err);

/* ser_team.deal and within; context: the ranks. */
ser_status ser_ranks_deal(void *context, const ser_deal *d, ser_error *err);
bool ser_ranks_within(void *context, const char *what, size_t done, size_t total);

#endif

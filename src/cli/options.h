/* One table of options per subcommand gives parsing, --help, the manual and the shell completion. Options are
 * spelled --feature-type; --feature_type is read the same. Values: "--seed 5" or "--seed=5", "-m FILE" or
 * "-mFILE". Options and other arguments may be mixed; "--" ends the options; "-" is no option. */
#ifndef SER_CLI_OPTIONS_H
#define SER_CLI_OPTIONS_H

#include "base/field.h"
#include "base/status.h"
#include "base/text.h"
#include <stdbool.h>
#include <stddef.h>

typedef enum ser_option_kind {
    SER_OPTION_END,
    SER_OPTION_GROUP, /* a heading in the help: only help is used */
    SER_OPTION_FLAG,  /* bool */
    SER_OPTION_STRING,
    SER_OPTION_LIST,   /* repeatable: ser_option_list */
    SER_OPTION_INT,    /* long, within minimum ... maximum */
    SER_OPTION_DOUBLE, /* likewise */
    SER_OPTION_CHOICE, /* one of choices ("none|speaker|corpus"); stores the word in a const char * */
    SER_OPTION_FIELD   /* value: a struct of settings, of which fields describes the member called like the
                          option */
} ser_option_kind;

typedef struct ser_option_list {
    const char **items;
    size_t n, capacity;
} ser_option_list;

typedef struct ser_option {
    ser_option_kind kind;
    char letter;          /* 'm' for -m, or 0 */
    const char *name;     /* with '-'; NULL for a group */
    void *value;          /* bool *, const char **, ser_option_list *, long *, double *: holds the default */
    const char *argument; /* "FILE"; for CHOICE the words joined by | */
    const char *help; /* one line; "(default: ...)" is appended from *value where there is one and the text
                         does not speak of a default itself */
    /* Of INT and DOUBLE; both 0: any; INFINITY: no upper limit. A number that nobody gave may be below. */
    double minimum, maximum;
    const char *alias;              /* another spelling, such as "random-seed" for "seed"; or NULL */
    bool *given;                    /* set to true when the user named the option; or NULL */
    const ser_field *const *fields; /* of FIELD */
    const char *suggested;          /* values for completion, joined by |, beside what argument stands for */
} ser_option;

typedef struct ser_command {
    const char *name;
    int (*run)(int argc, char **argv); /* NULL: run_job */
    /* Of commands that run a job, see job.h: its defaults, before anything looks at options, and all of it.
     */
    const struct ser_job_command *job;
    void (*prepare)(const struct ser_job_command *job);
    int (*run_job)(const struct ser_job_command *job, int argc, char **argv);
    const char *summary;     /* one line */
    const char *usage;       /* what stands after "ser NAME [OPTIONS]" */
    const char *description; /* paragraphs for --help and the manual, with a newline between them; or NULL */
    const char *examples;    /* command lines, each ended by a newline but the last; or NULL */
    const ser_option *options; /* for help, manual and completion; the same table that run parses */
} ser_command;

enum { SER_EXIT_OK = 0, SER_EXIT_FAILED = 1, SER_EXIT_USAGE = 2, SER_EXIT_INTERRUPTED = 130 };

/* What the exit status is after a function returned this status: 0; 130 after SER_E_CANCELLED; 2 after
 * SER_E_ARG, because arguments come from the command line; else 1. */
int ser_exit_status(ser_status status);

typedef enum ser_options_outcome {
    SER_OPTIONS_READ,
    SER_OPTIONS_HELP, /* --help or -h was asked for; nothing was read */
    SER_OPTIONS_WRONG /* *err says why: wrong usage, or SER_E_NOMEM */
} ser_options_outcome;

/* Reads argv[1] ... argv[argc - 1] into the values of the command's table. rest gets the other arguments in
 * their order; all strings are argv's own. The caller releases rest and every list, whatever is returned. */
ser_options_outcome ser_options_parse(const ser_command *command, int argc, char **argv,
                                      ser_option_list *rest, ser_error *err);
void ser_option_list_release(ser_option_list *list);

const ser_field *ser_option_field(const ser_option *o); /* of FIELD */
/* What the option looks like from outside: never FIELD. Of a CHOICE the argument is its words. */
ser_option_kind ser_option_shape(const ser_option *o);
const char *ser_option_argument(const ser_option *o);

/* What a command begins with: the above, and help to standard output or the complaint to standard error.
 * true: go on. false: return *exit_status. */
bool ser_options_start(const ser_command *command, int argc, char **argv, ser_option_list *rest,
                       int *exit_status);

/* Prints "ser: FORMAT..." and where to find help; returns SER_EXIT_USAGE. */
int ser_usage_error(const ser_command *command, const char *format, ...) SER_PRINTF(2, 3);

#endif

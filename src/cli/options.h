/* One table of options per subcommand gives parsing, --help, the manual and the shell completion. Options are
 * spelled
 * --feature-type; --feature_type is read the same. Values: "--seed 5" or "--seed=5". "--" ends the options.
 */
#ifndef SER_CLI_OPTIONS_H
#define SER_CLI_OPTIONS_H

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
    SER_OPTION_CHOICE  /* one of choices ("none|speaker|corpus"); stores the word in a const char * */
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
    const char *help;     /* one line; the parser appends "(default: ...)" from *value where there is one */
    double minimum, maximum;
    const char *alias; /* another spelling, such as "random-seed" for "seed"; or NULL */
    bool *given;       /* set to true when the user named the option; or NULL */
} ser_option;

typedef struct ser_command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;       /* one line */
    const char *usage;         /* what stands after "ser NAME [OPTIONS]" */
    const char *description;   /* paragraphs for --help and the manual */
    const char *examples;      /* lines, or NULL */
    const ser_option *options; /* for help, manual and completion; the same table that run parses */
} ser_command;

enum { SER_EXIT_OK = 0, SER_EXIT_FAILED = 1, SER_EXIT_USAGE = 2, SER_EXIT_INTERRUPTED = 130 };

#endif

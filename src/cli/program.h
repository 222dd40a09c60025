/* The program around its commands: ser COMMAND [ARGUMENTS], --help, --version, --generate. */
#ifndef SER_CLI_PROGRAM_H
#define SER_CLI_PROGRAM_H

#include "cli/options.h"

typedef struct ser_environment_variable {
    const char *name, *help;
} ser_environment_variable;

typedef struct ser_program {
    const char *summary;                         /* one line */
    const char *description;                     /* paragraphs, for the manual */
    const char *examples;                        /* as in ser_command */
    const ser_command *const *commands;          /* ends with NULL */
    const ser_environment_variable *environment; /* ends with a NULL name; or NULL */
} ser_program;

/* Runs the command that argv[1] names with argv + 1, and returns its exit status; 1 when standard output
 * could not be written. Also: ser --help, ser help [COMMAND], ser --version, and ser --generate
 * man|bash|zsh|fish, which prints the manual or a completion. */
int ser_program_run(const ser_program *program, int argc, char **argv);

/* What --generate prints. The manual is roff (man 7); install it as ser.1. */
void ser_generate_manual(ser_text *t, const ser_program *program);
void ser_generate_bash(ser_text *t, const ser_program *program);
void ser_generate_zsh(ser_text *t, const ser_program *program);
void ser_generate_fish(ser_text *t, const ser_program *program);

#endif

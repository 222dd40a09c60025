/* Help on the terminal, from the tables of commands and options. */
#ifndef SER_CLI_HELP_H
#define SER_CLI_HELP_H

#include "cli/program.h"
#include "report/text.h"

/* Words of text in lines of at most width columns; the first one goes on at column, the others begin at
 * indent. A newline in the text begins a new paragraph. Ends with a newline. */
void ser_help_append_wrapped(ser_text *t, const char *text, size_t column, size_t indent, size_t width);

void ser_help_command(ser_text *t, const ser_command *command, ser_style style);

/* The above on standard output. Returns the exit status. */
int ser_help_print(const ser_command *command);
int ser_help_print_program(const ser_program *program);

/* The option's help, and its default where that is not said already. */
void ser_help_append_meaning(ser_text *t, const ser_option *o);

#endif

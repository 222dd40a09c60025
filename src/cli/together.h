/* A command on several ranks: one of them speaks. */
#ifndef SER_CLI_TOGETHER_H
#define SER_CLI_TOGETHER_H

#include "cli/inputs.h"
#include "cli/options.h"
#include "report/text.h"
#include "run/ranks.h"

#include <stdio.h>

/* First in a command that knows ranks: all but rank 0 are silent from now on. Returns how many there are. The
 * arguments stay the caller's. */
int ser_together_begin(int argc, char **argv);
/* --shard: each process is on its own, whoever started it. */
void ser_together_apart(void);
/* ser_ranks_open, with its warning told. */
ser_status ser_together_open(ser_ranks **out, ser_error *err);
/* Whether all ranks have found the same recordings, voice (empty: none) and model (NULL: the built-in one);
 * team NULL: fine. */
ser_status ser_together_compare(const ser_team *team, const ser_inputs *inputs, const ser_inputs *voice,
                                const char *model_path, ser_error *err);
/* Whether this process is the one that speaks. */
bool ser_together_is_first(void);
/* ser_style_of, but that of a pipe where there are ranks: what mpirun makes of standard output looks like a
 * terminal, wherever it leads. */
ser_style ser_together_style(FILE *stream);

#endif

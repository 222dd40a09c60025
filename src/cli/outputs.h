/* Files that a command is asked to write, looked at before it does its work; on several ranks by the one that
 * writes them. */
#ifndef SER_CLI_OUTPUTS_H
#define SER_CLI_OUTPUTS_H

#include "cli/options.h"

/* Whether FILE of --option can be made; path NULL: none is asked for. made: a folder that the command makes
 * before it writes, or NULL. false: the complaint is printed, *status the exit status. */
bool ser_output_fits(const ser_command *command, const char *option, const char *path, const char *made,
                     int *status);
/* The same of a picture, whose name says its format. */
bool ser_picture_fits(const ser_command *command, const char *option, const char *path, const char *made,
                      int *status);

#endif

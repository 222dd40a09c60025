/* The subcommands: one file each, one row each in main.c. */
#ifndef SER_CLI_COMMANDS_H
#define SER_CLI_COMMANDS_H

#include "cli/options.h"

extern const ser_command ser_command_evaluate, ser_command_export, ser_command_extract, ser_command_info,
    ser_command_listen, ser_command_merge, ser_command_predict, ser_command_pull, ser_command_serve,
    ser_command_test, ser_command_test_cross_corpus, ser_command_train, ser_command_train_lmmd;

#endif

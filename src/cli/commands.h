/* The subcommands: one file and one row each, in the order in which the help has them. */
#ifndef SER_CLI_COMMANDS_H
#define SER_CLI_COMMANDS_H

#include "cli/options.h"

#define SER_COMMANDS(ROW)                                                                                    \
    ROW(predict)                                                                                             \
    ROW(listen)                                                                                              \
    ROW(evaluate)                                                                                            \
    ROW(train)                                                                                               \
    ROW(train_lmmd)                                                                                          \
    ROW(test)                                                                                                \
    ROW(test_cross_corpus)                                                                                   \
    ROW(extract)                                                                                             \
    ROW(merge)                                                                                               \
    ROW(export)                                                                                              \
    ROW(pull)                                                                                                \
    ROW(serve)                                                                                               \
    ROW(info)

#define SER_COMMAND_DECLARE_(name) extern const ser_command ser_command_##name;
SER_COMMANDS(SER_COMMAND_DECLARE_)

#endif

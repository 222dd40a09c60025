/* A command's options as JSON: what was given, to be put into a report and to be taken from it again. */
#ifndef SER_CLI_SETTINGS_H
#define SER_CLI_SETTINGS_H

#include "base/text.h"
#include "cli/options.h"
#include <jansson.h>

#define SER_OUTPUT_GROUP                                                                                     \
    "Output" /* options behind this heading say where results go: they are no settings                       \
              */

/* Keys are spelled with '_'. Options that nobody gave a value are null. The caller owns the object; NULL: out
 * of memory. */
json_t *ser_settings_to_json(const ser_command *command);
/* Sets the options named in the object; strings stay the object's. SER_E_FORMAT: a value that the command
 * line would not take either. Null leaves the default; unknown keys are left alone: another version may have
 * written them. */
ser_status ser_settings_from_json(const ser_command *command, const json_t *settings, ser_error *err);

/* The value alone; of an object "linear 1 / timnet 0.3". */
void ser_append_setting(ser_text *t, const json_t *value);
/* "epoch 12, lr 0.002, ..." in lines of 100 columns; NULL: nothing. */
void ser_append_settings(ser_text *t, const json_t *settings);

#endif

/* Options that several commands share, and what they lead to. */
#ifndef SER_CLI_COMMON_H
#define SER_CLI_COMMON_H

#include "cli/options.h"

/* How encoders compute, and where they lie. */
typedef struct ser_engine_options {
    ser_option_list encoders; /* as ser_encoders_open takes them */
    const char *precision, *engine;
} ser_engine_options;

/* clang-format off */
#define SER_ENGINE_OPTIONS_AUTO {.precision = "auto", .engine = "onednn"}

#define SER_ENGINE_OPTIONS(o) \
    {SER_OPTION_GROUP, .help = "Encoder"}, \
    {SER_OPTION_LIST, 'e', "encoder", &(o).encoders, "[TYPE=]DIR|NAME", "checkpoint: a folder, or a name such as openai/whisper-base that 'ser pull' fetched; once for each where features need several (default: the usual ones)"}, \
    {SER_OPTION_CHOICE, 0, "precision", &(o).precision, "auto|fp32|bf16|int8", "of the encoder's products"}, \
    {SER_OPTION_CHOICE, 0, "engine", &(o).engine, "ref|onednn", "ref: plain C, slow, to compare with"}
/* clang-format on */

void ser_engine_options_apply(const ser_engine_options *o, ser_settings *settings);

/* Of --min-confidence: "auto", which gives -1, or a number from 0 to 1; false: neither. */
bool ser_read_min_confidence(double *least, const char *text);

#endif

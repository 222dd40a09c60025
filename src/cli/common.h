/* Options that several commands share, and what they lead to. */
#ifndef SER_CLI_COMMON_H
#define SER_CLI_COMMON_H

#include "cli/options.h"
#include "encoder/encoder.h"
#include "extract/spec.h"

/* How the encoder computes, and where it lies. */
typedef struct ser_engine_options {
    const char *encoder, *precision, *engine;
} ser_engine_options;

#define SER_ENGINE_OPTIONS_AUTO                                                                              \
    {                                                                                                        \
        .precision = "auto", .engine = "onednn"                                                              \
    }
#define SER_ENGINE_OPTIONS_FP32                                                                              \
    {                                                                                                        \
        .precision = "fp32", .engine = "onednn"                                                              \
    }

#define SER_ENGINE_OPTIONS(o)                                                                                \
    {SER_OPTION_GROUP, .help = "Encoder"},                                                                   \
        {SER_OPTION_STRING,                                                                                  \
         'e',                                                                                                \
         "encoder",                                                                                          \
         &(o).encoder,                                                                                       \
         "DIR|NAME",                                                                                         \
         "checkpoint, a folder or a name such as openai/whisper-base that 'ser pull' fetched (default: the " \
         "usual one)"},                                                                                      \
        {SER_OPTION_CHOICE,          0, "precision", &(o).precision, "auto|fp32|bf16|int8",                  \
         "of the encoder's products"},                                                                       \
    {                                                                                                        \
        SER_OPTION_CHOICE, 0, "engine", &(o).engine, "ref|onednn", "ref: plain C, slow, to compare with"     \
    }

void ser_engine_options_apply(const ser_engine_options *o, ser_settings *settings);

/* Opens the encoder that the specification needs, and says where it lies (ser_free): both NULL when it needs
 * none. last_layer as ser_encoder_open. */
ser_status ser_open_encoder(ser_encoder **out, char **folder, const ser_engine_options *o,
                            const ser_feature_spec *spec, int last_layer, ser_error *err);

const char *ser_precision_name(ser_precision p);

#endif

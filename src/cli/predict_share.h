/* ser predict --shard I/N: which recordings are this shard's, and the manifest beside its output. */
#ifndef SER_CLI_PREDICT_SHARE_H
#define SER_CLI_PREDICT_SHARE_H

#include "cli/inputs.h"
#include "cli/options.h"
#include "report/prediction.h"
#include "run/shard.h"

#include <stdio.h>

/* A zeroed struct is closed, and then there is no shard. */
typedef struct ser_predict_share {
    ser_part part;
    size_t *positions; /* of the inputs that are this shard's, among all */
    size_t header_bytes, noted_bytes;
    ser_status noted; /* not SER_OK: no memory for a note */
} ser_predict_share;

/* Leaves this shard's recordings in inputs. */
ser_status ser_predict_share_open(ser_predict_share *out, const ser_shard *shard, ser_inputs *inputs,
                                  ser_error *err);
/* What decides the answers. model_path NULL: the model built in; options: the command's, parsed; voice:
 * recordings of --baseline or --adapt. */
ser_status ser_predict_share_describe(ser_predict_share *s, const char *model_path,
                                      const ser_prediction_form *form, const ser_option *options,
                                      const ser_inputs *voice, ser_error *err);
/* The same, of all recordings, as one text: who has the same is to give the same answers. */
ser_status ser_predict_identity(char hex[65], const ser_inputs *inputs, const char *model_path,
                                const ser_prediction_form *form, const ser_option *options,
                                const ser_inputs *voice, ser_error *err);
/* Behind the header, and behind recording i, in their order; failure NULL: it is done. */
void ser_predict_share_begin(ser_predict_share *s, FILE *out);
void ser_predict_share_note(ser_predict_share *s, size_t i, const char *name, const char *failure, FILE *out);
/* Writes the manifest of what stands in file, which is not yet under its name, output. */
ser_status ser_predict_share_write(ser_predict_share *s, const ser_prediction_counts *counts, FILE *file,
                                   const char *file_path, const char *output, ser_error *err);
void ser_predict_share_close(ser_predict_share *s);

#endif

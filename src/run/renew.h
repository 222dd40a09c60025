/* What a complete run of 'ser train --fine-tune' that an older version made lacks. */
#ifndef SER_RUN_RENEW_H
#define SER_RUN_RENEW_H

#include "run/tuning.h"

/* Puts the measure of how unlike recordings are into model.safetensors, report.json and left-out.jsonl of a
 * folder whose model has none and which keeps the encoders of its trainings (--keep-encoders); else nothing
 * is done. Encoders and heads in the file stay as they are, to the bit. */
ser_status ser_run_renew(const ser_run_train_settings *s, const ser_run_features *features,
                         const ser_run_host *host, const ser_run_folder *folder, ser_error *err);

/* What the measure adds to the model's origin and to the report: reach, and what the temperature grows by. */
void ser_run_tell_unlike(json_t **origin, const ser_unlike *u);

#endif

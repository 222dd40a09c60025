/* A model that reads features standardised by the corpus or the speakers it is asked about, in place of its
 * own mean and deviation, those of its training part: the shift between corpora is mostly one of mean and
 * scale. */
#ifndef SER_MODEL_STANDARDISED_H
#define SER_MODEL_STANDARDISED_H

#include "model/model_file.h"
#include "model/pooled.h"

/* Changes the plain head and the networks, whose features e gives; how unlike recordings are is not measured
 * any more. SER_E_FORMAT: the file does not say how the head weighs deviations. */
ser_status ser_model_read_standardised(ser_model_data *m, const ser_extractor *e, ser_error *err);

#endif

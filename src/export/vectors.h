/* Recordings whose scores are known: to see that an exported model answers as this program does. */
#ifndef SER_EXPORT_VECTORS_H
#define SER_EXPORT_VECTORS_H

#include "export/floats.h"
#include "model/model_file.h"

/* Of each recording the number of its samples, the samples, the model's scores. m has no encoder. */
ser_status ser_export_vectors(ser_export_floats *out, const ser_model_data *m, ser_error *err);

#endif

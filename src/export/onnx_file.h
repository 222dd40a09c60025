/* An ONNX model on the disk. */
#ifndef SER_EXPORT_ONNX_FILE_H
#define SER_EXPORT_ONNX_FILE_H

#include "base/status.h"
#include "onnx.pb-c.h"

/* As ser_onnx_write. Files appear when they are whole, the model last; model is as before afterwards. */
ser_status ser_onnx_write_file(Onnx__ModelProto *model, const char *path, size_t max_bytes, ser_error *err);

#endif

#include "export/read.h"
#include "model/builtin.h"

ser_status ser_export_read(ser_model_data *m, ser_safetensors **file, const char *path, ser_error *err)
{
    size_t n_bytes;
    const void *bytes = path ? NULL : ser_builtin_model(&n_bytes);
    *m = (ser_model_data){0};
    *file = NULL;
    if (!path && !bytes)
        return ser_fail(err, SER_E_UNSUPPORTED, "this build has no built-in model: name a model file");
    ser_status st =
        path ? ser_safetensors_open(file, path, err) : ser_safetensors_open_memory(file, bytes, n_bytes, err);
    if (st == SER_OK)
        st = ser_model_data_read(m, *file, err);
    if (st == SER_OK && m->spec.pool_encoder)
        st = ser_fail(
            err, SER_E_UNSUPPORTED,
            "reads the encoder's mean over time in every frame (--pool-encoder), which exports do not");
    return st;
}

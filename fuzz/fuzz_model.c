#include "fuzz.h"
#include "model/model_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *copy = fuzz_copy(data, n);
    ser_safetensors *f;
    ser_model_data m;
    if (ser_safetensors_open_memory(&f, copy, n, NULL) == SER_OK &&
        ser_model_data_read(&m, f, NULL) == SER_OK) {
        for (size_t i = 0; i < m.n_networks; i++)
            if (m.networks[i].net->shape.n_labels != m.n_labels || !m.networks[i].mean)
                abort();
        ser_model_data_release(&m);
    }
    ser_safetensors_close(&f);
    free(copy);
    return 0;
}

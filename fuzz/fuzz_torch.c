#include "base/memory.h"
#include "fuzz.h"
#include "io/torch.h"

static void read_every_tensor(const ser_safetensors *f)
{
    for (size_t i = 0; i < ser_safetensors_n(f); i++) {
        const ser_tensor *t = ser_safetensors_at(f, i);
        float *values = ser_alloc(t->n_elements, sizeof *values);
        if (values)
            ser_tensor_to_f32(values, t, 0, t->n_elements, NULL);
        ser_free(values);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *copy = fuzz_copy(data, n);
    ser_safetensors *f;
    if (ser_torch_open_memory(&f, copy, n, NULL) == SER_OK)
        read_every_tensor(f);
    ser_safetensors_close(&f);
    free(copy);
    return 0;
}

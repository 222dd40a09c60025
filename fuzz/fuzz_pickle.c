#include "base/memory.h"
#include "fuzz.h"
#include "io/pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *copy = fuzz_copy(data, n);
    ser_pickled_tensor *tensors;
    size_t n_tensors;
    ser_pickle_read(&tensors, &n_tensors, copy, n, NULL);
    ser_free(tensors);
    free(copy);
    return 0;
}

#include "fuzz.h"
#include "io/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *copy = fuzz_copy(data, n);
    ser_npy a;
    if (ser_npy_read_memory(&a, copy, n, 0, NULL) == SER_OK && a.n_elements * sizeof *a.data > n)
        abort();
    ser_npy_release(&a);
    free(copy);
    return 0;
}

#include "mutate_pickle.h"

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t n_max, unsigned int seed)
{
    fuzz_random r = {seed};
    return fuzz_below(&r, 2) && n <= n_max ? mutate_pickle(data, n, n_max, &r)
                                           : LLVMFuzzerMutate(data, n, n_max);
}

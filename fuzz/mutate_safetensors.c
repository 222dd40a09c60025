#include "mutate_safetensors.h"

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t n_max, unsigned int seed)
{
    static const char *const words[] = {
        "F32",     "F16", "BF16",  "I8",     "F8_E4M3",   "dtype", "shape", "data_offsets", "{",
        "}",       "[",   "]",     "\"",     ",",         "null",  "true",  "[0,0]",        "__metadata__",
        "\\u0000", "-1",  "1e300", "[[[[[[", "{\"a\":{}}"};
    fuzz_random r = {seed};
    return fuzz_change_safetensors(data, n, n_max, &r, words, sizeof words / sizeof *words);
}

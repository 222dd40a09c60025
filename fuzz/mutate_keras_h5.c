/* HDF5 files are addresses and sizes of eight bytes, aligned, and messages of two: one of them is changed to
 * an edge, to another that occurs in the file, or to a place that begins a known structure. */
#include "mutate.h"

/* Where one of the signatures occurs for the first time after a random place. */
static uint64_t find_structure(const uint8_t *data, size_t n, fuzz_random *r)
{
    static const char *const signatures[] = {"TREE", "HEAP", "SNOD", "GCOL", "OHDR"};
    const char *signature = signatures[fuzz_below(r, sizeof signatures / sizeof *signatures)];
    size_t from = fuzz_below(r, n);
    const uint8_t *found = memmem(data + from, n - from, signature, 4);
    return found ? (uint64_t)(found - data) : from & ~(size_t)7;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t n_max, unsigned int seed)
{
    fuzz_random r = {seed};
    size_t way = fuzz_below(&r, 6);
    if (n < 64 || way == 0)
        return LLVMFuzzerMutate(data, n, n_max);
    int n_bytes = way < 4 ? 8 : way == 4 ? 2 : 4;
    size_t at = fuzz_below(&r, n / (size_t)n_bytes) * (size_t)n_bytes;
    if (way == 1 || way >= 4)
        fuzz_put(data + at, fuzz_edge(&r, n), n_bytes);
    else if (way == 2)
        fuzz_put(data + at, fuzz_get(data + fuzz_below(&r, n / 8) * 8, 8), 8);
    else
        fuzz_put(data + at, find_structure(data, n, &r), 8);
    return n;
}

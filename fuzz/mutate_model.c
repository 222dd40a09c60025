/* A model: a safetensors file whose metadata holds JSON, its quotes behind backslashes. */
#include "mutate_safetensors.h"

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t n_max, unsigned int seed)
{
    static const char *const words[] = {
        "F16",      "I8",        "linear", "timnet", "linear+timnet", "LOGMEL", "WHISPER", "HUBERT",
        "MFCC",     "[]",        "{}",     "[1,2]",  "null",          "true",   "-1",      "1e300",
        "0.5",      "\\\"",      ",",      "layers", "relu",          "gelu",   "plain.",  "mean",
        "baseline", "timnet.0.", "x",      "2"};
    fuzz_random r = {seed};
    return fuzz_change_safetensors(data, n, n_max, &r, words, sizeof words / sizeof *words);
}

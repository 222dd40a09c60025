/* An encoder: config.json, a 0 byte, a safetensors file. */
#include "mutate_safetensors.h"

static size_t change_config(uint8_t *config, size_t n, size_t n_max, fuzz_random *r)
{
    static const char *const words[] = {"gelu",
                                        "relu",
                                        "group",
                                        "layer",
                                        "null",
                                        "true",
                                        "[512,512]",
                                        "[]",
                                        "{}",
                                        "-1",
                                        "1e300",
                                        "0.5",
                                        "\"",
                                        ",",
                                        "wavlm",
                                        "hubert",
                                        "whisper",
                                        "wav2vec2",
                                        "adapter_attn_dim",
                                        "do_stable_layer_norm",
                                        "conv_bias"};
    if (fuzz_below(r, 2))
        return fuzz_change_number(config, n, n_max, r, n);
    return fuzz_change_word(config, n, n_max, r, words, sizeof words / sizeof *words);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t n_max, unsigned int seed)
{
    static const char *const words[] = {"F32",    "F16",      "BF16",   "I8",     "F8_E4M3",
                                        "model.", "encoder.", ".scale", "weight", "bias",
                                        "[",      "]",        "[0,0]",  "-1",     "null"};
    fuzz_random r = {seed};
    const uint8_t *end = n ? memchr(data, 0, n) : NULL;
    if (!end || n_max < n)
        return LLVMFuzzerMutate(data, n, n_max);
    size_t n_config = (size_t)(end - data), n_tensors = n - n_config;
    if (fuzz_below(&r, 2)) /* behind the 0 */
        return n_config + 1 +
               fuzz_change_safetensors(data + n_config + 1, n_tensors - 1, n_max - n_config - 1, &r, words,
                                       sizeof words / sizeof *words);
    uint8_t *tensors = fuzz_copy(data + n_config, n_tensors);
    size_t n_new = change_config(data, n_config, n_max - n_tensors, &r);
    memcpy(data + n_new, tensors, n_tensors);
    free(tensors);
    return n_new + n_tensors;
}

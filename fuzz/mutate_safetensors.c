/* A safetensors file: the length of the header, the header in JSON, the values. */
#include "mutate.h"

#include <stdio.h>

/* Puts an edge in the place of one of the header's numbers. */
static size_t change_number(uint8_t *header, size_t n, size_t n_max, fuzz_random *r, size_t n_file)
{
    size_t at = fuzz_below(r, n), end;
    char text[24];
    while (at < n && (header[at] < '0' || header[at] > '9'))
        at++;
    for (end = at; end < n && header[end] >= '0' && header[end] <= '9';)
        end++;
    int n_text = snprintf(text, sizeof text, "%llu", (unsigned long long)fuzz_edge(r, n_file));
    return fuzz_splice(header, n, n_max, at, end - at, text, (size_t)n_text);
}

/* Puts a word that the format knows, or a bracket, in the place of as many letters. */
static size_t change_word(uint8_t *header, size_t n, size_t n_max, fuzz_random *r)
{
    static const char *const words[] = {
        "F32",     "F16", "BF16",  "I8",     "F8_E4M3",   "dtype", "shape", "data_offsets", "{",
        "}",       "[",   "]",     "\"",     ",",         "null",  "true",  "[0,0]",        "__metadata__",
        "\\u0000", "-1",  "1e300", "[[[[[[", "{\"a\":{}}"};
    const char *word = words[fuzz_below(r, sizeof words / sizeof *words)];
    size_t at = fuzz_below(r, n + 1), n_old = fuzz_below(r, 2) * strlen(word);
    return fuzz_splice(header, n, n_max, at, n_old > n - at ? n - at : n_old, word, strlen(word));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t n_max, unsigned int seed)
{
    fuzz_random r = {seed};
    uint64_t n_header = n >= 8 ? fuzz_get(data, 8) : 0;
    size_t way = fuzz_below(&r, 8);
    if (n < 10 || n_header > n - 8 || n_max < n || way == 0)
        return LLVMFuzzerMutate(data, n, n_max);
    size_t n_values = n - 8 - (size_t)n_header, n_old = (size_t)n_header, n_new = n_old;
    uint8_t *values = fuzz_copy(data + 8 + n_old, n_values);
    size_t room = n_max - 8 - n_values;
    if (way < 4)
        n_new = change_number(data + 8, n_old, room, &r, n_values);
    else if (way < 6)
        n_new = change_word(data + 8, n_old, room, &r);
    else if (way < 7)
        n_new = LLVMFuzzerMutate(data + 8, n_old, room);
    else
        n_values = n_values ? LLVMFuzzerMutate(values, n_values, n_values) : 0;
    if (fuzz_below(&r, 16))
        fuzz_put(data, n_new, 8);
    if (n_values)
        memcpy(data + 8 + n_new, values, n_values);
    free(values);
    return 8 + n_new + n_values;
}

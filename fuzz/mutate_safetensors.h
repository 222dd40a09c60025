/* A safetensors file: the length of the header, the header in JSON, the values. */
#ifndef SER_FUZZ_MUTATE_SAFETENSORS_H
#define SER_FUZZ_MUTATE_SAFETENSORS_H

#include "mutate.h"

#include <stdio.h>

/* Puts an edge in the place of one of a text's numbers. */
static inline size_t fuzz_change_number(uint8_t *text, size_t n, size_t n_max, fuzz_random *r, size_t n_file)
{
    size_t at = fuzz_below(r, n), end;
    char number[24];
    while (at < n && (text[at] < '0' || text[at] > '9'))
        at++;
    for (end = at; end < n && text[end] >= '0' && text[end] <= '9';)
        end++;
    int n_number = snprintf(number, sizeof number, "%llu", (unsigned long long)fuzz_edge(r, n_file));
    return fuzz_splice(text, n, n_max, at, end - at, number, (size_t)n_number);
}

/* Puts one of the words in the place of as many letters, or between two. */
static inline size_t fuzz_change_word(uint8_t *text, size_t n, size_t n_max, fuzz_random *r,
                                      const char *const *words, size_t n_words)
{
    const char *word = words[fuzz_below(r, n_words)];
    size_t at = fuzz_below(r, n + 1), n_old = fuzz_below(r, 2) * strlen(word);
    return fuzz_splice(text, n, n_max, at, n_old > n - at ? n - at : n_old, word, strlen(word));
}

/* words: those that its reader knows. */
static inline size_t fuzz_change_safetensors(uint8_t *data, size_t n, size_t n_max, fuzz_random *r,
                                             const char *const *words, size_t n_words)
{
    uint64_t n_header = n >= 8 ? fuzz_get(data, 8) : 0;
    size_t way = fuzz_below(r, 8);
    if (n < 10 || n_header > n - 8 || n_max < n || way == 0)
        return LLVMFuzzerMutate(data, n, n_max);
    size_t n_values = n - 8 - (size_t)n_header, n_old = (size_t)n_header, n_new = n_old;
    uint8_t *values = fuzz_copy(data + 8 + n_old, n_values);
    size_t room = n_max - 8 - n_values;
    if (way < 4)
        n_new = fuzz_change_number(data + 8, n_old, room, r, n_values);
    else if (way < 6)
        n_new = fuzz_change_word(data + 8, n_old, room, r, words, n_words);
    else if (way < 7)
        n_new = LLVMFuzzerMutate(data + 8, n_old, room);
    else
        n_values = n_values ? LLVMFuzzerMutate(values, n_values, n_values) : 0;
    if (fuzz_below(r, 16))
        fuzz_put(data, n_new, 8);
    if (n_values)
        memcpy(data + 8 + n_new, values, n_values);
    free(values);
    return 8 + n_new + n_values;
}

#endif

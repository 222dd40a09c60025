/* WAV files: chunks are doubled, left out, moved and given other sizes, format fields other values, and the
 * sizes mended around that; other formats are left to libFuzzer. */
#include "mutate.h"

#include <stdbool.h>

enum { MAX_CHUNKS = 16 };

typedef struct span {
    size_t at, n; /* header included */
} span;

static size_t find_chunks(span *chunks, const uint8_t *data, size_t n)
{
    size_t n_chunks = 0, at = 12;
    while (n_chunks < MAX_CHUNKS && at < n && n - at >= 8) {
        uint64_t size = fuzz_get(data + at + 4, 4);
        size_t n_chunk = size + 8 < n - at ? (size_t)(size + 8 + (size & 1)) : n - at;
        if (n_chunk > n - at)
            n_chunk = n - at;
        chunks[n_chunks++] = (span){at, n_chunk};
        at += n_chunk;
    }
    return n_chunks;
}

static size_t change_chunk(uint8_t *data, size_t n, size_t n_max, const span *c, fuzz_random *r)
{
    static const char *const names[] = {"fmt ", "data", "fact", "PEAK", "LIST", "smpl",
                                        "ds64", "junk", "cue ", "wavl", "inst"};
    uint8_t *copy = fuzz_copy(data + c->at, c->n);
    switch (fuzz_below(r, 6)) {
    case 0: /* twice */
        n = fuzz_splice(data, n, n_max, fuzz_below(r, 2) ? c->at : n, 0, copy, c->n);
        break;
    case 1:
        n = fuzz_splice(data, n, n_max, c->at, c->n, NULL, 0);
        break;
    case 2: /* moved to the end */
        n = fuzz_splice(data, n, n_max, c->at, c->n, NULL, 0);
        n = fuzz_splice(data, n, n_max, n, 0, copy, c->n);
        break;
    case 3:
        fuzz_put(data + c->at + 4, fuzz_edge(r, n), 4);
        break;
    case 4:
        memcpy(data + c->at, names[fuzz_below(r, sizeof names / sizeof *names)], 4);
        break;
    default:
        if (c->n >= 10)
            fuzz_put(data + c->at + 8 + fuzz_below(r, (c->n - 8) / 2) * 2, fuzz_edge(r, n), 2);
    }
    free(copy);
    return n;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t n_max, unsigned int seed)
{
    static const uint8_t codings[] = {1, 2, 3, 6, 7, 17, 49, 80, 85, 254, 0};
    fuzz_random r = {seed};
    span chunks[MAX_CHUNKS];
    bool is_wav = n >= 20 && n <= n_max && memcmp(data + 8, "WAVE", 4) == 0;
    size_t n_chunks = is_wav ? find_chunks(chunks, data, n) : 0;
    if (!n_chunks || fuzz_below(&r, 4) == 0)
        return LLVMFuzzerMutate(data, n, n_max);
    const span *c = &chunks[fuzz_below(&r, n_chunks)];
    if (fuzz_below(&r, 6) == 0 && n >= 36 && memcmp(data + 12, "fmt ", 4) == 0)
        fuzz_put(data + 20, codings[fuzz_below(&r, sizeof codings)], 2);
    else
        n = change_chunk(data, n, n_max, c, &r);
    if (n >= 12 && fuzz_below(&r, 4))
        fuzz_put(data + 4, n - 8, 4);
    return n;
}

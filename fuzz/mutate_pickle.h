/* Changes whole instructions of a pickle: puts some in, takes some out. */
#ifndef SER_FUZZ_MUTATE_PICKLE_H
#define SER_FUZZ_MUTATE_PICKLE_H

#include "mutate.h"

typedef struct pickle_piece {
    const char *bytes;
    size_t n;
} pickle_piece;

#define PIECE(text)                                                                                          \
    {                                                                                                        \
        text, sizeof(text) - 1                                                                               \
    }

static inline size_t mutate_pickle(uint8_t *data, size_t n, size_t n_max, fuzz_random *r)
{
    static const pickle_piece pieces[] = {
        PIECE("("),
        PIECE(")"),
        PIECE("}"),
        PIECE("]"),
        PIECE("N"),
        PIECE("s"),
        PIECE("u"),
        PIECE("a"),
        PIECE("e"),
        PIECE("t"),
        PIECE("R"),
        PIECE("Q"),
        PIECE("b"),
        PIECE("K\1"),
        PIECE("J\xff\xff\xff\xff"),
        PIECE("M\xff\xff"),
        PIECE("q\0"),
        PIECE("h\0"),
        PIECE("\x85"),
        PIECE("\x86"),
        PIECE("\x87"),
        PIECE("\x88"),
        PIECE("X\1\0\0\0w"),
        PIECE("."),
        PIECE("G\0\0\0\0\0\0\0\0"),
        PIECE("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"),
        PIECE("j\0\0\0\0"),
        PIECE("ccollections\nOrderedDict\n)R"),
        PIECE("ctorch._utils\n_rebuild_tensor_v2\n"),
        PIECE("ctorch\nFloatStorage\n"),
        PIECE("ctorch\nBoolStorage\n"),
        PIECE("(X\7\0\0\0storagectorch\nHalfStorage\nX\1\0\0\0000X\3\0\0\0cpuK\4tQ"),
        PIECE("ctorch._utils\n_rebuild_parameter\n")};
    const pickle_piece *p = &pieces[fuzz_below(r, sizeof pieces / sizeof *pieces)];
    size_t at = fuzz_below(r, n + 1), n_old = fuzz_below(r, 3) == 0 ? fuzz_below(r, 12) : 0;
    return fuzz_splice(data, n, n_max, at, n_old > n - at ? n - at : n_old, p->bytes, p->n);
}

#endif

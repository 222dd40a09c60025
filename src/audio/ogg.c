#include "audio/source.h"

#include <string.h>

enum { PAGE_HEADER = 27, MAX_LENGTHS = 255, BEGINS = 2, ENDS = 4 };

/* Bytes of the page here, and its flags; 0: there is none (RFC 3533, 6). */
static size_t read_page(ser_source *s, uint64_t at, unsigned char *flags)
{
    unsigned char h[PAGE_HEADER + MAX_LENGTHS];
    size_t n_read = ser_source_read_at(s, at, h, sizeof h);
    if (n_read < PAGE_HEADER || memcmp(h, "OggS", 4) != 0)
        return 0;
    size_t n_lengths = h[26], n = PAGE_HEADER + n_lengths;
    for (size_t i = 0; i < n_lengths && PAGE_HEADER + i < n_read; i++)
        n += h[PAGE_HEADER + i];
    *flags = h[5];
    return n;
}

ser_ogg ser_source_walk_ogg(ser_source *s)
{
    ser_ogg o = {0};
    unsigned char flags = 0;
    bool under_way = false; /* all streams of one recording begin before anything else does */
    size_t n;
    uint64_t at = 0;
    for (; (n = read_page(s, at, &flags)) > 0; at += n) {
        o.chained = o.chained || (under_way && (flags & BEGINS));
        under_way = !(flags & BEGINS);
        o.ended = (o.ended && under_way) || (flags & ENDS);
    }
    o.ended = o.ended && at <= s->n;
    o.is_ogg = at > 0;
    return o;
}

#include "audio/source.h"

#include <string.h>

/* Where a container says how many bytes of sound it holds. */
typedef struct size_field {
    uint64_t at, stated, begin; /* of the field; its value; where the sound begins */
    int n_bytes;                /* 4 or 8 */
    bool found, unknown;        /* unknown: the writer could not know the size */
} size_field;

static uint64_t number(const unsigned char *p, int n_bytes)
{
    uint64_t x = 0;
    for (int i = 0; i < n_bytes; i++)
        x = x << 8 | p[i];
    return x;
}

/* Writers to a pipe leave 0xFFFFFFFF (ffmpeg), 0x7FFFF000 (sox) or something near in 32-bit sizes. */
bool ser_size_is_placeholder(uint64_t size)
{
    return size >= 0xffff0000u || (size >= 0x7fff0000u && size <= 0x80000000u);
}

/* Walks the chunks (name, size, content) from offset to the one of this name. n_size: 4, padded to even
 * (IFF), or 8, not padded (CAF). */
static size_field find_chunk(ser_source *s, uint64_t offset, const char *name, int n_size)
{
    enum { MAX_CHUNKS = 1000 }; /* a real file has less than twenty */
    unsigned char h[12];
    for (int i = 0; i < MAX_CHUNKS; i++) {
        size_t n_header = 4 + (size_t)n_size;
        if (ser_source_read_at(s, offset, h, n_header) < n_header)
            break;
        uint64_t size = number(h + 4, n_size), begin = offset + n_header;
        if (memcmp(h, name, 4) == 0)
            return (size_field){.at = offset + 4,
                                .stated = size,
                                .begin = begin,
                                .n_bytes = n_size,
                                .found = true,
                                .unknown = n_size == 8 ? size == UINT64_MAX : ser_size_is_placeholder(size)};
        if (size > s->n)
            break;
        offset = begin + size + (n_size == 4 ? size & 1 : 0);
    }
    return (size_field){0};
}

static size_field find_size(ser_source *s)
{
    unsigned char h[12];
    if (ser_source_read_at(s, 0, h, sizeof h) < sizeof h)
        return (size_field){0};
    if (memcmp(h, "FORM", 4) == 0 && (memcmp(h + 8, "AIFF", 4) == 0 || memcmp(h + 8, "AIFC", 4) == 0))
        return find_chunk(s, 12, "SSND", 4);
    if (memcmp(h, "caff", 4) == 0)
        return find_chunk(s, 8, "data", 8);
    if (memcmp(h, ".snd", 4) == 0) {
        uint64_t stated = number(h + 8, 4);
        return (size_field){.at = 8,
                            .stated = stated,
                            .begin = number(h + 4, 4),
                            .n_bytes = 4,
                            .found = true,
                            .unknown = !stated || ser_size_is_placeholder(stated)};
    }
    return (size_field){0};
}

ser_promise ser_source_mend_header(ser_source *s)
{
    size_field f = find_size(s);
    if (!f.found || f.begin >= s->n)
        return (ser_promise){0};
    uint64_t held = s->n - f.begin;
    if (f.unknown || (f.n_bytes == 8 && f.stated > held)) {
        uint64_t size = f.n_bytes == 4 && held > UINT32_MAX ? UINT32_MAX : held;
        s->patch_at = f.at;
        s->n_patch = (size_t)f.n_bytes;
        for (int i = 0; i < f.n_bytes; i++)
            s->patch[f.n_bytes - 1 - i] = (unsigned char)(size >> 8 * i);
    }
    if (f.unknown || f.stated <= held)
        return (ser_promise){0};
    return (ser_promise){.n_stated = f.stated, .n_held = held};
}

#include "audio/source.h"

#include <string.h>

enum { MAX_CHUNKS = 1000, MAX_FORMAT = 1024, MAX_FACT = 16 }; /* a real file has less than twenty chunks */

typedef struct chunk {
    char name[4];
    uint64_t size, begin; /* of the content */
} chunk;

/* Where format and sound lie. */
typedef struct layout {
    char magic[4];
    bool little;
    chunk format, fact, data, empty; /* begin 0: there is none */
    uint64_t n_sound;                /* of RF64, by its own chunk; 0: not said */
    bool unknown;                    /* the writer did not know how much sound there is */
} layout;

static uint32_t u32(const unsigned char *p, bool little)
{
    return little ? (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0]
                  : (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put(unsigned char *p, uint64_t x, int n_bytes, bool little)
{
    for (int i = 0; i < n_bytes; i++)
        p[little ? i : n_bytes - 1 - i] = (unsigned char)(x >> 8 * i);
}

/* Whether four printable characters and a size stand here. */
static bool read_chunk(chunk *c, ser_source *s, uint64_t at, bool little)
{
    unsigned char h[8];
    if (at > s->n || ser_source_read_at(s, at, h, sizeof h) < sizeof h)
        return false;
    for (int i = 0; i < 4; i++)
        if (h[i] < ' ' || h[i] > '~')
            return false;
    memcpy(c->name, h, 4);
    c->size = u32(h + 4, little);
    c->begin = at + 8;
    return true;
}

static bool is_named(const chunk *c, const char *name)
{
    return memcmp(c->name, name, 4) == 0;
}

/* Chunks are padded to an even size, which some writers forget. Then "data" stands one byte before, and what
 * is read from there ("ata" and the lowest byte of a size) may look like a name too. */
static bool next_chunk(chunk *c, ser_source *s, bool little)
{
    uint64_t end = c->begin + c->size;
    chunk unpadded;
    bool is_odd = c->size & 1, is_unpadded = is_odd && read_chunk(&unpadded, s, end, little);
    if (is_unpadded && (is_named(&unpadded, "data") || is_named(&unpadded, "fmt "))) {
        *c = unpadded;
        return true;
    }
    if (read_chunk(c, s, end + is_odd, little))
        return true;
    if (is_unpadded)
        *c = unpadded;
    return is_unpadded;
}

/* Whether nothing but chunks lies from here to the end. */
static bool are_chunks(ser_source *s, uint64_t at, bool little)
{
    chunk c;
    if (!read_chunk(&c, s, at, little))
        return false;
    for (int i = 0; i < MAX_CHUNKS; i++) {
        uint64_t end = c.begin + c.size;
        if (end + (c.size & 1) >= s->n)
            return end <= s->n || memcmp(c.name, "data", 4) == 0;
        if (!next_chunk(&c, s, little))
            return false;
    }
    return false;
}

/* The sound's size is not what it says: a stream's header, or more than 32 bits can count. */
static bool is_unknown(ser_source *s, const layout *l, const chunk *data)
{
    uint64_t end = data->begin + data->size;
    if (l->n_sound)
        return false;
    if (ser_size_is_placeholder(data->size))
        return true;
    if (!data->size)
        return data->begin < s->n && !are_chunks(s, data->begin, l->little);
    return s->n > UINT32_MAX && end + 1 < s->n && !are_chunks(s, end + (data->size & 1), l->little);
}

static bool is_wav(const unsigned char h[12])
{
    static const char magic[][5] = {"RIFF", "RIFX", "RF64", "BW64"};
    bool is_known = false;
    for (size_t i = 0; i < sizeof magic / sizeof *magic; i++)
        is_known = is_known || memcmp(h, magic[i], 4) == 0;
    return is_known && memcmp(h + 8, "WAVE", 4) == 0;
}

/* Format and the first sound that is not empty, or where all is empty, that. h: how the file begins. */
static bool find_layout(layout *l, ser_source *s, const unsigned char h[12])
{
    unsigned char sizes[16];
    *l = (layout){.little = memcmp(h, "RIFX", 4) != 0};
    memcpy(l->magic, memcmp(h, "BW64", 4) == 0 ? "RF64" : (const char *)h,
           4); /* ITU-R BS.2088: its successor */
    chunk c;
    bool more = read_chunk(&c, s, 12, l->little);
    for (int i = 0; i < MAX_CHUNKS && more && !(l->format.begin && l->data.begin); i++) {
        if (is_named(&c, "fmt ") && !l->format.begin)
            l->format = c;
        else if (is_named(&c, "fact") && c.size <= MAX_FACT)
            l->fact = c;
        else if (is_named(&c, "ds64") && ser_source_read_at(s, c.begin, sizes, 16) == 16)
            /* RF64 keeps the true sizes here (EBU Tech 3306): of the file, then of the sound. */
            l->n_sound = u32(sizes + 8, true) | (uint64_t)u32(sizes + 12, true) << 32;
        else if (is_named(&c, "data") && !l->data.begin) {
            l->unknown = is_unknown(s, l, &c);
            l->empty = l->empty.begin ? l->empty : c;
            if (c.size || l->unknown)
                l->data = c;
            if (l->data.begin && l->n_sound)
                l->data.size = l->n_sound;
        }
        more = !l->unknown && c.size <= s->n && next_chunk(&c, s, l->little);
    }
    l->data = l->data.begin ? l->data : l->empty;
    if (l->format.size > MAX_FORMAT)
        l->format.size = MAX_FORMAT;
    return l->format.begin && l->data.begin;
}

static void copy_chunk(ser_source *s, size_t *n, const chunk *c, bool little)
{
    memcpy(s->head + *n, c->name, 4);
    put(s->head + *n + 4, c->size, 4, little);
    *n += 8 + (size_t)c->size + (c->size & 1);
}

/* Header, format and the sound's own header, as a writer would have made them. */
static void write_head(ser_source *s, const layout *l, uint64_t held)
{
    enum { DS64 = 28 };
    unsigned char content[MAX_FORMAT];
    bool wide = memcmp(l->magic, "RF64", 4) == 0 || (held > UINT32_MAX - SER_SOURCE_HEAD && l->little);
    uint64_t size = held < UINT32_MAX - SER_SOURCE_HEAD ? held : UINT32_MAX - SER_SOURCE_HEAD;
    size_t n = 12, at_sizes = n;
    const chunk *kept[] = {&l->format, l->fact.begin ? &l->fact : NULL};
    memset(s->head, 0, sizeof s->head);
    if (wide) {
        const chunk sizes = {.name = "ds64", .size = DS64};
        copy_chunk(s, &n, &sizes, true);
    }
    for (int i = 0; i < 2; i++) {
        if (!kept[i])
            continue;
        size_t n_read = ser_source_read_at(s, kept[i]->begin, content, (size_t)kept[i]->size);
        memcpy(s->head + n + 8, content, n_read);
        copy_chunk(s, &n, kept[i], l->little);
    }
    memcpy(s->head, wide ? "RF64" : l->magic, 4);
    memcpy(s->head + 8, "WAVE", 4);
    memcpy(s->head + n, "data", 4);
    put(s->head + n + 4, wide ? UINT32_MAX : size, 4, l->little);
    n += 8;
    put(s->head + 4, wide ? UINT32_MAX : n - 8 + size, 4, l->little);
    if (wide) {
        put(s->head + at_sizes + 8, n - 8 + held, 8, true);
        put(s->head + at_sizes + 16, held, 8, true);
    }
    s->body_at = l->data.begin;
    s->n_head = n; /* last: what is read above is the file */
    s->n = n + held;
}

/* Several files in a row, or a size that counts samples in place of bytes; disks pad with zeros. */
static bool has_more_behind(ser_source *s, const chunk *data, bool little)
{
    unsigned char h[16] = {0};
    uint64_t end = data->begin + data->size;
    if (!data->size || s->n - end < data->size)
        return false;
    size_t n = ser_source_read_at(s, end, h, sizeof h), i = 0;
    bool is_file = n == sizeof h && memcmp(h, "RIFF", 4) == 0 && memcmp(h + 8, "WAVE", 4) == 0;
    if (!is_file && (are_chunks(s, end + (data->size & 1), little) || are_chunks(s, end, little)))
        return false; /* padded, or not */
    while (i < n && !h[i])
        i++;
    return i < n;
}

ser_wav ser_source_view_wav(ser_source *s)
{
    layout l;
    ser_wav wav = {0};
    chunk next;
    unsigned char h[12];
    if (ser_source_read_at(s, 0, h, sizeof h) < sizeof h || !is_wav(h))
        return wav;
    wav.is_damaged = !find_layout(&l, s, h);
    if (wav.is_damaged)
        return wav;
    uint64_t held = l.data.begin < s->n ? s->n - l.data.begin : 0;
    if (!l.unknown && l.data.size > held)
        wav.promise = (ser_promise){.n_stated = l.data.size, .n_held = held};
    else if (!l.unknown) {
        held = l.data.size;
        next = l.data;
        wav.second_data = next_chunk(&next, s, l.little) && is_named(&next, "data") && next.size;
        wav.more_behind = has_more_behind(s, &l.data, l.little);
    }
    write_head(s, &l, held);
    wav.is_view = true;
    return wav;
}

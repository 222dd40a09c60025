#include "audio/source.h"

#include <string.h>

/* Where a container says how many bytes of sound it holds. */
typedef struct size_field {
    uint64_t at, stated, begin; /* of the field; its value; where the sound begins */
    int n_bytes;                /* 4 or 8 */
    bool little;                /* byte order */
    bool found, unknown;        /* unknown: the writer could not know the size */
} size_field;

static uint64_t number(const unsigned char *p, int n_bytes, bool little)
{
    uint64_t x = 0;
    for (int i = 0; i < n_bytes; i++)
        x = x << 8 | p[little ? n_bytes - 1 - i : i];
    return x;
}

/* Writers to a pipe leave 0xFFFFFFFF (ffmpeg), 0x7FFFF000 (sox) or something near in 32-bit sizes. */
static bool is_placeholder(uint64_t size)
{
    return size >= 0xffff0000u || (size >= 0x7fff0000u && size <= 0x80000000u);
}

/* Walks the chunks (name, size, content) from offset to the one of this name. n_size: 4, padded to even
 * (RIFF, IFF), or 8, not padded (CAF). */
static size_field find_chunk(ser_source *s, uint64_t offset, const char *name, int n_size, bool little)
{
    enum { MAX_CHUNKS = 1000 }; /* a real file has less than twenty */
    unsigned char h[12];
    uint64_t rf64_size = 0;
    for (int i = 0; i < MAX_CHUNKS; i++) {
        size_t n_header = 4 + (size_t)n_size;
        if (ser_source_read_at(s, offset, h, n_header) < n_header)
            break;
        uint64_t size = number(h + 4, n_size, little), begin = offset + n_header;
        if (memcmp(h, name, 4) == 0)
            return (size_field){.at = offset + 4,
                                .stated = rf64_size ? rf64_size : size,
                                .begin = begin,
                                .n_bytes = n_size,
                                .little = little,
                                .found = true,
                                .unknown =
                                    n_size == 8 ? size == UINT64_MAX : !rf64_size && is_placeholder(size)};
        unsigned char sizes[16];
        /* RF64 keeps the true sizes here (EBU Tech 3306): of the file, then of the sound. */
        if (memcmp(h, "ds64", 4) == 0 && ser_source_read_at(s, begin, sizes, sizeof sizes) == sizeof sizes)
            rf64_size = number(sizes + 8, 8, true);
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
    bool riff = memcmp(h, "RIFF", 4) == 0, rifx = memcmp(h, "RIFX", 4) == 0, rf64 = memcmp(h, "RF64", 4) == 0;
    if ((riff || rifx || rf64) && memcmp(h + 8, "WAVE", 4) == 0) {
        size_field f = find_chunk(s, 12, "data", 4, !rifx);
        /* An empty recording has the right size for the whole; an unfinished one does not. */
        f.unknown = f.unknown || (f.found && !f.stated && number(h + 4, 4, !rifx) + 8 != s->n);
        return f;
    }
    if (memcmp(h, "FORM", 4) == 0 && (memcmp(h + 8, "AIFF", 4) == 0 || memcmp(h + 8, "AIFC", 4) == 0))
        return find_chunk(s, 12, "SSND", 4, false);
    if (memcmp(h, "caff", 4) == 0)
        return find_chunk(s, 8, "data", 8, false);
    if (memcmp(h, ".snd", 4) == 0) {
        uint64_t stated = number(h + 8, 4, false);
        return (size_field){.at = 8,
                            .stated = stated,
                            .begin = number(h + 4, 4, false),
                            .n_bytes = 4,
                            .found = true,
                            .unknown = !stated || is_placeholder(stated)};
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
            s->patch[f.little ? i : f.n_bytes - 1 - i] = (unsigned char)(size >> 8 * i);
    }
    if (f.unknown || f.stated <= held)
        return (ser_promise){0};
    return (ser_promise){.n_stated = f.stated, .n_held = held};
}

bool ser_source_is_container(ser_source *s)
{
    /* Of libsndfile's formats those that begin with four bytes or more and hold recordings: WAV, RF64, W64,
     * AIFF, SVX, CAF, AU, FLAC, Ogg, NIST, VOC, AVR, PVF, PAF. "?": any byte. */
    static const char *const beginnings[] = {
        "RIFF????WAVE", "RIFX????WAVE", "RF64????WAVE",  "riff\x2e\x91\xcf\x11",
        "FORM????AIFF", "FORM????AIFC", "FORM????8SVX",  "FORM????16SV",
        "caff",         ".snd",         "dns.",          "fLaC",
        "OggS",         "NIST_1A",      "Creative Voic", "2BIT",
        "PVF1",         " paf",         "fap "};
    char h[16] = {0};
    size_t n = ser_source_read_at(s, 0, h, sizeof h);
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
        const char *b = beginnings[i];
        size_t k = 0;
        while (b[k] && k < n && (b[k] == '?' || b[k] == h[k]))
            k++;
        if (!b[k])
            return true;
    }
    return false;
}

/* Bytes of the MPEG audio frame with this header; 0: it is none (ISO 11172-3 and 13818-3, 2.4.2.3). */
static size_t mpeg_frame_size(const unsigned char h[4])
{
    static const short kbps[5][16] = {
        {0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448}, /* MPEG 1, layer I */
        {0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},    /* layer II */
        {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},     /* layer III */
        {0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},    /* MPEG 2 and 2.5, layer I */
        {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160}};        /* layers II and III */
    static const int rates_hz[4] = {44100, 48000, 32000, 0};
    int version = h[1] >> 3 & 3, layer = 4 - (h[1] >> 1 & 3), padding = h[2] >> 1 & 1;
    if (h[0] != 0xff || (h[1] & 0xe0) != 0xe0 || version == 1 || layer == 4)
        return 0;
    bool is_first = version == 3;
    int rate_hz = rates_hz[h[2] >> 2 & 3] >> (is_first ? 0 : version == 2 ? 1 : 2);
    int bits_per_s = 1000 * kbps[is_first ? layer - 1 : layer == 1 ? 3 : 4][h[2] >> 4];
    if (!rate_hz || !bits_per_s)
        return 0;
    if (layer == 1)
        return (size_t)(12 * bits_per_s / rate_hz + padding) * 4;
    return (size_t)((layer == 3 && !is_first ? 72 : 144) * bits_per_s / rate_hz + padding);
}

/* Whether this many frames of one kind follow each other from offset on. */
static bool has_mpeg_frames(ser_source *s, uint64_t offset, int n_frames)
{
    unsigned char first[4] = {0}, h[4] = {0};
    for (int i = 0; i < n_frames; i++) {
        size_t n = ser_source_read_at(s, offset, h, sizeof h) == sizeof h ? mpeg_frame_size(h) : 0;
        if (i == 0)
            memcpy(first, h, sizeof first);
        /* The same version, layer and sampling rate; bit rate and padding may change. */
        if (!n || n > s->n - offset || ((h[1] ^ first[1]) & 0xfe) != 0 || ((h[2] ^ first[2]) & 0x0c) != 0)
            return false;
        offset += n;
    }
    return true;
}

bool ser_source_find_mpeg(ser_source *s)
{
    enum { MAX_SKIPPED = 4096 };
    unsigned char bytes[MAX_SKIPPED];
    size_t n = ser_source_read_at(s, 0, bytes, sizeof bytes);
    for (size_t i = 0; i < n; i++)
        /* Four bytes that look like a frame are found in any data, several in the right places are not. */
        if (bytes[i] == 0xff && has_mpeg_frames(s, i, i ? 4 : 2)) {
            s->start += i;
            s->n -= i;
            return true;
        }
    return false;
}

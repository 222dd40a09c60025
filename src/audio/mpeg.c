#include "audio/source.h"

#include <string.h>

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

/* Writers of tags leave room behind them for longer ones. */
static uint64_t count_zeros(ser_source *s)
{
    enum { MAX_PADDING = 1 << 22 };
    unsigned char bytes[4096];
    uint64_t at = 0;
    size_t n;
    while (at < MAX_PADDING && (n = ser_source_read_at(s, at, bytes, sizeof bytes)) > 0)
        for (size_t i = 0; i < n; i++, at++)
            if (bytes[i])
                return at;
    return at;
}

bool ser_source_find_mpeg(ser_source *s)
{
    enum { MAX_SKIPPED = 4096 };
    unsigned char bytes[MAX_SKIPPED];
    uint64_t n_zeros = count_zeros(s);
    size_t n = ser_source_read_at(s, n_zeros, bytes, sizeof bytes);
    for (size_t i = 0; i < n; i++)
        /* Four bytes that look like a frame are found in any data, several in the right places are not. */
        if (bytes[i] == 0xff && has_mpeg_frames(s, n_zeros + i, n_zeros + i ? 4 : 2)) {
            ser_source_skip(s, n_zeros + i);
            return true;
        }
    return false;
}

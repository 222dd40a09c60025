#include "serve/plain_wav.h"
#include "audio/audio.h"
#include "audio/clipping.h"
#include "base/memory.h"

#include <string.h>

enum { HEAD_BYTES = 44, SIZE_AT = 4, FORMAT_AT = 8, DATA_AT = 36, DATA_SIZE_AT = 40 };

static uint32_t u32(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

size_t ser_plain_wav_samples(const void *bytes, size_t n)
{
    static const unsigned char format[] = {
        'W',  'A',  'V', 'E', 'f', 'm',  't', ' ', 16, 0, 0, 0, 1, 0, 1, 0, /* PCM, mono */
        0x80, 0x3e, 0,   0,   0,   0x7d, 0,   0, /* 16,000 Hz, 32,000 bytes a second */
        2,    0,    16,  0};
    const unsigned char *head = bytes;
    if (n < HEAD_BYTES || n > UINT32_MAX || n % 2)
        return 0;
    bool is_plain = memcmp(head, "RIFF", 4) == 0 && u32(head + SIZE_AT) == n - 8 &&
                    memcmp(head + FORMAT_AT, format, sizeof format) == 0 &&
                    memcmp(head + DATA_AT, "data", 4) == 0 && u32(head + DATA_SIZE_AT) == n - HEAD_BYTES;
    size_t n_samples = (n - HEAD_BYTES) / 2;
    return is_plain && n_samples >= SER_MIN_SAMPLES ? n_samples : 0;
}

ser_status ser_plain_wav_read(ser_decoded *out, const void *bytes, size_t n, ser_error *err)
{
    const unsigned char *sample = (const unsigned char *)bytes + HEAD_BYTES;
    ser_clipping clipping = {0};
    *out = (ser_decoded){.n_samples = (n - HEAD_BYTES) / 2};
    out->pcm = ser_alloc(out->n_samples, sizeof *out->pcm);
    if (!out->pcm) {
        *out = (ser_decoded){0};
        return ser_fail_nomem(err);
    }
    for (size_t i = 0; i < out->n_samples; i++, sample += 2)
        out->pcm[i] = (float)(int16_t)(sample[0] | sample[1] << 8) / 32768;
    ser_clipping_add(&clipping, out->pcm, out->n_samples, 1);
    out->clipped = ser_clipping_share(&clipping);
    return SER_OK;
}

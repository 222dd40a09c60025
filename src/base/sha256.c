#include "base/sha256.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

static bool can_hash(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_1) && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
           (b & bit_SHA);
}

/* FIPS 180-4, section 4.2.2. */
static const uint32_t constants[SHA256_BLOCK_LENGTH] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* The instructions keep the eight words a to h of the state as (f, e, b, a) and (h, g, d, c), lowest lane
 * first, and take four words of the message schedule at once (Intel SHA Extensions, 2013). */
__attribute__((target("sha,sse4.1"))) static void hash_blocks(uint32_t state[8], const uint8_t *bytes,
                                                              size_t n_blocks)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i before = _mm_loadu_si128((const __m128i *)state);
    __m128i behind = _mm_loadu_si128((const __m128i *)(state + 4));
    before = _mm_shuffle_epi32(before, 0x1b); /* (d, c, b, a) */
    behind = _mm_shuffle_epi32(behind, 0x1b); /* (h, g, f, e) */
    __m128i abef = _mm_unpackhi_epi64(behind, before), cdgh = _mm_unpacklo_epi64(behind, before);
    for (; n_blocks > 0; n_blocks--, bytes += SHA256_BLOCK_LENGTH) {
        __m128i w[4], abef_before = abef, cdgh_before = cdgh;
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            __m128i *now = &w[i % 4], last = w[(i + 3) % 4];
            if (i < 4)
                *now = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)bytes + i), big_endian);
            else
                *now = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(*now, w[(i + 1) % 4]),
                                                          _mm_alignr_epi8(last, w[(i + 2) % 4], 4)),
                                            last);
            __m128i sum = _mm_add_epi32(*now, _mm_loadu_si128((const __m128i *)constants + i));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    before = _mm_unpackhi_epi64(cdgh, abef); /* (d, c, b, a) */
    behind = _mm_unpacklo_epi64(cdgh, abef); /* (h, g, f, e) */
    _mm_storeu_si128((__m128i *)state, _mm_shuffle_epi32(before, 0x1b));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_shuffle_epi32(behind, 0x1b));
}
#else
static bool can_hash(void)
{
    return false;
}

static void hash_blocks(uint32_t state[8], const uint8_t *bytes, size_t n_blocks)
{
    for (; n_blocks > 0; n_blocks--, bytes += SHA256_BLOCK_LENGTH)
        SHA256Transform(state, bytes);
}
#endif

void ser_sha256_init(ser_sha256 *h)
{
    SHA256Init(&h->context);
    h->by_processor = can_hash();
}

/* Whole blocks that begin where one begins need nothing but the state; libmd keeps the rest. */
void ser_sha256_add(ser_sha256 *h, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    uint64_t *n_bits = &h->context.bitcount[0];
    size_t n_kept = *n_bits / 8 % SHA256_BLOCK_LENGTH, n_fill = n_kept ? SHA256_BLOCK_LENGTH - n_kept : 0;
    if (h->by_processor && n >= n_fill + SHA256_BLOCK_LENGTH) {
        SHA256Update(&h->context, p, n_fill);
        size_t n_blocks = (n - n_fill) / SHA256_BLOCK_LENGTH, n_done = n_blocks * SHA256_BLOCK_LENGTH;
        hash_blocks(h->context.state.st32, p + n_fill, n_blocks);
        *n_bits += 8 * (uint64_t)n_done;
        p += n_fill + n_done;
        n -= n_fill + n_done;
    }
    SHA256Update(&h->context, p, n);
}

void ser_sha256_finish(ser_sha256 *h, char hex[65])
{
    SHA256End(&h->context, hex);
}

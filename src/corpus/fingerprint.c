#include "corpus/fingerprint.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "base/vector.h"
#include "features/mel.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* The code of a recording: how the fine structure of its log-mel spectrum (the second difference over
 * bands, in which gain and the tilt of a microphone vanish, and harmonics stand out) changes within 80 ms (in
 * which steady noise and filters vanish). Two recordings are compared by the cosine of their codes at the
 * best shift. Bands of 150 to 3,400 Hz survive a telephone; they are narrow enough to follow a voice's pitch,
 * which no speaker repeats. What is 30 dB below the loudest counts as silence, where a codec does as it
 * likes. */
enum {
    VERSION = 2,
    HOP_SAMPLES = 320,
    N_MELS = 98,
    N_BANDS = N_MELS - 2,
    FRAMES_APART = 4,
    MIN_FRAMES = 20,
    MAX_FRAMES_CUT = 150, /* 3 s of silence, at most */
    FRAMES_BEYOND = 10,   /* cut off a on one side and off b on the other: 200 ms, at most */
    COARSE_STEP = 12,     /* every 12th band rules out most pairs */
    N_COARSE = N_BANDS / COARSE_STEP,
    SHIFT_STEP = 2 /* frames; the true shift is then at most one frame away */
};
static const float silence_power = 1e-3f;     /* of the loudest band: -30 dB */
static const float max_change = 2;            /* nepers of power; becomes 127 */
static const double coarse_similarity = 0.35; /* twins have more, next to their true shift already */

struct ser_fingerprint {
    uint32_t version, n_frames;
    double fine_energy, coarse_energy; /* sums of squares of the codes */
    char sha256[72];                   /* 64 digits; a multiple of 8, so that coarse ends without padding */
    int16_t codes[]; /* coarse (n_frames, N_COARSE); then fine (n_frames, N_BANDS), in bytes */
};

static const int8_t *fine_code(const ser_fingerprint *f)
{
    return (const int8_t *)(f->codes + (size_t)f->n_frames * N_COARSE);
}

static size_t size_in_bytes(size_t n_frames)
{
    return sizeof(ser_fingerprint) + n_frames * (N_BANDS + N_COARSE * sizeof(int16_t));
}

/* Up to BLOCK products of two bytes fit in 31 bits. */
enum { BLOCK = 65536 };

SER_INLINE double dot_coarse(const int16_t *a, const int16_t *b, size_t n)
{
    double total = 0;
    for (size_t from = 0; from < n; from += BLOCK) {
        int32_t sum = 0;
        size_t end = n - from < BLOCK ? n : from + BLOCK;
        for (size_t i = from; i < end; i++)
            sum += a[i] * b[i];
        total += sum;
    }
    return total;
}

SER_FAST_STATIC(double, dot_fine, (const int8_t *a, const int8_t *b, size_t n), (a, b, n))
{
    double total = 0;
    for (size_t from = 0; from < n; from += BLOCK) {
        int32_t sum = 0;
        size_t end = n - from < BLOCK ? n : from + BLOCK;
        for (size_t i = from; i < end; i++)
            sum += a[i] * b[i];
        total += sum;
    }
    return total;
}

/* mel (n_frames, N_MELS) becomes log-mel, all but silence at the same floor. false: no sound, or samples so
 * large that their power is not finite. */
static bool take_logarithm(float *mel, size_t n)
{
    float loudest = 0;
    for (size_t i = 0; i < n; i++)
        if (!(mel[i] <= loudest))
            loudest = mel[i];
    if (!(loudest > FLT_MIN / silence_power) || !(loudest < FLT_MAX / 2))
        return false;
    for (size_t i = 0; i < n; i++)
        mel[i] = logf(mel[i] + silence_power * loudest);
    return true;
}

/* Frames early and late, N_MELS each. */
static void code_frame(int8_t *fine, const float *early, const float *late)
{
    for (int b = 0; b < N_BANDS; b++) {
        float change =
            (late[b] - 2 * late[b + 1] + late[b + 2]) - (early[b] - 2 * early[b + 1] + early[b + 2]);
        change = fminf(fmaxf(change, -max_change), max_change);
        fine[b] = (int8_t)lrintf(change * (127 / max_change));
    }
}

/* All that follows from the fine code. */
static void complete(ser_fingerprint *f)
{
    size_t n_coarse = (size_t)f->n_frames * N_COARSE;
    for (size_t i = 0; i < n_coarse; i++)
        f->codes[i] = fine_code(f)[i * COARSE_STEP + COARSE_STEP / 2];
    f->coarse_energy = dot_coarse(f->codes, f->codes, n_coarse);
    f->fine_energy = dot_fine(fine_code(f), fine_code(f), (size_t)f->n_frames * N_BANDS);
}

static ser_status log_mel(float **out, size_t *n_frames, const float *pcm, size_t n_samples, ser_error *err)
{
    const ser_mel_settings settings = {.sample_rate_hz = SER_SAMPLE_RATE_HZ,
                                       .n_fft = 2048,
                                       .hop_samples = HOP_SAMPLES,
                                       .n_mels = N_MELS,
                                       .f_min_hz = 150,
                                       .f_max_hz = 3400,
                                       .pad = SER_PAD_ZERO};
    ser_mel *mel = NULL;
    ser_mel_work *work = NULL;
    ser_status st = ser_mel_new(&mel, &settings, err);
    if (st == SER_OK)
        st = ser_mel_work_new(&work, mel, err);
    if (st == SER_OK) {
        *n_frames = ser_mel_n_frames(mel, n_samples);
        *out = ser_alloc(*n_frames, N_MELS * sizeof **out);
        st = *out ? SER_OK : ser_fail_nomem(err);
    }
    if (st == SER_OK) {
        ser_mel_run(mel, work, *out, pcm, n_samples);
        if (*n_frames < MIN_FRAMES + FRAMES_APART || !take_logarithm(*out, *n_frames * N_MELS))
            *n_frames = FRAMES_APART; /* no code: only equal samples will be the same */
    }
    ser_mel_work_free(&work);
    ser_mel_free(&mel);
    return st;
}

ser_status ser_fingerprint_new(ser_fingerprint **out, const float *pcm, size_t n_samples, ser_error *err)
{
    *out = NULL;
    float *mel = NULL;
    size_t n_frames;
    ser_status st = log_mel(&mel, &n_frames, pcm, n_samples, err);
    if (st != SER_OK)
        return st;
    n_frames -= FRAMES_APART;
    ser_fingerprint *f = n_frames <= UINT32_MAX ? ser_alloc(size_in_bytes(n_frames), 1) : NULL;
    if (!f) {
        ser_free(mel);
        return ser_fail_nomem(err);
    }
    f->version = VERSION;
    f->n_frames = (uint32_t)n_frames;
    int8_t *fine = (int8_t *)(f->codes + n_frames * N_COARSE);
    for (size_t t = 0; t < n_frames; t++)
        code_frame(fine + t * N_BANDS, mel + t * N_MELS, mel + (t + FRAMES_APART) * N_MELS);
    complete(f);
    ser_sha256_of(f->sha256, pcm, n_samples * sizeof *pcm);
    ser_free(mel);
    *out = f;
    return SER_OK;
}

void ser_fingerprint_free(ser_fingerprint **f)
{
    ser_free(*f);
    *f = NULL;
}

const char *ser_fingerprint_sha256(const ser_fingerprint *f)
{
    return f->sha256;
}

const void *ser_fingerprint_bytes(const ser_fingerprint *f, size_t *n_bytes)
{
    *n_bytes = size_in_bytes(f->n_frames);
    return f;
}

ser_status ser_fingerprint_from_bytes(ser_fingerprint **out, const void *bytes, size_t n_bytes,
                                      ser_error *err)
{
    *out = NULL;
    ser_fingerprint *f = n_bytes >= sizeof *f ? ser_alloc(n_bytes, 1) : NULL;
    if (!f && n_bytes >= sizeof *f)
        return ser_fail_nomem(err);
    if (f)
        memcpy(f, bytes, n_bytes);
    if (!f || f->version != VERSION || size_in_bytes(f->n_frames) != n_bytes ||
        strnlen(f->sha256, sizeof f->sha256) != 64) {
        ser_free(f);
        return ser_fail(err, SER_E_FORMAT, "it is no fingerprint of this version: compute it again");
    }
    complete(f);
    *out = f;
    return SER_OK;
}

/* Where two codes overlap when b's first frame lies over frame shift of a. */
typedef struct overlap {
    size_t from_a, from_b, n; /* frames */
} overlap;

SER_INLINE overlap overlap_at(ptrdiff_t shift, const ser_fingerprint *a, const ser_fingerprint *b)
{
    overlap o = {.from_a = shift > 0 ? (size_t)shift : 0, .from_b = shift < 0 ? (size_t)-shift : 0};
    size_t n_a = a->n_frames - o.from_a, n_b = b->n_frames - o.from_b;
    o.n = n_a < n_b ? n_a : n_b;
    return o;
}

/* The shift with the largest product of the coarse codes, and its cosine. */
SER_FAST_STATIC(double, find_shift, (ptrdiff_t * shift, const ser_fingerprint *a, const ser_fingerprint *b),
                (shift, a, b))
{
    double best = 0;
    ptrdiff_t last = (ptrdiff_t)a->n_frames - (ptrdiff_t)b->n_frames + FRAMES_BEYOND;
    *shift = 0;
    for (ptrdiff_t s = -FRAMES_BEYOND; s <= last; s += SHIFT_STEP) {
        overlap o = overlap_at(s, a, b);
        double product =
            dot_coarse(a->codes + o.from_a * N_COARSE, b->codes + o.from_b * N_COARSE, o.n * N_COARSE);
        if (product > best) {
            best = product;
            *shift = s;
        }
    }
    return best > 0 ? best / sqrt(a->coarse_energy * b->coarse_energy) : 0;
}

static double fine_cosine(ptrdiff_t shift, const ser_fingerprint *a, const ser_fingerprint *b)
{
    overlap o = overlap_at(shift, a, b);
    double product =
        dot_fine(fine_code(a) + o.from_a * N_BANDS, fine_code(b) + o.from_b * N_BANDS, o.n * N_BANDS);
    return product > 0 ? product / sqrt(a->fine_energy * b->fine_energy) : 0;
}

float ser_fingerprint_similarity(const ser_fingerprint *a, const ser_fingerprint *b)
{
    if (memcmp(a->sha256, b->sha256, 64) == 0)
        return 1;
    if (a->n_frames < b->n_frames) {
        const ser_fingerprint *t = a;
        a = b;
        b = t;
    }
    ptrdiff_t shift;
    if (b->n_frames < MIN_FRAMES || a->n_frames - b->n_frames > MAX_FRAMES_CUT ||
        find_shift(&shift, a, b) < coarse_similarity)
        return 0;
    double best = 0;
    for (ptrdiff_t s = shift - SHIFT_STEP; s <= shift + SHIFT_STEP; s++)
        best = fmax(best, fine_cosine(s, a, b));
    return (float)best;
}

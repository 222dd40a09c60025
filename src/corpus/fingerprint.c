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
    VERSION = 1,
    HOP_SAMPLES = 320,
    N_MELS = 98,
    N_BANDS = N_MELS - 2,
    FRAMES_APART = 4,
    MIN_FRAMES = 20,
    MAX_FRAMES_CUT = 150,        /* 2 s of silence at the ends, at most */
    FRAMES_BEYOND = 10,          /* 200 ms cut off both, at most */
    COARSE_STEP = 12,            /* every 12th band first, to rule out most pairs */
    N_COARSE = N_BANDS / COARSE_STEP
};
static const float silence_power = 1e-3f;   /* of the loudest band: -30 dB */
static const float max_change = 2;          /* nepers of power; becomes 127 */
static const double coarse_similarity = 0.4; /* of the coarse codes of twins, at least */

struct ser_fingerprint {
    uint32_t version, n_frames;
    double fine_energy, coarse_energy; /* sums of squares of the codes */
    char sha256[65];
    int8_t codes[]; /* fine (n_frames, N_BANDS), then coarse (n_frames, N_COARSE) */
};

static const int8_t *fine_code(const ser_fingerprint *f)
{
    return f->codes;
}

static const int8_t *coarse_code(const ser_fingerprint *f)
{
    return f->codes + (size_t)f->n_frames * N_BANDS;
}

static size_t size_in_bytes(size_t n_frames)
{
    return sizeof(ser_fingerprint) + n_frames * (N_BANDS + N_COARSE);
}

/* Up to 65,536 products of two bytes fit in 31 bits. */
SER_FAST static int32_t dot_block(const int8_t *restrict a, const int8_t *restrict b, int n)
{
    int32_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static double dot(const int8_t *a, const int8_t *b, size_t n)
{
    enum { BLOCK = 65536 };
    double sum = 0;
    for (; n > BLOCK; n -= BLOCK, a += BLOCK, b += BLOCK)
        sum += dot_block(a, b, BLOCK);
    return sum + dot_block(a, b, (int)n);
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
static void code_frame(int8_t *fine, int8_t *coarse, const float *early, const float *late)
{
    for (int b = 0; b < N_BANDS; b++) {
        float change = (late[b] - 2 * late[b + 1] + late[b + 2]) - (early[b] - 2 * early[b + 1] + early[b + 2]);
        change = fminf(fmaxf(change, -max_change), max_change);
        fine[b] = (int8_t)lrintf(change * (127 / max_change));
        if (b % COARSE_STEP == COARSE_STEP / 2)
            coarse[b / COARSE_STEP] = fine[b];
    }
}

static void measure_energy(ser_fingerprint *f)
{
    f->fine_energy = dot(fine_code(f), fine_code(f), (size_t)f->n_frames * N_BANDS);
    f->coarse_energy = dot(coarse_code(f), coarse_code(f), (size_t)f->n_frames * N_COARSE);
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
            *n_frames = FRAMES_APART;
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
    int8_t *fine = f->codes, *coarse = f->codes + n_frames * N_BANDS;
    for (size_t t = 0; t < n_frames; t++, fine += N_BANDS, coarse += N_COARSE)
        code_frame(fine, coarse, mel + t * N_MELS, mel + (t + FRAMES_APART) * N_MELS);
    measure_energy(f);
    ser_sha256 hash;
    ser_sha256_init(&hash);
    ser_sha256_add(&hash, pcm, n_samples * sizeof *pcm);
    ser_sha256_finish(&hash, f->sha256);
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
    measure_energy(f);
    *out = f;
    return SER_OK;
}

/* The best cosine over all shifts that leave the shorter one (n_b frames) within the longer (n_a), or up to
 * FRAMES_BEYOND outside it. Codes (frames, width). */
static double best_cosine(const int8_t *a, size_t n_a, const int8_t *b, size_t n_b, size_t width,
                          double energies)
{
    double best = 0;
    if (!(energies > 0))
        return 0;
    for (size_t shift = 0; shift <= n_a - n_b + 2 * FRAMES_BEYOND; shift++) {
        size_t skip_a = shift > FRAMES_BEYOND ? shift - FRAMES_BEYOND : 0;
        size_t skip_b = shift < FRAMES_BEYOND ? FRAMES_BEYOND - shift : 0;
        size_t n = n_a - skip_a < n_b - skip_b ? n_a - skip_a : n_b - skip_b;
        double cosine = dot(a + skip_a * width, b + skip_b * width, n * width) / sqrt(energies);
        best = fmax(best, cosine);
    }
    return best;
}

static double similarity(const ser_fingerprint *a, const ser_fingerprint *b, double at_least_coarse)
{
    if (strcmp(a->sha256, b->sha256) == 0)
        return 1;
    if (a->n_frames < b->n_frames) {
        const ser_fingerprint *t = a;
        a = b;
        b = t;
    }
    if (b->n_frames < MIN_FRAMES || a->n_frames - b->n_frames > MAX_FRAMES_CUT)
        return 0;
    if (at_least_coarse > 0 && best_cosine(coarse_code(a), a->n_frames, coarse_code(b), b->n_frames, N_COARSE,
                                           a->coarse_energy * b->coarse_energy) < at_least_coarse)
        return 0;
    return best_cosine(fine_code(a), a->n_frames, fine_code(b), b->n_frames, N_BANDS,
                       a->fine_energy * b->fine_energy);
}

float ser_fingerprint_similarity(const ser_fingerprint *a, const ser_fingerprint *b)
{
    return (float)similarity(a, b, 0);
}

bool ser_fingerprint_is_twin(const ser_fingerprint *a, const ser_fingerprint *b)
{
    return similarity(a, b, coarse_similarity) >= (double)SER_TWIN_SIMILARITY;
}

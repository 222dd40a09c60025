/* What follows is the same for every model: all that differs stands in emotion.h and in the tables above. */

enum { N_FFT = 2048, N_HALF = N_FFT / 2, N_BINS = N_HALF + 1, N_MELS = 128, N_MFCC = 96 };

static int is_number(float x)
{
    return x - x == 0;
}

/* ---- log-mel, as librosa computes it ---- */

/* The Fourier transform of re + i im (N_HALF), in place. turn_re[k] + i turn_im[k] = exp(-2 pi i k / N_FFT).
 */
static void transform(float *re, float *im, const float *turn_re, const float *turn_im)
{
    int i, j = 0, k, n, bit;
    for (i = 1; i < N_HALF; i++) {
        for (bit = N_HALF / 2; j & bit; bit /= 2)
            j ^= bit;
        j ^= bit;
        if (i < j) {
            float x = re[i], y = im[i];
            re[i] = re[j], im[i] = im[j];
            re[j] = x, im[j] = y;
        }
    }
    for (n = 2; n <= N_HALF; n *= 2)
        for (i = 0; i < N_HALF; i += n)
            for (k = 0; k < n / 2; k++) {
                float w_re = turn_re[k * (N_FFT / n)], w_im = turn_im[k * (N_FFT / n)];
                float *a_re = re + i + k, *a_im = im + i + k, *b_re = a_re + n / 2, *b_im = a_im + n / 2;
                float x = *b_re * w_re - *b_im * w_im, y = *b_re * w_im + *b_im * w_re;
                *b_re = *a_re - x, *b_im = *a_im - y;
                *a_re += x, *a_im += y;
            }
}

/* power (N_BINS) of the window around sample `centre`; sound ends in zeros on both sides. */
static void find_power(emotion_work *w, const float *weights, const float *pcm, size_t n, size_t centre)
{
    const float *window = weights + AT_WINDOW, *turn_re = weights + AT_TURN_RE,
                *turn_im = weights + AT_TURN_IM;
    int k;
    for (k = 0; k < N_FFT; k++) {
        size_t at = centre + (size_t)k; /* N_HALF too far */
        float x = at >= N_HALF && at - N_HALF < n ? pcm[at - N_HALF] * window[k] : 0;
        *(k % 2 ? &w->im[k / 2] : &w->re[k / 2]) = x;
    }
    transform(w->re, w->im, turn_re, turn_im);
    w->re[N_HALF] = w->re[0];
    w->im[N_HALF] = w->im[0];
    for (k = 0; k < N_BINS; k++) { /* of the pairs to that of the samples; the window holds the halves */
        float even_re = w->re[k] + w->re[N_HALF - k], even_im = w->im[k] - w->im[N_HALF - k];
        float odd_re = w->im[k] + w->im[N_HALF - k], odd_im = w->re[N_HALF - k] - w->re[k];
        float x_re = even_re + turn_re[k] * odd_re - turn_im[k] * odd_im;
        float x_im = even_im + turn_re[k] * odd_im + turn_im[k] * odd_re;
        w->power[k] = x_re * x_re + x_im * x_im;
    }
}

/* In decibels, with the floor 1e-10, nothing further than 80 dB below the maximum. */
static void find_log_mel(emotion_work *w, const float *weights, const float *pcm, size_t n, size_t n_frames)
{
    size_t t, i;
    float lowest = -10;
    for (t = 0; t < n_frames; t++) {
        const float *filter = weights + AT_FILTERS;
        find_power(w, weights, pcm, n, t * EMOTION_HOP);
        for (i = 0; i < N_MELS; i++) {
            float sum = 0, level;
            int k;
            for (k = 0; k < filter_bins[i]; k++)
                sum += *filter++ * w->power[filter_first[i] + k];
            level = log10f(sum > 1e-10f ? sum : 1e-10f);
            lowest = level > lowest ? level : lowest;
            w->log_mel[t * N_MELS + i] = level;
        }
    }
    lowest -= 8;
    for (i = 0; i < n_frames * N_MELS; i++)
        w->log_mel[i] = 10 * (w->log_mel[i] > lowest ? w->log_mel[i] : lowest);
}

/* frames (n_frames, EMOTION_DIMS): the parts side by side. */
static void find_frames(emotion_work *w, const float *weights, size_t n_frames)
{
    size_t t, p, i, c;
    for (t = 0; t < n_frames; t++) {
        const float *mel = w->log_mel + t * N_MELS;
        for (p = 0; p < sizeof parts / sizeof *parts; p++) {
            float *y = w->frames + t * EMOTION_DIMS + parts[p].offset;
            if (!parts[p].is_mfcc) {
                memcpy(y, mel, N_MELS * sizeof *y);
                continue;
            }
            for (c = 0; c < N_MFCC; c++)
                y[c] = 0;
            for (i = 0; i < N_MELS; i++)
                for (c = 0; c < N_MFCC; c++)
                    y[c] += mel[i] * weights[AT_DCT + i * N_MFCC + c];
        }
    }
}

/* A frame is active when the sound around it is within 35 dB of the loudest. */
static void find_active(emotion_work *w, const float *pcm, size_t n, size_t n_frames)
{
    size_t t, i;
    float loudest = 0;
    for (t = 0; t < n_frames; t++) {
        size_t from = t ? t * EMOTION_HOP - EMOTION_HOP / 2 : 0, to = (t + 1) * EMOTION_HOP;
        float sum = 0;
        to = to < n ? to : n;
        for (i = from; i < to; i++)
            sum += pcm[i] * pcm[i];
        w->level[t] = from < to ? sum / (float)(to - from) : 0;
        loudest = w->level[t] > loudest ? w->level[t] : loudest;
    }
    for (t = 0; t < n_frames; t++)
        w->active[t] = w->level[t] >= loudest * 3.1623e-4f;
}

/* ---- answers ---- */

static void softmax(float *x, float temperature)
{
    size_t i;
    float max = x[0];
    double sum = 0;
    for (i = 1; i < EMOTION_N_LABELS; i++)
        max = x[i] > max ? x[i] : max;
    for (i = 0; i < EMOTION_N_LABELS; i++)
        sum += (double)(x[i] = expf((x[i] - max) / temperature));
    for (i = 0; i < EMOTION_N_LABELS; i++)
        x[i] = (float)((double)x[i] / sum);
}

#if EMOTION_HAS_LINEAR
/* Mean and deviation over time of each part, of all frames and then of the active ones. */
static void pool(emotion_work *w, size_t n_frames)
{
    size_t active, t, i, p, count;
    for (active = 0; active < 2; active++) {
        memset(w->sum, 0, sizeof w->sum);
        memset(w->squares, 0, sizeof w->squares);
        for (t = count = 0; t < n_frames; t++) {
            const float *x = w->frames + t * EMOTION_DIMS;
            if (active && !w->active[t])
                continue;
            count++;
            for (i = 0; i < EMOTION_DIMS; i++) {
                w->sum[i] += x[i];
                w->squares[i] += (double)x[i] * x[i];
            }
        }
        for (p = 0; p < sizeof parts / sizeof *parts; p++)
            for (i = 0; i < parts[p].dims; i++) {
                size_t from = parts[p].offset + i;
                float *to = w->pooled + 4 * parts[p].offset + 2 * active * parts[p].dims + i;
                double mean = w->sum[from] / (double)count;
                double variance = w->squares[from] / (double)count - mean * mean;
                double deviation = variance > 0 ? sqrt(variance) : 0;
                to[0] = (float)mean;
                to[parts[p].dims] = deviation > 1e-6 * fabs(mean) ? (float)deviation : 0;
            }
    }
}

static void score_linear(emotion_work *w, const float *weights, float *scores)
{
    const float *mean = weights + AT_LINEAR, *scale = mean + 4 * EMOTION_DIMS,
                *row = scale + 4 * EMOTION_DIMS;
    const float *bias = row + EMOTION_N_LABELS * 4 * EMOTION_DIMS, *temperature = bias + EMOTION_N_LABELS;
    size_t k, i;
    for (k = 0; k < EMOTION_N_LABELS; k++, row += 4 * EMOTION_DIMS) {
        double sum = (double)bias[k];
        for (i = 0; i < 4 * EMOTION_DIMS; i++)
            sum += (double)(row[i] * ((w->pooled[i] - mean[i]) * scale[i]));
        scores[k] = (float)sum;
    }
    softmax(scores, *temperature);
}
#endif

#if EMOTION_N_NETWORKS
/* Cuts off what is silent before and after, and averages neighbours, in place; returns how many are left. */
static size_t condense(emotion_work *w, size_t n_frames)
{
    const size_t margin = 4;
    size_t from = 0, to = n_frames, first = 0, end = n_frames, n = 0, t, i;
    while (first < end && !w->active[first])
        first++;
    while (end > first && !w->active[end - 1])
        end--;
    if (NETWORKS_TRIM && first < end) {
        from = first < margin ? 0 : first - margin;
        to = n_frames - end < margin ? n_frames : end + margin;
    }
    for (; from < to; n++) {
        size_t here = to - from < NETWORKS_AVERAGE ? to - from : NETWORKS_AVERAGE;
        float *y = w->frames + n * EMOTION_DIMS;
        memmove(y, w->frames + from * EMOTION_DIMS, EMOTION_DIMS * sizeof *y);
        for (t = 1; t < here; t++)
            for (i = 0; i < EMOTION_DIMS; i++)
                y[i] += w->frames[(from + t) * EMOTION_DIMS + i];
        for (i = 0; i < EMOTION_DIMS && here > 1; i++)
            y[i] /= (float)here;
        from += here;
    }
    return n;
}

static float sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}

static float activate(int kind, float x)
{
    switch (kind) {
    case 1: /* ELU */
        return x > 0 ? x : expf(x) - 1;
    case 2: /* Swish */
        return x * sigmoid(x);
    case 3:
        return tanhf(x);
    default: /* ReLU */
        return x > 0 ? x : 0;
    }
}

/* y (n_out) = x (n_in) kernel + bias; kernel (n_in, n_out), bias behind it. Returns what follows. */
static const float *dense(float *y, const float *x, const float *kernel, size_t n_in, size_t n_out)
{
    const float *bias = kernel + n_in * n_out;
    size_t i, k;
    memcpy(y, bias, n_out * sizeof *y);
    for (i = 0; i < n_in; i++, kernel += n_out)
        for (k = 0; k < n_out; k++)
            y[k] += x[i] * kernel[k];
    return bias + n_out;
}

/* y (n, filters): a convolution that looks back only, its normalisation in its kernel (size, filters,
 * filters) and bias, then the nonlinearity. */
static const float *convolve(float *y, const float *x, size_t n, const float *kernel,
                             const struct network *net, size_t dilation)
{
    size_t c = net->filters, t, k, i, j;
    const float *bias = kernel + net->kernel * c * c;
    for (t = 0; t < n; t++) {
        float *row = y + t * c;
        memcpy(row, bias, c * sizeof *row);
        for (k = 0; k < net->kernel; k++) {
            size_t back = (net->kernel - 1 - k) * dilation;
            const float *taps = kernel + k * c * c;
            for (i = 0; i < c && back <= t; i++, taps += c)
                for (j = 0; j < c; j++)
                    row[j] += x[(t - back) * c + i] * taps[j];
        }
        for (j = 0; j < c; j++)
            row[j] = activate(net->activation, row[j]);
    }
    return bias + c;
}

/* Adds to w->hidden what the blocks of a stream say; weighting (blocks). Returns what follows its weights. */
static const float *run_stream(emotion_work *w, const float *at, const struct network *net, size_t n,
                               int backwards, const float *mean, const float *weighting)
{
    size_t c = net->filters, t, i, block;
    const float *scale = mean + EMOTION_DIMS, *after = at;
    for (t = 0; t < n; t++) {
        const float *frame = w->frames + (backwards ? n - 1 - t : t) * EMOTION_DIMS;
        for (i = 0; i < EMOTION_DIMS; i++)
            w->scaled[i] = (frame[i] - mean[i]) * scale[i];
        after = dense(w->x + t * c, w->scaled, at, EMOTION_DIMS, c);
    }
    at = after;
    for (block = 0; block < net->dilations * net->stacks; block++) {
        size_t dilation = (size_t)1 << block % net->dilations;
        at = convolve(w->y, w->x, n, at, net, dilation);
        at = convolve(w->z, w->y, n, at, net, dilation);
        memset(w->sums, 0, sizeof w->sums);
        for (t = 0; t < n; t++)
            for (i = 0; i < c; i++)
                w->sums[i] += (double)(w->x[t * c + i] *= sigmoid(w->z[t * c + i]));
        for (i = 0; i < c; i++)
            w->hidden[i] += weighting[block] * (float)(w->sums[i] / (double)n);
    }
    return at;
}

/* The mean of the networks' calibrated scores. */
static void score_networks(emotion_work *w, const float *weights, size_t n_frames, float *scores)
{
    const float *at = weights + AT_NETWORKS;
    size_t m, i, n = condense(w, n_frames);
    for (i = 0; i < EMOTION_N_LABELS; i++)
        scores[i] = 0;
    for (m = 0; m < EMOTION_N_NETWORKS; m++) {
        const struct network *net = &networks[m];
        const float *mean = at, *weighting = mean + 2 * EMOTION_DIMS;
        const float *temperature = weighting + net->dilations * net->stacks;
        float logits[EMOTION_N_LABELS];
        at = temperature + 1;
        memset(w->hidden, 0, sizeof w->hidden);
        at = run_stream(w, at, net, n, 0, mean, weighting);
        at = run_stream(w, at, net, n, 1, mean, weighting);
        at = dense(w->dense_1, w->hidden, at, net->filters, 128);
        for (i = 0; i < 128; i++)
            w->dense_1[i] = w->dense_1[i] > 0 ? w->dense_1[i] : 0;
        at = dense(w->dense_2, w->dense_1, at, 128, 64);
        for (i = 0; i < 64; i++)
            w->dense_2[i] = w->dense_2[i] > 0 ? w->dense_2[i] : 0;
        at = dense(logits, w->dense_2, at, 64, EMOTION_N_LABELS);
        softmax(logits, *temperature);
        for (i = 0; i < EMOTION_N_LABELS; i++)
            scores[i] += logits[i] / EMOTION_N_NETWORKS;
    }
}
#endif

int emotion_scores(emotion_work *w, const float *weights, const float *pcm, size_t n, float *scores)
{
    size_t n_frames = 1 + n / EMOTION_HOP, i;
    if (n < EMOTION_MIN_SAMPLES || n > EMOTION_MAX_SAMPLES)
        return EMOTION_LENGTH;
    for (i = 0; i < n; i++)
        if (!is_number(pcm[i]))
            return EMOTION_NOT_A_NUMBER;
    find_log_mel(w, weights, pcm, n, n_frames);
    find_frames(w, weights, n_frames);
    find_active(w, pcm, n, n_frames);
#if EMOTION_HAS_LINEAR
    pool(w, n_frames);
    score_linear(w, weights, scores);
#endif
#if EMOTION_N_NETWORKS
    score_networks(w, weights, n_frames, EMOTION_HAS_LINEAR ? w->scores : scores);
    for (i = 0; i < EMOTION_N_LABELS && EMOTION_HAS_LINEAR; i++)
        scores[i] = (scores[i] + w->scores[i]) / 2;
#endif
    for (i = 0; i < EMOTION_N_LABELS; i++)
        if (!is_number(scores[i]))
            return EMOTION_NOT_A_NUMBER;
    return EMOTION_OK;
}

int emotion_weights_fit(const void *weights, size_t n_bytes)
{
    const unsigned char *bytes = weights;
    unsigned long sum = 2166136261ul;
    const float one = 1;
    static const unsigned char little_endian_one[4] = {0, 0, 0x80, 0x3f};
    size_t i;
    if (n_bytes != EMOTION_WEIGHTS_BYTES || memcmp(&one, little_endian_one, sizeof one) != 0)
        return 0;
    for (i = 0; i < n_bytes; i++)
        sum = ((sum ^ bytes[i]) * 16777619ul) & 0xfffffffful; /* FNV-1a */
    return sum == WEIGHTS_FNV;
}

#ifdef EMOTION_CHECK
/* Compares with what the program that wrote these files answered: emotion WEIGHTS VECTORS. */
#include <stdio.h>

static float check_weights[EMOTION_WEIGHTS_BYTES / sizeof(float)], check_pcm[EMOTION_MAX_SAMPLES];
static emotion_work check_work;

int main(int argc, char **argv)
{
    FILE *weights = argc == 3 ? fopen(argv[1], "rb") : NULL,
         *vectors = argc == 3 ? fopen(argv[2], "rb") : NULL;
    float n_samples, expected[EMOTION_N_LABELS], scores[EMOTION_N_LABELS], largest = 0, away;
    int n_vectors = 0, n_wrong = 0, i;
    if (!weights || !vectors ||
        fread(check_weights, 1, sizeof check_weights, weights) != sizeof check_weights ||
        !emotion_weights_fit(check_weights, sizeof check_weights)) {
        fprintf(stderr, "usage: %s weights.bin vectors.bin, both as they were written\n", argv[0]);
        return 2;
    }
    for (; fread(&n_samples, sizeof n_samples, 1, vectors) == 1; n_vectors++) {
        size_t n = n_samples >= 0 && n_samples <= EMOTION_MAX_SAMPLES ? (size_t)n_samples : 0;
        if (fread(check_pcm, sizeof *check_pcm, n, vectors) != n ||
            fread(expected, sizeof expected, 1, vectors) != 1 ||
            emotion_scores(&check_work, check_weights, check_pcm, n, scores) != EMOTION_OK) {
            fprintf(stderr, "test vector %d cannot be read\n", n_vectors + 1);
            return 2;
        }
        for (i = 0; i < EMOTION_N_LABELS; i++) {
            away = fabsf(scores[i] - expected[i]);
            n_wrong += !(away <= EMOTION_TOLERANCE);
            largest = away > largest ? away : largest;
        }
    }
    fclose(weights);
    fclose(vectors);
    printf("%d recordings, largest difference of a score %.3g\n", n_vectors, (double)largest);
    return n_vectors > 0 && n_wrong == 0 ? 0 : 1;
}
#endif

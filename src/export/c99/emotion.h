
/* Sound in: 16 kHz, mono, -1 to 1, of EMOTION_MIN_SAMPLES to EMOTION_MAX_SAMPLES, one utterance: what is
 * longer is best cut into pieces whose scores are averaged. Scores out: how probable each emotion is. There
 * is no allocation and no input or output in here; whether anybody speaks at all is for the caller to know.
 */
#define EMOTION_RATE_HZ     16000
#define EMOTION_MIN_SAMPLES 400
#define EMOTION_MAX_SAMPLES 160000
#define EMOTION_MAX_FRAMES  (1 + EMOTION_MAX_SAMPLES / EMOTION_HOP)
#define EMOTION_TOLERANCE   1e-4f /* by which scores may differ from the test vectors' */

#ifdef __cplusplus
extern "C" {
#endif

enum {
    EMOTION_OK = 0,
    EMOTION_LENGTH = -1 /* too short or too long */,
    EMOTION_NOT_A_NUMBER = -2 /* in the sound */
};

/* The scores' names, in alphabetical order. */
extern const char *const emotion_labels[EMOTION_N_LABELS];

/* Memory to answer with: static, or allocated once; need not be cleared; belongs to one thread. */
typedef struct emotion_work {
    float re[1025], im[1025], power[1025];
    float log_mel[EMOTION_MAX_FRAMES * 128];
    float frames[EMOTION_MAX_FRAMES * EMOTION_DIMS], level[EMOTION_MAX_FRAMES];
    unsigned char active[EMOTION_MAX_FRAMES];
#if EMOTION_HAS_LINEAR
    double sum[EMOTION_DIMS], squares[EMOTION_DIMS];
    float pooled[4 * EMOTION_DIMS];
#endif
#if EMOTION_N_NETWORKS
    float scaled[EMOTION_DIMS];
    float x[EMOTION_MAX_FRAMES * EMOTION_FILTERS], y[EMOTION_MAX_FRAMES * EMOTION_FILTERS],
        z[EMOTION_MAX_FRAMES * EMOTION_FILTERS];
    double sums[EMOTION_FILTERS];
    float hidden[EMOTION_FILTERS], dense_1[128], dense_2[64], scores[EMOTION_N_LABELS];
#endif
} emotion_work;

/* weights: what stands in weights.bin (EMOTION_WEIGHTS_BYTES), at an address that suits a float: read, mapped
 * or linked in; shared by threads. scores (EMOTION_N_LABELS). */
int emotion_scores(emotion_work *work, const float *weights, const float *pcm, size_t n_samples,
                   float *scores);

/* Not 0: these are the weights that belong to this code, on a little-endian machine: worth asking once. */
int emotion_weights_fit(const void *weights, size_t n_bytes);

#ifdef __cplusplus
}
#endif

#endif

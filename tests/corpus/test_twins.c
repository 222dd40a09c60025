/* All pairs of recordings of EMO-DB and RAVDESS: no take may pass for a copy of another, and altered copies
 * must be found. */
#include "audio/audio.h"
#include "audio/augment.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/threads.h"
#include "corpus/leaks.h"
#include "tree.h"
#include <sndfile.h>

enum { ALTER_EVERY = 25 };

typedef struct sample_set {
    ser_corpus *corpus;
    ser_fingerprint **fingerprints;
} sample_set;

static ser_status load_one(void *context, size_t item, int worker, ser_error *e)
{
    (void)worker;
    sample_set *s = context;
    float *pcm = NULL;
    size_t n;
    ser_status st = ser_audio_load(&pcm, &n, s->corpus->utterances[item].path, NULL, e);
    if (st == SER_OK)
        st = ser_fingerprint_new(&s->fingerprints[item], pcm, n, e);
    ser_free(pcm);
    return st;
}

/* RAVDESS does have one recording twice. */
static bool is_known_pair(const char *a, const char *b)
{
    return strcmp(a, "RAVDESS/03-01-03-01-02-01-07") == 0 && strcmp(b, "RAVDESS/03-01-03-01-02-02-07") == 0;
}

static void test_pairs(const sample_set *s)
{
    float largest = 0;
    size_t n_false = 0, n_known = 0;
    for (size_t i = 0; i < s->corpus->n_utterances; i++)
        for (size_t j = 0; j < i; j++) {
            float similarity = ser_fingerprint_similarity(s->fingerprints[i], s->fingerprints[j]);
            if (is_known_pair(s->corpus->utterances[j].name, s->corpus->utterances[i].name))
                n_known += similarity >= SER_TWIN_SIMILARITY;
            else if (similarity > largest)
                largest = similarity;
            n_false += similarity >= SER_TWIN_SIMILARITY;
        }
    printf("different recordings: up to %.3f\n", (double)largest);
    CHECK(n_known == 1 && n_false == 1 && largest < SER_TWIN_SIMILARITY - 0.08f);
}

typedef enum alteration {
    GAIN,
    EIGHT_BIT,
    OGG,
    MP3,
    RESAMPLED,
    TELEPHONE,
    NOISE_20_DB,
    CUT_50_MS,
    CUT_100_MS,
    N_ALTERATIONS
} alteration;
static const char *const alteration_names[] = {"gain",           "8 bit",     "Ogg, level 0.9",
                                               "MP3, level 0.7", "44.1 kHz",  "telephone",
                                               "noise 20 dB",    "cut 50 ms", "cut 100 ms"};
/* 8 bit leaves nothing of the quietest recordings of RAVDESS: they peak at one step. */
static const double least_recall[] = {1, 0.85, 1, 1, 1, 1, 1, 1, 1};

static void through_file(float **pcm, size_t *n, int format, double compression)
{
    const char *path = tree_path("copy");
    ser_error e;
    SF_INFO info = {.samplerate = 16000, .channels = 1, .format = format};
    SNDFILE *file = sf_open(path, SFM_WRITE, &info);
    CHECK(file);
    sf_command(file, SFC_SET_COMPRESSION_LEVEL, &compression, sizeof compression);
    CHECK(sf_writef_float(file, *pcm, (sf_count_t)*n) == (sf_count_t)*n);
    sf_close(file);
    ser_free(*pcm);
    CHECK_OK(ser_audio_load(pcm, n, path, NULL, &e), &e);
}

static void resample(float **pcm, size_t *n, double from, double to)
{
    float *out;
    ser_error e;
    CHECK_OK(ser_audio_resample(&out, n, *pcm, *n, from, to, &e), &e);
    ser_free(*pcm);
    *pcm = out;
}

static void alter(float **pcm, size_t *n, alteration how)
{
    ser_random r;
    ser_error e;
    ser_random_init(&r, 1);
    size_t cut = how == CUT_50_MS ? 800 : 1600;
    switch (how) {
    case GAIN:
        ser_augment_gain(*pcm, *n, -17.3);
        break;
    case EIGHT_BIT:
        for (size_t i = 0; i < *n; i++)
            (*pcm)[i] = roundf((*pcm)[i] * 127) / 127;
        break;
    case OGG:
        through_file(pcm, n, SF_FORMAT_OGG | SF_FORMAT_VORBIS, 0.9);
        break;
    case MP3:
        through_file(pcm, n, SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, 0.7);
        break;
    case RESAMPLED:
        resample(pcm, n, 16000, 44100);
        resample(pcm, n, 44100, 16000);
        break;
    case TELEPHONE:
        CHECK_OK(ser_augment_telephone(*pcm, *n, &e), &e);
        break;
    case NOISE_20_DB:
        ser_augment_add_noise(*pcm, *n, SER_NOISE_PINK, 20, &r);
        break;
    default:
        memmove(*pcm, *pcm + cut, (*n - 2 * cut) * sizeof **pcm);
        *n -= 2 * cut;
    }
}

static void test_copies(const sample_set *s)
{
    ser_error e;
    for (int how = 0; how < N_ALTERATIONS; how++) {
        size_t n_copies = 0, n_found = 0;
        float least = 1;
        for (size_t i = 0; i < s->corpus->n_utterances; i += ALTER_EVERY) {
            float *pcm;
            size_t n;
            ser_fingerprint *f;
            CHECK_OK(ser_audio_load(&pcm, &n, s->corpus->utterances[i].path, NULL, &e), &e);
            alter(&pcm, &n, (alteration)how);
            CHECK_OK(ser_fingerprint_new(&f, pcm, n, &e), &e);
            float similarity = ser_fingerprint_similarity(f, s->fingerprints[i]);
            n_copies++;
            n_found += similarity >= SER_TWIN_SIMILARITY;
            least = fminf(least, similarity);
            ser_fingerprint_free(&f);
            ser_free(pcm);
        }
        printf("%-16s  %zu of %zu copies found, similarity at least %.3f\n", alteration_names[how], n_found,
               n_copies, (double)least);
        CHECK((double)n_found >= least_recall[how] * (double)n_copies);
    }
}

int main(void)
{
    const char *shared = getenv("SER_SHARED");
    char data[1024];
    ser_error err;
    sample_set s = {0};
    snprintf(data, sizeof data, "%.1000s/data", shared ? shared : "");
    if (!shared || access(data, R_OK) != 0)
        return 77;
    tree_make();
    CHECK_OK(ser_corpus_open(&s.corpus, "EMODB+RAVDESS", data, &err), &err);
    s.fingerprints = ser_alloc(s.corpus->n_utterances, sizeof *s.fingerprints);
    CHECK_OK(ser_parallel_for(0, s.corpus->n_utterances, load_one, &s, &err), &err);
    test_pairs(&s);
    test_copies(&s);
    for (size_t i = 0; i < s.corpus->n_utterances; i++)
        ser_fingerprint_free(&s.fingerprints[i]);
    ser_free(s.fingerprints);
    ser_corpus_free(&s.corpus);
    tree_remove();
    return test_summary();
}

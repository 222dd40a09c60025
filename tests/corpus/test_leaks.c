#include "base/memory.h"
#include "base/random.h"
#include "base/sha256.h"
#include "corpus/leaks.h"
#include "failures/failing.h"
#include "tree.h"

static ser_error err;

/* Something like a voice: 20 harmonics of a wandering pitch, in syllables, at two moving resonances. */
enum { N_VOICE = 40000 };
static void make_voice(float *pcm, uint64_t seed)
{
    ser_random r;
    ser_random_init(&r, seed);
    double phase = 0, pitch = ser_random_between(&r, 90, 250), level = 0, resonance[2] = {500, 1500};
    double pitch_slope = 0, level_goal = 1, goal[2] = {500, 1500};
    for (size_t i = 0; i < N_VOICE; i++) {
        if (i % 1600 == 0) {
            pitch_slope = ser_random_between(&r, -0.004, 0.004);
            level_goal = ser_random_below(&r, 3) ? ser_random_between(&r, 0.3, 1) : 0;
            goal[0] = ser_random_between(&r, 250, 900);
            goal[1] = ser_random_between(&r, 900, 2500);
        }
        pitch = fmin(fmax(pitch + pitch_slope, 80), 300);
        level += (level_goal - level) * 0.002;
        phase += 6.283185307179586 * pitch / 16000;
        double sum = 0;
        for (int h = 1; h <= 20; h++) {
            double amplitude = 0;
            for (int k = 0; k < 2; k++) {
                double away = (h * pitch - resonance[k]) / 120;
                amplitude += 1 / (1 + away * away);
            }
            sum += amplitude * sin(h * phase);
        }
        for (int k = 0; k < 2; k++)
            resonance[k] += (goal[k] - resonance[k]) * 0.001;
        pcm[i] = (float)(0.1 * level * sum);
    }
}

static ser_fingerprint *fingerprint(const float *pcm, size_t n)
{
    ser_fingerprint *f;
    CHECK_OK(ser_fingerprint_new(&f, pcm, n, &err), &err);
    return f;
}

static float compare(const float *a, size_t n_a, const float *b, size_t n_b)
{
    ser_fingerprint *x = fingerprint(a, n_a), *y = fingerprint(b, n_b);
    float there = ser_fingerprint_similarity(x, y), back = ser_fingerprint_similarity(y, x);
    CHECK(there == back && there >= 0 && there <= 1);
    ser_fingerprint_free(&x);
    ser_fingerprint_free(&y);
    return there;
}

static void test_similarity(void)
{
    static float a[N_VOICE], b[N_VOICE], c[N_VOICE + 40000];
    make_voice(a, 1);
    CHECK(compare(a, N_VOICE, a, N_VOICE) == 1);
    for (uint64_t seed = 2; seed < 12; seed++) {
        make_voice(b, seed);
        CHECK(compare(a, N_VOICE, b, N_VOICE) < 0.4f);
    }
    for (size_t i = 0; i < N_VOICE; i++)
        b[i] = -0.013f * a[i];
    CHECK(compare(a, N_VOICE, b, N_VOICE) > 0.999f); /* gain and polarity */
    for (size_t i = 0; i < N_VOICE; i++)
        b[i] = roundf(a[i] * 127) / 127;
    CHECK(compare(a, N_VOICE, b, N_VOICE) > 0.9f); /* 8 bit */
    const size_t cuts[] = {1, 160, 801, 1600,
                           2400}; /* 100 ms and more off both ends; half a frame is worst */
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        CHECK(compare(a, N_VOICE, a + cuts[i], N_VOICE - 2 * cuts[i]) > 0.8f);
        CHECK(compare(a, N_VOICE, a, N_VOICE - cuts[i]) > 0.9f);
    }
    memcpy(c + 24000, a, sizeof a); /* pauses in front and behind */
    CHECK(compare(a, N_VOICE, c, N_VOICE + 40000) > 0.9f);
    for (size_t i = 0; i < N_VOICE; i++)
        b[i] = a[N_VOICE - 1 - i];
    CHECK(compare(a, N_VOICE, b, N_VOICE) < 0.4f);
}

/* Less than half a second, silence, samples beyond all measure: only equal samples are the same. */
static void test_little(void)
{
    static float a[N_VOICE], b[N_VOICE];
    make_voice(a, 1);
    memcpy(b, a, sizeof b);
    b[100] += 1e-3f;
    CHECK(compare(a, 6000, a, 6000) == 1 && compare(a, 6000, b, 6000) == 0);
    CHECK(compare(a, N_VOICE, b, N_VOICE) > 0.999f);
    CHECK(compare(a, 6000, a, N_VOICE) == 0);
    CHECK(compare(a, 0, b, 0) == 1);
    memset(a, 0, sizeof a);
    CHECK(compare(a, N_VOICE, a, N_VOICE) == 1 && compare(a, N_VOICE, a, N_VOICE - 1) == 0);
    CHECK(compare(a, N_VOICE, b, N_VOICE) == 0);
    for (size_t i = 0; i < N_VOICE; i++)
        a[i] = i % 2 ? 3e38f : -3e38f;
    CHECK(compare(a, N_VOICE, a, N_VOICE) == 1 && compare(a, N_VOICE, b, N_VOICE) == 0);
}

static void test_bytes(void)
{
    static float pcm[N_VOICE];
    make_voice(pcm, 5);
    ser_fingerprint *f = fingerprint(pcm, N_VOICE), *g;
    char hex[65];
    ser_sha256 h;
    ser_sha256_init(&h);
    ser_sha256_add(&h, pcm, sizeof pcm);
    ser_sha256_finish(&h, hex);
    CHECK(strcmp(ser_fingerprint_sha256(f), hex) == 0);
    size_t n, n_again;
    const void *bytes = ser_fingerprint_bytes(f, &n);
    char *moved = malloc(n + 1); /* no alignment is promised */
    memcpy(moved + 1, bytes, n);
    CHECK_OK(ser_fingerprint_from_bytes(&g, moved + 1, n, &err), &err);
    CHECK(memcmp(ser_fingerprint_bytes(g, &n_again), bytes, n) == 0 && n_again == n);
    CHECK(ser_fingerprint_similarity(f, g) == 1);
    ser_fingerprint_free(&g);
    CHECK(!g);
    const size_t lengths[] = {0, 1, 87, n - 1};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        CHECK_FAILS(ser_fingerprint_from_bytes(&g, moved + 1, lengths[i], &err), SER_E_FORMAT, &err,
                    "fingerprint");
    moved[1] ^= 64; /* the version */
    CHECK_FAILS(ser_fingerprint_from_bytes(&g, moved + 1, n, &err), SER_E_FORMAT, &err, "fingerprint");
    moved[1] ^= 64;
    moved[5] ^= 1; /* the number of frames */
    CHECK_FAILS(ser_fingerprint_from_bytes(&g, moved + 1, n, &err), SER_E_FORMAT, &err, "fingerprint");
    CHECK(!g);
    moved[5] ^= 1;
    for (long i = 0; i < 1; i++) {
        failing_at(i);
        CHECK(ser_fingerprint_from_bytes(&g, moved + 1, n, &err) == SER_E_NOMEM && !g);
        failing_at(-1);
    }
    ser_status st = SER_E_NOMEM;
    long i = 0;
    for (; st != SER_OK && i < 100; i++) {
        failing_at(i);
        st = ser_fingerprint_new(&g, pcm, N_VOICE, &err);
        failing_at(-1);
        CHECK(st == SER_OK ? g != NULL : st == SER_E_NOMEM && !g);
        ser_fingerprint_free(&g);
    }
    CHECK(st == SER_OK && i > 10);
    ser_fingerprint_free(&f);
    free(moved);
}

static bool stop_at_once(void *context, const char *what, size_t done, size_t total)
{
    (void)context;
    CHECK(strcmp(what, "copies") == 0 && done == 6 && total == 6);
    return false;
}

/* Fold 0: u0 u1 u2, fold 1: u3 u4, fold 2: u5. u1 and u3 are copies, u0 and u2 too, but in one fold; u0 and
 * u4 are takes of a text by one speaker in one emotion, u2 and u5 are not: what speaker b says is unknown. */
static void test_counts(void)
{
    tree_touch("u0.wav u1.wav u2.wav u3.wav u4.wav u5.wav");
    tree_write_text("leaks.csv",
                    "file,emotion,speaker,text,fold\nu0.wav,sad,a,t,0\nu1.wav,sad,a,s,0\n"
                    "u2.wav,angry,b,,0\nu3.wav,angry,c,s,1\nu4.wav,sad,a,t,1\nu5.wav,angry,b,,2\n");
    static float pcm[N_VOICE];
    ser_corpus *c;
    ser_folds *folds;
    CHECK_OK(ser_corpus_open(&c, tree_path("leaks.csv"), NULL, &err), &err);
    CHECK_OK(ser_folds_new(&folds, c, &(ser_protocol){.kind = SER_PROTOCOL_EMOBOX}, 1, &err), &err);
    ser_fingerprint *f[6];
    const uint64_t voices[6] = {1, 2, 1, 2, 3, 4};
    for (size_t i = 0; i < 6; i++) {
        make_voice(pcm, voices[i]);
        f[i] = fingerprint(pcm + (i == 3 ? 700 : 0), N_VOICE - 800);
    }
    ser_leaks l;
    for (int n_threads = 1; n_threads <= 3; n_threads++) {
        CHECK_OK(ser_leaks_find(&l, c, folds, f, n_threads, NULL, &err), &err);
        CHECK(l.n_folds == 3);
        CHECK(l.speakers[0] == 2 && l.speakers[1] == 1 && l.speakers[2] == 1);
        CHECK(l.texts[0] == 2 && l.texts[1] == 2 && l.texts[2] == -1); /* not all texts are known */
        CHECK(l.duplicates[0] == 1 && l.duplicates[1] == 1 && l.duplicates[2] == 0);
        CHECK(l.takes[0] == 1 && l.takes[1] == 1 && l.takes[2] == -1);
        CHECK(strcmp(l.examples[0], "u1.wav is u3.wav") == 0 &&
              strcmp(l.examples[1], "u3.wav is u1.wav") == 0 && !*l.examples[2]);
        ser_leaks_release(&l);
        CHECK(!l.speakers && !l.n_folds);
    }
    const ser_progress stop = {.fn = stop_at_once};
    CHECK(ser_leaks_find(&l, c, folds, f, 2, &stop, &err) == SER_E_CANCELLED && !l.speakers);
    ser_fingerprint_free(&f[3]); /* unknown sound is no copy */
    CHECK_OK(ser_leaks_find(&l, c, folds, f, 1, NULL, &err), &err);
    CHECK(l.duplicates[0] == 0 && l.duplicates[1] == 0 && l.speakers[0] == 2);
    ser_leaks_release(&l);
    ser_status st = SER_E_NOMEM;
    long n = 0;
    for (; st != SER_OK && n < 100; n++) {
        failing_at(n);
        st = ser_leaks_find(&l, c, folds, f, 1, NULL, &err);
        failing_at(-1);
        CHECK(st == SER_OK || (st == SER_E_NOMEM && !l.speakers && !l.examples));
    }
    CHECK(st == SER_OK && n > 8);
    ser_leaks_release(&l);
    for (size_t i = 0; i < 6; i++)
        ser_fingerprint_free(&f[i]);
    ser_folds_free(&folds);
    ser_corpus_free(&c);
}

/* What is known of EmoBox's folds: EMO-DB's share all ten speakers, and in the first, 16 recordings have
 * another take in training; RAVDESS's share no speaker. */
static void test_emobox(const char *shared)
{
    char data[1100], list[1200];
    snprintf(data, sizeof data, "%s/data", shared);
    for (int i = 0; i < 2; i++) {
        ser_corpus *c;
        ser_folds *folds;
        CHECK_OK(ser_corpus_open(&c, i ? "RAVDESS" : "EMODB", data, &err), &err);
        snprintf(list, sizeof list, "%s/emobox/%s_test_folds.csv", data, i ? "ravdess" : "emodb");
        ser_protocol p = {.kind = SER_PROTOCOL_EMOBOX, .folds_path = list};
        CHECK_OK(ser_folds_new(&folds, c, &p, 1, &err), &err);
        static ser_fingerprint *none[1440];
        ser_leaks l;
        CHECK_OK(ser_leaks_find(&l, c, folds, none, 2, NULL, &err), &err);
        for (size_t k = 0; k < l.n_folds; k++) {
            CHECK(l.speakers[k] == (i ? 0 : 10) && l.texts[k] == (i ? 2 : 10) && l.duplicates[k] == 0);
            CHECK(i ? l.takes[k] == 0 : l.takes[k] > 0);
        }
        CHECK(i || l.takes[0] == 16);
        ser_leaks_release(&l);
        ser_folds_free(&folds);
        ser_corpus_free(&c);
    }
}

int main(void)
{
    tree_make();
    test_similarity();
    test_little();
    test_bytes();
    test_counts();
    tree_remove();
    const char *shared = getenv("SER_SHARED");
    char data[1024];
    snprintf(data, sizeof data, "%.1000s/data", shared ? shared : "");
    if (shared && access(data, R_OK) == 0)
        test_emobox(shared);
    return test_summary();
}

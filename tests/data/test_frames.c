/* Frames and pooled statistics are the same bits whether they come from recordings, a feature tree or the
 * cache. */
#include "base/memory.h"
#include "corpus.h"
#include "data/fill.h"
#include "data/frames.h"

enum { N_COPIES = 2 };

static char features[512], cache[512];
static made_tools tools;

static ser_tree *open_tree(void)
{
    ser_error err = {0}, reason;
    ser_tree *tree = NULL;
    ser_tree_filled filled;
    const ser_tree_fill_settings settings = {.features_dir = features, .n_threads = 1};
    CHECK_OK(ser_tree_fill(&filled, &made_corpus, tools.extractor, &tools.recipe, &settings, &err), &err);
    ser_tree_filled_release(&filled);
    CHECK_OK(ser_tree_open(&tree, &reason, features, "MADE", tools.extractor, &tools.recipe, &err), &err);
    CHECK(tree != NULL);
    return tree;
}

static ser_store_settings settings_of(size_t n_copies, const char *folder, const ser_tree *tree)
{
    return (ser_store_settings){.extractor = tools.extractor,
                                .features_key = "test",
                                .n_copies = n_copies,
                                .seed = 46,
                                .n_threads = 2,
                                .folder = folder,
                                .tree = tree,
                                .pool_encoder = tools.recipe.pool_encoder};
}

static const ser_condense as_they_are = {0};

static ser_frame_set *make_set(const ser_corpus *corpus, const ser_store_settings *settings,
                               size_t n_computed)
{
    ser_error err = {0};
    ser_frame_set *s = NULL;
    CHECK_OK(ser_frame_set_new(&s, corpus, settings, &as_they_are, &err), &err);
    CHECK(s && s->n_computed == n_computed);
    return s;
}

static ser_store *make_store(const ser_corpus *corpus, const ser_store_settings *settings, size_t n_computed)
{
    ser_error err = {0};
    ser_store *s = NULL;
    CHECK_OK(ser_store_new(&s, corpus, settings, &err), &err);
    CHECK(s && s->n_computed == n_computed);
    return s;
}

static bool same_recordings(const ser_recording *a, const ser_recording *b)
{
    for (size_t u = 0; u < N_RECORDINGS; u++)
        if (strcmp(a[u].sha256, b[u].sha256) != 0 || a[u].n_samples != b[u].n_samples ||
            ser_fingerprint_similarity(a[u].fingerprint, b[u].fingerprint) != 1)
            return false;
    return true;
}

/* n_rows: as many as both have. */
static bool same_frames(const ser_frame_set *a, const ser_frame_set *b, size_t n_rows)
{
    if (a->dims != b->dims || !same_recordings(a->recordings, b->recordings))
        return false;
    for (size_t u = 0; u < N_RECORDINGS; u++)
        for (size_t r = 0; r < n_rows; r++) {
            const ser_frame_row *x = ser_frame_set_row(a, u, r), *y = ser_frame_set_row(b, u, r);
            if (x->n_frames != y->n_frames || memcmp(x->x, y->x, x->n_frames * a->dims * sizeof *x->x) != 0)
                return false;
        }
    return true;
}

static bool same_pooled(const ser_store *a, const ser_store *b)
{
    bool same = a->dims == b->dims && same_recordings(a->recordings, b->recordings);
    for (size_t u = 0; u < N_RECORDINGS && same; u++)
        same = memcmp(ser_store_row(a, u, 0), ser_store_row(b, u, 0), a->dims * sizeof(float)) == 0;
    return same;
}

static void test_same_bits(void)
{
    ser_error err = {0};
    ser_corpus *listed;
    ser_tree *tree = open_tree();
    ser_store_settings computing = settings_of(N_COPIES, NULL, NULL), caching = computing,
                       reading = computing;
    caching.folder = cache;
    reading.n_copies = 0;
    reading.tree = tree;
    enum { N_ROWS = N_RECORDINGS * (1 + N_COPIES) };
    ser_frame_set *computed = make_set(&made_corpus, &computing, N_ROWS),
                  *first = make_set(&made_corpus, &caching, N_ROWS),
                  *again = make_set(&made_corpus, &caching, 0), *read = make_set(&made_corpus, &reading, 0);
    CHECK(same_frames(computed, first, 1 + N_COPIES) && same_frames(computed, again, 1 + N_COPIES) &&
          same_frames(computed, read, 1));
    CHECK(ser_frame_set_row(computed, 1, 1)->n_frames >= 1 &&
          memcmp(ser_frame_set_row(computed, 1, 1)->x, ser_frame_set_row(computed, 1, 2)->x, 1024) != 0);
    ser_store *pooled = make_store(&made_corpus, &computing, N_ROWS),
              *kept = make_store(&made_corpus, &caching, 0), /* beside the frames */
                  *pooled_read = make_store(&made_corpus, &reading, 0);
    CHECK(memcmp(pooled->pooled, kept->pooled, N_ROWS * pooled->dims * sizeof(float)) == 0 &&
          same_pooled(pooled, pooled_read));
    /* Without recordings. */
    CHECK_OK(ser_tree_index_corpus(&listed, &tree->index, &err), &err);
    reading.without_audio = true;
    ser_frame_set *silent = make_set(listed, &reading, 0);
    ser_store *pooled_silent = make_store(listed, &reading, 0);
    CHECK(same_frames(computed, silent, 1) && same_pooled(pooled, pooled_silent));
    ser_frame_set *none = NULL;
    reading.n_copies = 1;
    CHECK_FAILS(ser_frame_set_new(&none, listed, &reading, &as_they_are, &err), SER_E_IO, &err,
                "--augment none");
    CHECK(!none);
    ser_corpus_free(&listed);
    ser_store_free(&pooled);
    ser_store_free(&kept);
    ser_store_free(&pooled_read);
    ser_store_free(&pooled_silent);
    ser_frame_set_free(&computed);
    ser_frame_set_free(&first);
    ser_frame_set_free(&again);
    ser_frame_set_free(&read);
    ser_frame_set_free(&silent);
    ser_tree_close(&tree);
}

/* Another recording under the same name is not taken from the tree. */
static void test_changed_recording(void)
{
    ser_tree *tree = open_tree();
    ser_store_settings reading = settings_of(0, NULL, tree), computing = settings_of(0, NULL, NULL);
    make_recording("r3.wav", 0.7, 33);
    ser_frame_set *read = make_set(&made_corpus, &reading, 1),
                  *computed = make_set(&made_corpus, &computing, N_RECORDINGS);
    CHECK(same_frames(read, computed, 1));
    ser_frame_set_free(&read);
    ser_frame_set_free(&computed);
    make_corpus();
    CHECK(truncate(scratch("features/LOGMEL+WHISPER/MADE_LOGMEL+WHISPER/r2.npy"), 999) == 0);
    ser_error err = {0};
    CHECK_FAILS(ser_frame_set_new(&read, &made_corpus, &reading, &as_they_are, &err), SER_E_FORMAT, &err,
                "/r2.npy: it holds");
    ser_tree_close(&tree);
}

/* A damaged entry of the cache is computed again. */
static void test_damaged_cache(void)
{
    char command[1200];
    ser_store_settings caching = settings_of(0, cache, NULL);
    ser_frame_set *before = make_set(&made_corpus, &caching, 0);
    snprintf(command, sizeof command,
             "find '%s' -name '*.safetensors' | while read -r f; do echo x > \"$f\"; done", cache);
    CHECK(system(command) == 0);
    ser_frame_set *after = make_set(&made_corpus, &caching, N_RECORDINGS);
    CHECK(same_frames(before, after, 1));
    ser_frame_set_free(&before);
    ser_frame_set_free(&after);
}

static void moments(const ser_frame_set *s, int speaker, size_t i, double *mean, double *deviation)
{
    double n = 0, sum = 0, squares = 0;
    for (size_t u = 0; u < N_RECORDINGS; u++) {
        const ser_frame_row *row = ser_frame_set_row(s, u, 0);
        for (size_t t = 0; made_utterances[u].speaker == speaker && t < row->n_frames; t++) {
            double v = row->x[t * s->dims + i];
            n++, sum += v, squares += v * v;
        }
    }
    *mean = sum / n;
    *deviation = sqrt(squares / n - *mean * *mean);
}

static void test_normalize(void)
{
    ser_error err = {0};
    ser_store_settings computing = settings_of(1, NULL, NULL);
    ser_frame_set *raw = make_set(&made_corpus, &computing, 2 * N_RECORDINGS),
                  *s = make_set(&made_corpus, &computing, 2 * N_RECORDINGS);
    CHECK_OK(ser_frame_set_normalize(s, &made_corpus, SER_NORMALIZE_NONE, 2, &err), &err);
    CHECK(same_frames(raw, s, 2));
    CHECK_OK(ser_frame_set_normalize(s, &made_corpus, SER_NORMALIZE_SPEAKER, 2, &err), &err);
    for (int speaker = 0; speaker < 2; speaker++)
        for (size_t i = 0; i < s->dims; i += 7) {
            double mean, deviation, raw_mean, raw_deviation;
            moments(s, speaker, i, &mean, &deviation);
            moments(raw, speaker, i, &raw_mean, &raw_deviation);
            CHECK(fabs(mean) < 1e-4 && fabs(deviation - 1) < 1e-3);
            const ser_frame_row *x = ser_frame_set_row(s, (size_t)speaker * 3, 1),
                                *y = ser_frame_set_row(raw, (size_t)speaker * 3, 1);
            CHECK(fabs((y->x[i] - raw_mean) / raw_deviation - x->x[i]) < 1e-2); /* copies by the same */
        }
    for (size_t u = 0; u < N_RECORDINGS; u++) /* a constant */
        for (size_t t = 0; t < ser_frame_set_row(raw, u, 0)->n_frames; t++)
            raw->rows[u * raw->n_rows].x[t * raw->dims + 5] = 3;
    CHECK_OK(ser_frame_set_normalize(raw, &made_corpus, SER_NORMALIZE_CORPUS, 2, &err), &err);
    CHECK(ser_frame_set_row(raw, 2, 0)->x[5] == 0 && ser_frame_set_row(raw, 2, 1)->x[5] == 0);
    made_utterances[1].speaker = -1;
    CHECK_FAILS(ser_frame_set_normalize(s, &made_corpus, SER_NORMALIZE_SPEAKER, 2, &err), SER_E_ARG, &err,
                "has no speakers");
    make_corpus();
    ser_frame_set_free(&raw);
    ser_frame_set_free(&s);
}

static void test_no_memory(void)
{
    ser_error err = {0};
    ser_frame_set *s = NULL;
    ser_store_settings computing = settings_of(1, cache, NULL);
    computing.n_threads = 1;
    ser_status st = SER_E_NOMEM;
    for (long n = 0; st != SER_OK && n < 5000; n += 5) {
        ser_alloc_fail_at(n);
        st = ser_frame_set_new(&s, &made_corpus, &computing, &as_they_are, &err);
        CHECK(st == SER_OK || (st == SER_E_NOMEM && !s));
    }
    ser_alloc_fail_at(-1);
    CHECK_OK(st, &err);
    ser_frame_set_free(&s);
}

int main(void)
{
    scratch_make();
    make_corpus();
    snprintf(features, sizeof features, "%s", scratch("features"));
    snprintf(cache, sizeof cache, "%s", scratch("cache"));
    make_tools(&tools, "LOGMEL+WHISPER", "tiny", "2,0", SER_DEFAULT_HOP);
    test_same_bits();
    test_damaged_cache();
    test_normalize();
    test_no_memory();
    test_changed_recording();
    free_tools(&tools);
    make_tools(&tools, "WHISPER", "tiny", "1", SER_DEFAULT_HOP);
    tools.recipe.pool_encoder = true;
    test_same_bits();
    free_tools(&tools);
    scratch_remove();
    return test_summary();
}

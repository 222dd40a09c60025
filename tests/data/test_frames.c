/* Frames and pooled statistics are the same bits whether they come from recordings, a feature tree or the
 * cache. */
#include "base/memory.h"
#include "corpus.h"
#include "data/fill.h"
#include "data/intake.h"
#include "data/normalize.h"
#include "failures/failing.h"

enum { N_COPIES = 2 };

static char features[512], cache[512];
static made_tools tools;

static ser_tree *open_tree(void)
{
    ser_error err = {0}, reason;
    ser_tree *tree = NULL;
    ser_tree_filled filled;
    const ser_tree_fill_settings settings = {.features_dir = features, .n_threads = 1};
    const ser_tree_content content = {.extractor = tools.extractor, .recipe = &tools.recipe};
    CHECK_OK(ser_trees_fill(&filled, &content, 1, &made_corpus, &settings, &err), &err);
    ser_tree_filled_release(&filled);
    CHECK_OK(ser_tree_open(&tree, &reason, features, "MADE", tools.extractor, &tools.recipe, &err), &err);
    CHECK(tree != NULL);
    return tree;
}

static ser_intake_settings settings_of(size_t n_copies, const char *folder, const ser_tree *tree)
{
    return (ser_intake_settings){.extractor = tools.extractor,
                                 .features_key = "test",
                                 .n_copies = n_copies,
                                 .seed = 46,
                                 .n_threads = 2,
                                 .folder = folder,
                                 .tree = tree,
                                 .pool_encoder = tools.recipe.pool_encoder};
}

static const ser_condense as_they_are = {0};

/* What is taken in in one pass. */
typedef struct taken {
    ser_store *store;
    ser_frame_set *frames;
} taken;

static taken take(const ser_corpus *corpus, const ser_intake_settings *settings, bool with_frames,
                  size_t n_computed)
{
    ser_error err = {0};
    taken t = {0};
    CHECK_OK(ser_intake(&t.store, &t.frames, corpus, settings, with_frames ? &as_they_are : NULL, &err),
             &err);
    CHECK(t.store && t.store->n_computed == n_computed && !t.frames == !with_frames);
    return t;
}

static void release(taken *t)
{
    ser_store_free(&t->store);
    ser_frame_set_free(&t->frames);
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
    if (a->dims != b->dims)
        return false;
    for (size_t u = 0; u < N_RECORDINGS; u++)
        for (size_t r = 0; r < n_rows; r++) {
            const ser_frame_row *x = ser_frame_set_row(a, u, r), *y = ser_frame_set_row(b, u, r);
            if (x->n_frames != y->n_frames || memcmp(x->x, y->x, x->n_frames * a->dims * sizeof *x->x) != 0)
                return false;
        }
    return true;
}

static bool same_pooled(const ser_store *a, const ser_store *b, size_t n_rows)
{
    bool same = a->dims == b->dims && same_recordings(a->recordings, b->recordings);
    for (size_t u = 0; u < N_RECORDINGS && same; u++)
        for (size_t r = 0; r < n_rows && same; r++)
            same = memcmp(ser_store_row(a, u, r), ser_store_row(b, u, r), a->dims * sizeof(float)) == 0;
    return same;
}

static bool same(const taken *a, const taken *b, size_t n_rows)
{
    return same_pooled(a->store, b->store, n_rows) &&
           (!a->frames || !b->frames || same_frames(a->frames, b->frames, n_rows));
}

static void test_same_bits(void)
{
    ser_error err = {0};
    ser_corpus *listed;
    ser_tree *tree = open_tree();
    ser_intake_settings computing = settings_of(N_COPIES, NULL, NULL), caching = computing,
                        reading = computing;
    caching.folder = cache;
    reading.n_copies = 0;
    reading.tree = tree;
    enum { N_ROWS = N_RECORDINGS * (1 + N_COPIES) };
    taken computed = take(&made_corpus, &computing, true, N_ROWS),
          alone = take(&made_corpus, &computing, false, N_ROWS),
          pooled = take(&made_corpus, &caching, false, N_ROWS),
          first = take(&made_corpus, &caching, true, N_ROWS), /* the frames are not kept yet */
        again = take(&made_corpus, &caching, true, 0), read = take(&made_corpus, &reading, true, 0);
    CHECK(same(&computed, &alone, 1 + N_COPIES) && same(&computed, &pooled, 1 + N_COPIES) &&
          same(&computed, &first, 1 + N_COPIES) && same(&computed, &again, 1 + N_COPIES) &&
          same(&computed, &read, 1));
    const ser_frame_set *set = computed.frames;
    CHECK(ser_frame_set_row(set, 1, 1)->n_frames >= 1 &&
          memcmp(ser_frame_set_row(set, 1, 1)->x, ser_frame_set_row(set, 1, 2)->x, 1024) != 0);
    /* Without recordings. */
    CHECK_OK(ser_tree_index_corpus(&listed, &tree->index, &err), &err);
    reading.without_audio = true;
    taken silent = take(listed, &reading, true, 0), none = {0};
    CHECK(same(&computed, &silent, 1));
    reading.n_copies = 1;
    CHECK_FAILS(ser_intake(&none.store, &none.frames, listed, &reading, &as_they_are, &err), SER_E_IO, &err,
                "--augment none");
    CHECK(!none.store && !none.frames);
    ser_corpus_free(&listed);
    taken *all[] = {&computed, &alone, &pooled, &first, &again, &read, &silent};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        release(all[i]);
    ser_tree_close(&tree);
}

/* A recording under a condition is another one; the recording itself stays. */
static void test_condition(void)
{
    ser_intake_settings plain = settings_of(0, NULL, NULL), noisy = plain;
    noisy.condition = SER_CONDITION_NOISE;
    taken a = take(&made_corpus, &plain, true, N_RECORDINGS),
          b = take(&made_corpus, &noisy, true, 2 * N_RECORDINGS);
    CHECK(same(&a, &b, 1) && ser_store_test_row(a.store) == 0 && ser_store_test_row(b.store) == 1 &&
          ser_frame_set_test_row(b.frames) == 1);
    for (size_t u = 0; u < N_RECORDINGS; u++)
        CHECK(memcmp(ser_store_row(b.store, u, 0), ser_store_row(b.store, u, 1),
                     b.store->dims * sizeof(float)) != 0);
    release(&a);
    release(&b);
}

/* Stretches of one file are recordings of their own, with the features of files that hold just them. */
static void test_stretches(void)
{
    static char whole[512];
    const double start[] = {0.1, 0.3, 0}, end[] = {0.4, 0, 0};
    ser_utterance utterances[3];
    ser_corpus corpus = made_corpus;
    ser_error err = {0};
    make_recording("whole.wav", 0.8, 9);
    snprintf(whole, sizeof whole, "%s", scratch("whole.wav"));
    corpus.utterances = utterances;
    corpus.n_utterances = 3;
    for (int i = 0; i < 3; i++) {
        utterances[i] = made_utterances[i];
        utterances[i].path = whole;
        utterances[i].start_s = start[i];
        utterances[i].end_s = end[i];
    }
    ser_intake_settings caching = settings_of(0, cache, NULL);
    taken t = take(&corpus, &caching, false, 3), again = take(&corpus, &caching, false, 0);
    CHECK(t.store->recordings[0].n_samples == 4800 && t.store->recordings[1].n_samples == 8000 &&
          t.store->recordings[2].n_samples == 12800);
    CHECK(strcmp(t.store->recordings[1].sha256, again.store->recordings[1].sha256) == 0 &&
          strcmp(t.store->recordings[1].sha256, t.store->recordings[2].sha256) != 0);
    CHECK(memcmp(t.store->pooled, again.store->pooled, 3 * t.store->dims * sizeof(float)) == 0);
    cut_recording("whole.wav", "cut.wav", 4800, 12800);
    snprintf(whole, sizeof whole, "%s", scratch("cut.wav"));
    corpus.n_utterances = 1;
    utterances[0].start_s = utterances[0].end_s = 0;
    taken cut = take(&corpus, &caching, false, 1);
    CHECK(strcmp(cut.store->recordings[0].sha256, t.store->recordings[1].sha256) == 0);
    CHECK(memcmp(cut.store->pooled, ser_store_row(t.store, 1, 0), cut.store->dims * sizeof(float)) == 0);
    utterances[0].start_s = 7;
    release(&again);
    CHECK_FAILS(ser_intake(&again.store, NULL, &corpus, &caching, NULL, &err), SER_E_FORMAT, &err,
                "cut.wav: it holds 0.500 s");
    release(&t);
    release(&again);
    release(&cut);
}

/* Another recording under the same name is not taken from the tree. */
static void test_changed_recording(void)
{
    ser_tree *tree = open_tree();
    ser_intake_settings reading = settings_of(0, NULL, tree), computing = settings_of(0, NULL, NULL);
    make_recording("r3.wav", 0.7, 33);
    taken read = take(&made_corpus, &reading, true, 1),
          computed = take(&made_corpus, &computing, true, N_RECORDINGS);
    CHECK(same(&read, &computed, 1));
    release(&read);
    release(&computed);
    make_corpus();
    CHECK(truncate(scratch("features/LOGMEL+WHISPER/MADE_LOGMEL+WHISPER/r2.npy"), 999) == 0);
    ser_error err = {0};
    CHECK_FAILS(ser_intake(&read.store, &read.frames, &made_corpus, &reading, &as_they_are, &err),
                SER_E_FORMAT, &err, "/r2.npy: it holds");
    ser_tree_close(&tree);
}

/* A damaged entry of the cache is computed again. */
static void test_damaged_cache(void)
{
    char command[1200];
    ser_intake_settings caching = settings_of(0, cache, NULL);
    taken before = take(&made_corpus, &caching, true, 0);
    snprintf(command, sizeof command,
             "find '%s' -name '*.safetensors' | while read -r f; do echo x > \"$f\"; done", cache);
    CHECK(system(command) == 0);
    taken after = take(&made_corpus, &caching, true, N_RECORDINGS);
    CHECK(same(&before, &after, 1));
    release(&before);
    release(&after);
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
    ser_intake_settings computing = settings_of(1, NULL, NULL);
    taken raw_taken = take(&made_corpus, &computing, true, 2 * N_RECORDINGS),
          taken_too = take(&made_corpus, &computing, true, 2 * N_RECORDINGS);
    ser_frame_set *raw = raw_taken.frames, *s = taken_too.frames;
    CHECK_OK(ser_normalize_apply(NULL, s, &made_corpus, SER_NORMALIZE_NONE, 2, NULL, &err), &err);
    CHECK(same_frames(raw, s, 2));
    CHECK_OK(ser_normalize_apply(taken_too.store, s, &made_corpus, SER_NORMALIZE_SPEAKER, 2, NULL, &err),
             &err);
    CHECK(!same_pooled(raw_taken.store, taken_too.store, 1));
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
    CHECK_OK(ser_normalize_apply(NULL, raw, &made_corpus, SER_NORMALIZE_CORPUS, 2, NULL, &err), &err);
    CHECK(ser_frame_set_row(raw, 2, 0)->x[5] == 0 && ser_frame_set_row(raw, 2, 1)->x[5] == 0);
    made_utterances[1].speaker = -1;
    CHECK_FAILS(ser_normalize_apply(NULL, s, &made_corpus, SER_NORMALIZE_SPEAKER, 2, NULL, &err), SER_E_ARG,
                &err, "has no speakers");
    make_corpus();
    release(&raw_taken);
    release(&taken_too);
}

static void test_no_memory(void)
{
    ser_error err = {0};
    taken t = {0};
    ser_intake_settings computing = settings_of(1, cache, NULL);
    computing.n_threads = 1;
    ser_status st = SER_E_NOMEM;
    for (long n = 0; st != SER_OK && n < 5000; n += 5) {
        failing_at(n);
        st = ser_intake(&t.store, &t.frames, &made_corpus, &computing, &as_they_are, &err);
        CHECK(st == SER_OK || (st == SER_E_NOMEM && !t.store && !t.frames));
    }
    failing_at(-1);
    CHECK_OK(st, &err);
    release(&t);
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
    test_condition();
    test_stretches();
    test_changed_recording();
    free_tools(&tools);
    make_tools(&tools, "WHISPER", "tiny", "1", SER_DEFAULT_HOP);
    tools.recipe.pool_encoder = true;
    test_same_bits();
    free_tools(&tools);
    scratch_remove();
    return test_summary();
}

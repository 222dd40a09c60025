#include "base/memory.h"
#include "corpus/corpus.h"
#include "corpus/mapping.h"
#include "failures/failing.h"
#include "tree.h"

static ser_error err;

static char *emodb_labels[] = {"angry", "boredom", "disgust", "fear", "happy", "neutral", "sad"};
static char *ravdess_labels[] = {"angry", "calm", "disgust", "fear", "happy", "neutral", "sad", "surprised"};
static const ser_emotion_list emodb = {"EMODB", emodb_labels, 7}, ravdess = {"RAVDESS", ravdess_labels, 8};

static char *ab[] = {"a", "b", "c", "d"};
static const ser_emotion_list four = {"four", ab, 4}, bare = {"bare", NULL, 0};

/* "angry>angry boredom>calm ...": every pair, in the order of the labels. */
static void describe(char *text, size_t size, const ser_mapping *m)
{
    size_t n = 0;
    *text = 0;
    for (size_t s = 0; s < m->n_source; s++)
        for (size_t t = 0; t < m->n_target; t++)
            if (ser_mapping_counts(m, s, t))
                n += (size_t)snprintf(text + n, size - n, "%s%s>%s", n ? " " : "", m->source_labels[s],
                                      m->target_labels[t]);
}

static void check_pairs(const char *path, const ser_emotion_list *source, const ser_emotion_list *target,
                        const char *name, const char *pairs)
{
    ser_mapping m;
    char text[1000];
    CHECK_OK(ser_mapping_new(&m, path, source, target, &err), &err);
    describe(text, sizeof text, &m);
    CHECK(strcmp(text, pairs) == 0);
    if (strcmp(text, pairs) != 0)
        fprintf(stderr, "%s\n%s\n", text, pairs);
    CHECK(m.name && strcmp(m.name, name) == 0);
    ser_mapping_release(&m);
}

/* The original's README, "Emotion Mapping". */
static void test_built_in(void)
{
    ser_mapping m;
    check_pairs(NULL, &emodb, &ravdess, "emodb-ravdess",
                "angry>angry boredom>calm boredom>neutral disgust>disgust fear>fear happy>happy "
                "neutral>neutral sad>sad");
    check_pairs(NULL, &ravdess, &emodb, "ravdess-emodb",
                "angry>angry calm>boredom calm>neutral disgust>disgust fear>fear happy>happy "
                "neutral>neutral sad>sad surprised>fear");
    CHECK_OK(ser_mapping_new(&m, NULL, &emodb, &ravdess, &err), &err);
    CHECK(m.n_shared == 6);
    const char *const shared[] = {"angry", "disgust", "fear", "happy", "neutral", "sad"};
    for (size_t k = 0; k < 6 && k < m.n_shared; k++)
        CHECK(strcmp(m.source_labels[m.shared_source[k]], shared[k]) == 0 &&
              strcmp(m.target_labels[m.shared_target[k]], shared[k]) == 0);
    for (size_t t = 0; t < 8; t++)
        CHECK(ser_mapping_reaches(&m, t) == (t != 7)); /* surprised */
    ser_mapping_release(&m);
    /* A part of a corpus, and a folder of its name. */
    const ser_emotion_list part = {"ravdess", ravdess_labels + 6, 2};
    check_pairs(NULL, &emodb, &part, "emodb-ravdess", "sad>sad");
}

static void test_defaults(void)
{
    ser_mapping m;
    const ser_emotion_list mine = {"mine", emodb_labels + 4, 3}, others = {"others", ab, 2};
    check_pairs(NULL, &ravdess, &mine, "shared emotions", "happy>happy neutral>neutral sad>sad");
    check_pairs(NULL, &emodb, &emodb, "shared emotions",
                "angry>angry boredom>boredom disgust>disgust fear>fear happy>happy neutral>neutral sad>sad");
    CHECK_FAILS(ser_mapping_new(&m, NULL, &emodb, &others, &err), SER_E_FORMAT, &err,
                "EMODB and others have no emotion in common");
    CHECK(!m.counts && !m.name);
    check_pairs(NULL, &emodb, &bare, "shared emotions", ""); /* nothing to score, and no error */
}

static void test_own_table(void)
{
    tree_write_text("own.csv", "note,emotion,counts_as\nspelt otherwise,Boredom,CALM\n,anger,angry\n");
    check_pairs(tree_path("own.csv"), &emodb, &ravdess, tree_path("own.csv"), "angry>angry boredom>calm");
    /* What this target has not, but could have. */
    tree_write_text("more.csv", "emotion,counts_as\nboredom,boredom\nsad,sad\n");
    check_pairs(tree_path("more.csv"), &emodb, &ravdess, tree_path("more.csv"), "sad>sad");
    check_pairs(tree_path("more.csv"), &emodb, &bare, tree_path("more.csv"), "");
}

static void check_table_fails(const char *table, const ser_emotion_list *source,
                              const ser_emotion_list *target, const char *words)
{
    ser_mapping m;
    tree_write_text("bad.csv", table);
    CHECK_FAILS(ser_mapping_new(&m, tree_path("bad.csv"), source, target, &err), SER_E_FORMAT, &err, words);
    CHECK(strncmp(err.text, tree_path("bad.csv"), strlen(tree_path("bad.csv"))) == 0);
    CHECK(!m.counts && !m.source_labels);
}

static void test_bad_tables(void)
{
    ser_mapping m;
    CHECK_FAILS(ser_mapping_new(&m, tree_path("missing.csv"), &emodb, &ravdess, &err), SER_E_IO, &err,
                "missing.csv");
    check_table_fails("", &emodb, &ravdess, "empty");
    check_table_fails("emotion|counts_as\nsad|sad\n", &emodb, &ravdess, "no column 'emotion'");
    check_table_fails("emotion,to\nsad,sad\n", &emodb, &ravdess, "no column 'counts_as'");
    check_table_fails("emotion,counts_as\nsad\n", &emodb, &ravdess, "line 2 has 1 fields");
    check_table_fails("emotion,counts_as\nsad,\n", &emodb, &ravdess, "row 2: its column 'counts_as'");
    check_table_fails("emotion,counts_as\nsad,sad\n,sad\n", &emodb, &ravdess, "row 3: its column 'emotion'");
    check_table_fails("emotion,counts_as\ngrumpy,sad\n", &emodb, &ravdess,
                      "row 2: there is no emotion 'grumpy': EMODB has angry, boredom, disgust, fear, happy, "
                      "neutral, sad; RAVDESS has angry, calm");
    check_table_fails("emotion,counts_as\nsad,grumpy\n", &emodb, &ravdess, "no emotion 'grumpy'");
    check_table_fails("emotion,counts_as\ncalm,neutral\n", &emodb, &ravdess, "of RAVDESS alone");
    check_table_fails("emotion,counts_as\nsad,sad\nsadness,Sad\n", &emodb, &ravdess,
                      "row 3: 'sad' counts as 'sad' in row 2 already");
    check_table_fails("emotion,counts_as\n", &emodb, &ravdess, "no pair");
    check_table_fails("emotion,counts_as\nboredom,boredom\n", &emodb, &ravdess, "no pair");
}

static void test_circles(void)
{
    check_table_fails("emotion,counts_as\na,b\nb,a\n", &four, &four, "a counts as b, b counts as a");
    check_table_fails("emotion,counts_as\nd,d\nb,c\nc,d\nd,b\na,b\n", &four, &four,
                      "b counts as c, c counts as d, d counts as b");
    check_table_fails("emotion,counts_as\na,b\nb,a\n", &four, &bare, "circles");
    /* No circle: an emotion that counts as itself, a chain, two ways to one emotion. */
    tree_write_text("chain.csv", "emotion,counts_as\na,a\na,b\nb,b\nb,c\na,c\nc,d\nd,d\n");
    check_pairs(tree_path("chain.csv"), &four, &four, tree_path("chain.csv"), "a>a a>b a>c b>b b>c c>d d>d");
}

static void test_allocation_failures(void)
{
    static const char table[] = "emotion,counts_as\nboredom,calm\nsad,sad\n";
    ser_status st = SER_E_NOMEM;
    for (long n = 0; st != SER_OK && n < 1000; n++) {
        ser_mapping m;
        failing_at(n);
        st = ser_mapping_read_memory(&m, table, sizeof table - 1, &emodb, &ravdess, &err);
        failing_at(-1);
        CHECK(st == SER_OK || (st == SER_E_NOMEM && !m.counts && !m.source_labels));
        if (st == SER_OK)
            ser_mapping_release(&m);
    }
    CHECK(st == SER_OK);
}

static ser_corpus *open_target(const char *name)
{
    ser_corpus *c = NULL;
    CHECK_OK(ser_corpus_open_target(&c, tree_path(name), NULL, &err), &err);
    return c;
}

/* Corpora that are only tested may be without labels. */
static void test_targets(void)
{
    tree_touch("x/a.wav x/b.wav flat/a.wav flat/b.wav some/sad/c.wav some/d.wav one/03a01Fa.wav");
    tree_write_text("x/none.csv", "file\na.wav\nb.wav\n");
    tree_write_text("x/some.csv", "file,emotion\na.wav,\nb.wav,sadness\n");
    ser_corpus *c = open_target("x/none.csv");
    CHECK(c && c->n_utterances == 2 && c->n_labels == 0 && c->utterances[0].label == -1);
    ser_corpus_free(&c);
    c = open_target("x/some.csv");
    CHECK(c && c->n_labels == 1 && c->utterances[0].label == -1 && c->utterances[1].label == 0);
    ser_corpus_free(&c);
    c = open_target("flat");
    CHECK(c && c->n_utterances == 2 && c->n_labels == 0 && c->n_warnings == 0);
    ser_corpus_free(&c);
    c = open_target("some");
    CHECK(c && c->n_utterances == 2 && c->n_labels == 1 && c->utterances[0].label == 0 &&
          c->utterances[1].label == -1);
    ser_corpus_free(&c);
    c = open_target("one");
    CHECK(c && c->n_utterances == 1 && c->n_labels == 1 && strcmp(c->labels[0], "happy") == 0);
    ser_corpus_free(&c);
    const char *const refused[] = {"x/none.csv", "x/some.csv", "flat", "some", "one"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        CHECK(ser_corpus_open(&c, tree_path(refused[i]), NULL, &err) == SER_E_FORMAT && !c);
}

int main(void)
{
    tree_make();
    test_built_in();
    test_defaults();
    test_own_table();
    test_bad_tables();
    test_circles();
    test_allocation_failures();
    test_targets();
    tree_remove();
    return test_summary();
}

#include "base/memory.h"
#include "base/random.h"
#include "corpus/folds.h"
#include "failures/failing.h"
#include "tree.h"

static ser_error err;

/* A corpus of n recordings in the temporary folder, from lines "emotion,speaker,text,fold"; they are called
 * u000, u001, ... */
static ser_corpus *make_corpus(const char *const *lines, size_t n)
{
    static char csv[200000];
    size_t at = (size_t)snprintf(csv, sizeof csv, "file,emotion,speaker,text,fold\n");
    for (size_t i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "u%03zu.wav", i);
        tree_touch(name);
        at += (size_t)snprintf(csv + at, sizeof csv - at, "%s,%s\n", name, lines[i]);
    }
    tree_write_text("corpus.csv", csv);
    ser_corpus *c;
    CHECK_OK(ser_corpus_open(&c, tree_path("corpus.csv"), NULL, &err), &err);
    return c;
}

static ser_folds *new_folds(const ser_corpus *c, const char *protocol, const char *list, uint64_t seed)
{
    ser_protocol p = {.folds_path = list};
    ser_folds *f = NULL;
    CHECK_OK(ser_protocol_parse(&p, protocol, &err), &err);
    CHECK(p.folds_path == list);
    CHECK_OK(ser_folds_new(&f, c, &p, seed, &err), &err);
    return f;
}

static void check_fails(const ser_corpus *c, const char *protocol, const char *list, ser_status status,
                        const char *words)
{
    ser_protocol p = {.folds_path = list};
    ser_folds *f = (ser_folds *)&p;
    CHECK_OK(ser_protocol_parse(&p, protocol, &err), &err);
    CHECK_FAILS(ser_folds_new(&f, c, &p, 1, &err), status, &err, words);
    CHECK(!f);
}

static size_t fold_size(const ser_folds *f, size_t fold)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n_utterances; i++)
        n += f->test_fold[i] == (int)fold;
    return n;
}

static void test_parse(void)
{
    ser_protocol p = {0};
    CHECK_OK(ser_protocol_parse(&p, "group-kfold=12", &err), &err);
    CHECK(p.kind == SER_PROTOCOL_GROUP_KFOLD && p.k == 12);
    CHECK_OK(ser_protocol_parse(&p, "kfold=2", &err), &err);
    CHECK(p.kind == SER_PROTOCOL_KFOLD && p.k == 2);
    CHECK_OK(ser_protocol_parse(&p, "loso", &err), &err);
    CHECK(p.kind == SER_PROTOCOL_LOSO);
    CHECK_OK(ser_protocol_parse(&p, "emobox", &err), &err);
    CHECK(p.kind == SER_PROTOCOL_EMOBOX);
    const char *const bad[] = {"",         "emo",         "losox",         "kfold",
                               "kfold=",   "kfold=1",     "kfold=x",       "kfold=3x",
                               "kfold=-3", "group-kfold", "group-kfold=0", "kfold=99999999999999999999",
                               "Kfold=3"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(ser_protocol_parse(&p, bad[i], &err) == SER_E_ARG);
    CHECK_FAILS(ser_protocol_parse(&p, "cv", &err), SER_E_ARG, &err, "group-kfold=K");
}

static void test_lists(void)
{
    const char *const lines[] = {"sad,a,,2", "sad,b,,3", "angry,a,,2", "angry,b,,4"};
    ser_corpus *c = make_corpus(lines, 4);
    ser_folds *f = new_folds(c, "emobox", NULL, 1); /* the corpus's own */
    CHECK(f && f->n_folds == 3 && f->n_utterances == 4);
    CHECK(f && strcmp(f->names[0], "2") == 0 && strcmp(f->names[2], "4") == 0);
    CHECK(f && f->test_fold[0] == 0 && f->test_fold[1] == 1 && f->test_fold[2] == 0 && f->test_fold[3] == 2);
    ser_folds_free(&f);
    CHECK(!f);
    tree_write_text("list.csv", "test_fold,utterance\n1,u003\n0,u000\n0,u001\n1,u002\n");
    f = new_folds(c, "emobox", tree_path("list.csv"), 1);
    CHECK(f && f->n_folds == 2 && strcmp(f->names[0], "0") == 0 && f->test_fold[3] == 1 &&
          f->test_fold[1] == 0);
    ser_folds_free(&f);
    const struct {
        const char *text, *words;
    } bad[] = {
        {"utterance,fold\nu000,1\n", "no column 'test_fold'"},
        {"name,test_fold\nu000,1\n", "no column 'utterance'"},
        {"utterance,test_fold\nu000,1\nu001,2\nu002,1\n",
         "1 of the 4 recordings of corpus have no fold, the first is 'u003'"},
        {"utterance,test_fold\nu000,1\nu001,2\nu002,1\nu003,1\nv,1\nw,2\n",
         "2 of its 6 utterances have no recording in corpus, the first is 'v'"},
        {"utterance,test_fold\nu000,1\nu001,2\nu000,2\n", "'u000' is listed twice"},
        {"utterance,test_fold\nu000,first\n", "'first'"},
        {"utterance,test_fold\nu000,-1\n", "'-1'"},
        {"utterance,test_fold\nu000,1.5\n", "'1.5'"},
        {"utterance,test_fold\nu000,1\nu001,1\nu002,1\nu003,1\n", "all recordings are in fold 1"},
        {"utterance,test_fold\nu000,1\nu001,3\nu002,1\nu003,1\n", "fold 2 has no recording"},
        {"utterance,test_fold\n", "have no fold"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tree_write_text("bad.csv", bad[i].text);
        check_fails(c, "emobox", tree_path("bad.csv"), SER_E_FORMAT, bad[i].words);
        CHECK(strstr(err.text, "bad.csv: "));
    }
    check_fails(c, "emobox", tree_path("absent.csv"), SER_E_IO, "absent.csv: ");
    ser_corpus_free(&c);
    const char *const some[] = {"sad,a,,1", "sad,a,,", "angry,b,,2"}, *const none[] = {"sad,a,,",
                                                                                       "angry,b,,"};
    c = make_corpus(some, 3);
    check_fails(c, "emobox", NULL, SER_E_FORMAT, "1 of the 3 recordings");
    ser_corpus_free(&c);
    c = make_corpus(none, 2);
    check_fails(c, "emobox", NULL, SER_E_ARG, "--folds FILE.csv");
    ser_corpus_free(&c);
}

/* The list of one corpus serves where it is joined with another. */
static void test_joined_lists(void)
{
    tree_touch("p/sad/1.wav p/fear/2.wav q/sad/2.wav q/joy/3.wav");
    char spec[1100];
    snprintf(spec, sizeof spec, "%s+%s", tree_path("p"), tree_path("q"));
    ser_corpus *c;
    CHECK_OK(ser_corpus_open(&c, spec, NULL, &err), &err);
    tree_write_text("joined.csv", "utterance,test_fold\n1,1\np/2,2\nq/2,1\n3,2\n");
    ser_folds *f = new_folds(c, "emobox", tree_path("joined.csv"), 1);
    CHECK(f && f->test_fold[0] == 0 && f->test_fold[1] == 1 && f->test_fold[2] == 0 && f->test_fold[3] == 1);
    ser_folds_free(&f);
    tree_write_text("joined.csv", "utterance,test_fold\n1,1\n2,2\nq/2,1\n3,2\n"); /* whose 2? */
    check_fails(c, "emobox", tree_path("joined.csv"), SER_E_FORMAT, "several recordings are called '2'");
    ser_corpus_free(&c);
}

static void test_speakers(void)
{
    const char *const lines[] = {"sad,b,,", "sad,a,,", "angry,c,,", "angry,b,,"};
    ser_corpus *c = make_corpus(lines, 4);
    ser_folds *f = new_folds(c, "loso", NULL, 1);
    CHECK(f && f->n_folds == 3 && strcmp(f->names[0], "a") == 0 && strcmp(f->names[2], "c") == 0);
    CHECK(f && f->test_fold[0] == 1 && f->test_fold[1] == 0 && f->test_fold[2] == 2 && f->test_fold[3] == 1);
    ser_folds_free(&f);
    check_fails(c, "group-kfold=4", NULL, SER_E_ARG, "3 speakers");
    check_fails(c, "kfold=5", NULL, SER_E_ARG, "4 recordings");
    ser_corpus_free(&c);
    const char *const unknown[] = {"sad,a,,", "sad,,,", "angry,b,,"}, *const one[] = {"sad,a,,", "angry,a,,"};
    c = make_corpus(unknown, 3);
    check_fails(c, "loso", NULL, SER_E_ARG, "speaker of 'u001' is unknown");
    check_fails(c, "group-kfold=2", NULL, SER_E_ARG, "speaker of 'u001' is unknown");
    ser_corpus_free(&c);
    c = make_corpus(one, 2);
    check_fails(c, "loso", NULL, SER_E_ARG, "1 speakers");
    ser_corpus_free(&c);
}

/* 26 sad, 13 angry, 4 calm recordings. */
enum { N_MIXED = 43 };
static ser_corpus *mixed_corpus(void)
{
    const char *lines[N_MIXED];
    for (int i = 0; i < N_MIXED; i++)
        lines[i] = i < 26 ? "sad,,," : i < 39 ? "angry,,," : "calm,,,";
    return make_corpus(lines, N_MIXED);
}

static void test_texts(void)
{
    const char *const lines[] = {"sad,b,x,", "sad,a,y,", "angry,c,x,", "angry,b,z,"};
    ser_corpus *c = make_corpus(lines, 4);
    ser_folds *f = new_folds(c, "text-kfold=3", NULL, 1);
    CHECK(f && f->n_folds == 3 && f->test_fold[0] == f->test_fold[2] && f->test_fold[1] != f->test_fold[3]);
    ser_folds_free(&f);
    check_fails(c, "text-kfold=4", NULL, SER_E_ARG, "3 texts");
    check_fails(c, "loco", NULL, SER_E_ARG, "join them");
    ser_corpus_free(&c);
    const char *const unknown[] = {"sad,a,,", "sad,b,x,", "angry,b,y,"};
    c = make_corpus(unknown, 3);
    check_fails(c, "text-kfold=2", NULL, SER_E_ARG, "'u000' is unknown");
    ser_corpus_free(&c);
}

static void test_kfold(void)
{
    ser_corpus *c = mixed_corpus();
    ser_folds *f = new_folds(c, "kfold=4", NULL, 46), *again = new_folds(c, "kfold=4", NULL, 46),
              *other = new_folds(c, "kfold=4", NULL, 47);
    CHECK(f && f->n_folds == 4 && strcmp(f->names[0], "1") == 0 && strcmp(f->names[3], "4") == 0);
    for (size_t k = 0; f && k < 4; k++) {
        size_t of_label[3] = {0}, n = fold_size(f, k); /* angry, calm, sad */
        for (size_t i = 0; i < N_MIXED; i++)
            of_label[c->utterances[i].label] += f->test_fold[i] == (int)k;
        CHECK(n == 10 || n == 11);
        CHECK((of_label[0] == 3 || of_label[0] == 4) && of_label[1] == 1 &&
              (of_label[2] == 6 || of_label[2] == 7));
    }
    CHECK(f && again && memcmp(f->test_fold, again->test_fold, N_MIXED * sizeof *f->test_fold) == 0);
    CHECK(f && other && memcmp(f->test_fold, other->test_fold, N_MIXED * sizeof *f->test_fold) != 0);
    ser_folds_free(&f);
    ser_folds_free(&again);
    ser_folds_free(&other);
    f = new_folds(c, "kfold=43", NULL, 1);
    for (size_t k = 0; f && k < f->n_folds; k++)
        CHECK(fold_size(f, k) == 1);
    ser_folds_free(&f);
    ser_corpus_free(&c);
}

/* Largest deviation of a fold's share of a label from 1/k, and of its share of all items, but for rounding:
 * with fused products, k equal shares are not quite one. */
static void check_balance(const int *fold, const int *label, const int *group, size_t n, int n_labels, int k,
                          double max_size, double max_label)
{
    double worst_size = 0, worst_label = 0;
    for (int f = 0; f < k; f++) {
        double in_fold = 0;
        for (size_t i = 0; i < n; i++)
            in_fold += fold[i] == f;
        worst_size = fmax(worst_size, fabs(in_fold / (double)n * k - 1));
        for (int l = 0; l < n_labels; l++) {
            double here = 0, all = 0;
            for (size_t i = 0; i < n; i++) {
                here += label[i] == l && fold[i] == f;
                all += label[i] == l;
            }
            worst_label = fmax(worst_label, fabs(here / all * k - 1));
        }
    }
    if (!(worst_size <= max_size + 1e-12 && worst_label <= max_label + 1e-12))
        fprintf(stderr, "sizes off by %.3f, labels by %.3f\n", worst_size, worst_label);
    CHECK(worst_size <= max_size + 1e-12 && worst_label <= max_label + 1e-12);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            if (group[i] == group[j] && fold[i] != fold[j]) {
                CHECK(!"a group in two folds");
                return;
            }
}

static void test_groups(void)
{
    enum { N = 600, K = 5, LABELS = 4 };
    static int fold[N], again[N], label[N], group[N];
    ser_random r;
    ser_random_init(&r, 3);
    for (int i = 0; i < N; i++) { /* 30 speakers of 1 to 39 recordings, each with a favourite emotion */
        double u = ser_random_uniform(&r);
        group[i] = 1000 - 7 * (int)(30 * u * u);
        label[i] = ser_random_below(&r, 2) ? abs(group[i]) % LABELS : (int)ser_random_below(&r, LABELS);
    }
    int n_folds = 0;
    CHECK_OK(ser_folds_split(fold, &n_folds, label, group, N, K, 46, &err), &err);
    CHECK(n_folds == K);
    check_balance(fold, label, group, N, LABELS, K, 0.25, 0.75);
    CHECK_OK(ser_folds_split(again, &n_folds, label, group, N, K, 46, &err), &err);
    CHECK(memcmp(fold, again, sizeof fold) == 0);
    CHECK_OK(ser_folds_split(fold, &n_folds, label, group, N, 1000, 46, &err), &err);
    int n_groups = 0;
    for (int i = 0; i < N; i++) {
        int first = 0;
        while (group[first] != group[i])
            first++;
        n_groups += first == i;
    }
    CHECK(n_folds == n_groups); /* lowered to the speakers there are; none of the folds is empty */
    for (int f = 0; f < n_folds; f++) {
        int n = 0;
        for (int i = 0; i < N; i++)
            n += fold[i] == f;
        CHECK(n > 0);
    }
}

static void test_split(void)
{
    int fold[6], n_folds = 0;
    const int label[6] = {0, 1, 0, 1, 0, 1}, one_group[6] = {4, 4, 4, 4, 4, 4};
    CHECK_OK(ser_folds_split(fold, &n_folds, label, NULL, 6, 3, 1, &err), &err);
    for (int f = 0; f < 3; f++) {
        int n[2] = {0};
        for (int i = 0; i < 6; i++)
            n[label[i]] += fold[i] == f;
        CHECK(n[0] == 1 && n[1] == 1);
    }
    /* One voice alone can only be split by label. */
    CHECK_OK(ser_folds_split(fold, &n_folds, label, one_group, 6, 2, 1, &err), &err);
    CHECK(n_folds == 2 && fold[0] + fold[1] + fold[2] + fold[3] + fold[4] + fold[5] == 3);
    CHECK_OK(ser_folds_split(fold, &n_folds, label, NULL, 6, 10, 1, &err), &err);
    CHECK(n_folds == 6);
    CHECK_FAILS(ser_folds_split(fold, &n_folds, label, NULL, 1, 3, 1, &err), SER_E_ARG, &err,
                "cannot be split");
    CHECK_FAILS(ser_folds_split(fold, &n_folds, label, NULL, 6, 1, 1, &err), SER_E_ARG, &err,
                "cannot be split");
}

/* Every allocation fails once. */
static void test_memory(void)
{
    const char *const lines[] = {"sad,a,,1", "sad,b,,2", "angry,a,,1", "angry,c,,2"};
    ser_corpus *c = make_corpus(lines, 4);
    tree_write_text("list.csv", "utterance,test_fold\nu000,1\nu001,1\nu002,2\nu003,2\n");
    const char *const protocols[] = {"emobox", "loso", "kfold=2", "group-kfold=2", "emobox"};
    for (int i = 0; i < 5; i++) {
        ser_protocol p = {.folds_path = i == 4 ? tree_path("list.csv") : NULL};
        CHECK_OK(ser_protocol_parse(&p, protocols[i], &err), &err);
        ser_status st = SER_E_NOMEM;
        long n = 0;
        for (; st != SER_OK && n < 100; n++) {
            ser_folds *f;
            failing_at(n);
            st = ser_folds_new(&f, c, &p, 1, &err);
            failing_at(-1);
            CHECK(st == SER_OK ? f != NULL : st == SER_E_NOMEM && !f);
            ser_folds_free(&f);
        }
        CHECK(st == SER_OK && n > 4);
    }
    ser_corpus_free(&c);
}

/* The public corpora: their fold lists, and groups of speakers. */
static void test_published(const char *shared)
{
    char data[1100], list[1200];
    snprintf(data, sizeof data, "%s/data", shared);
    const struct {
        const char *name, *list;
        size_t n_folds, n_each;
    } corpora[] = {{"EMODB", "emodb", 5, 107}, {"RAVDESS", "ravdess", 6, 240}};
    for (int i = 0; i < 2; i++) {
        ser_corpus *c;
        CHECK_OK(ser_corpus_open(&c, corpora[i].name, data, &err), &err);
        snprintf(list, sizeof list, "%s/emobox/%s_test_folds.csv", data, corpora[i].list);
        ser_folds *f = new_folds(c, "emobox", list, 1);
        CHECK(f && f->n_folds == corpora[i].n_folds && strcmp(f->names[0], "1") == 0);
        for (size_t k = 0; f && k < f->n_folds; k++)
            CHECK(fold_size(f, k) == corpora[i].n_each);
        /* The lists begin with "03a01Fa,5" and "03-01-01-01-01-01-01,1". */
        CHECK(f && f->test_fold[0] == (i ? 0 : 4));
        ser_folds_free(&f);
        f = new_folds(c, "loso", NULL, 1);
        CHECK(f && f->n_folds == (i ? 24u : 10u) && strcmp(f->names[0], i ? "01" : "03") == 0);
        ser_folds_free(&f);
        f = new_folds(c, i ? "group-kfold=6" : "group-kfold=5", NULL, 46);
        int label[1440], group[1440];
        for (size_t u = 0; f && u < c->n_utterances; u++) {
            label[u] = c->utterances[u].label;
            group[u] = c->utterances[u].speaker;
        }
        if (f)
            check_balance(f->test_fold, label, group, c->n_utterances, (int)c->n_labels, (int)f->n_folds,
                          i ? 0 : 0.1, i ? 0 : 0.5);
        ser_folds_free(&f);
        ser_corpus_free(&c);
    }
}

int main(void)
{
    tree_make();
    test_parse();
    test_lists();
    test_joined_lists();
    test_speakers();
    test_texts();
    test_kfold();
    test_groups();
    test_split();
    test_memory();
    tree_remove();
    const char *shared = getenv("SER_SHARED");
    char data[1024];
    snprintf(data, sizeof data, "%.1000s/data", shared ? shared : "");
    if (shared && access(data, R_OK) == 0)
        test_published(shared);
    return test_summary();
}

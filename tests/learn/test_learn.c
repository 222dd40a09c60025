#include "base/memory.h"
#include "base/random.h"
#include "learn/honest.h"
#include "learn/kind.h"
#include "learn/rows.h"
#include "model/pooled.h"
#include "run/identity.h"
#include "test.h"

/* A corpus without sound: 60 recordings of 6 speakers and 3 emotions, with features drawn at random around a
 * mean of the emotion and one of the speaker; one altered copy each. */
enum { N = 60, N_SPEAKERS = 6, N_LABELS = 3 };

static ser_utterance utterances[N];
static ser_sex sexes[] = {SER_SEX_MALE,   SER_SEX_FEMALE, SER_SEX_UNKNOWN,
                          SER_SEX_FEMALE, SER_SEX_MALE,   SER_SEX_MALE};
static char *labels[] = {"angry", "neutral", "sad"}, *speakers[] = {"1", "2", "3", "4", "5", "6"};
static ser_corpus corpus = {.name = "made",
                            .utterances = utterances,
                            .n_utterances = N,
                            .labels = labels,
                            .n_labels = N_LABELS,
                            .speakers = speakers,
                            .sexes = sexes,
                            .n_speakers = N_SPEAKERS};
static ser_extractor *extractor;

static ser_store *make_store(double speaker_shift)
{
    ser_store *s = ser_alloc(1, sizeof *s);
    ser_random r;
    ser_random_init(&r, 5);
    *s = (ser_store){.n = N, .n_copies = 1, .n_rows = 2, .dims = ser_pooled_dims(extractor)};
    s->recordings = ser_alloc(N, sizeof *s->recordings);
    s->pooled = ser_alloc(N * 2 * s->dims, sizeof *s->pooled);
    for (size_t u = 0; u < N; u++) {
        snprintf(s->recordings[u].sha256, 65, "%064zu", u);
        for (size_t row = 0; row < 2; row++)
            for (size_t i = 0; i < s->dims; i++)
                ser_store_row(s, u, row)[i] =
                    (float)(ser_random_normal(&r) + (i % N_LABELS == (size_t)utterances[u].label ? 0.6 : 0) +
                            speaker_shift * (double)((i * 7 + (size_t)utterances[u].speaker * 13) % 5));
    }
    return s;
}

static void make_corpus(void)
{
    static char names[N][8];
    for (int u = 0; u < N; u++) {
        snprintf(names[u], sizeof names[u], "u%02d", u);
        utterances[u] = (ser_utterance){.name = names[u],
                                        .file = names[u],
                                        .path = names[u],
                                        .label = u % N_LABELS,
                                        .speaker = u / N_LABELS % N_SPEAKERS,
                                        .text = -1,
                                        .fold = -1};
    }
}

static const ser_candidate candidates[] = {{.blocks = 1, .spread_weight = 0.5, .c = 1},
                                           {.blocks = 1, .active = true, .spread_weight = 1, .c = 100}};

static ser_status evaluate(ser_evaluation *e, const ser_folds *folds, const ser_store *store, int n_threads,
                           ser_error *err)
{
    const ser_learn_data data = {.corpus = &corpus, .extractor = extractor, .store = store};
    const ser_evaluate_settings settings = {.learn = {.linear = true,
                                                      .candidates = candidates,
                                                      .n_candidates = 2,
                                                      .n_inner_folds = 3,
                                                      .speaker_disjoint = true,
                                                      .seed = 46,
                                                      .n_threads = n_threads},
                                            .seed = 46};
    return ser_evaluate(e, &data, folds, &settings, err);
}

/* The answers for a fold must not change when its own labels and features do: nothing of it was learned from.
 */
static void test_the_test_part_is_not_seen(void)
{
    ser_error err = {0};
    ser_folds *folds = NULL;
    ser_store *store = make_store(0.2);
    ser_evaluation before, after;
    const ser_protocol loso = {.kind = SER_PROTOCOL_LOSO};
    CHECK_OK(ser_folds_new(&folds, &corpus, &loso, 46, &err), &err);
    CHECK(folds->n_folds == N_SPEAKERS);
    CHECK_OK(evaluate(&before, folds, store, 2, &err), &err);
    CHECK(before.figures.ua > 60);
    for (int u = 0; u < N; u++) {
        if (utterances[u].speaker != 2)
            continue;
        utterances[u].label = (utterances[u].label + 1) % N_LABELS;
        for (size_t i = 0; i < store->dims; i++)
            ser_store_row(store, (size_t)u, 1)[i] =
                99; /* the altered copy; the recording itself is what is answered for */
    }
    CHECK_OK(evaluate(&after, folds, store, 1, &err), &err);
    for (int u = 0; u < N; u++)
        if (utterances[u].speaker == 2)
            CHECK(memcmp(before.scores + u * N_LABELS, after.scores + u * N_LABELS,
                         N_LABELS * sizeof(float)) == 0);
    CHECK(before.folds[2].temperature == after.folds[2].temperature &&
          before.folds[2].chosen.c == after.folds[2].chosen.c);
    CHECK(memcmp(before.scores, after.scores, N_LABELS * sizeof(float)) !=
          0); /* speaker 0's model did learn from it */
    ser_evaluation_release(&before);
    ser_evaluation_release(&after);
    ser_folds_free(&folds);
    ser_store_free(&store);
    make_corpus();
}

/* What a head is pulled to: it says so, where the penalty lets it learn nothing besides, and reads it where
 * its candidate reads nothing. */
static void test_a_head_to_start_from(void)
{
    ser_error err = {0};
    ser_store *store = make_store(0.2);
    ser_linear origin;
    ser_head_fit fit, free_fit;
    int fold[N];
    float logits[N_LABELS], wanted[N_LABELS], first[N_LABELS];
    const ser_candidate stiff = {.blocks = 1, .spread_weight = 1, .c = 1e-7};
    ser_learn_settings settings = {.linear = true,
                                   .candidates = &stiff,
                                   .n_candidates = 1,
                                   .n_inner_folds = 3,
                                   .seed = 46,
                                   .n_threads = 1};
    const ser_learn_data data = {.corpus = &corpus, .extractor = extractor, .store = store};
    CHECK_OK(ser_linear_init(&origin, store->dims, N_LABELS, &err), &err);
    for (size_t i = 0; i < store->dims; i++) {
        origin.mean[i] = 0.1f * (float)(i % 3);
        origin.scale[i] = 0.5f + (float)(i % 2);
        for (size_t l = 0; l < N_LABELS; l++)
            origin.w[l * store->dims + i] = 0.3f * (float)((i * 5 + l * 7) % 4) - 0.4f;
    }
    for (int u = 0; u < N; u++)
        fold[u] = utterances[u].speaker;
    settings.origin = &origin;
    CHECK_OK(ser_learn_head(&fit, &data, fold, 2, &settings, "head", &err), &err);
    for (size_t u = 0; u < N; u++) {
        const float *x = ser_store_row(store, u, 0);
        ser_linear_logits(&fit.head, logits, x);
        ser_linear_logits(&origin, wanted, x);
        for (size_t l = 0; l < N_LABELS; l++) {
            first[l] = u ? first[l] : logits[l] - wanted[l]; /* the bias is free */
            CHECK(fabsf(logits[l] - wanted[l] - first[l]) < 1e-3f);
        }
    }
    const ser_candidate loose = {.blocks = 1, .spread_weight = 1, .c = 100};
    settings.candidates = &loose;
    CHECK_OK(ser_learn_head(&free_fit, &data, fold, 2, &settings, "head", &err), &err);
    CHECK(free_fit.inner_ua > fit.inner_ua + 20);
    ser_head_fit_release(&fit);
    ser_head_fit_release(&free_fit);
    ser_linear_release(&origin);
    ser_store_free(&store);
}

static void test_threads_change_nothing(void)
{
    ser_error err = {0};
    ser_folds *folds = NULL;
    ser_store *store = make_store(0);
    ser_evaluation one, two;
    const ser_protocol random_folds = {.kind = SER_PROTOCOL_KFOLD, .k = 3};
    CHECK_OK(ser_folds_new(&folds, &corpus, &random_folds, 46, &err), &err);
    CHECK_OK(evaluate(&one, folds, store, 1, &err), &err);
    CHECK_OK(evaluate(&two, folds, store, 2, &err), &err);
    CHECK(memcmp(one.scores, two.scores, N * N_LABELS * sizeof(float)) == 0);
    ser_evaluation_release(&one);
    ser_evaluation_release(&two);
    ser_folds_free(&folds);
    ser_store_free(&store);
}

/* Each of the corpora joined by its own mean and deviation. */
static void test_normalize_corpora(void)
{
    ser_error err = {0};
    ser_corpus joined = corpus;
    joined.n_parts = 3;
    for (int u = 0; u < N; u++)
        utterances[u].part = utterances[u].speaker / 2;
    ser_store *store = make_store(2);
    for (size_t u = 0; u < N; u++)
        ser_store_row(store, u, 0)[3] += 10 * (float)utterances[u].part;
    CHECK_OK(ser_normalize_apply(store, NULL, &joined, SER_NORMALIZE_CORPUS, 2, NULL, &err), &err);
    for (int part = 0; part < 3; part++) {
        double sum = 0, sum_of_squares = 0, n = 0;
        for (size_t u = 0; u < N; u++)
            if (utterances[u].part == part) {
                double x = ser_store_row(store, u, 0)[3];
                sum += x, sum_of_squares += x * x, n++;
            }
        CHECK(fabs(sum / n) < 1e-5 && fabs(sum_of_squares / n - 1) < 1e-4);
    }
    ser_store_free(&store);
    make_corpus();
}

static void test_normalize(void)
{
    ser_error err = {0};
    ser_store *store = make_store(2), *raw = make_store(2);
    float *spread = ser_alloc(store->dims, sizeof *spread);
    CHECK_OK(ser_normalize_apply(store, NULL, &corpus, SER_NORMALIZE_SPEAKER, 2, spread, &err), &err);
    for (int speaker = 0; speaker < N_SPEAKERS; speaker++) {
        double sum = 0, sum_of_squares = 0, n = 0, raw_mean = 0, raw_square = 0;
        for (size_t u = 0; u < N; u++)
            if (utterances[u].speaker == speaker) {
                double x = ser_store_row(store, u, 0)[3], y = ser_store_row(raw, u, 0)[3];
                sum += x, sum_of_squares += x * x, raw_mean += y, raw_square += y * y, n++;
            }
        CHECK(fabs(sum / n) < 1e-5 && fabs(sum_of_squares / n - 1) < 1e-4);
        raw_mean /= n;
        double deviation = sqrt(raw_square / n - raw_mean * raw_mean);
        for (size_t u = 0; u < N; u++) /* copies by the same mean and deviation */
            if (utterances[u].speaker == speaker)
                CHECK(fabs((ser_store_row(raw, u, 1)[3] - raw_mean) / deviation -
                           ser_store_row(store, u, 1)[3]) < 1e-3);
    }
    CHECK(spread[3] > 0.5 && spread[3] < 2);
    utterances[7].speaker = -1;
    CHECK_FAILS(ser_normalize_apply(store, NULL, &corpus, SER_NORMALIZE_SPEAKER, 2, NULL, &err), SER_E_ARG,
                &err, "has no speakers");
    make_corpus();
    ser_free(spread);
    ser_store_free(&store);
    ser_store_free(&raw);
}

/* Against hashes of the same lines by sha256sum. */
static void test_hashes(void)
{
    ser_error err = {0};
    ser_store *store = make_store(0);
    int fold[N] = {0};
    char data[65], split[65], *names[] = {"1"};
    const ser_folds folds = {.test_fold = fold, .names = names, .n_folds = 1, .n_utterances = N};
    CHECK_OK(ser_report_hashes(data, split, &corpus, &folds, store, &err), &err);
    CHECK(strcmp(data, "e91abeaa02aa11253036c32f4cf7eb47969dbb40efaaa44001de7d78d1cc269f") == 0);
    CHECK(strcmp(split, "9c79a97feef73efc1fc43a935973bf9abe2e6662264c59b1ca6705bd1d2f8b17") == 0);
    ser_store_free(&store);
}

/* Corpora vary by themselves: their mean by the root of the sum of squares, near enough. Some answers become
 * wrong, and nobody's speaker is known, so that intervals are over recordings. */
static void check_mean_interval(ser_evaluation *e, const ser_corpus *c, const ser_folds *folds)
{
    ser_error err = {0};
    double squares = 0, low, high;
    for (size_t u = 0; u < N; u++) {
        utterances[u].speaker = -1;
        for (size_t l = 0; l < N_LABELS; l++)
            e->scores[u * N_LABELS + l] = (int)l == (utterances[u].label + (u % 4 == 0)) % 2;
    }
    ser_free(e->voices);
    CHECK_OK(ser_evaluation_add_voices(e, c, folds, 2000, 46, &err), &err);
    for (size_t f = 0; f < folds->n_folds; f++)
        squares += pow((e->folds[f].restricted_ci95[1] - e->folds[f].restricted_ci95[0]) / 3, 2);
    low = e->restricted_ci95[0], high = e->restricted_ci95[1];
    CHECK(!e->folds[0].by_speakers && low < high && e->open_ci95[0] == low && e->open_ci95[1] == high);
    CHECK(fabs((high - low) / sqrt(squares) - 1) < 0.1);
}

/* Three corpora, of which only A has the emotion 2. */
static void test_corpora_left_out(void)
{
    ser_error err = {0};
    ser_corpus_part parts[] = {{"A", 7}, {"B", 3}, {"C", 3}};
    ser_corpus joined = corpus;
    ser_folds *folds = NULL;
    ser_evaluation e;
    const ser_protocol loco = {.kind = SER_PROTOCOL_LOCO};
    joined.parts = parts;
    joined.n_parts = 3;
    size_t n_third = 0;
    for (int u = 0; u < N; u++) {
        utterances[u].part = utterances[u].speaker / 2;
        utterances[u].label = utterances[u].part ? utterances[u].label % 2 : utterances[u].label;
        n_third += utterances[u].label == 2;
    }
    ser_store *store = make_store(3);
    CHECK_FAILS(ser_folds_new(&folds, &corpus, &loco, 46, &err), SER_E_ARG, &err, "join them");
    CHECK_OK(ser_folds_new(&folds, &joined, &loco, 46, &err), &err);
    CHECK(folds->n_folds == 3 && strcmp(folds->names[1], "B") == 0);
    const ser_learn_data data = {.corpus = &joined, .extractor = extractor, .store = store};
    const ser_evaluate_settings settings = {.learn = {.linear = true,
                                                      .candidates = candidates,
                                                      .n_candidates = 2,
                                                      .n_inner_folds = 3,
                                                      .speaker_disjoint = true,
                                                      .corpus_disjoint = true,
                                                      .seed = 46,
                                                      .n_threads = 2},
                                            .seed = 46};
    CHECK_OK(ser_evaluate(&e, &data, folds, &settings, &err), &err);
    CHECK(e.across && n_third > 0 && e.folds[0].excluded[2] == n_third && e.folds[0].excluded[0] == 0 &&
          e.folds[1].excluded[2] == 0);
    CHECK(e.folds[0].n_test == 24 && e.folds[0].n_train == 36 && e.figures.n == N - n_third);
    for (size_t u = 0; u < N; u++) {
        CHECK(e.scored[u] == (utterances[u].label != 2));
        CHECK(utterances[u].part || e.scores[u * N_LABELS + 2] == 0); /* nobody taught it */
    }
    /* Answers among the two emotions that B could have said: by hand. */
    double right[2] = {0}, n[2] = {0};
    for (size_t u = 0; u < N; u++) {
        const float *own = e.scores + u * N_LABELS;
        int truth = utterances[u].label;
        if (utterances[u].part == 1) {
            n[truth]++;
            right[truth] += (own[1] > own[0]) == truth;
        }
    }
    CHECK(e.n_voices == N_SPEAKERS && e.voices[2].fold == 1 && e.voices[3].fold == 1);
    CHECK(e.voices[2].n + e.voices[3].n == (size_t)(n[0] + n[1]));
    const ser_group_result *of = e.folds[1].sexes;
    CHECK(of[SER_SEX_UNKNOWN].n == e.voices[2].n && of[SER_SEX_FEMALE].n == e.voices[3].n &&
          of[SER_SEX_MALE].n == 0 && isnan(of[SER_SEX_MALE].ua_open));
    CHECK(of[SER_SEX_FEMALE].ua_open == e.voices[3].ua_open);
    CHECK(e.folds[1].by_speakers && e.folds[1].restricted_ci95[0] <= e.folds[1].ua_restricted &&
          e.folds[1].restricted_ci95[1] >= e.folds[1].ua_restricted);
    CHECK(fabs(e.folds[1].ua_restricted - 50 * (right[0] / n[0] + right[1] / n[1])) < 1e-9);
    CHECK(e.folds[1].ua_restricted >= e.folds[1].ua_open && e.folds[1].ua_open == e.folds[1].ua &&
          e.folds[1].ece > 0);
    CHECK(fabs(e.ua_open - (e.folds[0].ua_open + e.folds[1].ua_open + e.folds[2].ua_open) / 3) < 1e-9);
    check_mean_interval(&e, &joined, folds);
    ser_evaluation_release(&e);
    ser_folds_free(&folds);
    ser_store_free(&store);
    make_corpus();
}

/* The engine that is asked for multiplies: its sums are rounded otherwise, and come to the same. */
static void test_engine(void)
{
    ser_error err = {0};
    ser_head_fit fits[2];
    int fold[N] = {0};
    ser_store *store = make_store(2);
    const ser_learn_data data = {.corpus = &corpus, .extractor = extractor, .store = store};
    for (int i = 0; i < 2; i++) {
        const ser_learn_settings settings = {.candidates = candidates,
                                             .n_candidates = 2,
                                             .n_inner_folds = 3,
                                             .seed = 46,
                                             .engine = i ? SER_ENGINE_REF : SER_ENGINE_ONEDNN,
                                             .n_threads = 1};
        CHECK_OK(ser_learn_head(&fits[i], &data, fold, -1, &settings, "head", &err), &err);
    }
    size_t n = N_LABELS * store->dims, n_other = 0;
    for (size_t i = 0; i < n; i++) {
        n_other += fits[0].head.w[i] != fits[1].head.w[i];
        CHECK(fabsf(fits[0].head.w[i] - fits[1].head.w[i]) < 1e-3f);
    }
    CHECK(n_other > 0);
    ser_head_fit_release(&fits[0]);
    ser_head_fit_release(&fits[1]);
    ser_store_free(&store);
}

/* ---- a kind of model of one's own ---- */

/* It answers with the shares of the emotions in its training part. */
static size_t n_released;

static ser_status learn_shares(ser_learned *l, void **own, const ser_kind_training *t, ser_error *err)
{
    (void)l;
    float *share = *own = ser_alloc(N_LABELS, sizeof *share);
    if (!share)
        return ser_fail_nomem(err);
    float n = 0;
    for (int u = 0; u < N; u++)
        n += t->fold[u] != t->test_fold;
    for (int u = 0; u < N; u++)
        if (t->fold[u] != t->test_fold)
            share[t->data->corpus->utterances[u].label] += *(const float *)t->own / n;
    return SER_OK;
}

static void release_shares(void *own)
{
    n_released++;
    ser_free(own);
}

static size_t n_shares(const ser_learned *l, const void *own)
{
    (void)l;
    (void)own;
    return N_LABELS;
}

static ser_status score_shares(const ser_learned *l, const void *own, float *scores,
                               const ser_kind_question *q, ser_error *err)
{
    (void)l;
    (void)err;
    for (size_t u = 0; u < N; u++)
        if (q->fold[u] == q->test_fold)
            memcpy(scores + u * N_LABELS, own, N_LABELS * sizeof *scores);
    return SER_OK;
}

static void describe_shares(ser_fold_result *r, const ser_learned *l, const void *own)
{
    (void)l;
    r->temperature = ((const float *)own)[0];
}

static void test_a_kind_of_its_own(void)
{
    static const ser_model_kind kind = {.name = "shares",
                                        .learn = learn_shares,
                                        .release = release_shares,
                                        .n_labels = n_shares,
                                        .score = score_shares,
                                        .describe = describe_shares};
    const float scale = 1;
    const ser_more_kind more = {&kind, &scale};
    ser_error err = {0};
    ser_folds *folds = NULL;
    ser_evaluation alone, linear, both;
    ser_store *store = make_store(2);
    const ser_protocol loso = {.kind = SER_PROTOCOL_LOSO};
    const ser_learn_data data = {.corpus = &corpus, .extractor = extractor, .store = store};
    ser_evaluate_settings settings = {.learn = {.candidates = candidates,
                                                .n_candidates = 2,
                                                .n_inner_folds = 3,
                                                .speaker_disjoint = true,
                                                .seed = 46,
                                                .n_threads = 2,
                                                .more = &more,
                                                .n_more = 1},
                                      .seed = 46};
    CHECK_OK(ser_folds_new(&folds, &corpus, &loso, 46, &err), &err);
    CHECK_OK(ser_evaluate(&alone, &data, folds, &settings, &err), &err);
    CHECK_OK(evaluate(&linear, folds, store, 2, &err), &err);
    settings.learn.linear = true;
    CHECK_OK(ser_evaluate(&both, &data, folds, &settings, &err), &err);
    CHECK(n_released == 2 * N_SPEAKERS && !alone.folds[0].has_choice && both.folds[0].has_choice);
    for (size_t i = 0; i < N * N_LABELS; i++)
        CHECK(fabsf(alone.scores[i] - 1.0f / N_LABELS) < 0.1f && linear.scores[i] != alone.scores[i] &&
              both.scores[i] == (linear.scores[i] + alone.scores[i]) / 2);
    CHECK(alone.folds[0].temperature == alone.scores[0] && both.folds[0].temperature == alone.scores[0]);
    settings.learn.linear = false;
    settings.learn.n_more = 0;
    ser_evaluation none;
    CHECK_FAILS(ser_evaluate(&none, &data, folds, &settings, &err), SER_E_ARG, &err, "no part that answers");
    ser_evaluation_release(&alone);
    ser_evaluation_release(&linear);
    ser_evaluation_release(&both);
    ser_folds_free(&folds);
    ser_store_free(&store);
}

/* Each protocol gives what ser_evaluate gives for it; what the corpus does not tell is left out with its
 * reason. */
static void test_honest(void)
{
    ser_error err = {0};
    ser_honest h;
    ser_evaluation alone;
    ser_folds *folds = NULL;
    const ser_protocol by_speaker = {.kind = SER_PROTOCOL_GROUP_KFOLD, .k = 4};
    ser_store *store = make_store(2);
    const ser_learn_data data = {.corpus = &corpus, .extractor = extractor, .store = store};
    const ser_evaluate_settings settings = {.learn = {.linear = true,
                                                      .candidates = candidates,
                                                      .n_candidates = 2,
                                                      .n_inner_folds = 3,
                                                      .seed = 46,
                                                      .n_threads = 2},
                                            .seed = 46};
    CHECK_OK(ser_honest_run(&h, &data, 4, &settings, NULL, &err), &err);
    CHECK(strcmp(h.rows[SER_HONEST_RANDOM].protocol, "kfold=4") == 0 &&
          strcmp(h.rows[SER_HONEST_SPEAKERS].protocol, "group-kfold=4") == 0);
    CHECK(!*h.rows[SER_HONEST_RANDOM].reason && h.rows[SER_HONEST_RANDOM].evaluation.figures.n == N);
    CHECK(strstr(h.rows[SER_HONEST_TEXTS].reason, "is unknown") && !h.rows[SER_HONEST_TEXTS].folds);
    CHECK(strstr(h.rows[SER_HONEST_CORPORA].reason, "join them") && !h.rows[SER_HONEST_CORPORA].folds);
    CHECK_OK(ser_folds_new(&folds, &corpus, &by_speaker, 46, &err), &err);
    CHECK_OK(evaluate(&alone, folds, store, 2, &err), &err);
    CHECK(memcmp(alone.scores, h.rows[SER_HONEST_SPEAKERS].evaluation.scores, sizeof(float) * N * N_LABELS) ==
          0);
    ser_honest_release(&h);
    const ser_honest_known known = {.protocol = by_speaker, .speaker_disjoint = true, .evaluation = &alone};
    CHECK_OK(ser_honest_run(&h, &data, 4, &settings, &known, &err), &err);
    CHECK(h.rows[SER_HONEST_SPEAKERS].evaluation.scores == alone.scores); /* and not once more */
    CHECK(!h.rows[SER_HONEST_RANDOM].known && h.rows[SER_HONEST_RANDOM].evaluation.scores);
    ser_honest_release(&h);
    CHECK(alone.scores && alone.figures.n == N);
    ser_evaluation_release(&alone);
    ser_folds_free(&folds);
    CHECK_FAILS(ser_honest_run(&h, &data, 1, &settings, NULL, &err), SER_E_ARG, &err, "at least two");
    ser_store_free(&store);
}

/* The rows of a training part under corpora left out. */
static void test_rows_of_corpora(void)
{
    ser_error err = {0};
    ser_corpus_part parts[] = {{"A", 7}, {"B", 3}, {"C", 3}};
    ser_corpus joined = corpus;
    int fold[N];
    ser_rows rows;
    joined.parts = parts;
    joined.n_parts = 3;
    for (int u = 0; u < N; u++)
        fold[u] = utterances[u].part = utterances[u].speaker / 2;
    ser_store *store = make_store(0);
    CHECK_OK(ser_dataset_rows(&rows, store, &joined, extractor, fold, 0, SER_GROUPS_CORPORA, &err), &err);
    CHECK(rows.n == 72 && rows.group[0] == 1 && rows.n_left_out == 3 && (rows.mask[0] & 3) == 3);
    ser_dataset_rows_release(&rows);
    for (int u = 0; u < N; u++)
        fold[u] = utterances[u].part != 2; /* one corpus is left: by its speakers */
    CHECK_OK(ser_dataset_rows(&rows, store, &joined, extractor, fold, 1, SER_GROUPS_CORPORA, &err), &err);
    CHECK(rows.n == 36 && rows.group[0] == 4 && rows.n_left_out == 0 && rows.mask);
    ser_dataset_rows_release(&rows);
    CHECK_OK(ser_dataset_rows(&rows, store, &joined, extractor, fold, 1, SER_GROUPS_NONE, &err), &err);
    CHECK(!rows.group && !rows.mask);
    ser_dataset_rows_release(&rows);
    ser_store_free(&store);
    make_corpus();
}

int main(void)
{
    ser_error err = {0};
    ser_feature_spec spec;
    make_corpus();
    CHECK_OK(ser_feature_spec_parse(&spec, "LOGMEL", &err), &err);
    CHECK_OK(ser_extractor_new(&extractor, &spec, NULL, &err), &err);
    test_the_test_part_is_not_seen();
    test_a_head_to_start_from();
    test_threads_change_nothing();
    test_normalize();
    test_normalize_corpora();
    test_hashes();
    test_corpora_left_out();
    test_rows_of_corpora();
    test_honest();
    test_a_kind_of_its_own();
    test_engine();
    ser_extractor_free(&extractor);
    return test_summary();
}

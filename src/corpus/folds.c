#include "corpus/folds.h"
#include "base/memory.h"
#include "base/random.h"
#include "io/csv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FOLDS = 10000 };

ser_status ser_protocol_parse(ser_protocol *p, const char *text, ser_error *err)
{
    static const struct {
        const char *prefix;
        ser_protocol_kind kind;
    } with_number[] = {{"kfold=", SER_PROTOCOL_KFOLD},
                       {"group-kfold=", SER_PROTOCOL_GROUP_KFOLD},
                       {"text-kfold=", SER_PROTOCOL_TEXT_KFOLD}},
      plain[] = {{"emobox", SER_PROTOCOL_EMOBOX}, {"loso", SER_PROTOCOL_LOSO}, {"loco", SER_PROTOCOL_LOCO}};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (strcmp(text, plain[i].prefix) == 0) {
            p->kind = plain[i].kind;
            return SER_OK;
        }
    for (size_t i = 0; i < sizeof with_number / sizeof *with_number; i++) {
        size_t n = strlen(with_number[i].prefix);
        char *end;
        if (strncmp(text, with_number[i].prefix, n) != 0)
            continue;
        long k = strtol(text + n, &end, 10);
        if (end == text + n || *end || k < 2 || k > MAX_FOLDS)
            return ser_fail(err, SER_E_ARG, "--protocol %s: the number of folds must be 2 to %d", text,
                            MAX_FOLDS);
        p->kind = with_number[i].kind;
        p->k = (int)k;
        return SER_OK;
    }
    return ser_fail(err, SER_E_ARG,
                    "--protocol %s: give emobox, loso, loco, kfold=K, group-kfold=K or text-kfold=K", text);
}

/* ---- splitting ---- */

/* Deals the members of each class out to the folds in turn, in random order; the next class goes on where the
 * last one stopped, so that folds are of equal size. */
static ser_status deal(int *fold, const int *label, size_t n, int k, ser_random *r, ser_error *err)
{
    size_t *members = ser_alloc(n, sizeof *members), next = 0;
    if (!members)
        return ser_fail_nomem(err);
    int n_labels = 0;
    for (size_t i = 0; i < n; i++)
        n_labels = label[i] >= n_labels ? label[i] + 1 : n_labels;
    for (int l = 0; l < n_labels; l++) {
        size_t n_members = 0;
        for (size_t i = 0; i < n; i++)
            if (label[i] == l)
                members[n_members++] = i;
        ser_random_shuffle(r, members, n_members);
        for (size_t m = 0; m < n_members; m++)
            fold[members[m]] = (int)(next++ % (size_t)k);
    }
    ser_free(members);
    return SER_OK;
}

/* What the greedy assignment of groups works on. */
typedef struct group_counts {
    size_t *count;      /* (n_groups, n_labels) */
    size_t *fold_count; /* (k, n_labels) */
    size_t *total;      /* (n_labels) */
    size_t n_groups, n_labels;
} group_counts;

/* How uneven the folds' label counts would be with the group in this fold: the sum over labels of squared
 * shares. */
static double cost(const group_counts *g, size_t group, size_t fold)
{
    double sum = 0;
    for (size_t l = 0; l < g->n_labels; l++) {
        if (!g->total[l])
            continue;
        double before = (double)g->fold_count[fold * g->n_labels + l] / (double)g->total[l];
        double after = before + (double)g->count[group * g->n_labels + l] / (double)g->total[l];
        sum += after * after - before * before;
    }
    return sum;
}

static size_t size_of_group(const group_counts *g, size_t group)
{
    size_t n = 0;
    for (size_t l = 0; l < g->n_labels; l++)
        n += g->count[group * g->n_labels + l];
    return n;
}

/* Groups from the largest to the smallest, each to the fold where it disturbs the balance least. order is
 * shuffled, so that groups of equal size come in random order. */
static void assign_groups(const group_counts *g, int *fold_of_group, size_t *order, int k)
{
    for (size_t i = 1; i < g->n_groups; i++) /* insertion sort: stable, and there are few groups */
        for (size_t j = i; j > 0 && size_of_group(g, order[j - 1]) < size_of_group(g, order[j]); j--) {
            size_t t = order[j];
            order[j] = order[j - 1];
            order[j - 1] = t;
        }
    for (size_t i = 0; i < g->n_groups; i++) {
        size_t group = order[i], best = 0;
        if (i < (size_t)k) {
            best = i; /* no fold stays empty */
        } else {
            for (size_t f = 1; f < (size_t)k; f++)
                if (cost(g, group, f) < cost(g, group, best) - 1e-12)
                    best = f;
        }
        fold_of_group[group] = (int)best;
        for (size_t l = 0; l < g->n_labels; l++)
            g->fold_count[best * g->n_labels + l] += g->count[group * g->n_labels + l];
    }
}

static int compare_ints(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

static ser_status deal_groups(int *fold, int *k, const int *label, const int *group, size_t n, ser_random *r,
                              ser_error *err)
{
    int *names = ser_alloc(n, sizeof *names); /* the groups' numbers, ascending */
    ser_status st = names ? SER_OK : ser_fail_nomem(err);
    group_counts g = {0};
    int *fold_of_group = NULL;
    size_t *order = NULL;
    for (size_t i = 0; i < n && st == SER_OK; i++) {
        names[i] = group[i];
        g.n_labels = (size_t)label[i] >= g.n_labels ? (size_t)label[i] + 1 : g.n_labels;
    }
    if (st == SER_OK) {
        qsort(names, n, sizeof *names, compare_ints);
        for (size_t i = 0; i < n; i++)
            if (!g.n_groups || names[g.n_groups - 1] != names[i])
                names[g.n_groups++] = names[i];
        if ((size_t)*k > g.n_groups)
            *k = (int)g.n_groups;
    }
    if (st == SER_OK) {
        g.count = ser_alloc(g.n_groups * g.n_labels, sizeof *g.count);
        g.fold_count = ser_alloc((size_t)*k * g.n_labels, sizeof *g.fold_count);
        g.total = ser_alloc(g.n_labels, sizeof *g.total);
        fold_of_group = ser_alloc(g.n_groups, sizeof *fold_of_group);
        order = ser_alloc(g.n_groups, sizeof *order);
        if (!g.count || !g.fold_count || !g.total || !fold_of_group || !order)
            st = ser_fail_nomem(err);
    }
    if (st == SER_OK) {
        for (size_t i = 0; i < n; i++) {
            const int *at = bsearch(&group[i], names, g.n_groups, sizeof *names, compare_ints);
            fold[i] = (int)(at - names);
            g.count[(size_t)fold[i] * g.n_labels + (size_t)label[i]]++;
            g.total[label[i]]++;
        }
        for (size_t i = 0; i < g.n_groups; i++)
            order[i] = i;
        ser_random_shuffle(r, order, g.n_groups);
        assign_groups(&g, fold_of_group, order, *k);
        for (size_t i = 0; i < n; i++)
            fold[i] = fold_of_group[fold[i]];
    }
    ser_free(names);
    ser_free(g.count);
    ser_free(g.fold_count);
    ser_free(g.total);
    ser_free(fold_of_group);
    ser_free(order);
    return st;
}

static bool has_two_groups(const int *group, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (group[i] != group[0])
            return true;
    return false;
}

ser_status ser_folds_split(int *fold, int *n_folds, const int *label, const int *group, size_t n, int k,
                           uint64_t seed, ser_error *err)
{
    ser_random r;
    ser_random_init(&r, ser_random_derive(seed, "folds"));
    if (n < 2 || k < 2)
        return ser_fail(err, SER_E_ARG,
                        "%zu recordings cannot be split into %d folds: at least two of each are needed", n,
                        k);
    *n_folds = (size_t)k > n ? (int)n : k;
    return group && has_two_groups(group, n) ? deal_groups(fold, n_folds, label, group, n, &r, err)
                                             : deal(fold, label, n, *n_folds, &r, err);
}

/* ---- protocols ---- */

static ser_status new_folds(ser_folds **out, size_t n_utterances, size_t n_folds, ser_error *err)
{
    ser_folds *f = ser_alloc(1, sizeof *f);
    *out = f;
    if (!f)
        return ser_fail_nomem(err);
    f->n_utterances = n_utterances;
    f->test_fold = ser_alloc(n_utterances, sizeof *f->test_fold);
    f->names = ser_alloc(n_folds, sizeof *f->names);
    if (!f->test_fold || !f->names)
        return ser_fail_nomem(err);
    f->n_folds = n_folds;
    return SER_OK;
}

void ser_folds_free(ser_folds **f)
{
    if (!f || !*f)
        return;
    for (size_t i = 0; i < (*f)->n_folds; i++)
        ser_free((*f)->names[i]);
    ser_free((*f)->names);
    ser_free((*f)->test_fold);
    ser_free(*f);
    *f = NULL;
}

static ser_status name_folds_by_number(ser_folds *f, long first, ser_error *err)
{
    for (size_t i = 0; i < f->n_folds; i++) {
        char name[24];
        snprintf(name, sizeof name, "%ld", first + (long)i);
        if (!(f->names[i] = ser_strdup(name)))
            return ser_fail_nomem(err);
    }
    return SER_OK;
}

static ser_status fail_unknown(const ser_corpus *c, size_t u, const char *what, const char *column,
                               ser_error *err)
{
    return ser_fail(err, SER_E_ARG, "%s '%s' is unknown: use a CSV with a %s column, or --protocol kfold=K",
                    what, c->utterances[u].name, column);
}

static ser_status check_number(size_t n, size_t n_needed, const char *what, ser_error *err)
{
    return n >= n_needed ? SER_OK
                         : ser_fail(err, SER_E_ARG, "%zu folds of %s, but there are only %zu %s", n_needed,
                                    what, n, what);
}

static ser_status need_speakers(const ser_corpus *c, size_t n_needed, ser_error *err)
{
    for (size_t u = 0; u < c->n_utterances; u++)
        if (c->utterances[u].speaker < 0)
            return fail_unknown(c, u, "the speaker of", "speaker", err);
    return check_number(c->n_speakers, n_needed, "speakers", err);
}

static ser_status need_texts(const ser_corpus *c, size_t n_needed, ser_error *err)
{
    for (size_t u = 0; u < c->n_utterances; u++)
        if (c->utterances[u].text < 0)
            return fail_unknown(c, u, "what is said in", "text", err);
    return check_number(c->n_texts, n_needed, "texts", err);
}

static ser_status loso(ser_folds **out, const ser_corpus *c, ser_error *err)
{
    ser_status st = need_speakers(c, 2, err);
    if (st == SER_OK)
        st = new_folds(out, c->n_utterances, c->n_speakers, err);
    for (size_t s = 0; s < c->n_speakers && st == SER_OK; s++)
        if (!((*out)->names[s] = ser_strdup(c->speakers[s])))
            st = ser_fail_nomem(err);
    for (size_t u = 0; u < c->n_utterances && st == SER_OK; u++)
        (*out)->test_fold[u] = c->utterances[u].speaker;
    return st;
}

uint64_t ser_folds_emotions_outside(const ser_folds *f, const ser_corpus *c, int fold)
{
    uint64_t emotions = 0;
    for (size_t u = 0; u < c->n_utterances; u++)
        if (f->test_fold[u] != fold && c->utterances[u].label >= 0)
            emotions |= UINT64_C(1) << c->utterances[u].label;
    return emotions;
}

size_t ser_folds_n_askable(const ser_folds *f, const ser_corpus *c, int fold)
{
    uint64_t outside = ser_folds_emotions_outside(f, c, fold);
    size_t n = 0;
    for (size_t u = 0; u < c->n_utterances; u++)
        n +=
            f->test_fold[u] == fold && c->utterances[u].label >= 0 && (outside >> c->utterances[u].label & 1);
    return n;
}

/* Before hours are spent on models that could not be asked anything. */
static ser_status check_shared(const ser_folds *f, const ser_corpus *c, ser_error *err)
{
    for (size_t p = 0; p < f->n_folds; p++)
        if (ser_folds_n_askable(f, c, (int)p))
            return SER_OK;
    return ser_fail(
        err, SER_E_ARG,
        "no emotion of any of these corpora is one of the others': whichever is left out, there is "
        "nothing to score: name their emotions alike");
}

/* A fold for each of the corpora joined, none of which is empty. */
static ser_status loco(ser_folds **out, const ser_corpus *c, ser_error *err)
{
    if (c->n_parts < 2)
        return ser_fail(err, SER_E_ARG,
                        "--protocol loco leaves one corpus out of several: join them, as in EMODB+mine.csv");
    ser_status st = new_folds(out, c->n_utterances, c->n_parts, err);
    for (size_t p = 0; p < c->n_parts && st == SER_OK; p++)
        if (!((*out)->names[p] = ser_strdup(c->parts[p].name)))
            st = ser_fail_nomem(err);
    for (size_t u = 0; u < c->n_utterances && st == SER_OK; u++)
        (*out)->test_fold[u] = c->utterances[u].part;
    return st == SER_OK ? check_shared(*out, c, err) : st;
}

static ser_status split_corpus(ser_folds **out, const ser_corpus *c, const ser_protocol *p, uint64_t seed,
                               ser_error *err)
{
    int made, k = p->k;
    bool by_speaker = p->kind == SER_PROTOCOL_GROUP_KFOLD, by_text = p->kind == SER_PROTOCOL_TEXT_KFOLD;
    ser_status st = by_speaker ? need_speakers(c, (size_t)k, err)
                    : by_text  ? need_texts(c, (size_t)k, err)
                               : SER_OK;
    if (st == SER_OK && (size_t)k > c->n_utterances)
        st = ser_fail(err, SER_E_ARG, "%d folds, but there are only %zu recordings", k, c->n_utterances);
    if (st == SER_OK)
        st = new_folds(out, c->n_utterances, (size_t)k, err);
    int *label = ser_alloc(c->n_utterances, sizeof *label),
        *group = ser_alloc(c->n_utterances, sizeof *group);
    if (st == SER_OK && (!label || !group))
        st = ser_fail_nomem(err);
    for (size_t u = 0; u < c->n_utterances && st == SER_OK; u++) {
        label[u] = c->utterances[u].label;
        group[u] = by_text ? c->utterances[u].text : c->utterances[u].speaker;
    }
    if (st == SER_OK)
        st = ser_folds_split((*out)->test_fold, &made, label, by_speaker || by_text ? group : NULL,
                             c->n_utterances, k, seed, err);
    if (st == SER_OK)
        st = name_folds_by_number(*out, 1, err);
    ser_free(label);
    ser_free(group);
    return st;
}

/* ---- fold lists ---- */

static int compare_to_utterance(const void *name, const void *utterance)
{
    return strcmp(name, ((const ser_utterance *)utterance)->name);
}

bool ser_fold_parse(long *fold, const char *text, long largest)
{
    char *end;
    errno = 0;
    *fold = strtol(text, &end, 10);
    bool read = end != text && !errno && *fold >= 0 && *fold <= largest;
    if (read && (*end == '.' || *end == ','))
        end += 1 + strspn(end + 1, "0");
    return read && !end[strspn(end, " ")];
}

/* By its name, or by its base name, where only one has it. NULL: none; *other, if not NULL then: two have it.
 */
static const ser_utterance *find_utterance(const ser_corpus *c, const char *name, const ser_utterance **other)
{
    const ser_utterance *found =
        bsearch(name, c->utterances, c->n_utterances, sizeof *found, compare_to_utterance);
    *other = NULL;
    if (found)
        return found;
    for (size_t u = 0; u < c->n_utterances; u++) {
        const char *slash = strrchr(c->utterances[u].name, '/');
        if (!slash || strcmp(slash + 1, name) != 0)
            continue;
        *other = found;
        found = &c->utterances[u];
        if (*other)
            return NULL;
    }
    return found;
}

static ser_status read_fold(long *fold, const char *text, size_t row, ser_error *err)
{
    if (!ser_fold_parse(fold, text, MAX_FOLDS))
        return ser_fail(err, SER_E_FORMAT, "row %zu: test_fold '%.40s' is no fold's number", row + 1, text);
    return SER_OK;
}

/* fold (n_utterances), -1 where the list has none. */
static ser_status read_list(long *fold, const ser_corpus *c, const char *path, ser_error *err)
{
    ser_csv csv;
    ser_status st = ser_csv_read(&csv, path, err);
    if (st != SER_OK)
        return st;
    int name = ser_csv_column(&csv, "utterance"), test_fold = ser_csv_column(&csv, "test_fold");
    if (name < 0 || test_fold < 0)
        st = ser_fail(err, SER_E_FORMAT, "it has no column '%s': a fold list has utterance,test_fold",
                      name < 0 ? "utterance" : "test_fold");
    size_t n_unknown = 0;
    const char *unknown = NULL;
    for (size_t row = 1; row < csv.n_rows && st == SER_OK; row++) {
        const char *wanted = csv.rows[row][name];
        const ser_utterance *other, *u = find_utterance(c, wanted, &other);
        if (other)
            st = ser_fail(
                err, SER_E_FORMAT,
                "row %zu: several recordings are called '%.60s', %.60s among them: a fold list needs base "
                "names of which none occurs twice",
                row + 1, wanted, other->file);
        else if (!u)
            unknown = n_unknown++ ? unknown : wanted;
        else if (fold[u - c->utterances] >= 0)
            st = ser_fail(err, SER_E_FORMAT, "row %zu: '%.100s' is listed twice", row + 1, wanted);
        else
            st = read_fold(&fold[u - c->utterances], csv.rows[row][test_fold], row, err);
    }
    if (st == SER_OK && n_unknown)
        st =
            ser_fail(err, SER_E_FORMAT,
                     "%zu of its %zu utterances have no recording in %s, the first is '%.100s': complete the "
                     "corpus, or take its own list",
                     n_unknown, csv.n_rows - 1, c->name, unknown);
    ser_csv_release(&csv);
    return st;
}

static ser_status check_list(const long *fold, long *first, size_t *n_folds, const ser_corpus *c,
                             ser_error *err)
{
    long low = MAX_FOLDS, high = -1;
    size_t n_without = 0, first_without = 0;
    for (size_t u = 0; u < c->n_utterances; u++) {
        if (fold[u] < 0)
            first_without = n_without++ ? first_without : u;
        low = fold[u] < low ? fold[u] : low;
        high = fold[u] > high ? fold[u] : high;
    }
    if (n_without)
        return ser_fail(
            err, SER_E_FORMAT,
            "%zu of the %zu recordings of %s have no fold, the first is '%.100s': list each of them",
            n_without, c->n_utterances, c->name, c->utterances[first_without].name);
    for (long f = low; f <= high; f++) {
        size_t n = 0;
        for (size_t u = 0; u < c->n_utterances; u++)
            n += fold[u] == f;
        if (!n)
            return ser_fail(err, SER_E_FORMAT,
                            "fold %ld has no recording, but fold %ld has: number them without gaps", f, high);
    }
    if (low == high)
        return ser_fail(err, SER_E_FORMAT, "all recordings are in fold %ld: at least two folds are needed",
                        low);
    *first = low;
    *n_folds = (size_t)(high - low + 1);
    return SER_OK;
}

static ser_status emobox(ser_folds **out, const ser_corpus *c, const char *path, ser_error *err)
{
    long first = 0;
    size_t n_folds = 0;
    long *fold = ser_alloc(c->n_utterances, sizeof *fold);
    ser_status st = fold ? SER_OK : ser_fail_nomem(err);
    bool any = false;
    for (size_t u = 0; u < c->n_utterances && st == SER_OK; u++) {
        fold[u] = path ? -1 : c->utterances[u].fold;
        any = any || fold[u] >= 0;
    }
    if (st == SER_OK && !path && !any)
        st = ser_fail(
            err, SER_E_ARG,
            "--protocol emobox needs a fold list (--folds FILE.csv) or a CSV corpus with a fold column");
    if (st == SER_OK && path)
        st = read_list(fold, c, path, err);
    if (st == SER_OK)
        st = check_list(fold, &first, &n_folds, c, err);
    if (st != SER_OK && path)
        ser_fail_within(err, st, "%s: ", path);
    if (st == SER_OK)
        st = new_folds(out, c->n_utterances, n_folds, err);
    if (st == SER_OK)
        st = name_folds_by_number(*out, first, err);
    for (size_t u = 0; u < c->n_utterances && st == SER_OK; u++)
        (*out)->test_fold[u] = (int)(fold[u] - first);
    ser_free(fold);
    return st;
}

ser_status ser_folds_new(ser_folds **out, const ser_corpus *c, const ser_protocol *p, uint64_t seed,
                         ser_error *err)
{
    ser_status st = SER_OK;
    *out = NULL;
    switch (p->kind) {
    case SER_PROTOCOL_EMOBOX:
        st = emobox(out, c, p->folds_path, err);
        break;
    case SER_PROTOCOL_LOSO:
        st = loso(out, c, err);
        break;
    case SER_PROTOCOL_KFOLD:
    case SER_PROTOCOL_GROUP_KFOLD:
    case SER_PROTOCOL_TEXT_KFOLD:
        st = split_corpus(out, c, p, seed, err);
        break;
    case SER_PROTOCOL_LOCO:
        st = loco(out, c, err);
        break;
    }
    if (st != SER_OK)
        ser_folds_free(out);
    return st;
}

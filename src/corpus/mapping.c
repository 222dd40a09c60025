#include "corpus/mapping.h"
#include "base/memory.h"
#include "corpus/known.h"
#include "io/csv.h"
#include "io/file.h"

#include <ctype.h>
#include <string.h>

enum { MAX_TABLE = 1 << 20 /* bytes */ };

void ser_mapping_release(ser_mapping *m)
{
    for (size_t i = 0; m->source_labels && i < m->n_source; i++)
        ser_free(m->source_labels[i]);
    for (size_t i = 0; m->target_labels && i < m->n_target; i++)
        ser_free(m->target_labels[i]);
    ser_free(m->source_labels);
    ser_free(m->target_labels);
    ser_free(m->shared_source);
    ser_free(m->shared_target);
    ser_free(m->counts);
    ser_free(m->name);
    ser_free(m->source);
    ser_free(m->target);
    *m = (ser_mapping){0};
}

bool ser_mapping_reaches(const ser_mapping *m, size_t target_label)
{
    for (size_t s = 0; s < m->n_source; s++)
        if (ser_mapping_counts(m, s, target_label))
            return true;
    return false;
}

static int find(char *const *labels, size_t n, const char *label)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(labels[i], label) == 0)
            return (int)i;
    return -1;
}

/* ---- without pairs ---- */

static bool copy_labels(char ***out, size_t *n_out, const ser_emotion_list *from)
{
    *out = ser_alloc(from->n, sizeof **out);
    *n_out = from->n;
    bool ok = *out;
    for (size_t i = 0; ok && i < from->n; i++)
        ok = ((*out)[i] = ser_strdup(from->labels[i]));
    return ok;
}

static ser_status init(ser_mapping *m, const ser_emotion_list *source, const ser_emotion_list *target,
                       ser_error *err)
{
    *m = (ser_mapping){.source = ser_strdup(source->corpus), .target = ser_strdup(target->corpus)};
    bool ok = copy_labels(&m->source_labels, &m->n_source, source);
    ok = copy_labels(&m->target_labels, &m->n_target, target) && ok;
    m->counts = ser_alloc(source->n * target->n, sizeof *m->counts);
    m->shared_source = ser_alloc(source->n, sizeof *m->shared_source);
    m->shared_target = ser_alloc(source->n, sizeof *m->shared_target);
    if (!ok || !m->source || !m->target || !m->counts || !m->shared_source || !m->shared_target)
        return ser_fail_nomem(err);
    for (size_t s = 0; s < m->n_source; s++) {
        int t = find(m->target_labels, m->n_target, m->source_labels[s]);
        if (t < 0)
            continue;
        m->shared_source[m->n_shared] = (int)s;
        m->shared_target[m->n_shared++] = t;
    }
    return SER_OK;
}

static ser_status set_name(ser_mapping *m, const char *name, ser_error *err)
{
    return (m->name = ser_strdup(name)) ? SER_OK : ser_fail_nomem(err);
}

/* ---- a table ---- */

typedef struct table {
    ser_mapping *mapping;
    bool whole;  /* the user's own: it must fit; built-in ones serve parts of the corpora too */
    bool *leads; /* (n_source, n_source): pairs of different emotions of the source */
    size_t *row; /* (n_source, n_target): where a pair stands; 0: nowhere */
    ser_error *err;
} table;

static void append_list(ser_text *t, const char *corpus, char *const *labels, size_t n)
{
    ser_text_appendf(t, "%s has ", corpus);
    for (size_t i = 0; i < n; i++)
        ser_text_appendf(t, "%s%s", i ? ", " : "", labels[i]);
}

static ser_status fail_unknown(const table *t, size_t row, const char *name)
{
    const ser_mapping *m = t->mapping;
    ser_text lists = {0};
    append_list(&lists, m->source, m->source_labels, m->n_source);
    ser_text_append(&lists, m->n_target ? "; " : "");
    if (m->n_target)
        append_list(&lists, m->target, m->target_labels, m->n_target);
    ser_status st = lists.failed ? ser_fail_nomem(t->err)
                                 : ser_fail(t->err, SER_E_FORMAT, "row %zu: there is no emotion '%.60s': %s",
                                            row, name, lists.s);
    ser_text_release(&lists);
    return st;
}

static ser_status fail_source(const table *t, size_t row, const char *name)
{
    const ser_mapping *m = t->mapping;
    ser_text list = {0};
    append_list(&list, m->source, m->source_labels, m->n_source);
    ser_status st = list.failed
                        ? ser_fail_nomem(t->err)
                        : ser_fail(t->err, SER_E_FORMAT,
                                   "row %zu: '%.60s' is an emotion of %s alone: the column 'emotion' is for "
                                   "those of the source; %s",
                                   row, name, m->target, list.s);
    ser_text_release(&list);
    return st;
}

static const char *emotion_name(const char *field)
{
    const char *name = ser_emotion_from_spelling(field);
    return name ? name : field;
}

static ser_status read_row(table *t, size_t row, const char *from, const char *to)
{
    ser_mapping *m = t->mapping;
    if (!*from || !*to)
        return ser_fail(t->err, SER_E_FORMAT, "row %zu: its column '%s' is empty: complete or remove the row",
                        row, *from ? "counts_as" : "emotion");
    from = emotion_name(from);
    to = emotion_name(to);
    int source = find(m->source_labels, m->n_source, from), target = find(m->target_labels, m->n_target, to),
        source_of_to = find(m->source_labels, m->n_source, to);
    if (t->whole && source < 0)
        return find(m->target_labels, m->n_target, from) < 0 ? fail_unknown(t, row, from)
                                                             : fail_source(t, row, from);
    if (t->whole && target < 0 && source_of_to < 0 && m->n_target)
        return fail_unknown(t, row, to);
    if (source >= 0 && source_of_to >= 0 && source != source_of_to)
        t->leads[(size_t)source * m->n_source + (size_t)source_of_to] = true;
    if (source < 0 || target < 0)
        return SER_OK; /* no recording and no answer to which it could apply */
    size_t pair = (size_t)source * m->n_target + (size_t)target;
    if (t->row[pair])
        return ser_fail(t->err, SER_E_FORMAT, "row %zu: '%s' counts as '%s' in row %zu already: remove one",
                        row, from, to, t->row[pair]);
    t->row[pair] = row;
    m->counts[pair] = true;
    return SER_OK;
}

/* In reach: which emotions are reached from which, over any number of pairs (Warshall 1962). */
static void close_paths(bool *reach, size_t n)
{
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; reach[i * n + k] && j < n; j++)
                reach[i * n + j] = reach[i * n + j] || reach[k * n + j];
}

/* "angry counts as fear, fear counts as angry" */
static ser_status fail_circle(const table *t, const bool *reach, size_t start)
{
    const ser_mapping *m = t->mapping;
    size_t n = m->n_source, at = start;
    ser_text path = {0};
    do {
        size_t next = 0;
        while (!t->leads[at * n + next] || (next != start && !reach[next * n + start]))
            next++;
        ser_text_appendf(&path, "%s%s counts as %s", path.n ? ", " : "", m->source_labels[at],
                         m->source_labels[next]);
        at = next;
    } while (at != start && !path.failed && path.n < 200);
    ser_status st = path.failed ? ser_fail_nomem(t->err)
                                : ser_fail(t->err, SER_E_FORMAT,
                                           "it maps in circles (%s): remove one of these rows", path.s);
    ser_text_release(&path);
    return st;
}

static ser_status check_circles(const table *t)
{
    size_t n = t->mapping->n_source;
    bool *reach = ser_alloc(n * n, sizeof *reach);
    if (!reach)
        return ser_fail_nomem(t->err);
    ser_status st = SER_OK;
    memcpy(reach, t->leads, n * n * sizeof *reach);
    close_paths(reach, n);
    for (size_t i = 0; i < n && st == SER_OK; i++)
        if (reach[i * n + i])
            st = fail_circle(t, reach, i);
    ser_free(reach);
    return st;
}

static ser_status read_csv(table *t, const ser_csv *csv)
{
    int from = ser_csv_column(csv, "emotion"), to = ser_csv_column(csv, "counts_as");
    if (from < 0 || to < 0)
        return ser_fail(t->err, SER_E_FORMAT,
                        "it has no column '%s': its first line has to name the columns emotion,counts_as",
                        from < 0 ? "emotion" : "counts_as");
    ser_status st = SER_OK;
    for (size_t i = 1; i < csv->n_rows && st == SER_OK; i++)
        st = read_row(t, i + 1, csv->rows[i][from], csv->rows[i][to]);
    return st == SER_OK ? check_circles(t) : st;
}

static ser_status read_table(ser_mapping *m, const char *bytes, size_t n_bytes, bool whole, ser_error *err)
{
    ser_csv csv = {0};
    table t = {.mapping = m,
               .whole = whole,
               .leads = ser_alloc(m->n_source * m->n_source, sizeof *t.leads),
               .row = ser_alloc(m->n_source * m->n_target, sizeof *t.row),
               .err = err};
    ser_status st = t.leads && t.row ? ser_csv_read_memory(&csv, bytes, n_bytes, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = read_csv(&t, &csv);
    ser_csv_release(&csv);
    ser_free(t.leads);
    ser_free(t.row);
    return st;
}

static bool has_pairs(const ser_mapping *m)
{
    for (size_t i = 0; i < m->n_source * m->n_target; i++)
        if (m->counts[i])
            return true;
    return !m->n_target;
}

static ser_status check_pairs(const ser_mapping *m, ser_error *err)
{
    return has_pairs(m)
               ? SER_OK
               : ser_fail(err, SER_E_FORMAT,
                          "no pair of it is left: none of its emotions counts as one that %s has", m->target);
}

/* ---- where a table comes from ---- */

ser_status ser_mapping_read_memory(ser_mapping *out, const char *bytes, size_t n_bytes,
                                   const ser_emotion_list *source, const ser_emotion_list *target,
                                   ser_error *err)
{
    ser_status st = init(out, source, target, err);
    if (st == SER_OK)
        st = read_table(out, bytes, n_bytes, true, err);
    if (st == SER_OK)
        st = check_pairs(out, err);
    if (st == SER_OK)
        st = set_name(out, "table", err);
    if (st != SER_OK)
        ser_mapping_release(out);
    return st;
}

static ser_status read_file(ser_mapping *out, const char *path, ser_error *err)
{
    ser_bytes bytes;
    ser_status st = ser_io_read(&bytes, path, MAX_TABLE, err);
    if (st == SER_OK)
        st = read_table(out, (const char *)bytes.data, bytes.n, true, err);
    ser_bytes_release(&bytes);
    if (st == SER_OK)
        st = check_pairs(out, err);
    if (st != SER_OK)
        return ser_fail_within(err, st, "%s: ", path);
    return set_name(out, path, err);
}

/* "source-target" in lower case, as reports have called the tables from the first. */
static ser_status set_table_name(ser_mapping *m, const ser_known_mapping *known, ser_error *err)
{
    ser_text name = {0};
    ser_text_appendf(&name, "%s-%s", known->source, known->target);
    for (size_t i = 0; !name.failed && i < name.n; i++)
        name.s[i] = (char)tolower((unsigned char)name.s[i]);
    ser_status st = name.failed ? ser_fail_nomem(err) : set_name(m, name.s, err);
    ser_text_release(&name);
    return st;
}

static ser_status read_default(ser_mapping *out, ser_error *err)
{
    const ser_known_mapping *known = ser_known_mapping_find(out->source, out->target);
    if (known) {
        ser_status st = read_table(out, known->table, strlen(known->table), false, err);
        return st == SER_OK ? set_table_name(out, known, err) : st;
    }
    for (size_t k = 0; k < out->n_shared; k++)
        out->counts[(size_t)out->shared_source[k] * out->n_target + (size_t)out->shared_target[k]] = true;
    return set_name(out, "shared emotions", err);
}

ser_status ser_mapping_new(ser_mapping *out, const char *path, const ser_emotion_list *source,
                           const ser_emotion_list *target, ser_error *err)
{
    ser_status st = init(out, source, target, err);
    if (st == SER_OK)
        st = path ? read_file(out, path, err) : read_default(out, err);
    if (st == SER_OK && !has_pairs(out))
        st = ser_fail(err, SER_E_FORMAT,
                      "%s and %s have no emotion in common: say which counts as which with --mapping FILE "
                      "(columns emotion,counts_as)",
                      out->source, out->target);
    if (st != SER_OK)
        ser_mapping_release(out);
    return st;
}

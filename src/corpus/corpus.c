#include "audio/audio.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "base/text.h"
#include "corpus/draft.h"
#include "io/file.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* ---- where things lie ---- */

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The name as it is written in the table; in other cases ("emodb") unless something else is called so. */
static const ser_known_corpus *find_named(const char *part)
{
    const ser_known_corpus *c = ser_known_corpus_find(part);
    return c && (strcmp(part, c->name) == 0 || !exists(part)) ? c : NULL;
}

static ser_status read_named(ser_draft *d, const ser_known_corpus *c, const char *data_dir, ser_error *err)
{
    const char *const folders[] = {c->name, c->folder};
    const char *variable = getenv("SER_DATA_DIR"), *given = data_dir;
    if (!data_dir)
        data_dir = variable && *variable ? variable : "data/raw";
    for (int i = 0; i < 2; i++) {
        char *path = ser_io_join(data_dir, folders[i]);
        if (!path)
            return ser_fail_nomem(err);
        bool found = is_folder(path);
        ser_status st = found ? ser_draft_read_folder(d, path, c, err) : SER_OK;
        ser_free(path);
        if (found)
            return st;
    }
    ser_text get = {0};
    ser_known_append_fetch(&get, c, given);
    if (!c->origin.archive)
        ser_text_appendf(&get, " into %s/%s", data_dir, c->name);
    ser_status st =
        get.failed ? ser_fail_nomem(err)
                   : ser_fail(err, SER_E_IO,
                              "the corpus %s is neither in '%s/%s' nor in '%s/%s': name the folder above it "
                              "with --data-dir or SER_DATA_DIR, or %s",
                              c->name, data_dir, c->name, data_dir, c->folder, get.s);
    ser_text_release(&get);
    return st;
}

/* "/data/mine/" -> "mine", "lists/mine.csv" -> "mine", "." -> what the current folder is called. */
static char *name_of_path(const char *path)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    const char *base = path + start;
    size_t n = end - start;
    if ((n == 1 && base[0] == '.') || (n == 2 && strncmp(base, "..", 2) == 0)) {
        char *resolved = realpath(path, NULL);
        char *name = ser_strdup(resolved ? strrchr(resolved, '/') + 1 : "corpus");
        free(resolved);
        return name;
    }
    if (n > 4 && strncasecmp(base + n - 4, ".csv", 4) == 0 && !is_folder(path))
        n -= 4;
    else if (n > 9 && ser_draft_is_textgrid(path) && !is_folder(path))
        n -= 9;
    return ser_strndup(base, n);
}

/* ---- parts of a specification ---- */

typedef struct part {
    char *spec, *name;
} part;

typedef struct part_list {
    part *items;
    size_t n, capacity;
} part_list;

static void release_parts(part_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        ser_free(l->items[i].spec);
        ser_free(l->items[i].name);
    }
    ser_free(l->items);
}

/* The longest piece from the front of spec that ends at a '+' or its end and is a corpus or a path; else the
 * piece before the first '+'. */
static char *first_part(const char *spec)
{
    for (size_t n = strlen(spec);;) {
        char *piece = ser_strndup(spec, n);
        const char *plus = piece ? strrchr(piece, '+') : NULL;
        if (!plus || exists(piece) || find_named(piece))
            return piece;
        n = (size_t)(plus - piece);
        ser_free(piece);
    }
}

static ser_status add_part(part_list *l, char *spec, ser_error *err)
{
    if (!spec || !ser_grow(&l->items, &l->capacity, l->n + 1, sizeof *l->items)) {
        ser_free(spec);
        return ser_fail_nomem(err);
    }
    const ser_known_corpus *named = find_named(spec);
    part *p = &l->items[l->n++];
    *p = (part){.spec = spec, .name = named ? ser_strdup(named->name) : name_of_path(spec)};
    if (!p->name)
        return ser_fail_nomem(err);
    for (size_t i = 0; i + 1 < l->n; i++)
        if (strcmp(l->items[i].name, p->name) == 0)
            return ser_fail(err, SER_E_ARG, "two of the corpora joined are called '%s': rename one", p->name);
    return SER_OK;
}

static ser_status split_spec(part_list *l, const char *spec, ser_error *err)
{
    for (;;) {
        if (!*spec || *spec == '+')
            return ser_fail(err, SER_E_ARG,
                            "a corpus is missing: name " SER_KNOWN_NAMES "a folder or a CSV file, or several "
                            "joined with '+'");
        char *piece = first_part(spec);
        spec += piece ? strlen(piece) : 0;
        ser_status st = add_part(l, piece, err);
        if (st != SER_OK || !*spec)
            return st;
        spec++;
    }
}

/* A recording in place of a table is told of as that. */
static ser_status read_table(ser_draft *d, const char *path, ser_error *err)
{
    const char *kind;
    ser_status st = ser_draft_read_csv(d, path, err);
    if (st != SER_E_FORMAT)
        return st;
    ser_audio_state state = ser_audio_look(path, &kind);
    return state == SER_AUDIO_READABLE || state == SER_AUDIO_NEEDS_FFMPEG
               ? ser_fail(err, st,
                          "it is a recording: name a folder of recordings, or a CSV file that lists some")
               : st;
}

static ser_status read_part(ser_draft *d, const part *p, const char *data_dir, ser_error *err)
{
    const ser_known_corpus *named = find_named(p->spec);
    if (named)
        return read_named(d, named, data_dir, err);
    if (is_folder(p->spec)) {
        bool annotated;
        ser_status st = ser_draft_read_textgrids(d, p->spec, &annotated, err);
        return st == SER_OK && !annotated ? ser_draft_read_folder(d, p->spec, NULL, err) : st;
    }
    if (exists(p->spec) && ser_draft_is_textgrid(p->spec))
        return ser_draft_read_textgrid(d, p->spec, err);
    if (exists(p->spec))
        return read_table(d, p->spec, err);
    const ser_known_corpus *near = ser_known_corpus_near(p->spec);
    return near ? ser_fail(err, SER_E_IO, "there is no such corpus: did you mean %s?", near->name)
                : ser_fail(err, SER_E_IO,
                           "there is no such corpus: name " SER_KNOWN_NAMES "a folder or a CSV file");
}

static ser_status open_corpus(ser_corpus **out, const char *spec, const char *data_dir, bool is_target,
                              ser_error *err)
{
    *out = NULL;
    part_list parts = {0};
    ser_draft draft = {.is_target = is_target};
    ser_text name = {0};
    ser_status st = split_spec(&parts, spec, err);
    for (size_t i = 0; i < parts.n && st == SER_OK; i++) {
        const part *p = &parts.items[i];
        draft.part = parts.n > 1 ? p->name : NULL;
        ser_text_appendf(&name, "%s%s", i ? "+" : "", p->name);
        st = ser_draft_begin_part(&draft, p->name, err);
        if (st == SER_OK)
            st = read_part(&draft, p, data_dir, err);
        if (st != SER_OK)
            ser_fail_within(err, st, "%s: ", p->spec);
    }
    if (st == SER_OK && name.failed)
        st = ser_fail_nomem(err);
    if (st == SER_OK && (st = ser_draft_finish(out, &draft, name.s, err)) != SER_OK)
        ser_fail_within(err, st, "%s: ", spec);
    ser_text_release(&name);
    ser_draft_release(&draft);
    release_parts(&parts);
    return st;
}

ser_status ser_corpus_open(ser_corpus **out, const char *spec, const char *data_dir, ser_error *err)
{
    return open_corpus(out, spec, data_dir, false, err);
}

ser_status ser_corpus_open_target(ser_corpus **out, const char *spec, const char *data_dir, ser_error *err)
{
    return open_corpus(out, spec, data_dir, true, err);
}

ser_status ser_corpus_name(char **out, const char *spec, ser_error *err)
{
    part_list parts = {0};
    ser_text name = {0};
    ser_status st = split_spec(&parts, spec, err);
    for (size_t i = 0; i < parts.n; i++)
        ser_text_appendf(&name, "%s%s", i ? "+" : "", parts.items[i].name);
    release_parts(&parts);
    if (st != SER_OK)
        ser_text_release(&name);
    *out = ser_text_take(&name);
    return st == SER_OK && !*out ? ser_fail_nomem(err) : st;
}

void ser_corpus_hash(char hex[65], const ser_corpus *c)
{
    ser_sha256 h;
    ser_sha256_init(&h);
    ser_sha256_add(&h, c->name, strlen(c->name) + 1);
    for (size_t u = 0; u < c->n_utterances; u++) {
        const ser_utterance *r = &c->utterances[u];
        const int numbers[] = {r->label, r->speaker, r->text, r->fold};
        const double stretch[] = {r->start_s, r->end_s};
        ser_sha256_add(&h, r->name, strlen(r->name) + 1);
        ser_sha256_add(&h, r->file, strlen(r->file) + 1);
        ser_sha256_add(&h, numbers, sizeof numbers);
        ser_sha256_add(&h, stretch, sizeof stretch);
    }
    ser_sha256_finish(&h, hex);
}

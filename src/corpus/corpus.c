#include "corpus/corpus.h"
#include "base/memory.h"
#include "base/text.h"
#include "corpus/builder.h"
#include "corpus/layouts.h"
#include "io/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static const struct {
    const char *name, *folder;
    ser_layout_fn load;
} named_corpora[] = {
    {"EMODB", "emodb", ser_layout_emodb},
    {"RAVDESS", "ravdess", ser_layout_ravdess},
};
enum { N_NAMED = sizeof named_corpora / sizeof *named_corpora };

void ser_corpus_free(ser_corpus **c)
{
    if (!c || !*c)
        return;
    for (size_t i = 0; i < (*c)->n_utterances; i++) {
        ser_free((*c)->utterances[i].name);
        ser_free((*c)->utterances[i].file);
        ser_free((*c)->utterances[i].path);
    }
    char **lists[] = {(*c)->labels, (*c)->speakers, (*c)->texts};
    const size_t n[] = {(*c)->n_labels, (*c)->n_speakers, (*c)->n_texts};
    for (size_t l = 0; l < 3; l++) {
        for (size_t i = 0; i < n[l]; i++)
            ser_free(lists[l][i]);
        ser_free(lists[l]);
    }
    ser_free((*c)->utterances);
    ser_free((*c)->name);
    ser_free(*c);
    *c = NULL;
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

static ser_status load_folder(ser_corpus *c, const char *root, ser_layout_fn load, ser_error *err)
{
    ser_folder f = {.root = root};
    ser_status st = ser_io_list_files(&f.files, &f.n_files, root, err);
    if (st != SER_OK)
        return st;
    st = (load ? load : ser_layout_recognise(&f))(c, &f, err);
    if (st == SER_OK && f.n_ignored)
        snprintf(c->warning, sizeof c->warning,
                 "%s: %zu recordings whose names do not follow the corpus's scheme were left out", c->name,
                 f.n_ignored);
    ser_io_free_list(f.files, f.n_files);
    return st;
}

/* DIR/EMODB or DIR/emodb. */
static ser_status load_named(ser_corpus *c, size_t which, const char *data_dir, ser_error *err)
{
    const char *from_environment = getenv("SER_DATA_DIR");
    if (!data_dir)
        data_dir = from_environment && *from_environment ? from_environment : "data/raw";
    const char *const folders[] = {named_corpora[which].name, named_corpora[which].folder};
    for (size_t i = 0; i < 2; i++) {
        char *root = ser_io_join(data_dir, folders[i]);
        if (!root)
            return ser_fail_nomem(err);
        ser_status st = is_folder(root) ? load_folder(c, root, named_corpora[which].load, err) : SER_E_IO;
        bool found = is_folder(root);
        ser_free(root);
        if (found)
            return st;
    }
    return ser_fail(
        err, SER_E_IO,
        "neither %s/%s nor %s/%s is there: say where the corpus lies with --data-dir or SER_DATA_DIR",
        data_dir, folders[0], data_dir, folders[1]);
}

/* The last part of a path, without ".csv". */
static char *name_of(const char *spec)
{
    size_t end = strlen(spec);
    while (end > 1 && spec[end - 1] == '/')
        end--;
    size_t start = end;
    while (start && spec[start - 1] != '/')
        start--;
    if (end - start > 4 && strncasecmp(spec + end - 4, ".csv", 4) == 0)
        end -= 4;
    return ser_strndup(spec + start, end - start);
}

static ser_status open_one(ser_corpus **out, const char *spec, const char *data_dir, ser_error *err)
{
    size_t which = 0;
    while (which < N_NAMED && strcasecmp(named_corpora[which].name, spec) != 0)
        which++;
    ser_corpus *c = ser_alloc(1, sizeof *c);
    *out = c;
    if (!c || !(c->name = which < N_NAMED ? ser_strdup(named_corpora[which].name) : name_of(spec)))
        return ser_fail_nomem(err);
    if (which < N_NAMED)
        return load_named(c, which, data_dir, err);
    if (is_folder(spec))
        return load_folder(c, spec, NULL, err);
    if (exists(spec))
        return ser_layout_csv(c, spec, err);
    return ser_fail(err, SER_E_IO, "there is no such corpus: give EMODB, RAVDESS, a folder or a CSV file");
}

/* One of the corpora that '+' joins. A path may hold a '+' itself, so the longest part that exists is taken.
 */
static size_t part_length(const char *spec)
{
    for (size_t n = strlen(spec); n > 0; n--) {
        if (spec[n] && spec[n] != '+')
            continue;
        char *part = ser_strndup(spec, n);
        bool there = part && exists(part);
        ser_free(part);
        if (there)
            return n;
    }
    return strcspn(spec, "+");
}

static ser_status append_part(ser_corpus *all, const char *spec, const char *data_dir, ser_error *err)
{
    ser_corpus *one;
    ser_status st = open_one(&one, spec, data_dir, err);
    if (st == SER_OK)
        st = ser_builder_finish(one, err);
    if (st != SER_OK)
        ser_fail_within(err, st, "%s: ", spec);
    ser_text name = {0};
    if (st == SER_OK) {
        ser_text_appendf(&name, "%s%s%s", all->name ? all->name : "", all->name ? "+" : "", one->name);
        st = name.failed ? ser_fail_nomem(err) : ser_builder_join(all, one, err);
    }
    if (st == SER_OK) {
        ser_free(all->name);
        all->name = name.s;
        if (*one->warning)
            memcpy(all->warning, one->warning, sizeof all->warning);
    }
    ser_corpus_free(&one);
    return st;
}

ser_status ser_corpus_open(ser_corpus **out, const char *spec, const char *data_dir, ser_error *err)
{
    *out = NULL;
    ser_status st = SER_OK;
    ser_corpus *c = NULL;
    if (part_length(spec) == strlen(spec)) {
        st = open_one(&c, spec, data_dir, err);
        if (st == SER_OK)
            st = ser_builder_finish(c, err);
        if (st != SER_OK)
            ser_fail_within(err, st, "%s: ", spec);
    } else {
        c = ser_alloc(1, sizeof *c);
        st = c ? SER_OK : ser_fail_nomem(err);
        while (*spec && st == SER_OK) {
            size_t n = part_length(spec);
            char *part = ser_strndup(spec, n);
            st = part ? append_part(c, part, data_dir, err) : ser_fail_nomem(err);
            ser_free(part);
            spec += n + (spec[n] == '+');
        }
        if (st == SER_OK)
            st = ser_builder_finish(c, err);
    }
    if (st != SER_OK)
        ser_corpus_free(&c);
    *out = c;
    return st;
}

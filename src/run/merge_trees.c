/* Feature trees of shards, joined: the recordings' files are linked (copied, where that cannot be), and the
 * index is written anew from the shards' own. */
#include "base/memory.h"
#include "data/entry.h"
#include "data/index.h"
#include "io/file.h"
#include "run/merge_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One tree being joined. */
typedef struct joined_tree {
    const ser_manifest *manifests;
    size_t n;
    const char *name, *corpus; /* "LOGMEL/EMODB_LOGMEL_128", "EMODB" */
    char *folder, *work;       /* work: its name until it is whole */
    ser_tree_index *indexes;   /* (n) of the shards; zeroed where a shard has no recording of the corpus */
    size_t n_recordings;
} joined_tree;

/* ---- files ---- */

static ser_status copy(const char *from, const char *to, ser_error *err)
{
    ser_bytes bytes = {0};
    ser_output out = {0};
    ser_status st = ser_io_map(&bytes, from, 0, err);
    if (st == SER_OK)
        st = ser_output_open(&out, to, err);
    if (st == SER_OK) {
        out.unsynced = true;
        if (bytes.n)
            fwrite(bytes.data, 1, bytes.n, out.file);
        st = ser_output_commit(&out, err);
    }
    ser_output_abort(&out);
    ser_bytes_release(&bytes);
    return st;
}

/* Takes both paths. What is not needed may be missing. */
static ser_status take_file(char *from, char *to, bool needed, ser_error *err)
{
    ser_status st = from && to ? SER_OK : ser_fail_nomem(err);
    if (st == SER_OK && access(from, F_OK) != 0)
        st = needed ? ser_fail(err, SER_E_IO, "%s: it is missing: run its shard again", from) : SER_OK;
    else if (st == SER_OK && (st = ser_io_make_folder_of(to, err)) == SER_OK && link(from, to) != 0)
        if (errno == EEXIST || (st = copy(from, to, err)) != SER_OK)
            st = ser_fail(err, SER_E_IO, "%s: it cannot be written: free some space, or remove what is there",
                          to);
    ser_free(from);
    ser_free(to);
    return st;
}

/* ---- one tree ---- */

static const char *corpus_of(const json_t *recording)
{
    const char *corpus = json_string_value(json_object_get(recording, "corpus"));
    return corpus ? corpus : "";
}

static ser_status take_files(const joined_tree *t, const ser_manifest *m, const char *from, ser_error *err)
{
    ser_status st = SER_OK;
    for (size_t i = 0; i < json_array_size(m->recordings) && st == SER_OK; i++) {
        const json_t *r = json_array_get(m->recordings, i);
        const char *utterance = json_string_value(json_object_get(r, "utterance"));
        bool done = ser_noted_done(r);
        if (strcmp(corpus_of(r), t->corpus) != 0)
            continue;
        if (!utterance || !ser_tree_is_safe_name(utterance))
            return ser_fail(err, SER_E_FORMAT, "%s: its manifest is damaged: run its shard again", m->part);
        st = take_file(ser_tree_npy_path(from, utterance), ser_tree_npy_path(t->work, utterance), done, err);
        if (st == SER_OK)
            st = take_file(ser_tree_facts_path(from, utterance), ser_tree_facts_path(t->work, utterance),
                           done, err);
    }
    return st;
}

static size_t count_recordings(const ser_manifest *m, const char *corpus)
{
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(m->recordings); i++)
        n += strcmp(corpus_of(json_array_get(m->recordings, i)), corpus) == 0;
    return n;
}

static ser_status read_index(joined_tree *t, size_t part, const char *folder, size_t n, ser_error *err)
{
    ser_tree_index *index = &t->indexes[part];
    char *path = ser_io_join(folder, "index.json");
    ser_status st = path ? ser_tree_index_read(index, path, err) : ser_fail_nomem(err);
    if (st == SER_OK &&
        (strcmp(index->corpus, t->corpus) != 0 || (index->complete && index->n_recordings != n)))
        st = ser_fail(err, SER_E_FORMAT, "it is not what the shard's manifest says: run the shard again");
    for (size_t i = 0; i < part && st == SER_OK; i++)
        if (t->indexes[i].corpus &&
            (t->indexes[i].dims != index->dims || !json_equal(t->indexes[i].parameters, index->parameters)))
            st = ser_fail(err, SER_E_FORMAT, "its features are made in another way than those of %s",
                          t->manifests[i].part);
    if (st != SER_OK && path)
        ser_fail_within(err, st, "%s: ", path);
    ser_free(path);
    return st;
}

static ser_status take_part(joined_tree *t, size_t part, ser_error *err)
{
    const ser_manifest *m = &t->manifests[part];
    size_t n = count_recordings(m, t->corpus);
    if (!n)
        return SER_OK;
    char *from = ser_io_join(m->part, t->name);
    ser_status st = from ? read_index(t, part, from, n, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = take_files(t, m, from, err);
    t->n_recordings += n;
    ser_free(from);
    return st;
}

static int compare_utterances(const void *a, const void *b)
{
    return strcmp(((const ser_tree_recording *)a)->utterance, ((const ser_tree_recording *)b)->utterance);
}

/* As ser_trees_fill writes it: where a recording failed, it lists none. */
static ser_status write_index(const joined_tree *t, ser_error *err)
{
    ser_tree_index all = {0};
    bool complete = true;
    for (size_t i = 0; i < t->n; i++) {
        const ser_tree_index *index = &t->indexes[i];
        if (!index->corpus)
            continue;
        all.corpus = index->corpus;
        all.parameters = index->parameters;
        all.dims = index->dims;
        complete = complete && index->complete;
    }
    all.complete = complete;
    if (!(all.recordings = ser_alloc(t->n_recordings, sizeof *all.recordings)))
        return ser_fail_nomem(err);
    for (size_t i = 0; i < t->n && complete; i++)
        for (size_t r = 0; r < t->indexes[i].n_recordings; r++)
            all.recordings[all.n_recordings++] = t->indexes[i].recordings[r]; /* strings stay the shard's */
    qsort(all.recordings, all.n_recordings, sizeof *all.recordings, compare_utterances);
    char *path = ser_io_join(t->work, "index.json");
    ser_status st = path ? ser_tree_index_write(&all, path, err) : ser_fail_nomem(err);
    if (st != SER_OK && path)
        ser_fail_within(err, st, "%s: ", path);
    ser_free(path);
    ser_free(all.recordings);
    return st;
}

static ser_status publish(const joined_tree *t, const ser_run_host *host, ser_error *err)
{
    ser_status st = ser_io_sync(t->work, err);
    if (st == SER_OK)
        st = write_index(t, err);
    if (st == SER_OK && rename(t->work, t->folder) != 0)
        st = ser_fail(err, SER_E_IO, "%s: it cannot be named so (%s): remove what is there", t->folder,
                      strerror(errno));
    if (st == SER_OK && (st = ser_io_sync_name(t->folder, err)) != SER_OK)
        (void)!rename(t->folder, t->work);
    if (st == SER_OK)
        ser_run_tell(host, SER_RUN_DONE, "%s: %zu recordings", t->folder, t->n_recordings);
    return st;
}

static ser_status join_tree(joined_tree *t, const ser_run_host *host, ser_error *err)
{
    ser_status st = (t->indexes = ser_alloc(t->n, sizeof *t->indexes)) ? SER_OK : ser_fail_nomem(err);
    for (size_t i = 0; i < t->n && st == SER_OK; i++) {
        if (!ser_progress_report(&host->progress, "shards", i, t->n))
            return ser_fail(err, SER_E_CANCELLED, "interrupted: %s is not whole, remove it", t->work);
        st = take_part(t, i, err);
    }
    return st == SER_OK && t->n_recordings ? publish(t, host, err) : st;
}

/* ---- all of them ---- */

static ser_status check_free(const char *path, const char *why, ser_error *err)
{
    struct stat info;
    return lstat(path, &info) == 0 ? ser_fail(err, SER_E_UNSUPPORTED, "%s: %s", path, why) : SER_OK;
}

static ser_status prepare(joined_tree *t, const json_t *tree, const char *output, ser_error *err)
{
    ser_text work = {0};
    t->name = json_string_value(json_object_get(tree, "folder"));
    t->corpus = json_string_value(json_object_get(tree, "corpus"));
    if (!t->name || !t->corpus || !ser_tree_is_safe_name(t->name))
        return ser_fail(err, SER_E_FORMAT, "%s: its manifest is damaged: run its shard again",
                        t->manifests[0].part);
    t->folder = ser_io_join(output, t->name);
    ser_text_appendf(&work, "%s.partial", t->folder ? t->folder : "");
    t->work = work.s;
    if (!t->folder || work.failed)
        return ser_fail_nomem(err);
    ser_status st = check_free(t->folder, "features are there already: name another folder", err);
    return st == SER_OK ? check_free(t->work, "left by a merge that was stopped: remove it", err) : st;
}

static void release(joined_tree *t)
{
    for (size_t i = 0; t->indexes && i < t->n; i++)
        ser_tree_index_release(&t->indexes[i]);
    ser_free(t->indexes);
    ser_free(t->folder);
    ser_free(t->work);
}

ser_status ser_merge_trees(const ser_manifest *manifests, size_t n, const char *output,
                           const ser_run_host *host, ser_error *err)
{
    const json_t *list = json_object_get(manifests[0].root, "trees");
    size_t n_trees = json_array_size(list);
    joined_tree *trees = ser_alloc(n_trees, sizeof *trees);
    ser_status st = trees ? SER_OK : ser_fail_nomem(err);
    for (size_t i = 1; i < n && st == SER_OK; i++)
        if (!json_equal(list, json_object_get(manifests[i].root, "trees")))
            st = ser_fail(err, SER_E_FORMAT, "%s: it is of other corpora or features than %s",
                          manifests[i].part, manifests[0].part);
    for (size_t i = 0; i < n_trees && st == SER_OK; i++) {
        trees[i] = (joined_tree){.manifests = manifests, .n = n};
        st = prepare(&trees[i], json_array_get(list, i), output, err);
    }
    for (size_t i = 0; i < n_trees && st == SER_OK; i++)
        st = join_tree(&trees[i], host, err);
    for (size_t i = 0; i < n_trees && trees; i++)
        release(&trees[i]);
    ser_free(trees);
    return st;
}

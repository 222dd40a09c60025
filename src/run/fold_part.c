#include "run/fold_part.h"
#include "base/memory.h"
#include "io/file.h"
#include "run/shard.h"

#include <string.h>

static const char BLOCK[] = "fold.bin", HASH_KEY[] = "fold_sha256";

/* What decides the figures, of whatever folders it is read from and with whatever threads. */
static ser_status set_options(json_t *to, const ser_fold_part *p, ser_error *err)
{
    static const char *const places[] = {"data_dir", "features_dir", "encoder", "jobs"};
    bool ok = json_object_update(to, (json_t *)p->config) == 0 &&
              json_object_set_new(to, "encoder_sha256", json_string(p->encoder_sha256)) == 0 &&
              json_object_set_new(to, "head_sha256", json_string(p->head_sha256)) == 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        json_object_del(to, places[i]);
    return ok ? SER_OK : ser_fail_nomem(err);
}

/* The recordings that the fold tests; all are listed, with what is said of them. */
static ser_status note_recordings(ser_part *part, const ser_fold_part *p, ser_error *err)
{
    char hex[65];
    ser_status st = SER_OK;
    ser_corpus_hash(hex, p->corpus);
    for (size_t u = 0; u < p->corpus->n_utterances && st == SER_OK; u++) {
        const ser_utterance *r = &p->corpus->utterances[u];
        ser_part_deal(part, u ? r->name : hex, r->file);
        if (p->folds->test_fold[u] == (int)p->fold)
            st = ser_part_note(part, u, r->file, NULL, NULL, err);
    }
    return st;
}

ser_status ser_fold_part_write(const ser_fold_part *p, const ser_text *block, ser_error *err)
{
    const ser_shard shard = {(int)p->fold + 1, (int)p->folds->n_folds};
    ser_part part = {0};
    char hex[65], *file = ser_io_join(p->folder, BLOCK), *manifest = ser_manifest_path(p->folder, true);
    ser_sha256_of(hex, block->s, block->n);
    ser_status st = file && manifest ? ser_part_open(&part, "evaluate", &shard, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = set_options(part.options, p, err);
    if (st == SER_OK && json_object_set_new(part.root, HASH_KEY, json_string(hex)) != 0)
        st = ser_fail_nomem(err);
    if (st == SER_OK)
        st = note_recordings(&part, p, err);
    if (st == SER_OK && (st = ser_io_write(file, block->s, block->n, err)) != SER_OK)
        ser_fail_within(err, st, "%s: ", file);
    if (st == SER_OK)
        st = ser_part_write(&part, manifest, err);
    ser_part_close(&part);
    ser_free(file);
    ser_free(manifest);
    return st;
}

static ser_status read_block(ser_text *block, const ser_manifest *m, ser_error *err)
{
    char hex[65], *path = ser_io_join(m->part, BLOCK);
    ser_bytes bytes = {0};
    ser_status st = path ? ser_io_map(&bytes, path, 0, err) : ser_fail_nomem(err);
    const char *expected = json_string_value(json_object_get(m->root, HASH_KEY));
    ser_sha256_of(hex, bytes.data, bytes.n);
    if (st == SER_OK && (!expected || strcmp(expected, hex) != 0))
        st = ser_fail(err, SER_E_FORMAT, "it is not what its manifest says: run its fold again");
    if (st == SER_OK)
        ser_text_append_n(block, (const char *)bytes.data, bytes.n);
    else if (path)
        ser_fail_within(err, st, "%s: ", path);
    ser_bytes_release(&bytes);
    ser_free(path);
    return st == SER_OK && block->failed ? ser_fail_nomem(err) : st;
}

ser_status ser_fold_part_read(ser_text *block, const char *const *parts, size_t n_parts, size_t fold,
                              ser_error *err)
{
    for (size_t i = 0; i < n_parts; i++) {
        ser_manifest m;
        ser_status st = ser_manifest_read(&m, parts[i], err);
        bool found = st == SER_OK && m.shard.index == (int)fold + 1;
        if (found)
            st = read_block(block, &m, err);
        if (st == SER_OK)
            ser_manifest_release(&m);
        if (st != SER_OK || found)
            return st;
    }
    return ser_fail(err, SER_E_FORMAT, "fold %zu is missing: run it, and name what it left", fold + 1);
}

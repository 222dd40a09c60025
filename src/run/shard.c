#include "run/shard.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/file.h"
#include "io/json.h"
#include "report/escape.h"
#include "run/identity.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FORMAT_VERSION = 1, MAX_MANIFEST_BYTES = 1 << 30 };

/* ---- shards ---- */

/* A number without sign or blanks; *end is behind it. */
static long read_number(const char *text, char **end)
{
    *end = (char *)text;
    return *text >= '0' && *text <= '9' ? strtol(text, end, 10) : -1;
}

ser_status ser_shard_parse(ser_shard *out, const char *text, ser_error *err)
{
    char *slash, *end = NULL;
    long index = read_number(text, &slash), count = *slash == '/' ? read_number(slash + 1, &end) : -1;
    if (index < 1 || count < index || count > SER_MAX_SHARDS || *end)
        return ser_fail(err, SER_E_ARG, "'%.40s' does not fit: give I/N, such as 1/4, with I from 1 to N",
                        text);
    *out = (ser_shard){(int)index, (int)count};
    return SER_OK;
}

/* By a hash of the path, so that it does not depend on what else is there. */
static bool takes(const ser_shard *s, const char *relative_path)
{
    char hex[65];
    ser_sha256_of(hex, relative_path, strlen(relative_path));
    hex[15] = 0; /* 60 bits */
    return !s->count ||
           strtoull(hex, NULL, 16) % (unsigned long long)s->count + 1 == (unsigned long long)s->index;
}

/* ---- a share being done ---- */

ser_status ser_part_open(ser_part *out, const char *command, const ser_shard *shard, ser_error *err)
{
    char cpu[128];
    ser_cpu_name(cpu, sizeof cpu);
    *out = (ser_part){.shard = *shard, .options = json_object(), .recordings = json_array()};
    out->root =
        json_pack("{s:i, s:s, s:s, s:o, s:i, s:i, s:o, s:o}", "format_version", FORMAT_VERSION, "command",
                  command, "version", SER_VERSION, "cpu", ser_text_json(cpu), "shard", shard->index, "shards",
                  shard->count, "options", out->options, "recordings", out->recordings);
    ser_sha256_init(&out->listing);
    return out->root ? SER_OK : ser_fail_nomem(err);
}

bool ser_part_deal(ser_part *p, const char *name, const char *relative_path)
{
    ser_sha256_add(&p->listing, name, strlen(name) + 1);
    p->n_listed++;
    return takes(&p->shard, relative_path);
}

ser_status ser_part_note(ser_part *p, size_t position, const char *name, const char *failure, json_t *more,
                         ser_error *err)
{
    json_t *recording = json_pack("{s:I, s:o, s:s}", "position", (json_int_t)position, "file",
                                  ser_text_json(name), "state", failure ? "failed" : "done");
    bool ok = recording != NULL;
    if (ok && failure)
        ok = json_object_set_new(recording, "error", ser_text_json(failure)) == 0;
    if (ok && more)
        ok = json_object_update(recording, more) == 0;
    json_decref(more);
    return json_array_append_new(p->recordings, recording) == 0 && ok ? SER_OK : ser_fail_nomem(err);
}

ser_status ser_part_write(ser_part *p, const char *path, ser_error *err)
{
    char hex[65];
    ser_sha256 listing = p->listing;
    ser_sha256_finish(&listing, hex);
    bool ok = json_object_set_new(p->root, "n_listed", json_integer((json_int_t)p->n_listed)) == 0 &&
              json_object_set_new(p->root, "listing_sha256", json_string(hex)) == 0;
    char *text = ok ? ser_json_dump(p->root, JSON_INDENT(1)) : NULL;
    ser_status st = text ? ser_io_write(path, text, strlen(text), err) : ser_fail_nomem(err);
    if (st != SER_OK)
        ser_fail_within(err, st, "%s: ", path);
    free(text);
    return st;
}

ser_status ser_part_identity(const ser_part *p, char hex[65], ser_error *err)
{
    static const char *const others[] = {"command", "version", "cpu"};
    ser_sha256 h, listing = p->listing;
    char *options = ser_json_dump(p->options, JSON_COMPACT | JSON_SORT_KEYS);
    if (!options)
        return ser_fail_nomem(err);
    ser_sha256_finish(&listing, hex);
    ser_sha256_init(&h);
    ser_sha256_add(&h, options, strlen(options) + 1);
    ser_sha256_add(&h, hex, 64);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const char *text = json_string_value(json_object_get(p->root, others[i]));
        ser_sha256_add(&h, text, strlen(text) + 1);
    }
    ser_sha256_finish(&h, hex);
    free(options);
    return SER_OK;
}

void ser_part_close(ser_part *p)
{
    json_decref(p->root);
    *p = (ser_part){0};
}

/* ---- shares that were done ---- */

char *ser_manifest_path(const char *part, bool is_folder)
{
    return ser_format("%s%smanifest.json", part, is_folder ? "/" : ".");
}

size_t ser_noted_position(const json_t *recording)
{
    return (size_t)json_integer_value(json_object_get(recording, "position"));
}

bool ser_noted_done(const json_t *recording)
{
    const char *state = json_string_value(json_object_get(recording, "state"));
    return state && strcmp(state, "done") == 0;
}

static bool is_recording(const json_t *r, size_t n_listed)
{
    const json_t *position = json_object_get(r, "position");
    const char *state = json_string_value(json_object_get(r, "state"));
    return json_is_integer(position) && json_integer_value(position) >= 0 &&
           (size_t)json_integer_value(position) < n_listed && json_is_string(json_object_get(r, "file")) &&
           state && (strcmp(state, "done") == 0 || strcmp(state, "failed") == 0);
}

/* SER_E_FORMAT: something is missing, or of a wrong kind. */
static ser_status parse(ser_manifest *m, ser_error *err)
{
    json_int_t format = json_integer_value(json_object_get(m->root, "format_version")),
               index = json_integer_value(json_object_get(m->root, "shard")),
               count = json_integer_value(json_object_get(m->root, "shards")),
               n_listed = json_integer_value(json_object_get(m->root, "n_listed"));
    if (format > FORMAT_VERSION)
        return ser_fail(err, SER_E_UNSUPPORTED, "a newer ser made it: use that one to merge");
    m->command = json_string_value(json_object_get(m->root, "command"));
    m->options = json_object_get(m->root, "options");
    m->recordings = json_object_get(m->root, "recordings");
    bool ok = format == FORMAT_VERSION && m->command && json_is_object(m->options) &&
              json_is_array(m->recordings) && index >= 1 && count >= index && count <= SER_MAX_SHARDS &&
              n_listed >= 0 && (size_t)n_listed >= json_array_size(m->recordings) &&
              json_is_string(json_object_get(m->root, "version")) &&
              json_is_string(json_object_get(m->root, "listing_sha256"));
    m->shard = (ser_shard){(int)index, (int)count};
    m->n_listed = (size_t)n_listed;
    for (size_t i = 0; ok && i < json_array_size(m->recordings); i++) {
        const json_t *r = json_array_get(m->recordings, i);
        ok = is_recording(r, m->n_listed);
        m->n_failed += ok && !ser_noted_done(r);
    }
    return ok ? SER_OK
              : ser_fail(err, SER_E_FORMAT, "its manifest is damaged: run its shard again, and merge then");
}

static ser_status read_root(ser_manifest *m, const char *path, ser_error *err)
{
    if (access(path, F_OK) != 0)
        return ser_fail(err, SER_E_IO, "it has no manifest (%.200s): name what --shard left, whole", path);
    ser_status st = ser_json_read(&m->root, path, MAX_MANIFEST_BYTES, JSON_REJECT_DUPLICATES, err);
    return st == SER_E_FORMAT ? ser_fail_within(err, st, "its manifest is damaged, run its shard again: ")
                              : st;
}

ser_status ser_manifest_read(ser_manifest *out, const char *part, ser_error *err)
{
    struct stat info;
    *out = (ser_manifest){.part = part};
    ser_status st =
        stat(part, &info) == 0 ? SER_OK : ser_fail(err, SER_E_IO, "it is not there: run its shard");
    out->is_folder = st == SER_OK && S_ISDIR(info.st_mode);
    char *path = ser_manifest_path(part, out->is_folder);
    if (st == SER_OK && !path)
        st = ser_fail_nomem(err);
    if (st == SER_OK)
        st = read_root(out, path, err);
    if (st == SER_OK)
        st = parse(out, err);
    ser_free(path);
    if (st == SER_OK)
        return st;
    ser_fail_within(err, st, "%s: ", part);
    ser_manifest_release(out);
    return st;
}

void ser_manifest_release(ser_manifest *m)
{
    json_decref(m->root);
    *m = (ser_manifest){0};
}

/* ---- whether they belong together ---- */

/* The first option that differs, in the words of a person; NULL: none. */
static const char *differing(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)a, key, value)
    {
        if (!json_equal(value, json_object_get(b, key)))
            return strcmp(key, "model_sha256") == 0     ? "model"
                   : strcmp(key, "encoder_sha256") == 0 ? "encoder"
                   : strcmp(key, "head_sha256") == 0    ? "encoder's head"
                                                        : key;
    }
    return json_object_size(a) == json_object_size(b) ? NULL : "set of options";
}

static ser_status check_same(const ser_manifest *m, const ser_manifest *first, ser_error *err)
{
    const char *version = json_string_value(json_object_get(m->root, "version"));
    if (strcmp(version, SER_VERSION) != 0)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "%s: ser %.40s made it, and this is ser %s: run its shard again, or merge with that",
                        m->part, version, SER_VERSION);
    if (strcmp(m->command, first->command) != 0 || m->is_folder != first->is_folder)
        return ser_fail(err, SER_E_FORMAT, "%s: it is of 'ser %.40s', and %s is of 'ser %.40s'", m->part,
                        m->command, first->part, first->command);
    const char *other = differing(m->options, first->options);
    if (other)
        return ser_fail(err, SER_E_FORMAT,
                        "%s: its %.40s is not that of %s: shards of two runs do not fit together", m->part,
                        other, first->part);
    if (m->n_listed != first->n_listed || !json_equal(json_object_get(m->root, "listing_sha256"),
                                                      json_object_get(first->root, "listing_sha256")))
        return ser_fail(err, SER_E_FORMAT,
                        "%s: it is a share of other recordings (%zu of them) than %s (%zu): every shard must "
                        "find the same",
                        m->part, m->n_listed, first->part, first->n_listed);
    if (m->shard.count != first->shard.count)
        return ser_fail(err, SER_E_FORMAT, "%s: it is one of %d shards, and %s one of %d", m->part,
                        m->shard.count, first->part, first->shard.count);
    return SER_OK;
}

static ser_status check_each_once(const ser_manifest *manifests, size_t n, ser_error *err)
{
    int count = manifests[0].shard.count;
    const ser_manifest **who = ser_alloc((size_t)count + 1, sizeof *who);
    if (!who)
        return ser_fail_nomem(err);
    ser_status st = SER_OK;
    for (size_t i = 0; i < n && st == SER_OK; i++) {
        const ser_manifest **at = &who[manifests[i].shard.index];
        if (*at)
            st = ser_fail(err, SER_E_FORMAT, "%s: it is shard %d/%d, and so is %s: leave one of them out",
                          manifests[i].part, manifests[i].shard.index, count, (*at)->part);
        *at = &manifests[i];
    }
    for (int s = 1; s <= count && st == SER_OK; s++)
        if (!who[s])
            st = ser_fail(err, SER_E_FORMAT, "shard %d/%d is missing: run it, and name what it left", s,
                          count);
    ser_free(who);
    return st;
}

/* Where the manifests are what the shards wrote, that is so. */
static ser_status check_recordings(const ser_manifest *manifests, size_t n, ser_error *err)
{
    size_t n_listed = manifests[0].n_listed, n_noted = 0;
    unsigned char *seen = NULL;
    for (size_t i = 0; i < n; i++)
        n_noted += json_array_size(manifests[i].recordings);
    if (n_noted != n_listed)
        return ser_fail(err, SER_E_FORMAT,
                        "%zu recordings are in the manifests, and %zu were dealt: run the shards again",
                        n_noted, n_listed);
    if (!(seen = ser_alloc(n_listed, 1)))
        return ser_fail_nomem(err);
    ser_status st = SER_OK;
    for (size_t i = 0; i < n && st == SER_OK; i++)
        for (size_t k = 0; k < json_array_size(manifests[i].recordings) && st == SER_OK; k++) {
            const json_t *r = json_array_get(manifests[i].recordings, k);
            unsigned char *at = &seen[ser_noted_position(r)];
            if (*at)
                st = ser_fail(err, SER_E_FORMAT, "%s: its recording %.200s is in another shard, too",
                              manifests[i].part, json_string_value(json_object_get(r, "file")));
            *at = 1;
        }
    ser_free(seen);
    return st;
}

ser_status ser_manifests_check(const ser_manifest *manifests, size_t n, ser_error *err)
{
    ser_status st = n ? SER_OK : ser_fail(err, SER_E_ARG, "no shard is named");
    for (size_t i = 0; i < n && st == SER_OK; i++)
        st = check_same(&manifests[i], &manifests[0], err);
    if (st == SER_OK)
        st = check_each_once(manifests, n, err);
    return st == SER_OK ? check_recordings(manifests, n, err) : st;
}

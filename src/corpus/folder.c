#include "audio/audio.h"
#include "base/memory.h"
#include "corpus/draft.h"
#include "io/file.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* By the base name without its extension. */
static bool parse_file(const ser_known_corpus *p, ser_name_facts *f, const char *file)
{
    char name[32];
    const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file, *dot = strrchr(base, '.');
    size_t n = dot ? (size_t)(dot - base) : strlen(base);
    if (n >= sizeof name)
        return false;
    memcpy(name, base, n);
    name[n] = 0;
    return p->parse(f, name);
}

/* In one of the publisher's folders, or one level further down. */
static bool lies_as_published(const ser_known_corpus *p, const char *file)
{
    const char *folder = file, *end = strrchr(file, '/');
    int depth = 0;
    for (const char *c = file; end && c < end; c++)
        if (*c == '/') {
            folder = c + 1;
            depth++;
        }
    return depth <= 1 && p->is_folder(folder, end ? (size_t)(end - folder) : 0);
}

/* ---- what is a recording ---- */

/* By the extension where it is a usual one, so that a damaged recording is an error later and not passed
 * over; else by content. */
static ser_status find_out_if_recording(bool *is_recording, const char *root, const char *file,
                                        ser_error *err)
{
    static const char *const extensions[] = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3",
                                             ".aif", ".aiff", ".au",  ".caf", ".w64"};
    const char *dot = strrchr(file, '.');
    *is_recording = false;
    for (size_t i = 0; dot && i < sizeof extensions / sizeof *extensions; i++)
        *is_recording = *is_recording || strcasecmp(dot, extensions[i]) == 0;
    if (*is_recording)
        return SER_OK;
    char *path = ser_io_join(root, file);
    if (!path)
        return ser_fail_nomem(err);
    *is_recording = ser_audio_is_audio(path);
    ser_free(path);
    return SER_OK;
}

/* Hidden files, and what archives made on other systems leave beside each recording ("._03a01Fa.wav"). */
static bool is_hidden(const char *file)
{
    return file[0] == '.' || strstr(file, "/.");
}

/* ---- readers ---- */

/* Recordings of one kind that are left out. */
typedef struct left_out {
    size_t n;
    const char *first;
} left_out;

static void leave_out(left_out *l, const char *file)
{
    l->first = l->n++ ? l->first : file;
}

static ser_status warn_of(const left_out *l, ser_draft *d, const char *what, ser_error *err)
{
    return l->n ? ser_draft_warn(d, err, "%s left out: %zu, the first is %s", what, l->n, l->first) : SER_OK;
}

static ser_status read_published(ser_draft *d, const char *root, const ser_known_corpus *p, char **files,
                                 size_t n, ser_error *err)
{
    left_out others = {0}, strangers = {0};
    size_t first = d->n_rows;
    ser_status st = SER_OK;
    for (size_t i = 0; i < n && st == SER_OK; i++) {
        ser_name_facts f;
        if (!parse_file(p, &f, files[i]))
            leave_out(&strangers, files[i]);
        else if (f.other_kind)
            leave_out(&others, files[i]);
        else
            st = ser_draft_add(d, root,
                               &(ser_draft_row){.file = files[i],
                                                .label = (char *)f.emotion,
                                                .speaker = f.speaker,
                                                .text = f.text,
                                                .fold = -1},
                               err);
    }
    if (st == SER_OK && d->n_rows == first)
        return ser_fail(err, SER_E_FORMAT,
                        "none of the %zu recordings in '%s' is named as %s's speech is, such as %s: "
                        "check the folder",
                        n, root, p->publisher_name, p->example);
    if (st == SER_OK)
        st = warn_of(&others, d, p->other_kind, err);
    char what[80];
    snprintf(what, sizeof what, "recordings not named as %s's, such as %s,", p->publisher_name, p->example);
    return st == SER_OK ? warn_of(&strangers, d, what, err) : st;
}

static ser_status read_subfolders(ser_draft *d, const char *root, char **files, size_t n, ser_error *err)
{
    left_out beside = {0};
    ser_status st = SER_OK;
    for (size_t i = 0; i < n && st == SER_OK; i++) {
        const char *slash = strchr(files[i], '/');
        if (!slash && !d->is_target) {
            leave_out(&beside, files[i]);
            continue;
        }
        char *label = slash ? ser_strndup(files[i], (size_t)(slash - files[i])) : NULL;
        st =
            slash && !label
                ? ser_fail_nomem(err)
                : ser_draft_add(d, root, &(ser_draft_row){.file = files[i], .label = label, .fold = -1}, err);
        ser_free(label);
    }
    if (st == SER_OK && beside.n == n)
        return ser_fail(
            err, SER_E_FORMAT,
            "its %zu recordings lie in no subfolder: sort them into one subfolder per emotion, or list "
            "them in a CSV file with the columns file,emotion",
            n);
    return st == SER_OK ? warn_of(&beside, d, "recordings in no subfolder", err) : st;
}

/* The corpus whose names and folders more than half of the recordings have. */
static const ser_known_corpus *recognise(char **files, size_t n)
{
    const ser_known_corpus *known;
    for (size_t k = 0; (known = ser_known_corpus_at(k)); k++) {
        size_t n_matches = 0;
        for (size_t i = 0; i < n; i++) {
            ser_name_facts f;
            n_matches += lies_as_published(known, files[i]) && parse_file(known, &f, files[i]);
        }
        if (2 * n_matches > n)
            return known;
    }
    return NULL;
}

/* Removes what is no recording from files. */
static ser_status keep_recordings(char **files, size_t *n, const char *root, ser_error *err)
{
    size_t n_kept = 0;
    ser_status st = SER_OK;
    for (size_t i = 0; i < *n; i++) {
        bool keep = false;
        if (st == SER_OK && !is_hidden(files[i]))
            st = find_out_if_recording(&keep, root, files[i], err);
        if (keep)
            files[n_kept++] = files[i];
        else
            ser_free(files[i]);
    }
    *n = n_kept;
    return st;
}

static ser_status read_votes_beside(ser_draft *d, size_t first, const char *root,
                                    const ser_known_corpus *known, ser_error *err)
{
    char *path = ser_io_join(root, known && known->votes ? known->votes : "votes.csv");
    ser_status st =
        path ? ser_draft_read_votes(d, first, path, known && known->misnamed[0] ? known->misnamed : NULL, err)
             : ser_fail_nomem(err);
    ser_free(path);
    return st;
}

ser_status ser_draft_read_folder(ser_draft *d, const char *root, const ser_known_corpus *layout,
                                 ser_error *err)
{
    char **files;
    size_t n, first = d->n_rows;
    ser_status st = ser_io_list_files(&files, &n, root, err);
    if (st != SER_OK)
        return st;
    st = keep_recordings(files, &n, root, err);
    const ser_known_corpus *p = layout ? layout : recognise(files, n);
    if (d->n_parts)
        d->parts[d->n_parts - 1].known = p;
    if (st == SER_OK && !n)
        st = ser_fail(err, SER_E_FORMAT,
                      "there is no recording in the folder '%s': name one with audio files", root);
    else if (st == SER_OK && p)
        st = read_published(d, root, p, files, n, err);
    else if (st == SER_OK)
        st = read_subfolders(d, root, files, n, err);
    ser_io_free_list(files, n);
    return st == SER_OK ? read_votes_beside(d, first, root, p, err) : st;
}

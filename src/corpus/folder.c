#include "audio/audio.h"
#include "base/memory.h"
#include "corpus/classes.h"
#include "io/file.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- what is a recording ---- */

/* By the extension where it is a usual one, so that a damaged recording is an error later and not passed
 * over; else by content. One that cannot be read here, or was not fetched, is an error later, too. */
static ser_status find_out_if_recording(bool *is_recording, const char *root, const char *file,
                                        ser_error *err)
{
    const char *kind;
    *is_recording = ser_audio_is_named_so(file);
    if (*is_recording)
        return SER_OK;
    char *path = ser_io_join(root, file);
    if (!path)
        return ser_fail_nomem(err);
    *is_recording = ser_audio_look(path, &kind) != SER_AUDIO_NONE;
    ser_free(path);
    return SER_OK;
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
        if (!ser_known_parse(p, &f, files[i]))
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

/* One folder too high: its subfolders may be what the user meant. */
static ser_status fail_one_folder(const char *file, size_t n, bool has_inner, ser_error *err)
{
    int n_name = (int)strcspn(file, "/");
    return has_inner
               ? ser_fail(err, SER_E_FORMAT,
                          "all of its %zu recordings lie in one folder, '%.*s': name that one, if its "
                          "subfolders are the emotions",
                          n, n_name, file)
               : ser_fail(
                     err, SER_E_FORMAT,
                     "all of its %zu recordings lie in one folder, '%.*s', which is no emotion's name: sort "
                     "them into one subfolder per emotion, or list them in a CSV file with the columns "
                     "file,emotion",
                     n, n_name, file);
}

/* Whether all files lie in one folder of the first level; *has_inner: some of them in folders below it. */
static bool is_one_folder(bool *has_inner, char **files, size_t n)
{
    size_t n_first = strcspn(files[0], "/");
    *has_inner = false;
    for (size_t i = 0; i < n; i++) {
        if (strncmp(files[i], files[0], n_first + 1) != 0 || !files[i][n_first])
            return false;
        *has_inner = *has_inner || strchr(files[i] + n_first + 1, '/');
    }
    return true;
}

/* A table among the recordings may be what the user meant. */
static ser_status fail_no_subfolder(const char *root, char **files, size_t n, ser_error *err)
{
    if (strchr(files[0], '\\'))
        return ser_fail(
            err, SER_E_FORMAT,
            "its %zu recordings lie in no subfolder, and their names hold '\\', as '%s' does: unpack the "
            "archive with a program that makes folders of these",
            n, files[0]);
    ser_io_listing all = {0};
    const char *table = NULL;
    ser_status st = ser_io_list(&all, root, err);
    for (size_t i = 0; i < all.n_files && !table; i++) {
        size_t n_name = strlen(all.files[i]);
        if (n_name > 4 && strcasecmp(all.files[i] + n_name - 4, ".csv") == 0 &&
            !ser_io_is_hidden(all.files[i]))
            table = all.files[i];
    }
    if (st == SER_OK)
        st = ser_fail(
            err, SER_E_FORMAT,
            "its %zu recordings lie in no subfolder: sort them into one subfolder per emotion, or list "
            "them in a CSV file with the columns file,emotion%s%s%s",
            n, table ? ": name '" : "", table ? table : "", table ? "', if that is one" : "");
    ser_io_listing_release(&all);
    return st;
}

static ser_status read_subfolders(ser_draft *d, const char *root, char **files, size_t n, ser_error *err)
{
    left_out beside = {0};
    size_t first = d->n_rows;
    ser_class_scheme scheme;
    bool has_inner;
    ser_status st = ser_class_scheme_find(&scheme, files, n, err);
    if (st == SER_OK && !scheme.named && !d->is_target && !d->part && is_one_folder(&has_inner, files, n))
        return fail_one_folder(files[0], n, has_inner, err);
    for (size_t i = 0; i < n && st == SER_OK; i++) {
        char *label, *speaker;
        st = ser_class_scheme_apply(&scheme, &label, &speaker, files[i], err);
        if (st == SER_OK && !label && !d->is_target)
            leave_out(&beside, files[i]);
        else if (st == SER_OK)
            st = ser_draft_add(
                d, root, &(ser_draft_row){.file = files[i], .label = label, .speaker = speaker, .fold = -1},
                err);
        ser_free(label);
        ser_free(speaker);
    }
    if (st == SER_OK && beside.n == n)
        return fail_no_subfolder(root, files, n, err);
    if (st == SER_OK)
        st = ser_class_scheme_warn(&scheme, d, files, n, err);
    if (st == SER_OK && scheme.named)
        st = ser_draft_warn_of_classes(d, first, err);
    return st == SER_OK ? warn_of(&beside, d,
                                  scheme.level ? "recordings in no folder of that level"
                                               : "recordings in no subfolder",
                                  err)
                        : st;
}

/* The corpus whose names and folders more than half of the recordings have, or whose names in folders that
 * are parts of it, "train/1001_DFA_ANG_XX.wav". */
static const ser_known_corpus *recognise(char **files, size_t n)
{
    const ser_known_corpus *known;
    for (size_t k = 0; (known = ser_known_corpus_at(k)); k++) {
        size_t n_matches = 0;
        for (size_t i = 0; i < n; i++) {
            ser_name_facts f;
            n_matches += (ser_known_lies_as_published(known, files[i]) || ser_class_is_in_parts(files[i])) &&
                         ser_known_parse(known, &f, files[i]);
        }
        if (2 * n_matches > n)
            return known;
    }
    return NULL;
}

/* Removes what is no recording from files. */
static ser_status keep_recordings(ser_io_listing *l, const char *root, ser_error *err)
{
    size_t n_kept = 0;
    ser_status st = SER_OK;
    for (size_t i = 0; i < l->n_files; i++) {
        bool keep = false;
        if (st == SER_OK && !ser_io_is_hidden(l->files[i]))
            st = find_out_if_recording(&keep, root, l->files[i], err);
        if (keep)
            l->files[n_kept++] = l->files[i];
        else
            ser_free(l->files[i]);
    }
    l->n_files = n_kept;
    return st;
}

/* Links: to recordings whose content is not there, and to folders. */
static ser_status warn_of_links(size_t *n_dangling, ser_draft *d, const ser_io_listing *l, ser_error *err)
{
    left_out dangling = {0}, folders = {0};
    for (size_t i = 0; i < l->n_dangling; i++)
        if (!ser_io_is_hidden(l->dangling[i]) && ser_audio_is_named_so(l->dangling[i]))
            leave_out(&dangling, l->dangling[i]);
    for (size_t i = 0; i < l->n_folder_links; i++)
        if (!ser_io_is_hidden(l->folder_links[i]))
            leave_out(&folders, l->folder_links[i]);
    *n_dangling = dangling.n;
    ser_status st = warn_of(
        &dangling, d,
        "recordings that are links to nothing (fetch their content, such as with git annex get)", err);
    return st == SER_OK ? warn_of(&folders, d, "links to folders", err) : st;
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

static ser_status read_listing(ser_draft *d, const char *root, const ser_known_corpus *known,
                               ser_io_listing *l, ser_error *err)
{
    size_t first = d->n_rows, n_dangling = 0;
    ser_status st = keep_recordings(l, root, err);
    if (st == SER_OK)
        st = warn_of_links(&n_dangling, d, l, err);
    if (st != SER_OK)
        return st;
    if (!l->n_files && n_dangling)
        return ser_fail(
            err, SER_E_FORMAT,
            "its %zu recordings are links to nothing, their content was not fetched: fetch it, such as "
            "with git annex get or datalad get",
            n_dangling);
    if (!l->n_files)
        return ser_fail(err, SER_E_FORMAT,
                        "there is no recording in the folder '%s': name one with audio files", root);
    st = ser_draft_leave_out_nested(d, l->files, &l->n_files, root, err);
    if (st != SER_OK)
        return st;
    known = known ? known : recognise(l->files, l->n_files);
    if (d->n_parts)
        d->parts[d->n_parts - 1].known = known;
    st = known ? read_published(d, root, known, l->files, l->n_files, err)
               : read_subfolders(d, root, l->files, l->n_files, err);
    if (st == SER_OK)
        st = ser_draft_leave_out_copies(d, first, known, err);
    return st == SER_OK ? read_votes_beside(d, first, root, known, err) : st;
}

ser_status ser_draft_read_folder(ser_draft *d, const char *root, const ser_known_corpus *layout,
                                 ser_error *err)
{
    ser_io_listing listing = {0};
    ser_status st = ser_io_list(&listing, root, err);
    if (st == SER_OK)
        st = ser_io_check_closed(&listing, root, err);
    if (st == SER_OK)
        st = read_listing(d, root, layout, &listing, err);
    ser_io_listing_release(&listing);
    return st;
}

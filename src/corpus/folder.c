#include "audio/audio.h"
#include "base/memory.h"
#include "corpus/draft.h"
#include "io/file.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- what the publishers' names say ---- */

typedef struct name_facts {
    const char *emotion;
    char speaker[8], text[8];
    bool song;
} name_facts;

static bool two_digits(const char *s)
{
    return isdigit((unsigned char)s[0]) && isdigit((unsigned char)s[1]);
}

/* 03a01Fa: speaker, text, emotion (the German word's first letter), version. */
static bool parse_emodb(name_facts *f, const char *name)
{
    static const char letters[] = "WLEAFTN";
    static const char *const emotions[] = {"angry", "boredom", "disgust", "fear", "happy", "sad", "neutral"};
    if (strlen(name) != 7 || !two_digits(name) || !strchr("ab", name[2]) || !two_digits(name + 3) ||
        !strchr(letters, name[5]) || !islower((unsigned char)name[6]))
        return false;
    *f = (name_facts){.emotion = emotions[strchr(letters, name[5]) - letters]};
    memcpy(f->speaker, name, 2);
    memcpy(f->text, name + 2, 3);
    return true;
}

/* 03-01-06-01-02-01-12: modality, channel, emotion, intensity, statement, repetition, actor. Modality 02 has
 * no sound; channel 02 is song. */
static bool parse_ravdess(name_facts *f, const char *name)
{
    static const char *const emotions[] = {"neutral", "calm", "happy",   "sad",
                                           "angry",   "fear", "disgust", "surprised"};
    static const int largest[7] = {3, 2, 8, 2, 2, 2, 24};
    int value[7];
    if (strlen(name) != 20)
        return false;
    for (int i = 0; i < 7; i++) {
        const char *s = name + 3 * i;
        if (!two_digits(s) || (i < 6 && s[2] != '-'))
            return false;
        value[i] = 10 * (s[0] - '0') + s[1] - '0';
        if (value[i] < 1 || value[i] > largest[i])
            return false;
    }
    *f = (name_facts){.emotion = emotions[value[2] - 1], .song = value[1] == 2};
    memcpy(f->speaker, name + 18, 2);
    memcpy(f->text, name + 12, 2);
    return value[0] != 2;
}

static bool is_emodb_folder(const char *name, size_t n)
{
    return n == 0 || (n == 3 && strncasecmp(name, "wav", 3) == 0);
}

static bool is_ravdess_folder(const char *name, size_t n)
{
    return n == 0 || (n == 8 && strncasecmp(name, "Actor_", 6) == 0 && two_digits(name + 6));
}

typedef struct publisher {
    const char *name, *example;
    bool (*parse)(name_facts *f, const char *name);
    bool (*is_folder)(const char *name, size_t n); /* that the publisher puts recordings into */
} publisher;

static const publisher publishers[] = {
    [SER_LAYOUT_EMODB] = {"EMO-DB", "03a01Fa", parse_emodb, is_emodb_folder},
    [SER_LAYOUT_RAVDESS] = {"RAVDESS", "03-01-06-01-02-01-12", parse_ravdess, is_ravdess_folder},
};

/* By the base name without its extension. */
static bool parse_file(const publisher *p, name_facts *f, const char *file)
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
static bool lies_as_published(const publisher *p, const char *file)
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

static ser_status read_published(ser_draft *d, const char *root, const publisher *p, char **files, size_t n,
                                 ser_error *err)
{
    left_out songs = {0}, strangers = {0};
    size_t first = d->n_rows;
    ser_status st = SER_OK;
    for (size_t i = 0; i < n && st == SER_OK; i++) {
        name_facts f;
        if (!parse_file(p, &f, files[i]))
            leave_out(&strangers, files[i]);
        else if (f.song)
            leave_out(&songs, files[i]);
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
                        n, root, p->name, p->example);
    if (st == SER_OK)
        st = warn_of(&songs, d, "songs", err);
    char what[80];
    snprintf(what, sizeof what, "recordings not named as %s's, such as %s,", p->name, p->example);
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

/* The publisher whose names and folders more than half of the recordings have. */
static const publisher *recognise(char **files, size_t n)
{
    for (size_t p = 0; p < sizeof publishers / sizeof *publishers; p++) {
        size_t n_matches = 0;
        for (size_t i = 0; i < n; i++) {
            name_facts f;
            n_matches +=
                lies_as_published(&publishers[p], files[i]) && parse_file(&publishers[p], &f, files[i]);
        }
        if (2 * n_matches > n)
            return &publishers[p];
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

ser_status ser_draft_read_folder(ser_draft *d, const char *root, ser_layout layout, ser_error *err)
{
    char **files;
    size_t n;
    ser_status st = ser_io_list_files(&files, &n, root, err);
    if (st != SER_OK)
        return st;
    st = keep_recordings(files, &n, root, err);
    const publisher *p = layout == SER_LAYOUT_BY_CONTENT ? recognise(files, n) : &publishers[layout];
    if (st == SER_OK && !n)
        st = ser_fail(err, SER_E_FORMAT,
                      "there is no recording in the folder '%s': name one with audio files", root);
    else if (st == SER_OK && p)
        st = read_published(d, root, p, files, n, err);
    else if (st == SER_OK)
        st = read_subfolders(d, root, files, n, err);
    ser_io_free_list(files, n);
    return st;
}

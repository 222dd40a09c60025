#include "corpus/layouts.h"
#include "audio/audio.h"
#include "base/memory.h"
#include "corpus/builder.h"
#include "io/csv.h"
#include "io/file.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* Names as in the publishers' documents; the scheme says what is what, so endings are looked at only to leave
 * out texts and the like. */
static bool looks_like_audio(const char *file)
{
    static const char *const endings[] = {"wav",  "flac", "ogg", "oga", "opus", "mp3", "aif",
                                          "aiff", "aifc", "au",  "caf", "w64",  "rf64"};
    const char *dot = strrchr(file, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (strcasecmp(dot + 1, endings[i]) == 0)
            return true;
    return false;
}

/* The file's name without folders, and its length without the ending. */
static const char *stem(const char *file, size_t *n)
{
    const char *slash = strrchr(file, '/'), *start = slash ? slash + 1 : file, *dot = strrchr(start, '.');
    *n = dot ? (size_t)(dot - start) : strlen(start);
    return start;
}

/* ---- EMO-DB: "03a01Fa": speaker, text, emotion, version (Burkhardt et al. 2005) ---- */

static const char *emodb_emotion(char letter)
{
    static const char *const names[] = {"Wangry", "Lboredom", "Edisgust", "Afear",
                                        "Fhappy", "Tsad",     "Nneutral"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i][0] == letter)
            return names[i] + 1;
    return NULL;
}

static bool is_emodb(const char *file)
{
    size_t n;
    const char *s = stem(file, &n);
    return looks_like_audio(file) && n == 7 && isdigit((unsigned char)s[0]) && isdigit((unsigned char)s[1]) &&
           islower((unsigned char)s[2]) && isdigit((unsigned char)s[3]) && isdigit((unsigned char)s[4]) &&
           emodb_emotion(s[5]) && islower((unsigned char)s[6]);
}

ser_status ser_layout_emodb(ser_corpus *c, ser_folder *f, ser_error *err)
{
    for (size_t i = 0; i < f->n_files; i++) {
        if (!is_emodb(f->files[i])) {
            f->n_ignored += looks_like_audio(f->files[i]);
            continue;
        }
        size_t n;
        const char *s = stem(f->files[i], &n);
        const char speaker[] = {s[0], s[1], 0}, text[] = {s[2], s[3], s[4], 0};
        const ser_found found = {.root = f->root,
                                 .file = f->files[i],
                                 .emotion = emodb_emotion(s[5]),
                                 .speaker = speaker,
                                 .text = text,
                                 .fold = -1};
        ser_status st = ser_builder_add(c, &found, err);
        if (st != SER_OK)
            return st;
    }
    return SER_OK;
}

/* ---- RAVDESS: "03-01-06-01-02-01-12": modality, channel, emotion, intensity, statement, repetition, actor
 * (Livingstone and Russo 2018) ---- */

enum { N_RAVDESS_FIELDS = 7 };

static bool read_ravdess(int field[N_RAVDESS_FIELDS], const char *file)
{
    size_t n;
    const char *s = stem(file, &n);
    if (!looks_like_audio(file) || n != 20)
        return false;
    for (size_t i = 0; i < N_RAVDESS_FIELDS; i++) {
        if (!isdigit((unsigned char)s[3 * i]) || !isdigit((unsigned char)s[3 * i + 1]) ||
            (i < 6 && s[3 * i + 2] != '-'))
            return false;
        field[i] = 10 * (s[3 * i] - '0') + s[3 * i + 1] - '0';
    }
    return field[2] >= 1 && field[2] <= 8;
}

ser_status ser_layout_ravdess(ser_corpus *c, ser_folder *f, ser_error *err)
{
    static const char *const emotions[] = {"neutral", "calm", "happy",   "sad",
                                           "angry",   "fear", "disgust", "surprised"};
    enum { SPEECH = 1 };
    for (size_t i = 0; i < f->n_files; i++) {
        int field[N_RAVDESS_FIELDS];
        if (!read_ravdess(field, f->files[i])) {
            f->n_ignored += looks_like_audio(f->files[i]);
            continue;
        }
        if (field[1] != SPEECH)
            continue; /* songs */
        char speaker[16], text[16];
        snprintf(speaker, sizeof speaker, "%02d", field[6]);
        snprintf(text, sizeof text, "%02d", field[4]);
        const ser_found found = {.root = f->root,
                                 .file = f->files[i],
                                 .emotion = emotions[field[2] - 1],
                                 .speaker = speaker,
                                 .text = text,
                                 .fold = -1};
        ser_status st = ser_builder_add(c, &found, err);
        if (st != SER_OK)
            return st;
    }
    return SER_OK;
}

/* ---- one subfolder per emotion ---- */

const char *ser_emotion_from_spelling(const char *spelling)
{
    static const struct {
        const char *name, *spellings;
    } emotions[] = {{"angry", " angry anger ang wut aerger "},
                    {"boredom", " boredom bored bor "},
                    {"calm", " calm calmness cal "},
                    {"disgust", " disgust disgusted dis "},
                    {"fear", " fear fearful afraid scared fea "},
                    {"happy", " happy happiness joy joyful hap "},
                    {"neutral", " neutral neutrality neu normal "},
                    {"sad", " sad sadness "},
                    {"surprised", " surprised surprise ps pleasant_surprise pleasant_surprised sur "}};
    char wanted[64];
    int n = snprintf(wanted, sizeof wanted, " %s ", spelling);
    if (n < 0 || (size_t)n >= sizeof wanted)
        return NULL;
    for (char *s = wanted + 1; s[1]; s++) {
        *s = (char)tolower((unsigned char)*s);
        if (*s == ' ' || *s == '-')
            *s = '_';
    }
    for (size_t i = 0; i < sizeof emotions / sizeof *emotions; i++)
        if (strstr(emotions[i].spellings, wanted))
            return emotions[i].name;
    return NULL;
}

ser_status ser_layout_classes(ser_corpus *c, ser_folder *f, ser_error *err)
{
    for (size_t i = 0; i < f->n_files; i++) {
        const char *slash = strchr(f->files[i], '/');
        char *path = slash ? ser_io_join(f->root, f->files[i]) : NULL;
        if (slash && !path)
            return ser_fail_nomem(err);
        bool is_audio = path && ser_audio_is_audio(path);
        ser_free(path);
        if (!is_audio) {
            f->n_ignored += looks_like_audio(f->files[i]);
            continue;
        }
        char *folder = ser_strndup(f->files[i], (size_t)(slash - f->files[i]));
        const char *known = folder ? ser_emotion_from_spelling(folder) : NULL;
        const ser_found found = {
            .root = f->root, .file = f->files[i], .emotion = known ? known : folder, .fold = -1};
        ser_status st = folder ? ser_builder_add(c, &found, err) : ser_fail_nomem(err);
        ser_free(folder);
        if (st != SER_OK)
            return st;
    }
    return SER_OK;
}

ser_layout_fn ser_layout_recognise(const ser_folder *f)
{
    size_t n_emodb = 0, n_ravdess = 0, n_audio = 0;
    for (size_t i = 0; i < f->n_files; i++) {
        int field[N_RAVDESS_FIELDS];
        n_audio += looks_like_audio(f->files[i]);
        n_emodb += is_emodb(f->files[i]);
        n_ravdess += read_ravdess(field, f->files[i]);
    }
    if (2 * n_emodb > n_audio)
        return ser_layout_emodb;
    if (2 * n_ravdess > n_audio)
        return ser_layout_ravdess;
    return ser_layout_classes;
}

/* ---- a CSV with file, emotion and maybe speaker, text, fold ---- */

static const char *cell(const ser_csv *csv, size_t row, int column)
{
    const char *text = column < 0 ? NULL : csv->rows[row][column];
    return text && *text ? text : NULL;
}

static ser_status add_row(ser_corpus *c, const ser_csv *csv, size_t row, const char *root, ser_error *err)
{
    ser_found found = {.root = root,
                       .file = cell(csv, row, ser_csv_column(csv, "file")),
                       .emotion = cell(csv, row, ser_csv_column(csv, "emotion")),
                       .speaker = cell(csv, row, ser_csv_column(csv, "speaker")),
                       .text = cell(csv, row, ser_csv_column(csv, "text")),
                       .fold = -1};
    if (!found.file || !found.emotion)
        return ser_fail(err, SER_E_FORMAT, "row %zu has no %s: fill it in", row + 1,
                        found.file ? "emotion" : "file");
    const char *known = ser_emotion_from_spelling(found.emotion),
               *fold = cell(csv, row, ser_csv_column(csv, "fold"));
    found.emotion = known ? known : found.emotion;
    if (fold) {
        char *end;
        long n = strtol(fold, &end, 10);
        if (*end || n < 0 || n > 1000000)
            return ser_fail(err, SER_E_FORMAT, "row %zu: fold '%.40s' is no number", row + 1, fold);
        found.fold = (int)n;
    }
    char *path = ser_io_join(root, found.file);
    if (!path)
        return ser_fail_nomem(err);
    bool readable = access(path, R_OK) == 0;
    ser_free(path);
    if (!readable)
        return ser_fail(err, SER_E_IO, "row %zu: the recording '%.200s' is missing or unreadable", row + 1,
                        found.file);
    return ser_builder_add(c, &found, err);
}

ser_status ser_layout_csv(ser_corpus *c, const char *path, ser_error *err)
{
    ser_csv csv;
    ser_status st = ser_csv_read(&csv, path, err);
    if (st != SER_OK)
        return st;
    const char *slash = strrchr(path, '/');
    char *root = slash ? ser_strndup(path, (size_t)(slash - path) + 1) : ser_strdup("");
    if (!root)
        st = ser_fail_nomem(err);
    else if (ser_csv_column(&csv, "file") < 0 || ser_csv_column(&csv, "emotion") < 0)
        st = ser_fail(err, SER_E_FORMAT,
                      "it has no column '%s': the columns are file,emotion and if known speaker,text,fold",
                      ser_csv_column(&csv, "file") < 0 ? "file" : "emotion");
    for (size_t row = 1; row < csv.n_rows && st == SER_OK; row++)
        st = add_row(c, &csv, row, root, err);
    ser_free(root);
    ser_csv_release(&csv);
    return st;
}

/* Folders that no publisher laid out: which level of them is the emotion, and which the speaker. */
#include "corpus/classes.h"
#include "base/memory.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_LEVELS = 8, MAX_NAME = 255 /* of a folder, in most file systems */ };

/* A piece of a path. */
typedef struct piece {
    const char *s; /* NULL: there is none */
    size_t n;
} piece;

/* The folder at a level of the path, 0: the first; the file itself is none. */
static piece folder_at(const char *file, int level)
{
    for (const char *slash; (slash = strchr(file, '/')); file = slash + 1)
        if (level-- == 0)
            return (piece){file, (size_t)(slash - file)};
    return (piece){0};
}

static void copy_piece(char out[MAX_NAME + 1], piece p)
{
    size_t n = p.n < MAX_NAME ? p.n : MAX_NAME;
    memcpy(out, p.s, n);
    out[n] = 0;
}

static const char *emotion_of(piece p)
{
    char name[MAX_NAME + 1];
    if (!p.s)
        return NULL;
    copy_piece(name, p);
    return ser_emotion_from_spelling(name);
}

static bool is_gap(char c)
{
    return c == '_' || c == '-' || c == ' ';
}

static bool is_word(piece p, const char *const *words)
{
    for (; *words; words++)
        if (strlen(*words) == p.n && strncasecmp(*words, p.s, p.n) == 0)
            return true;
    return false;
}

/* The emotion at one end of a folder's name, "OAF_angry", and what the name says besides, "OAF". */
static const char *emotion_at_end(piece *rest, piece p)
{
    static const char *const negations[] = {"not", "non", "no", "un", NULL};
    for (size_t i = 1; i + 1 < p.n; i++) { /* the longest first: "pleasant_surprise" */
        piece before = {p.s, i}, behind = {p.s + i + 1, p.n - i - 1};
        const char *emotion = is_gap(p.s[i]) && !is_word(before, negations) ? emotion_of(behind) : NULL;
        *rest = before;
        if (emotion)
            return emotion;
    }
    for (size_t i = p.n - 1; p.n && i > 1; i--) {
        piece before = {p.s, i - 1}, behind = {p.s + i, p.n - i};
        const char *emotion = is_gap(p.s[i - 1]) ? emotion_of(before) : NULL;
        *rest = behind;
        if (emotion)
            return emotion;
    }
    return NULL;
}

/* ---- speakers ---- */

typedef struct voice {
    piece name;
    const char *emotion;
} voice;

/* Whatever the case of their names: such voices become one (ser_draft_merge_speakers). */
static int compare_voices(const void *a, const void *b)
{
    const voice *x = a, *y = b;
    int order = strncasecmp(x->name.s, y->name.s, x->name.n < y->name.n ? x->name.n : y->name.n);
    if (order)
        return order;
    if (x->name.n != y->name.n)
        return x->name.n < y->name.n ? -1 : 1;
    return strcmp(x->emotion, y->emotion);
}

static const char *const parts[] = {"train",      "training", "test",       "testing", "val",    "valid",
                                    "validation", "dev",      "evaluation", "eval",    "speech", "audio",
                                    "wav",        "wavs",     "data",       "clean",   "noise",  NULL};

bool ser_class_is_in_parts(const char *file)
{
    piece folder = {0};
    for (int l = 0; (folder = folder_at(file, l)).s; l++)
        if (!is_word(folder, parts))
            return false;
    return strchr(file, '/');
}

static bool is_part(piece p)
{
    char name[MAX_NAME + 1];
    copy_piece(name, p);
    return is_word(p, parts) || ser_known_corpus_find(name);
}

/* Kinds of voices and strengths of emotions. */
static const char *const kinds[] = {"male", "female", "men",    "women",  "high", "low",  "hi",   "lo",
                                    "md",   "mid",    "medium", "strong", "weak", "loud", "soft", NULL};

/* Whether the names may be speakers': there are several, most have several emotions, none is a part of a
 * corpus, and fewer than half are kinds, of which one may be somebody's initials ("MD"). Sorts voices. */
static bool are_speakers(voice *voices, size_t n)
{
    size_t n_names = 0, n_with_several = 0, n_kinds = 0;
    if (n)
        qsort(voices, n, sizeof *voices, compare_voices);
    for (size_t from = 0, end; from < n; from = end) {
        bool several = false;
        for (end = from; end < n && voices[end].name.n == voices[from].name.n &&
                         strncasecmp(voices[end].name.s, voices[from].name.s, voices[from].name.n) == 0;
             end++)
            several = several || strcmp(voices[end].emotion, voices[from].emotion) != 0;
        if (is_part(voices[from].name))
            return false;
        n_names++;
        n_kinds += is_word(voices[from].name, kinds);
        n_with_several += several;
    }
    return n_names > 1 && 2 * n_with_several > n_names && 2 * n_kinds < n_names;
}

/* The speakers of a level (-1: what the names of the emotions' folders say besides). */
static ser_status find_speakers(bool *found, const ser_class_scheme *s, int level, char **files, size_t n,
                                ser_error *err)
{
    voice *voices = ser_alloc(n, sizeof *voices);
    if (!voices)
        return ser_fail_nomem(err);
    size_t n_voices = 0;
    for (size_t i = 0; i < n; i++) {
        piece rest = {0}, folder = folder_at(files[i], s->level);
        const char *emotion = !folder.s   ? NULL
                              : level < 0 ? emotion_at_end(&rest, folder)
                                          : emotion_of(folder);
        piece name = level < 0 ? rest : folder_at(files[i], level);
        if (emotion && name.s)
            voices[n_voices++] = (voice){name, emotion};
    }
    *found = are_speakers(voices, n_voices);
    ser_free(voices);
    return SER_OK;
}

/* ---- the scheme ---- */

static void count_levels(size_t exact[MAX_LEVELS], size_t at_end[MAX_LEVELS], bool several[MAX_LEVELS],
                         char **files, size_t n)
{
    const char *first[MAX_LEVELS] = {0};
    for (size_t i = 0; i < n; i++)
        for (int l = 0; l < MAX_LEVELS; l++) {
            piece rest, folder = folder_at(files[i], l);
            if (!folder.s)
                break;
            const char *emotion = emotion_of(folder);
            exact[l] += emotion != NULL;
            emotion = emotion ? emotion : emotion_at_end(&rest, folder);
            at_end[l] += emotion != NULL;
            several[l] = several[l] || (emotion && first[l] && first[l] != emotion);
            first[l] = emotion ? emotion : first[l];
        }
}

ser_status ser_class_scheme_find(ser_class_scheme *out, char **files, size_t n, ser_error *err)
{
    size_t exact[MAX_LEVELS] = {0}, at_end[MAX_LEVELS] = {0};
    bool several[MAX_LEVELS] = {0}, found = false;
    count_levels(exact, at_end, several, files, n);
    int best = 0;
    for (int l = 1; l < MAX_LEVELS; l++)
        best = exact[l] > exact[best] ? l : best;
    bool deeper = best && 2 * exact[best] > n && (several[best] || !exact[0]); /* Joy may be a speaker */
    *out = (ser_class_scheme){.speaker_level = SER_NO_SPEAKERS, .named = exact[0] > 0 && !deeper};
    if (out->named)
        return SER_OK;
    if (deeper) {
        out->named = true;
        out->level = best;
    }
    for (int l = 0; l < MAX_LEVELS && !out->named; l++)
        if (2 * at_end[l] > n && several[l]) {
            *out = (ser_class_scheme){
                .level = l, .named = true, .at_end = true, .speaker_level = SER_NO_SPEAKERS};
            break;
        }
    ser_status st = SER_OK;
    for (int l = out->at_end ? -1 : out->level - 1; out->named && l >= -1 && !found && st == SER_OK; l--) {
        if (l < 0 && !out->at_end)
            break;
        st = find_speakers(&found, out, l, files, n, err);
        if (found)
            out->speaker_level = l;
    }
    return st;
}

ser_status ser_class_scheme_apply(const ser_class_scheme *s, char **label, char **speaker, const char *file,
                                  ser_error *err)
{
    piece rest = {0}, folder = folder_at(file, s->level), name = {0};
    const char *emotion = folder.s && s->at_end ? emotion_at_end(&rest, folder) : NULL;
    *label = *speaker = NULL;
    if (!folder.s)
        return SER_OK;
    if (s->speaker_level >= 0)
        name = folder_at(file, s->speaker_level);
    else if (s->speaker_level == SER_SPEAKERS_IN_NAMES)
        name = rest;
    *label = emotion ? ser_strdup(emotion) : ser_strndup(folder.s, folder.n);
    *speaker = name.s ? ser_strndup(name.s, name.n) : NULL;
    return *label && !*speaker == !name.s ? SER_OK : ser_fail_nomem(err);
}

/* ---- what is told of it ---- */

static int compare_pieces(const void *a, const void *b)
{
    const piece *x = a, *y = b;
    int order = memcmp(x->s, y->s, x->n < y->n ? x->n : y->n);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

/* "'a', 'b', ...": the first few of the folders at a level. */
static ser_status name_folders(ser_text *t, int level, char **files, size_t n, ser_error *err)
{
    enum { N_NAMED = 4 };
    piece *pieces = ser_alloc(n, sizeof *pieces);
    size_t n_pieces = 0, n_named = 0;
    if (!pieces)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < n; i++) {
        piece folder = folder_at(files[i], level);
        if (folder.s)
            pieces[n_pieces++] = folder;
    }
    if (n_pieces)
        qsort(pieces, n_pieces, sizeof *pieces, compare_pieces);
    for (size_t i = 0; i < n_pieces; i++) {
        if (i && compare_pieces(&pieces[i - 1], &pieces[i]) == 0)
            continue;
        if (n_named++ < N_NAMED)
            ser_text_appendf(t, "%s'%.*s'", n_named > 1 ? ", " : "",
                             (int)(pieces[i].n < 40 ? pieces[i].n : 40), pieces[i].s);
    }
    ser_text_append(t, n_named > N_NAMED ? ", ..." : "");
    ser_free(pieces);
    return t->failed ? ser_fail_nomem(err) : SER_OK;
}

static const char *level_word(int level)
{
    static const char *const words[] = {"first", "second", "third",   "fourth",
                                        "fifth", "sixth",  "seventh", "eighth"};
    return words[level];
}

ser_status ser_class_scheme_warn(const ser_class_scheme *s, ser_draft *d, char **files, size_t n,
                                 ser_error *err)
{
    ser_text emotions = {0}, speakers = {0};
    ser_status st = SER_OK;
    if ((s->named && !s->at_end && !s->level) || (!s->named && d->is_target))
        return SER_OK; /* nothing to tell; what a target's folders are called may be of no matter */
    st = name_folders(&emotions, s->level, files, n, err);
    if (st == SER_OK && s->speaker_level >= 0) {
        ser_text_appendf(&speakers, ", and the speakers from the %s (", level_word(s->speaker_level));
        st = name_folders(&speakers, s->speaker_level, files, n, err);
        ser_text_append(&speakers, ")");
    } else if (s->speaker_level == SER_SPEAKERS_IN_NAMES) {
        ser_text_append(&speakers, ", and the speakers from the rest of them");
    }
    if (st == SER_OK && (emotions.failed || speakers.failed))
        st = ser_fail_nomem(err);
    const char *besides = speakers.s ? speakers.s : "";
    if (st == SER_OK && !emotions.s)
        st = SER_OK; /* no recording lies in a folder */
    else if (st == SER_OK && !s->named)
        st = ser_draft_warn(
            d, err, "none of its folders is named as an emotion: %s are taken for classes of their own",
            emotions.s);
    else if (st == SER_OK && s->at_end)
        st = ser_draft_warn(d, err, "emotions are taken from parts of the folders' names (%s)%s", emotions.s,
                            besides);
    else if (st == SER_OK)
        st = ser_draft_warn(d, err, "folders lie in folders: emotions are taken from the %s (%s)%s",
                            level_word(s->level), emotions.s, besides);
    ser_text_release(&emotions);
    ser_text_release(&speakers);
    return st;
}

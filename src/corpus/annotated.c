/* Corpora of annotations: Praat's TextGrid beside each recording, an emotion in each interval of one tier. */
#include "base/memory.h"
#include "base/text.h"
#include "corpus/draft.h"
#include "io/file.h"
#include "io/textgrid.h"

#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static const char ending[] = ".TextGrid";

bool ser_draft_is_textgrid(const char *path)
{
    size_t n = strlen(path), n_ending = sizeof ending - 1;
    return n > n_ending && strcasecmp(path + n - n_ending, ending) == 0;
}

/* The tier that says emotions: the one of that name, else, where anything goes, the only one of intervals. */
static const ser_textgrid_tier *emotion_tier(const ser_textgrid *g, bool by_name)
{
    const ser_textgrid_tier *only = NULL;
    size_t n = 0;
    for (size_t t = 0; t < g->n_tiers; t++) {
        if (g->tiers[t].has_points)
            continue;
        if (strcasecmp(g->tiers[t].name, "emotion") == 0 || strcasecmp(g->tiers[t].name, "emotions") == 0)
            return &g->tiers[t];
        only = &g->tiers[t];
        n++;
    }
    return n == 1 && !by_name ? only : NULL;
}

/* *out: what lies beside file (relative to root) under its name and is sound by its extension; NULL: nothing.
 */
static ser_status find_recording(char **out, const char *root, const char *file, ser_error *err)
{
    static const char *const extensions[] = {".wav", ".flac", ".ogg", ".mp3", ".opus", ".m4a",
                                             ".aif", ".aiff", ".au",  ".WAV", ".FLAC", ".MP3"};
    size_t n = strlen(file) - (sizeof ending - 1);
    *out = NULL;
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions && !*out; i++) {
        ser_text name = {0};
        struct stat st;
        ser_text_append_n(&name, file, n);
        ser_text_append(&name, extensions[i]);
        char *path = name.failed ? NULL : ser_io_join(root, name.s);
        bool failed = !path || (stat(path, &st) == 0 && !(*out = ser_strdup(name.s)));
        ser_free(path);
        ser_text_release(&name);
        if (failed)
            return ser_fail_nomem(err);
    }
    return SER_OK;
}

static ser_status add_intervals(ser_draft *d, const ser_textgrid_tier *tier, const char *root,
                                char *recording, ser_error *err)
{
    ser_status st = SER_OK;
    for (size_t i = 0; i < tier->n && st == SER_OK; i++) {
        const ser_textgrid_interval *in = &tier->intervals[i];
        char *label = in->text + strspn(in->text, " \t\r\n");
        size_t n = strlen(label);
        while (n && strchr(" \t\r\n", label[n - 1]))
            n--;
        label[n] = 0;
        if (!n)
            continue;
        if (!ser_text_is_utf8(label))
            return ser_fail(err, SER_E_FORMAT, "the text of interval %zu is not UTF-8: save it as UTF-8",
                            i + 1);
        if (in->start_s < 0 || in->end_s <= in->start_s || in->end_s >= 1e9)
            return ser_fail(err, SER_E_FORMAT, "interval %zu begins at %g s and ends at %g s: mend it", i + 1,
                            in->start_s, in->end_s);
        const ser_draft_row row = {
            .file = recording, .label = label, .fold = -1, .start_s = in->start_s, .end_s = in->end_s};
        st = ser_draft_add(d, root, &row, err);
    }
    return st;
}

static ser_status read_one(ser_draft *d, const char *root, const char *file, bool by_name, bool *found,
                           ser_error *err)
{
    ser_textgrid grid = {0};
    char *path = ser_io_join(root, file), *recording = NULL;
    ser_status st = path ? ser_textgrid_read(&grid, path, err) : ser_fail_nomem(err);
    if (st == SER_E_FORMAT && by_name) { /* of something else, perhaps */
        ser_free(path);
        return SER_OK;
    }
    const ser_textgrid_tier *tier = st == SER_OK ? emotion_tier(&grid, by_name) : NULL;
    if (st == SER_OK && !tier && !by_name)
        st = ser_fail(err, SER_E_FORMAT,
                      "none of its %zu tiers is called 'emotion': name the one that says them so",
                      grid.n_tiers);
    if (tier)
        st = find_recording(&recording, root, file, err);
    if (st == SER_OK && tier && !recording)
        st = ser_fail(err, SER_E_IO, "there is no recording of its name beside it, such as .wav or .flac");
    if (st == SER_OK && tier) {
        *found = true;
        st = add_intervals(d, tier, root, recording, err);
    }
    if (st != SER_OK && by_name)
        ser_fail_within(err, st, "%s: ", file);
    ser_free(recording);
    ser_free(path);
    ser_textgrid_release(&grid);
    return st;
}

ser_status ser_draft_read_textgrid(ser_draft *d, const char *path, ser_error *err)
{
    const char *slash = strrchr(path, '/');
    char *root = ser_strndup(path, slash ? (size_t)(slash - path) + 1 : 0);
    bool found;
    ser_status st =
        root ? read_one(d, root, slash ? slash + 1 : path, false, &found, err) : ser_fail_nomem(err);
    ser_free(root);
    return st;
}

ser_status ser_draft_read_textgrids(ser_draft *d, const char *root, bool *found, ser_error *err)
{
    char **files = NULL;
    size_t n = 0;
    *found = false;
    ser_status st = ser_io_list_files(&files, &n, root, err);
    for (size_t i = 0; i < n && st == SER_OK; i++)
        if (ser_draft_is_textgrid(files[i]))
            st = read_one(d, root, files[i], true, found, err);
    ser_io_free_list(files, n);
    return st;
}

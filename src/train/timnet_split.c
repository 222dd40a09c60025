#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "corpus/folds.h"
#include "train/timnet_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_EPOCHS = 100000, MAX_BATCH = 4096, MAX_MASKS = 64 };

/* ---- checks ---- */

static ser_status check_settings(const ser_timnet_settings *s, ser_error *err)
{
    const struct {
        const char *name;
        double value, lowest, highest;
    } ranges[] = {
        {"the number of epochs", (double)s->n_epochs, 1, MAX_EPOCHS},
        {"the batch size", (double)s->batch_size, 1, MAX_BATCH},
        {"the learning rate", s->rate, 1e-12, 1e12},
        {"beta1", s->beta1, 0, 0.999999},
        {"beta2", s->beta2, 0, 0.999999},
        {"warm-up epochs", (double)s->n_warmup_epochs, 0, (double)s->n_epochs},
        {"decay", s->decay, 0, 1},
        {"label smoothing", s->label_smoothing, 0, 0.999999},
        {"the validation share", s->validation_share, 0, 0.5},
        {"the number of averaged epochs", (double)s->n_average, 0, (double)s->n_epochs},
        {"the number of time masks", (double)s->n_time_masks, 0, MAX_MASKS},
        {"the number of feature masks", (double)s->n_feature_masks, 0, MAX_MASKS},
        {"the share of a time mask", s->time_mask_share, 0, 1},
        {"the share of a feature mask", s->feature_mask_share, 0, 1},
        {"mixup", s->mixup, 0, 2},
        {"the most frames of a recording", (double)s->max_frames, 1, 1e9},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (!(ranges[i].value >= ranges[i].lowest && ranges[i].value <= ranges[i].highest))
            return ser_fail(err, SER_E_ARG, "%s is %g: choose %g to %g", ranges[i].name, ranges[i].value,
                            ranges[i].lowest, ranges[i].highest);
    if (s->patience && s->validation_share == 0)
        return ser_fail(err, SER_E_ARG,
                        "early stopping needs a validation part: set patience 0, or a validation share");
    if (s->patience && s->n_average)
        return ser_fail(err, SER_E_ARG,
                        "an average of the last epochs' weights needs all epochs: set patience 0");
    return SER_OK;
}

/* "recording 'a.wav'", or "recording 7". */
static const char *name_of(char text[128], const ser_timnet_rows *rows, size_t row)
{
    if (rows->name)
        snprintf(text, 128, "recording '%.110s'", rows->name[row]);
    else
        snprintf(text, 128, "recording %zu", row + 1);
    return text;
}

static bool is_copy(const ser_timnet_rows *rows, size_t row)
{
    return rows->copy_of && row < rows->n && rows->copy_of[row] != row;
}

static ser_status check_row(const ser_timnet_rows *rows, size_t row, ser_error *err)
{
    char name[128];
    const float *x = rows->frames[row];
    size_t n = rows->n_frames[row] * rows->n_in;
    if (!n)
        return ser_fail(err, SER_E_ARG, "%s has no frames: leave it out", name_of(name, rows, row));
    if (row < rows->n && (rows->label[row] < 0 || (size_t)rows->label[row] >= rows->n_labels))
        return ser_fail(err, SER_E_ARG, "%s has label %d: there are %zu", name_of(name, rows, row),
                        rows->label[row], rows->n_labels);
    if (is_copy(rows, row) && (rows->copy_of[row] >= rows->n || is_copy(rows, rows->copy_of[row])))
        return ser_fail(err, SER_E_ARG, "%s is a copy of what is no recording", name_of(name, rows, row));
    double sum = 0; /* of finite numbers it is finite, so that one look at it suffices while all is well */
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i];
    for (size_t i = 0; i < n && !isfinite(sum); i++)
        if (!isfinite(x[i]))
            return ser_fail(err, SER_E_FORMAT,
                            "%s, frame %zu: feature %zu is not a finite number: compute the features again",
                            name_of(name, rows, row), i / rows->n_in, i % rows->n_in);
    return SER_OK;
}

ser_status timnet_check(const ser_timnet_rows *rows, const ser_timnet_settings *settings, ser_error *err)
{
    ser_status st = check_settings(settings, err);
    if (st == SER_OK && settings->micro_batch && rows->n_unlabelled)
        st = ser_fail(err, SER_E_ARG, "a network that adapts sees whole batches: leave --micro-batch out");
    size_t n = 0, n_of_first = 0;
    int first = 0;
    for (size_t r = 0; r < rows->n + rows->n_unlabelled && st == SER_OK; r++) {
        st = check_row(rows, r, err);
        if (st != SER_OK || is_copy(rows, r) || r >= rows->n)
            continue;
        first = n++ ? first : rows->label[r];
        n_of_first += rows->label[r] == first;
    }
    if (st == SER_OK && n < 2)
        st = ser_fail(err, SER_E_ARG, "%zu recording%s: at least two are needed to learn from", n,
                      n == 1 ? "" : "s");
    if (st == SER_OK && n == n_of_first)
        st = ser_fail(err, SER_E_ARG,
                      "all %zu recordings are of one emotion: at least two are needed to learn from", n);
    return st;
}

/* ---- the validation part ---- */

/* Counts per label of the rows listed. */
static void count_labels(size_t *count, const ser_timnet_rows *rows, const size_t *list, size_t n)
{
    memset(count, 0, SER_MAX_LABELS * sizeof *count);
    for (size_t i = 0; i < n; i++)
        count[rows->label[list[i]]]++;
}

static void note_missing(ser_text *note, const char *what, const size_t *count, const size_t *of,
                         const ser_timnet_rows *rows)
{
    const char *between = note->n ? "; " : "";
    for (size_t l = 0; l < rows->n_labels; l++) {
        if (count[l] || !of[l])
            continue;
        ser_text_append(note, between);
        between = ", ";
        if (what) {
            ser_text_append(note, what);
            what = NULL;
            ser_text_append(note, " ");
        }
        if (rows->labels)
            ser_text_append(note, rows->labels[l]);
        else
            ser_text_appendf(note, "label %zu", l);
    }
}

/* Says which labels are missing where. */
static ser_status write_note(char *note, size_t n_note, const timnet_split *s, const ser_timnet_rows *rows,
                             double validation_share, ser_error *err)
{
    size_t train[SER_MAX_LABELS], validation[SER_MAX_LABELS], all[SER_MAX_LABELS];
    ser_text text = {0};
    count_labels(train, rows, s->train, s->n_train);
    count_labels(validation, rows, s->validation, s->n_validation);
    for (size_t l = 0; l < SER_MAX_LABELS; l++)
        all[l] = train[l] + validation[l];
    note_missing(&text, "nothing is left to learn from of", train, all, rows);
    if (!s->n_validation && validation_share > 0)
        ser_text_append(&text, "too few recordings for a validation part: no early stopping, no calibration");
    if (s->n_validation)
        note_missing(&text, "the validation part is too small to have any of", validation, all, rows);
    snprintf(note, n_note, "%s", text.s ? text.s : "");
    ser_status st = text.failed ? ser_fail_nomem(err) : SER_OK;
    ser_text_release(&text);
    return st;
}

/* fold (n): 0 for recordings that validate. Without speakers to keep apart, the only recordings of a class
 * stay to be learned from. */
static ser_status choose_fold(int *fold, const ser_timnet_rows *rows, const ser_timnet_settings *settings,
                              ser_error *err)
{
    bool by_speaker = settings->speaker_disjoint && rows->group;
    size_t n = 0, kept[SER_MAX_LABELS] = {0};
    int *label = ser_alloc(rows->n, sizeof *label), *group = ser_alloc(rows->n, sizeof *group);
    int *made = ser_alloc(rows->n, sizeof *made), n_folds;
    ser_status st = label && group && made ? SER_OK : ser_fail_nomem(err);
    for (size_t r = 0; r < rows->n && st == SER_OK; r++) {
        if (is_copy(rows, r))
            continue;
        label[n] = rows->label[r];
        group[n++] = by_speaker ? rows->group[r] : 0;
    }
    if (st == SER_OK)
        st = ser_folds_split(made, &n_folds, label, by_speaker ? group : NULL, n,
                             (int)lround(1 / settings->validation_share),
                             ser_random_derive(settings->seed, "validation"), err);
    for (size_t i = 0; i < n && st == SER_OK; i++)
        kept[label[i]] += made[i] != 0;
    for (size_t r = 0, i = 0; r < rows->n && st == SER_OK; r++)
        if (!is_copy(rows, r)) {
            fold[r] = !by_speaker && !kept[rows->label[r]] ? 1 : made[i];
            i++;
        }
    ser_free(label);
    ser_free(group);
    ser_free(made);
    return st;
}

/* ser_timnet_settings.class_weights: so that the mean over the training part is 1. */
static void weigh_classes(timnet_split *s, const ser_timnet_rows *rows, bool balanced)
{
    size_t count[SER_MAX_LABELS], n_present = 0;
    count_labels(count, rows, s->train, s->n_train);
    for (size_t l = 0; l < rows->n_labels; l++)
        n_present += count[l] > 0;
    for (size_t l = 0; l < rows->n_labels; l++) {
        s->weight[l] = 1;
        if (balanced)
            s->weight[l] = count[l] ? (float)s->n_train / (float)(n_present * count[l]) : 0;
    }
}

ser_status timnet_split_init(timnet_split *s, const ser_timnet_rows *rows,
                             const ser_timnet_settings *settings, char *note, size_t n_note, ser_error *err)
{
    *s = (timnet_split){.train = ser_alloc(rows->n, sizeof *s->train),
                        .validation = ser_alloc(rows->n, sizeof *s->validation),
                        .weight = ser_alloc(rows->n_labels, sizeof *s->weight)};
    int *fold = ser_alloc(rows->n, sizeof *fold);
    ser_status st = s->train && s->validation && s->weight && fold ? SER_OK : ser_fail_nomem(err);
    for (size_t r = 0; r < rows->n && st == SER_OK; r++)
        fold[r] = 1;
    if (st == SER_OK && settings->validation_share > 0)
        st = choose_fold(fold, rows, settings, err);
    for (size_t r = 0; r < rows->n && st == SER_OK; r++) {
        bool validates = fold[rows->copy_of ? rows->copy_of[r] : r] == 0;
        if (!validates)
            s->train[s->n_train++] = r;
        else if (!is_copy(rows, r))
            s->validation[s->n_validation++] = r;
    }
    ser_free(fold);
    if (st == SER_OK) {
        weigh_classes(s, rows, settings->class_weights);
        st = write_note(note, n_note, s, rows, settings->validation_share, err);
    }
    if (st != SER_OK)
        timnet_split_release(s);
    return st;
}

void timnet_split_release(timnet_split *s)
{
    ser_free(s->train);
    ser_free(s->validation);
    ser_free(s->weight);
    *s = (timnet_split){0};
}

#include "cli/epochs.h"
#include "cli/progress.h"
#include "report/escape.h"
#include "report/text.h"

#include <math.h>

/* As many of the last losses as fit into the columns that are left, as bars, the highest of them full. */
static void append_curve(ser_text *t, const ser_epoch_curve *k, size_t n_columns, bool utf8)
{
    static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    size_t n = k->n < SER_EPOCHS_SHOWN ? k->n : SER_EPOCHS_SHOWN;
    float high = 0, low = INFINITY;
    for (size_t i = 0; i < n; i++) {
        high = fmaxf(high, k->losses[i]);
        low = fminf(low, k->losses[i]);
    }
    n = n < n_columns ? n : n_columns;
    for (size_t i = k->n - n; i < k->n && utf8; i++) {
        float share = high > low ? (k->losses[i % SER_EPOCHS_SHOWN] - low) / (high - low) : 0;
        ser_text_append(t, bars[(int)(share * 7.49f)]);
    }
}

static void add_loss(ser_epoch_curve *k, const ser_run_epoch_info *e)
{
    if (e->epoch == 1)
        k->n = 0;
    k->losses[k->n++ % SER_EPOCHS_SHOWN] =
        (float)(isfinite(e->validation_loss) ? e->validation_loss : e->train_loss);
}

/* Where there is room for it on the line. */
static void append_more(ser_text *t, ser_text *more, size_t width)
{
    t->failed = t->failed || more->failed;
    if (!t->failed && more->n && ser_columns(t->s) + ser_columns(more->s) <= width)
        ser_text_append(t, more->s);
    ser_text_release(more);
}

static void append_accuracy(ser_text *t, const ser_run_epoch_info *e, size_t width)
{
    ser_text accuracy = {0};
    ser_text_appendf(&accuracy, "  accuracy %.1f %%", e->train_accuracy);
    if (isfinite(e->validation_loss))
        ser_text_appendf(&accuracy, " (val. %.1f %%)", e->validation_accuracy);
    append_more(t, &accuracy, width);
}

/* Of the two losses of an adaptation the first is the one that it is about. */
static void append_adaptation(ser_text *t, const ser_run_epoch_info *e, size_t width)
{
    ser_text lmmd = {0}, entropy = {0};
    if (!isfinite(e->lmmd))
        return;
    ser_text_appendf(&lmmd, ", LMMD %.3f", e->lmmd);
    ser_text_appendf(&entropy, ", entropy %.2f", e->entropy);
    append_more(t, &lmmd, width);
    append_more(t, &entropy, width);
}

/* So many of a network that a screen or two hold them; the curve has all. */
static bool is_shown(const ser_run_epoch_info *e)
{
    enum { MOST_SHOWN = 25 };
    size_t step = (e->n_epochs + MOST_SHOWN - 1) / MOST_SHOWN;
    return e->epoch == 1 || e->epoch == e->n_epochs || e->epoch % (step ? step : 1) == 0;
}

void ser_epoch_show(ser_epoch_curve *k, const ser_run_epoch_info *e)
{
    ser_style style = ser_style_of(stderr);
    bool validated = isfinite(e->validation_loss);
    ser_text t = {0};
    if (!style.terminal || e->restored)
        return;
    add_loss(k, e);
    if (!is_shown(e))
        return;
    ser_text_append(&t, e->part);
    if (e->n_networks > 1)
        ser_text_appendf(&t, ", network %zu", e->network);
    ser_text_appendf(&t, "  epoch %2zu/%zu  loss %.3f", e->epoch, e->n_epochs, e->train_loss);
    if (validated)
        ser_text_appendf(&t, " (val. %.3f)", e->validation_loss);
    append_adaptation(&t, e, style.width);
    append_accuracy(&t, e, style.width);
    size_t n_columns = t.failed ? style.width : ser_columns(t.s) + 2;
    if (n_columns < style.width) {
        ser_text_append(&t, "  ");
        append_curve(&t, k, style.width - n_columns, style.utf8);
    }
    if (!t.failed)
        ser_tell("%s", t.s);
    ser_text_release(&t);
}

#include "cli/epochs.h"
#include "cli/progress.h"
#include "report/text.h"

#include <math.h>

/* The last losses as bars, the highest of them full. */
static void append_curve(ser_text *t, const ser_epochs *k, bool utf8)
{
    static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    size_t n = k->n_losses < SER_EPOCHS_SHOWN ? k->n_losses : SER_EPOCHS_SHOWN;
    float high = 0, low = INFINITY;
    for (size_t i = 0; i < n; i++) {
        high = fmaxf(high, k->losses[i]);
        low = fminf(low, k->losses[i]);
    }
    for (size_t i = k->n_losses - n; i < k->n_losses && utf8; i++) {
        float share = high > low ? (k->losses[i % SER_EPOCHS_SHOWN] - low) / (high - low) : 0;
        ser_text_append(t, bars[(int)(share * 7.49f)]);
    }
}

static void add_loss(ser_epochs *k, size_t epoch, double loss)
{
    if (epoch == 1)
        k->n_losses = 0;
    k->losses[k->n_losses++ % SER_EPOCHS_SHOWN] = (float)loss;
}

static void finish_line(ser_text *t, const ser_epochs *k, ser_style style)
{
    ser_text_append(t, "  ");
    append_curve(t, k, style.utf8);
    if (!t->failed)
        ser_tell("%s", t->s);
    ser_text_release(t);
}

static void append_target(ser_text *t, double lmmd, double entropy)
{
    ser_text_appendf(t, ", LMMD %.3f, entropy %.2f", lmmd, entropy);
}

void ser_epochs_tell(void *context, const char *what, size_t network, const ser_timnet_epoch *e)
{
    ser_epochs *k = context;
    ser_style style = ser_style_of(stderr);
    ser_run_folder_tell(k->folder, what, network, e);
    if (!style.terminal || e->restored)
        return;
    ser_text t = {0};
    bool validated = isfinite(e->validation_loss);
    add_loss(k, e->epoch, validated ? e->validation_loss : e->train_loss);
    ser_text_appendf(&t, "%s", what);
    if (k->n_networks > 1)
        ser_text_appendf(&t, ", network %zu", network);
    ser_text_appendf(&t, "  epoch %2zu/%zu  loss %.3f", e->epoch, e->n_epochs, e->train_loss);
    if (validated)
        ser_text_appendf(&t, ", validation %.3f", e->validation_loss);
    if (e->entropy > 0)
        append_target(&t, e->lmmd, e->entropy);
    ser_text_appendf(&t, "  accuracy %.1f %%", e->train_accuracy);
    if (validated)
        ser_text_appendf(&t, ", validation %.1f %%", e->validation_accuracy);
    finish_line(&t, k, style);
}

void ser_epochs_tell_adapt(void *context, const char *what, const ser_adapt_epoch *e)
{
    ser_epochs *k = context;
    ser_style style = ser_style_of(stderr);
    ser_run_folder_tell_adapt(k->folder, what, e);
    if (!style.terminal)
        return;
    ser_text t = {0};
    add_loss(k, e->epoch, e->source_loss);
    ser_text_appendf(&t, "%s  epoch %2zu/%zu  loss %.3f", what, e->epoch, e->n_epochs, e->source_loss);
    append_target(&t, e->lmmd, e->entropy);
    ser_text_appendf(&t, "  accuracy %.1f %%", e->source_accuracy);
    finish_line(&t, k, style);
}

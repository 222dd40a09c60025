#include "report/summary.h"
#include "report/setup.h"

#include <math.h>

static void append_fold(ser_text *t, const ser_run_report *r, const ser_run_fold *f)
{
    if (f->is_model) {
        ser_text_appendf(t, "%-12s UA %6.2f   WA %6.2f", f->name, f->ua, f->wa);
        if (f->shared.duplicates > 0)
            ser_text_appendf(t, "   trained on %ld of these %zu recordings", f->shared.duplicates, f->n_test);
    } else {
        ser_text_appendf(t, "fold %-4s %5zu train", f->name, f->n_train);
        if (f->n_validation)
            ser_text_appendf(t, " %4zu validation", f->n_validation);
        ser_text_appendf(t, " %4zu test", f->n_test);
        if (isfinite(f->ua))
            ser_text_appendf(t, "   UA %6.2f   WA %6.2f", f->ua, f->wa);
    }
    if (f->kept_epoch)
        ser_text_appendf(t, "   epoch %zu of %zu kept", f->kept_epoch, f->n_epochs);
    if (f->choice) {
        ser_text_append(t, "   ");
        ser_append_choice(t, r, f);
    }
    ser_text_append(t, "\n");
}

static void append_notes(ser_text *t, const ser_run_report *r)
{
    for (size_t i = 0; i < r->n_notes; i++)
        if (!r->notes[i].serious) /* the serious ones were told already */
            ser_text_appendf(t, "%s\n", r->notes[i].text);
}

static void append_shared(ser_text *t, const ser_run_report *r)
{
    ser_shared_count counts[SER_N_SHARED];
    for (size_t i = 0; i < SER_N_SHARED; i++) {
        counts[i] = ser_run_count_shared(r, i);
        if (!counts[i].n_folds)
            continue;
        ser_text_appendf(t, "%s: ", ser_shared_kinds[i].what);
        ser_append_shared(t, i, counts[i]);
        ser_text_append(t, "\n");
    }
    if (ser_shared_verdict(counts) == SER_VERDICT_UNKNOWN)
        ser_text_appendf(t, "%s\n", ser_verdict_text(SER_VERDICT_UNKNOWN));
}

/* "UA, unheard 71.2 % (68.0 to 74.5): of models that had not heard the recording". */
static void append_extra(ser_text *t, const ser_run_report *r)
{
    ser_run_figure extras[SER_MAX_EXTRAS];
    size_t n = ser_run_extras(extras, r);
    for (size_t i = 0; i < n; i++) {
        const ser_run_figure *f = &extras[i];
        if (!isfinite(f->value))
            continue;
        ser_text_appendf(t, "%s %.1f%s%s", f->name, f->value, *f->unit ? " " : "", f->unit);
        if (isfinite(f->interval[0]) && f->interval[1] > f->interval[0])
            ser_text_appendf(t, " (%.1f to %.1f)", f->interval[0], f->interval[1]);
        ser_text_appendf(t, ": %s\n", f->meaning);
    }
}

/* "women 44.0 %" */
static void append_voice(ser_text *t, const char *lead, const char *name, const ser_run_voice *v)
{
    if (v && v->n)
        ser_text_appendf(t, "%s%s %.1f %%", lead, name, v->ua_restricted);
}

/* A corpus that was left out: among its emotions, among all, by sex, and who is recognised worst. */
static void append_left_out(ser_text *t, const ser_run_report *r)
{
    for (size_t i = 0; i < r->n_folds && r->corpora_left_out; i++) {
        const ser_run_left_out *c = &r->folds[i].left_out;
        if (!c->n)
            continue;
        ser_text_appendf(t, "%s: restricted ", r->folds[i].name);
        ser_append_with_interval(t, c->ua_restricted, c->restricted_ci95);
        ser_text_append(t, ", open ");
        ser_append_with_interval(t, c->ua_open, c->open_ci95);
        ser_text_appendf(t, ", ECE %.1f %%\n", c->ece);
        const ser_run_voice *worst = ser_run_worst_voice(c);
        size_t n = t->n;
        append_voice(t, "  ", "women", &c->female);
        append_voice(t, t->n > n ? ", " : "  ", "men", &c->male);
        append_voice(t, t->n > n ? "; worst speaker " : "  worst speaker ", worst ? worst->name : "", worst);
        ser_text_append(t, t->n > n ? " (restricted)\n" : "");
    }
}

static void append_cross(ser_text *t, const ser_run_report *r, ser_style style)
{
    ser_append_cross_models(t, r->folds, r->n_folds, style);
    ser_text_append(t, "\n");
    if (r->cross->matrix.n_truths) {
        if (r->of_what)
            ser_text_appendf(t, "%s\n", r->of_what);
        ser_append_classification(t, r, style);
        ser_text_append(t, "\n");
        ser_append_matrix(t, &r->cross->matrix, style);
        ser_text_append(t, "\n");
    }
    append_notes(t, r);
    if (r->figures->n) {
        ser_text_append(t, "Shared emotions: ");
        ser_append_headline(t, r->figures, style);
    }
}

static void append_one_corpus(ser_text *t, const ser_run_report *r, ser_style style)
{
    for (size_t i = 0; i < r->n_folds; i++)
        append_fold(t, r, &r->folds[i]);
    ser_text_append(t, "\n");
    if (r->of_what)
        ser_text_appendf(t, "%s\n", r->of_what);
    ser_append_classification(t, r, style);
    ser_text_append(t, "\n");
    ser_append_confusion(t, r->labels, r->figures->confusion, r->figures->n_labels, style);
    ser_text_append(t, "\n");
    append_notes(t, r);
    if (!r->n_folds || !r->folds[0].is_model)
        append_shared(t, r);
    ser_append_headline(t, r->figures, style);
}

void ser_append_run(ser_text *t, const ser_run_report *r, ser_style style)
{
    ser_text whole = {0};
    ser_append_setup(&whole, r);
    ser_text_append(&whole, "\n");
    if (r->cross)
        append_cross(&whole, r, style);
    else
        append_one_corpus(&whole, r, style);
    append_left_out(&whole, r);
    append_extra(&whole, r);
    if (!whole.failed)
        ser_append_fitted(t, whole.s, style);
    t->failed |= whole.failed;
    ser_text_release(&whole);
}

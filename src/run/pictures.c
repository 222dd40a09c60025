#include "run/pictures.h"
#include "base/memory.h"

ser_status ser_run_picture_save(const char *folder, const char *name, ser_picture_kind kind,
                                const void *picture, ser_error *err)
{
    static const char *const endings[] = {"png", "svg"};
    ser_status st = SER_OK;
    for (size_t i = 0; i < 2 && st == SER_OK; i++) {
        char *path = ser_format("%s/%s.%s", folder, name, endings[i]);
        st = path ? ser_picture_save(path, kind, picture, err) : ser_fail_nomem(err);
        if (st != SER_OK && path)
            ser_fail_within(err, st, "%s: ", path);
        ser_free(path);
    }
    return st;
}

static void append_subtitle(ser_text *t, const ser_run_report *r)
{
    const ser_figures *f = r->figures;
    if (r->cross)
        ser_text_appendf(t, "%s to %s", r->cross->source, r->cross->target);
    else
        ser_text_appendf(t, "%s, %s", r->corpus, r->protocol);
    if (f->n)
        ser_text_appendf(t, ": UA %.1f %%, WA %.1f %%%s", f->ua, f->wa, r->cross ? " (shared emotions)" : "");
    if (r->cross)
        ser_text_append(t, "; framed: counts as right");
}

ser_status ser_run_pictures_save(const char *folder, const ser_run_report *r, ser_error *err)
{
    const ser_matrix matrix = ser_run_matrix(r);
    ser_text subtitle = {0};
    append_subtitle(&subtitle, r);
    const ser_confusion_picture confusion = {
        .title = "Confusion matrix", .subtitle = subtitle.s, .matrix = &matrix};
    ser_status st = subtitle.failed ? ser_fail_nomem(err) : SER_OK;
    if (st == SER_OK && matrix.n_truths)
        st = ser_run_picture_save(folder, "confusion", SER_PICTURE_CONFUSION, &confusion, err);
    ser_text_release(&subtitle);
    bool has_epochs = false;
    for (size_t i = 0; i < r->n_folds; i++)
        has_epochs = has_epochs || r->folds[i].n_epochs;
    ser_curves_picture curves = {.title = "Loss", .folds = r->folds, .n_folds = r->n_folds};
    if (st == SER_OK && has_epochs)
        st = ser_run_picture_save(folder, "loss", SER_PICTURE_CURVES, &curves, err);
    curves.title = "Accuracy";
    curves.what = SER_CURVE_ACCURACY;
    if (st == SER_OK && has_epochs)
        st = ser_run_picture_save(folder, "accuracy", SER_PICTURE_CURVES, &curves, err);
    return st;
}

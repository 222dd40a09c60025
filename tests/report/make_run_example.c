/* What a run folder shows, made from the example run, to be looked at:
 *   make-run-example FOLDER [N_FOLDS [hostile|bare]]
 * hostile: with names that mean something to other programs; bare: with no more than must be there. */
#include "report/formats.h"
#include "report/pictures.h"
#include "report/run_page.h"
#include "report/text.h"
#include "run_example.h"

static run_example example;

static const char *in(const char *folder, const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void save_curves(const char *folder, const ser_run_report *r)
{
    ser_error err = {0};
    ser_curves_picture curves = {"Loss", "EMODB · WHISPER · timnet", SER_CURVE_LOSS, r->folds, r->n_folds};
    CHECK_OK(ser_picture_save(in(folder, "loss.png"), SER_PICTURE_CURVES, &curves, &err), &err);
    CHECK_OK(ser_picture_save(in(folder, "loss.svg"), SER_PICTURE_CURVES, &curves, &err), &err);
    curves.title = "Accuracy";
    curves.what = SER_CURVE_ACCURACY;
    CHECK_OK(ser_picture_save(in(folder, "accuracy.png"), SER_PICTURE_CURVES, &curves, &err), &err);
    CHECK_OK(ser_picture_save(in(folder, "accuracy.svg"), SER_PICTURE_CURVES, &curves, &err), &err);
}

static void make_hostile(run_example *e)
{
    static const char *const labels[RUN_N_LABELS] = {
        "=cmd|' /C calc'!A0", "@SUM(A1)", "+1+1", "-1", "<b>&amp;", "\xff\x01\x1b[2J", "http://localhost/"};
    e->report.labels = labels;
    e->report.title = "=1+1";
    json_object_set_new(e->config, "=1+1", json_string("=HYPERLINK(\"http://localhost/\")"));
    json_object_set_new(e->config, "", json_string("\t"));
    e->folds[0].name = "=1+1";
    e->folds[1].name = "\"]'!A1";
    e->folds[1].ua = e->folds[1].loss = NAN;
    e->epochs[0][3].train_loss = INFINITY;
    e->epochs[0][4].validation_accuracy = NAN;
    e->predictions[0].file = "=1+1";
    e->predictions[1].fold = NULL;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s FOLDER [N_FOLDS]\n", argv[0]);
        return 2;
    }
    size_t n_folds = argc > 2 ? strtoul(argv[2], NULL, 10) : 10;
    ser_error err = {0};
    ser_text table = {0};
    run_example_init(&example, n_folds >= 1 && n_folds <= RUN_MAX_FOLDS ? n_folds : RUN_MAX_FOLDS);
    if (argc > 3 && strcmp(argv[3], "hostile") == 0)
        make_hostile(&example);
    bool bare = argc > 3 && strcmp(argv[3], "bare") == 0;
    if (bare)
        example.report = (ser_run_report){.labels = run_labels, .figures = &example.figures};
    const ser_run_report *r = &example.report;
    CHECK_OK(ser_spreadsheet_save(in(argv[1], "metrics.xlsx"), r, &err), &err);
    if (!bare)
        save_curves(argv[1], r);
    CHECK_OK(ser_run_page_save(in(argv[1], "report.html"), r, &err), &err);
    ser_append_classification(&table, r, (ser_style){.width = 80, .utf8 = true});
    fputs(table.s, stdout);
    ser_text_release(&table);
    run_example_release(&example);
    return test_summary();
}

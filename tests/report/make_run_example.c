/* What a run folder shows, made from the example run, to be looked at: make-run-example FOLDER [N_FOLDS] */
#include "report/pictures.h"
#include "report/run_page.h"
#include "report/spreadsheet.h"
#include "report/text.h"
#include "run_example.h"

static run_example example;

static const char *in(const char *folder, const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
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
    const ser_run_report *r = &example.report;
    ser_curves_picture curves = {"Loss", "EMODB · WHISPER · timnet", SER_CURVE_LOSS, r->folds, r->n_folds};
    CHECK_OK(ser_spreadsheet_save(in(argv[1], "metrics.xlsx"), r, &err), &err);
    CHECK_OK(ser_save_curves(in(argv[1], "loss.png"), &curves, &err), &err);
    CHECK_OK(ser_save_curves(in(argv[1], "loss.svg"), &curves, &err), &err);
    curves.title = "Accuracy";
    curves.what = SER_CURVE_ACCURACY;
    CHECK_OK(ser_save_curves(in(argv[1], "accuracy.png"), &curves, &err), &err);
    CHECK_OK(ser_save_curves(in(argv[1], "accuracy.svg"), &curves, &err), &err);
    CHECK_OK(ser_run_page_save(in(argv[1], "report.html"), r, &err), &err);
    ser_append_classification(&table, r->labels, r->figures, (ser_style){.width = 80, .utf8 = true});
    fputs(table.s, stdout);
    ser_text_release(&table);
    run_example_release(&example);
    return test_summary();
}

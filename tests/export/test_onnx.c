/* Models exported as ONNX: what is refused, and files that are whole or not there. With a folder: leaves
 * models and what ser_predict answers in it, NAME.onnx and NAME.vectors, for tools/check_onnx.py. */
#include "export/export.h"
#include "models.h"

static void test_files(void)
{
    ser_error err = {0};
    ser_model_data m = {.n_labels = N_LABELS};
    write_model(&models[0], scratch("plain"));
    int n_before = scratch_count("");
    CHECK_FAILS(ser_export_onnx(scratch("none"), NULL, scratch("x.onnx"), &err), SER_E_IO, &err, "none");
    CHECK_FAILS(ser_export_onnx(scratch("plain"), NULL, scratch("no/where.onnx"), &err), SER_E_IO, &err,
                "where.onnx: ");
    CHECK(scratch_count("") == n_before);

    /* An encoder of a family that is not known here; a checkpoint that is not there. */
    static const struct {
        const char *features, *words;
        ser_status st;
    } others[] = {{"LOGMEL+HUBERT", "HUBERT", SER_E_UNSUPPORTED}, {"WHISPER", "whisper-base", SER_E_IO}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        static char *labels[] = {"a", "b", "c"};
        m.labels = labels;
        CHECK_OK(ser_feature_spec_parse(&m.spec, others[i].features, &err), &err);
        CHECK_OK(ser_feature_spec_set_layers(&m.spec, "2", &err), &err);
        init_head(&m.plain, 512);
        CHECK_OK(ser_model_data_write(&m, scratch("with-encoder"), NULL, 0, &err), &err);
        ser_linear_release(&m.plain);
        CHECK_FAILS(
            ser_export_onnx(scratch("with-encoder"), scratch("whisper-base"), scratch("x.onnx"), &err),
            others[i].st, &err, others[i].words);
    }
    CHECK(scratch_count("") == n_before + 1);
}

/* Whichever allocation fails, nothing is left behind. */
static void test_memory(void)
{
    int n_before = scratch_count("");
    ser_status st = SER_E_NOMEM;
    for (long n = 0; st == SER_E_NOMEM; n += 29) {
        ser_error err = {0};
        ser_alloc_fail_at(n);
        st = ser_export_onnx(scratch("plain"), NULL, scratch("memory.onnx"), &err);
        ser_alloc_fail_at(-1);
        CHECK(st == SER_OK || (st == SER_E_NOMEM && scratch_count("") == n_before));
    }
    CHECK(st == SER_OK && scratch_count("") == n_before + 1);
}

static void leave_one(const char *folder, const char *name, const char *model)
{
    char path[1024];
    ser_error err = {0};
    snprintf(path, sizeof path, "%s/%s.onnx", folder, name);
    CHECK_OK(ser_export_onnx(model, NULL, path, &err), &err);
    snprintf(path, sizeof path, "%s/%s.vectors", folder, name);
    write_vectors(model, path);
}

int main(int argc, char **argv)
{
    scratch_make();
    if (argc == 2) {
        for (size_t i = 0; i < N_MODELS; i++) {
            write_model(&models[i], scratch("model"));
            leave_one(argv[1], models[i].name, scratch("model"));
        }
        leave_one(argv[1], "builtin", NULL);
    } else {
        test_files();
        test_memory();
    }
    scratch_remove();
    return test_summary();
}

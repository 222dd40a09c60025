/* Models exported as ONNX: what is refused, and files that are whole or not there. With a folder: leaves
 * models and what ser_predict answers in it, NAME.onnx and NAME.vectors, for tools/check_onnx.py. */
#include "export/export.h"
#include "failures/failing.h"
#include "models.h"

static void test_files(void)
{
    ser_error err = {0};
    write_model(&models[0], scratch("plain"));
    int n_before = scratch_count("");
    CHECK_FAILS(ser_export_onnx(scratch("none"), NULL, scratch("x.onnx"), &err), SER_E_IO, &err, "none");
    CHECK_FAILS(ser_export_onnx(scratch("plain"), NULL, scratch("no/where.onnx"), &err), SER_E_IO, &err,
                "where.onnx: ");
    CHECK(scratch_count("") == n_before);

    /* A checkpoint that is not there, and another one than the model's. */
    static const wanted other = {
        .name = "with-encoder", .features = "HUBERT", .encoder = "hubert_base", .dims = 144, .linear = true};
    const wanted another = {.encoder = "hubert_large"};
    const char *place = scratch("nothing");
    ser_export_onnx_options options = {.encoders = &place, .n_encoders = 1};
    write_model(&other, scratch("with-encoder"));
    CHECK_FAILS(ser_export_onnx(scratch("with-encoder"), &options, scratch("x.onnx"), &err), SER_E_IO, &err,
                "nothing");
    place = checkpoint(&another);
    CHECK_FAILS(ser_export_onnx(scratch("with-encoder"), &options, scratch("x.onnx"), &err), SER_E_ARG, &err,
                "is not what this model was trained with");
    CHECK(scratch_count("") == n_before + 1);
}

static long size_of(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 ? (long)s.st_size : -1;
}

/* Weights beside the model, where it would be too large. */
static void test_two_files(void)
{
    ser_error err = {0};
    char whole[512], model[512], data[512];
    snprintf(whole, sizeof whole, "%s", scratch("whole.onnx"));
    snprintf(model, sizeof model, "%s", scratch("two.onnx"));
    snprintf(data, sizeof data, "%s", scratch("two.onnx.data"));
    CHECK_OK(ser_export_onnx(scratch("plain"), NULL, whole, &err), &err);
    ser_export_onnx_options options = {.max_bytes = (size_t)size_of(whole)};
    CHECK_OK(ser_export_onnx(scratch("plain"), &options, model, &err), &err);
    CHECK(size_of(model) == size_of(whole) && size_of(data) == -1);
    options.max_bytes--;
    CHECK_OK(ser_export_onnx(scratch("plain"), &options, model, &err), &err);
    CHECK(size_of(model) < size_of(whole) / 4 && size_of(data) > size_of(whole) * 3 / 4);
    unlink(whole);
    unlink(model);
    unlink(data);
}

/* Whichever allocation fails, nothing is left behind. */
static void test_memory(size_t max_bytes, int n_files)
{
    int n_before = scratch_count("");
    ser_status st = SER_E_NOMEM;
    const ser_export_onnx_options options = {.max_bytes = max_bytes};
    for (long n = 0; st == SER_E_NOMEM; n += 997) {
        ser_error err = {0};
        failing_at(n);
        st = ser_export_onnx(scratch("plain"), &options, scratch("memory.onnx"), &err);
        failing_at(-1);
        CHECK(st == SER_OK || (st == SER_E_NOMEM && scratch_count("") == n_before));
    }
    CHECK(st == SER_OK && scratch_count("") == n_before + n_files);
}

/* w NULL: the built-in model. */
static void leave_one(const char *folder, const wanted *w)
{
    char path[1024];
    ser_error err = {0};
    const char *model = NULL, *name = w ? w->name : "builtin",
               *encoder = w && w->encoder ? checkpoint(w) : NULL;
    const ser_export_onnx_options options = {
        .encoders = &encoder, .n_encoders = encoder != NULL, .max_bytes = w && w->pad_s ? 4096 : 0};
    if (w)
        write_model(w, model = scratch("model"));
    snprintf(path, sizeof path, "%s/%s.onnx", folder, name);
    CHECK_OK(ser_export_onnx(model, &options, path, &err), &err);
    snprintf(path, sizeof path, "%s/%s.vectors", folder, name);
    write_vectors(model, w && w->reach > 0, encoder, N_RECORDINGS, path);
}

/* Each member of the family once, with each kind of model. */
static const wanted with_encoders[] = {
    {.name = "hubert",
     .features = "HUBERT",
     .encoder = "hubert_base",
     .dims = 144,
     .linear = true,
     .reach = 0.4f},
    {.name = "hubert-large", .features = "HUBERT", .encoder = "hubert_large", .dims = 144, .n_networks = 1},
    {.name = "padded",
     .features = "HUBERT",
     .encoder = "hubert_plain",
     .pad_s = 30,
     .dims = 144,
     .linear = true},
    {.name = "fusion",
     .features = "LOGMEL+WAV2VEC2",
     .encoder = "wav2vec2_base",
     .dims = 272,
     .linear = true,
     .n_networks = 1,
     .n_averaged = 4,
     .trim = true,
     .activations = {SER_SWISH},
     .reach = 7.5f},
    {.name = "xlsr", .features = "WAV2VEC2", .encoder = "wav2vec2_xlsr", .dims = 144, .linear = true},
    {.name = "wavlm", .features = "WAVLM", .encoder = "wavlm_base", .dims = 144, .linear = true},
    {.name = "wavlm-large", .features = "WAVLM", .encoder = "wavlm_large", .dims = 144, .linear = true},
    {.name = "data2vec", .features = "DATA2VEC", .encoder = "data2vec", .dims = 144, .linear = true},
};

int main(int argc, char **argv)
{
    scratch_make();
    if (argc == 2) {
        for (size_t i = 0; i < N_MODELS; i++)
            leave_one(argv[1], &models[i]);
        for (size_t i = 0; i < sizeof with_encoders / sizeof *with_encoders; i++)
            leave_one(argv[1], &with_encoders[i]);
        leave_one(argv[1], NULL);
    } else {
        test_files();
        test_two_files();
        test_memory(0, 1);
        unlink(scratch("memory.onnx"));
        test_memory(1, 2);
    }
    scratch_remove();
    return test_summary();
}

/* Whisper base against transformers; skipped where the checkpoint is missing. */
#include "base/memory.h"
#include "golden.h"

#include <unistd.h>

enum { SKIPPED = 77, DIMS = 512, N_LAYERS = 6, N_SAMPLES = 59200, WINDOW = 480000 };

/* As in tools/make_golden_encoder.py. */
static const size_t padded_rows[] = {0, 1, 100, 184, 185, 700, 1498, 1499};
static const size_t unpadded_rows[] = {0, 1, 64, 127, 128, 183, 184};

static const int all[] = {0, 1, 2, 3, 4, 5, 6};

/* hidden (n_frames, last + 1, DIMS) */
static void compare(const char *name, const float *hidden, int last, const size_t *rows, size_t n_rows,
                    double tolerance, double lowest_cosine)
{
    for (int i = 0; i <= last; i++) {
        float *golden = read_golden(name, i, n_rows * DIMS);
        for (size_t k = 0; k < n_rows; k++) {
            const float *row = hidden + (rows[k] * (size_t)(last + 1) + (size_t)i) * DIMS;
            if (tolerance > 0)
                check_close(name, row, golden + k * DIMS, DIMS, tolerance, tolerance);
            double similarity = cosine(row, golden + k * DIMS, DIMS);
            if (similarity < lowest_cosine)
                fprintf(stderr, "%s, hidden state %d, frame %zu: cosine %.6f\n", name, i, rows[k],
                        similarity);
            CHECK(similarity >= lowest_cosine);
        }
        ser_free(golden);
    }
}

static void check_engine(const char *folder, ser_engine engine, ser_precision precision, double tolerance,
                         double lowest_cosine, bool padded)
{
    ser_error err = {0};
    ser_encoder *e;
    ser_encoder_work *w;
    CHECK_OK(ser_encoder_open(&e, folder, -1, engine, precision, &err), &err);
    CHECK_OK(ser_encoder_work_new(&w, e, 0, &err), &err);
    float *pcm = make_signal(N_SAMPLES);
    float *hidden = ser_alloc(ser_encoder_n_frames(e, WINDOW) * (N_LAYERS + 1) * DIMS, sizeof *hidden);
    if (padded) {
        CHECK_OK(ser_encoder_run(e, w, hidden, pcm, N_SAMPLES, WINDOW, all, N_LAYERS + 1, &err), &err);
        compare("base_padded", hidden, N_LAYERS, padded_rows, sizeof padded_rows / sizeof *padded_rows,
                tolerance, lowest_cosine);
    }
    CHECK_OK(ser_encoder_run(e, w, hidden, pcm, N_SAMPLES, 0, all, N_LAYERS + 1, &err), &err);
    compare("base_unpadded", hidden, N_LAYERS, unpadded_rows, sizeof unpadded_rows / sizeof *unpadded_rows,
            tolerance, lowest_cosine);
    ser_encoder_work_free(&w);
    ser_encoder_close(&e);
    ser_free(pcm);
    ser_free(hidden);
}

/* Each hidden state as a whole: single frames of the last layers suffer more. */
static void check_int8(const char *folder)
{
    ser_error err = {0};
    ser_encoder *e;
    ser_encoder_work *w;
    enum { N_ROWS = sizeof unpadded_rows / sizeof *unpadded_rows };
    static float rows[N_ROWS * DIMS];
    ser_status status = ser_encoder_open(&e, folder, -1, SER_ENGINE_ONEDNN, SER_PRECISION_INT8, &err);
    if (status == SER_E_UNSUPPORTED) /* an older processor */
        return;
    CHECK_OK(status, &err);
    CHECK_OK(ser_encoder_work_new(&w, e, 0, &err), &err);
    float *pcm = make_signal(N_SAMPLES);
    float *hidden = ser_alloc(ser_encoder_n_frames(e, N_SAMPLES) * DIMS, sizeof *hidden);
    for (int i = 0; i <= N_LAYERS; i++) {
        float *golden = read_golden("base_unpadded", i, N_ROWS * DIMS);
        CHECK_OK(ser_encoder_run(e, w, hidden, pcm, N_SAMPLES, 0, &i, 1, &err), &err);
        for (size_t k = 0; k < N_ROWS; k++)
            memcpy(rows + k * DIMS, hidden + unpadded_rows[k] * DIMS, DIMS * sizeof *rows);
        double similarity = cosine(rows, golden, N_ROWS * DIMS), lowest = i < 6 ? 0.995 : 0.99;
        if (!(similarity >= lowest))
            fprintf(stderr, "hidden state %d in 8 bits: cosine %.6f\n", i, similarity);
        CHECK(similarity >= lowest);
        ser_free(golden);
    }
    ser_encoder_work_free(&w);
    ser_encoder_close(&e);
    ser_free(pcm);
    ser_free(hidden);
}

/* Weights of 8 bits, as a model file carries them: the first four layers. */
static void check_export(const char *folder, const char *config_json)
{
    enum { LAST = 4 };
    ser_error err = {0};
    ser_tensor *tensors;
    size_t n_tensors;
    char path[] = "/tmp/ser-test-export-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    CHECK_OK(ser_encoder_export(&tensors, &n_tensors, folder, LAST, "", &err), &err);
    CHECK_OK(ser_safetensors_write(path, tensors, n_tensors, NULL, 0, &err), &err);
    ser_encoder_free_export(tensors, n_tensors);
    ser_safetensors *file;
    ser_encoder *e;
    ser_encoder_work *w;
    CHECK_OK(ser_safetensors_open(&file, path, &err), &err);
    CHECK_OK(ser_encoder_open_tensors(&e, file, "", config_json, LAST, SER_ENGINE_ONEDNN, SER_PRECISION_FP32,
                                      &err),
             &err);
    ser_safetensors_close(&file);
    unlink(path);
    CHECK_OK(ser_encoder_work_new(&w, e, 1, &err), &err);
    size_t n_frames = ser_encoder_n_frames(e, N_SAMPLES);
    float *pcm = make_signal(N_SAMPLES), *hidden = ser_alloc(n_frames * (LAST + 1) * DIMS, sizeof *hidden);
    CHECK_OK(ser_encoder_run(e, w, hidden, pcm, N_SAMPLES, 0, all, LAST + 1, &err), &err);
    compare("base_unpadded", hidden, LAST, unpadded_rows, sizeof unpadded_rows / sizeof *unpadded_rows, 0,
            0.999);
    ser_encoder_work_free(&w);
    ser_encoder_close(&e);
    ser_free(pcm);
    ser_free(hidden);
}

int main(void)
{
    char folder[1024], path[1100];
    const char *shared = getenv("SER_SHARED");
    snprintf(folder, sizeof folder, "%s/models/whisper-base", shared ? shared : ".");
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    if (access(path, R_OK) != 0)
        return SKIPPED;
    check_engine(folder, SER_ENGINE_REF, SER_PRECISION_FP32, 1e-3, 0.999999, false);
    check_engine(folder, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, 1e-3, 0.999999, true);
    check_engine(folder, SER_ENGINE_ONEDNN, SER_PRECISION_AUTO, 0, 0.999, true);
    check_int8(folder);
    snprintf(path, sizeof path, "%s/config.json", folder);
    ser_bytes config;
    ser_error err = {0};
    CHECK_OK(ser_io_read(&config, path, 0, &err), &err);
    check_export(folder, (const char *)config.data);
    ser_bytes_release(&config);
    return test_summary();
}

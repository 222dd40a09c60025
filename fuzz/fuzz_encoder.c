/* config.json, a 0 byte, the tensors. What opens must also run. */
#include "base/memory.h"
#include "encoder/encoder.h"
#include "fuzz.h"

enum { N_SAMPLES = 1600, MAX_DIMS = 256 };

static void run(const ser_encoder *e)
{
    ser_encoder_info info;
    ser_encoder_get_info(e, &info);
    size_t n_samples = info.max_samples < N_SAMPLES ? info.max_samples : N_SAMPLES;
    if (info.dims > MAX_DIMS)
        return;
    ser_encoder_work *w;
    float *pcm = ser_alloc(n_samples, sizeof *pcm);
    float *hidden = ser_alloc(ser_encoder_n_frames(e, n_samples) * info.dims, sizeof *hidden);
    if (pcm && hidden && ser_encoder_work_new(&w, e, 1, NULL) == SER_OK) {
        ser_encoder_run(e, w, hidden, pcm, n_samples, 0, &info.n_loaded, 1, NULL);
        ser_encoder_work_free(&w);
    }
    ser_free(pcm);
    ser_free(hidden);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const uint8_t *end = n ? memchr(data, 0, n) : NULL;
    if (!end)
        return 0;
    size_t n_config = (size_t)(end - data) + 1;
    uint8_t *config = fuzz_copy(data, n_config), *tensors = fuzz_copy(data + n_config, n - n_config);
    ser_safetensors *file;
    ser_encoder *e;
    if (ser_safetensors_open_memory(&file, tensors, n - n_config, NULL) == SER_OK) {
        if (ser_encoder_open_tensors(&e, file, "", (const char *)config, -1, SER_ENGINE_REF,
                                     SER_PRECISION_FP32, NULL) == SER_OK)
            run(e);
        ser_encoder_close(&e);
    }
    ser_safetensors_close(&file);
    free(config);
    free(tensors);
    return 0;
}

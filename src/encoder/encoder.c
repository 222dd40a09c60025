#include "encoder/encoder.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "encoder/kind.h"
#include "io/checkpoint.h"
#include "io/file.h"
#include "io/foreign.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const ser_encoder_kind *const kinds[] = {&ser_encoder_whisper, &ser_encoder_wav2vec2};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

/* The kind that model_type names. */
static ser_status find_kind(const ser_encoder_kind **out, const char *type, ser_error *err)
{
    char supported[128] = "";
    if (!type)
        return ser_fail(err, SER_E_FORMAT, "'model_type' is missing: is it an encoder's config.json?");
    for (int i = 0; i < N_KINDS; i++)
        for (const char *const *name = kinds[i]->model_types; *name; name++) {
            if (strcmp(type, *name) == 0) {
                *out = kinds[i];
                return SER_OK;
            }
            size_t n = strlen(supported);
            snprintf(supported + n, sizeof supported - n, "%s%s", n ? ", " : "", *name);
        }
    return ser_fail(err, SER_E_UNSUPPORTED, "encoders of the type '%.40s' cannot be used: supported: %s",
                    type, supported);
}

/* false as well where that cannot be told: whoever opens it says why. */
static bool is_missing(const char *folder, const char *name)
{
    char *path = ser_io_join(folder, name);
    errno = 0;
    bool missing = path && access(path, F_OK) != 0 && errno == ENOENT;
    ser_free(path);
    return missing;
}

/* Where there is none, what lies there in its place is named. */
static ser_status read_config(json_t **config, const char *folder, ser_error *err)
{
    ser_error inner = {0};
    ser_status status = ser_config_read(config, folder, "config.json", &inner);
    ser_status foreign = SER_OK;
    if (status == SER_E_IO && is_missing(folder, "config.json"))
        foreign = ser_foreign_check_folder(folder, err);
    if (foreign != SER_OK)
        return foreign;
    if (status == SER_E_IO && is_missing(folder, "config.json") && !is_missing(folder, "."))
        return ser_fail(
            err, status,
            "config.json: there is none in this folder: name that of a whole checkpoint, such as 'ser "
            "pull openai/whisper-base' fetches");
    if (status != SER_OK && err)
        *err = inner;
    return status;
}

ser_status ser_encoder_model_type(char type[SER_MODEL_TYPE_BYTES], const char *folder, ser_error *err)
{
    json_t *config;
    const ser_encoder_kind *kind;
    ser_status status = read_config(&config, folder, err);
    if (status != SER_OK)
        return status;
    const char *name = json_string_value(json_object_get(config, "model_type"));
    if ((status = find_kind(&kind, name, err)) == SER_OK)
        snprintf(type, SER_MODEL_TYPE_BYTES, "%s", name);
    else
        ser_fail_within(err, status, "config.json: ");
    json_decref(config);
    return status;
}

static size_t count_parameters(const ser_encoder_plan *p)
{
    size_t n_parameters = 0, dims[SER_MODULE_DIMS];
    char name[96];
    for (size_t k = 0; k < p->n_specs * SER_MODULE_TENSORS; k++) {
        int n_dims =
            ser_module_tensor(&p->specs[k / SER_MODULE_TENSORS], (int)(k % SER_MODULE_TENSORS), name, dims);
        size_t n = n_dims > 0;
        for (int i = 0; i < n_dims; i++)
            n *= dims[i];
        n_parameters += n;
    }
    return n_parameters;
}

static ser_status make_plan(ser_encoder_plan *p, const ser_encoder_kind **kind, const json_t *config,
                            int last_layer, ser_error *err)
{
    const char *type = json_string_value(json_object_get(config, "model_type"));
    ser_status status = find_kind(kind, type, err);
    if (status == SER_OK) {
        snprintf(p->info.model_type, sizeof p->info.model_type, "%s", type);
        status = (*kind)->plan(p, config, last_layer, err);
    }
    if (status != SER_OK)
        return status;
    p->info.n_parameters = count_parameters(p);
    return SER_OK;
}

static ser_status read_preprocessor(ser_encoder_plan *p, const ser_encoder_kind *kind, const char *folder,
                                    ser_error *err)
{
    json_t *preprocessor;
    const char *name;
    ser_status status = ser_config_read_inputs(&preprocessor, &name, folder, err);
    if (status == SER_OK && preprocessor && (status = kind->read_inputs(p, preprocessor, err)) != SER_OK)
        ser_fail_within(err, status, "%s: ", name);
    json_decref(preprocessor);
    return status;
}

ser_status ser_encoder_plan_folder(ser_encoder_plan *plan, const ser_encoder_kind **kind, const char *folder,
                                   int last_layer, ser_error *err)
{
    json_t *config;
    ser_status status = read_config(&config, folder, err);
    if (status != SER_OK)
        return status;
    status = make_plan(plan, kind, config, last_layer, err);
    json_decref(config);
    if (status != SER_OK)
        return ser_fail_within(err, status, "config.json: ");
    return read_preprocessor(plan, *kind, folder, err);
}

ser_status ser_encoder_plan_config(ser_encoder_plan *plan, const ser_encoder_kind **kind,
                                   const char *config_json, int last_layer, ser_error *err)
{
    json_t *config;
    ser_status status = ser_config_parse(&config, config_json, err);
    if (status == SER_OK)
        status = make_plan(plan, kind, config, last_layer, err);
    json_decref(config);
    return status;
}

/* What precision AUTO means: the engine's choice, but weights that come in 8 bits are not blown up to floats
 * where it has nothing smaller, which would take four times the memory and twice the time. */
static ser_status choose_ops(ser_encoder *e, const ser_weights *w, ser_engine engine, ser_precision precision,
                             ser_error *err)
{
    const ser_encoder_plan *p = &e->plan;
    ser_status status = ser_nn_ops_new(&e->ops, engine, precision, err);
    if (status != SER_OK || precision != SER_PRECISION_AUTO || engine == SER_ENGINE_REF ||
        ser_nn_ops_precision(e->ops) != SER_PRECISION_FP32)
        return status;
    bool in_8_bits = false;
    for (size_t i = 0; i < p->n_specs && !in_8_bits; i++) {
        const ser_tensor *t = ser_weights_find(w, &p->specs[i], 0);
        in_8_bits = t && t->dtype == SER_I8;
    }
    if (!in_8_bits)
        return SER_OK;
    ser_nn_ops_free(&e->ops);
    return ser_nn_ops_new(&e->ops, engine, SER_PRECISION_INT8, err);
}

static ser_status load(ser_encoder *e, const ser_safetensors *file, const char *prefix, ser_engine engine,
                       ser_precision precision, ser_error *err)
{
    const ser_encoder_plan *p = &e->plan;
    ser_weights w;
    ser_status status;
    if ((status = ser_weights_init(&w, file, prefix, p->specs, err)) != SER_OK ||
        (status = ser_modules_check(p->specs, p->n_specs, &w, err)) != SER_OK ||
        (status = choose_ops(e, &w, engine, precision, err)) != SER_OK)
        return status;
    e->modules = ser_alloc(p->n_specs, sizeof *e->modules);
    if (!e->modules)
        return ser_fail_nomem(err);
    status = ser_modules_load(e->modules, p->specs, p->n_specs, &w, e->ops, err);
    return status == SER_OK ? e->kind->init(e, err) : status;
}

ser_status ser_encoder_open(ser_encoder **out, const char *folder, int last_layer, ser_engine engine,
                            ser_precision precision, ser_error *err)
{
    *out = NULL;
    const char *name;
    ser_safetensors *file = NULL;
    ser_encoder *e = ser_alloc(1, sizeof *e);
    if (!e)
        return ser_fail_nomem(err);
    ser_status status = ser_encoder_plan_folder(&e->plan, &e->kind, folder, last_layer, err);
    if (status == SER_OK)
        status = ser_checkpoint_open(&file, &name, folder, err);
    if (status == SER_OK && !(e->folder = ser_strdup(folder)))
        status = ser_fail_nomem(err);
    if (status == SER_OK && (status = load(e, file, "", engine, precision, err)) != SER_OK)
        ser_fail_within(err, status, "%s: ", name);
    ser_safetensors_close(&file);
    if (status == SER_OK)
        *out = e;
    else
        ser_encoder_close(&e);
    return status;
}

ser_status ser_encoder_open_tensors(ser_encoder **out, const ser_safetensors *file, const char *prefix,
                                    const char *config_json, int last_layer, ser_engine engine,
                                    ser_precision precision, ser_error *err)
{
    *out = NULL;
    ser_encoder *e = ser_alloc(1, sizeof *e);
    if (!e)
        return ser_fail_nomem(err);
    ser_status status = ser_encoder_plan_config(&e->plan, &e->kind, config_json, last_layer, err);
    if (status == SER_OK)
        status = load(e, file, prefix, engine, precision, err);
    if (status == SER_OK)
        *out = e;
    else
        ser_encoder_close(&e);
    return status;
}

void ser_encoder_close(ser_encoder **encoder)
{
    ser_encoder *e = *encoder;
    if (!e)
        return;
    if (e->kind)
        e->kind->release(e);
    ser_modules_release(e->modules, e->plan.n_specs);
    ser_free(e->modules);
    ser_free(e->plan.specs);
    ser_nn_ops_free(&e->ops);
    ser_free(e->folder);
    ser_free(e);
    *encoder = NULL;
}

void ser_encoder_get_info(const ser_encoder *e, ser_encoder_info *info)
{
    *info = e->plan.info;
}

ser_precision ser_encoder_precision(const ser_encoder *e)
{
    return ser_nn_ops_precision(e->ops);
}

/* Adds a file to the hash. */
static ser_status hash_file(ser_sha256 *h, const char *folder, const char *name, ser_error *err)
{
    ser_bytes bytes = {0};
    char *path = ser_io_join(folder, name);
    ser_status status = path ? ser_io_map(&bytes, path, 0, err) : ser_fail_nomem(err);
    if (status == SER_OK)
        ser_sha256_add(h, bytes.data, bytes.n);
    ser_bytes_release(&bytes);
    ser_free(path);
    return status;
}

ser_status ser_encoder_sha256(const ser_encoder *e, char hex[65], ser_error *err)
{
    if (!e->folder)
        return ser_fail(err, SER_E_UNSUPPORTED, "this encoder came from no file of its own: it has no hash");
    char **names;
    size_t n_names;
    ser_sha256 h;
    ser_sha256_init(&h);
    ser_status status = ser_checkpoint_files(&names, &n_names, e->folder, err);
    for (size_t i = 0; i < n_names && status == SER_OK; i++)
        status = hash_file(&h, e->folder, names[i], err);
    ser_sha256_finish(&h, hex);
    ser_io_free_list(names, n_names);
    return status;
}

ser_status ser_encoder_work_new(ser_encoder_work **out, const ser_encoder *e, int n_threads, ser_error *err)
{
    *out = NULL;
    ser_encoder_work *w = ser_alloc(1, sizeof *w);
    if (!w)
        return ser_fail_nomem(err);
    w->encoder = e;
    ser_status status = ser_nn_work_new(&w->nn, e->ops, n_threads, err);
    if (status == SER_OK)
        status = e->kind->work_init(w, err);
    if (status == SER_OK)
        *out = w;
    else
        ser_encoder_work_free(&w);
    return status;
}

void ser_encoder_work_free(ser_encoder_work **work)
{
    ser_encoder_work *w = *work;
    if (!w)
        return;
    w->encoder->kind->work_release(w);
    ser_nn_work_free(&w->nn);
    ser_free(w->padded);
    ser_free(w);
    *work = NULL;
}

size_t ser_encoder_n_frames(const ser_encoder *e, size_t n_samples)
{
    return e->kind->n_frames(e, n_samples);
}

static ser_status check_run(const ser_encoder_info *info, size_t n_samples, size_t pad_samples,
                            const int *wanted, size_t n_wanted, ser_error *err)
{
    if (n_samples > info->max_samples || pad_samples > info->max_samples)
        return ser_fail(err, SER_E_ARG, "%zu samples in one window: this encoder takes at most %zu",
                        n_samples > pad_samples ? n_samples : pad_samples, info->max_samples);
    for (size_t i = 0; i < n_wanted; i++)
        if (wanted[i] < 0 || wanted[i] > info->n_loaded)
            return ser_fail(err, SER_E_ARG, "hidden state %d: 0 to %d can be computed", wanted[i],
                            info->n_loaded);
    return SER_OK;
}

/* pcm with silence behind it, up to n_padded samples. */
static const float *pad(ser_encoder_work *w, const float *pcm, size_t n_samples, size_t n_padded)
{
    if (!w->padded)
        w->padded = ser_alloc(w->encoder->plan.info.max_samples, sizeof *w->padded);
    if (w->padded) {
        memcpy(w->padded, pcm, n_samples * sizeof *pcm);
        memset(w->padded + n_samples, 0, (n_padded - n_samples) * sizeof *pcm);
    }
    return w->padded;
}

/* Weights that are numbers may still be so large that what comes of them is none. */
static ser_status check_hidden(const ser_encoder *e, const float *hidden, size_t n_samples, size_t first,
                               size_t end, size_t n_wanted, ser_error *err)
{
    size_t n_frames = ser_encoder_n_frames(e, n_samples), n = n_wanted * e->plan.info.dims;
    if (end < n_frames)
        n_frames = end;
    if (first >= n_frames || ser_values_are_finite(hidden + first * n, (n_frames - first) * n))
        return SER_OK;
    return ser_fail(
        err, SER_E_FORMAT,
        "the encoder's hidden states are no finite numbers: its weights are damaged, or too large "
        "for what it is given");
}

ser_status ser_encoder_run_frames(const ser_encoder *e, ser_encoder_work *w, float *hidden, const float *pcm,
                                  size_t n_samples, size_t pad_samples, size_t first, size_t end,
                                  const int *wanted, size_t n_wanted, ser_error *err)
{
    ser_status status = check_run(&e->plan.info, n_samples, pad_samples, wanted, n_wanted, err);
    if (status != SER_OK)
        return status;
    w->n_sound = n_samples;
    w->first = first;
    w->end = end;
    if (pad_samples > n_samples) {
        pcm = pad(w, pcm, n_samples, pad_samples);
        if (!pcm)
            return ser_fail_nomem(err);
        n_samples = pad_samples;
    }
    if (!ser_encoder_n_frames(e, n_samples))
        return ser_fail(err, SER_E_ARG, "%zu samples are too few for a frame", n_samples);
    status = e->kind->run(e, w, hidden, pcm, n_samples, wanted, n_wanted, err);
    return status == SER_OK ? check_hidden(e, hidden, n_samples, first, end, n_wanted, err) : status;
}

ser_status ser_encoder_run(const ser_encoder *e, ser_encoder_work *w, float *hidden, const float *pcm,
                           size_t n_samples, size_t pad_samples, const int *wanted, size_t n_wanted,
                           ser_error *err)
{
    return ser_encoder_run_frames(e, w, hidden, pcm, n_samples, pad_samples, 0, SIZE_MAX, wanted, n_wanted,
                                  err);
}

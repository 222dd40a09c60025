#include "base/memory.h"
#include "encoder/kind.h"
#include "io/checkpoint.h"
#include "io/file.h"
#include "io/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64, MAX_EXPORT_NAME = 256, MAX_PREFIX = 160, I8_MAX = 127 };

/* Everything lies in one piece of memory, the array of tensors first, so that freeing it is one call. */
typedef struct export_sheet {
    unsigned char *memory;
    size_t n_bytes;
    ser_tensor *tensors;
    size_t n_tensors;
    const char *prefix;
} export_sheet;

static void *take(export_sheet *s, size_t n_bytes)
{
    void *p = s->memory ? s->memory + s->n_bytes : NULL;
    s->n_bytes += (n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return p;
}

/* Room for one more tensor; returns where its data goes. */
static void *add_tensor(export_sheet *s, const char *name, const char *suffix, ser_dtype dtype,
                        const size_t *dims, int n_dims)
{
    ser_tensor t = {.dtype = dtype, .n_dims = n_dims, .n_elements = 1};
    for (int i = 0; i < n_dims; i++)
        t.n_elements *= t.dims[i] = dims[i];
    t.n_bytes = t.n_elements * ser_dtype_size(dtype);
    char *full_name = take(s, MAX_EXPORT_NAME);
    void *data = take(s, t.n_bytes);
    if (s->memory) {
        snprintf(full_name, MAX_EXPORT_NAME, "%s%s%s", s->prefix, name, suffix);
        t.name = full_name;
        t.data = data;
        s->tensors[s->n_tensors] = t;
    }
    s->n_tensors++;
    return data;
}

/* To the nearest, ties to even; false: beyond what 16 bits hold. */
static bool f16_of(uint16_t *out, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    float magnitude = fabsf(x);
    if (!(magnitude < 65520))
        return false;
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    if (magnitude < 0x1p-14f) { /* subnormal: a multiple of 2^-24 */
        *out = (uint16_t)(sign | (uint16_t)rintf(magnitude * 0x1p24f));
        return true;
    }
    uint32_t rounded = (bits & 0x7fffffff) + 0xfff + (bits >> 13 & 1);
    *out = (uint16_t)(sign | (uint16_t)((rounded - (112u << 23)) >> 13));
    return true;
}

static ser_status fail_value(const ser_tensor *t, ser_error *err)
{
    return ser_fail(err, SER_E_FORMAT,
                    "tensor '%s' has values that are too large or no numbers: it cannot be exported",
                    t->name);
}

static bool row_to_f16(uint16_t *out, const float *row, size_t n)
{
    bool fits = true;
    for (size_t k = 0; k < n && fits; k++)
        fits = f16_of(&out[k], row[k]);
    return fits;
}

/* The row's largest magnitude becomes 127. */
static bool row_to_i8(int8_t *out, float *scale, const float *row, size_t n)
{
    float largest = 0;
    for (size_t k = 0; k < n; k++) {
        if (!isfinite(row[k]))
            return false;
        largest = fmaxf(largest, fabsf(row[k]));
    }
    *scale = largest > 1e-30f ? largest / I8_MAX : 1;
    for (size_t k = 0; k < n; k++)
        out[k] = (int8_t)rintf(row[k] / *scale);
    return true;
}

/* t as I8 with scales, or as F16 where those are NULL. */
static ser_status convert(void *data, float *scales, const ser_weights *w, const ser_tensor *t,
                          ser_error *err)
{
    size_t n_rows = t->dims[0], n = t->n_elements / n_rows;
    float *row = ser_alloc(n, sizeof *row);
    ser_status status = row ? SER_OK : ser_fail_nomem(err);
    for (size_t i = 0; i < n_rows && status == SER_OK; i++) {
        status = ser_weights_read(row, w, t, i * n, n, err);
        if (status == SER_OK && !(scales ? row_to_i8((int8_t *)data + i * n, &scales[i], row, n)
                                         : row_to_f16((uint16_t *)data + i * n, row, n)))
            status = fail_value(t, err);
    }
    ser_free(row);
    return status;
}

static ser_status export_tensor(export_sheet *s, const ser_module_spec *spec, int i, const ser_weights *w,
                                ser_error *err)
{
    char name[96];
    size_t dims[SER_MODULE_DIMS];
    int n_dims = ser_module_tensor(spec, i, name, dims);
    if (n_dims == 0)
        return SER_OK;
    bool is_matrix = i == 0 && (spec->kind == SER_MODULE_LINEAR || spec->kind == SER_MODULE_CONV);
    void *data = add_tensor(s, name, "", is_matrix ? SER_I8 : SER_F16, dims, n_dims);
    float *scales = is_matrix ? add_tensor(s, name, ".scale", SER_F32, dims, 1) : NULL;
    return s->memory ? convert(data, scales, w, ser_weights_find(w, spec, i), err) : SER_OK;
}

/* With s->memory NULL, s->n_bytes becomes what it must hold. */
static ser_status export_modules(export_sheet *s, const ser_encoder_plan *p, const ser_weights *w,
                                 ser_error *err)
{
    ser_status status = SER_OK;
    s->n_bytes = s->n_tensors = 0;
    s->tensors = take(s, p->n_specs * SER_MODULE_TENSORS * 2 * sizeof *s->tensors);
    for (size_t k = 0; k < p->n_specs * SER_MODULE_TENSORS && status == SER_OK; k++)
        status = export_tensor(s, &p->specs[k / SER_MODULE_TENSORS], (int)(k % SER_MODULE_TENSORS), w, err);
    return status;
}

static ser_status export_file(export_sheet *s, const ser_encoder_plan *p, const ser_safetensors *file,
                              ser_error *err)
{
    ser_weights w;
    ser_status status = ser_weights_init(&w, file, "", p->specs, err);
    if (status == SER_OK)
        status = ser_modules_check(p->specs, p->n_specs, &w, err);
    if (status == SER_OK)
        status = export_modules(s, p, &w, err);
    if (status != SER_OK)
        return status;
    s->memory = ser_alloc(s->n_bytes, 1);
    return s->memory ? export_modules(s, p, &w, err) : ser_fail_nomem(err);
}

ser_status ser_encoder_export(ser_tensor **tensors, size_t *n_tensors, const char *folder, int last_layer,
                              const char *prefix, ser_error *err)
{
    *tensors = NULL;
    *n_tensors = 0;
    if (strlen(prefix) > MAX_PREFIX)
        return ser_fail(err, SER_E_ARG, "a prefix of %zu characters: at most %d", strlen(prefix),
                        (int)MAX_PREFIX);
    ser_encoder_plan plan = {0};
    const ser_encoder_kind *kind;
    const char *name;
    ser_safetensors *file = NULL;
    export_sheet s = {.prefix = prefix};
    ser_status status = ser_encoder_plan_folder(&plan, &kind, folder, last_layer, err);
    if (status == SER_OK)
        status = ser_checkpoint_open(&file, &name, folder, err);
    if (status == SER_OK)
        status = export_file(&s, &plan, file, err);
    ser_safetensors_close(&file);
    ser_free(plan.specs);
    if (status != SER_OK) {
        ser_free(s.memory);
        return status;
    }
    *tensors = s.tensors;
    *n_tensors = s.n_tensors;
    return SER_OK;
}

void ser_encoder_free_export(ser_tensor *tensors, size_t n_tensors)
{
    (void)n_tensors;
    ser_free(tensors);
}

/* config.json with one setting more. */
static ser_status config_with(char **text, const char *folder, const char *key, json_t *value, ser_error *err)
{
    json_t *config;
    ser_status status = ser_config_read(&config, folder, "config.json", err);
    if (status != SER_OK)
        return status;
    char *dumped = json_object_set(config, key, value) == 0 ? ser_json_dump(config, JSON_COMPACT) : NULL;
    if (!dumped || !(*text = ser_strdup(dumped)))
        status = ser_fail_nomem(err);
    free(dumped);
    json_decref(config);
    return status;
}

static ser_status config_as_it_is(char **text, const char *folder, ser_error *err)
{
    ser_bytes bytes = {0};
    char *path = ser_io_join(folder, "config.json");
    ser_status status = path ? ser_io_read(&bytes, path, SER_MAX_CONFIG_BYTES, err) : ser_fail_nomem(err);
    if (status == SER_OK && !(*text = ser_strndup((const char *)bytes.data, bytes.n)))
        status = ser_fail_nomem(err);
    ser_bytes_release(&bytes);
    ser_free(path);
    return status == SER_OK ? status : ser_fail_within(err, status, "config.json: ");
}

ser_status ser_encoder_export_config(char **text, const char *folder, ser_error *err)
{
    static const char key[] = "do_normalize";
    json_t *preprocessor = NULL;
    *text = NULL;
    const char *name;
    ser_status status = ser_config_read_inputs(&preprocessor, &name, folder, err);
    json_t *value = json_object_get(preprocessor, key);
    if (status == SER_OK)
        status = json_is_boolean(value) ? config_with(text, folder, key, value, err)
                                        : config_as_it_is(text, folder, err);
    json_decref(preprocessor);
    return status;
}

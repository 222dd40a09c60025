#include "encoder/modules.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/threads.h"
#include "base/vector.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { MAX_NAME = 256, MAX_NAMES_IN_MESSAGE = 3 };
enum { WEIGHT, BIAS, MAGNITUDE };

int ser_module_tensor(const ser_module_spec *spec, int i, char name[96], size_t dims[SER_MODULE_DIMS])
{
    static const char *const plain[] = {".weight", ".bias", ""}, *const normed[] = {".weight_v", ".bias",
                                                                                    ".weight_g"};
    if ((i == BIAS && !spec->has_bias) || (i == MAGNITUDE && !spec->weight_norm))
        return 0;
    bool is_bare = spec->kind == SER_MODULE_HEADS;
    snprintf(name, 96, "%s%s", spec->name, is_bare ? "" : (spec->weight_norm ? normed : plain)[i]);
    memcpy(dims, (size_t[]){spec->n_out, spec->n_in, spec->kernel, 1}, SER_MODULE_DIMS * sizeof *dims);
    if (is_bare || i == MAGNITUDE) {
        memcpy(dims, (size_t[]){1, is_bare ? spec->n_out : 1, is_bare ? 1 : spec->kernel}, 3 * sizeof *dims);
        return is_bare ? 4 : 3;
    }
    if (i == BIAS || spec->kind == SER_MODULE_NORM)
        return 1;
    return spec->kernel ? 3 : 2;
}

static const ser_tensor *find(const ser_weights *w, const char *name, const char *suffix)
{
    char full[MAX_NAME];
    int n = snprintf(full, sizeof full, "%s%s%s", w->prefix, name, suffix);
    return n > 0 && n < MAX_NAME ? ser_safetensors_find(w->file, full) : NULL;
}

const ser_tensor *ser_weights_find(const ser_weights *w, const ser_module_spec *spec, int i)
{
    char name[96];
    size_t dims[SER_MODULE_DIMS];
    if (ser_module_tensor(spec, i, name, dims) == 0)
        return NULL;
    const ser_tensor *t = find(w, name, "");
    if (!t && spec->weight_norm && i != BIAS)
        t = find(w, spec->name,
                 i == MAGNITUDE ? ".parametrizations.weight.original0"
                                : ".parametrizations.weight.original1");
    return t;
}

/* name: the weight of the first module. *w is complete where one was found and no more. */
static ser_status search(ser_weights *w, const ser_safetensors *file, const char *prefix,
                         const ser_module_spec specs[2], const char *name, ser_error *err)
{
    size_t n_prefix = strlen(prefix), n_name = strlen(name);
    ser_weights other = {.file = file};
    *w = other;
    for (size_t i = 0; i < ser_safetensors_n(file); i++) {
        const char *found = ser_safetensors_at(file, i)->name;
        size_t n = strlen(found), n_other = n - n_name;
        if (n <= n_name || strcmp(found + n_other, name) != 0 || found[n_other - 1] != '.' ||
            n_other <= n_prefix || n_other >= sizeof other.prefix || strncmp(found, prefix, n_prefix) != 0)
            continue;
        snprintf(other.prefix, sizeof other.prefix, "%.*s", (int)n_other, found);
        if (!ser_weights_find(&other, &specs[1], WEIGHT))
            continue;
        if (*w->prefix)
            return ser_fail(err, SER_E_UNSUPPORTED,
                            "it holds more than one encoder, '%.60s' and '%.60s': save one alone", w->prefix,
                            other.prefix);
        *w = other;
    }
    return *w->prefix ? SER_OK
                      : ser_fail(err, SER_E_FORMAT,
                                 "tensor '%s%s' is missing: it holds no encoder of this kind", prefix, name);
}

/* The names that transformers writes for a whole model, for its bare variant, and for the encoder alone. */
ser_status ser_weights_init(ser_weights *w, const ser_safetensors *file, const char *prefix,
                            const ser_module_spec specs[2], ser_error *err)
{
    static const char *const usual[] = {"model.encoder.", "encoder.",       "", "hubert.", "wav2vec2.",
                                        "wavlm.",         "data2vec_audio."};
    static const char openai[] = "encoder.blocks.0.attn.query.weight"; /* openai/whisper, whisper/model.py */
    char name[96];
    size_t dims[SER_MODULE_DIMS];
    if (ser_safetensors_find(file, openai))
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "it is Whisper as OpenAI keeps it: fetch the same model as transformers keeps it, "
                        "such as openai/whisper-base (ser pull)");
    ser_module_tensor(&specs[0], WEIGHT, name, dims);
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        *w = (ser_weights){.file = file};
        int n = snprintf(w->prefix, sizeof w->prefix, "%s%s", prefix, usual[i]);
        if (n >= 0 && n < (int)sizeof w->prefix && find(w, name, ""))
            return SER_OK;
    }
    return search(w, file, prefix, specs, name, err);
}

static bool holds_numbers(ser_dtype t)
{
    return t == SER_F32 || t == SER_F16 || t == SER_BF16 || t == SER_F64;
}

static void append_shape(ser_text *t, const size_t *dims, int n_dims)
{
    for (int i = 0; i < n_dims; i++)
        ser_text_appendf(t, "%s%zu", i ? ", " : "(", dims[i]);
    ser_text_append(t, n_dims ? ")" : "()");
}

static ser_status fail_shape(const ser_tensor *t, const size_t *dims, int n_dims, ser_error *err)
{
    ser_text is = {0}, wanted = {0};
    append_shape(&is, t->dims, t->n_dims);
    append_shape(&wanted, dims, n_dims);
    ser_status status =
        is.failed || wanted.failed
            ? ser_fail_nomem(err)
            : ser_fail(err, SER_E_FORMAT,
                       "tensor '%s' has the shape %s, and config.json asks for %s: they belong to "
                       "different models",
                       t->name, is.s, wanted.s);
    ser_text_release(&is);
    ser_text_release(&wanted);
    return status;
}

static ser_status check_tensor(const ser_tensor *t, const size_t *dims, int n_dims, ser_error *err)
{
    bool same = t->n_dims == n_dims;
    for (int i = 0; same && i < n_dims; i++)
        same = t->dims[i] == dims[i];
    return same ? SER_OK : fail_shape(t, dims, n_dims, err);
}

static ser_status check_type(const ser_module_spec *spec, int i, const ser_tensor *t, const ser_tensor *scale,
                             ser_error *err)
{
    if (holds_numbers(t->dtype))
        return SER_OK;
    bool may_be_quantised = i == WEIGHT && (spec->kind == SER_MODULE_LINEAR || spec->kind == SER_MODULE_CONV);
    if (t->dtype != SER_I8 || !may_be_quantised)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "tensor '%s' has a type that cannot be used here: convert it to F32, F16 or BF16",
                        t->name);
    if (!scale || !holds_numbers(scale->dtype))
        return ser_fail(err, SER_E_FORMAT, "tensor '%s' has 8 bits and no scales beside it: fetch it again",
                        t->name);
    return check_tensor(scale, &spec->n_out, 1, err);
}

ser_status ser_modules_check(const ser_module_spec *specs, size_t n, const ser_weights *w, ser_error *err)
{
    ser_text missing = {0};
    size_t n_missing = 0;
    ser_status status = SER_OK;
    for (size_t k = 0; k < n * SER_MODULE_TENSORS && status == SER_OK; k++) {
        const ser_module_spec *spec = &specs[k / SER_MODULE_TENSORS];
        int i = (int)(k % SER_MODULE_TENSORS);
        char name[96];
        size_t dims[SER_MODULE_DIMS];
        int n_dims = ser_module_tensor(spec, i, name, dims);
        if (n_dims == 0)
            continue;
        const ser_tensor *t = ser_weights_find(w, spec, i);
        if (!t) {
            if (n_missing++ < MAX_NAMES_IN_MESSAGE)
                ser_text_appendf(&missing, "%s'%s%s'", n_missing > 1 ? ", " : "", w->prefix, name);
            continue;
        }
        status = check_tensor(t, dims, n_dims, err);
        if (status == SER_OK)
            status = check_type(spec, i, t, find(w, name, ".scale"), err);
    }
    if (status == SER_OK && missing.failed)
        status = ser_fail_nomem(err);
    else if (status == SER_OK && n_missing)
        status = ser_fail(err, SER_E_FORMAT, "%zu tensors are missing: %s%s: fetch it again", n_missing,
                          missing.s, n_missing > MAX_NAMES_IN_MESSAGE ? ", ..." : "");
    ser_text_release(&missing);
    return status;
}

/* Infinities and NaN have the highest exponent. */
SER_FAST_STATIC(uint32_t, highest_exponent, (const float *x, size_t n), (x, n))
{
    uint32_t highest = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= 0x7f800000;
        highest = bits > highest ? bits : highest;
    }
    return highest;
}

bool ser_values_are_finite(const float *x, size_t n)
{
    return highest_exponent(x, n) < 0x7f800000;
}

static ser_status check_values(const float *x, size_t n, const ser_tensor *t, ser_error *err)
{
    return ser_values_are_finite(x, n)
               ? SER_OK
               : ser_fail(
                     err, SER_E_FORMAT,
                     "tensor '%s' holds what is no finite number: it was saved by a training that failed, "
                     "or is damaged",
                     t->name);
}

/* Of a whole tensor that is read elsewhere. */
static ser_status check_weight(const ser_tensor *t, ser_error *err)
{
    enum { AT_ONCE = 4096 };
    float some[AT_ONCE];
    ser_status status = SER_OK;
    for (size_t i = 0; i < t->n_elements && t->dtype != SER_I8 && status == SER_OK; i += AT_ONCE) {
        size_t n = t->n_elements - i < AT_ONCE ? t->n_elements - i : AT_ONCE;
        status = ser_tensor_to_f32(some, t, i, n, err);
        if (status == SER_OK)
            status = check_values(some, n, t, err);
    }
    return status;
}

ser_status ser_weights_read(float *out, const ser_weights *w, const ser_tensor *t, size_t first, size_t n,
                            ser_error *err)
{
    ser_status status = ser_tensor_to_f32(out, t, first, n, err);
    if (status == SER_OK && t->dtype == SER_I8) {
        float scale = 0;
        const ser_tensor *scales = find(w, t->name + strlen(w->prefix), ".scale");
        status = ser_tensor_to_f32(&scale, scales, first / (t->n_elements / t->dims[0]), 1, err);
        for (size_t i = 0; i < n; i++)
            out[i] *= scale;
    }
    return status == SER_OK ? check_values(out, n, t, err) : status;
}

/* A whole tensor as floats; *out is the caller's. NULL where t is NULL. */
static ser_status read_whole(float **out, const ser_tensor *t, ser_error *err)
{
    *out = NULL;
    if (!t)
        return SER_OK;
    *out = ser_alloc(t->n_elements, sizeof **out);
    ser_status status = *out ? ser_tensor_to_f32(*out, t, 0, t->n_elements, err) : ser_fail_nomem(err);
    return status == SER_OK ? check_values(*out, t->n_elements, t, err) : status;
}

typedef struct loading {
    ser_module *modules;
    const ser_module_spec *specs;
    const ser_weights *w;
    const ser_nn_ops *ops;
} loading;

/* LINEAR and CONV. */
static ser_status load_product(ser_module *m, const loading *l, const ser_module_spec *spec,
                               const ser_tensor *weight, const ser_tensor *bias_tensor, ser_error *err)
{
    float *bias = NULL, *scales = NULL;
    ser_status status = check_weight(weight, err);
    if (status == SER_OK)
        status = read_whole(&bias, bias_tensor, err);
    if (status == SER_OK && weight->dtype == SER_I8)
        status = read_whole(&scales, find(l->w, spec->name, ".weight.scale"), err);
    if (status == SER_OK && spec->kind == SER_MODULE_CONV) {
        ser_nn_conv_shape shape = {spec->n_out, spec->n_in, spec->kernel, spec->stride, spec->padding};
        status = ser_nn_conv1d_init(&m->conv, l->ops, weight, scales, bias, &shape, spec->act, err);
    } else if (status == SER_OK) {
        status = (spec->exact ? ser_nn_linear_new_exact : ser_nn_linear_new)(
            &m->linear, l->ops, weight, scales, bias, spec->n_out, spec->n_in, spec->act, err);
    }
    ser_free(bias);
    ser_free(scales);
    return status;
}

/* torch.nn.utils.weight_norm with dim 2: w[o,i,j] becomes magnitude[j] * w[o,i,j] / |w[:,:,j]|. */
static ser_status apply_weight_norm(float *w, const float *magnitude, size_t n, size_t kernel, ser_error *err)
{
    double *squares = ser_alloc(kernel, sizeof *squares);
    if (!squares)
        return ser_fail_nomem(err);
    for (size_t k = 0; k < n; k++)
        squares[k % kernel] += (double)w[k] * (double)w[k];
    for (size_t j = 0; j < kernel; j++)
        squares[j] = (double)magnitude[j] / sqrt(squares[j]);
    for (size_t k = 0; k < n; k++)
        w[k] = (float)((double)w[k] * squares[k % kernel]);
    ser_free(squares);
    return SER_OK;
}

ser_status ser_weights_read_positional(float **out, const ser_weights *w, const ser_module_spec *spec,
                                       ser_error *err)
{
    float *magnitude = NULL;
    const ser_tensor *weight = ser_weights_find(w, spec, WEIGHT);
    ser_status status = read_whole(out, weight, err);
    if (status == SER_OK)
        status = read_whole(&magnitude, ser_weights_find(w, spec, MAGNITUDE), err);
    if (status == SER_OK && magnitude)
        status = apply_weight_norm(*out, magnitude, weight->n_elements, spec->kernel, err);
    ser_free(magnitude);
    return status;
}

static ser_status load_positional(ser_module *m, const loading *l, const ser_module_spec *spec,
                                  const ser_tensor *bias_tensor, ser_error *err)
{
    float *w = NULL, *bias = NULL;
    ser_status status = ser_weights_read_positional(&w, l->w, spec, err);
    if (status == SER_OK)
        status = read_whole(&bias, bias_tensor, err);
    if (status == SER_OK)
        status = ser_nn_grouped_conv_init(&m->grouped, l->ops, w, bias, spec->n_out, spec->n_out / spec->n_in,
                                          spec->kernel, err);
    ser_free(w);
    ser_free(bias);
    return status;
}

static ser_status load_module(void *context, size_t item, int worker, ser_error *err)
{
    (void)worker;
    const loading *l = context;
    const ser_module_spec *spec = &l->specs[item];
    ser_module *m = &l->modules[item];
    const ser_tensor *weight = ser_weights_find(l->w, spec, WEIGHT);
    const ser_tensor *bias = ser_weights_find(l->w, spec, BIAS);
    ser_status status;
    if (spec->kind == SER_MODULE_LINEAR || spec->kind == SER_MODULE_CONV) {
        status = load_product(m, l, spec, weight, bias, err);
    } else if (spec->kind == SER_MODULE_POSITIONAL) {
        status = load_positional(m, l, spec, bias, err);
    } else {
        status = read_whole(&m->weight, weight, err);
        if (status == SER_OK)
            status = read_whole(&m->bias, bias, err);
    }
    ser_safetensors_forget(l->w->file, weight);
    return status;
}

ser_status ser_modules_load(ser_module *modules, const ser_module_spec *specs, size_t n, const ser_weights *w,
                            const ser_nn_ops *ops, ser_error *err)
{
    loading l = {.modules = modules, .specs = specs, .w = w, .ops = ops};
    return ser_parallel_for(0, n, load_module, &l, err);
}

void ser_modules_release(ser_module *modules, size_t n)
{
    for (size_t i = 0; modules && i < n; i++) {
        ser_nn_linear_free(&modules[i].linear);
        ser_nn_conv1d_release(&modules[i].conv);
        ser_nn_grouped_conv_release(&modules[i].grouped);
        ser_free(modules[i].weight);
        ser_free(modules[i].bias);
    }
}

#include "model/timnet.h"
#include "base/memory.h"
#include "base/random.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const stream_names[2] = {"forward", "backward"};

enum { MAX_SIZE = 65535, MAX_DILATIONS = 20 };

ser_timnet_shape ser_timnet_default_shape(size_t n_in, size_t n_labels)
{
    return (ser_timnet_shape){.n_in = n_in,
                              .n_labels = n_labels,
                              .n_filters = 128,
                              .kernel_size = 3,
                              .n_dilations = 8,
                              .n_stacks = 3,
                              .activation = SER_RELU,
                              .dropout = 0.4};
}

size_t ser_timnet_n_blocks(const ser_timnet *net)
{
    return net->shape.n_dilations * net->shape.n_stacks;
}

static ser_status check_shape(const ser_timnet_shape *s, ser_error *err)
{
    const struct {
        const char *name;
        size_t value, lowest, highest;
    } sizes[] = {
        {"the features' width", s->n_in, 1, MAX_SIZE},
        {"the number of emotions", s->n_labels, 2, SER_MAX_LABELS},
        {"filter size", s->n_filters, 1, MAX_SIZE},
        {"kernel size", s->kernel_size, 1, 64},
        {"dilation size", s->n_dilations, 1, MAX_DILATIONS},
        {"stack size", s->n_stacks, 1, 64},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].value < sizes[i].lowest || sizes[i].value > sizes[i].highest)
            return ser_fail(err, SER_E_ARG, "%s is %zu: choose %zu to %zu", sizes[i].name, sizes[i].value,
                            sizes[i].lowest, sizes[i].highest);
    if (!(s->dropout >= 0 && s->dropout < 1))
        return ser_fail(err, SER_E_ARG, "dropout is %g: choose 0 or more, and less than 1", s->dropout);
    return SER_OK;
}

/* ---- the table of parameters ---- */

/* Appends an entry of up to three sizes (0: none) and returns its offset. */
static size_t SER_PRINTF(5, 6)
    add(ser_timnet *net, size_t size_1, size_t size_2, size_t size_3, const char *format, ...)
{
    ser_timnet_param *p = &net->params[net->n_params++];
    va_list args;
    va_start(args, format);
    vsnprintf(p->name, sizeof p->name, format, args);
    va_end(args);
    p->dims[0] = size_1, p->dims[1] = size_2, p->dims[2] = size_3;
    p->n_dims = size_3 ? 3 : size_2 ? 2 : 1;
    p->n = size_1 * (size_2 ? size_2 : 1) * (size_3 ? size_3 : 1);
    p->offset = net->n_values;
    net->n_values += p->n;
    return p->offset;
}

static void add_trained(ser_timnet *net)
{
    static const char *const dense_names[3] = {"dense1", "dense2", "output"};
    const ser_timnet_shape *s = &net->shape;
    size_t n_blocks = ser_timnet_n_blocks(net), c = s->n_filters;
    for (size_t d = 0; d < 2; d++) {
        net->input[d].kernel = add(net, s->n_in, c, 0, "%s.input.kernel", stream_names[d]);
        net->input[d].bias = add(net, c, 0, 0, "%s.input.bias", stream_names[d]);
        for (size_t i = 0; i < 2 * n_blocks; i++) {
            ser_timnet_conv *conv = &net->convs[d * 2 * n_blocks + i];
            const char *stream = stream_names[d];
            size_t block = i / 2, which = i % 2 + 1;
            conv->kernel = add(net, s->kernel_size, c, c, "%s.block%zu.conv%zu.kernel", stream, block, which);
            conv->bias = add(net, c, 0, 0, "%s.block%zu.conv%zu.bias", stream, block, which);
            conv->gamma = add(net, c, 0, 0, "%s.block%zu.norm%zu.gamma", stream, block, which);
            conv->beta = add(net, c, 0, 0, "%s.block%zu.norm%zu.beta", stream, block, which);
        }
    }
    net->weighting = add(net, n_blocks, 0, 0, "weighting");
    const size_t sizes[4] = {c, SER_TIMNET_DENSE_1, SER_TIMNET_DENSE_2, s->n_labels};
    for (size_t i = 0; i < 3; i++) {
        net->dense[i].kernel = add(net, sizes[i], sizes[i + 1], 0, "%s.kernel", dense_names[i]);
        net->dense[i].bias = add(net, sizes[i + 1], 0, 0, "%s.bias", dense_names[i]);
    }
}

static void add_running(ser_timnet *net)
{
    size_t n_blocks = ser_timnet_n_blocks(net), c = net->shape.n_filters;
    for (size_t d = 0; d < 2; d++)
        for (size_t i = 0; i < 2 * n_blocks; i++) {
            ser_timnet_conv *conv = &net->convs[d * 2 * n_blocks + i];
            conv->running_mean =
                add(net, c, 0, 0, "%s.block%zu.norm%zu.mean", stream_names[d], i / 2, i % 2 + 1);
            conv->running_variance =
                add(net, c, 0, 0, "%s.block%zu.norm%zu.variance", stream_names[d], i / 2, i % 2 + 1);
        }
}

ser_status ser_timnet_new(ser_timnet **out, const ser_timnet_shape *shape, ser_error *err)
{
    enum { PER_CONV = 6, PER_STREAM = 2, OTHERS = 7 };
    *out = NULL;
    ser_status status = check_shape(shape, err);
    if (status != SER_OK)
        return status;
    ser_timnet *net = ser_alloc(1, sizeof *net);
    if (!net)
        return ser_fail_nomem(err);
    net->shape = *shape;
    size_t n_convs = 4 * ser_timnet_n_blocks(net);
    net->convs = ser_alloc(n_convs, sizeof *net->convs);
    net->params = ser_alloc(n_convs * PER_CONV + 2 * PER_STREAM + OTHERS, sizeof *net->params);
    if (net->convs && net->params) {
        add_trained(net);
        net->n_trained = net->n_values;
        add_running(net);
        net->values = ser_alloc(net->n_values, sizeof *net->values);
    }
    if (!net->values) {
        ser_timnet_free(&net);
        return ser_fail_nomem(err);
    }
    *out = net;
    return SER_OK;
}

void ser_timnet_free(ser_timnet **net)
{
    if (!*net)
        return;
    ser_free((*net)->params);
    ser_free((*net)->convs);
    ser_free((*net)->values);
    ser_free(*net);
    *net = NULL;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), n_end = strlen(end);
    return n >= n_end && strcmp(s + n - n_end, end) == 0;
}

static void fill(float *x, size_t n, float value)
{
    for (size_t i = 0; i < n; i++)
        x[i] = value;
}

/* Glorot and Bengio 2010: uniform within sqrt(6 / (fan in + fan out)). */
static void fill_kernel(float *x, const ser_timnet_param *p, uint64_t seed)
{
    ser_random random;
    ser_random_init(&random, ser_random_derive(seed, p->name));
    size_t n_positions = p->n_dims == 3 ? p->dims[0] : 1;
    size_t n_in = p->dims[p->n_dims - 2], n_out = p->dims[p->n_dims - 1];
    double limit = sqrt(6.0 / (double)(n_positions * (n_in + n_out)));
    for (size_t i = 0; i < p->n; i++)
        x[i] = (float)ser_random_between(&random, -limit, limit);
}

void ser_timnet_randomise(ser_timnet *net, uint64_t seed)
{
    for (size_t i = 0; i < net->n_params; i++) {
        const ser_timnet_param *p = &net->params[i];
        float *x = net->values + p->offset;
        if (ends_with(p->name, ".kernel"))
            fill_kernel(x, p, seed);
        else if (ends_with(p->name, ".gamma") || ends_with(p->name, ".variance"))
            fill(x, p->n, 1);
        else if (p->offset == net->weighting)
            fill(x, p->n, 1 / (float)p->n);
        else
            fill(x, p->n, 0);
    }
}

/* ---- files ---- */

static void name_in_file(ser_timnet_name *name, const char *prefix, const ser_timnet_param *p)
{
    snprintf(name->text, sizeof name->text, "%s%s", prefix, p->name);
}

static ser_status load_one(float *x, const ser_timnet_param *p, const ser_safetensors *file,
                           const char *prefix, ser_error *err)
{
    ser_timnet_name name;
    name_in_file(&name, prefix, p);
    const ser_tensor *t = ser_safetensors_find(file, name.text);
    if (!t)
        return ser_fail(err, SER_E_FORMAT,
                        "tensor '%s' is missing: the file is damaged, or of another network", name.text);
    if (t->n_dims != p->n_dims || memcmp(t->dims, p->dims, (size_t)p->n_dims * sizeof *p->dims) != 0)
        return ser_fail(
            err, SER_E_FORMAT,
            "tensor '%s' has other sizes than this network: the file is damaged, or of another network",
            name.text);
    ser_status status = ser_tensor_to_f32(x, t, 0, p->n, err);
    for (size_t i = 0; i < p->n && status == SER_OK; i++)
        if (!isfinite(x[i]))
            status = ser_fail(err, SER_E_FORMAT, "tensor '%s' holds a value that is not finite: train again",
                              name.text);
    return status;
}

ser_status ser_timnet_load(ser_timnet *net, const ser_safetensors *file, const char *prefix, ser_error *err)
{
    ser_status status = SER_OK;
    for (size_t i = 0; i < net->n_params && status == SER_OK; i++)
        status = load_one(net->values + net->params[i].offset, &net->params[i], file, prefix, err);
    return status;
}

void ser_timnet_tensors(const ser_timnet *net, const char *prefix, ser_tensor *tensors,
                        ser_timnet_name *names)
{
    for (size_t i = 0; i < net->n_params; i++) {
        const ser_timnet_param *p = &net->params[i];
        name_in_file(&names[i], prefix, p);
        tensors[i] = (ser_tensor){.name = names[i].text,
                                  .dtype = SER_F32,
                                  .n_dims = p->n_dims,
                                  .n_elements = p->n,
                                  .data = net->values + p->offset,
                                  .n_bytes = p->n * sizeof *net->values};
        memcpy(tensors[i].dims, p->dims, sizeof p->dims);
    }
}

#include "keras/layers.h"
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const streams[2] = {"forward", "backward"};

static ser_keras_layer *SER_PRINTF(2, 3) add_layer(ser_keras_layers *l, const char *format, ...)
{
    ser_keras_layer *layer = &l->items[l->n++];
    va_list args;
    va_start(args, format);
    vsnprintf(layer->name, sizeof layer->name, format, args);
    va_end(args);
    return layer;
}

/* Up to three sizes; 0: none. */
static void add_weight(ser_keras_layer *layer, const char *name, size_t offset, size_t size_1, size_t size_2,
                       size_t size_3)
{
    layer->weights[layer->n_weights++] =
        (ser_keras_weight){.name = name,
                           .n_dims = size_3   ? 3
                                     : size_2 ? 2
                                              : 1,
                           .dims = {size_1, size_2, size_3},
                           .offset = offset,
                           .n = size_1 * (size_2 ? size_2 : 1) * (size_3 ? size_3 : 1)};
}

static const ser_timnet_conv *conv_at(const ser_timnet *net, size_t stream, size_t block, size_t which)
{
    return &net->convs[(stream * ser_timnet_n_blocks(net) + block) * 2 + which];
}

static void add_block(ser_keras_layers *l, const ser_timnet *net, size_t block)
{
    size_t c = net->shape.n_filters;
    for (size_t which = 0; which < 2; which++) {
        for (size_t d = 0; d < 2; d++) {
            const ser_timnet_conv *conv = conv_at(net, d, block, which);
            ser_keras_layer *layer = add_layer(l, "%s_block%zu_conv%zu", streams[d], block, which + 1);
            add_weight(layer, "kernel", conv->kernel, net->shape.kernel_size, c, c);
            add_weight(layer, "bias", conv->bias, c, 0, 0);
        }
        for (size_t d = 0; d < 2; d++) {
            const ser_timnet_conv *conv = conv_at(net, d, block, which);
            ser_keras_layer *layer = add_layer(l, "%s_block%zu_norm%zu", streams[d], block, which + 1);
            add_weight(layer, "gamma", conv->gamma, c, 0, 0);
            add_weight(layer, "beta", conv->beta, c, 0, 0);
            add_weight(layer, "moving_mean", conv->running_mean, c, 0, 0);
            add_weight(layer, "moving_variance", conv->running_variance, c, 0, 0);
        }
    }
}

static void add_dense(ser_keras_layers *l, const ser_timnet *net)
{
    static const char *const names[3] = {"dense1", "dense2", "output"};
    const size_t sizes[4] = {net->shape.n_filters, SER_TIMNET_DENSE_1, SER_TIMNET_DENSE_2,
                             net->shape.n_labels};
    for (size_t i = 0; i < 3; i++) {
        ser_keras_layer *layer = add_layer(l, "%s", names[i]);
        add_weight(layer, "kernel", net->dense[i].kernel, sizes[i], sizes[i + 1], 0);
        add_weight(layer, "bias", net->dense[i].bias, sizes[i + 1], 0, 0);
    }
}

ser_status ser_keras_layers_init(ser_keras_layers *out, const ser_timnet *net, ser_error *err)
{
    enum { PER_BLOCK = 8, OTHERS = 6 };
    size_t n_blocks = ser_timnet_n_blocks(net), c = net->shape.n_filters;
    *out = (ser_keras_layers){.items = ser_alloc(n_blocks * PER_BLOCK + OTHERS, sizeof *out->items)};
    if (!out->items)
        return ser_fail_nomem(err);
    for (size_t d = 0; d < 2; d++) {
        ser_keras_layer *layer = add_layer(out, "%s_input", streams[d]);
        add_weight(layer, "kernel", net->input[d].kernel, 1, net->shape.n_in,
                   c); /* a convolution over 1 frame */
        add_weight(layer, "bias", net->input[d].bias, c, 0, 0);
    }
    for (size_t block = 0; block < n_blocks; block++)
        add_block(out, net, block);
    add_weight(add_layer(out, "weighting"), "kernel", net->weighting, n_blocks, 0, 0);
    add_dense(out, net);
    return SER_OK;
}

void ser_keras_layers_release(ser_keras_layers *l)
{
    ser_free(l->items);
    *l = (ser_keras_layers){0};
}

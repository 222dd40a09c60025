#include "export/network.h"

#include <math.h>
#include <string.h>

void ser_export_fold_conv(float *kernel, float *bias, const ser_timnet *net, const ser_timnet_conv *c)
{
    static const double epsilon = 1e-3; /* as in nn/batch_norm.c */
    const float *v = net->values;
    size_t n = net->shape.n_filters, n_rows = net->shape.kernel_size * n;
    for (size_t k = 0; k < n; k++) {
        double scale = (double)v[c->gamma + k] / sqrt((double)v[c->running_variance + k] + epsilon);
        for (size_t i = 0; i < n_rows; i++)
            kernel[i * n + k] = (float)((double)v[c->kernel + i * n + k] * scale);
        bias[k] = (float)((double)v[c->beta + k] +
                          ((double)v[c->bias + k] - (double)v[c->running_mean + k]) * scale);
    }
}

void ser_export_place_blocks(float *to, const ser_timnet_layout *l, const ser_timnet_member *m,
                             const float *from, size_t row)
{
    for (size_t b = 0; b < l->n_blocks; b++) {
        if (m->blocks && !(m->blocks >> b & 1))
            continue;
        memcpy(to + l->offset[b] * row, from, l->block_dims[b] * row * sizeof *to);
        from += l->block_dims[b] * row;
    }
}

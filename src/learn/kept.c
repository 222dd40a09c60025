#include "learn/kept.h"
#include "model/pooled.h"

#include <string.h>

ser_kept ser_kept_of(const ser_extractor *e, uint64_t used)
{
    const ser_feature_spec *spec = ser_extractor_spec(e);
    ser_kept k = {.extractor = e, .blocks = used};
    size_t block = 0;
    for (size_t i = 0; i < spec->n_parts; i++) {
        const ser_feature_part *p = &spec->parts[i];
        if (ser_feature_kind_is_encoder(p->kind))
            block += p->n_layers;
        else
            k.blocks |= UINT64_C(1) << block++;
    }
    for (size_t b = 0; b < ser_extractor_n_blocks(e); b++) {
        size_t offset, dims;
        ser_extractor_block(e, b, &offset, &dims);
        k.n_in += k.blocks >> b & 1 ? SER_N_STATISTICS * dims : 0;
    }
    return k;
}

ser_feature_spec ser_kept_spec(const ser_kept *k)
{
    ser_feature_spec spec = *ser_extractor_spec(k->extractor);
    size_t block = 0;
    for (size_t i = 0; i < spec.n_parts; i++) {
        ser_feature_part *p = &spec.parts[i];
        if (!ser_feature_kind_is_encoder(p->kind)) {
            block++;
            continue;
        }
        size_t n_kept = 0;
        for (size_t l = 0; l < p->n_layers; l++, block++)
            if (k->blocks >> block & 1)
                p->layers[n_kept++] = p->layers[l];
        p->n_layers = n_kept;
    }
    return spec;
}

void ser_kept_compress(float *to, const float *from, const ser_kept *k)
{
    for (size_t b = 0; b < ser_extractor_n_blocks(k->extractor); b++) {
        size_t offset, dims;
        ser_extractor_block(k->extractor, b, &offset, &dims);
        if (!(k->blocks >> b & 1))
            continue;
        memcpy(to, from + SER_N_STATISTICS * offset, SER_N_STATISTICS * dims * sizeof *to);
        to += SER_N_STATISTICS * dims;
    }
}

ser_status ser_kept_head(ser_linear *out, const ser_linear *head, const ser_kept *k, ser_error *err)
{
    ser_status st = ser_linear_init(out, k->n_in, head->n_labels, err);
    if (st != SER_OK)
        return st;
    ser_kept_compress(out->mean, head->mean, k);
    ser_kept_compress(out->scale, head->scale, k);
    for (size_t l = 0; l < head->n_labels; l++)
        ser_kept_compress(out->w + l * k->n_in, head->w + l * head->n_in, k);
    memcpy(out->bias, head->bias, head->n_labels * sizeof *head->bias);
    out->temperature = head->temperature;
    return SER_OK;
}

uint64_t ser_kept_renumber(uint64_t blocks, const ser_kept *k)
{
    uint64_t out = 0;
    for (size_t b = 0, to = 0; b < 64; b++)
        if (k->blocks >> b & 1)
            out |= (blocks >> b & 1) << to++;
    return out;
}

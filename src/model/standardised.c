#include "model/standardised.h"
#include "io/json.h"

#include <math.h>
#include <string.h>

/* What the head's deviations count against means; NAN: its file does not say. */
static ser_status read_spread_weight(double *out, const ser_model_data *m, ser_error *err)
{
    json_t *origin = NULL;
    const char *text = m->provenance;
    if (text && ser_json_load(&origin, text, strlen(text), 0, NULL) == SER_E_NOMEM)
        return ser_fail_nomem(err);
    const json_t *weight = json_object_get(json_object_get(origin, "plain"), "spread_weight");
    double value = json_is_number(weight) ? json_number_value(weight) : NAN;
    json_decref(origin);
    *out = value > 0 ? value : NAN;
    return SER_OK;
}

/* weight of every input that is used: its emphasis when the head was fitted (protocol/fit.c), whose squares
 * add up to 1. */
static void replace_scaling(ser_linear *head, const ser_extractor *e, double spread_weight)
{
    double sum_of_squares = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t b = 0; b < ser_extractor_n_blocks(e); b++) {
            size_t offset, dims;
            ser_extractor_block(e, b, &offset, &dims);
            for (size_t i = 0; i < SER_N_STATISTICS * dims; i++) {
                size_t at = SER_N_STATISTICS * offset + i;
                double weight = ser_statistic_is_spread(i / dims) ? spread_weight : 1;
                if (head->scale[at] == 0)
                    continue;
                if (pass == 0)
                    sum_of_squares += weight * weight;
                else
                    head->scale[at] = (float)(weight / sqrt(sum_of_squares));
            }
        }
    for (size_t i = 0; i < head->n_in; i++)
        head->mean[i] = 0;
}

ser_status ser_model_read_standardised(ser_model_data *m, const ser_extractor *e, ser_error *err)
{
    ser_unlike_release(&m->unlike);
    if (m->plain.n_in) {
        double spread_weight = NAN;
        ser_status st = read_spread_weight(&spread_weight, m, err);
        if (st != SER_OK)
            return st;
        if (!(spread_weight > 0) || m->plain.n_in != ser_pooled_dims(e))
            return ser_fail(
                err, SER_E_FORMAT,
                "the model does not say how it weighs standardised features, as adapted ones do not: use "
                "--normalize none, or train it again with 'ser train'");
        replace_scaling(&m->plain, e, spread_weight);
    }
    for (size_t k = 0; k < m->n_networks; k++) {
        ser_timnet_member *network = &m->networks[k];
        for (size_t i = 0; i < network->net->shape.n_in; i++) {
            network->mean[i] = 0;
            network->scale[i] = network->scale[i] != 0;
        }
    }
    return SER_OK;
}

/* What config.json and preprocessor_config.json say about wav2vec 2.0 and its relatives. */
#include "encoder/kind.h"

#include <math.h>
#include <string.h>

enum {
    MAX_DIMS = 1 << 14,
    MAX_KERNEL = 1 << 10,
    MAX_POSITIONAL = 16,
    MAX_BUCKETS = 1 << 16,
    FRAME_SAMPLES = 320
};

static bool is_true(const json_t *config, const char *key, bool otherwise)
{
    const json_t *value = json_object_get(config, key);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

/* An array of n whole numbers from 1; *n 0: it says how many there are. */
static ser_status read_list(size_t *out, size_t *n, const json_t *config, const char *key, size_t maximum,
                            ser_error *err)
{
    const json_t *list = json_object_get(config, key);
    size_t n_items = json_array_size(list);
    if (!json_is_array(list) || (*n && n_items != *n))
        return ser_fail(err, SER_E_FORMAT, "'%s' is no list of numbers, or of another length than 'conv_dim'",
                        key);
    if (n_items < 2 || n_items > SER_MAX_CONVS)
        return ser_fail(err, SER_E_UNSUPPORTED, "'%s' has %zu numbers: 2 to %d can be handled", key, n_items,
                        SER_MAX_CONVS);
    for (size_t i = 0; i < n_items; i++) {
        const json_t *item = json_array_get(list, i);
        if (!json_is_integer(item) || json_integer_value(item) < 1 ||
            json_integer_value(item) > (json_int_t)maximum)
            return ser_fail(err, SER_E_UNSUPPORTED, "'%s' holds something else than numbers from 1 to %zu",
                            key, maximum);
        out[i] = (size_t)json_integer_value(item);
    }
    *n = n_items;
    return SER_OK;
}

static ser_status read_convs(ser_encoder_sizes *s, const json_t *config, bool is_data2vec, ser_error *err)
{
    const char *norm = json_string_value(json_object_get(config, "feat_extract_norm"));
    ser_status status = read_list(s->conv_dims, &s->n_convs, config, "conv_dim", MAX_DIMS, err);
    if (status == SER_OK)
        status = read_list(s->conv_kernels, &s->n_convs, config, "conv_kernel", MAX_KERNEL, err);
    if (status == SER_OK)
        status = read_list(s->conv_strides, &s->n_convs, config, "conv_stride", MAX_KERNEL, err);
    if (status != SER_OK)
        return status;
    if (norm && strcmp(norm, "group") != 0 && strcmp(norm, "layer") != 0)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "'feat_extract_norm' is '%.40s': group and layer can be handled", norm);
    s->conv_layer_norm = is_data2vec || (norm && strcmp(norm, "layer") == 0);
    s->conv_bias = is_true(config, "conv_bias", false);
    size_t stride = 1;
    for (size_t i = 0; i < s->n_convs && stride <= FRAME_SAMPLES; i++)
        stride *= s->conv_strides[i];
    if (stride != FRAME_SAMPLES || s->conv_kernels[0] > SER_NN_PCM_KERNEL_MAX)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "'conv_stride' and 'conv_kernel' give frames that cannot be handled: one every %d "
                        "samples, and a first kernel of up to %d",
                        FRAME_SAMPLES, SER_NN_PCM_KERNEL_MAX);
    return SER_OK;
}

static ser_status read_positions(ser_encoder_sizes *s, const json_t *config, const char *model_type,
                                 ser_error *err)
{
    s->plain_positional = strcmp(model_type, "data2vec-audio") == 0;
    s->n_positional = 1;
    ser_status status = SER_OK;
    if (s->plain_positional)
        status = ser_config_size(&s->n_positional, config, "num_conv_pos_embeddings", 1, MAX_POSITIONAL, err);
    if (status == SER_OK)
        status = ser_config_size(&s->positional_kernel, config,
                                 s->plain_positional ? "conv_pos_kernel_size" : "num_conv_pos_embeddings", 1,
                                 MAX_KERNEL, err);
    if (status == SER_OK)
        status =
            ser_config_size(&s->positional_groups, config, "num_conv_pos_embedding_groups", 1, MAX_DIMS, err);
    if (status == SER_OK && s->dims % s->positional_groups)
        status =
            ser_fail(err, SER_E_FORMAT, "hidden_size %zu cannot be divided among %zu groups: fetch it again",
                     s->dims, s->positional_groups);
    if (status != SER_OK || strcmp(model_type, "wavlm") != 0)
        return status;
    status = ser_config_size(&s->n_buckets, config, "num_buckets", 4, MAX_BUCKETS, err);
    return status == SER_OK ? ser_config_size(&s->max_distance, config, "max_bucket_distance",
                                              s->n_buckets / 4 + 1, MAX_BUCKETS, err)
                            : status;
}

/* What some relatives have and this program has not. */
static ser_status refuse_others(const json_t *config, ser_error *err)
{
    static const char *const activations[] = {"hidden_act", "feat_extract_activation"};
    for (size_t i = 0; i < 2; i++) {
        const char *name = json_string_value(json_object_get(config, activations[i]));
        if (name && strcmp(name, "gelu") != 0)
            return ser_fail(err, SER_E_UNSUPPORTED, "'%s' is '%.40s': only gelu can be handled",
                            activations[i], name);
    }
    if (is_true(config, "conv_pos_batch_norm", false))
        return ser_fail(err, SER_E_UNSUPPORTED, "'conv_pos_batch_norm' is true: only false can be handled");
    if (json_is_integer(json_object_get(config, "adapter_attn_dim")))
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "'adapter_attn_dim' is set: checkpoints with adapters cannot be handled");
    return SER_OK;
}

ser_status ser_wav2vec2_config(ser_encoder_sizes *s, const json_t *config, const char *model_type,
                               ser_error *err)
{
    const struct {
        const char *key;
        size_t *to, maximum;
    } keys[] = {{"hidden_size", &s->dims, MAX_DIMS},
                {"num_attention_heads", &s->n_heads, MAX_DIMS},
                {"intermediate_size", &s->n_ffn, 4 * MAX_DIMS},
                {"num_hidden_layers", &s->n_layers, SER_ENCODER_MAX_LAYERS}};
    ser_status status = refuse_others(config, err);
    for (size_t i = 0; i < sizeof keys / sizeof *keys && status == SER_OK; i++)
        status = ser_config_size(keys[i].to, config, keys[i].key, 1, keys[i].maximum, err);
    if (status == SER_OK && s->dims % s->n_heads)
        status =
            ser_fail(err, SER_E_FORMAT, "hidden_size %zu cannot be divided among %zu heads: fetch it again",
                     s->dims, s->n_heads);
    bool is_data2vec = strcmp(model_type, "data2vec-audio") == 0;
    if (status == SER_OK)
        status = read_convs(s, config, is_data2vec, err);
    if (status == SER_OK)
        status = read_positions(s, config, model_type, err);
    s->norm_first = !is_data2vec && is_true(config, "do_stable_layer_norm", false);
    s->projection_norm = is_true(config, "feat_proj_layer_norm", true);
    s->normalise_input = is_true(config, "do_normalize", true);
    const json_t *epsilon = json_object_get(config, "layer_norm_eps");
    s->epsilon = epsilon ? (float)json_number_value(epsilon) : 1e-5f;
    if (status == SER_OK && !(s->epsilon > 0 && s->epsilon < 1))
        status = ser_fail(err, SER_E_FORMAT, "'layer_norm_eps' is no small number above 0: fetch it again");
    return status;
}

ser_status ser_wav2vec2_inputs(ser_encoder_plan *p, const json_t *preprocessor, ser_error *err)
{
    const json_t *rate = json_object_get(preprocessor, "sampling_rate");
    const json_t *size = json_object_get(preprocessor, "feature_size");
    if (rate && (!json_is_integer(rate) || json_integer_value(rate) != SER_SAMPLE_RATE_HZ))
        return ser_fail(err, SER_E_UNSUPPORTED, "'sampling_rate' is not %d: only that can be handled",
                        SER_SAMPLE_RATE_HZ);
    if (size && (!json_is_integer(size) || json_integer_value(size) != 1))
        return ser_fail(err, SER_E_UNSUPPORTED, "'feature_size' is not 1: only that can be handled");
    p->sizes.normalise_input = is_true(preprocessor, "do_normalize", p->sizes.normalise_input);
    return SER_OK;
}

#include "model/model_file.h"
#include "base/memory.h"
#include "io/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The heads by name: one table serves reading and writing. */
static const struct {
    const char *name;
    size_t offset;
} heads[] = {
    {"plain", offsetof(ser_model_data, plain)},
    {"baseline", offsetof(ser_model_data, baseline)},
};
enum { N_HEADS = sizeof heads / sizeof *heads, TENSORS_PER_HEAD = 5, TENSORS_OF_UNLIKE = 3 };

static ser_linear *head_of(ser_model_data *m, size_t i)
{
    return (ser_linear *)((char *)m + heads[i].offset);
}

void ser_model_data_release(ser_model_data *m)
{
    for (size_t i = 0; i < m->n_labels; i++)
        ser_free(m->labels[i]);
    ser_free(m->labels);
    for (size_t i = 0; i < N_HEADS; i++)
        ser_linear_release(head_of(m, i));
    for (size_t i = 0; i < m->n_networks; i++)
        ser_timnet_member_release(&m->networks[i]);
    ser_free(m->networks);
    ser_free(m->baseline_spread);
    ser_unlike_release(&m->unlike);
    for (size_t i = 0; i < SER_MAX_PARTS; i++)
        ser_free(m->encoder_configs[i]);
    ser_free(m->provenance);
    *m = (ser_model_data){0};
}

/* What an encoder's tensors and metadata have in front, or behind "ser.". */
static void encoder_name(char name[SER_MODEL_PREFIX_BYTES], size_t i)
{
    if (i)
        snprintf(name, SER_MODEL_PREFIX_BYTES, "encoder%zu", i + 1);
    else
        snprintf(name, SER_MODEL_PREFIX_BYTES, "encoder");
}

void ser_model_encoder_prefix(char prefix[SER_MODEL_PREFIX_BYTES], size_t i)
{
    encoder_name(prefix, i);
    strcat(prefix, ".");
}

static void encoder_config_key(char key[48], size_t i)
{
    char name[SER_MODEL_PREFIX_BYTES];
    encoder_name(name, i);
    snprintf(key, 48, "ser.%s_config", name);
}

const char *ser_model_data_type(const ser_model_data *m)
{
    return !m->n_networks ? "linear" : m->plain.n_in ? "linear+timnet" : "timnet";
}

/* ---- reading ---- */

static ser_status check_version(const ser_safetensors *file, ser_error *err)
{
    const char *text = ser_safetensors_metadata(file, "ser.format_version");
    if (!text)
        return ser_fail(err, SER_E_FORMAT,
                        "is no model of ser (no ser.format_version in it): "
                        "name a file that 'ser train' wrote");
    char *end;
    long version = strtol(text, &end, 10);
    if (end == text || *end || version < 1)
        return ser_fail(err, SER_E_FORMAT, "ser.format_version '%.40s' is no version: the file is damaged",
                        text);
    if (version > SER_MODEL_FORMAT_VERSION)
        return ser_fail(
            err, SER_E_UNSUPPORTED,
            "is a model of format version %ld, and this is ser %s, which reads up to %d: install a newer ser",
            version, SER_VERSION, SER_MODEL_FORMAT_VERSION);
    const char *type = ser_safetensors_metadata(file, "ser.model_type");
    if (!type ||
        (strcmp(type, "linear") != 0 && strcmp(type, "timnet") != 0 && strcmp(type, "linear+timnet") != 0))
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "is a model of type '%.40s', which this version does not know", type ? type : "");
    return SER_OK;
}

static ser_status load_json(json_t **out, const ser_safetensors *file, const char *key, ser_error *err)
{
    json_error_t at;
    const char *text = ser_safetensors_metadata(file, key);
    *out = NULL;
    if (text && ser_json_load(out, text, strlen(text), JSON_REJECT_DUPLICATES, &at) == SER_E_NOMEM)
        return ser_fail_nomem(err);
    if (!*out)
        return ser_fail(err, SER_E_FORMAT, "metadata %s %s: train the model again", key,
                        text ? "is not valid JSON" : "is missing");
    return SER_OK;
}

/* [2, 3], of the only encoder (none: []) or the one that type names. */
static ser_status read_layers(ser_feature_spec *spec, const char *type, const json_t *layers, ser_error *err)
{
    ser_text list = {0};
    if (!json_is_array(layers) || json_array_size(layers) > SER_ENCODER_MAX_LAYERS)
        return ser_fail(err, SER_E_FORMAT,
                        "metadata ser.features does not describe features: train the model again");
    if (type)
        ser_text_appendf(&list, "%s=", type);
    for (size_t i = 0; i < json_array_size(layers); i++)
        ser_text_appendf(&list, "%s%lld", i ? "," : "",
                         (long long)json_integer_value(json_array_get(layers, i)));
    ser_status st = list.failed ? ser_fail_nomem(err) : SER_OK;
    if (st == SER_OK && json_array_size(layers))
        st = ser_feature_spec_set_layers(spec, list.s, err);
    ser_text_release(&list);
    return st;
}

/* {"type": "WHISPER", "layers": [2, 3], "hop_length": 320, "pad": 0}; of several encoders "layers" is
 * {"HUBERT": [6], "WHISPER": [2, 3]}. */
static ser_status read_spec(ser_feature_spec *spec, const ser_safetensors *file, ser_error *err)
{
    json_t *json = NULL, *layers = NULL;
    const char *type = NULL;
    int hop = 0, pad = 0, pool_encoder = 0;
    ser_status st = load_json(&json, file, "ser.features", err);
    if (st != SER_OK)
        return st;
    errno = 0; /* json_unpack keeps a list of keys, for which there may be no memory */
    if (json_unpack(json, "{s:s, s:o, s:i, s:i, s?b}", "type", &type, "layers", &layers, "hop_length", &hop,
                    "pad", &pad, "pool_encoder", &pool_encoder) != 0 ||
        hop < 16 || hop > 16000 || pad < 0 || pad > 30) {
        st = errno == ENOMEM
                 ? ser_fail_nomem(err)
                 : ser_fail(err, SER_E_FORMAT,
                            "metadata ser.features does not describe features: train the model again");
        goto done;
    }
    if ((st = ser_feature_spec_parse(spec, type, err)) != SER_OK)
        goto done;
    spec->hop_samples = hop;
    spec->pad_s = pad;
    spec->pool_encoder = pool_encoder;
    if (!json_is_object(layers)) {
        st = read_layers(spec, NULL, layers, err);
    } else {
        const char *name;
        json_t *list;
        json_object_foreach(layers, name, list)
        {
            if ((st = read_layers(spec, name, list, err)) != SER_OK)
                break;
        }
    }
done:
    json_decref(json);
    return st;
}

static ser_status read_labels(ser_model_data *m, const ser_safetensors *file, ser_error *err)
{
    json_t *json = NULL;
    ser_status st = load_json(&json, file, "ser.labels", err);
    if (st != SER_OK)
        return st;
    size_t n = json_is_array(json) ? json_array_size(json) : 0;
    if (n < 2 || n > SER_MAX_LABELS) {
        st = ser_fail(err, SER_E_FORMAT, "metadata ser.labels is no list of 2 to %d names", SER_MAX_LABELS);
        goto done;
    }
    if (!(m->labels = ser_alloc(n, sizeof *m->labels))) {
        st = ser_fail_nomem(err);
        goto done;
    }
    for (size_t i = 0; i < n; i++) {
        const char *label = json_string_value(json_array_get(json, i));
        if (!label || !*label || strlen(label) > 64 || (i && strcmp(m->labels[i - 1], label) >= 0)) {
            st = ser_fail(err, SER_E_FORMAT,
                          "metadata ser.labels: names must be short, different and in alphabetical order");
            goto done;
        }
        if (!(m->labels[i] = ser_strdup(label))) {
            st = ser_fail_nomem(err);
            goto done;
        }
        m->n_labels = i + 1;
    }
done:
    json_decref(json);
    return st;
}

static ser_status read_floats(float *out, const ser_safetensors *file, const char *head, const char *name,
                              size_t n, ser_error *err)
{
    char full[64];
    snprintf(full, sizeof full, "%s.%s", head, name);
    const ser_tensor *t = ser_safetensors_find(file, full);
    if (!t)
        return ser_fail(err, SER_E_FORMAT, "tensor '%s' is missing: the model file is damaged", full);
    if (t->n_elements != n)
        return ser_fail(err, SER_E_FORMAT,
                        "tensor '%s' has %zu elements, expected %zu: the model file is damaged", full,
                        t->n_elements, n);
    ser_status st = ser_tensor_to_f32(out, t, 0, n, err);
    for (size_t i = 0; i < n && st == SER_OK; i++)
        if (!__builtin_isfinite(out[i]))
            st = ser_fail(err, SER_E_FORMAT,
                          "tensor '%s' holds a value that is not finite: the model file is damaged", full);
    return st;
}

/* A head is there when its weight is; (n_labels, n_in) must agree with the plain head's. */
static ser_status read_head(ser_linear *l, const ser_safetensors *file, const char *name, size_t n_labels,
                            size_t n_in, ser_error *err)
{
    char full[64];
    snprintf(full, sizeof full, "%s.weight", name);
    const ser_tensor *w = ser_safetensors_find(file, full);
    if (!w)
        return SER_OK;
    if (w->n_dims != 2 || w->dims[0] != n_labels || !w->dims[1] || (n_in && w->dims[1] != n_in))
        return ser_fail(err, SER_E_FORMAT,
                        "tensor '%s' is not (%zu labels, features): the model file is damaged", full,
                        n_labels);
    ser_status st = ser_linear_init(l, w->dims[1], n_labels, err);
    if (st != SER_OK)
        return st;
    const struct {
        const char *name;
        float *values;
        size_t n;
    } tensors[TENSORS_PER_HEAD] = {{"mean", l->mean, l->n_in},
                                   {"scale", l->scale, l->n_in},
                                   {"weight", l->w, l->n_in * n_labels},
                                   {"bias", l->bias, n_labels},
                                   {"temperature", &l->temperature, 1}};
    for (int i = 0; i < TENSORS_PER_HEAD && st == SER_OK; i++)
        st = read_floats(tensors[i].values, file, name, tensors[i].name, tensors[i].n, err);
    if (st == SER_OK && !(l->temperature > 0))
        st = ser_fail(err, SER_E_FORMAT, "%s.temperature must be positive: the model file is damaged", name);
    return st;
}

/* {"n_in": 1024, "n_filters": 128, "kernel_size": 3, "n_dilations": 8, "n_stacks": 3, "activation": "relu",
 * "dropout": 0.4, "average": 8, "trim": true, "blocks": [1, 2]}, without blocks where the whole frame is
 * read, without average and trim where frames are read as they are. */
static bool parse_network(ser_timnet_shape *shape, ser_condense *condense, uint64_t *blocks, json_t *json)
{
    json_int_t n_in, n_filters, kernel_size, n_dilations, n_stacks;
    const char *activation;
    json_t *list = NULL;
    json_int_t average = 0;
    int trim = 0;
    *blocks = 0;
    if (json_unpack(json, "{s:I, s:I, s:I, s:I, s:I, s:s, s:F, s?o, s?I, s?b}", "n_in", &n_in, "n_filters",
                    &n_filters, "kernel_size", &kernel_size, "n_dilations", &n_dilations, "n_stacks",
                    &n_stacks, "activation", &activation, "dropout", &shape->dropout, "blocks", &list,
                    "average", &average, "trim", &trim) != 0 ||
        average < 0 || average > SER_MAX_AVERAGED || n_in < 1 || n_filters < 1 || kernel_size < 1 ||
        n_dilations < 1 || n_stacks < 1 || !ser_nonlinearity_parse(&shape->activation, activation) ||
        (list && !json_array_size(list)))
        return false;
    *condense = (ser_condense){.n_averaged = (size_t)average, .trim = trim};
    shape->n_in = (size_t)n_in;
    shape->n_filters = (size_t)n_filters;
    shape->kernel_size = (size_t)kernel_size;
    shape->n_dilations = (size_t)n_dilations;
    shape->n_stacks = (size_t)n_stacks;
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *block = json_array_get(list, i);
        json_int_t b = json_is_integer(block) ? json_integer_value(block) : -1;
        if (b < 0 || b >= SER_TIMNET_MAX_BLOCKS)
            return false;
        *blocks |= UINT64_C(1) << b;
    }
    return true;
}

/* Whether the file holds as many numbers as the network has at least: before memory is taken for them. */
static bool is_large_enough(const ser_safetensors *file, const ser_timnet_shape *s)
{
    double n_there = 0, n_kernel = (double)s->kernel_size * (double)s->n_filters * (double)s->n_filters;
    for (size_t i = 0; i < ser_safetensors_n(file); i++)
        n_there += (double)ser_safetensors_at(file, i)->n_elements;
    return n_there >= 4 * (double)s->n_dilations * (double)s->n_stacks * n_kernel +
                          2 * (double)s->n_in * (double)s->n_filters;
}

static ser_status read_network(ser_timnet_member *m, const ser_safetensors *file, size_t i, json_t *json,
                               size_t n_labels, ser_error *err)
{
    ser_timnet_shape shape = {.n_labels = n_labels};
    ser_condense condense;
    uint64_t blocks;
    char name[32], prefix[40];
    snprintf(name, sizeof name, "timnet.%zu", i);
    snprintf(prefix, sizeof prefix, "%s.", name);
    errno = 0;
    bool described = parse_network(&shape, &condense, &blocks, json);
    if (!described && errno == ENOMEM)
        return ser_fail_nomem(err);
    if (!described || !is_large_enough(file, &shape))
        return ser_fail(err, SER_E_FORMAT,
                        "metadata ser.networks does not describe the networks: the model file is damaged");
    ser_status st = ser_timnet_member_init(m, &shape, err);
    if (st == SER_E_ARG)
        return ser_fail_within(err, SER_E_FORMAT, "metadata ser.networks: ");
    if (st != SER_OK)
        return st;
    m->blocks = blocks;
    m->condense = condense;
    st = ser_timnet_load(m->net, file, prefix, err);
    if (st == SER_OK)
        st = read_floats(m->mean, file, name, "mean", shape.n_in, err);
    if (st == SER_OK)
        st = read_floats(m->scale, file, name, "scale", shape.n_in, err);
    if (st == SER_OK)
        st = read_floats(&m->temperature, file, name, "temperature", 1, err);
    if (st == SER_OK && !(m->temperature > 0))
        st = ser_fail(err, SER_E_FORMAT, "%s.temperature must be positive: the model file is damaged", name);
    return st;
}

static ser_status read_networks(ser_model_data *m, const ser_safetensors *file, ser_error *err)
{
    json_t *json = NULL;
    if (!ser_safetensors_metadata(file, "ser.networks"))
        return SER_OK;
    ser_status st = load_json(&json, file, "ser.networks", err);
    if (st != SER_OK)
        return st;
    size_t n = json_is_array(json) ? json_array_size(json) : 0;
    if (n < 1 || n > SER_MODEL_MAX_NETWORKS)
        st = ser_fail(err, SER_E_FORMAT, "metadata ser.networks is no list of 1 to %d networks",
                      SER_MODEL_MAX_NETWORKS);
    else if (!(m->networks = ser_alloc(n, sizeof *m->networks)))
        st = ser_fail_nomem(err);
    for (size_t i = 0; i < n && st == SER_OK; i++) {
        m->n_networks = i + 1;
        st = read_network(&m->networks[i], file, i, json_array_get(json, i), m->n_labels, err);
    }
    json_decref(json);
    return st;
}

static ser_status read_optional_text(char **out, const ser_safetensors *file, const char *key, ser_error *err)
{
    const char *text = ser_safetensors_metadata(file, key);
    if (text && !(*out = ser_strdup(text)))
        return ser_fail_nomem(err);
    return SER_OK;
}

ser_status ser_model_encoders_open(ser_encoders *out, const ser_model_data *m, const ser_safetensors *file,
                                   ser_engine engine, ser_precision precision, ser_error *err)
{
    const ser_feature_part *part;
    ser_status st = SER_OK;
    *out = (ser_encoders){0};
    for (size_t i = 0; st == SER_OK && (part = ser_feature_spec_encoder_at(&m->spec, i)); i++) {
        char prefix[SER_MODEL_PREFIX_BYTES];
        ser_model_encoder_prefix(prefix, i);
        if (m->encoder_configs[i])
            st = ser_encoder_open_tensors(&out->items[out->n++], file, prefix, m->encoder_configs[i],
                                          ser_feature_part_last_layer(part), engine, precision, err);
        else
            st = ser_fail(err, SER_E_FORMAT, "carries only some of its encoders: the file is damaged");
    }
    if (st != SER_OK)
        ser_encoders_close(out);
    return st;
}

/* There where unlike.mean is; of features that a linear part reads, whose number the rest of the file says.
 */
static ser_status read_unlike(ser_model_data *m, const ser_safetensors *file, ser_error *err)
{
    static const char name[] = "unlike";
    if (!ser_safetensors_find(file, "unlike.mean"))
        return SER_OK;
    if (!m->plain.n_in)
        return ser_fail(err, SER_E_FORMAT,
                        "tensor 'unlike.mean' is there without a linear part: the model file is damaged");
    ser_status st = ser_unlike_init(&m->unlike, m->plain.n_in, err);
    if (st == SER_OK)
        st = read_floats(m->unlike.mean, file, name, "mean", m->unlike.n_in, err);
    if (st == SER_OK)
        st = read_floats(m->unlike.scale, file, name, "scale", m->unlike.n_in, err);
    if (st == SER_OK)
        st = read_floats(&m->unlike.reach, file, name, "reach", 1, err);
    if (st == SER_OK && !(m->unlike.reach >= SER_UNLIKE_LEAST_REACH))
        st = ser_fail(err, SER_E_FORMAT, "unlike.reach must be at least %g: the model file is damaged",
                      (double)SER_UNLIKE_LEAST_REACH);
    for (size_t i = 0; i < m->unlike.n_in && st == SER_OK; i++)
        if (m->unlike.scale[i] < 0)
            st =
                ser_fail(err, SER_E_FORMAT, "unlike.scale holds a negative value: the model file is damaged");
    return st;
}

bool ser_emotion_is_plain(const char *emotion)
{
    return strcmp(emotion, "neutral") == 0 || strcmp(emotion, "calm") == 0;
}

static ser_status read_min_confidence(double *out, const ser_safetensors *file, const char *key,
                                      ser_error *err)
{
    const char *text = ser_safetensors_metadata(file, key);
    json_t *number = NULL;
    if (text && ser_json_load(&number, text, strlen(text), JSON_DECODE_ANY, NULL) == SER_E_NOMEM)
        return ser_fail_nomem(err);
    bool ok =
        !text || (json_is_number(number) && json_number_value(number) >= 0 && json_number_value(number) <= 1);
    *out = ok ? json_number_value(number) : 0;
    json_decref(number);
    return ok ? SER_OK : ser_fail(err, SER_E_FORMAT, "%s is no number from 0 to 1: the file is damaged", key);
}

ser_status ser_model_data_read(ser_model_data *m, const ser_safetensors *file, ser_error *err)
{
    *m = (ser_model_data){0};
    ser_status st = check_version(file, err);
    if (st == SER_OK)
        st = read_spec(&m->spec, file, err);
    if (st == SER_OK)
        st = read_labels(m, file, err);
    if (st == SER_OK)
        st = read_head(&m->plain, file, "plain", m->n_labels, 0, err);
    if (st == SER_OK)
        st = read_networks(m, file, err);
    const char *type = ser_safetensors_metadata(file, "ser.model_type");
    if (st == SER_OK && strstr(type, "linear") && !m->plain.n_in)
        st = ser_fail(err, SER_E_FORMAT, "tensor 'plain.weight' is missing: the model file is damaged");
    if (st == SER_OK && strcmp(type, ser_model_data_type(m)) != 0)
        st = ser_fail(err, SER_E_FORMAT,
                      "says that it is of type %s, and is of type %s: the model file is damaged", type,
                      ser_model_data_type(m));
    if (st == SER_OK)
        st = read_head(&m->baseline, file, "baseline", m->n_labels, m->plain.n_in, err);
    if (st == SER_OK && m->baseline.n_in) {
        m->baseline_spread = ser_alloc(m->plain.n_in, sizeof(float));
        st = m->baseline_spread
                 ? read_floats(m->baseline_spread, file, "baseline", "spread", m->plain.n_in, err)
                 : ser_fail_nomem(err);
    }
    if (st == SER_OK)
        st = read_unlike(m, file, err);
    for (size_t i = 0; i < ser_feature_spec_n_encoders(&m->spec) && st == SER_OK; i++) {
        char key[48];
        encoder_config_key(key, i);
        st = read_optional_text(&m->encoder_configs[i], file, key, err);
    }
    if (st == SER_OK)
        st = read_optional_text(&m->provenance, file, "ser.provenance", err);
    if (st == SER_OK)
        st = read_min_confidence(&m->min_confidence, file, "ser.min_confidence", err);
    if (st == SER_OK)
        st = read_min_confidence(&m->min_confidence_plain, file, "ser.min_confidence_plain", err);
    const char *sha256 = ser_safetensors_metadata(file, "ser.encoder_sha256");
    if (sha256)
        snprintf(m->encoder_sha256, sizeof m->encoder_sha256, "%s", sha256);
    if (st != SER_OK)
        ser_model_data_release(m);
    return st;
}

/* ---- writing ---- */

static ser_tensor float_tensor(const char *name, const float *data, size_t n_rows, size_t n_columns)
{
    size_t n = n_rows ? n_rows * n_columns : n_columns;
    return (ser_tensor){.name = name,
                        .dtype = SER_F32,
                        .n_dims = n_rows ? 2 : 1,
                        .dims = {n_rows ? n_rows : n_columns, n_rows ? n_columns : 0},
                        .n_elements = n,
                        .data = data,
                        .n_bytes = n * sizeof *data};
}

/* Tensors of a head or a network beside its name in the file. */
static void add_tensor(ser_tensor *tensors, ser_timnet_name *names, size_t *n, const char *owner,
                       const char *part, const float *data, size_t n_rows, size_t n_columns)
{
    snprintf(names[*n].text, sizeof names->text, "%s.%s", owner, part);
    tensors[*n] = float_tensor(names[*n].text, data, n_rows, n_columns);
    ++*n;
}

static size_t n_tensors_of(const ser_model_data *m)
{
    size_t n = N_HEADS * TENSORS_PER_HEAD + 1 + TENSORS_OF_UNLIKE;
    for (size_t i = 0; i < m->n_networks; i++)
        n += m->networks[i].net->n_params + 3;
    return n;
}

/* At most n_tensors_of; names hold their text. */
static size_t list_tensors(const ser_model_data *m, ser_tensor *tensors, ser_timnet_name *names)
{
    size_t n = 0;
    for (size_t h = 0; h < N_HEADS; h++) {
        const ser_linear *l = head_of((ser_model_data *)m, h);
        const char *name = heads[h].name;
        if (!l->n_in)
            continue;
        add_tensor(tensors, names, &n, name, "mean", l->mean, 0, l->n_in);
        add_tensor(tensors, names, &n, name, "scale", l->scale, 0, l->n_in);
        add_tensor(tensors, names, &n, name, "weight", l->w, l->n_labels, l->n_in);
        add_tensor(tensors, names, &n, name, "bias", l->bias, 0, l->n_labels);
        add_tensor(tensors, names, &n, name, "temperature", &l->temperature, 0, 1);
    }
    if (m->baseline.n_in)
        add_tensor(tensors, names, &n, "baseline", "spread", m->baseline_spread, 0, m->baseline.n_in);
    if (m->unlike.n_in) {
        add_tensor(tensors, names, &n, "unlike", "mean", m->unlike.mean, 0, m->unlike.n_in);
        add_tensor(tensors, names, &n, "unlike", "scale", m->unlike.scale, 0, m->unlike.n_in);
        add_tensor(tensors, names, &n, "unlike", "reach", &m->unlike.reach, 0, 1);
    }
    for (size_t i = 0; i < m->n_networks; i++) {
        const ser_timnet_member *network = &m->networks[i];
        size_t n_in = network->net->shape.n_in;
        char name[32], prefix[40];
        snprintf(name, sizeof name, "timnet.%zu", i);
        snprintf(prefix, sizeof prefix, "%s.", name);
        add_tensor(tensors, names, &n, name, "mean", network->mean, 0, n_in);
        add_tensor(tensors, names, &n, name, "scale", network->scale, 0, n_in);
        add_tensor(tensors, names, &n, name, "temperature", &network->temperature, 0, 1);
        ser_timnet_tensors(network->net, prefix, tensors + n, names + n);
        n += network->net->n_params;
    }
    return n;
}

static json_t *layers_json(const ser_feature_part *part)
{
    json_t *layers = json_array();
    for (size_t i = 0; part && i < part->n_layers; i++)
        ser_json_add(&layers, json_integer(part->layers[i]));
    return layers;
}

static char *features_json(const ser_feature_spec *spec)
{
    ser_text type = {0};
    ser_feature_spec_type(spec, &type);
    size_t n_encoders = ser_feature_spec_n_encoders(spec);
    json_t *layers = n_encoders > 1 ? json_object() : layers_json(ser_feature_spec_encoder(spec));
    for (size_t i = 0; n_encoders > 1 && i < n_encoders; i++) {
        const ser_feature_part *part = ser_feature_spec_encoder_at(spec, i);
        ser_json_set(&layers, ser_feature_kind_name(part->kind), layers_json(part));
    }
    json_t *json = json_pack("{s:s, s:o, s:i, s:i}", "type", type.s ? type.s : "", "layers", layers,
                             "hop_length", spec->hop_samples, "pad", spec->pad_s);
    if (spec->pool_encoder)
        ser_json_set(&json, "pool_encoder", json_true());
    char *text = json && !type.failed ? ser_json_dump(json, 0) : NULL;
    json_decref(json);
    ser_text_release(&type);
    return text;
}

static char *labels_json(const ser_model_data *m)
{
    json_t *json = json_array();
    for (size_t i = 0; i < m->n_labels; i++)
        ser_json_add(&json, json_string(m->labels[i]));
    char *text = ser_json_dump(json, 0);
    json_decref(json);
    return text;
}

static json_t *network_json(const ser_timnet_member *m)
{
    const ser_timnet_shape *s = &m->net->shape;
    json_t *json = json_pack("{s:I, s:I, s:I, s:I, s:I, s:s, s:f}", "n_in", (json_int_t)s->n_in, "n_filters",
                             (json_int_t)s->n_filters, "kernel_size", (json_int_t)s->kernel_size,
                             "n_dilations", (json_int_t)s->n_dilations, "n_stacks", (json_int_t)s->n_stacks,
                             "activation", ser_nonlinearity_name(s->activation), "dropout", s->dropout);
    if (m->condense.n_averaged)
        ser_json_set(&json, "average", json_integer((json_int_t)m->condense.n_averaged));
    if (m->condense.trim)
        ser_json_set(&json, "trim", json_true());
    json_t *blocks = m->blocks ? json_array() : NULL;
    for (int b = 0; b < SER_TIMNET_MAX_BLOCKS; b++)
        if (m->blocks >> b & 1)
            ser_json_add(&blocks, json_integer(b));
    if (blocks)
        ser_json_set(&json, "blocks", blocks);
    return json;
}

static char *networks_json(const ser_model_data *m)
{
    json_t *json = json_array();
    for (size_t i = 0; i < m->n_networks; i++)
        ser_json_add(&json, network_json(&m->networks[i]));
    char *text = ser_json_dump(json, 0);
    json_decref(json);
    return text;
}

ser_status ser_model_data_write(const ser_model_data *m, const char *path, const ser_tensor *encoder_tensors,
                                size_t n_encoder_tensors, ser_error *err)
{
    char version[16];
    char *features = features_json(&m->spec), *labels = labels_json(m);
    char *networks = m->n_networks ? networks_json(m) : NULL;
    ser_tensor *tensors = ser_alloc(n_tensors_of(m) + n_encoder_tensors, sizeof *tensors);
    ser_timnet_name *names = ser_alloc(n_tensors_of(m), sizeof *names);
    ser_status st;
    if (!features || !labels || !tensors || !names || (m->n_networks && !networks)) {
        st = ser_fail_nomem(err);
        goto done;
    }
    size_t n_tensors = list_tensors(m, tensors, names);
    for (size_t i = 0; i < n_encoder_tensors; i++)
        tensors[n_tensors++] = encoder_tensors[i];
    snprintf(version, sizeof version, "%d", m->spec.pool_encoder ? SER_MODEL_FORMAT_VERSION : 1);
    char config_keys[SER_MAX_PARTS][48], min_confidence[32], plain[32];
    const char *metadata[10 + SER_MAX_PARTS][2] = {{"ser.format_version", version},
                                                   {"ser.model_type", ser_model_data_type(m)},
                                                   {"ser.features", features},
                                                   {"ser.labels", labels},
                                                   {"ser.version", SER_VERSION}};
    size_t n_metadata = 5;
    if (networks)
        metadata[n_metadata][0] = "ser.networks", metadata[n_metadata++][1] = networks;
    if (m->encoder_sha256[0])
        metadata[n_metadata][0] = "ser.encoder_sha256", metadata[n_metadata++][1] = m->encoder_sha256;
    for (size_t i = 0; i < SER_MAX_PARTS && m->encoder_configs[i]; i++) {
        encoder_config_key(config_keys[i], i);
        metadata[n_metadata][0] = config_keys[i], metadata[n_metadata++][1] = m->encoder_configs[i];
    }
    if (m->provenance)
        metadata[n_metadata][0] = "ser.provenance", metadata[n_metadata++][1] = m->provenance;
    if (m->min_confidence > 0) {
        snprintf(min_confidence, sizeof min_confidence, "%.9g", m->min_confidence);
        metadata[n_metadata][0] = "ser.min_confidence", metadata[n_metadata++][1] = min_confidence;
    }
    if (m->min_confidence_plain > 0) {
        snprintf(plain, sizeof plain, "%.9g", m->min_confidence_plain);
        metadata[n_metadata][0] = "ser.min_confidence_plain", metadata[n_metadata++][1] = plain;
    }
    st = ser_safetensors_write(path, tensors, n_tensors, (const char *const(*)[2])metadata, n_metadata, err);
done:
    ser_free(tensors);
    ser_free(names);
    free(features);
    free(labels);
    free(networks);
    return st;
}

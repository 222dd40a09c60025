#include "report/setup.h"
#include "report/run_json.h"

#include <stdlib.h>

void ser_append_setting(ser_text *t, const json_t *value)
{
    const char *key;
    json_t *part;
    char *text = json_is_object(value) || json_is_string(value)
                     ? NULL
                     : ser_json_dump(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(4));
    if (text || json_is_string(value))
        ser_text_append(t, text ? text : json_string_value(value));
    else if (!json_is_object(value))
        t->failed = true;
    free(text);
    json_object_foreach((json_t *)value, key, part)
    {
        ser_text_appendf(t, "%s%s ",
                         json_object_iter((json_t *)value) == json_object_key_to_iter(key) ? "" : " / ", key);
        ser_append_setting(t, part);
    }
}

static const char *const told_settings[] = {
    "augment",       "networks",       "epoch",           "batch_size",     "lr",
    "beta1",         "beta2",          "warmup",          "decay",          "patience",
    "validation",    "average",        "label_smoothing", "class_weights",  "time_masks",
    "feature_masks", "mixup",          "filter_size",     "kernel_size",    "dilation_size",
    "stack_size",    "dropout",        "activation",      "average_frames", "trim",
    "lmmd_weight",   "entropy_weight", "balance_weight"};

/* What is null or false is left out. */
void ser_append_settings(ser_text *t, const json_t *config)
{
    enum { WIDTH = 80 };
    size_t line = t->n;
    ser_text one = {0};
    for (size_t k = 0; k < sizeof told_settings / sizeof *told_settings; k++) {
        const json_t *value = json_object_get(config, told_settings[k]);
        if (!value || json_is_null(value) || json_is_false(value))
            continue;
        ser_text_clear(&one);
        ser_text_appendf(&one, "%s ", told_settings[k]);
        ser_append_setting(&one, value);
        bool is_first = t->n == line;
        if (!is_first && t->n + one.n + 3 > line + WIDTH) {
            ser_text_append(t, ",\n");
            line = t->n;
            is_first = true;
        }
        ser_text_appendf(t, "%s%s", is_first ? "" : ", ", one.s ? one.s : "");
    }
    t->failed = t->failed || one.failed;
    ser_text_release(&one);
    if (t->n > line)
        ser_text_append(t, "\n");
}

void ser_append_setup(ser_text *t, const ser_run_report *r)
{
    if (r->cross)
        ser_text_appendf(t, "%s to %s, emotions mapped by %s, ", r->cross->source, r->cross->target,
                         r->cross->mapping);
    else
        ser_text_appendf(t, "%s, %s, ", r->corpus, r->protocol);
    ser_text_appendf(t, "%s, %s, normalize %s, precision %s, seed %llu\n", r->features, r->model_type,
                     r->normalize, r->precision, (unsigned long long)r->seed);
    ser_append_settings(t, r->config);
}

static void append_json(ser_text *t, json_t *value)
{
    char *text = ser_json_dump(value, JSON_COMPACT | JSON_REAL_PRECISION(2));
    ser_text_append(t, text ? text : "");
    t->failed |= !text;
    free(text);
    json_decref(value);
}

void ser_append_choice(ser_text *t, const ser_run_report *r, const ser_run_fold *f)
{
    const ser_run_choice *c = f->choice;
    bool has_encoder = false;
    for (size_t i = 0; i < r->n_blocks; i++)
        has_encoder |= r->blocks[i].encoder != NULL;
    if (has_encoder) {
        ser_text_append(t, "layers ");
        append_json(t, ser_run_layers_json(r->blocks, r->n_blocks, f->blocks));
        ser_text_append(t, "  ");
    }
    ser_text_appendf(t, "spread %g  c %g", c->spread_weight, c->c);
    if (c->layer_weights) {
        ser_text_append(t, "  weights ");
        append_json(t, ser_run_layer_weights_json(r->blocks, r->n_blocks, c->layer_weights));
    }
}

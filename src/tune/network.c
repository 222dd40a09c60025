#include "base/memory.h"
#include "base/text.h"
#include "encoder/kind.h"
#include "io/checkpoint.h"
#include "tune/whisper_tune.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { KERNEL = 3, ALIGNMENT = 16 }; /* floats */

/* ---- what there is ---- */

typedef struct opening {
    ser_tune_net *net;
    ser_encoder_plan plan; /* up to the last hidden state */
    size_t capacity;
} opening;

static ser_status add_tensor(opening *o, const char *name, size_t n_out, size_t n_in, bool is_conv, int depth,
                             ser_error *err)
{
    ser_tune_net *net = o->net;
    if (!ser_grow(&net->tensors, &o->capacity, net->n_tensors + 1, sizeof *net->tensors))
        return ser_fail_nomem(err);
    ser_tune_tensor *t = &net->tensors[net->n_tensors++];
    *t = (ser_tune_tensor){.n_out = n_out, .n_in = n_in, .is_conv = is_conv, .depth = depth};
    snprintf(t->name, sizeof t->name, "%s", name);
    bool is_wide = depth <= net->shape.last && n_in > net->shape.dims && n_in % net->shape.dims == 0;
    t->n_panels = is_conv ? KERNEL : is_wide ? n_in / net->shape.dims : 1;
    t->at = net->n_values;
    t->n = n_out * n_in;
    net->n_values += (t->n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return SER_OK;
}

/* Tensors weight and bias of a module of the encoder. */
static ser_status add_module(opening *o, const ser_module_spec *spec, int depth, ser_error *err)
{
    char name[96];
    size_t dims[SER_MODULE_DIMS];
    ser_status st = SER_OK;
    for (int i = 0; i < 2 && st == SER_OK; i++) {
        int n_dims = ser_module_tensor(spec, i, name, dims);
        size_t n_in = n_dims > 1 ? dims[1] * (n_dims > 2 ? dims[2] : 1) : 1;
        if (n_dims)
            st = add_tensor(o, name, dims[0], n_in, n_dims == 3, depth, err);
    }
    return st;
}

/* The layer that a module belongs to, counted from 1; 0: the stem; last: the norm behind the last layer. */
static int depth_of(const opening *o, const ser_module_spec *spec)
{
    int layer;
    if (sscanf(spec->name, "layers.%d.", &layer) == 1)
        return layer + 1;
    return strcmp(spec->name, "layer_norm") == 0 ? o->net->shape.last : 0;
}

/* Positions first, since they never learn. */
static ser_status list_tensors(opening *o, ser_error *err)
{
    ser_tune_net *net = o->net;
    ser_status st = SER_OK;
    for (int positions = 1; positions >= 0; positions--)
        for (size_t i = 0; i < o->plan.n_specs && st == SER_OK; i++) {
            const ser_module_spec *spec = &o->plan.specs[i];
            if ((spec->kind == SER_MODULE_TABLE) == positions)
                st = add_module(o, spec, depth_of(o, spec), err);
        }
    net->n_in = 2 * net->shape.dims * net->shape.n_pooled;
    if (st == SER_OK)
        st = add_tensor(o, "head.weight", net->shape.n_labels, net->n_in, false, net->shape.last + 1, err);
    if (st == SER_OK)
        st = add_tensor(o, "head.bias", net->shape.n_labels, 1, false, net->shape.last + 1, err);
    for (size_t i = 0; i < net->n_tensors && st == SER_OK; i++) {
        const ser_tune_tensor *t = &net->tensors[i];
        bool learns = net->shape.from == 0 ? i > 0 : t->depth > net->shape.from;
        if (!learns)
            net->n_frozen = i + 1 < net->n_tensors ? net->tensors[i + 1].at : net->n_values;
    }
    return st;
}

const ser_tune_tensor *ser_tune_net_find(const ser_tune_net *net, const char *name)
{
    for (size_t i = 0; i < net->n_tensors; i++)
        if (strcmp(net->tensors[i].name, name) == 0)
            return &net->tensors[i];
    return NULL;
}

static ser_status check_shape(ser_tune_shape *s, const ser_encoder_plan *all, ser_error *err)
{
    int n_layers = all->info.n_layers;
    if (!s->n_pooled || s->n_pooled > SER_TUNE_MAX_POOLED || s->n_labels < 2)
        return ser_fail(err, SER_E_ARG, "fine-tuning needs hidden states to pool and at least two labels");
    for (size_t i = 0; i < s->n_pooled; i++) {
        if (s->pooled[i] < 0 || s->pooled[i] > n_layers)
            return ser_fail(err, SER_E_ARG, "layer %d does not exist: this encoder has hidden states 0 to %d",
                            s->pooled[i], n_layers);
        if (i && s->pooled[i] <= s->pooled[i - 1])
            return ser_fail(err, SER_E_ARG, "the layers to pool must be in ascending order");
    }
    s->last = s->pooled[s->n_pooled - 1];
    if (s->from < 0 || s->from >= s->last)
        return ser_fail(
            err, SER_E_ARG,
            "fine-tuning from layer %d: with hidden state %d as the last one it can start at 0 to %d",
            s->from, s->last, s->last - 1);
    return SER_OK;
}

static void fill_shape(ser_tune_shape *s, const ser_encoder_plan *p)
{
    s->dims = p->sizes.dims;
    s->n_heads = p->sizes.n_heads;
    s->n_ffn = p->sizes.n_ffn;
    s->n_mels = p->sizes.n_mels;
    s->n_positions = p->sizes.n_positions;
    s->max_samples = p->info.max_samples;
    s->n_layers = p->info.n_layers;
    s->epsilon = p->sizes.epsilon;
}

/* ---- from the file and back ---- */

/* Where number i of a row of the file lies among the values, counted from the tensor's beginning. */
static size_t index_of(const ser_tune_tensor *t, size_t row, size_t i)
{
    size_t width = t->n_in / t->n_panels;
    size_t panel = t->is_conv ? i % KERNEL : i / width, column = t->is_conv ? i / KERNEL : i % width;
    return (panel * t->n_out + row) * width + column;
}

void ser_tune_net_get(float *out, const ser_tune_tensor *t, const float *values)
{
    for (size_t o = 0; o < t->n_out; o++)
        for (size_t i = 0; i < t->n_in; i++)
            out[o * t->n_in + i] = values[t->at + index_of(t, o, i)];
}

/* A whole tensor of the file: out (n). */
static ser_status read_tensor(float *out, const ser_weights *w, const ser_tensor *from, ser_error *err)
{
    size_t n_rows = from->dims[0], n = from->n_elements / n_rows;
    ser_status st = SER_OK;
    for (size_t i = 0; i < n_rows && st == SER_OK; i++)
        st = ser_weights_read(out + i * n, w, from, i * n, n, err);
    return st;
}

static ser_status take_tensor(ser_tune_net *net, const ser_tune_tensor *t, const ser_weights *w,
                              const ser_tensor *from, ser_error *err)
{
    float *x = ser_alloc(t->n, sizeof *x);
    ser_status st = x ? read_tensor(x, w, from, err) : ser_fail_nomem(err);
    for (size_t o = 0; o < t->n_out && st == SER_OK; o++)
        for (size_t i = 0; i < t->n_in; i++)
            net->values[t->at + index_of(t, o, i)] = x[o * t->n_in + i];
    ser_free(x);
    return st;
}

static ser_status read_values(opening *o, const ser_weights *w, ser_error *err)
{
    ser_tune_net *net = o->net;
    char name[96];
    size_t dims[SER_MODULE_DIMS];
    ser_status st = SER_OK;
    for (size_t k = 0; k < 2 * o->plan.n_specs && st == SER_OK; k++) {
        const ser_module_spec *spec = &o->plan.specs[k / 2];
        if (!ser_module_tensor(spec, (int)(k % 2), name, dims))
            continue;
        const ser_tune_tensor *to = ser_tune_net_find(net, name);
        st = take_tensor(net, to, w, ser_weights_find(w, spec, (int)(k % 2)), err);
    }
    return st;
}

static ser_status read_checkpoint(opening *o, const char *folder, ser_error *err)
{
    const char *file_name;
    ser_safetensors *file = NULL;
    ser_weights w;
    ser_status st = ser_checkpoint_open(&file, &file_name, folder, err);
    if (st != SER_OK)
        return st;
    st = ser_weights_init(&w, file, "", o->plan.specs, err);
    if (st == SER_OK)
        st = ser_modules_check(o->plan.specs, o->plan.n_specs, &w, err);
    if (st == SER_OK)
        st = read_values(o, &w, err);
    ser_safetensors_close(&file);
    return st == SER_OK ? st : ser_fail_within(err, st, "%s: ", file_name);
}

static ser_status plan_folder(ser_encoder_plan *p, const char *folder, int last, ser_error *err)
{
    const ser_encoder_kind *kind;
    *p = (ser_encoder_plan){0};
    ser_status st = ser_encoder_plan_folder(p, &kind, folder, last, err);
    if (st == SER_OK && kind != &ser_encoder_whisper)
        st = ser_fail(err, SER_E_UNSUPPORTED,
                      "%s holds an encoder of the type %s: only Whisper's can be fine-tuned", folder,
                      p->info.model_type);
    return st;
}

static ser_status make(opening *o, const char *folder, ser_error *err)
{
    ser_tune_net *net = o->net;
    ser_status st = plan_folder(&o->plan, folder, -1, err);
    if (st == SER_OK)
        st = check_shape(&net->shape, &o->plan, err);
    ser_free(o->plan.specs);
    o->plan.specs = NULL;
    if (st == SER_OK)
        st = plan_folder(&o->plan, folder, net->shape.last, err);
    if (st != SER_OK)
        return st;
    fill_shape(&net->shape, &o->plan);
    if ((st = list_tensors(o, err)) != SER_OK)
        return st;
    net->values = ser_alloc(net->n_values, sizeof *net->values);
    net->centre = ser_alloc(net->n_in, sizeof *net->centre);
    net->factor = ser_alloc(net->n_in, sizeof *net->factor);
    net->folder = ser_strdup(folder);
    if (!net->values || !net->centre || !net->factor || !net->folder)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < net->n_in; i++)
        net->factor[i] = 1;
    return read_checkpoint(o, folder, err);
}

ser_status ser_tune_net_open(ser_tune_net **out, const char *folder, const ser_tune_shape *shape,
                             ser_error *err)
{
    *out = NULL;
    ser_tune_net *net = ser_alloc(1, sizeof *net);
    if (!net)
        return ser_fail_nomem(err);
    net->shape = *shape;
    opening o = {.net = net};
    ser_status st = make(&o, folder, err);
    ser_free(o.plan.specs);
    if (st == SER_OK)
        *out = net;
    else
        ser_tune_net_free(&net);
    return st;
}

void ser_tune_net_free(ser_tune_net **net)
{
    if (!*net)
        return;
    ser_free((*net)->tensors);
    ser_free((*net)->values);
    ser_free((*net)->centre);
    ser_free((*net)->factor);
    ser_free((*net)->folder);
    ser_free(*net);
    *net = NULL;
}

/* ---- saving ---- */

typedef struct saving {
    const ser_tune_net *net;
    const float *values;
    ser_weights w; /* of the checkpoint that it came from */
    ser_tensor *tensors;
    size_t n;
} saving;

static ser_status copy_tensor(float *to, const saving *s, const ser_module_spec *spec, int i,
                              const char *name, ser_error *err)
{
    const ser_tune_tensor *t = ser_tune_net_find(s->net, name);
    if (!t) /* of a layer above the last one */
        return read_tensor(to, &s->w, ser_weights_find(&s->w, spec, i), err);
    ser_tune_net_get(to, t, s->values);
    return SER_OK;
}

/* Appends tensor i of a module, as the file has it but for the prefix. */
static ser_status put_tensor(saving *s, const ser_module_spec *spec, int i, ser_error *err)
{
    char name[96];
    ser_tensor *t = &s->tensors[s->n];
    *t = (ser_tensor){.dtype = SER_F32, .n_elements = 1};
    t->n_dims = ser_module_tensor(spec, i, name, t->dims);
    if (!t->n_dims)
        return SER_OK;
    s->n++;
    for (int d = 0; d < t->n_dims; d++)
        t->n_elements *= t->dims[d];
    t->n_bytes = t->n_elements * sizeof(float);
    ser_text full = {0};
    ser_text_appendf(&full, "model.encoder.%s", name);
    t->name = full.s;
    float *data = ser_alloc(t->n_elements, sizeof *data);
    t->data = data;
    return full.failed || !data ? ser_fail_nomem(err) : copy_tensor(data, s, spec, i, name, err);
}

static ser_status copy_text(const char *from, const char *to, const char *name, bool optional, ser_error *err)
{
    ser_bytes bytes = {0};
    char *source = ser_io_join(from, name), *target = ser_io_join(to, name);
    ser_status st = source && target ? SER_OK : ser_fail_nomem(err);
    bool is_there = st == SER_OK && access(source, F_OK) == 0;
    if (st == SER_OK && (is_there || !optional))
        st = ser_io_read(&bytes, source, SER_MAX_CONFIG_BYTES, err);
    if (st == SER_OK && is_there)
        st = ser_io_write(target, bytes.data, bytes.n, err);
    ser_bytes_release(&bytes);
    ser_free(source);
    ser_free(target);
    return st;
}

static ser_status write_weights(saving *s, const ser_encoder_plan *p, const char *folder, ser_error *err)
{
    ser_status st = SER_OK;
    s->tensors = ser_alloc(2 * p->n_specs, sizeof *s->tensors);
    if (!s->tensors)
        return ser_fail_nomem(err);
    for (size_t k = 0; k < 2 * p->n_specs && st == SER_OK; k++)
        st = put_tensor(s, &p->specs[k / 2], (int)(k % 2), err);
    char *path = ser_io_join(folder, "model.safetensors");
    const char *const metadata[][2] = {{"format", "pt"}};
    if (st == SER_OK)
        st = path ? ser_safetensors_write(path, s->tensors, s->n, metadata, 1, err) : ser_fail_nomem(err);
    ser_free(path);
    for (size_t i = 0; i < s->n; i++) {
        ser_free((void *)s->tensors[i].name);
        ser_free((void *)s->tensors[i].data);
    }
    ser_free(s->tensors);
    return st;
}

ser_status ser_tune_save_encoder(const ser_tune_net *net, const float *values, const char *folder,
                                 ser_error *err)
{
    const char *file_name;
    ser_safetensors *file = NULL;
    ser_encoder_plan plan;
    saving s = {.net = net, .values = values ? values : net->values};
    ser_status st = plan_folder(&plan, net->folder, -1, err);
    if (st == SER_OK)
        st = ser_checkpoint_open(&file, &file_name, net->folder, err);
    if (st == SER_OK)
        st = ser_weights_init(&s.w, file, "", plan.specs, err);
    if (st == SER_OK)
        st = ser_modules_check(plan.specs, plan.n_specs, &s.w, err);
    if (st == SER_OK)
        st = ser_io_make_folder(folder, err);
    if (st == SER_OK)
        st = write_weights(&s, &plan, folder, err);
    ser_safetensors_close(&file);
    ser_free(plan.specs);
    if (st == SER_OK)
        st = copy_text(net->folder, folder, "preprocessor_config.json", true, err);
    if (st == SER_OK)
        st = copy_text(net->folder, folder, "processor_config.json", true, err);
    return st == SER_OK ? copy_text(net->folder, folder, "config.json", false, err) : st;
}

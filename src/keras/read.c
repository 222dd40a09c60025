#include "base/memory.h"
#include "base/text.h"
#include "io/file.h"
#include "keras/h5.h"
#include "keras/layers.h"
#include "keras/weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_NAME = 200,         /* bytes of a layer's or a weight's name, of which ours have fewer */
    MAX_NAMES = 1 << 16,    /* in a list */
    MAX_ATTRIBUTES = 64,    /* into which a long list is split */
    OTHER_BYTES = 64 << 20, /* beside the values, in a file that makes sense */
    MAX_COPIES = 4          /* of the values: a whole model's file also holds its optimiser's */
};

typedef struct names {
    char (*items)[MAX_NAME + 1];
    size_t n, capacity;
    bool no_memory;
} names;

typedef struct reader {
    const ser_keras_layers *layers;
    bool *found; /* layers->n */
    const ser_timnet *net;
    float *values;
    ser_keras_misfit *misfit; /* NULL: every layer has to fit */
    ser_h5 file;
    ser_h5_object root; /* the group that has the layers */
    ser_error *err;
} reader;

/* ---- lists of names in attributes ---- */

/* A name that is too long is cut, and then nobody's. */
static bool add_name(void *context, const char *s, size_t n)
{
    names *list = context;
    if (list->n == MAX_NAMES)
        return false;
    if (!ser_grow(&list->items, &list->capacity, list->n + 1, sizeof *list->items))
        return !(list->no_memory = true);
    memcpy(list->items[list->n++], s, n < MAX_NAME ? n : MAX_NAME);
    return true;
}

/* The list called name, or name0, name1, ... */
static ser_h5_answer read_names(names *list, ser_h5 *h, ser_h5_object object, const char *name)
{
    *list = (names){0};
    ser_h5_answer answer = ser_h5_texts(h, object, name, add_name, list);
    if (answer != SER_H5_MISSING || list->no_memory)
        return answer;
    for (int i = 0; i < MAX_ATTRIBUTES; i++) {
        char part[64];
        snprintf(part, sizeof part, "%s%d", name, i);
        answer = ser_h5_texts(h, object, part, add_name, list);
        if (answer != SER_H5_FOUND)
            return answer == SER_H5_MISSING && i > 0 && !list->no_memory ? SER_H5_FOUND : answer;
    }
    return SER_H5_FOUND;
}

/* ---- values ---- */

static void append_dims(ser_text *t, const uint64_t *dims, int n_dims)
{
    ser_text_append(t, "(");
    for (int i = 0; i < n_dims; i++)
        ser_text_appendf(t, "%s%llu", i ? ", " : "", (unsigned long long)dims[i]);
    ser_text_append(t, ")");
}

static ser_status fail_sizes(ser_error *err, const ser_keras_layer *layer, const ser_keras_weight *weight,
                             const ser_h5_array *array)
{
    ser_text t = {0};
    append_dims(&t, array->dims, array->n_dims);
    ser_text_append(&t, " in the file, ");
    append_dims(&t, (uint64_t[]){weight->dims[0], weight->dims[1], weight->dims[2]}, weight->n_dims);
    ser_status st = t.failed
                        ? ser_fail_nomem(err)
                        : ser_fail(err, SER_E_FORMAT,
                                   "layer %s: %s is %s in this network: it is another network's file, or "
                                   "needs other size options",
                                   layer->name, weight->name, t.s);
    ser_text_release(&t);
    return st;
}

static ser_status read_weight(reader *r, ser_h5_object group, const char *name, const ser_keras_layer *layer,
                              const ser_keras_weight *weight)
{
    ser_h5_object object;
    ser_h5_array array;
    if (ser_h5_find(&r->file, &object, group, name) != SER_H5_FOUND ||
        ser_h5_read_array(&r->file, &array, object) != SER_H5_FOUND)
        return ser_fail(r->err, SER_E_FORMAT, "layer %s: its %s is not there: the file is damaged",
                        layer->name, weight->name);
    bool fits = array.n_dims == weight->n_dims;
    for (int i = 0; fits && i < array.n_dims; i++)
        fits = array.dims[i] == weight->dims[i];
    if (!fits)
        return fail_sizes(r->err, layer, weight, &array);
    if (!array.is_f32)
        return ser_fail(
            r->err, SER_E_UNSUPPORTED,
            "layer %s: %s is no plain array of 32-bit floating-point numbers, or was cut off: save it "
            "with Keras again",
            layer->name, weight->name);
    float *values = r->values + weight->offset;
    memcpy(values, array.data, array.n_bytes);
    for (size_t i = 0; i < weight->n; i++)
        if (!isfinite(values[i]))
            return ser_fail(r->err, SER_E_FORMAT, "layer %s: %s has a number that is not finite", layer->name,
                            weight->name);
    return SER_OK;
}

/* ---- layers ---- */

static ser_status read_known_layer(reader *r, ser_h5_object group, const ser_keras_layer *layer,
                                   const names *weights)
{
    if (weights->n != (size_t)layer->n_weights)
        return ser_fail(r->err, SER_E_FORMAT,
                        "layer %s has %zu tensors, this network's has %d: it is another network's file",
                        layer->name, weights->n, layer->n_weights);
    ser_status st = SER_OK;
    for (size_t i = 0; i < weights->n && st == SER_OK; i++)
        st = read_weight(r, group, weights->items[i], layer, &layer->weights[i]);
    return st;
}

static ser_status fail_unknown(ser_error *err, const char *name)
{
    char shown[MAX_NAME + 1];
    size_t n = strlen(name);
    for (size_t i = 0; i <= n; i++) /* it becomes part of one line */
        shown[i] = (unsigned char)name[i] >= 0x20 && name[i] < 0x7F ? name[i] : name[i] ? '?' : 0;
    return ser_fail(err, SER_E_FORMAT,
                    "it has a layer '%s', which this network has not: it is another network's file, or needs "
                    "other size options",
                    shown);
}

/* A layer that does not fit keeps its values: all of them, because half a layer is worth nothing. name may be
 * the file's own. */
static ser_status pass_over(reader *r, const char *name, const ser_keras_layer *layer, ser_status failed)
{
    ser_keras_misfit *m = r->misfit;
    if (!m || failed == SER_E_NOMEM)
        return failed;
    for (int i = 0; layer && i < layer->n_weights; i++)
        memcpy(r->values + layer->weights[i].offset, r->net->values + layer->weights[i].offset,
               layer->weights[i].n * sizeof *r->values);
    ser_text_appendf(&m->names, "%s%s", m->names.n ? ", " : "", name);
    if (!m->n++)
        m->first = *r->err;
    return m->names.failed ? ser_fail_nomem(r->err) : SER_OK;
}

static ser_status read_layer(reader *r, const char *name)
{
    size_t i = 0;
    while (i < r->layers->n && strcmp(r->layers->items[i].name, name) != 0)
        i++;
    bool known = i < r->layers->n;
    if (known && r->found[i] && r->misfit)
        return SER_OK; /* the first one counts */
    if (known && r->found[i])
        return ser_fail(r->err, SER_E_FORMAT, "layer %s is in it twice: the file is damaged",
                        r->layers->items[i].name);
    if (known)
        r->found[i] = true;
    names weights = {0};
    ser_h5_object group;
    ser_status st = SER_OK;
    bool listed = ser_h5_find(&r->file, &group, r->root, name) == SER_H5_FOUND &&
                  read_names(&weights, &r->file, group, "weight_names") == SER_H5_FOUND;
    if (weights.no_memory) {
        st = ser_fail_nomem(r->err);
    } else if (known && !listed) {
        st = ser_fail(r->err, SER_E_FORMAT, "layer %s has no list of tensors: the file is damaged",
                      r->layers->items[i].name);
    } else if (known) {
        st = read_known_layer(r, group, &r->layers->items[i], &weights);
    } else if (weights.n && !r->misfit) { /* else nothing of this network waits for it */
        st = fail_unknown(r->err, name);
    }
    ser_free(weights.items);
    return st == SER_OK || !known ? st : pass_over(r, r->layers->items[i].name, &r->layers->items[i], st);
}

static ser_status read_layers(reader *r)
{
    names list;
    ser_status st = SER_OK;
    ser_h5_answer answer = read_names(&list, &r->file, r->root, "layer_names");
    if (list.no_memory)
        st = ser_fail_nomem(r->err);
    else if (answer != SER_H5_FOUND)
        st = ser_fail(r->err, SER_E_UNSUPPORTED,
                      "it has no list 'layer_names': save it in Keras's older layout (Keras 3: "
                      "model.save(\"weights.h5\"))");
    for (size_t i = 0; i < list.n && st == SER_OK; i++)
        st = read_layer(r, list.items[i]);
    for (size_t i = 0; i < r->layers->n && st == SER_OK; i++)
        if (!r->found[i])
            st = pass_over(r, r->layers->items[i].name, NULL,
                           ser_fail(r->err, SER_E_FORMAT,
                                    "it has no layer %s: it is another network's file, or needs other size "
                                    "options",
                                    r->layers->items[i].name));
    if (r->misfit)
        r->misfit->n_layers = r->layers->n;
    if (st == SER_OK && r->misfit && r->misfit->n == r->layers->n)
        st =
            ser_fail(r->err, SER_E_FORMAT, "none of its layers fits this network: %s", r->misfit->first.text);
    ser_free(list.items);
    return st;
}

static ser_status read_file(reader *r, const unsigned char *bytes, size_t n)
{
    ser_h5_answer answer = ser_h5_open(&r->file, bytes, n);
    if (answer == SER_H5_MISSING)
        return ser_fail(r->err, SER_E_FORMAT, "it is no HDF5 file: name a weights.h5");
    if (answer == SER_H5_DAMAGED)
        return ser_fail(r->err, SER_E_FORMAT,
                        "the HDF5 file is damaged, cut off or of a newer layout: save it with Keras again");
    /* A whole model's file has the layers one level down. */
    if (ser_h5_find(&r->file, &r->root, r->file.root, "model_weights") != SER_H5_FOUND)
        r->root = r->file.root;
    return read_layers(r);
}

static ser_status read_memory(const unsigned char *bytes, size_t n, ser_timnet *net, ser_keras_misfit *misfit,
                              ser_error *err)
{
    ser_keras_layers layers;
    ser_error own = {0}; /* of layers that are passed over */
    ser_status st = ser_keras_layers_init(&layers, net, err);
    if (st != SER_OK)
        return st;
    reader r = {.layers = &layers,
                .found = ser_alloc(layers.n, sizeof *r.found),
                .net = net,
                .values = ser_alloc(net->n_values, sizeof *r.values),
                .misfit = misfit,
                .err = &own};
    if (!r.found || !r.values) {
        st = ser_fail_nomem(&own);
    } else {
        memcpy(r.values, net->values, net->n_values * sizeof *net->values);
        st = read_file(&r, bytes, n);
    }
    if (st == SER_OK)
        memcpy(net->values, r.values, net->n_values * sizeof *net->values);
    else if (err)
        *err = own;
    ser_free(r.values);
    ser_free(r.found);
    ser_keras_layers_release(&layers);
    return st;
}

ser_status ser_keras_weights_read_memory(const unsigned char *bytes, size_t n, ser_timnet *net,
                                         ser_error *err)
{
    return read_memory(bytes, n, net, NULL, err);
}

ser_status ser_keras_weights_read_fitting_memory(const unsigned char *bytes, size_t n, ser_timnet *net,
                                                 ser_keras_misfit *misfit, ser_error *err)
{
    *misfit = (ser_keras_misfit){0};
    return read_memory(bytes, n, net, misfit, err);
}

void ser_keras_misfit_release(ser_keras_misfit *m)
{
    ser_text_release(&m->names);
    *m = (ser_keras_misfit){0};
}

static ser_status read_path(const char *path, ser_timnet *net, ser_keras_misfit *misfit, ser_error *err)
{
    ser_bytes bytes;
    ser_status st =
        ser_io_map(&bytes, path, net->n_values * sizeof *net->values * MAX_COPIES + OTHER_BYTES, err);
    if (st != SER_OK)
        return st;
    st = read_memory(bytes.data, bytes.n, net, misfit, err);
    ser_bytes_release(&bytes);
    return st;
}

ser_status ser_keras_weights_read(const char *path, ser_timnet *net, ser_error *err)
{
    return read_path(path, net, NULL, err);
}

ser_status ser_keras_weights_read_fitting(const char *path, ser_timnet *net, ser_keras_misfit *misfit,
                                          ser_error *err)
{
    *misfit = (ser_keras_misfit){0};
    return read_path(path, net, misfit, err);
}

#include "base/memory.h"
#include "base/text.h"
#include "io/file.h"
#include "keras/layers.h"
#include "keras/quiet.h"
#include "keras/weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_NAMES = 1 << 16,    /* in one attribute */
    MAX_NAME = 200,         /* bytes of a layer's or a weight's name, of which ours have fewer */
    MAX_ATTRIBUTES = 64,    /* into which a long list is split */
    OTHER_BYTES = 64 << 20, /* beside the values, in a file that makes sense */
    MAX_COPIES = 4          /* of the values: a whole model's file also holds its optimiser's */
};

typedef struct names {
    char (*items)[MAX_NAME + 1];
    size_t n, capacity;
} names;

typedef struct reader {
    const ser_keras_layers *layers;
    bool *found; /* layers->n */
    float *values;
    hid_t root; /* the group that has the layers */
    ser_error *err;
} reader;

/* ---- lists of names in attributes ---- */

/* false: no memory. A name that is too long is cut, and then nobody's. */
static bool add_name(names *list, const char *s, size_t n)
{
    if (!ser_grow(&list->items, &list->capacity, list->n + 1, sizeof *list->items))
        return false;
    n = strnlen(s, n);
    memcpy(list->items[list->n++], s, n < MAX_NAME ? n : MAX_NAME);
    return true;
}

/* Texts of variable length, as h5py writes them since 3.14; libhdf5 allocates each. */
static bool read_variable(names *list, hid_t attribute, hid_t type, hid_t space, size_t n)
{
    char **texts = ser_alloc(n, sizeof *texts);
    hid_t memory_type = H5Tcopy(H5T_C_S1);
    bool good = texts && H5Tset_size(memory_type, H5T_VARIABLE) >= 0 &&
                H5Tset_cset(memory_type, H5Tget_cset(type)) >= 0 &&
                H5Aread(attribute, memory_type, texts) >= 0;
    for (size_t i = 0; good && i < n; i++)
        good = add_name(list, texts[i] ? texts[i] : "", SIZE_MAX);
    if (texts)
        H5Dvlen_reclaim(memory_type, space, H5P_DEFAULT, texts);
    H5Tclose(memory_type);
    ser_free(texts);
    return good;
}

static bool read_fixed(names *list, hid_t attribute, hid_t type, size_t n)
{
    size_t width = H5Tget_size(type);
    if (width < 1 || width > MAX_NAME)
        return false;
    char *texts = ser_alloc(n, width);
    bool good = texts && H5Aread(attribute, type, texts) >= 0;
    for (size_t i = 0; good && i < n; i++)
        good = add_name(list, texts + i * width, width);
    ser_free(texts);
    return good;
}

/* Appends the names in one attribute; false: it is no list of texts. */
static bool read_attribute(names *list, hid_t object, const char *name)
{
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    if (attribute < 0)
        return false;
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    hssize_t n = H5Sget_simple_extent_npoints(space);
    bool good = n == 0 || (n > 0 && n <= MAX_NAMES && H5Tget_class(type) == H5T_STRING);
    if (good && n > 0) /* Keras's empty lists are of numbers */
        good = H5Tis_variable_str(type) > 0 ? read_variable(list, attribute, type, space, (size_t)n)
                                            : read_fixed(list, attribute, type, (size_t)n);
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
    return good;
}

/* The list called name, or name0, name1, ...; false: there is none, or it is damaged. */
static bool read_names(names *list, hid_t object, const char *name)
{
    *list = (names){0};
    if (H5Aexists(object, name) > 0)
        return read_attribute(list, object, name);
    char part[64];
    for (int i = 0; i < MAX_ATTRIBUTES; i++) {
        snprintf(part, sizeof part, "%s%d", name, i);
        if (H5Aexists(object, part) <= 0)
            return i > 0;
        if (!read_attribute(list, object, part))
            return false;
    }
    return true;
}

/* ---- values ---- */

/* Only what lies in this file: links to others could name any file of this machine. path: with '/'. */
static hid_t open_within(hid_t parent, const char *path)
{
    char part[MAX_NAME + 1];
    hid_t object = H5I_INVALID_HID;
    while (*path) {
        H5L_info_t link;
        size_t n = strcspn(path, "/");
        memcpy(part, path, n);
        part[n] = 0;
        path += n + (path[n] == '/');
        hid_t from = object >= 0 ? object : parent;
        bool good = n > 0 && strcmp(part, ".") != 0 && H5Lget_info(from, part, &link, H5P_DEFAULT) >= 0 &&
                    link.type == H5L_TYPE_HARD;
        hid_t next = good ? H5Oopen(from, part, H5P_DEFAULT) : H5I_INVALID_HID;
        if (object >= 0)
            H5Oclose(object);
        if ((object = next) < 0)
            return object;
    }
    return object;
}

static void append_dims(ser_text *t, const hsize_t *dims, int n_dims)
{
    ser_text_append(t, "(");
    for (int i = 0; i < n_dims; i++)
        ser_text_appendf(t, "%s%llu", i ? ", " : "", (unsigned long long)dims[i]);
    ser_text_append(t, ")");
}

static ser_status fail_sizes(ser_error *err, const ser_keras_layer *layer, const ser_keras_weight *weight,
                             const hsize_t *dims, int n_dims)
{
    ser_text t = {0};
    append_dims(&t, dims, n_dims);
    ser_text_append(&t, " in the file, ");
    append_dims(&t, (hsize_t[]){weight->dims[0], weight->dims[1], weight->dims[2]}, weight->n_dims);
    ser_status st = t.failed
                        ? ser_fail_nomem(err)
                        : ser_fail(err, SER_E_FORMAT,
                                   "layer %s: %s is %s in this network: it is another network's file, or "
                                   "needs other size options",
                                   layer->name, weight->name, t.s);
    ser_text_release(&t);
    return st;
}

static ser_status read_values(float *values, hid_t data, const ser_keras_layer *layer,
                              const ser_keras_weight *weight, ser_error *err)
{
    hid_t type = H5Dget_type(data), properties = H5Dget_create_plist(data);
    /* In one piece in this file: Keras writes nothing else, and every other layout can be a bomb. */
    bool good = H5Tget_class(type) == H5T_FLOAT && H5Tget_size(type) <= 8 &&
                H5Pget_external_count(properties) == 0 &&
                (H5Pget_layout(properties) == H5D_CONTIGUOUS || H5Pget_layout(properties) == H5D_COMPACT);
    H5Tclose(type);
    H5Pclose(properties);
    if (!good)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "layer %s: %s is no plain array of floating-point numbers: save it with Keras again",
                        layer->name, weight->name);
    if (H5Dread(data, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values + weight->offset) < 0)
        return ser_fail(err, SER_E_FORMAT, "layer %s: %s cannot be read: the file is damaged", layer->name,
                        weight->name);
    for (size_t i = 0; i < weight->n; i++)
        if (!isfinite(values[weight->offset + i]))
            return ser_fail(err, SER_E_FORMAT, "layer %s: %s has a number that is not finite", layer->name,
                            weight->name);
    return SER_OK;
}

static ser_status read_weight(const reader *r, hid_t group, const char *name, const ser_keras_layer *layer,
                              const ser_keras_weight *weight)
{
    hid_t data = open_within(group, name);
    if (data < 0 || H5Iget_type(data) != H5I_DATASET) {
        if (data >= 0)
            H5Oclose(data);
        return ser_fail(r->err, SER_E_FORMAT, "layer %s: its %s is not there: the file is damaged",
                        layer->name, weight->name);
    }
    hsize_t dims[H5S_MAX_RANK];
    hid_t space = H5Dget_space(data);
    int n_dims =
        H5Sget_simple_extent_type(space) == H5S_SIMPLE ? H5Sget_simple_extent_dims(space, dims, NULL) : 0;
    n_dims = n_dims < 0 ? 0 : n_dims;
    bool fits = n_dims == weight->n_dims;
    for (int i = 0; fits && i < n_dims; i++)
        fits = dims[i] == weight->dims[i];
    ser_status st = fits ? read_values(r->values, data, layer, weight, r->err)
                         : fail_sizes(r->err, layer, weight, dims, n_dims);
    H5Sclose(space);
    H5Dclose(data);
    return st;
}

/* ---- layers ---- */

static ser_status read_known_layer(const reader *r, hid_t group, const ser_keras_layer *layer,
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

static ser_status read_layer(reader *r, const char *name)
{
    size_t i = 0;
    while (i < r->layers->n && strcmp(r->layers->items[i].name, name) != 0)
        i++;
    names weights = {0};
    ser_status st = SER_OK;
    if (i < r->layers->n && r->found[i])
        return ser_fail(r->err, SER_E_FORMAT, "layer %s is in it twice: the file is damaged",
                        r->layers->items[i].name);
    hid_t group = open_within(r->root, name);
    if (group < 0 || !read_names(&weights, group, "weight_names")) {
        if (i < r->layers->n)
            st = ser_fail(r->err, SER_E_FORMAT, "layer %s has no list of tensors: the file is damaged",
                          r->layers->items[i].name);
    } else if (i < r->layers->n) {
        st = read_known_layer(r, group, &r->layers->items[i], &weights);
        r->found[i] = true;
    } else if (weights.n) {
        st = fail_unknown(r->err, name);
    }
    if (group >= 0)
        H5Oclose(group);
    ser_free(weights.items);
    return st;
}

static ser_status read_layers(reader *r)
{
    names list;
    ser_status st = SER_OK;
    if (!read_names(&list, r->root, "layer_names"))
        st = ser_fail(r->err, SER_E_UNSUPPORTED,
                      "it has no list 'layer_names': save it in Keras's older layout (Keras 3: "
                      "model.save(\"weights.h5\"))");
    for (size_t i = 0; i < list.n && st == SER_OK; i++)
        st = read_layer(r, list.items[i]);
    for (size_t i = 0; i < r->layers->n && st == SER_OK; i++)
        if (!r->found[i])
            st = ser_fail(r->err, SER_E_FORMAT,
                          "it has no layer %s: it is another network's file, or needs other size options",
                          r->layers->items[i].name);
    ser_free(list.items);
    return st;
}

/* A whole model's file has the layers one level down. */
static hid_t open_root(hid_t file)
{
    hid_t inner = H5Aexists(file, "layer_names") > 0 || H5Aexists(file, "layer_names0") > 0
                      ? H5I_INVALID_HID
                      : open_within(file, "model_weights");
    return inner >= 0 ? inner : H5Oopen(file, "/", H5P_DEFAULT);
}

static ser_status read_image(reader *r, const unsigned char *bytes, size_t n)
{
    static const char magic[8] = "\x89HDF\r\n\x1a\n";
    if (n < sizeof magic || memcmp(bytes, magic, sizeof magic) != 0)
        return ser_fail(r->err, SER_E_FORMAT, "it is no HDF5 file: name a weights.h5");
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_core(access, 1 << 20, false);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    /* libhdf5 copies the bytes and leaves these as they are. */
    H5Pset_file_image(access, (void *)(uintptr_t)bytes, n);
    hid_t file = H5Fopen(ser_hdf5_name_for(&access).text, H5F_ACC_RDONLY, access);
    H5Pclose(access);
    if (file < 0)
        return ser_fail(r->err, SER_E_FORMAT,
                        "the HDF5 file is damaged or was cut off: fetch or save it again");
    r->root = open_root(file);
    ser_status st = r->root >= 0
                        ? read_layers(r)
                        : ser_fail(r->err, SER_E_FORMAT, "the HDF5 file is damaged: fetch or save it again");
    if (r->root >= 0)
        H5Oclose(r->root);
    H5Fclose(file);
    return st;
}

ser_status ser_keras_weights_read_memory(const unsigned char *bytes, size_t n, ser_timnet *net,
                                         ser_error *err)
{
    ser_keras_layers layers;
    ser_status st = ser_keras_layers_init(&layers, net, err);
    if (st != SER_OK)
        return st;
    reader r = {.layers = &layers,
                .found = ser_alloc(layers.n, sizeof *r.found),
                .values = ser_alloc(net->n_values, sizeof *r.values),
                .err = err};
    if (!r.found || !r.values) {
        st = ser_fail_nomem(err);
    } else {
        ser_hdf5_voice voice = ser_hdf5_silence();
        st = read_image(&r, bytes, n);
        ser_hdf5_restore(voice);
    }
    if (st == SER_OK)
        memcpy(net->values, r.values, net->n_values * sizeof *net->values);
    ser_free(r.values);
    ser_free(r.found);
    ser_keras_layers_release(&layers);
    return st;
}

ser_status ser_keras_weights_read(const char *path, ser_timnet *net, ser_error *err)
{
    ser_bytes bytes;
    ser_status st =
        ser_io_map(&bytes, path, net->n_values * sizeof *net->values * MAX_COPIES + OTHER_BYTES, err);
    if (st != SER_OK)
        return st;
    st = ser_keras_weights_read_memory(bytes.data, bytes.n, net, err);
    ser_bytes_release(&bytes);
    return st;
}

#include "base/memory.h"
#include "io/file.h"
#include "keras/layers.h"
#include "keras/quiet.h"
#include "keras/weights.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum {
    NAME = 88,                    /* room for "LAYER/weight:0" */
    MAX_ATTRIBUTE = 64512,        /* bytes: what Keras puts into one attribute; HDF5's own limit is 64 KiB */
    IMAGE_INCREMENT = 4 * 1 << 20 /* bytes by which the file in memory grows */
};

/* Creation properties shared by all objects: no times, so that the same values give the same bytes; folders
 * on the way are made. */
typedef struct writer {
    hid_t file, dataset_properties, link_properties;
} writer;

/* names (n, NAME), 0-terminated, as an attribute of fixed-length strings. */
static bool write_names(hid_t object, const char *attribute, const char *names, size_t n)
{
    size_t width = 1;
    for (size_t i = 0; i < n; i++)
        width = strlen(names + i * NAME) > width ? strlen(names + i * NAME) : width;
    char *packed = ser_alloc(n, width);
    for (size_t i = 0; packed && i < n; i++)
        memcpy(packed + i * width, names + i * NAME, strlen(names + i * NAME));
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, (hsize_t[]){n}, NULL);
    bool good = packed && H5Tset_size(type, width) >= 0 && H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0;
    hid_t a = good ? H5Acreate2(object, attribute, type, space, H5P_DEFAULT, H5P_DEFAULT) : H5I_INVALID_HID;
    good = a >= 0 && H5Awrite(a, type, packed) >= 0;
    if (a >= 0)
        H5Aclose(a);
    H5Sclose(space);
    H5Tclose(type);
    ser_free(packed);
    return good;
}

static bool write_text(hid_t object, const char *attribute, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    bool good = H5Tset_size(type, strlen(text)) >= 0 && H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0;
    hid_t a = good ? H5Acreate2(object, attribute, type, space, H5P_DEFAULT, H5P_DEFAULT) : H5I_INVALID_HID;
    good = a >= 0 && H5Awrite(a, type, text) >= 0;
    if (a >= 0)
        H5Aclose(a);
    H5Sclose(space);
    H5Tclose(type);
    return good;
}

/* Where the list is too long for one attribute, Keras looks for layer_names0, layer_names1, ... */
static bool write_layer_names(const writer *w, const ser_keras_layers *layers)
{
    size_t per_attribute = MAX_ATTRIBUTE / sizeof layers->items->name;
    char *names = ser_alloc(layers->n, NAME), attribute[32];
    bool good = names != NULL;
    for (size_t i = 0; good && i < layers->n; i++)
        snprintf(names + i * NAME, NAME, "%s", layers->items[i].name);
    if (good && layers->n <= per_attribute)
        good = write_names(w->file, "layer_names", names, layers->n);
    else
        for (size_t i = 0; good && i < layers->n; i += per_attribute) {
            size_t n = layers->n - i < per_attribute ? layers->n - i : per_attribute;
            snprintf(attribute, sizeof attribute, "layer_names%zu", i / per_attribute);
            good = write_names(w->file, attribute, names + i * NAME, n);
        }
    ser_free(names);
    return good;
}

static bool write_weight(const writer *w, hid_t group, const char *name, const ser_keras_weight *weight,
                         const float *values)
{
    hsize_t dims[3] = {weight->dims[0], weight->dims[1], weight->dims[2]};
    hid_t space = H5Screate_simple(weight->n_dims, dims, NULL);
    hid_t data = H5Dcreate2(group, name, H5T_IEEE_F32LE, space, w->link_properties, w->dataset_properties,
                            H5P_DEFAULT);
    bool good = data >= 0 &&
                H5Dwrite(data, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values + weight->offset) >= 0;
    if (data >= 0)
        H5Dclose(data);
    H5Sclose(space);
    return good;
}

static bool write_layer(const writer *w, const ser_keras_layer *layer, const float *values)
{
    char names[sizeof layer->weights / sizeof *layer->weights][NAME] = {0};
    hid_t group = H5Gcreate2(w->file, layer->name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    bool good = group >= 0;
    for (int i = 0; i < layer->n_weights && good; i++) {
        snprintf(names[i], NAME, "%s/%s:0", layer->name, layer->weights[i].name);
        good = write_weight(w, group, names[i], &layer->weights[i], values);
    }
    good = good && write_names(group, "weight_names", names[0], (size_t)layer->n_weights);
    if (group >= 0)
        H5Gclose(group);
    return good;
}

static bool write_all(const writer *w, const ser_keras_layers *layers, const float *values)
{
    /* The version of Keras whose layout this is: kernels need no conversion from it. */
    bool good = write_layer_names(w, layers) && write_text(w->file, "backend", "tensorflow") &&
                write_text(w->file, "keras_version", "2.15.0");
    for (size_t i = 0; i < layers->n && good; i++)
        good = write_layer(w, &layers->items[i], values);
    return good && H5Fflush(w->file, H5F_SCOPE_GLOBAL) >= 0;
}

/* The whole file in memory; freed by the caller. Nothing but memory can be missing. */
static unsigned char *make_image(size_t *n, const ser_keras_layers *layers, const float *values)
{
    unsigned char *image = NULL;
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    writer w = {.dataset_properties = H5Pcreate(H5P_DATASET_CREATE),
                .link_properties = H5Pcreate(H5P_LINK_CREATE)};
    H5Pset_fapl_core(access, IMAGE_INCREMENT, false);
    H5Pset_obj_track_times(w.dataset_properties, false);
    H5Pset_create_intermediate_group(w.link_properties, 1);
    w.file = H5Fcreate(ser_hdf5_name_for(&w).text, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    ssize_t size = w.file >= 0 && write_all(&w, layers, values) ? H5Fget_file_image(w.file, NULL, 0) : -1;
    if (size > 0 && (image = ser_alloc((size_t)size, 1)) &&
        H5Fget_file_image(w.file, image, (size_t)size) != size) {
        ser_free(image);
        image = NULL;
    }
    *n = image ? (size_t)size : 0;
    if (w.file >= 0)
        H5Fclose(w.file);
    H5Pclose(w.link_properties);
    H5Pclose(w.dataset_properties);
    H5Pclose(access);
    return image;
}

/* libhdf5 has state of its own, and as distributions build it none that threads may share: one at a time. */
static pthread_mutex_t hdf5 = PTHREAD_MUTEX_INITIALIZER;

ser_status ser_keras_weights_write(const char *path, const ser_timnet *net, ser_error *err)
{
    ser_keras_layers layers;
    ser_status st = ser_keras_layers_init(&layers, net, err);
    if (st != SER_OK)
        return st;
    size_t n;
    pthread_mutex_lock(&hdf5);
    ser_hdf5_voice voice = ser_hdf5_silence();
    unsigned char *image = make_image(&n, &layers, net->values);
    ser_hdf5_restore(voice);
    pthread_mutex_unlock(&hdf5);
    st = image ? ser_io_write(path, image, n, err) : ser_fail_nomem(err);
    ser_free(image);
    ser_keras_layers_release(&layers);
    return st;
}

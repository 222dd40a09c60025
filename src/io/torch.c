#include "io/torch.h"
#include "base/memory.h"
#include "base/sniff.h"
#include "io/foreign.h"
#include "io/pickle.h"
#include "io/tensors.h"
#include "io/zip.h"

#include <string.h>

/* A pickle of a few thousand tensors has less than 1 MB; reading one takes a hundred times its size at worst.
 */
enum { MAX_PICKLE = 4 << 20, MAX_KEY = 256 };

/* The pickle, whose folder all other entries share. */
static const ser_zip_entry *find_pickle(const ser_zip *zip, size_t *n_folder)
{
    static const char name[] = "data.pkl";
    size_t n = sizeof name - 1;
    for (size_t i = 0; i < zip->n; i++) {
        const ser_zip_entry *e = &zip->entries[i];
        if (e->n_name < n || memcmp(e->name + e->n_name - n, name, n) != 0)
            continue;
        const char *slash = memchr(e->name, '/', e->n_name - n);
        *n_folder = e->n_name - n;
        if (*n_folder == 0 || slash == e->name + *n_folder - 1)
            return e;
    }
    return NULL;
}

/* "FOLDER/NAME" with key behind it. */
static const ser_zip_entry *find_entry(const ser_zip *zip, const ser_zip_entry *pickle, size_t n_folder,
                                       const char *name, const char *key, size_t n_key)
{
    char full[MAX_KEY];
    size_t n_name = strlen(name), n = n_folder + n_name + n_key;
    if (n_folder >= MAX_KEY || n_key >= MAX_KEY || n >= MAX_KEY)
        return NULL;
    memcpy(full, pickle->name, n_folder);
    memcpy(full + n_folder, name, n_name);
    if (n_key)
        memcpy(full + n_folder + n_name, key, n_key);
    return ser_zip_find(zip, full, n);
}

/* Neighbours in memory are neighbours in the last dimension, and so on; sizes of 1 do not matter. */
static bool is_contiguous(const ser_pickled_tensor *p)
{
    size_t expected = 1;
    for (int i = p->n_dims - 1; i >= 0; i--) {
        if (p->dims[i] != 1 && p->strides[i] != expected)
            return false;
        expected *= p->dims[i]; /* no overflow: the product of all has been checked */
    }
    return true;
}

static ser_status place_tensor(ser_tensor *t, const ser_pickled_tensor *p, const ser_zip_entry *storage,
                               ser_error *err)
{
    size_t size = ser_dtype_size(p->dtype), n_storage;
    t->dtype = p->dtype;
    t->n_dims = p->n_dims;
    memcpy(t->dims, p->dims, sizeof t->dims);
    t->n_elements = 1;
    for (int i = 0; i < p->n_dims; i++)
        if (!ser_mul_size(&t->n_elements, t->n_elements, p->dims[i]))
            return ser_fail(err, SER_E_FORMAT, "the shape of tensor '%s' is damaged: fetch it again",
                            t->name);
    if (!storage)
        return ser_fail(err, SER_E_FORMAT, "the values of tensor '%s' are missing: fetch it again", t->name);
    if (p->dtype == SER_DTYPE_OTHER) { /* which only those need that ask for it, and they refuse it by name */
        t->data = storage->data;
        t->n_bytes = storage->n;
        if (t->n_elements / 8 > storage->n)
            return ser_fail(err, SER_E_FORMAT, "tensor '%s' lies outside its values: fetch it again",
                            t->name);
        return SER_OK;
    }
    if (!ser_mul_size(&n_storage, p->storage_elements, size) || n_storage != storage->n ||
        p->offset > p->storage_elements || t->n_elements > p->storage_elements - p->offset)
        return ser_fail(err, SER_E_FORMAT, "tensor '%s' lies outside its values: fetch it again", t->name);
    if (t->n_elements && !is_contiguous(p))
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "tensor '%s' is stored in another order than its shape: convert it to safetensors",
                        t->name);
    t->data = storage->data + p->offset * size;
    t->n_bytes = t->n_elements * size;
    return SER_OK;
}

static ser_status copy_names(ser_safetensors *f, const ser_pickled_tensor *pickled, size_t n, ser_error *err)
{
    size_t n_text = 0;
    for (size_t i = 0; i < n; i++)
        n_text += pickled[i].n_name + 1;
    char *name = f->names = ser_alloc(n_text, 1);
    f->tensors = ser_alloc(n, sizeof *f->tensors);
    if (!f->names || !f->tensors)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < n; i++) {
        if (memchr(pickled[i].name, 0, pickled[i].n_name))
            return ser_fail(err, SER_E_FORMAT, "the name of a tensor is damaged: fetch it again");
        memcpy(name, pickled[i].name, pickled[i].n_name);
        f->tensors[f->n++].name = name;
        name += pickled[i].n_name + 1;
    }
    return SER_OK;
}

static ser_status read_archive(ser_safetensors *f, const ser_zip *zip, ser_error *err)
{
    size_t n_folder, n = 0;
    const ser_zip_entry *pickle = find_pickle(zip, &n_folder);
    ser_pickled_tensor *pickled = NULL;
    if (!pickle || pickle->n > MAX_PICKLE)
        return ser_fail(err, SER_E_FORMAT,
                        "it is a zip archive, but no checkpoint of torch.save: check the path");
    const ser_zip_entry *order = find_entry(zip, pickle, n_folder, "byteorder", NULL, 0);
    if (order && (order->n != 6 || memcmp(order->data, "little", 6) != 0))
        return ser_fail(err, SER_E_UNSUPPORTED, "its numbers are big-endian: convert it to safetensors");
    ser_status status = ser_pickle_read(&pickled, &n, pickle->data, pickle->n, err);
    if (status == SER_OK)
        status = copy_names(f, pickled, n, err);
    for (size_t i = 0; i < n && status == SER_OK; i++)
        status = place_tensor(
            &f->tensors[i], &pickled[i],
            find_entry(zip, pickle, n_folder, "data/", pickled[i].storage, pickled[i].n_storage), err);
    ser_free(pickled);
    return status == SER_OK ? ser_tensors_sort(f, err) : status;
}

/* No zip archive. */
static ser_status refuse(const unsigned char *bytes, size_t n, ser_error *err)
{
    ser_status status = ser_foreign_check(bytes, n, err);
    if (status != SER_OK)
        return status;
    if (n > 8 && bytes[8] == '{') /* behind the length of its header */
        return ser_fail(err, SER_E_FORMAT, "it is a safetensors file: call it model.safetensors");
    return ser_fail(err, bytes[0] == 0x80 ? SER_E_UNSUPPORTED : SER_E_FORMAT,
                    "it is no zip archive, as torch.save writes them since 2020: save it again with a newer "
                    "PyTorch, or convert it to safetensors");
}

/* Its archive has code and constants, and compresses them: by the directory at its end. */
static bool is_torchscript(const unsigned char *bytes, size_t n)
{
    enum { LOOKED_AT = 1 << 16 };
    static const char name[] = "/constants.pkl";
    size_t n_end = n < LOOKED_AT ? n : LOOKED_AT;
    return memmem(bytes + n - n_end, n_end, name, sizeof name - 1);
}

ser_status ser_torch_open_memory(ser_safetensors **out, const void *bytes, size_t n, ser_error *err)
{
    *out = NULL;
    const char *advice = ser_pointer_advice(bytes, n);
    if (advice)
        return ser_fail(err, SER_E_FORMAT, "%s", advice);
    if (n < 4 || memcmp(bytes, "PK\3\4", 4) != 0)
        return refuse(bytes, n, err);
    ser_zip zip;
    ser_status status = ser_zip_open(&zip, bytes, n, err);
    if (status == SER_E_UNSUPPORTED && is_torchscript(bytes, n))
        return ser_fail(err, status, "it is TorchScript (torch.jit.save): save model.state_dict() alone");
    if (status != SER_OK)
        return status;
    ser_safetensors *f = ser_alloc(1, sizeof *f);
    status = f ? read_archive(f, &zip, err) : ser_fail_nomem(err);
    ser_zip_release(&zip);
    if (status == SER_OK)
        *out = f;
    else
        ser_safetensors_close(&f);
    return status;
}

ser_status ser_torch_open(ser_safetensors **out, const char *path, ser_error *err)
{
    return ser_safetensors_open_by(out, path, ser_torch_open_memory, err);
}

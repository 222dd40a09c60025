#include "io/safetensors.h"
#include "base/memory.h"
#include "base/sniff.h"
#include "base/vector.h"
#include "io/foreign.h"
#include "io/json.h"
#include "io/tensors.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "safetensors and .npy are read as they lie in memory");

/* The reference stops at 100 MB, but parsing that could take gigabytes; a checkpoint of 1.5 thousand million
 * weights has a header of 0.2 MB. */
enum { MAX_HEADER = 16 << 20 };

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    [SER_F32] = {"F32", 4}, [SER_F16] = {"F16", 2}, [SER_BF16] = {"BF16", 2}, [SER_I8] = {"I8", 1},
    [SER_U8] = {"U8", 1},   [SER_I32] = {"I32", 4}, [SER_I64] = {"I64", 8},   [SER_F64] = {"F64", 8}};

size_t ser_dtype_size(ser_dtype t)
{
    return t < SER_DTYPE_OTHER ? dtypes[t].size : 0;
}

static ser_dtype dtype_named(const char *name)
{
    for (int t = 0; t < SER_DTYPE_OTHER; t++)
        if (strcmp(name, dtypes[t].name) == 0)
            return (ser_dtype)t;
    return SER_DTYPE_OTHER;
}

/* A JSON array of exactly n whole numbers that are not negative. */
static bool read_sizes(size_t *out, const json_t *array, size_t n)
{
    if (!json_is_array(array) || json_array_size(array) != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(array, i);
        if (!json_is_integer(item) || json_integer_value(item) < 0)
            return false;
        out[i] = (size_t)json_integer_value(item);
    }
    return true;
}

static ser_status read_tensor(ser_tensor *t, const char *name, const json_t *entry, const unsigned char *data,
                              size_t n_data, ser_error *err)
{
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    const json_t *shape = json_object_get(entry, "shape");
    size_t range[2];
    if (!dtype || !json_is_array(shape) || !read_sizes(range, json_object_get(entry, "data_offsets"), 2))
        return ser_fail(err, SER_E_FORMAT, "the entry of tensor '%s' is damaged: fetch the file again", name);
    if (json_array_size(shape) > SER_MAX_DIMS)
        return ser_fail(err, SER_E_UNSUPPORTED, "tensor '%s' has %zu dimensions: at most %d can be read",
                        name, json_array_size(shape), SER_MAX_DIMS);
    *t = (ser_tensor){.name = name, .dtype = dtype_named(dtype), .n_dims = (int)json_array_size(shape)};
    if (!read_sizes(t->dims, shape, (size_t)t->n_dims))
        return ser_fail(err, SER_E_FORMAT, "the shape of tensor '%s' is damaged: fetch the file again", name);
    t->n_elements = 1;
    bool fits = range[0] <= range[1] && range[1] <= n_data;
    for (int i = 0; i < t->n_dims; i++)
        fits = ser_mul_size(&t->n_elements, t->n_elements, t->dims[i]) && fits;
    size_t n_bytes = 0;
    fits = ser_mul_size(&n_bytes, t->n_elements, ser_dtype_size(t->dtype)) && fits;
    /* Of a type that is not known: a bit for each element at least, so that none promises more than the file
     * holds. */
    if (!fits || (t->dtype == SER_DTYPE_OTHER ? t->n_elements / 8 > range[1] - range[0]
                                              : n_bytes != range[1] - range[0]))
        return ser_fail(
            err, SER_E_FORMAT,
            "tensor '%s' lies outside the file or its size does not match its shape: fetch the file again",
            name);
    t->data = data + range[0];
    t->n_bytes = range[1] - range[0];
    return SER_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const ser_tensor *)a)->name, ((const ser_tensor *)b)->name);
}

ser_status ser_tensors_sort(ser_safetensors *f, ser_error *err)
{
    if (f->n)
        qsort(f->tensors, f->n, sizeof *f->tensors, compare_names);
    for (size_t i = 1; i < f->n; i++)
        if (strcmp(f->tensors[i].name, f->tensors[i - 1].name) == 0)
            return ser_fail(err, SER_E_FORMAT, "tensor '%s' is there twice: fetch the file again",
                            f->tensors[i].name);
    return SER_OK;
}

static int compare_ranges(const void *a, const void *b)
{
    const ser_tensor *x = a, *y = b;
    const unsigned char *p = x->data, *q = y->data;
    if (p != q)
        return p < q ? -1 : 1;
    return (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes);
}

/* As the reference demands: the tensors fill the data without gap or overlap. */
static ser_status check_layout(ser_tensor *tensors, size_t n, const unsigned char *data, size_t n_data,
                               ser_error *err)
{
    const unsigned char *end = data;
    if (n)
        qsort(tensors, n, sizeof *tensors, compare_ranges);
    for (size_t i = 0; i < n; i++) {
        const unsigned char *begin = tensors[i].data;
        if (begin != end)
            return ser_fail(err, SER_E_FORMAT,
                            "tensor '%s' overlaps another or leaves a gap: fetch the file again",
                            tensors[i].name);
        end = begin + tensors[i].n_bytes;
    }
    if ((size_t)(end - data) != n_data)
        return ser_fail(err, SER_E_FORMAT,
                        "%zu bytes behind the last tensor belong to none: fetch the file again",
                        n_data - (size_t)(end - data));
    return SER_OK;
}

static ser_status read_metadata(json_t *metadata, ser_error *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(metadata))
        return ser_fail(err, SER_E_FORMAT, "its metadata is damaged: fetch the file again");
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value))
            return ser_fail(err, SER_E_FORMAT, "its metadata '%s' is no text: fetch the file again", key);
    }
    return SER_OK;
}

static ser_status read_header(ser_safetensors *f, const unsigned char *data, size_t n_data, ser_error *err)
{
    f->tensors = ser_alloc(json_object_size(f->header), sizeof *f->tensors);
    if (!f->tensors)
        return ser_fail_nomem(err);
    const char *name;
    json_t *entry;
    json_object_foreach(f->header, name, entry)
    {
        ser_status status = strcmp(name, "__metadata__") == 0
                                ? read_metadata(entry, err)
                                : read_tensor(&f->tensors[f->n++], name, entry, data, n_data, err);
        if (status != SER_OK)
            return status;
    }
    ser_status status = check_layout(f->tensors, f->n, data, n_data, err);
    return status == SER_OK ? ser_tensors_sort(f, err) : status;
}

/* It does not begin as such a file does. */
static ser_status refuse(const unsigned char *bytes, size_t n, ser_error *err)
{
    ser_status status = ser_foreign_check(bytes, n, err);
    if (status != SER_OK)
        return status;
    if (n >= 4 && (memcmp(bytes, "PK\3\4", 4) == 0 || memcmp(bytes, "\x80\2\x8a", 3) == 0))
        return ser_fail(err, SER_E_FORMAT,
                        "it is a checkpoint of torch.save: an encoder's is called pytorch_model.bin");
    if (n < sizeof(uint64_t))
        return ser_fail(err, SER_E_FORMAT, "it is no safetensors file: it has only %zu bytes", n);
    return ser_fail(err, SER_E_FORMAT, "it is no safetensors file: check the path");
}

static ser_status parse(ser_safetensors *f, const unsigned char *bytes, size_t n, ser_error *err)
{
    uint64_t n_header;
    const char *advice = ser_pointer_advice(bytes, n);
    if (advice)
        return ser_fail(err, SER_E_FORMAT, "%s", advice);
    if (n < sizeof n_header)
        return refuse(bytes, n, err);
    memcpy(&n_header, bytes, sizeof n_header);
    if (n_header > MAX_HEADER || n == sizeof n_header || bytes[sizeof n_header] != '{')
        return refuse(bytes, n, err);
    bytes += sizeof n_header;
    n -= sizeof n_header;
    if (n_header > n)
        return ser_fail(err, SER_E_FORMAT, "it ends within its header: fetch it again");
    json_error_t why;
    if (ser_json_load(&f->header, (const char *)bytes, (size_t)n_header, JSON_REJECT_DUPLICATES, &why) ==
        SER_E_NOMEM)
        return ser_fail_nomem(err);
    if (!json_is_object(f->header))
        return ser_fail(err, SER_E_FORMAT, "its header is damaged (%s): fetch it again", why.text);
    return read_header(f, bytes + n_header, n - (size_t)n_header, err);
}

ser_status ser_safetensors_open_memory(ser_safetensors **out, const void *bytes, size_t n, ser_error *err)
{
    *out = NULL;
    ser_safetensors *f = ser_alloc(1, sizeof *f);
    if (!f)
        return ser_fail_nomem(err);
    ser_status status = parse(f, bytes, n, err);
    if (status == SER_OK)
        *out = f;
    else
        ser_safetensors_close(&f);
    return status;
}

ser_status ser_safetensors_open_by(ser_safetensors **out, const char *path, ser_safetensors_reader *read,
                                   ser_error *err)
{
    *out = NULL;
    ser_bytes file;
    ser_status status = ser_io_map(&file, path, 0, err);
    if (status == SER_OK)
        status = read(out, file.data, file.n, err);
    if (status == SER_OK)
        (*out)->file = file;
    else
        ser_bytes_release(&file);
    return status;
}

ser_status ser_safetensors_open(ser_safetensors **out, const char *path, ser_error *err)
{
    return ser_safetensors_open_by(out, path, ser_safetensors_open_memory, err);
}

void ser_safetensors_forget(const ser_safetensors *f, const ser_tensor *t)
{
    const unsigned char *data = t->data, *file = f->file.data;
    if (data && file && data >= file && data < file + f->file.n)
        ser_bytes_forget(&f->file, data, t->n_bytes);
    for (size_t i = 0; i < f->n_parts; i++)
        ser_safetensors_forget(f->parts[i], t);
}

void ser_safetensors_close(ser_safetensors **f)
{
    if (!*f)
        return;
    for (size_t i = 0; i < (*f)->n_parts; i++)
        ser_safetensors_close(&(*f)->parts[i]);
    ser_free((*f)->parts);
    json_decref((*f)->header);
    ser_free((*f)->names);
    ser_free((*f)->tensors);
    ser_bytes_release(&(*f)->file);
    ser_free(*f);
    *f = NULL;
}

size_t ser_safetensors_n(const ser_safetensors *f)
{
    return f->n;
}

const ser_tensor *ser_safetensors_at(const ser_safetensors *f, size_t i)
{
    return &f->tensors[i];
}

const ser_tensor *ser_safetensors_find(const ser_safetensors *f, const char *name)
{
    ser_tensor key = {.name = name};
    return f->n ? bsearch(&key, f->tensors, f->n, sizeof key, compare_names) : NULL;
}

const char *ser_safetensors_metadata(const ser_safetensors *f, const char *key)
{
    return json_string_value(json_object_get(json_object_get(f->header, "__metadata__"), key));
}

SER_FAST_STATIC(void, f16_to_f32, (float *out, const unsigned char *bytes, size_t n), (out, bytes, n))
{
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, bytes + 2 * i, 2);
        /* Exponent and mantissa moved into place mean 2^-112 times the value, subnormals included; infinity
         * and NaN need the highest exponent. */
        uint32_t magnitude = (uint32_t)(half & 0x7fff) << 13, bits;
        float value;
        memcpy(&value, &magnitude, 4);
        value *= 0x1p112f;
        memcpy(&bits, &value, 4);
        bits |= (magnitude >= 0x0f800000 ? 0x7f800000u : 0) | (uint32_t)(half & 0x8000) << 16;
        memcpy(out + i, &bits, 4);
    }
}

SER_FAST_STATIC(void, bf16_to_f32, (float *out, const unsigned char *bytes, size_t n), (out, bytes, n))
{
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, bytes + 2 * i, 2);
        uint32_t bits = (uint32_t)half << 16;
        memcpy(out + i, &bits, 4);
    }
}

static void f64_to_f32(float *out, const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double value;
        memcpy(&value, bytes + 8 * i, 8);
        out[i] = (float)value;
    }
}

SER_FAST_STATIC(void, i8_to_f32, (float *out, const unsigned char *bytes, size_t n), (out, bytes, n))
{
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(int8_t)bytes[i];
}

ser_status ser_tensor_to_f32(float *out, const ser_tensor *t, size_t first, size_t n, ser_error *err)
{
    if (first > t->n_elements || n > t->n_elements - first)
        return ser_fail(err, SER_E_ARG, "elements %zu to %zu of tensor '%s', which has %zu", first, first + n,
                        t->name, t->n_elements);
    const unsigned char *bytes = (const unsigned char *)t->data + first * ser_dtype_size(t->dtype);
    switch (t->dtype) {
    case SER_F32:
        if (n)
            memcpy(out, bytes, n * sizeof *out);
        return SER_OK;
    case SER_F16:
        f16_to_f32(out, bytes, n);
        return SER_OK;
    case SER_BF16:
        bf16_to_f32(out, bytes, n);
        return SER_OK;
    case SER_F64:
        f64_to_f32(out, bytes, n);
        return SER_OK;
    case SER_I8:
        i8_to_f32(out, bytes, n);
        return SER_OK;
    default:
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "tensor '%s' has a type that cannot be read as numbers here: "
                        "convert it to F32, F16 or BF16",
                        t->name);
    }
}

/* Both take over value, as jansson's functions do. */
static bool set_once(json_t *object, const char *key, json_t *value)
{
    if (json_object_get(object, key)) {
        json_decref(value);
        return false;
    }
    return json_object_set_new(object, key, value) == 0;
}

static json_t *tensor_entry(const ser_tensor *t, size_t begin)
{
    json_t *shape = json_array();
    for (int i = 0; i < t->n_dims; i++)
        ser_json_add(&shape, json_integer((json_int_t)t->dims[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtypes[t->dtype].name, "shape", shape, "data_offsets",
                     (json_int_t)begin, (json_int_t)(begin + t->n_bytes));
}

/* The JSON header, padded with blanks so that the data starts at a multiple of 8; free() it. */
static ser_status make_header(char **out, const ser_tensor *tensors, size_t n_tensors,
                              const char *const (*metadata)[2], size_t n_metadata, ser_error *err)
{
    errno = 0; /* which malloc sets */
    json_t *header = json_object(), *pairs = json_object();
    bool good = header && pairs;
    for (size_t i = 0; i < n_metadata && good; i++)
        good = set_once(pairs, metadata[i][0], json_string(metadata[i][1]));
    if (n_metadata)
        good = good && set_once(header, "__metadata__", json_incref(pairs));
    size_t begin = 0;
    for (size_t i = 0; i < n_tensors && good; i++) {
        const ser_tensor *t = &tensors[i];
        good = t->dtype < SER_DTYPE_OTHER && t->n_bytes == t->n_elements * ser_dtype_size(t->dtype) &&
               set_once(header, t->name, tensor_entry(t, begin));
        begin += t->n_bytes;
    }
    bool no_memory = !good && errno == ENOMEM;
    *out = good ? ser_json_dump(header, JSON_COMPACT) : NULL;
    json_decref(pairs);
    json_decref(header);
    if (!good && !no_memory)
        return ser_fail(err, SER_E_ARG,
                        "a tensor or metadata entry has a bad name, type or size, or is there twice");
    return *out ? SER_OK : ser_fail_nomem(err);
}

static ser_status write_file(const char *path, const ser_tensor *tensors, size_t n_tensors,
                             const char *const (*metadata)[2], size_t n_metadata, bool unsynced,
                             ser_error *err)
{
    char *header;
    ser_output out = {0};
    ser_status status = make_header(&header, tensors, n_tensors, metadata, n_metadata, err);
    if (status == SER_OK)
        status = ser_output_open(&out, path, err);
    if (status == SER_OK) {
        size_t n_text = strlen(header);
        uint64_t n_header = (n_text + 7) / 8 * 8;
        fwrite(&n_header, sizeof n_header, 1, out.file);
        fprintf(out.file, "%-*s", (int)n_header, header);
        for (size_t i = 0; i < n_tensors; i++)
            if (tensors[i].n_bytes)
                fwrite(tensors[i].data, 1, tensors[i].n_bytes, out.file);
        out.unsynced = unsynced;
        status = ser_output_commit(&out, err);
    }
    free(header);
    return status;
}

ser_status ser_safetensors_write(const char *path, const ser_tensor *tensors, size_t n_tensors,
                                 const char *const (*metadata)[2], size_t n_metadata, ser_error *err)
{
    return write_file(path, tensors, n_tensors, metadata, n_metadata, false, err);
}

ser_status ser_safetensors_write_unsynced(const char *path, const ser_tensor *tensors, size_t n_tensors,
                                          const char *const (*metadata)[2], size_t n_metadata, ser_error *err)
{
    return write_file(path, tensors, n_tensors, metadata, n_metadata, true, err);
}

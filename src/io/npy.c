#include "io/npy.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/file.h"

#include <string.h>

static const unsigned char magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

/* The header's dictionary, a Python literal: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } */
typedef struct cursor {
    const unsigned char *at, *end;
} cursor;

static void skip_blanks(cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n'))
        c->at++;
}

static bool take(cursor *c, const char *word)
{
    skip_blanks(c);
    size_t n = strlen(word);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0)
        return false;
    c->at += n;
    return true;
}

static bool take_number(cursor *c, size_t *out)
{
    skip_blanks(c);
    const unsigned char *first = c->at;
    *out = 0;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
        if (!ser_mul_size(out, *out, 10) || !ser_add_size(out, *out, (size_t)(*c->at++ - '0')))
            return false;
    return c->at > first;
}

/* (), (3,), (3, 4) */
static bool take_shape(cursor *c, ser_npy *a)
{
    a->n_dims = 0;
    a->n_elements = 1;
    if (!take(c, "("))
        return false;
    while (!take(c, ")")) {
        if (a->n_dims == SER_MAX_DIMS || !take_number(c, &a->dims[a->n_dims]) ||
            !ser_mul_size(&a->n_elements, a->n_elements, a->dims[a->n_dims]))
            return false;
        a->n_dims++;
        if (!take(c, ","))
            return a->n_dims > 1 && take(c, ")");
    }
    return true;
}

static ser_status read_header(ser_npy *a, cursor c, ser_error *err)
{
    bool has_type = false, has_order = false, has_shape = false;
    if (!take(&c, "{"))
        return ser_fail(err, SER_E_FORMAT, "its header is damaged: write the file again");
    while (!take(&c, "}")) {
        if (take(&c, "'descr'") && take(&c, ":")) {
            if (!take(&c, "'<f4'"))
                return ser_fail(err, SER_E_FORMAT,
                                "its numbers are not float32: convert them with astype('<f4')");
            has_type = true;
        } else if (take(&c, "'fortran_order'") && take(&c, ":")) {
            if (!take(&c, "False"))
                return ser_fail(err, SER_E_FORMAT,
                                "it is in Fortran order: convert it with ascontiguousarray");
            has_order = true;
        } else if (!take(&c, "'shape'") || !take(&c, ":") || !(has_shape = take_shape(&c, a)))
            return ser_fail(err, SER_E_FORMAT, "its header is damaged: write the file again");
        if (!take(&c, ",")) {
            if (take(&c, "}"))
                break;
            return ser_fail(err, SER_E_FORMAT, "its header is damaged: write the file again");
        }
    }
    if (!has_type || !has_order || !has_shape)
        return ser_fail(err, SER_E_FORMAT, "its header is incomplete: write the file again");
    return SER_OK;
}

ser_status ser_npy_read_memory(ser_npy *out, const void *bytes, size_t n, size_t n_max_elements,
                               ser_error *err)
{
    const unsigned char *p = bytes;
    *out = (ser_npy){0};
    if (n < 12 || memcmp(p, magic, sizeof magic) != 0)
        return ser_fail(err, SER_E_FORMAT, "it is no .npy file: check the path");
    if (p[6] < 1 || p[6] > 3)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "it has version %d of the format: save it again with numpy.save", p[6]);
    size_t n_prefix = p[6] == 1 ? 10 : 12, n_header = (size_t)p[8] | (size_t)p[9] << 8;
    if (p[6] > 1)
        n_header |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (n_header > n - n_prefix)
        return ser_fail(err, SER_E_FORMAT, "it ends within its header: write the file again");
    ser_npy a = {0};
    ser_status status = read_header(&a, (cursor){p + n_prefix, p + n_prefix + n_header}, err);
    if (status != SER_OK)
        return status;
    size_t n_data = n - n_prefix - n_header, n_bytes;
    if (n_max_elements && a.n_elements > n_max_elements)
        return ser_fail(err, SER_E_FORMAT,
                        "it has %zu numbers and should have at most %zu: is it the right file?", a.n_elements,
                        n_max_elements);
    if (!ser_mul_size(&n_bytes, a.n_elements, sizeof *a.data) || n_bytes != n_data)
        return ser_fail(err, SER_E_FORMAT,
                        "it holds %zu bytes of numbers, not what its header says: write the file again",
                        n_data);
    a.data = ser_alloc(a.n_elements, sizeof *a.data);
    if (!a.data)
        return ser_fail_nomem(err);
    memcpy(a.data, p + n_prefix + n_header, n_bytes);
    *out = a;
    return SER_OK;
}

ser_status ser_npy_read(ser_npy *out, const char *path, size_t n_max_elements, ser_error *err)
{
    *out = (ser_npy){0};
    ser_bytes bytes;
    ser_status status = ser_io_map(&bytes, path, 0, err);
    if (status == SER_OK)
        status = ser_npy_read_memory(out, bytes.data, bytes.n, n_max_elements, err);
    ser_bytes_release(&bytes);
    return status;
}

void ser_npy_release(ser_npy *a)
{
    ser_free(a->data);
    *a = (ser_npy){0};
}

static ser_status write_npy(const char *path, const float *data, int n_dims, const size_t *dims,
                            bool unsynced, ser_error *err)
{
    enum { N_PREFIX = 10, ALIGNMENT = 64 }; /* the numbers begin at a multiple of it, as NumPy has it */
    size_t n = 1;
    ser_text header = {0};
    ser_text_append(&header, "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (int i = 0; i < n_dims; i++) {
        ser_text_appendf(&header, i ? ", %zu" : "%zu", dims[i]);
        n *= dims[i];
    }
    if (n_dims == 1)
        ser_text_append(&header, ","); /* a tuple in Python, not a number in brackets */
    ser_text_append(&header, "), }");
    size_t n_header = (N_PREFIX + header.n + 1 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT - N_PREFIX;
    ser_output out = {0};
    ser_status status = header.failed ? ser_fail_nomem(err) : ser_output_open(&out, path, err);
    if (status == SER_OK) {
        const unsigned char prefix[4] = {1, 0, (unsigned char)(n_header & 0xff),
                                         (unsigned char)(n_header >> 8)};
        fwrite(magic, 1, sizeof magic, out.file);
        fwrite(prefix, 1, sizeof prefix, out.file);
        fprintf(out.file, "%-*s\n", (int)n_header - 1, header.s);
        if (n)
            fwrite(data, sizeof *data, n, out.file);
        out.unsynced = unsynced;
        status = ser_output_commit(&out, err);
    }
    ser_text_release(&header);
    return status;
}

ser_status ser_npy_write(const char *path, const float *data, int n_dims, const size_t *dims, ser_error *err)
{
    return write_npy(path, data, n_dims, dims, false, err);
}

ser_status ser_npy_write_unsynced(const char *path, const float *data, int n_dims, const size_t *dims,
                                  ser_error *err)
{
    return write_npy(path, data, n_dims, dims, true, err);
}

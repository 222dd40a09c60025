#include "keras/h5.h"

#include <string.h>

enum {
    DATASPACE = 0x01,
    DATATYPE = 0x03,
    EXTERNAL_FILES = 0x07,
    LAYOUT = 0x08,
    ATTRIBUTE = 0x0C,
    CONTINUATION = 0x10,
    SYMBOL_TABLE = 0x11
}; /* messages of object headers, IV.A.2 */
enum { MAX_BLOCKS = 64 /* of one object header */, MAX_STEPS = 1 << 26, MAX_TEXTS = 1 << 16 };

static uint64_t number(const unsigned char *p, int n_bytes)
{
    uint64_t x = 0;
    for (int i = n_bytes - 1; i >= 0; i--)
        x = x << 8 | p[i];
    return x;
}

/* n bytes of the file; NULL where it has not so many there. */
static const unsigned char *at(const ser_h5 *h, uint64_t offset, uint64_t n)
{
    return offset <= h->n && n <= h->n - offset ? h->bytes + offset : NULL;
}

static bool step(ser_h5 *h)
{
    return h->n_steps > 0 && h->n_steps--;
}

/* II.A: the superblock, and the root group's entry in it. */
ser_h5_answer ser_h5_open(ser_h5 *h, const unsigned char *bytes, size_t n)
{
    static const unsigned char signature[8] = "\x89HDF\r\n\x1a\n";
    *h = (ser_h5){.bytes = bytes, .n = n, .n_steps = MAX_STEPS};
    if (n < sizeof signature || memcmp(bytes, signature, sizeof signature) != 0)
        return SER_H5_MISSING;
    const unsigned char *p = at(h, 0, 96);
    if (!p || p[8] != 0 || p[13] != 8 || p[14] != 8 || number(p + 24, 8) != 0 || number(p + 40, 8) > n)
        return SER_H5_DAMAGED;
    h->root = number(p + 64, 8);
    return SER_H5_FOUND;
}

/* ---- object headers, IV.A.1.a ---- */

typedef struct message {
    int type;
    const unsigned char *data;
    size_t n;
} message;

typedef struct messages {
    const unsigned char *p;
    size_t left;
    struct {
        uint64_t offset, n;
    } blocks[MAX_BLOCKS]; /* still to come, or done */
    int n_blocks, n_done;
} messages;

static bool messages_begin(ser_h5 *h, messages *m, ser_h5_object object)
{
    const unsigned char *p = at(h, object, 16);
    if (!p || p[0] != 1)
        return false;
    *m = (messages){.n_blocks = 1};
    m->blocks[0].offset = object + 16;
    m->blocks[0].n = number(p + 8, 4);
    return true;
}

/* false: there are no more, or the rest is damaged. */
static bool messages_next(ser_h5 *h, messages *m, message *out)
{
    enum { HEAD = 8, SHARED = 2 };
    while (step(h)) {
        if (m->left < HEAD) {
            if (m->n_done == m->n_blocks)
                return false;
            m->left = (size_t)m->blocks[m->n_done].n;
            m->p = at(h, m->blocks[m->n_done].offset, m->blocks[m->n_done].n);
            m->n_done++;
            if (!m->p)
                return false;
            continue;
        }
        *out = (message){(int)number(m->p, 2), m->p + HEAD, (size_t)number(m->p + 2, 2)};
        bool shared = m->p[4] & SHARED; /* lies elsewhere: not in files of Keras */
        if (out->n > m->left - HEAD)
            return false;
        m->p += HEAD + out->n;
        m->left -= HEAD + out->n;
        if (out->type == CONTINUATION && out->n >= 16 && m->n_blocks < MAX_BLOCKS) {
            m->blocks[m->n_blocks].offset = number(out->data, 8);
            m->blocks[m->n_blocks++].n = number(out->data + 8, 8);
        } else if (!shared) {
            return true;
        }
    }
    return false;
}

/* The first message of a type. */
static bool find_message(ser_h5 *h, message *out, ser_h5_object object, int type)
{
    messages m;
    if (!messages_begin(h, &m, object))
        return false;
    while (messages_next(h, &m, out))
        if (out->type == type)
            return true;
    return false;
}

/* ---- groups, III.A to III.D ---- */

/* A group's names, each ending in 0. */
typedef struct names {
    const unsigned char *data;
    size_t n;
} names;

static bool is_name(const names *heap, uint64_t offset, const char *name, size_t n)
{
    return offset < heap->n && n < heap->n - offset && memcmp(heap->data + offset, name, n) == 0 &&
           heap->data[offset + n] == 0;
}

/* III.B, III.C: a node of symbols. */
static ser_h5_answer find_symbol(ser_h5 *h, ser_h5_object *out, uint64_t node, const names *heap,
                                 const char *name, size_t n)
{
    enum { HEAD = 8, ENTRY = 40, SOFT_LINK = 2 };
    const unsigned char *p = at(h, node, HEAD);
    if (!p || memcmp(p, "SNOD", 4) != 0)
        return SER_H5_DAMAGED;
    uint64_t n_symbols = number(p + 6, 2);
    if (!(p = at(h, node + HEAD, n_symbols * ENTRY)))
        return SER_H5_DAMAGED;
    for (uint64_t i = 0; i < n_symbols; i++, p += ENTRY)
        if (!step(h))
            return SER_H5_DAMAGED;
        else if (is_name(heap, number(p, 8), name, n)) {
            *out = number(p + 8, 8);
            return number(p + 16, 4) == SOFT_LINK ? SER_H5_MISSING : SER_H5_FOUND;
        }
    return SER_H5_MISSING;
}

/* III.A.1: the tree above those nodes, whose levels fall; every branch is searched, the names' order is not
 * trusted. */
static ser_h5_answer find_below(ser_h5 *h, ser_h5_object *out, uint64_t node, int level, const names *heap,
                                const char *name, size_t n)
{
    enum { HEAD = 24, KEY = 8, ENTRY = 16, MAX_LEVELS = 16 };
    const unsigned char *p = at(h, node, HEAD);
    if (!step(h) || !p || memcmp(p, "TREE", 4) != 0 || p[4] != 0 || (level >= 0 && p[5] != level) ||
        p[5] >= MAX_LEVELS)
        return SER_H5_DAMAGED;
    level = p[5];
    uint64_t n_children = number(p + 6, 2);
    if (!(p = at(h, node + HEAD, n_children * ENTRY + KEY)))
        return SER_H5_DAMAGED;
    for (uint64_t i = 0; i < n_children; i++) {
        uint64_t child = number(p + i * ENTRY + KEY, 8);
        ser_h5_answer answer = level ? find_below(h, out, child, level - 1, heap, name, n)
                                     : find_symbol(h, out, child, heap, name, n);
        if (answer != SER_H5_MISSING)
            return answer;
    }
    return SER_H5_MISSING;
}

static ser_h5_answer find_child(ser_h5 *h, ser_h5_object *out, ser_h5_object group, const char *name,
                                size_t n)
{
    message table;
    if (!find_message(h, &table, group, SYMBOL_TABLE))
        return SER_H5_MISSING;
    const unsigned char *p = table.n >= 16 ? at(h, number(table.data + 8, 8), 32) : NULL; /* III.D */
    if (!p || memcmp(p, "HEAP", 4) != 0)
        return SER_H5_DAMAGED;
    names heap = {.n = (size_t)number(p + 8, 8)};
    heap.data = at(h, number(p + 24, 8), heap.n);
    return heap.data ? find_below(h, out, number(table.data, 8), -1, &heap, name, n) : SER_H5_DAMAGED;
}

ser_h5_answer ser_h5_find(ser_h5 *h, ser_h5_object *out, ser_h5_object group, const char *path)
{
    ser_h5_answer answer = SER_H5_FOUND;
    *out = group;
    while (*path && answer == SER_H5_FOUND) {
        size_t n = strcspn(path, "/");
        answer = n ? find_child(h, out, *out, path, n) : SER_H5_FOUND;
        path += n + (path[n] == '/');
    }
    return answer;
}

/* ---- sizes and kinds of values ---- */

/* IV.A.2.b; the number of elements is in *n. */
static bool read_space(const unsigned char *p, size_t size, int *n_dims, uint64_t dims[SER_H5_MAX_DIMS],
                       uint64_t *n)
{
    size_t head = size > 0 && p[0] == 1 ? 8 : 4;
    if (size < head || (p[0] != 1 && p[0] != 2) || p[1] > SER_H5_MAX_DIMS || size - head < 8U * p[1])
        return false;
    *n_dims = p[1];
    *n = p[0] == 2 && p[3] == 2 ? 0 : 1; /* a null space */
    for (int i = 0; i < *n_dims; i++) {
        dims[i] = number(p + head + 8 * i, 8);
        if (__builtin_mul_overflow(*n, dims[i], n))
            return false;
    }
    return true;
}

enum { CLASS_FLOAT = 1, CLASS_STRING = 3, CLASS_VARIABLE = 9, VARIABLE_STRING = 1 };

/* IV.A.2.d: little-endian IEEE 754 of 32 bits. */
static bool is_f32(const message *type)
{
    static const unsigned char properties[12] = {0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0};
    const unsigned char *p = type->data;
    return type->n >= 20 && (p[0] & 15) == CLASS_FLOAT && (p[1] & 0x71) == 0x20 && p[2] == 31 &&
           number(p + 4, 4) == 4 && memcmp(p + 8, properties, sizeof properties) == 0;
}

/* ---- attributes, IV.A.2.m ---- */

typedef struct attribute {
    const char *name;
    size_t n_name;
    const unsigned char *type, *space, *data;
    size_t n_type, n_space, n_data;
} attribute;

/* The next n bytes, in version 1 filled up to a multiple of 8. */
static const unsigned char *take(const unsigned char **p, size_t *left, size_t n, bool padded)
{
    const unsigned char *part = *p;
    size_t whole = padded ? (n + 7) & ~(size_t)7 : n;
    if (whole > *left)
        return NULL;
    *p += whole;
    *left -= whole;
    return part;
}

static bool read_attribute(attribute *a, const message *m)
{
    const unsigned char *p = m->data;
    size_t left = m->n, head = left > 0 && p[0] == 3 ? 9 : 8;
    if (left < head || p[0] < 1 || p[0] > 3 || (p[0] > 1 && p[1] != 0)) /* flags: parts that lie elsewhere */
        return false;
    bool padded = p[0] == 1;
    a->n_name = (size_t)number(p + 2, 2);
    a->n_type = (size_t)number(p + 4, 2);
    a->n_space = (size_t)number(p + 6, 2);
    p += head;
    left -= head;
    a->name = (const char *)take(&p, &left, a->n_name, padded);
    a->type = a->name ? take(&p, &left, a->n_type, padded) : NULL;
    a->space = a->type ? take(&p, &left, a->n_space, padded) : NULL;
    a->data = p;
    a->n_data = left;
    return a->space != NULL;
}

/* III.E: a text in a collection of the global heap. */
static bool add_variable(ser_h5 *h, const unsigned char *p, ser_h5_add add, void *context, bool *stopped)
{
    enum { HEAD = 16 };
    uint64_t length = number(p, 4), collection = number(p + 4, 8), index = number(p + 12, 4);
    if (!length) {
        *stopped = !add(context, "", 0);
        return !*stopped;
    }
    const unsigned char *head = at(h, collection, HEAD);
    uint64_t left = head ? number(head + 8, 8) : 0;
    if (!head || memcmp(head, "GCOL", 4) != 0 || left < HEAD || !at(h, collection, left))
        return false;
    const unsigned char *object = head + HEAD;
    for (left -= HEAD; left >= HEAD && step(h);) {
        uint64_t size = number(object + 8, 8), whole = size > left ? left : (size + 7) & ~(uint64_t)7;
        if (size > left - HEAD || whole > left - HEAD)
            return false;
        if (number(object, 2) == index) {
            *stopped = !add(context, (const char *)object + HEAD, (size_t)(length < size ? length : size));
            return !*stopped;
        }
        object += HEAD + whole;
        left -= HEAD + whole;
    }
    return false;
}

static ser_h5_answer add_texts(ser_h5 *h, const attribute *a, ser_h5_add add, void *context)
{
    enum { VARIABLE_SIZE = 16 };
    int n_dims;
    uint64_t dims[SER_H5_MAX_DIMS], n;
    if (!read_space(a->space, a->n_space, &n_dims, dims, &n) || n > MAX_TEXTS || a->n_type < 8)
        return SER_H5_DAMAGED;
    if (n == 0)
        return SER_H5_FOUND; /* Keras's empty lists are of numbers */
    int kind = a->type[0] & 15;
    uint64_t width = number(a->type + 4, 4);
    bool variable = kind == CLASS_VARIABLE && (a->type[1] & 15) == VARIABLE_STRING && width == VARIABLE_SIZE;
    if ((kind != CLASS_STRING && !variable) || !width || n > a->n_data / width)
        return SER_H5_DAMAGED;
    for (uint64_t i = 0; i < n; i++) {
        const unsigned char *p = a->data + i * width;
        bool stopped = false;
        if (variable && !add_variable(h, p, add, context, &stopped))
            return stopped ? SER_H5_MISSING : SER_H5_DAMAGED;
        if (!variable && !add(context, (const char *)p, strnlen((const char *)p, width)))
            return SER_H5_MISSING;
    }
    return SER_H5_FOUND;
}

ser_h5_answer ser_h5_texts(ser_h5 *h, ser_h5_object object, const char *name, ser_h5_add add, void *context)
{
    messages all;
    message m;
    attribute a;
    if (!messages_begin(h, &all, object))
        return SER_H5_DAMAGED;
    while (messages_next(h, &all, &m))
        if (m.type == ATTRIBUTE && read_attribute(&a, &m) && a.n_name == strlen(name) + 1 &&
            memcmp(a.name, name, a.n_name) == 0)
            return add_texts(h, &a, add, context);
    return SER_H5_MISSING;
}

/* ---- arrays ---- */

ser_h5_answer ser_h5_read_array(ser_h5 *h, ser_h5_array *out, ser_h5_object object)
{
    enum { LAYOUT_VERSION = 3, CONTIGUOUS = 1 };
    message space, type, layout, external;
    uint64_t n;
    *out = (ser_h5_array){0};
    if (!find_message(h, &space, object, DATASPACE) || !find_message(h, &type, object, DATATYPE) ||
        !find_message(h, &layout, object, LAYOUT))
        return SER_H5_MISSING;
    if (!read_space(space.data, space.n, &out->n_dims, out->dims, &n))
        return SER_H5_DAMAGED;
    const unsigned char *p = layout.data; /* IV.A.2.i */
    if (!is_f32(&type) || find_message(h, &external, object, EXTERNAL_FILES) || layout.n < 18 ||
        p[0] != LAYOUT_VERSION || p[1] != CONTIGUOUS || n > SIZE_MAX / sizeof(float))
        return SER_H5_FOUND;
    out->n_bytes = (size_t)n * sizeof(float);
    out->data = at(h, number(p + 2, 8), out->n_bytes);
    out->is_f32 = out->data != NULL;
    return SER_H5_FOUND;
}

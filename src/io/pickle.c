#include "io/pickle.h"
#include "base/memory.h"

#include <stdint.h>
#include <string.h>

/* The instructions, by their codes. */
enum {
    MARK = '(',
    STOP = '.',
    BININT = 'J',
    BININT1 = 'K',
    BININT2 = 'M',
    NONE = 'N',
    BINPERSID = 'Q',
    REDUCE = 'R',
    BINUNICODE = 'X',
    EMPTY_DICT = '}',
    EMPTY_LIST = ']',
    APPEND = 'a',
    APPENDS = 'e',
    BINFLOAT = 'G',
    BUILD = 'b',
    GLOBAL = 'c',
    BINGET = 'h',
    LONG_BINGET = 'j',
    BINPUT = 'q',
    LONG_BINPUT = 'r',
    SETITEM = 's',
    TUPLE = 't',
    SETITEMS = 'u',
    EMPTY_TUPLE = ')',
    PROTO = 0x80,
    TUPLE1 = 0x85,
    TUPLE2 = 0x86,
    TUPLE3 = 0x87,
    NEWTRUE = 0x88,
    NEWFALSE = 0x89,
    LONG1 = 0x8a
};

typedef enum value_kind {
    VALUE_NONE, /* None, True, False, and numbers that are no integers: nothing that tensors are made of */
    VALUE_LIST, /* whose content means nothing here either */
    VALUE_INT,
    VALUE_TEXT,
    VALUE_ORDERED_DICT,   /* these are what GLOBAL may name */
    VALUE_REBUILD_TENSOR, /* torch._utils._rebuild_tensor_v2 */
    VALUE_REBUILD_PARAMETER,
    VALUE_STORAGE_TYPE,
    VALUE_TUPLE,
    VALUE_DICT,
    VALUE_STORAGE,
    VALUE_TENSOR
} value_kind;

typedef struct value {
    value_kind kind;
    int64_t number;   /* INT; DICT: which one */
    const char *text; /* TEXT */
    size_t n;         /* of TEXT and TUPLE */
    size_t first;     /* TUPLE: in items; STORAGE and TENSOR: in tensors */
    ser_dtype dtype;  /* STORAGE_TYPE */
} value;

typedef struct values {
    value *items;
    size_t n, capacity;
} values;

/* What a dict was given. */
typedef struct pair {
    int64_t dict;
    value key, value;
} pair;

typedef struct machine {
    const unsigned char *at, *end;
    values stack, marks, memo, items; /* marks: the heights of the stack; items: those of all tuples */
    pair *pairs;
    size_t n_pairs, pair_capacity;
    ser_pickled_tensor *tensors;
    size_t n_tensors, tensor_capacity;
    int64_t n_dicts;
} machine;

static ser_status fail_damaged(ser_error *err)
{
    return ser_fail(err, SER_E_FORMAT, "its pickle is damaged or no state dict: fetch it again");
}

static ser_status push(values *v, value item, ser_error *err)
{
    if (!ser_grow(&v->items, &v->capacity, v->n + 1, sizeof *v->items))
        return ser_fail_nomem(err);
    v->items[v->n++] = item;
    return SER_OK;
}

/* How many values may be taken from the stack: those above the last mark. */
static size_t n_available(const machine *m)
{
    return m->stack.n - (m->marks.n ? (size_t)m->marks.items[m->marks.n - 1].number : 0);
}

/* The next n bytes, or NULL. */
static const unsigned char *take(machine *m, size_t n)
{
    if ((size_t)(m->end - m->at) < n)
        return NULL;
    m->at += n;
    return m->at - n;
}

/* A little-endian number of n bytes (at most 8), with the sign in its highest bit where is_signed. */
static bool take_number(int64_t *out, machine *m, size_t n, bool is_signed)
{
    const unsigned char *p = n <= 8 ? take(m, n) : NULL;
    uint64_t bits = 0;
    for (size_t i = 0; p && i < n; i++)
        bits |= (uint64_t)p[i] << 8 * i;
    if (p && is_signed && n && n < 8 && p[n - 1] & 0x80)
        bits |= UINT64_MAX << 8 * n;
    *out = (int64_t)bits;
    return p;
}

static ser_status push_number(machine *m, size_t n, bool is_signed, ser_error *err)
{
    value v = {.kind = VALUE_INT};
    return take_number(&v.number, m, n, is_signed) ? push(&m->stack, v, err) : fail_damaged(err);
}

static ser_status push_text(machine *m, ser_error *err)
{
    int64_t n;
    value v = {.kind = VALUE_TEXT};
    if (!take_number(&n, m, 4, false) || !(v.text = (const char *)take(m, (size_t)n)))
        return fail_damaged(err);
    v.n = (size_t)n;
    return push(&m->stack, v, err);
}

/* One line of text, without its end. */
static bool take_line(const char **line, size_t *n, machine *m)
{
    const unsigned char *end = memchr(m->at, '\n', (size_t)(m->end - m->at));
    if (!end)
        return false;
    *line = (const char *)m->at;
    *n = (size_t)(end - m->at);
    m->at = end + 1;
    return true;
}

static bool is_text(const char *s, size_t n, const char *expected)
{
    return n == strlen(expected) && memcmp(s, expected, n) == 0;
}

/* torch.float8_e4m3fn and the like. */
static bool is_dtype(const char *module, size_t n_module, const char *name, size_t n_name)
{
    static const char *const families[] = {"float", "bfloat", "complex", "int", "uint", "bool"};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (is_text(module, n_module, "torch") && n_name >= strlen(families[i]) &&
            memcmp(name, families[i], strlen(families[i])) == 0)
            return true;
    return false;
}

/* What people save with their weights: whole models, options, numbers of NumPy. Said, never called. Whether
 * it is harmless nobody knows: these packages have functions that run what they are given. */
static bool is_of_training(const char *module, size_t n)
{
    static const char *const numpy[] = {"numpy", "numpy.core.multiarray", "numpy._core.multiarray",
                                        "numpy.dtypes"};
    static const char *const packages[] = {"torch.nn",  "transformers", "pytorch_lightning",
                                           "lightning", "argparse",     "omegaconf",
                                           "pathlib",   "speechbrain",  "fairseq"};
    for (size_t i = 0; i < sizeof numpy / sizeof *numpy; i++)
        if (is_text(module, n, numpy[i]))
            return true;
    for (size_t i = 0; i < sizeof packages / sizeof *packages; i++) {
        size_t n_package = strlen(packages[i]);
        if (n >= n_package && memcmp(module, packages[i], n_package) == 0 &&
            (n == n_package || module[n_package] == '.'))
            return true;
    }
    return false;
}

static ser_status push_global(machine *m, ser_error *err)
{
    static const struct {
        const char *module, *name;
        value_kind kind;
        ser_dtype dtype;
    } known[] = {{"collections", "OrderedDict", VALUE_ORDERED_DICT, SER_DTYPE_OTHER},
                 {"torch._utils", "_rebuild_tensor_v2", VALUE_REBUILD_TENSOR, SER_DTYPE_OTHER},
                 {"torch._utils", "_rebuild_parameter", VALUE_REBUILD_PARAMETER, SER_DTYPE_OTHER},
                 {"torch", "FloatStorage", VALUE_STORAGE_TYPE, SER_F32},
                 {"torch", "HalfStorage", VALUE_STORAGE_TYPE, SER_F16},
                 {"torch", "BFloat16Storage", VALUE_STORAGE_TYPE, SER_BF16},
                 {"torch", "DoubleStorage", VALUE_STORAGE_TYPE, SER_F64},
                 {"torch", "CharStorage", VALUE_STORAGE_TYPE, SER_I8},
                 {"torch", "ByteStorage", VALUE_STORAGE_TYPE, SER_U8},
                 {"torch", "IntStorage", VALUE_STORAGE_TYPE, SER_I32},
                 {"torch", "LongStorage", VALUE_STORAGE_TYPE, SER_I64},
                 {"torch._utils", "_rebuild_tensor_v3", VALUE_REBUILD_TENSOR, SER_DTYPE_OTHER},
                 {"torch.storage", "UntypedStorage", VALUE_STORAGE_TYPE, SER_DTYPE_OTHER},
                 {"torch", "BoolStorage", VALUE_STORAGE_TYPE, SER_DTYPE_OTHER},
                 {"torch", "ShortStorage", VALUE_STORAGE_TYPE, SER_DTYPE_OTHER},
                 {"torch", "ComplexFloatStorage", VALUE_STORAGE_TYPE, SER_DTYPE_OTHER},
                 {"torch", "ComplexDoubleStorage", VALUE_STORAGE_TYPE, SER_DTYPE_OTHER}};
    const char *module, *name;
    size_t n_module, n_name;
    if (!take_line(&module, &n_module, m) || !take_line(&name, &n_name, m))
        return fail_damaged(err);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (is_text(module, n_module, known[i].module) && is_text(name, n_name, known[i].name))
            return push(&m->stack, (value){.kind = known[i].kind, .dtype = known[i].dtype}, err);
    if (is_dtype(module, n_module, name, n_name)) /* an object, that nothing here asks for */
        return push(&m->stack, (value){.kind = VALUE_NONE}, err);
    return ser_fail(err, SER_E_UNSUPPORTED,
                    "it wants to call '%.*s.%.*s', which no checkpoint of weights needs: %s",
                    n_module > 40 ? 40 : (int)n_module, module, n_name > 40 ? 40 : (int)n_name, name,
                    is_of_training(module, n_module) ? "if you trust it, save model.state_dict() alone"
                                                     : "do not trust it");
}

/* The n highest values of the stack become one tuple. */
static ser_status make_tuple(machine *m, size_t n, ser_error *err)
{
    value tuple = {.kind = VALUE_TUPLE, .first = m->items.n, .n = n};
    ser_status status = n <= n_available(m) ? SER_OK : fail_damaged(err);
    for (size_t i = 0; i < n && status == SER_OK; i++)
        status = push(&m->items, m->stack.items[m->stack.n - n + i], err);
    if (status != SER_OK)
        return status;
    m->stack.n -= n;
    return push(&m->stack, tuple, err);
}

/* The values since the last mark; they stay on the stack. */
static bool take_mark(size_t *n, machine *m)
{
    if (!m->marks.n)
        return false;
    *n = n_available(m);
    m->marks.n--;
    return true;
}

/* The n highest values are keys and values for the dict below them. */
static ser_status set_items(machine *m, size_t n, ser_error *err)
{
    if (n % 2 || n_available(m) < n + 1)
        return fail_damaged(err);
    const value *dict = &m->stack.items[m->stack.n - n - 1];
    if (dict->kind != VALUE_DICT ||
        !ser_grow(&m->pairs, &m->pair_capacity, m->n_pairs + n / 2, sizeof *m->pairs))
        return dict->kind == VALUE_DICT ? ser_fail_nomem(err) : fail_damaged(err);
    for (size_t i = 1; i < n; i += 2)
        m->pairs[m->n_pairs++] = (pair){dict->number, dict[i], dict[i + 1]};
    m->stack.n -= n;
    return SER_OK;
}

/* The n highest values belong to the list below them. */
static ser_status append(machine *m, size_t n, ser_error *err)
{
    if (n_available(m) < n + 1 || m->stack.items[m->stack.n - n - 1].kind != VALUE_LIST)
        return fail_damaged(err);
    m->stack.n -= n;
    return SER_OK;
}

static ser_status push_dict(machine *m, ser_error *err)
{
    return push(&m->stack, (value){.kind = VALUE_DICT, .number = m->n_dicts++}, err);
}

/* The items of a tuple where it has at least n, else NULL. */
static const value *tuple_items(const machine *m, const value *tuple, size_t n)
{
    return tuple->kind == VALUE_TUPLE && tuple->n >= n ? m->items.items + tuple->first : NULL;
}

static ser_status add_tensor(machine *m, value_kind kind, const ser_pickled_tensor *t, ser_error *err)
{
    if (!ser_grow(&m->tensors, &m->tensor_capacity, m->n_tensors + 1, sizeof *m->tensors))
        return ser_fail_nomem(err);
    m->tensors[m->n_tensors] = *t;
    return push(&m->stack, (value){.kind = kind, .first = m->n_tensors++}, err);
}

/* ('storage', type, key, location, number of elements) */
static ser_status push_storage(machine *m, ser_error *err)
{
    const value *v = n_available(m) ? tuple_items(m, &m->stack.items[m->stack.n - 1], 5) : NULL;
    if (!v || v[0].kind != VALUE_TEXT || !is_text(v[0].text, v[0].n, "storage") ||
        v[1].kind != VALUE_STORAGE_TYPE || v[2].kind != VALUE_TEXT || v[4].kind != VALUE_INT ||
        v[4].number < 0)
        return fail_damaged(err);
    ser_pickled_tensor t = {.storage = v[2].text, .n_storage = v[2].n, .dtype = v[1].dtype};
    t.storage_elements = (size_t)v[4].number;
    m->stack.n--;
    return add_tensor(m, VALUE_STORAGE, &t, err);
}

static bool read_sizes(size_t *out, const machine *m, const value *tuple, int n)
{
    const value *v = tuple_items(m, tuple, (size_t)n);
    for (int i = 0; v && i < n; i++) {
        if (v[i].kind != VALUE_INT || v[i].number < 0)
            return false;
        out[i] = (size_t)v[i].number;
    }
    return v;
}

/* (storage, offset, sizes, strides, ...) */
static ser_status rebuild_tensor(machine *m, const value *tuple, ser_error *err)
{
    const value *v = tuple_items(m, tuple, 4);
    if (!v || v[0].kind != VALUE_STORAGE || v[1].kind != VALUE_INT || v[1].number < 0 ||
        v[2].kind != VALUE_TUPLE || v[3].kind != VALUE_TUPLE || v[2].n != v[3].n)
        return fail_damaged(err);
    if (v[2].n > SER_MAX_DIMS)
        return ser_fail(err, SER_E_UNSUPPORTED, "a tensor has %zu dimensions: at most %d can be read", v[2].n,
                        SER_MAX_DIMS);
    ser_pickled_tensor t = m->tensors[v[0].first];
    t.offset = (size_t)v[1].number;
    t.n_dims = (int)v[2].n;
    if (!read_sizes(t.dims, m, &v[2], t.n_dims) || !read_sizes(t.strides, m, &v[3], t.n_dims))
        return fail_damaged(err);
    return add_tensor(m, VALUE_TENSOR, &t, err);
}

static ser_status reduce(machine *m, ser_error *err)
{
    if (n_available(m) < 2)
        return fail_damaged(err);
    value callee = m->stack.items[m->stack.n - 2], arguments = m->stack.items[m->stack.n - 1];
    m->stack.n -= 2;
    if (callee.kind == VALUE_ORDERED_DICT && arguments.kind == VALUE_TUPLE && arguments.n == 0)
        return push_dict(m, err);
    if (callee.kind == VALUE_REBUILD_TENSOR)
        return rebuild_tensor(m, &arguments, err);
    const value *v = tuple_items(m, &arguments, 1);
    if (callee.kind == VALUE_REBUILD_PARAMETER && v && v[0].kind == VALUE_TENSOR)
        return push(&m->stack, v[0], err);
    return fail_damaged(err);
}

/* Numbers in the memo go up one by one, so that none can make it large. */
static ser_status put(machine *m, size_t n_bytes, ser_error *err)
{
    int64_t i;
    if (!take_number(&i, m, n_bytes, false) || (size_t)i > m->memo.n || !n_available(m))
        return fail_damaged(err);
    value top = m->stack.items[m->stack.n - 1];
    if ((size_t)i == m->memo.n)
        return push(&m->memo, top, err);
    m->memo.items[i] = top;
    return SER_OK;
}

static ser_status get(machine *m, size_t n_bytes, ser_error *err)
{
    int64_t i;
    if (!take_number(&i, m, n_bytes, false) || (size_t)i >= m->memo.n)
        return fail_damaged(err);
    return push(&m->stack, m->memo.items[i], err);
}

/* The attributes of a dict, such as _metadata, mean nothing here. */
static ser_status build(machine *m, ser_error *err)
{
    if (n_available(m) < 2 || m->stack.items[m->stack.n - 2].kind != VALUE_DICT)
        return fail_damaged(err);
    m->stack.n--;
    return SER_OK;
}

static ser_status check_protocol(machine *m, ser_error *err)
{
    int64_t protocol;
    if (!take_number(&protocol, m, 1, false))
        return fail_damaged(err);
    return protocol == 2 ? SER_OK
                         : ser_fail(err, SER_E_UNSUPPORTED,
                                    "its pickle has protocol %d: only 2, torch.save's default, can be read",
                                    (int)protocol);
}

/* One instruction but STOP. */
static ser_status step(machine *m, int code, ser_error *err)
{
    size_t n;
    int64_t n_long;
    switch (code) {
    case PROTO:
        return check_protocol(m, err);
    case MARK:
        return push(&m->marks, (value){.number = (int64_t)m->stack.n}, err);
    case NONE:
    case NEWTRUE:
    case NEWFALSE:
        return push(&m->stack, (value){.kind = VALUE_NONE}, err);
    case BININT:
        return push_number(m, 4, true, err);
    case BININT1:
        return push_number(m, 1, false, err);
    case BININT2:
        return push_number(m, 2, false, err);
    case LONG1:
        return take_number(&n_long, m, 1, false) ? push_number(m, (size_t)n_long, true, err)
                                                 : fail_damaged(err);
    case BINUNICODE:
        return push_text(m, err);
    case GLOBAL:
        return push_global(m, err);
    case EMPTY_TUPLE:
    case TUPLE1:
    case TUPLE2:
    case TUPLE3:
        return make_tuple(m, code == EMPTY_TUPLE ? 0 : (size_t)(code - TUPLE1) + 1, err);
    case TUPLE:
        return take_mark(&n, m) ? make_tuple(m, n, err) : fail_damaged(err);
    case EMPTY_DICT:
        return push_dict(m, err);
    case EMPTY_LIST:
        return push(&m->stack, (value){.kind = VALUE_LIST}, err);
    case APPEND:
        return append(m, 1, err);
    case APPENDS:
        return take_mark(&n, m) ? append(m, n, err) : fail_damaged(err);
    case BINFLOAT:
        return take(m, 8) ? push(&m->stack, (value){.kind = VALUE_NONE}, err) : fail_damaged(err);
    case SETITEM:
        return set_items(m, 2, err);
    case SETITEMS:
        return take_mark(&n, m) ? set_items(m, n, err) : fail_damaged(err);
    case BINPUT:
        return put(m, 1, err);
    case LONG_BINPUT:
        return put(m, 4, err);
    case BINGET:
        return get(m, 1, err);
    case LONG_BINGET:
        return get(m, 4, err);
    case BINPERSID:
        return push_storage(m, err);
    case REDUCE:
        return reduce(m, err);
    case BUILD:
        return build(m, err);
    default:
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "its pickle holds the instruction 0x%02x, which no state dict needs: do not trust it",
                        (unsigned)code);
    }
}

/* A training program keeps the weights beside its own state: SER_OK where nothing speaks for that. */
static ser_status check_nested(const machine *m, ser_error *err)
{
    ser_status status = SER_OK;
    bool *has_tensors = ser_alloc((size_t)m->n_dicts, sizeof *has_tensors);
    if (!has_tensors)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < m->n_pairs; i++)
        if (m->pairs[i].value.kind == VALUE_TENSOR)
            has_tensors[m->pairs[i].dict] = true;
    for (size_t i = 0; i < m->n_pairs && status == SER_OK; i++) {
        const pair *p = &m->pairs[i];
        if (p->dict != m->stack.items[0].number || p->key.kind != VALUE_TEXT || p->value.kind != VALUE_DICT)
            continue;
        if (is_text(p->key.text, p->key.n, "dims")) /* openai/whisper, whisper/__init__.py, load_model() */
            status =
                ser_fail(err, SER_E_UNSUPPORTED,
                         "it is Whisper as OpenAI keeps it: fetch the same model as transformers keeps it, "
                         "such as openai/whisper-base (ser pull)");
        else if (has_tensors[p->value.number])
            status = ser_fail(err, SER_E_UNSUPPORTED,
                              "it holds %.*s among other things: save model.state_dict() alone",
                              p->key.n > 40 ? 40 : (int)p->key.n, p->key.text);
    }
    ser_free(has_tensors);
    return status;
}

/* The tensors of the dict that is left in the end. */
static ser_status collect(ser_pickled_tensor **tensors, size_t *n_tensors, const machine *m, ser_error *err)
{
    if (m->marks.n || m->stack.n != 1 || m->stack.items[0].kind != VALUE_DICT)
        return fail_damaged(err);
    ser_pickled_tensor *all = ser_alloc(m->n_pairs, sizeof *all);
    if (!all)
        return ser_fail_nomem(err);
    size_t n = 0;
    for (size_t i = 0; i < m->n_pairs; i++) {
        const pair *p = &m->pairs[i];
        if (p->dict != m->stack.items[0].number || p->key.kind != VALUE_TEXT || p->value.kind != VALUE_TENSOR)
            continue;
        all[n] = m->tensors[p->value.first];
        all[n].name = p->key.text;
        all[n++].n_name = p->key.n;
    }
    ser_status status = n ? SER_OK : check_nested(m, err);
    if (status != SER_OK) {
        ser_free(all);
        return status;
    }
    *tensors = all;
    *n_tensors = n;
    return SER_OK;
}

ser_status ser_pickle_read(ser_pickled_tensor **tensors, size_t *n_tensors, const unsigned char *bytes,
                           size_t n, ser_error *err)
{
    machine m = {.at = bytes, .end = bytes + n};
    ser_status status = SER_OK;
    int code = -1;
    *tensors = NULL;
    *n_tensors = 0;
    while (status == SER_OK && code != STOP) {
        if (m.at == m.end)
            status = fail_damaged(err);
        else if ((code = *m.at++) != STOP)
            status = step(&m, code, err);
    }
    if (status == SER_OK)
        status = collect(tensors, n_tensors, &m, err);
    ser_free(m.stack.items);
    ser_free(m.marks.items);
    ser_free(m.memo.items);
    ser_free(m.items.items);
    ser_free(m.pairs);
    ser_free(m.tensors);
    return status;
}

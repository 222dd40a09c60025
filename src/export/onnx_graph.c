#include "export/onnx_graph.h"
#include "base/memory.h"
#include "io/file.h"

#include "onnx.pb-c.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IR_VERSION = 8, MAX_ATTRIBUTES = 6, MAX_INPUTS = 64, MAX_METADATA = 16 };

struct ser_onnx {
    void **memory; /* everything below, to be freed in the end */
    size_t n_memory, memory_capacity, nodes_capacity, constants_capacity, n_values;
    bool failed;
    Onnx__ModelProto model;
    Onnx__GraphProto graph;
    Onnx__OperatorSetIdProto opset, *opsets[1];
    Onnx__StringStringEntryProto *metadata[MAX_METADATA];
    Onnx__ValueInfoProto *input[1], *output[1];
};

/* ---- memory ---- */

static void *take(ser_onnx *g, size_t n, size_t size)
{
    void *p = NULL;
    if (!g->failed && ser_grow(&g->memory, &g->memory_capacity, g->n_memory + 1, sizeof *g->memory))
        p = ser_alloc(n, size);
    if (p)
        g->memory[g->n_memory++] = p;
    else
        g->failed = true;
    return p;
}

static char *copy_text(ser_onnx *g, const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = take(g, n, 1);
    if (p)
        memcpy(p, s, n);
    return p;
}

static void *message(ser_onnx *g, size_t size, const void *empty)
{
    void *p = take(g, 1, size);
    if (p)
        memcpy(p, empty, size);
    return p;
}

#define MESSAGE(g, type, init) ((type *)message(g, sizeof(type), &(const type)init))

ser_status ser_onnx_new(ser_onnx **out, const char *name, ser_error *err)
{
    ser_onnx *g = *out = ser_alloc(1, sizeof *g);
    if (!g)
        return ser_fail_nomem(err);
    g->model = (Onnx__ModelProto)ONNX__MODEL_PROTO__INIT;
    g->graph = (Onnx__GraphProto)ONNX__GRAPH_PROTO__INIT;
    g->opset = (Onnx__OperatorSetIdProto)ONNX__OPERATOR_SET_ID_PROTO__INIT;
    g->opsets[0] = &g->opset;
    g->opset.domain = copy_text(g, "");
    g->opset.has_version = true;
    g->opset.version = SER_ONNX_OPSET;
    g->model.has_ir_version = true;
    g->model.ir_version = IR_VERSION;
    g->model.n_opset_import = 1;
    g->model.opset_import = g->opsets;
    g->model.producer_name = copy_text(g, "ser");
    g->model.producer_version = copy_text(g, SER_VERSION);
    g->model.graph = &g->graph;
    g->model.metadata_props = g->metadata;
    g->graph.name = copy_text(g, name);
    g->graph.input = g->input;
    g->graph.output = g->output;
    return SER_OK;
}

void ser_onnx_free(ser_onnx **graph)
{
    ser_onnx *g = *graph;
    if (!g)
        return;
    for (size_t i = 0; i < g->n_memory; i++)
        ser_free(g->memory[i]);
    ser_free(g->memory);
    ser_free(g->graph.node);
    ser_free(g->graph.initializer);
    ser_free(g);
    *graph = NULL;
}

void ser_onnx_fail(ser_onnx *g)
{
    g->failed = true;
}

/* ---- in, out, what is said ---- */

static Onnx__TensorShapeProto *shape_of(ser_onnx *g, size_t n_dims, const char *const *dims)
{
    Onnx__TensorShapeProto *shape = MESSAGE(g, Onnx__TensorShapeProto, ONNX__TENSOR_SHAPE_PROTO__INIT);
    if (!shape || !(shape->dim = take(g, n_dims, sizeof *shape->dim)))
        return NULL;
    for (; shape->n_dim < n_dims; shape->n_dim++) {
        Onnx__TensorShapeProto__Dimension *d =
            MESSAGE(g, Onnx__TensorShapeProto__Dimension, ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT);
        const char *text = dims[shape->n_dim];
        char *end;
        long number = strtol(text, &end, 10);
        if (!d)
            return NULL;
        if (*end) {
            d->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            d->dim_param = copy_text(g, text);
        } else {
            d->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            d->dim_value = number;
        }
        shape->dim[shape->n_dim] = d;
    }
    return shape;
}

static Onnx__ValueInfoProto *describe(ser_onnx *g, const char *name, size_t n_dims, const char *const *dims)
{
    Onnx__ValueInfoProto *v = MESSAGE(g, Onnx__ValueInfoProto, ONNX__VALUE_INFO_PROTO__INIT);
    Onnx__TypeProto *type = MESSAGE(g, Onnx__TypeProto, ONNX__TYPE_PROTO__INIT);
    Onnx__TypeProto__Tensor *t = MESSAGE(g, Onnx__TypeProto__Tensor, ONNX__TYPE_PROTO__TENSOR__INIT);
    if (!v || !type || !t)
        return NULL;
    t->has_elem_type = true;
    t->elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    t->shape = shape_of(g, n_dims, dims);
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = t;
    v->name = copy_text(g, name);
    v->type = type;
    return v;
}

ser_onnx_value ser_onnx_input(ser_onnx *g, const char *name, size_t n_dims, const char *const *dims)
{
    g->input[0] = describe(g, name, n_dims, dims);
    g->graph.n_input = 1;
    return g->failed ? "" : g->input[0]->name;
}

static Onnx__NodeProto *last_node(ser_onnx *g)
{
    return g->failed ? NULL : g->graph.node[g->graph.n_node - 1];
}

void ser_onnx_output(ser_onnx *g, const char *name, ser_onnx_value of, size_t n_dims, const char *const *dims)
{
    SER_ONNX(g, "Identity", of);
    g->output[0] = describe(g, name, n_dims, dims);
    g->graph.n_output = 1;
    if (last_node(g))
        last_node(g)->output[0] = g->output[0]->name;
}

void ser_onnx_metadata(ser_onnx *g, const char *key, const char *text)
{
    Onnx__StringStringEntryProto *e =
        MESSAGE(g, Onnx__StringStringEntryProto, ONNX__STRING_STRING_ENTRY_PROTO__INIT);
    if (!e || g->model.n_metadata_props == MAX_METADATA)
        return;
    e->key = copy_text(g, key);
    e->value = copy_text(g, text);
    g->metadata[g->model.n_metadata_props++] = e;
}

/* ---- nodes ---- */

static char *new_name(ser_onnx *g)
{
    char name[32];
    snprintf(name, sizeof name, "v%zu", g->n_values++);
    return copy_text(g, name);
}

ser_onnx_value ser_onnx_node(ser_onnx *g, const char *op, const ser_onnx_value *inputs)
{
    size_t n = 0;
    while (inputs[n])
        n++;
    Onnx__NodeProto *node = MESSAGE(g, Onnx__NodeProto, ONNX__NODE_PROTO__INIT);
    char **in = take(g, n, sizeof *in), **out = take(g, 1, sizeof *out);
    Onnx__AttributeProto **attributes = take(g, MAX_ATTRIBUTES, sizeof(Onnx__AttributeProto *));
    if (g->failed ||
        !ser_grow(&g->graph.node, &g->nodes_capacity, g->graph.n_node + 1, sizeof *g->graph.node)) {
        g->failed = true;
        return "";
    }
    for (size_t i = 0; i < n; i++)
        in[i] = copy_text(g, inputs[i]);
    out[0] = new_name(g);
    node->op_type = copy_text(g, op);
    node->name = out[0];
    node->n_input = n;
    node->input = in;
    node->n_output = 1;
    node->output = out;
    node->attribute = attributes;
    g->graph.node[g->graph.n_node++] = node;
    return g->failed ? "" : out[0];
}

static Onnx__AttributeProto *attribute(ser_onnx *g, const char *name,
                                       Onnx__AttributeProto__AttributeType type)
{
    Onnx__AttributeProto *a = MESSAGE(g, Onnx__AttributeProto, ONNX__ATTRIBUTE_PROTO__INIT);
    Onnx__NodeProto *node = last_node(g);
    if (!a || !node || node->n_attribute == MAX_ATTRIBUTES)
        return NULL;
    a->name = copy_text(g, name);
    a->has_type = true;
    a->type = type;
    node->attribute[node->n_attribute++] = a;
    return a;
}

void ser_onnx_int(ser_onnx *g, const char *name, int64_t i)
{
    Onnx__AttributeProto *a = attribute(g, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    if (a) {
        a->has_i = true;
        a->i = i;
    }
}

void ser_onnx_float(ser_onnx *g, const char *name, float f)
{
    Onnx__AttributeProto *a = attribute(g, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    if (a) {
        a->has_f = true;
        a->f = f;
    }
}

void ser_onnx_ints(ser_onnx *g, const char *name, size_t n, const int64_t *ints)
{
    Onnx__AttributeProto *a = attribute(g, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    int64_t *copy = take(g, n, sizeof *copy);
    if (!a || !copy)
        return;
    memcpy(copy, ints, n * sizeof *copy);
    a->n_ints = n;
    a->ints = copy;
}

void ser_onnx_string(ser_onnx *g, const char *name, const char *s)
{
    Onnx__AttributeProto *a = attribute(g, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);
    char *copy = copy_text(g, s);
    if (!a || !copy)
        return;
    a->has_s = true;
    a->s = (ProtobufCBinaryData){strlen(copy), (uint8_t *)copy};
}

/* ---- constants ---- */

static void *constant(ser_onnx *g, ser_onnx_value *value, int type, size_t size, size_t n_dims,
                      const size_t *dims)
{
    size_t n = 1;
    bool fits = true;
    *value = "";
    for (size_t i = 0; i < n_dims; i++)
        fits = fits && ser_mul_size(&n, n, dims[i]);
    Onnx__TensorProto *t = MESSAGE(g, Onnx__TensorProto, ONNX__TENSOR_PROTO__INIT);
    int64_t *sizes = take(g, n_dims, sizeof *sizes);
    void *data = fits ? take(g, n, size) : NULL;
    if (!t || !sizes || !data ||
        !ser_grow(&g->graph.initializer, &g->constants_capacity, g->graph.n_initializer + 1,
                  sizeof *g->graph.initializer)) {
        g->failed = true;
        return NULL;
    }
    for (size_t i = 0; i < n_dims; i++)
        sizes[i] = (int64_t)dims[i];
    t->name = new_name(g);
    t->n_dims = n_dims;
    t->dims = sizes;
    t->has_data_type = true;
    t->data_type = type;
    t->has_raw_data = true; /* little-endian */
    t->raw_data = (ProtobufCBinaryData){n * size, data};
    g->graph.initializer[g->graph.n_initializer++] = t;
    if (!g->failed)
        *value = t->name;
    return g->failed ? NULL : data;
}

float *ser_onnx_floats(ser_onnx *g, ser_onnx_value *value, size_t n_dims, const size_t *dims)
{
    return constant(g, value, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, sizeof(float), n_dims, dims);
}

ser_onnx_value ser_onnx_scalar(ser_onnx *g, float x)
{
    ser_onnx_value value;
    float *to = ser_onnx_floats(g, &value, 0, NULL);
    if (to)
        *to = x;
    return value;
}

ser_onnx_value ser_onnx_i64(ser_onnx *g, size_t n, const int64_t *x)
{
    ser_onnx_value value;
    int64_t *to = constant(g, &value, ONNX__TENSOR_PROTO__DATA_TYPE__INT64, sizeof *to, 1, &n);
    if (to)
        memcpy(to, x, n * sizeof *to);
    return value;
}

ser_onnx_value ser_onnx_slice(ser_onnx *g, ser_onnx_value x, ser_onnx_value from, ser_onnx_value to,
                              int64_t axis)
{
    return SER_ONNX(g, "Slice", x, from, to, ser_onnx_i64(g, 1, &axis));
}

ser_onnx_value ser_onnx_length(ser_onnx *g, ser_onnx_value x, int64_t axis)
{
    ser_onnx_value shape = SER_ONNX(g, "Shape", x);
    return SER_ONNX(g, "Gather", shape, ser_onnx_i64(g, 1, &axis));
}

/* ---- the file ---- */

typedef struct file_buffer {
    ProtobufCBuffer base;
    FILE *file;
} file_buffer;

static void append(ProtobufCBuffer *buffer, size_t n, const uint8_t *bytes)
{
    fwrite(bytes, 1, n, ((file_buffer *)buffer)->file); /* commit sees whether it worked */
}

ser_status ser_onnx_write(ser_onnx *g, const char *path, ser_error *err)
{
    ser_output out;
    if (g->failed)
        return ser_fail_nomem(err);
    if (protobuf_c_message_get_packed_size(&g->model.base) > INT32_MAX)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "the model is larger than the 2 GB that an ONNX file can hold");
    ser_status st = ser_output_open(&out, path, err);
    if (st != SER_OK)
        return st;
    file_buffer buffer = {{append}, out.file};
    protobuf_c_message_pack_to_buffer(&g->model.base, &buffer.base);
    return ser_output_commit(&out, err);
}

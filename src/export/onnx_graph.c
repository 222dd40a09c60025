#include "export/onnx_graph.h"
#include "base/memory.h"
#include "export/onnx_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IR_VERSION = 8, MAX_ATTRIBUTES = 6, MAX_METADATA = 16, MAX_IN_OUT = 32, MAX_BODIES = 3 };

/* The model's graph, or the body of a loop in it. */
typedef struct body {
    Onnx__GraphProto *graph;
    size_t nodes_capacity, constants_capacity;
} body;

struct ser_onnx {
    void **memory; /* everything below, to be freed in the end */
    size_t n_memory, memory_capacity, n_values;
    bool failed;
    Onnx__ModelProto model;
    Onnx__OperatorSetIdProto opset, *opsets[1];
    Onnx__StringStringEntryProto *metadata[MAX_METADATA];
    body bodies[MAX_BODIES + 1]; /* those under way, each in the one before it */
    size_t n_bodies;
};

/* ---- memory ---- */

static void keep(ser_onnx *g, void *p)
{
    if (p && !g->failed && ser_grow(&g->memory, &g->memory_capacity, g->n_memory + 1, sizeof *g->memory)) {
        g->memory[g->n_memory++] = p;
        return;
    }
    ser_free(p);
    g->failed = true;
}

static void *take(ser_onnx *g, size_t n, size_t size)
{
    void *p = g->failed ? NULL : ser_alloc(n, size);
    keep(g, p);
    return g->failed ? NULL : p;
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

static char *new_name(ser_onnx *g)
{
    char name[32];
    snprintf(name, sizeof name, "v%zu", g->n_values++);
    return copy_text(g, name);
}

/* ---- graphs ---- */

static body *current(ser_onnx *g)
{
    return &g->bodies[g->n_bodies - 1];
}

static void push_body(ser_onnx *g, const char *name)
{
    Onnx__GraphProto *graph = MESSAGE(g, Onnx__GraphProto, ONNX__GRAPH_PROTO__INIT);
    Onnx__ValueInfoProto **input = take(g, MAX_IN_OUT, sizeof *input),
                         **output = take(g, MAX_IN_OUT, sizeof *output);
    if (!graph || !input || !output || g->n_bodies > MAX_BODIES) {
        g->failed = true;
        return;
    }
    graph->name = copy_text(g, name);
    graph->input = input;
    graph->output = output;
    g->bodies[g->n_bodies++] = (body){.graph = graph};
}

/* Its nodes and constants are complete. */
static Onnx__GraphProto *pop_body(ser_onnx *g)
{
    body *b = current(g);
    keep(g, b->graph->node);
    if (b->graph->n_initializer)
        keep(g, b->graph->initializer);
    g->n_bodies--;
    return b->graph;
}

ser_status ser_onnx_new(ser_onnx **out, const char *name, ser_error *err)
{
    ser_onnx *g = *out = ser_alloc(1, sizeof *g);
    if (!g)
        return ser_fail_nomem(err);
    g->model = (Onnx__ModelProto)ONNX__MODEL_PROTO__INIT;
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
    g->model.metadata_props = g->metadata;
    push_body(g, name);
    if (!g->failed)
        g->model.graph = current(g)->graph;
    return SER_OK;
}

void ser_onnx_free(ser_onnx **graph)
{
    ser_onnx *g = *graph;
    if (!g)
        return;
    for (size_t i = 0; i < g->n_bodies; i++) {
        ser_free(g->bodies[i].graph->node);
        ser_free(g->bodies[i].graph->initializer);
    }
    for (size_t i = 0; i < g->n_memory; i++)
        ser_free(g->memory[i]);
    ser_free(g->memory);
    ser_free(g);
    *graph = NULL;
}

void ser_onnx_fail(ser_onnx *g)
{
    g->failed = true;
}

/* ---- in, out, what is said ---- */

static Onnx__TensorShapeProto *shape_of(ser_onnx *g, const ser_onnx_kind *kind)
{
    Onnx__TensorShapeProto *shape = MESSAGE(g, Onnx__TensorShapeProto, ONNX__TENSOR_SHAPE_PROTO__INIT);
    if (!shape || !(shape->dim = take(g, kind->n_dims, sizeof *shape->dim)))
        return NULL;
    for (; shape->n_dim < kind->n_dims; shape->n_dim++) {
        Onnx__TensorShapeProto__Dimension *d =
            MESSAGE(g, Onnx__TensorShapeProto__Dimension, ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT);
        const char *text = kind->dims[shape->n_dim];
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

static Onnx__ValueInfoProto *describe(ser_onnx *g, const char *name, ser_onnx_kind kind)
{
    Onnx__ValueInfoProto *v = MESSAGE(g, Onnx__ValueInfoProto, ONNX__VALUE_INFO_PROTO__INIT);
    Onnx__TypeProto *type = MESSAGE(g, Onnx__TypeProto, ONNX__TYPE_PROTO__INIT);
    Onnx__TypeProto__Tensor *t = MESSAGE(g, Onnx__TypeProto__Tensor, ONNX__TYPE_PROTO__TENSOR__INIT);
    if (!v || !type || !t)
        return NULL;
    t->has_elem_type = true;
    t->elem_type = (int32_t)kind.type;
    t->shape = shape_of(g, &kind);
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = t;
    v->name = name ? copy_text(g, name) : new_name(g);
    v->type = type;
    return g->failed ? NULL : v;
}

ser_onnx_value ser_onnx_input(ser_onnx *g, const char *name, ser_onnx_kind kind)
{
    Onnx__ValueInfoProto *v = describe(g, name, kind);
    Onnx__GraphProto *graph = g->failed ? NULL : current(g)->graph;
    if (!v || graph->n_input == MAX_IN_OUT) {
        g->failed = true;
        return "";
    }
    graph->input[graph->n_input++] = v;
    return v->name;
}

static Onnx__NodeProto *last_node(ser_onnx *g)
{
    const Onnx__GraphProto *graph = g->failed ? NULL : current(g)->graph;
    return graph && graph->n_node ? graph->node[graph->n_node - 1] : NULL;
}

void ser_onnx_output(ser_onnx *g, const char *name, ser_onnx_value of, ser_onnx_kind kind)
{
    Onnx__ValueInfoProto *v = describe(g, name, kind);
    SER_ONNX(g, "Identity", of);
    Onnx__GraphProto *graph = g->failed ? NULL : current(g)->graph;
    if (!v || !graph || graph->n_output == MAX_IN_OUT) {
        g->failed = true;
        return;
    }
    graph->output[graph->n_output++] = v;
    last_node(g)->output[0] = v->name;
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

static Onnx__NodeProto *add_node(ser_onnx *g, const char *op, const ser_onnx_value *inputs, size_t n_outputs)
{
    size_t n = 0;
    while (inputs[n])
        n++;
    Onnx__NodeProto *node = MESSAGE(g, Onnx__NodeProto, ONNX__NODE_PROTO__INIT);
    char **in = take(g, n, sizeof *in), **out = take(g, n_outputs, sizeof *out);
    Onnx__AttributeProto **attributes = take(g, MAX_ATTRIBUTES, sizeof(Onnx__AttributeProto *));
    body *b = g->failed ? NULL : current(g);
    if (!b || !ser_grow(&b->graph->node, &b->nodes_capacity, b->graph->n_node + 1, sizeof *b->graph->node)) {
        g->failed = true;
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        in[i] = copy_text(g, inputs[i]);
    for (size_t i = 0; i < n_outputs; i++)
        out[i] = new_name(g);
    node->op_type = copy_text(g, op);
    node->name = out[0];
    node->n_input = n;
    node->input = in;
    node->n_output = n_outputs;
    node->output = out;
    node->attribute = attributes;
    b->graph->node[b->graph->n_node++] = node;
    return g->failed ? NULL : node;
}

ser_onnx_value ser_onnx_node(ser_onnx *g, const char *op, const ser_onnx_value *inputs)
{
    const Onnx__NodeProto *node = add_node(g, op, inputs, 1);
    return node ? node->output[0] : "";
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

/* ---- bodies ---- */

void ser_onnx_begin(ser_onnx *g)
{
    push_body(g, "body");
}

void ser_onnx_end(ser_onnx *g, const char *op, const ser_onnx_value *inputs, size_t n_outputs,
                  ser_onnx_value *outputs)
{
    for (size_t i = 0; i < n_outputs; i++)
        outputs[i] = "";
    if (g->failed)
        return;
    Onnx__GraphProto *graph = pop_body(g);
    const Onnx__NodeProto *node = add_node(g, op, inputs, n_outputs);
    Onnx__AttributeProto *a = attribute(g, "body", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH);
    if (!node || !a)
        return;
    a->g = graph;
    for (size_t i = 0; i < n_outputs; i++)
        outputs[i] = node->output[i];
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
    Onnx__GraphProto *graph = g->failed ? NULL : current(g)->graph;
    if (!t || !sizes || !data || !graph ||
        !ser_grow(&graph->initializer, &current(g)->constants_capacity, graph->n_initializer + 1,
                  sizeof *graph->initializer)) {
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
    graph->initializer[graph->n_initializer++] = t;
    if (!g->failed)
        *value = t->name;
    return g->failed ? NULL : data;
}

float *ser_onnx_floats(ser_onnx *g, ser_onnx_value *value, size_t n_dims, const size_t *dims)
{
    return constant(g, value, SER_ONNX_FLOAT, sizeof(float), n_dims, dims);
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
    int64_t *to = constant(g, &value, SER_ONNX_INT64, sizeof *to, 1, &n);
    if (to)
        memcpy(to, x, n * sizeof *to);
    return value;
}

ser_onnx_value ser_onnx_integer(ser_onnx *g, int64_t i)
{
    return ser_onnx_i64(g, 1, &i);
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

ser_status ser_onnx_write(ser_onnx *g, const char *path, size_t max_bytes, ser_error *err)
{
    return g->failed ? ser_fail_nomem(err) : ser_onnx_write_file(&g->model, path, max_bytes, err);
}

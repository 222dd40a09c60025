/* An ONNX model while it is made, on protobuf-c's structs of ONNX's own onnx.proto. Values are called by
 * names, which live as long as the graph. After a failed allocation nothing is added any more; ser_onnx_write
 * says so. */
#ifndef SER_EXPORT_ONNX_GRAPH_H
#define SER_EXPORT_ONNX_GRAPH_H

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

enum { SER_ONNX_OPSET = 17, SER_ONNX_MAX_DIMS = 4 };

typedef struct ser_onnx ser_onnx;
typedef const char *ser_onnx_value;

/* TensorProto.DataType */
typedef enum ser_onnx_type { SER_ONNX_FLOAT = 1, SER_ONNX_INT64 = 7, SER_ONNX_BOOL = 9 } ser_onnx_type;

/* A dimension is a number, or a name for what is not known. */
typedef struct ser_onnx_kind {
    ser_onnx_type type;
    size_t n_dims;
    const char *dims[SER_ONNX_MAX_DIMS];
} ser_onnx_kind;

ser_status ser_onnx_new(ser_onnx **out, const char *name, ser_error *err);
void ser_onnx_free(ser_onnx **g);

/* As after a failed allocation. */
void ser_onnx_fail(ser_onnx *g);

/* What goes in and out of the model; in a body, of that. name NULL: any. */
ser_onnx_value ser_onnx_input(ser_onnx *g, const char *name, ser_onnx_kind kind);
void ser_onnx_output(ser_onnx *g, const char *name, ser_onnx_value of, ser_onnx_kind kind);
void ser_onnx_metadata(ser_onnx *g, const char *key, const char *text);

/* A node with one output; inputs end with NULL, and "" is one that is left out. */
ser_onnx_value ser_onnx_node(ser_onnx *g, const char *op, const ser_onnx_value *inputs);
#define SER_ONNX(g, op, ...) ser_onnx_node(g, op, (const ser_onnx_value[]){__VA_ARGS__, NULL})
/* Attributes of the node that was made last. */
void ser_onnx_int(ser_onnx *g, const char *name, int64_t i);
void ser_onnx_float(ser_onnx *g, const char *name, float f);
void ser_onnx_ints(ser_onnx *g, const char *name, size_t n, const int64_t *ints);
void ser_onnx_string(ser_onnx *g, const char *name, const char *s);

/* What is made from begin to end is the body of one node, "Loop" or "Scan", which sees all values from
 * outside. outputs (n_outputs) receives the node's. */
void ser_onnx_begin(ser_onnx *g);
void ser_onnx_end(ser_onnx *g, const char *op, const ser_onnx_value *inputs, size_t n_outputs,
                  ser_onnx_value *outputs);

/* Constants. The floats are returned, zeroed, to be filled; NULL: no memory. */
float *ser_onnx_floats(ser_onnx *g, ser_onnx_value *value, size_t n_dims, const size_t *dims);
ser_onnx_value ser_onnx_scalar(ser_onnx *g, float x);
ser_onnx_value ser_onnx_i64(ser_onnx *g, size_t n, const int64_t *x);
/* Of the shape (1), as are all integers that are computed. */
ser_onnx_value ser_onnx_integer(ser_onnx *g, int64_t i);

/* Elements from ... to of an axis, which are values of one integer each. */
ser_onnx_value ser_onnx_slice(ser_onnx *g, ser_onnx_value x, ser_onnx_value from, ser_onnx_value to,
                              int64_t axis);
/* The length of an axis, one integer. */
ser_onnx_value ser_onnx_length(ser_onnx *g, ser_onnx_value x, int64_t axis);

/* A file of more than max_bytes leaves its large constants in PATH.data, which must stay beside it. 0: as
 * much as an ONNX file can hold, 2 GB. */
ser_status ser_onnx_write(ser_onnx *g, const char *path, size_t max_bytes, ser_error *err);

#endif

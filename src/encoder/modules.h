/* The weights of an encoder as a list of modules: one description serves the checks of a checkpoint, loading,
 * counting and export. */
#ifndef SER_ENCODER_MODULES_H
#define SER_ENCODER_MODULES_H

#include "io/safetensors.h"
#include "nn/speech.h"

typedef enum ser_module_kind {
    SER_MODULE_LINEAR, /* weight (n_out, n_in), bias (n_out) */
    SER_MODULE_CONV,   /* weight (n_out, n_in, kernel), bias (n_out) */
    SER_MODULE_NORM,   /* weight (n_out), bias (n_out) */
    SER_MODULE_TABLE,  /* weight (n_out, n_in) or, with a kernel, (n_out, n_in, kernel), as floats; bias */
    SER_MODULE_POSITIONAL, /* weight (n_out, n_in, kernel) in n_out / n_in groups, bias (n_out) */
    SER_MODULE_HEADS       /* one tensor, called name: (1, n_out, 1, 1), as floats */
} ser_module_kind;

typedef struct ser_module_spec {
    char name[64]; /* its tensors are called name.weight and name.bias */
    ser_module_kind kind;
    size_t n_out, n_in;
    size_t kernel, stride, padding; /* CONV; of TABLE and POSITIONAL the kernel */
    bool has_bias;
    bool exact;         /* LINEAR only: never computed in 8 bits */
    bool weight_norm;   /* POSITIONAL only: the weight is stored as direction and magnitude */
    ser_activation act; /* LINEAR and CONV only */
} ser_module_spec;

/* A loaded one: what its kind has, the rest empty. */
typedef struct ser_module {
    ser_nn_linear *linear;
    ser_nn_conv1d conv;
    ser_nn_grouped_conv grouped; /* of POSITIONAL */
    float *weight, *bias;        /* of NORM, TABLE, HEADS */
} ser_module;

/* Where tensors are looked up: their names start with prefix. */
typedef struct ser_weights {
    const ser_safetensors *file;
    char prefix[160];
} ser_weights;

enum { SER_MODULE_TENSORS = 3, SER_MODULE_DIMS = 4 }; /* weight, bias, magnitude */

/* Finds out what stands behind prefix in this file: one of the usual prefixes, else what any program put
 * before the tensors of the first two specs (DataParallel's "module.", a class's own name for its encoder).
 */
ser_status ser_weights_init(ser_weights *w, const ser_safetensors *file, const char *prefix,
                            const ser_module_spec specs[2], ser_error *err);

/* Tensor i of a module: its name without the file's prefix, its shape. Returns the number of dimensions; 0:
 * the module has no such tensor. */
int ser_module_tensor(const ser_module_spec *spec, int i, char name[96], size_t dims[SER_MODULE_DIMS]);
/* In the file, where PyTorch's newer spelling of weight norm is as good; NULL: missing. */
const ser_tensor *ser_weights_find(const ser_weights *w, const ser_module_spec *spec, int i);

/* SER_E_FORMAT: tensors are missing (the text names the first), or have another shape or type. */
ser_status ser_modules_check(const ser_module_spec *specs, size_t n, const ser_weights *w, ser_error *err);

bool ser_values_are_finite(const float *x, size_t n);

/* Elements first ... first + n - 1 of the tensor as floats, times the scale of their row where it has 8 bits.
 * They must lie in one row. SER_E_FORMAT: one is no finite number. */
ser_status ser_weights_read(float *out, const ser_weights *w, const ser_tensor *t, size_t first, size_t n,
                            ser_error *err);

/* A POSITIONAL module's weight as floats, with its weight norm in it; the caller frees *out (ser_free). */
ser_status ser_weights_read_positional(float **out, const ser_weights *w, const ser_module_spec *spec,
                                       ser_error *err);

/* modules (n) zeroed; what was loaded before a failure is left for ser_modules_release. The specs must have
 * been checked. */
ser_status ser_modules_load(ser_module *modules, const ser_module_spec *specs, size_t n, const ser_weights *w,
                            const ser_nn_ops *ops, ser_error *err);
void ser_modules_release(ser_module *modules, size_t n);

#endif

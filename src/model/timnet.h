/* The `timnet` model, a temporal network after J. Ye et al., "Temporal modeling matters", ICASSP 2023: two
 * streams, forwards and backwards in time, of gated blocks of causal dilated convolutions; each block's
 * output is averaged over time, a learned weighting adds up the blocks, dense layers answer.
 *
 *   stream:  x = frames w + bias                                   (backwards: the frames in reverse order)
 *            block i:  z = x; twice: z = dropout(f(norm(conv(z))));  x = x sigmoid(z);  mean_i = mean over t
 * of x sum = sum over i of weighting_i (mean_i of one stream + mean_i of the other) logits =
 * output(dropout(relu(dense2(dropout(relu(dense1(sum)))))))
 *
 * Recordings may be of any length: none is padded, so none sees its neighbours in a batch except through the
 * statistics of batch normalisation, which are over all their frames. Results depend on the engine and its
 * precision, not on the number of threads. */
#ifndef SER_MODEL_TIMNET_H
#define SER_MODEL_TIMNET_H

#include "nn/trainable.h"

enum { SER_TIMNET_DENSE_1 = 128, SER_TIMNET_DENSE_2 = 64 };

typedef struct ser_timnet_shape {
    size_t n_in, n_labels;
    size_t n_filters, kernel_size, n_dilations, n_stacks;
    ser_nonlinearity activation;
    double dropout;
} ser_timnet_shape;

/* The original's: 128 filters, kernel 3, 8 dilations, 3 stacks, ReLU, dropout 0.4. */
ser_timnet_shape ser_timnet_default_shape(size_t n_in, size_t n_labels);

/* One tensor of the network: its name in files, its sizes, its place in the values. */
typedef struct ser_timnet_param {
    char name[48];
    int n_dims;
    size_t dims[3];
    size_t offset, n;
} ser_timnet_param;

/* Where a convolution's tensors begin among the values. */
typedef struct ser_timnet_conv {
    size_t kernel, bias, gamma, beta, running_mean, running_variance;
} ser_timnet_conv;

typedef struct ser_timnet_dense {
    size_t kernel, bias;
} ser_timnet_dense;

/* Kernels lie as Keras has them: (kernel_size, n_in, n_out), dense ones (n_in, n_out). */
typedef struct ser_timnet {
    ser_timnet_shape shape;
    ser_timnet_param *params;
    size_t n_params;
    float *values; /* n_values: first those that training changes, then the running averages */
    size_t n_values, n_trained;
    ser_timnet_dense input[2], dense[3]; /* [stream]; the last three layers */
    ser_timnet_conv *convs;              /* [(stream * n_blocks + block) * 2 + which] */
    size_t weighting;
} ser_timnet;

/* SER_E_ARG with the reason for sizes that make no network. Values are zero, ready to be loaded or
 * randomised. */
ser_status ser_timnet_new(ser_timnet **out, const ser_timnet_shape *shape, ser_error *err);
void ser_timnet_free(ser_timnet **net);
size_t ser_timnet_n_blocks(const ser_timnet *net);

/* Glorot uniform kernels, biases 0, gamma 1, running variance 1, equal weights for the blocks. */
void ser_timnet_randomise(ser_timnet *net, uint64_t seed);

/* Values from tensors of these names behind prefix, each checked for its sizes and for numbers that are not
 * finite. On failure the network's values are in part the file's. */
ser_status ser_timnet_load(ser_timnet *net, const ser_safetensors *file, const char *prefix, ser_error *err);
/* The values as tensors (n_params of them) that point into net; names hold the prefix and the name. */
typedef struct ser_timnet_name {
    char text[80];
} ser_timnet_name;
void ser_timnet_tensors(const ser_timnet *net, const char *prefix, ser_tensor *tensors,
                        ser_timnet_name *names);

/* Recordings: frames[i] (n_frames[i], n_in), n_frames[i] > 0. */
typedef struct ser_timnet_batch {
    size_t n;
    const float *const *frames;
    const size_t *n_frames;
} ser_timnet_batch;

/* Scratch memory for one network's shape; grows with the largest batch. Belongs to one thread, and uses the
 * threads of nn: two at most, one per stream. nn must outlive *out. for_training: with memory for backward
 * passes, ten times as much. */
typedef struct ser_timnet_work ser_timnet_work;
ser_status ser_timnet_work_new(ser_timnet_work **out, const ser_timnet_shape *shape, ser_nn_work *nn,
                               bool for_training, ser_error *err);
void ser_timnet_work_free(ser_timnet_work **work);

/* Answers with the running averages and without dropout: logits (n, n_labels). */
ser_status ser_timnet_predict(const ser_timnet *net, ser_timnet_work *work, const ser_timnet_batch *batch,
                              float *logits, ser_error *err);

/* As in training: the batch's own statistics, which also enter net's running averages, and dropout, drawn
 * from dropout_seed, which must be another for each step. */
ser_status ser_timnet_forward(ser_timnet *net, ser_timnet_work *work, const ser_timnet_batch *batch,
                              uint64_t dropout_seed, float *logits, ser_error *err);
/* Right after ser_timnet_forward, whose frames must still be there: gradients (n_trained) += those of the
 * loss whose gradient by the logits is dlogits (n, n_labels). dfeatures (n, SER_TIMNET_DENSE_2) or NULL:
 * gradient of a further loss by the features. */
ser_status ser_timnet_backward(const ser_timnet *net, ser_timnet_work *work, const float *dlogits,
                               const float *dfeatures, float *gradients, ser_error *err);
/* What the output layer read in the last pass: (n, SER_TIMNET_DENSE_2). */
const float *ser_timnet_features(const ser_timnet_work *work);

#endif

/* A network with values of its own, frames and the answers to them, for tools/check_keras_weights.py:
 *   make-keras-example WEIGHTS.h5 EXAMPLE.safetensors [N_IN N_LABELS FILTERS KERNEL DILATIONS STACKS
 * ACTIVATION]
 */
#include "base/memory.h"
#include "base/random.h"
#include "keras/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_RECORDINGS = 3 };
static const size_t n_frames[N_RECORDINGS] = {1, 57, 300};

typedef struct example {
    ser_nn_ops *ops;
    ser_nn_work *nn;
    ser_timnet *net;
    ser_timnet_work *work;
    float *frames[N_RECORDINGS], *logits;
} example;

static void fill(float *x, size_t n, ser_random *random, double mean, double deviation)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(mean + deviation * ser_random_normal(random));
}

/* Biases, gains and running averages as if the network had been trained. */
static void give_values(ser_timnet *net, ser_random *random)
{
    ser_timnet_randomise(net, 46);
    for (size_t i = 0; i < net->n_params; i++) {
        const ser_timnet_param *p = &net->params[i];
        float *x = net->values + p->offset;
        const char *kind = strrchr(p->name, '.');
        if (!kind)
            fill(x, p->n, random, 1, 0.2);
        else if (strcmp(kind, ".gamma") == 0)
            fill(x, p->n, random, 1, 0.2);
        else if (strcmp(kind, ".beta") == 0)
            fill(x, p->n, random, 2, 0.5); /* gates nearly open: the last blocks still matter */
        else if (strcmp(kind, ".variance") == 0)
            for (size_t k = 0; k < p->n; k++)
                x[k] = (float)ser_random_between(random, 0.5, 2);
        else if (strcmp(kind, ".kernel") != 0)
            fill(x, p->n, random, 0, 0.2);
    }
}

static ser_status compute(example *e, const ser_timnet_shape *shape, ser_error *err)
{
    ser_random random;
    ser_random_init(&random, 46);
    ser_status st = ser_nn_ops_new(&e->ops, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, err);
    if (st == SER_OK)
        st = ser_nn_work_new(&e->nn, e->ops, 1, err);
    if (st == SER_OK)
        st = ser_timnet_new(&e->net, shape, err);
    if (st == SER_OK)
        st = ser_timnet_work_new(&e->work, shape, e->nn, false, err);
    if (st != SER_OK)
        return st;
    give_values(e->net, &random);
    e->logits = ser_alloc(N_RECORDINGS * shape->n_labels, sizeof *e->logits);
    for (size_t i = 0; i < N_RECORDINGS; i++) {
        e->frames[i] = ser_alloc(n_frames[i] * shape->n_in, sizeof *e->frames[i]);
        if (!e->frames[i] || !e->logits)
            return ser_fail_nomem(err);
        fill(e->frames[i], n_frames[i] * shape->n_in, &random, 0, 1);
    }
    ser_timnet_batch batch = {N_RECORDINGS, (const float *const *)e->frames, n_frames};
    return ser_timnet_predict(e->net, e->work, &batch, e->logits, err);
}

static ser_status save(const example *e, const char *weights, const char *path, ser_error *err)
{
    static const char *const names[N_RECORDINGS] = {"frames0", "frames1", "frames2"};
    const ser_timnet_shape *s = &e->net->shape;
    ser_tensor tensors[N_RECORDINGS + 1];
    for (size_t i = 0; i < N_RECORDINGS; i++)
        tensors[i] = (ser_tensor){.name = names[i],
                                  .dtype = SER_F32,
                                  .n_dims = 2,
                                  .dims = {n_frames[i], s->n_in},
                                  .n_elements = n_frames[i] * s->n_in,
                                  .data = e->frames[i],
                                  .n_bytes = n_frames[i] * s->n_in * sizeof(float)};
    tensors[N_RECORDINGS] = (ser_tensor){.name = "logits",
                                         .dtype = SER_F32,
                                         .n_dims = 2,
                                         .dims = {N_RECORDINGS, s->n_labels},
                                         .n_elements = N_RECORDINGS * s->n_labels,
                                         .data = e->logits,
                                         .n_bytes = N_RECORDINGS * s->n_labels * sizeof(float)};
    const struct {
        const char *name;
        size_t value;
    } sizes[] = {{"n_in", s->n_in},
                 {"n_labels", s->n_labels},
                 {"filter_size", s->n_filters},
                 {"kernel_size", s->kernel_size},
                 {"dilation_size", s->n_dilations},
                 {"stack_size", s->n_stacks}};
    enum { N_SIZES = sizeof sizes / sizeof *sizes };
    char values[N_SIZES][24];
    const char *metadata[N_SIZES + 1][2] = {[N_SIZES] = {"activation", ser_nonlinearity_name(s->activation)}};
    for (size_t i = 0; i < N_SIZES; i++) {
        snprintf(values[i], sizeof values[i], "%zu", sizes[i].value);
        metadata[i][0] = sizes[i].name;
        metadata[i][1] = values[i];
    }
    ser_status st = ser_keras_weights_write(weights, e->net, err);
    return st == SER_OK ? ser_safetensors_write(path, tensors, N_RECORDINGS + 1,
                                                (const char *const(*)[2])metadata, N_SIZES + 1, err)
                        : st;
}

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 10) {
        fprintf(stderr,
                "usage: %s WEIGHTS.h5 EXAMPLE.safetensors [N_IN N_LABELS FILTERS KERNEL DILATIONS STACKS "
                "ACTIVATION]\n",
                argv[0]);
        return 2;
    }
    ser_timnet_shape shape = ser_timnet_default_shape(128, 7);
    if (argc == 10) {
        size_t *sizes[] = {&shape.n_in,        &shape.n_labels,    &shape.n_filters,
                           &shape.kernel_size, &shape.n_dilations, &shape.n_stacks};
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            *sizes[i] = strtoul(argv[3 + i], NULL, 10);
        if (!ser_nonlinearity_parse(&shape.activation, argv[9])) {
            fprintf(stderr, "%s: no activation\n", argv[9]);
            return 2;
        }
    }
    ser_error err = {0};
    example e = {0};
    ser_status st = compute(&e, &shape, &err);
    if (st == SER_OK)
        st = save(&e, argv[1], argv[2], &err);
    if (st != SER_OK)
        fprintf(stderr, "%s\n", err.text);
    for (size_t i = 0; i < N_RECORDINGS; i++)
        ser_free(e.frames[i]);
    ser_free(e.logits);
    ser_timnet_work_free(&e.work);
    ser_timnet_free(&e.net);
    ser_nn_work_free(&e.nn);
    ser_nn_ops_free(&e.ops);
    return st == SER_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

#include "base/memory.h"
#include "fuzz.h"
#include "keras/weights.h"

#include <math.h>

/* The network of the seeds, the smallest with all kinds of layers. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    ser_timnet_shape shape = {.n_in = 2,
                              .n_labels = 2,
                              .n_filters = 2,
                              .kernel_size = 1,
                              .n_dilations = 1,
                              .n_stacks = 1,
                              .activation = SER_RELU};
    ser_timnet *net;
    ser_error err = {0};
    if (ser_timnet_new(&net, &shape, NULL) != SER_OK)
        abort();
    uint8_t *copy = fuzz_copy(data, n);
    ser_status st = ser_keras_weights_read_memory(copy, n, net, &err);
    if ((st != SER_OK) != (err.text[0] != 0) || strchr(err.text, '\n'))
        abort();
    for (size_t i = 0; i < net->n_values; i++)
        if (!isfinite(net->values[i]) || (st != SER_OK && net->values[i] != 0))
            abort();
    ser_keras_misfit misfit;
    st = ser_keras_weights_read_fitting_memory(copy, n, net, &misfit, NULL);
    if (st == SER_OK && misfit.n >= misfit.n_layers)
        abort();
    ser_keras_misfit_release(&misfit);
    for (size_t i = 0; i < net->n_values; i++)
        if (!isfinite(net->values[i]))
            abort();
    free(copy);
    ser_timnet_free(&net);
    return 0;
}

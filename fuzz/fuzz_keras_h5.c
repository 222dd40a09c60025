#include "base/memory.h"
#include "fuzz.h"
#include "keras/weights.h"

#include <math.h>

/* Not watched by the fuzzer: it would take more time than the reader. */
static fuzz_unwatched void check_values(const ser_timnet *net, bool zero)
{
    bool right = true;
    for (size_t i = 0; i < net->n_values; i++)
        right &= zero ? net->values[i] == 0 : isfinite(net->values[i]);
    if (!right)
        abort();
}

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
    check_values(net, st != SER_OK);
    ser_keras_misfit misfit;
    st = ser_keras_weights_read_fitting_memory(copy, n, net, &misfit, NULL);
    if (st == SER_OK && misfit.n >= misfit.n_layers)
        abort();
    ser_keras_misfit_release(&misfit);
    check_values(net, false);
    free(copy);
    ser_timnet_free(&net);
    return 0;
}

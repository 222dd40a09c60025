/* weights.h5: there and back, files that Keras wrote (tools/check_keras_weights.py --back), other networks'
 * files, damaged and hostile ones. */
#include "base/memory.h"
#include "failures/failing.h"
#include "golden_tensors.h"
#include "keras/weights.h"
#include "scratch.h"

#include <hdf5.h>

static ser_error err;

static ser_timnet *network(size_t n_in, size_t n_stacks, size_t n_dilations)
{
    ser_timnet_shape shape = {.n_in = n_in,
                              .n_labels = 2,
                              .n_filters = 2,
                              .kernel_size = 1,
                              .n_dilations = n_dilations,
                              .n_stacks = n_stacks,
                              .activation = SER_RELU,
                              .dropout = 0.4};
    ser_timnet *net = NULL;
    CHECK_OK(ser_timnet_new(&net, &shape, &err), &err);
    return net;
}

/* Every value another one. */
static ser_timnet *numbered(size_t n_in, size_t n_stacks, size_t n_dilations)
{
    ser_timnet *net = network(n_in, n_stacks, n_dilations);
    for (size_t i = 0; i < net->n_values; i++)
        net->values[i] = (float)i;
    return net;
}

static unsigned char *slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    static unsigned char bytes[2][1 << 20];
    static int next;
    unsigned char *to = bytes[next++ % 2];
    *n = f ? fread(to, 1, sizeof bytes[0], f) : 0;
    CHECK(f && fclose(f) == 0);
    return to;
}

static void test_there_and_back(size_t n_stacks, size_t n_dilations)
{
    ser_timnet *net = numbered(3, n_stacks, n_dilations), *back = network(3, n_stacks, n_dilations);
    CHECK_OK(ser_keras_weights_write(scratch("weights.h5"), net, &err), &err);
    CHECK_OK(ser_keras_weights_read(scratch("weights.h5"), back, &err), &err);
    CHECK(memcmp(net->values, back->values, net->n_values * sizeof *net->values) == 0);
    ser_timnet_free(&back);
    ser_timnet_free(&net);
}

static void test_same_bytes(void)
{
    size_t n, m;
    ser_timnet *net = numbered(3, 2, 2);
    CHECK_OK(ser_keras_weights_write(scratch("a.h5"), net, &err), &err);
    sleep(1); /* HDF5 can keep times in seconds */
    CHECK_OK(ser_keras_weights_write(scratch("b.h5"), net, &err), &err);
    const unsigned char *a = slurp(scratch("a.h5"), &n), *b = slurp(scratch("b.h5"), &m);
    CHECK(n > 1000 && n == m && memcmp(a, b, n) == 0);
    ser_timnet_free(&net);
}

/* Files of Keras 2 (its save_weights) and Keras 3 (a whole model), and the answers Keras gave with them. */
static void test_keras_files(const char *name)
{
    ser_safetensors *example = open_golden("keras/example.safetensors");
    char path[512];
    const float *frames[3];
    size_t n_frames[3];
    float logits[6];
    const char *folder = getenv("SER_TEST_DIR");
    snprintf(path, sizeof path, "%s/golden/keras/%s", folder ? folder : "tests", name);
    for (size_t i = 0; i < 3; i++) {
        size_t dims[2] = {0};
        char tensor[16];
        snprintf(tensor, sizeof tensor, "frames%zu", i);
        frames[i] = golden(example, tensor, NULL, dims);
        n_frames[i] = dims[0];
    }
    float *expected = golden(example, "logits", NULL, NULL);
    ser_nn_ops *ops = NULL;
    ser_nn_work *nn = NULL;
    ser_timnet *net = network(2, 1, 1);
    ser_timnet_work *work = NULL;
    CHECK_OK(ser_keras_weights_read(path, net, &err), &err);
    CHECK_OK(ser_nn_ops_new(&ops, SER_ENGINE_REF, SER_PRECISION_FP32, &err), &err);
    CHECK_OK(ser_nn_work_new(&nn, ops, 1, &err), &err);
    CHECK_OK(ser_timnet_work_new(&work, &net->shape, nn, false, &err), &err);
    CHECK_OK(ser_timnet_predict(net, work, &(ser_timnet_batch){3, frames, n_frames}, logits, &err), &err);
    check_close(name, logits, expected, 6, 1e-5, 1e-6);
    for (size_t i = 0; i < 3; i++)
        ser_free((void *)frames[i]);
    ser_free(expected);
    ser_timnet_work_free(&work);
    ser_nn_work_free(&nn);
    ser_nn_ops_free(&ops);
    ser_timnet_free(&net);
    ser_safetensors_close(&example);
}

/* Reads into a fresh network, which must stay as it was. */
static void check_refused(const char *path, size_t n_in, size_t n_stacks, ser_status status,
                          const char *words)
{
    ser_timnet *net = numbered(n_in, n_stacks, 1), *same = numbered(n_in, n_stacks, 1);
    err = (ser_error){0};
    CHECK_FAILS(ser_keras_weights_read(path, net, &err), status, &err, words);
    CHECK(memcmp(net->values, same->values, net->n_values * sizeof *net->values) == 0);
    ser_timnet_free(&same);
    ser_timnet_free(&net);
}

static void write_network(const char *name, size_t n_in, size_t n_stacks)
{
    ser_timnet *net = numbered(n_in, n_stacks, 1);
    CHECK_OK(ser_keras_weights_write(scratch(name), net, &err), &err);
    ser_timnet_free(&net);
}

static void test_other_networks(void)
{
    write_network("w.h5", 3, 2);
    check_refused(scratch("w.h5"), 4, 2, SER_E_FORMAT,
                  "layer forward_input: kernel is (1, 3, 2) in the file, (1, 4, 2) in this network");
    check_refused(scratch("w.h5"), 3, 1, SER_E_FORMAT,
                  "a layer 'forward_block1_conv1', which this network has not");
    check_refused(scratch("w.h5"), 3, 3, SER_E_FORMAT,
                  "layer weighting: kernel is (2) in the file, (3) in this network");
    ser_timnet *net = numbered(3, 2, 1);
    net->values[net->weighting] = NAN;
    CHECK_OK(ser_keras_weights_write(scratch("nan.h5"), net, &err), &err);
    check_refused(scratch("nan.h5"), 3, 2, SER_E_FORMAT,
                  "layer weighting: kernel has a number that is not finite");
    ser_timnet_free(&net);
}

static void test_no_hdf5(void)
{
    scratch_put("text.h5", "PK\003\004 no", 8);
    check_refused(scratch("text.h5"), 3, 1, SER_E_FORMAT, "no HDF5 file");
    scratch_put("empty.h5", "", 0);
    check_refused(scratch("empty.h5"), 3, 1, SER_E_FORMAT, "no HDF5 file");
    check_refused(scratch("none.h5"), 3, 1, SER_E_IO, "");
    check_refused(scratch_folder, 3, 1, SER_E_FORMAT, "");
}

/* Cut off anywhere; one byte changed anywhere near the structures: read or refused, never more. */
static void test_damaged(void)
{
    size_t n;
    write_network("whole.h5", 2, 1);
    const unsigned char *bytes = slurp(scratch("whole.h5"), &n);
    ser_timnet *net = network(2, 1, 1);
    size_t n_read = 0, n_whole = 0;
    for (size_t cut = 0; cut < n; cut += 1 + n / 97)
        n_whole += ser_keras_weights_read_memory(bytes, cut, net, &err) == SER_OK;
    CHECK(n_whole == 0);
    unsigned char *changed = ser_alloc(n, 1);
    for (size_t i = 0; i < n; i += 1 + n / 997) {
        memcpy(changed, bytes, n);
        changed[i] ^= 0x81;
        n_read += ser_keras_weights_read_memory(changed, n, net, &err) == SER_OK;
    }
    CHECK(n_read > 0 && n_read < 997);
    ser_free(changed);
    ser_timnet_free(&net);
}

/* ---- files made to harm ---- */

#define KERNEL "/output/output/kernel:0"

static void remove_kernel(hid_t f)
{
    H5Ldelete(f, KERNEL, H5P_DEFAULT);
}

static void put_kernel(hid_t f, hid_t type, hid_t properties, hsize_t rows)
{
    hid_t space = H5Screate_simple(2, (hsize_t[]){rows, 2}, NULL);
    remove_kernel(f);
    hid_t d = H5Dcreate2(f, KERNEL, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    CHECK(d >= 0);
    H5Dclose(d);
    H5Sclose(space);
}

static void link_outside(hid_t f)
{
    remove_kernel(f);
    H5Lcreate_external("/etc/passwd", "/", f, KERNEL, H5P_DEFAULT, H5P_DEFAULT);
}

static void link_in_circles(hid_t f)
{
    remove_kernel(f);
    H5Lcreate_soft(KERNEL, f, KERNEL, H5P_DEFAULT, H5P_DEFAULT);
}

static void store_outside(hid_t f)
{
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(properties, "/etc/passwd", 0, 64 * 2 * 4);
    put_kernel(f, H5T_IEEE_F32LE, properties, 64);
    H5Pclose(properties);
}

static void store_in_chunks(hid_t f)
{
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(properties, 2, (hsize_t[]){64, 2});
    H5Pset_deflate(properties, 9);
    put_kernel(f, H5T_IEEE_F32LE, properties, 64);
    H5Pclose(properties);
}

static void store_integers(hid_t f)
{
    put_kernel(f, H5T_STD_I32LE, H5P_DEFAULT, 64);
}

static void store_terabytes(hid_t f)
{
    put_kernel(f, H5T_IEEE_F32LE, H5P_DEFAULT, (hsize_t)1 << 40);
}

static void group_for_tensor(hid_t f)
{
    remove_kernel(f);
    H5Gclose(H5Gcreate2(f, KERNEL, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}

static void no_weight_names(hid_t f)
{
    H5Adelete_by_name(f, "/output", "weight_names", H5P_DEFAULT);
}

static void no_layer_names(hid_t f)
{
    H5Adelete(f, "layer_names");
}

static void numbers_for_names(hid_t f)
{
    hid_t space = H5Screate_simple(1, (hsize_t[]){5}, NULL);
    H5Adelete(f, "layer_names");
    H5Aclose(H5Acreate2(f, "layer_names", H5T_STD_I32LE, space, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
}

static void one_name(hid_t f, const char *name, size_t n)
{
    hid_t space = H5Screate_simple(1, (hsize_t[]){2}, NULL), type = H5Tcopy(H5T_C_S1);
    char names[2][32] = {0};
    H5Tset_size(type, sizeof names[0]);
    H5Adelete(f, "layer_names");
    hid_t a = H5Acreate2(f, "layer_names", type, space, H5P_DEFAULT, H5P_DEFAULT);
    for (size_t i = 0; i < n; i++)
        snprintf(names[i], sizeof names[i], "%s", name);
    H5Awrite(a, type, names);
    H5Aclose(a);
    H5Tclose(type);
    H5Sclose(space);
}

static void twice(hid_t f)
{
    one_name(f, "output", 2);
}

static void strange_name(hid_t f)
{
    H5Lcreate_hard(f, "/output", f, "\n\033[2J", H5P_DEFAULT, H5P_DEFAULT);
    one_name(f, "\n\033[2J", 1);
}

static const struct {
    void (*change)(hid_t file);
    ser_status status;
    const char *words;
} attacks[] = {
    {remove_kernel, SER_E_FORMAT, "layer output: its kernel is not there"},
    {link_outside, SER_E_FORMAT, "layer output: its kernel is not there"},
    {link_in_circles, SER_E_FORMAT, "layer output: its kernel is not there"},
    {group_for_tensor, SER_E_FORMAT, "layer output: its kernel is not there"},
    {store_outside, SER_E_UNSUPPORTED, "layer output: kernel is no plain array"},
    {store_in_chunks, SER_E_UNSUPPORTED, "layer output: kernel is no plain array"},
    {store_integers, SER_E_UNSUPPORTED, "layer output: kernel is no plain array"},
    {store_terabytes, SER_E_FORMAT, "(1099511627776, 2) in the file, (64, 2)"},
    {no_weight_names, SER_E_FORMAT, "layer output has no list of tensors"},
    {no_layer_names, SER_E_UNSUPPORTED, "no list 'layer_names'"},
    {numbers_for_names, SER_E_UNSUPPORTED, "no list 'layer_names'"},
    {twice, SER_E_FORMAT, "layer output is in it twice"},
    {strange_name, SER_E_FORMAT, "a layer '??[2J'"},
};

static void test_attacks(void)
{
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
        write_network("attack.h5", 3, 1);
        hid_t f = H5Fopen(scratch("attack.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
        attacks[i].change(f);
        H5Fclose(f);
        check_refused(scratch("attack.h5"), 3, 1, attacks[i].status, attacks[i].words);
    }
}

static void test_no_room(void)
{
    ser_timnet *net = numbered(3, 1, 1), *back = network(3, 1, 1);
    CHECK(symlink("/dev/full", scratch("full.h5")) == 0);
    CHECK_FAILS(ser_keras_weights_write(scratch("full.h5"), net, &err), SER_E_IO, &err, "free some space");
    ser_status st = SER_E_NOMEM;
    long n;
    for (n = 0; st == SER_E_NOMEM; n++) {
        failing_at(n);
        st = ser_keras_weights_write(scratch("memory.h5"), net, &err);
        failing_at(-1);
        if (st == SER_E_NOMEM && access(scratch("memory.h5"), F_OK) == 0)
            break;
    }
    CHECK(st == SER_OK && n > 10);
    for (n = 0, st = SER_E_NOMEM; st != SER_OK && n < 1000; n++) {
        failing_at(n);
        st = ser_keras_weights_read(scratch("memory.h5"), back, &err);
        failing_at(-1);
        CHECK(st == SER_OK || back->values[1] == 0);
    }
    CHECK(st == SER_OK && n > 10 && memcmp(net->values, back->values, net->n_values * sizeof(float)) == 0);
    ser_timnet_free(&back);
    ser_timnet_free(&net);
}

/* A network with another last layer, and one with other layers altogether. */
static void test_what_fits(void)
{
    size_t n;
    ser_keras_misfit misfit;
    ser_timnet *net = numbered(3, 1, 2), *other = NULL;
    ser_timnet_shape shape = net->shape;
    shape.n_labels = 5;
    CHECK_OK(ser_timnet_new(&other, &shape, &err), &err);
    for (size_t i = 0; i < other->n_values; i++)
        other->values[i] = -1;
    CHECK_OK(ser_keras_weights_write(scratch("fits.h5"), net, &err), &err);
    CHECK_FAILS(ser_keras_weights_read(scratch("fits.h5"), other, &err), SER_E_FORMAT, &err, "layer output");
    CHECK_OK(ser_keras_weights_read_fitting(scratch("fits.h5"), other, &misfit, &err), &err);
    CHECK(misfit.n == 1 && misfit.n_layers > 10 && strcmp(misfit.names.s, "output") == 0);
    CHECK(strstr(misfit.first.text, "(64, 2) in the file, (64, 5)") != NULL);
    ser_keras_misfit_release(&misfit);
    size_t from = other->dense[2].kernel, to = other->dense[2].bias + 5;
    for (size_t i = 0; i < other->n_trained; i++)
        CHECK((other->values[i] == -1) == (i >= from && i < to)); /* all others are the file's, from 0 on */
    ser_timnet_free(&other);
    /* Blocks that the file does not have. */
    other = network(3, 2, 2);
    CHECK_OK(ser_keras_weights_read_fitting(scratch("fits.h5"), other, &misfit, &err), &err);
    CHECK(misfit.n == 17 && strstr(misfit.names.s, "forward_block2_conv1") &&
          strstr(misfit.names.s, "weighting"));
    ser_keras_misfit_release(&misfit);
    /* A damaged file is damaged. */
    const unsigned char *bytes = slurp(scratch("fits.h5"), &n);
    CHECK_FAILS(ser_keras_weights_read_fitting_memory(bytes, n / 3, other, &misfit, &err), SER_E_FORMAT, &err,
                "");
    ser_keras_misfit_release(&misfit);
    ser_timnet_free(&other);
    ser_timnet_free(&net);
}

static void test_fitting_survives_failed_allocations(void)
{
    size_t n;
    const unsigned char *bytes = slurp(scratch("fits.h5"), &n);
    ser_timnet *net = network(3, 2, 2);
    ser_status st = SER_E_NOMEM;
    for (long i = 0; st != SER_OK && i < 1000; i++) {
        ser_keras_misfit misfit;
        failing_at(i);
        st = ser_keras_weights_read_fitting_memory(bytes, n, net, &misfit, &err);
        failing_at(-1);
        CHECK(st == SER_OK || st == SER_E_NOMEM);
        ser_keras_misfit_release(&misfit);
    }
    CHECK(st == SER_OK);
    ser_timnet_free(&net);
}

int main(void)
{
    scratch_make();
    test_there_and_back(3, 2);
    test_there_and_back(21, 10); /* more layers than one attribute can list */
    test_same_bytes();
    test_what_fits();
    test_fitting_survives_failed_allocations();
    test_keras_files("keras2.h5");
    test_keras_files("keras3.h5");
    test_other_networks();
    test_no_hdf5();
    test_damaged();
    test_attacks();
    test_no_room();
    scratch_remove();
    return test_summary();
}

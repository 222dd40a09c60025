/* Golden files: tools/make_golden_io.py, by NumPy. */
#include "base/memory.h"
#include "failures/failing.h"
#include "io/file.h"
#include "io/npy.h"
#include "scratch.h"
#include "test.h"

static char golden_path[1024];

static const char *golden(const char *name)
{
    snprintf(golden_path, sizeof golden_path, "%s/golden/io/%s", getenv("SER_TEST_DIR"), name);
    return golden_path;
}

static const float ramp[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, quarter = 0.25f;

/* The golden file must be read as this array, and this array be written as the same bytes. */
static void check_file(const char *name, const float *data, int n_dims, const size_t *dims, size_t n)
{
    ser_error err = {0};
    ser_npy a;
    ser_bytes ours, theirs;
    CHECK_OK(ser_npy_read(&a, golden(name), n, &err), &err);
    CHECK(a.n_dims == n_dims && a.n_elements == n);
    for (int i = 0; i < n_dims; i++)
        CHECK(a.dims[i] == dims[i]);
    check_close(name, a.data, data, n, 0, 0);
    ser_npy_release(&a);
    CHECK_OK(ser_npy_write(scratch(name), data, n_dims, dims, &err), &err);
    CHECK_OK(ser_io_read(&ours, scratch(name), 0, &err), &err);
    CHECK_OK(ser_io_read(&theirs, golden(name), 0, &err), &err);
    CHECK(ours.n == theirs.n && memcmp(ours.data, theirs.data, ours.n) == 0);
    ser_bytes_release(&ours);
    ser_bytes_release(&theirs);
}

static void test_golden(void)
{
    ser_error err = {0};
    ser_npy a;
    check_file("matrix.npy", ramp, 2, (const size_t[]){3, 4}, 12);
    check_file("vector.npy", ramp, 1, (const size_t[]){3}, 3);
    check_file("scalar.npy", &quarter, 0, NULL, 1);
    check_file("empty.npy", NULL, 2, (const size_t[]){0, 5}, 0);
    CHECK_OK(ser_npy_read(&a, golden("version_2.npy"), 0, &err), &err);
    CHECK(a.n_dims == 1 && a.dims[0] == 3 && a.data[2] == 2);
    ser_npy_release(&a);
    CHECK_FAILS(ser_npy_read(&a, golden("double.npy"), 0, &err), SER_E_FORMAT, &err, "float32");
    CHECK_FAILS(ser_npy_read(&a, golden("fortran.npy"), 0, &err), SER_E_FORMAT, &err, "Fortran");
    CHECK_FAILS(ser_npy_read(&a, golden("matrix.npy"), 11, &err), SER_E_FORMAT, &err, "12 numbers");
    CHECK_FAILS(ser_npy_read(&a, golden("missing.npy"), 0, &err), SER_E_IO, &err, "No such file");
    CHECK_FAILS(ser_npy_write(scratch("no/folder"), ramp, 1, (const size_t[]){3}, &err), SER_E_IO, &err,
                "folder");
    CHECK_FAILS(ser_npy_write("/dev/full", ramp, 1, (const size_t[]){3}, &err), SER_E_IO, &err, "No space");
}

/* Version 1 with this dictionary and n_data bytes of zeros. */
static ser_status read_dictionary(const char *dictionary, size_t n_data, ser_npy *a, ser_error *err)
{
    size_t n_header = strlen(dictionary), n = 10 + n_header + n_data;
    unsigned char *bytes = calloc(n, 1);
    memcpy(bytes, "\x93NUMPY\1", 7);
    bytes[8] = (unsigned char)(n_header & 0xff);
    bytes[9] = (unsigned char)(n_header >> 8);
    memcpy(bytes + 10, dictionary, n_header);
    ser_status status = ser_npy_read_memory(a, bytes, n, 0, err);
    free(bytes);
    return status;
}

#define REST "'descr': '<f4', 'fortran_order': False"

static void test_dictionaries(void)
{
    static const struct {
        const char *dictionary;
        size_t n_data;
        const char *words;
    } cases[] = {
        {"{" REST ", 'shape': (2,)}", 7, "not what its header says"},
        {"{" REST ", 'shape': (2,)}", 9, "not what its header says"},
        {"{" REST ", 'shape': (4294967296, 4294967296, 4)}", 0, "damaged"},
        {"{" REST ", 'shape': (4611686018427387904,)}", 0, "not what its header says"},
        {"{" REST ", 'shape': (99999999999999999999999,)}", 0, "damaged"},
        {"{" REST ", 'shape': (2)}", 8, "damaged"},
        {"{" REST ", 'shape': (,)}", 4, "damaged"},
        {"{" REST ", 'shape': (-1,)}", 4, "damaged"},
        {"{" REST ", 'shape': (1, 1, 1, 1, 1, 1, 1, 1, 1)}", 4, "damaged"},
        {"{" REST ", 'shape': (2", 8, "damaged"},
        {"{" REST ", 'shape': (2,)", 8, "damaged"},
        {"{" REST "}", 4, "incomplete"},
        {"{'descr': '<f4', 'shape': (1,)}", 4, "incomplete"},
        {"{'fortran_order': False, 'shape': (1,)}", 4, "incomplete"},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (1,)}", 4, "float32"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", 4, "float32"},
        {"{" REST ", 'shape': (1,), 'more': 1}", 4, "damaged"},
        {"", 4, "damaged"},
    };
    ser_error err = {0};
    ser_npy a;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_FAILS(read_dictionary(cases[i].dictionary, cases[i].n_data, &a, &err), SER_E_FORMAT, &err,
                    cases[i].words);
        CHECK(!a.data && !a.n_elements);
    }
    CHECK_OK(read_dictionary("{ 'shape' : (2 , 3 ),'fortran_order':False,'descr':'<f4' ,}  \n", 24, &a, &err),
             &err);
    CHECK(a.n_dims == 2 && a.dims[1] == 3);
    ser_npy_release(&a);
    failing_at(0);
    CHECK_FAILS(read_dictionary("{" REST ", 'shape': (2,)}", 8, &a, &err), SER_E_NOMEM, &err, "memory");
}

static void test_bad_bytes(void)
{
    ser_error err = {0};
    ser_npy a;
    CHECK_FAILS(ser_npy_read_memory(&a, "", 0, 0, &err), SER_E_FORMAT, &err, "no .npy");
    CHECK_FAILS(ser_npy_read_memory(&a, "\x93NUMPX\1\0\0\0\0\0", 12, 0, &err), SER_E_FORMAT, &err, "no .npy");
    CHECK_FAILS(ser_npy_read_memory(&a, "\x93NUMPY\4\0\0\0\0\0", 12, 0, &err), SER_E_UNSUPPORTED, &err,
                "version 4");
    CHECK_FAILS(ser_npy_read_memory(&a, "\x93NUMPY\1\0\3\0\0\0", 12, 0, &err), SER_E_FORMAT, &err,
                "within its header");
    CHECK_FAILS(ser_npy_read_memory(&a, "\x93NUMPY\2\0\377\377\377\377", 12, 0, &err), SER_E_FORMAT, &err,
                "within its header");
}

int main(void)
{
    scratch_make();
    test_golden();
    test_dictionaries();
    test_bad_bytes();
    scratch_remove();
    return test_summary();
}

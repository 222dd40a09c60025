/* Golden files: tools/make_golden_io.py, by the reference implementation (the safetensors package). */
#include "base/memory.h"
#include "failures/failing.h"
#include "io/safetensors.h"
#include "scratch.h"
#include "test.h"

static char golden_path[1024];

static const char *golden(const char *name)
{
    snprintf(golden_path, sizeof golden_path, "%s/golden/io/%s", getenv("SER_TEST_DIR"), name);
    return golden_path;
}

static void check_values(const ser_safetensors *f, const char *name, ser_dtype dtype, int n_dims,
                         size_t first_dim, const float *expected, size_t n)
{
    ser_error err = {0};
    float values[8] = {0};
    const ser_tensor *t = ser_safetensors_find(f, name);
    CHECK(t && t->dtype == dtype && t->n_dims == n_dims && t->n_elements == n);
    if (!t)
        return;
    CHECK(n_dims == 0 || t->dims[0] == first_dim);
    if (dtype == SER_DTYPE_OTHER || dtype == SER_U8 || dtype == SER_I32 || dtype == SER_I64) {
        CHECK_FAILS(ser_tensor_to_f32(values, t, 0, n, &err), SER_E_UNSUPPORTED, &err, name);
        return;
    }
    CHECK_OK(ser_tensor_to_f32(values, t, 0, n, &err), &err);
    check_close(name, values, expected, n, 0, 0);
    if (n > 1) {
        CHECK_OK(ser_tensor_to_f32(values, t, n - 1, 1, &err), &err);
        CHECK(values[0] == expected[n - 1]);
    }
    CHECK_FAILS(ser_tensor_to_f32(values, t, 1, n, &err), SER_E_ARG, &err, name);
    CHECK_FAILS(ser_tensor_to_f32(values, t, SIZE_MAX, 2, &err), SER_E_ARG, &err, name);
}

static void test_reading(void)
{
    static const float ramp[] = {-1, -0.5f, 0, 0.5f, 1, 1.5f}, i8[] = {-128, 0, 127}, scalar[] = {0.25f};
    ser_error err = {0};
    ser_safetensors *f;
    CHECK_OK(ser_safetensors_open(&f, golden("all_types.safetensors"), &err), &err);
    CHECK(ser_safetensors_n(f) == 11);
    for (size_t i = 1; i < ser_safetensors_n(f); i++)
        CHECK(strcmp(ser_safetensors_at(f, i - 1)->name, ser_safetensors_at(f, i)->name) < 0);
    check_values(f, "f32", SER_F32, 2, 2, ramp, 6);
    check_values(f, "f16", SER_F16, 2, 2, ramp, 6);
    check_values(f, "bf16", SER_BF16, 2, 2, ramp, 6);
    check_values(f, "f64", SER_F64, 2, 2, ramp, 6);
    check_values(f, "i8", SER_I8, 1, 3, i8, 3);
    check_values(f, "u8", SER_U8, 1, 2, NULL, 2);
    check_values(f, "i32", SER_I32, 1, 2, NULL, 2);
    check_values(f, "i64", SER_I64, 1, 2, NULL, 2);
    check_values(f, "bool", SER_DTYPE_OTHER, 1, 2, NULL, 2);
    check_values(f, "scalar", SER_F32, 0, 0, scalar, 1);
    check_values(f, "empty", SER_F32, 2, 0, NULL, 0);
    CHECK(!ser_safetensors_find(f, "f3") && !ser_safetensors_find(f, "f322"));
    CHECK(strcmp(ser_safetensors_metadata(f, "ser.note"), "a \"quote\", a \\ and \xc3\xbc") == 0);
    CHECK(!ser_safetensors_metadata(f, "none"));
    ser_safetensors_close(&f);
    CHECK(!f);
    ser_safetensors_close(&f); /* NULL is fine */
}

static double half_value(unsigned h)
{
    int exponent = h >> 10 & 31;
    double mantissa = h & 1023, sign = h & 0x8000 ? -1 : 1;
    if (exponent == 31)
        return mantissa != 0 ? NAN : sign * INFINITY;
    return sign * (exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24));
}

static void test_half_precision(void)
{
    enum { N = 1 << 16 };
    ser_error err = {0};
    uint16_t *halves = ser_alloc(N, sizeof *halves);
    float *values = ser_alloc(N, sizeof *values);
    for (unsigned i = 0; i < N; i++)
        halves[i] = (uint16_t)i;
    ser_tensor t = {.name = "all",
                    .dtype = SER_F16,
                    .n_dims = 1,
                    .dims = {N},
                    .n_elements = N,
                    .data = halves,
                    .n_bytes = 2 * N};
    CHECK_OK(ser_tensor_to_f32(values, &t, 0, N, &err), &err);
    int n_wrong = 0;
    for (unsigned i = 0; i < N; i++) {
        double expected = half_value(i), got = (double)values[i];
        n_wrong += isnan(expected) ? !isnan(got) : got != expected || signbit(got) != signbit(expected);
    }
    CHECK(n_wrong == 0);
    t.dtype = SER_BF16;
    CHECK_OK(ser_tensor_to_f32(values, &t, 0x3f80, 2, &err), &err);
    CHECK(values[0] == 1 && values[1] == 1.0078125f);
    CHECK_OK(ser_tensor_to_f32(values, &t, 0xff80, 1, &err), &err);
    CHECK(isinf(values[0]) && values[0] < 0);
    ser_free(values);
    ser_free(halves);
}

static void test_writing(void)
{
    static const float a[] = {1, 1, 1}, b[] = {0, 1, 2, 3};
    static const char *const format[][2] = {{"format", "pt"}};
    const ser_tensor tensors[] = {
        {.name = "a", .n_dims = 1, .dims = {3}, .n_elements = 3, .data = a, .n_bytes = sizeof a},
        {.name = "b", .n_dims = 1, .dims = {4}, .n_elements = 4, .data = b, .n_bytes = sizeof b}};
    ser_error err = {0};
    ser_bytes ours, theirs;
    CHECK_OK(ser_safetensors_write(scratch("plain"), tensors, 2, format, 1, &err), &err);
    CHECK_OK(ser_io_read(&ours, scratch("plain"), 0, &err), &err);
    CHECK_OK(ser_io_read(&theirs, golden("plain.safetensors"), 0, &err), &err);
    CHECK(ours.n == theirs.n && memcmp(ours.data, theirs.data, ours.n) == 0);
    ser_bytes_release(&ours);
    ser_bytes_release(&theirs);

    ser_safetensors *f;
    CHECK_OK(ser_safetensors_write(scratch("none"), NULL, 0, NULL, 0, &err), &err);
    CHECK_OK(ser_safetensors_open(&f, scratch("none"), &err), &err);
    CHECK(ser_safetensors_n(f) == 0 && !ser_safetensors_find(f, "a") &&
          !ser_safetensors_metadata(f, "format"));
    ser_safetensors_close(&f);

    const ser_tensor twice[] = {tensors[0], tensors[0]};
    CHECK_FAILS(ser_safetensors_write(scratch("bad"), twice, 2, NULL, 0, &err), SER_E_ARG, &err, "twice");
    ser_tensor wrong = tensors[0];
    wrong.n_bytes--;
    CHECK_FAILS(ser_safetensors_write(scratch("bad"), &wrong, 1, NULL, 0, &err), SER_E_ARG, &err, "size");
    wrong = tensors[0];
    wrong.name = "not \xff UTF-8";
    CHECK_FAILS(ser_safetensors_write(scratch("bad"), &wrong, 1, NULL, 0, &err), SER_E_ARG, &err, "name");
    CHECK(access(scratch("bad"), F_OK) != 0);
    CHECK_FAILS(ser_safetensors_write(scratch("no/folder"), tensors, 2, NULL, 0, &err), SER_E_IO, &err,
                "folder");
    CHECK_FAILS(ser_safetensors_write("/dev/full", tensors, 2, NULL, 0, &err), SER_E_IO, &err, "No space");
}

/* A file with this header and n_data bytes behind it, as an exact heap copy. */
static ser_status open_header(const char *header, size_t n_data, ser_error *err)
{
    uint64_t n_header = strlen(header);
    unsigned char *bytes = malloc(8 + n_header + n_data);
    memcpy(bytes, &n_header, 8);
    memcpy(bytes + 8, header, n_header);
    memset(bytes + 8 + n_header, 0, n_data);
    ser_safetensors *f;
    ser_status status = ser_safetensors_open_memory(&f, bytes, 8 + n_header + n_data, err);
    CHECK((status == SER_OK) == (f != NULL));
    ser_safetensors_close(&f);
    free(bytes);
    return status;
}

#define ENTRY(name, shape, offsets)                                                                          \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void test_bad_headers(void)
{
    static const struct {
        const char *header;
        size_t n_data;
        const char *words;
    } cases[] = {
        {"{" ENTRY("a", "[1]", "[0,8]") "}", 8, "does not match its shape"},
        {"{" ENTRY("a", "[2]", "[0,8]") "}", 7, "outside the file"},
        {"{" ENTRY("a", "[2]", "[8,0]") "}", 8, "outside the file"},
        {"{" ENTRY("a", "[2]", "[0,8]") "}", 9, "1 bytes behind"},
        {"{}", 1, "1 bytes behind"},
        {"{" ENTRY("a", "[1]", "[0,4]") "," ENTRY("b", "[1]", "[0,4]") "}", 4, "overlaps"},
        {"{" ENTRY("a", "[2]", "[0,8]") "," ENTRY("b", "[1]", "[4,8]") "}", 8, "overlaps"},
        {"{" ENTRY("a", "[1]", "[0,4]") "," ENTRY("b", "[1]", "[8,12]") "}", 12, "gap"},
        {"{" ENTRY("a", "[1]", "[4,8]") "}", 8, "gap"},
        {"{" ENTRY("a", "[4294967296,4294967296,4]", "[0,0]") "}", 0, "does not match its shape"},
        {"{" ENTRY("a", "[4611686018427387904]", "[0,0]") "}", 0, "does not match its shape"},
        {"{" ENTRY("a", "[4294967296,4294967296,0]", "[0,0]") "}", 0, "does not match its shape"},
        {"{" ENTRY("a", "[9223372036854775808]", "[0,0]") "}", 0, "header is damaged"},
        {"{" ENTRY("a", "[-1]", "[0,4]") "}", 4, "shape of tensor 'a'"},
        {"{" ENTRY("a", "[1.0]", "[0,4]") "}", 4, "shape of tensor 'a'"},
        {"{" ENTRY("a", "1", "[0,4]") "}", 4, "entry of tensor 'a'"},
        {"{" ENTRY("a", "[1]", "[0]") "}", 4, "entry of tensor 'a'"},
        {"{" ENTRY("a", "[1]", "[0,4,4]") "}", 4, "entry of tensor 'a'"},
        {"{" ENTRY("a", "[1]", "[-4,0]") "}", 4, "entry of tensor 'a'"},
        {"{" ENTRY("a", "[1]", "[0,4]") "," ENTRY("a", "[1]", "[0,4]") "}", 4, "header is damaged"},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "entry of tensor 'a'"},
        {"{\"a\":3}", 0, "entry of tensor 'a'"},
        {"{\"__metadata__\":3}", 0, "metadata"},
        {"{\"__metadata__\":{\"a\":3}}", 0, "'a' is no text"},
        {"{\"a\xff\":3}", 0, "header is damaged"},
        {"{\"a\\u0000\":3}", 0, "header is damaged"},
        {"{", 0, "header is damaged"},
        {"{}x", 0, "header is damaged"},
        {"[]", 0, "no safetensors"},
        {" {}", 0, "no safetensors"},
        {"", 0, "no safetensors"},
    };
    ser_error err = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_FAILS(open_header(cases[i].header, cases[i].n_data, &err), SER_E_FORMAT, &err, cases[i].words);
    static const char *const pointers[][2] = {
        {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git lfs pull"},
        {"/annex/objects/SHA256E-s1--00.safetensors\n", "git annex get"},
        {"../../.git/annex/objects/Kk/9Q/x", "git annex get"},
        {"annex/objects/x", "no safetensors file"}};
    for (size_t i = 0; i < sizeof pointers / sizeof *pointers; i++) {
        ser_safetensors *f;
        CHECK_FAILS(ser_safetensors_open_memory(&f, pointers[i][0], strlen(pointers[i][0]), &err),
                    SER_E_FORMAT, &err, pointers[i][1]);
    }
    CHECK_FAILS(open_header("{" ENTRY("a", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, &err), SER_E_UNSUPPORTED,
                &err, "dimensions");
    CHECK_OK(open_header("{" ENTRY("b", "[1]", "[4,8]") "," ENTRY("a", "[1]", "[0,4]") "}   ", 8, &err),
             &err);
    CHECK_OK(open_header("{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,2]}}", 2, &err), &err);
    CHECK_OK(open_header("{" ENTRY("a", "[0]", "[0,0]") "," ENTRY("b", "[1]", "[0,4]") "}", 4, &err), &err);
}

static void test_bad_files(void)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *words;
    } cases[] = {
        {"", 0, "it is empty: fetch it again"},
        {"\2\0\0\0\0\0\0", 7, "only 7 bytes"},
        {"\2\0\0\0\0\0\0\0", 8, "no safetensors"},
        {"\2\0\0\0\0\0\0\0{", 9, "ends within its header"},
        {"\0\0\0\1\0\0\0\0{}", 10, "ends within its header"},
        {"\1\0\0\1\0\0\0\0{}", 10, "no safetensors"}, /* beyond the limit */
        {"\377\377\377\377\377\377\377\377{}", 10, "no safetensors"},
    };
    ser_error err = {0};
    ser_safetensors *f;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch_put("bad-file", cases[i].bytes, cases[i].n);
        CHECK_FAILS(ser_safetensors_open(&f, scratch("bad-file"), &err), SER_E_FORMAT, &err, cases[i].words);
        CHECK(!f);
    }
    CHECK_FAILS(ser_safetensors_open(&f, scratch("missing"), &err), SER_E_IO, &err, "No such file");

    /* Brackets without end must not exhaust the stack. */
    size_t n_deep = 1 << 20;
    char *deep = malloc(n_deep + 1);
    memset(deep, '[', n_deep);
    memcpy(deep, "{\"a\":", 5);
    deep[n_deep] = 0;
    CHECK_FAILS(open_header(deep, 0, &err), SER_E_FORMAT, &err, "header is damaged");
    free(deep);

    ser_status status = SER_E_NOMEM;
    for (long n = 0; status == SER_E_NOMEM && n < 10; n++) {
        failing_at(n);
        status = ser_safetensors_open(&f, golden("plain.safetensors"), &err);
        CHECK(status == SER_OK ? n == 2 : status == SER_E_NOMEM && !f);
    }
    failing_at(-1);
    ser_safetensors_close(&f);
}

int main(void)
{
    scratch_make();
    test_reading();
    test_half_precision();
    test_writing();
    test_bad_headers();
    test_bad_files();
    scratch_remove();
    return test_summary();
}

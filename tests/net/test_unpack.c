/* Limits that a test of the whole program could only reach with gigabytes, and the hashes. */
#include "base/memory.h"
#include "failures/failing.h"
#include "net/hash.h"
#include "net/unpack.h"
#include "scratch.h"
#include "test.h"

#include <zip.h>

/* n files of zeros, which pack to a thousandth. */
static void make_archive(const char *path, int n, size_t n_bytes)
{
    int why;
    zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &why);
    char *zeros = calloc(n_bytes, 1), name[16];
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "d/%d", i);
        zip_file_add(zip, name, zip_source_buffer(zip, zeros, n_bytes, 0), 0);
    }
    CHECK(zip_close(zip) == 0);
    free(zeros);
}

static ser_status unpack(uint64_t n_bytes, uint64_t n_entries, const ser_progress *progress, ser_error *err)
{
    const ser_unpack_limits limits = {n_bytes, n_entries};
    ser_remove_folder(scratch("out"));
    mkdir(scratch("out"), 0777);
    return ser_unpack(scratch("a.zip"), scratch("out"), &limits, progress, err);
}

static bool stop(void *context, const char *what, size_t done, size_t total)
{
    (void)context;
    (void)what;
    (void)done;
    (void)total;
    return false;
}

static void test_limits(void)
{
    ser_error err = {0};
    struct stat info;
    const ser_progress stopping = {.fn = stop};
    make_archive(scratch("a.zip"), 3, 1000000);
    CHECK_OK(unpack(3000000, 3, NULL, &err), &err);
    CHECK(stat(scratch("out/d/2"), &info) == 0 && info.st_size == 1000000);
    CHECK_FAILS(unpack(2999999, 3, NULL, &err), SER_E_FORMAT, &err, "would grow to more than 2 MB");
    CHECK_FAILS(unpack(3000000, 2, NULL, &err), SER_E_FORMAT, &err, "3 entries");
    CHECK_FAILS(unpack(3000000, 3, &stopping, &err), SER_E_CANCELLED, &err, "interrupted");
    CHECK_FAILS(ser_unpack(scratch("none.zip"), scratch("out"), &(ser_unpack_limits){1, 1}, NULL, &err),
                SER_E_FORMAT, &err, "no zip archive");
    for (long i = 0; i < 2; i++) {
        failing_at(i);
        CHECK_FAILS(unpack(3000000, 3, NULL, &err), SER_E_NOMEM, &err, "memory");
        failing_at(-1);
    }
    ser_remove_folder(scratch("out"));
    CHECK(stat(scratch("out"), &info) != 0);
}

/* Digests as sha256sum, git hash-object and md5sum give them. */
static void test_hashes(void)
{
    static const struct {
        ser_hash_kind kind;
        const char *hex;
    } cases[] = {{SER_HASH_SHA256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
                 {SER_HASH_GIT, "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f"},
                 {SER_HASH_MD5, "900150983cd24fb0d6963f7d28e17f72"}};
    ser_error err = {0};
    ser_hash h;
    scratch_put("abc", "abc", 3);
    scratch_put("abd", "abd", 3);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK(ser_hash_set(&h, cases[i].kind, cases[i].hex));
        CHECK_OK(ser_hash_check(&h, scratch("abc"), NULL, &err), &err);
        CHECK_FAILS(ser_hash_check(&h, scratch("abd"), NULL, &err), SER_E_FORMAT, &err,
                    ser_hash_name(h.kind));
        CHECK_FAILS(ser_hash_check(&h, scratch("none"), NULL, &err), SER_E_IO, &err, "cannot be opened");
        CHECK(!ser_hash_set(&h, cases[i].kind, cases[i].hex + 1) && h.kind == SER_HASH_NONE);
    }
    CHECK(!ser_hash_set(&h, SER_HASH_MD5, NULL) &&
          !ser_hash_set(&h, SER_HASH_MD5, "90015098-cd24fb0d6963f7d28e17f72"));
}

int main(void)
{
    scratch_make();
    test_limits();
    test_hashes();
    scratch_remove();
    return test_summary();
}

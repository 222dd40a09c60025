#include "base/memory.h"
#include "failures/failing.h"
#include "net/listing.h"
#include "test.h"

#define SHA1_A   "0123456789abcdef0123456789abcdef01234567"
#define SHA256_A "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEAD     "{\"sha\": \"" SHA1_A "\", \"siblings\": ["
#define CONFIG   "{\"rfilename\": \"config.json\", \"size\": 7, \"blobId\": \"" SHA1_A "\"}"
#define WEIGHTS                                                                                              \
    "{\"rfilename\": \"model.safetensors\", \"size\": 4000000000, \"blobId\": \"" SHA1_A                     \
    "\", \"lfs\": {\"sha256\": \"" SHA256_A "\", \"size\": 4000000000, \"pointerSize\": 135}}"

#define MD5_A       "bc696df654c87fed845eb13823edef8a"
#define A_ZIP(size) "{\"key\": \"a.zip\", \"size\": " #size ", \"checksum\": \"md5:" MD5_A "\"}"

/* From an exact heap copy without a final 0, so that a sanitizer sees what is read beyond it. */
static ser_status parse(ser_listing *l, const char *text, ser_error *err)
{
    size_t n = strlen(text);
    char *copy = malloc(n ? n : 1);
    memcpy(copy, text, n);
    ser_status st = ser_listing_parse(l, copy, n, err);
    free(copy);
    return st;
}

static void test_good(void)
{
    ser_error err = {0};
    ser_listing l;
    CHECK_OK(
        parse(&l, HEAD WEIGHTS ", " CONFIG ", {\"rfilename\": \"coreml/model.bin\", \"size\": 1}]}", &err),
        &err);
    CHECK(l.n == 2 && strcmp(l.commit, SHA1_A) == 0);
    const ser_listed *config = ser_listing_find(&l, "config.json");
    const ser_listed *weights = ser_listing_find(&l, "model.safetensors");
    CHECK(config && config->size == 7 && config->hash.kind == SER_HASH_GIT &&
          strcmp(config->hash.hex, SHA1_A) == 0);
    CHECK(weights && weights->size == 4000000000 && weights->hash.kind == SER_HASH_SHA256 &&
          strcmp(weights->hash.hex, SHA256_A) == 0);
    CHECK(!ser_listing_find(&l, "coreml/model.bin") && !ser_listing_find(&l, "model.bin"));
    ser_listing_release(&l);
}

/* A pointer's hash must not pass for that of the file, nor half a statement for a whole one. */
static void test_no_hash_is_invented(void)
{
    static const char *const items[] = {
        "{\"rfilename\": \"a\", \"size\": 7}",
        "{\"rfilename\": \"a\", \"blobId\": \"" SHA1_A "\"}",
        "{\"rfilename\": \"a\", \"size\": -7, \"blobId\": \"" SHA1_A "\"}",
        "{\"rfilename\": \"a\", \"size\": \"7\", \"blobId\": \"" SHA1_A "\"}",
        "{\"rfilename\": \"a\", \"size\": 7, \"blobId\": \"0123456789ABCDEF0123456789abcdef01234567\"}",
        "{\"rfilename\": \"a\", \"size\": 7, \"blobId\": \"../../../../../../../../../../../etc/passwd\"}",
        "{\"rfilename\": \"a\", \"size\": 7, \"blobId\": \"" SHA1_A "\", \"lfs\": {\"sha256\": \"" SHA1_A
        "\"}}",
        "{\"rfilename\": \"a\", \"size\": 7, \"blobId\": \"" SHA1_A "\", \"lfs\": {}}",
    };
    for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
        ser_error err = {0};
        ser_listing l;
        char text[600];
        snprintf(text, sizeof text, HEAD "%s]}", items[i]);
        CHECK_OK(parse(&l, text, &err), &err);
        CHECK(l.n == 1 && l.files[0].hash.kind == SER_HASH_NONE);
        ser_listing_release(&l);
    }
}

static void test_names(void)
{
    static const char *const names[] = {"../a", "a/b", "/a",    ".a",     "-a",     "",
                                        "a b",  "a?b", "a%2fb", "a\\\\b", "\\u00e9"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ser_error err = {0};
        ser_listing l;
        char text[300];
        snprintf(text, sizeof text, HEAD "{\"rfilename\": \"%s\", \"size\": 7, \"blobId\": \"" SHA1_A "\"}]}",
                 names[i]);
        CHECK_OK(parse(&l, text, &err), &err);
        CHECK(l.n == 0);
        ser_listing_release(&l);
    }
}

static void test_bad(void)
{
    static const struct {
        const char *text, *words;
    } cases[] = {{"", "is not JSON"},
                 {"{", "is not JSON"},
                 {"{\"sha\": \"a\", \"sha\": \"b\"}", "is not JSON"},
                 {"[7]", "names no commit"},
                 {"{\"sha\": \"main\", \"siblings\": []}", "names no commit"},
                 {"{\"sha\": \"" SHA1_A "\"}", "lists no files"},
                 {"{\"sha\": \"" SHA1_A "\", \"siblings\": {}}", "lists no files"},
                 {HEAD CONFIG ", " CONFIG "]}", "lists a file twice"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ser_error err = {0};
        ser_listing l;
        CHECK_FAILS(parse(&l, cases[i].text, &err), SER_E_FORMAT, &err, cases[i].words);
        ser_listing_release(&l);
    }
}

static void test_out_of_memory(void)
{
    ser_error err = {0};
    for (long i = 0; i < 3; i++) {
        ser_listing l;
        failing_at(i);
        CHECK_FAILS(parse(&l, HEAD CONFIG ", " WEIGHTS "]}", &err), SER_E_NOMEM, &err, "memory");
        failing_at(-1);
        ser_listing_release(&l);
    }
}

static void test_record(void)
{
    static const char good[] = "{\"files\": [{\"key\": \"b.zip\"}, " A_ZIP(9) "]}";
    static const char no_md5[] =
        "{\"files\": [{\"key\": \"a.zip\", \"size\": 9, \"checksum\": \"md5:bc69\"}]}";
    static const char no_size[] = "{\"files\": [" A_ZIP(9.5) "]}",
                      neither[] = "{\"files\": [{\"key\": \"a.zip\"}]}";
    static const char *const bad[] = {"{}", "[]", neither, no_md5, no_size};
    ser_error err = {0};
    ser_listed f;
    CHECK_OK(ser_record_parse(&f, "a.zip", good, sizeof good - 1, &err), &err);
    CHECK(f.size == 9 && f.hash.kind == SER_HASH_MD5 && strcmp(f.hash.hex, MD5_A) == 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_FAILS(ser_record_parse(&f, "a.zip", bad[i], strlen(bad[i]), &err), SER_E_FORMAT, &err,
                    "--endpoint");
    CHECK_FAILS(ser_record_parse(&f, "c.zip", good, sizeof good - 1, &err), SER_E_FORMAT, &err,
                "does not list");
}

int main(void)
{
    test_good();
    test_no_hash_is_invented();
    test_names();
    test_bad();
    test_out_of_memory();
    test_record();
    return test_summary();
}

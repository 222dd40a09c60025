/* Checkpoints of torch.save (tools/make_golden_torch.py) against the same tensors as safetensors, checkpoints
 * in several files, and damage. */
#include "base/memory.h"
#include "failures/failing.h"
#include "io/checkpoint.h"
#include "io/foreign.h"
#include "io/pickle.h"
#include "io/torch.h"
#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

static char scratch[] = "/tmp/ser-test-torch-XXXXXX";

static void golden_path(char path[1024], const char *name)
{
    snprintf(path, 1024, "%s/golden/io/%s", getenv("SER_TEST_DIR"), name);
}

static ser_status open_golden_bin(ser_safetensors **f, const char *name, ser_error *err)
{
    char path[1024];
    golden_path(path, name);
    return ser_torch_open(f, path, err);
}

static ser_safetensors *open_expected(void)
{
    ser_error err = {0};
    ser_safetensors *f;
    char path[1024];
    golden_path(path, "state.safetensors");
    CHECK_OK(ser_safetensors_open(&f, path, &err), &err);
    return f;
}

static void compare(const ser_safetensors *f, const ser_safetensors *expected)
{
    CHECK(ser_safetensors_n(f) == ser_safetensors_n(expected) && ser_safetensors_n(f) == 14);
    for (size_t i = 0; i < ser_safetensors_n(expected); i++) {
        const ser_tensor *e = ser_safetensors_at(expected, i), *t = ser_safetensors_find(f, e->name);
        CHECK(t != NULL);
        if (!t)
            continue;
        CHECK(t->dtype == e->dtype && t->n_dims == e->n_dims && t->n_elements == e->n_elements &&
              t->n_bytes == e->n_bytes);
        CHECK(memcmp(t->dims, e->dims, (size_t)e->n_dims * sizeof *e->dims) == 0);
        CHECK(memcmp(t->data, e->data, e->n_bytes) == 0);
    }
}

static void test_golden(void)
{
    ser_error err = {0};
    ser_safetensors *f, *expected = open_expected();
    CHECK_OK(open_golden_bin(&f, "state.bin", &err), &err);
    compare(f, expected);
    for (size_t i = 0; i < ser_safetensors_n(f); i++)
        ser_safetensors_forget(f, ser_safetensors_at(f, i));
    compare(f, expected);
    ser_safetensors_close(&f);
    ser_safetensors_close(&expected);
    CHECK_OK(open_golden_bin(&f, "mixed.bin", &err), &err);
    CHECK(ser_safetensors_n(f) == 1 && ser_safetensors_find(f, "w") && !ser_safetensors_metadata(f, "step"));
    ser_safetensors_close(&f);
}

static void test_refusals(void)
{
    ser_error err = {0};
    ser_safetensors *f;
    CHECK_FAILS(open_golden_bin(&f, "code.bin", &err), SER_E_UNSUPPORTED, &err, "'datetime.date'");
    CHECK(!f);
    CHECK_FAILS(open_golden_bin(&f, "turned.bin", &err), SER_E_UNSUPPORTED, &err,
                "'turned' is stored in another");
    CHECK_FAILS(open_golden_bin(&f, "legacy.bin", &err), SER_E_UNSUPPORTED, &err, "no zip archive");
    CHECK_FAILS(open_golden_bin(&f, "plain.safetensors", &err), SER_E_FORMAT, &err,
                "it is a safetensors file: call it model.safetensors");
    CHECK_FAILS(open_golden_bin(&f, "nothing", &err), SER_E_IO, &err, "cannot be opened");
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\n";
    CHECK_FAILS(ser_torch_open_memory(&f, pointer, strlen(pointer), &err), SER_E_FORMAT, &err,
                "git lfs pull");
    CHECK_FAILS(ser_torch_open_memory(&f, "", 0, &err), SER_E_FORMAT, &err, "it is empty");
    CHECK_FAILS(ser_torch_open_memory(&f, "PK\3\4", 4, &err), SER_E_FORMAT, &err, "no end record");
}

/* What other programs write, under the names of ours. */
static void test_foreign(void)
{
    static const char zeros[512];
    static const struct {
        const char *bytes;
        size_t n;
        ser_status status;
        const char *words;
    } forms[] = {
        {"GGUF\3\0\0\0\0\0\0\0", 12, SER_E_UNSUPPORTED, "it is GGUF, for llama.cpp and whisper.cpp: fetch"},
        {"lmgg\x99\xca\0\0\xdc\5\0\0", 12, SER_E_UNSUPPORTED, "it is ggml, for whisper.cpp: fetch"},
        {"\x89HDF\r\n\x1a\n\0\0\0\0", 12, SER_E_UNSUPPORTED, "it is HDF5, of TensorFlow or Keras: save"},
        {"\x81\xa5model\x82\xa7"
         "decoder",
         16, SER_E_UNSUPPORTED, "it is of Flax: save"},
        {"\6\0\0\0\14\0WhisperSpec\0", 18, SER_E_UNSUPPORTED, "it is of CTranslate2 (faster-whisper): fetch"},
        {" \n<!DOCTYPE html><html>", 23, SER_E_FORMAT, "it is a web page: fetch"},
        {zeros, sizeof zeros, SER_E_FORMAT, "there are zeros where it should begin"},
        {"", 0, SER_E_FORMAT, "it is empty"}};
    ser_error err = {0};
    ser_safetensors *f;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        unsigned char *exact = ser_alloc(forms[i].n, 1); /* so that a sanitizer sees what is read behind it */
        memcpy(exact, forms[i].bytes, forms[i].n);
        CHECK_FAILS(ser_torch_open_memory(&f, exact, forms[i].n, &err), forms[i].status, &err,
                    forms[i].words);
        CHECK_FAILS(ser_safetensors_open_memory(&f, exact, forms[i].n, &err), forms[i].status, &err,
                    forms[i].words);
        for (size_t n = 1; n < forms[i].n; n += 1 + n / 8)
            CHECK(ser_torch_open_memory(&f, exact + forms[i].n - n, n, &err) != SER_OK);
        ser_free(exact);
    }
    CHECK_FAILS(ser_safetensors_open_memory(&f, "PK\3\4\0\0\0\0\0", 9, &err), SER_E_FORMAT, &err,
                "it is a checkpoint of torch.save: an encoder's is called pytorch_model.bin");
    static const char script[] = "PK\3\4\0\0\10\0\10\0m/constants.pkl"; /* an archive of compressed entries */
    CHECK(ser_torch_open_memory(&f, script, sizeof script - 1, &err) == SER_E_FORMAT);
}

/* ---- damage ---- */

typedef struct file_copy {
    unsigned char *bytes;
    size_t n;
} file_copy;

static file_copy copy_golden(const char *name)
{
    ser_error err = {0};
    char path[1024];
    ser_bytes bytes;
    golden_path(path, name);
    CHECK_OK(ser_io_read(&bytes, path, 0, &err), &err);
    file_copy c = {ser_alloc(bytes.n, 1), bytes.n};
    memcpy(c.bytes, bytes.data, bytes.n);
    ser_bytes_release(&bytes);
    return c;
}

/* Where the n bytes of word lie for the k-th time. */
static unsigned char *find(const file_copy *c, const void *word, size_t n, int k)
{
    for (size_t i = 0; i + n <= c->n; i++)
        if (memcmp(c->bytes + i, word, n) == 0 && k-- == 0)
            return c->bytes + i;
    CHECK(false);
    return c->bytes;
}

/* Changes one byte there, behind word, and says what comes of it. */
static void check_change(const void *word, size_t n, int k, int at, int byte, ser_status expected,
                         const char *words)
{
    ser_error err = {0};
    ser_safetensors *f;
    file_copy c = copy_golden("state.bin");
    find(&c, word, n, k)[at] = (unsigned char)byte;
    CHECK_FAILS(ser_torch_open_memory(&f, c.bytes, c.n, &err), expected, &err, words);
    ser_safetensors_close(&f);
    ser_free(c.bytes);
}

static void test_changes(void)
{
    static const char entry[] = "PK\1\2", local[] = "PK\3\4", end[] = "PK\5\6";
    check_change(entry, 4, 2, 10, 8, SER_E_UNSUPPORTED, "compressed");
    check_change(entry, 4, 2, 8, 1, SER_E_UNSUPPORTED, "encrypted");
    check_change(entry, 4, 4, 27, 0x7f, SER_E_UNSUPPORTED, "compressed");
    check_change(entry, 4, 2, 45, 0x7f, SER_E_FORMAT, "an entry's place");
    check_change(entry, 4, 3, 0, 'Q', SER_E_FORMAT, "(an entry)");
    check_change(local, 4, 3, 0, 'Q', SER_E_FORMAT, "an entry's place");
    check_change(end, 4, 0, 0, 'Q', SER_E_FORMAT, "no end record");
    check_change("_rebuild_tensor_v2", 18, 0, 17, '9', SER_E_UNSUPPORTED,
                 "'torch._utils._rebuild_tensor_v9'");
    check_change("FloatStorage", 12, 0, 0, 'G', SER_E_UNSUPPORTED, "'torch.GloatStorage'");
    check_change("ccollections", 12, 0, 0, 'i', SER_E_UNSUPPORTED, "instruction 0x69");
    check_change("\x80\2c", 3, 0, 1, 4, SER_E_UNSUPPORTED, "protocol 4");
    check_change("QK\0", 3, 0, 2, 1, SER_E_FORMAT, "lies outside its values"); /* from where in its storage */
    check_change("little", 6, 0, 0, 'L', SER_E_UNSUPPORTED, "big-endian");
    check_change("state/data/2", 12, 1, 11, 'x', SER_E_FORMAT, "are missing");
    check_change("\x06\0\0\0scalar", 10, 0, 4, 0, SER_E_FORMAT, "name of a tensor");
    check_change("\5\0\0\0whole", 9, 0, 0, 4, SER_E_FORMAT, "damaged"); /* appends to no list */
}

/* No change of one byte, and no end, may do more than fail. */
static void test_every_byte(void)
{
    file_copy c = copy_golden("state.bin");
    size_t n_refused = 0;
    for (size_t i = 0; i < c.n; i++) {
        static const unsigned char changes[] = {0xff, 0x01, 0x80};
        for (size_t k = 0; k < sizeof changes; k++) {
            ser_safetensors *f;
            unsigned char *exact = ser_alloc(c.n, 1);
            memcpy(exact, c.bytes, c.n);
            exact[i] ^= changes[k];
            n_refused += ser_torch_open_memory(&f, exact, c.n, NULL) != SER_OK;
            for (size_t t = 0; f && t < ser_safetensors_n(f); t++) {
                const ser_tensor *tensor = ser_safetensors_at(f, t);
                float values[64];
                ser_tensor_to_f32(values, tensor, 0, tensor->n_elements < 64 ? tensor->n_elements : 64, NULL);
            }
            ser_safetensors_close(&f);
            ser_free(exact);
        }
    }
    CHECK(n_refused > 3000);
    for (size_t n = 0; n < c.n; n++) {
        ser_safetensors *f;
        unsigned char *exact = ser_alloc(n, 1);
        memcpy(exact, c.bytes, n);
        CHECK(ser_torch_open_memory(&f, exact, n, NULL) != SER_OK && !f);
        ser_free(exact);
    }
    ser_free(c.bytes);
}

/* ---- pickles alone ---- */

static void check_pickle(const char *bytes, size_t n, ser_status expected, const char *words)
{
    ser_error err = {0};
    ser_pickled_tensor *t;
    size_t n_tensors;
    CHECK_FAILS(ser_pickle_read(&t, &n_tensors, (const unsigned char *)bytes, n, &err), expected, &err,
                words);
    CHECK(!t && !n_tensors);
}

#define PICKLE(text) text, sizeof text - 1

static void test_pickles(void)
{
    ser_error err = {0};
    ser_pickled_tensor *t;
    size_t n;
    CHECK_OK(ser_pickle_read(&t, &n, (const unsigned char *)"\x80\2}.", 4, &err), &err);
    CHECK(n == 0);
    ser_free(t);
    check_pickle(PICKLE(""), SER_E_FORMAT, "damaged");
    check_pickle(PICKLE("."), SER_E_FORMAT, "damaged");
    check_pickle(PICKLE("N."), SER_E_FORMAT, "damaged");
    check_pickle(PICKLE("}}."), SER_E_FORMAT, "damaged");
    check_pickle(PICKLE("(}."), SER_E_FORMAT, "damaged");
    check_pickle(PICKLE("}("), SER_E_FORMAT, "damaged");
    check_pickle(PICKLE("cos\nsystem\n(X\2\0\0\0lstR."), SER_E_UNSUPPORTED, "'os.system'");
    check_pickle(PICKLE("c__builtin__\neval\n."), SER_E_UNSUPPORTED, "'__builtin__.eval'");
    check_pickle(PICKLE("\x93."), SER_E_UNSUPPORTED, "instruction 0x93");
    check_pickle(PICKLE("}r\1\0\0\0."), SER_E_FORMAT, "damaged");                 /* the memo has a gap */
    check_pickle(PICKLE("}r\xff\xff\xff\xff."), SER_E_FORMAT, "damaged");         /* a large one */
    check_pickle(PICKLE("h\0."), SER_E_FORMAT, "damaged");                        /* nothing in the memo */
    check_pickle(PICKLE("X\xff\xff\xff\xff."), SER_E_FORMAT, "damaged");          /* a long text */
    check_pickle(PICKLE("}(NNNu."), SER_E_FORMAT, "damaged");                     /* a key without a value */
    check_pickle(PICKLE("N(NNu."), SER_E_FORMAT, "damaged");                      /* items of no dict */
    check_pickle(PICKLE("}(s."), SER_E_FORMAT, "damaged");                        /* values below the mark */
    check_pickle(PICKLE("\x8a\x09\1\1\1\1\1\1\1\1\1."), SER_E_FORMAT, "damaged"); /* a long number */
    check_pickle(PICKLE("NQ."), SER_E_FORMAT, "damaged");                         /* a storage of nothing */
    check_pickle(PICKLE("ccollections\nOrderedDict\nN\x85R."), SER_E_FORMAT, "damaged");
    check_pickle(PICKLE("ctorch._utils\n_rebuild_tensor_v2\n)R."), SER_E_FORMAT, "damaged");
    check_pickle(PICKLE("ctorch\nFloatStorage"), SER_E_FORMAT, "damaged");
    check_pickle(PICKLE("NNb."), SER_E_FORMAT, "damaged");
}

/* What a training program saves: numbers, lists and an optimiser's state beside the weights; and weights of
 * types that nothing here reads, which are no reason to refuse the others. */
static void test_training_checkpoints(void)
{
#define TENSOR(type)                                                                                         \
    "ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\n" type                                     \
    "\nX\1\0\0\0000X\3\0\0\0cpuK\1tQK\0)"                                                                    \
    ")\211ccollections\nOrderedDict\n)RtR"
    check_pickle(PICKLE("}X\5\0\0\0modelNsX\12\0\0\0state_dict}X\1\0\0\0w" TENSOR("FloatStorage") "ss."),
                 SER_E_UNSUPPORTED, "it holds state_dict among other things: save model.state_dict() alone");
    check_pickle(
        PICKLE("}X\2\0\0\0lrG?PbM\xd2\xf1\xa9\xfcsX\5\0\0\0betas](G\0\0\0\0\0\0\0\0K\1eK\2asX\5\0\0\0model"
               "}X\1\0\0\0w" TENSOR("HalfStorage") "ss."),
        SER_E_UNSUPPORTED, "it holds model among other things");
    check_pickle(PICKLE("}X\4\0\0\0dims}sX\12\0\0\0state_dict}X\1\0\0\0w" TENSOR("HalfStorage") "ss."),
                 SER_E_UNSUPPORTED, "it is Whisper as OpenAI keeps it");
    check_pickle(PICKLE("}X\4\0\0\0losscnumpy.core.multiarray\nscalar\n"), SER_E_UNSUPPORTED,
                 "'numpy.core.multiarray.scalar', which no checkpoint of weights needs: if you "
                 "trust it, save model.state_dict() alone");
    check_pickle(PICKLE("ctorch.nn.modules.linear\nLinear\n"), SER_E_UNSUPPORTED,
                 "if you trust it, save model.state_dict() alone");
    check_pickle(PICKLE("cnumpy.testing._private.utils\nrunstring\n"), SER_E_UNSUPPORTED, "do not trust it");
    check_pickle(PICKLE("cnumpyish\nscalar\n"), SER_E_UNSUPPORTED, "do not trust it");
    check_pickle(PICKLE("}K\1a."), SER_E_FORMAT, "damaged"); /* appended to no list */
    check_pickle(PICKLE("](K\1"), SER_E_FORMAT, "damaged");
    check_pickle(PICKLE("]e."), SER_E_FORMAT, "damaged"); /* without a mark */
    check_pickle(PICKLE("G\0\0."), SER_E_FORMAT, "damaged");
    ser_error err = {0};
    ser_pickled_tensor *t;
    size_t n;
    char text[600];
    for (size_t i = 0; i < 3; i++) {
        static const char before[] = "}X\1\0\0\0w", bool_tensor[] = TENSOR("BoolStorage") "s.",
                          float_tensor[] = TENSOR("FloatStorage") "s.",
                          short_tensor[] = TENSOR("ShortStorage") "s.";
        const char *tensor = i == 0 ? float_tensor : i == 1 ? bool_tensor : short_tensor;
        size_t n_tensor = (i == 0   ? sizeof float_tensor
                           : i == 1 ? sizeof bool_tensor
                                    : sizeof short_tensor) -
                          1;
        memcpy(text, before, sizeof before - 1);
        memcpy(text + sizeof before - 1, tensor, n_tensor);
        CHECK_OK(ser_pickle_read(&t, &n, (const unsigned char *)text, sizeof before - 1 + n_tensor, &err),
                 &err);
        CHECK(n == 1 && t && t[0].dtype == (i ? SER_DTYPE_OTHER : SER_F32));
        ser_free(t);
    }
#undef TENSOR
}

/* ---- several files ---- */

static void write_scratch(const char *name, const char *text)
{
    ser_error err = {0};
    char path[1100];
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    CHECK_OK(ser_io_write(path, text, strlen(text), &err), &err);
}

/* Tensors first, first + step, ... of the golden file. */
static void write_shard(const ser_safetensors *all, const char *name, size_t first)
{
    ser_error err = {0};
    char path[1100];
    ser_tensor some[14];
    size_t n = 0;
    for (size_t i = first; i < ser_safetensors_n(all) && n < 14; i += 2)
        some[n++] = *ser_safetensors_at(all, i);
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    CHECK_OK(ser_safetensors_write(path, some, n, NULL, 0, &err), &err);
}

static void write_index(const ser_safetensors *all, const char *odd)
{
    char text[4096] = "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {";
    for (size_t i = 0; i < ser_safetensors_n(all); i++) {
        size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, "%s\"%s\": \"%s\"", i ? ", " : "",
                 ser_safetensors_at(all, i)->name, i % 2 ? odd : "a.safetensors");
    }
    strcat(text, "}}");
    write_scratch("model.safetensors.index.json", text);
}

static ser_status open_scratch(ser_safetensors **f, ser_error *err)
{
    const char *file;
    return ser_checkpoint_open(f, &file, scratch, err);
}

static void remove_scratch_file(const char *name)
{
    char path[1100];
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    unlink(path);
}

/* A name says nothing of what is no weight at all. */
static void test_what_is_not_foreign(void)
{
    static const char *const names[] = {"optimizer.pt",    "Training_Args.bin", "scheduler.pt",
                                        "rng_state_0.pth", "scaler.pt",         "feat.npz",
                                        ".a.safetensors"};
    ser_error err = {0};
    char path[1100];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        write_scratch(names[i], "x");
    snprintf(path, sizeof path, "%s/runs.bin", scratch);
    CHECK(mkdir(path, 0777) == 0);
    CHECK_OK(ser_foreign_check_folder(scratch, &err), &err);
    write_scratch("weights.npz", "x");
    CHECK_FAILS(ser_foreign_check_folder(scratch, &err), SER_E_UNSUPPORTED, &err,
                "(weights.npz) are of NumPy or MLX");
    /* The right name goes before all others. */
    write_scratch("tf_model.h5", "x");
    write_scratch("model.safetensors", "x");
    CHECK_FAILS(ser_foreign_check_folder(scratch, &err), SER_E_UNSUPPORTED, &err,
                "(model.safetensors) have no config.json beside them: fetch it from where");
    rmdir(path);
    remove_scratch_file("weights.npz");
    remove_scratch_file("tf_model.h5");
    remove_scratch_file("model.safetensors");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        remove_scratch_file(names[i]);
    /* A header of 2 MiB and more is no map of Flax's. */
    CHECK_FAILS(ser_foreign_check("\x81\xa1p\0\0\0\0\0\0", 9, &err), SER_E_UNSUPPORTED, &err, "of Flax");
    CHECK_OK(ser_foreign_check("\x81\xa1p\0\0\0\0\0{", 9, &err), &err);
}

/* A folder without weights of ours. */
static void test_foreign_folders(void)
{
    static const struct {
        const char *name, *content, *words;
    } files[] = {
        {"pytorch_model-00001-of-00002.bin", "x", "are parts, and pytorch_model.bin.index.json is missing"},
        {"best.pth", "PK\3\4", "(best.pth) have a name of their own: call them pytorch_model.bin"},
        {"best.PTH", "x", "(best.PTH) have a name of their own: call them pytorch_model.bin"},
        {"b.SafeTensors", "x", "(b.SafeTensors) have a name of their own: call them model.safetensors"},
        {"a.safetensors", "x", "(a.safetensors) have a name of their own: call them model.safetensors"},
        {"a-00001-of-00002.safetensors", "x",
         "(a-00001-of-00002.safetensors) are parts, and model.safetensors.index.json is missing: fetch it"},
        {"weights.npz", "x", "(weights.npz) are of NumPy or MLX: fetch"},
        {"tiny-q5.gguf", "GGUF", "(tiny-q5.gguf) are GGUF, for llama.cpp and whisper.cpp: fetch"},
        {"model.onnx", "x", "(model.onnx) are of ONNX: fetch"},
        {"flax_model.msgpack", "x", "(flax_model.msgpack) are of Flax: save"},
        {"tf_model.h5", "x", "(tf_model.h5) are of TensorFlow: save"}};
    ser_error err = {0};
    ser_safetensors *f;
    write_scratch("config.json", "{}");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) { /* each goes before those that were there */
        write_scratch(files[i].name, files[i].content);
        CHECK_FAILS(open_scratch(&f, &err), SER_E_UNSUPPORTED, &err, files[i].words);
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        remove_scratch_file(files[i].name);
    write_scratch("ggml-tiny.bin", "lmgg");
    CHECK_FAILS(open_scratch(&f, &err), SER_E_UNSUPPORTED, &err,
                "ggml-tiny.bin: it is ggml, for whisper.cpp");
    write_scratch("ggml-tiny.bin", "PK");
    remove_scratch_file("config.json");
    CHECK_FAILS(open_scratch(&f, &err), SER_E_UNSUPPORTED, &err,
                "(ggml-tiny.bin) have no config.json beside them");
    remove_scratch_file("ggml-tiny.bin");
}

static void test_shards(void)
{
    ser_error err = {0};
    ser_safetensors *all = open_expected(), *f;
    char **names;
    size_t n_names;
    CHECK_FAILS(open_scratch(&f, &err), SER_E_IO, &err,
                "model.safetensors: there are no weights in this folder");
    write_scratch("tf_model.h5", "\x89HDF");
    CHECK_FAILS(open_scratch(&f, &err), SER_E_UNSUPPORTED, &err, "(tf_model.h5) are of TensorFlow");
    write_shard(all, "a.safetensors", 0);
    write_shard(all, "b.safetensors", 1);
    write_index(all, "b.safetensors");
    CHECK_OK(open_scratch(&f, &err), &err);
    compare(f, all);
    ser_safetensors_close(&f);
    CHECK_OK(ser_checkpoint_files(&names, &n_names, scratch, &err), &err);
    CHECK(n_names == 2 && strcmp(names[0], "a.safetensors") == 0 && strcmp(names[1], "b.safetensors") == 0);
    ser_io_free_list(names, n_names);

    write_index(all, "../b.safetensors");
    CHECK_FAILS(open_scratch(&f, &err), SER_E_FORMAT, &err, "model.safetensors.index.json: tensor '");
    write_index(all, "b.txt");
    CHECK_FAILS(open_scratch(&f, &err), SER_E_FORMAT, &err, "in no file beside it");
    write_index(all, "c.safetensors");
    CHECK_FAILS(open_scratch(&f, &err), SER_E_IO, &err, "c.safetensors: ");
    write_index(all, "a.safetensors");
    CHECK_FAILS(open_scratch(&f, &err), SER_E_FORMAT, &err, "is not in a.safetensors");
    write_scratch("model.safetensors.index.json", "{\"weight_map\": 3}");
    CHECK_FAILS(open_scratch(&f, &err), SER_E_FORMAT, &err, "no 'weight_map'");
    write_scratch("model.safetensors.index.json", "{");
    CHECK_FAILS(open_scratch(&f, &err), SER_E_FORMAT, &err, "no 'weight_map'");
    write_index(all, "b.safetensors");
    write_scratch("b.safetensors", "{}");
    CHECK_FAILS(open_scratch(&f, &err), SER_E_FORMAT, &err, "b.safetensors: ");
    ser_safetensors_close(&all);
}

static void test_out_of_memory(void)
{
    ser_error err = {0};
    ser_safetensors *f, *all = open_expected();
    ser_status status = SER_E_NOMEM;
    long n = 0;
    for (; status == SER_E_NOMEM; n++) {
        failing_at(n);
        status = open_golden_bin(&f, "state.bin", &err);
        failing_at(-1);
        CHECK((status == SER_OK) == (f != NULL));
        ser_safetensors_close(&f);
    }
    CHECK(status == SER_OK && n > 10);
    write_shard(all, "b.safetensors", 1);
    status = SER_E_NOMEM;
    for (n = 0; status == SER_E_NOMEM; n++) {
        failing_at(n);
        status = open_scratch(&f, &err);
        failing_at(-1);
        CHECK((status == SER_OK) == (f != NULL));
        ser_safetensors_close(&f);
    }
    CHECK(status == SER_OK && n > 10);
    ser_safetensors_close(&all);
}

int main(void)
{
    static const char *const names[] = {"a.safetensors", "b.safetensors", "model.safetensors.index.json",
                                        "tf_model.h5"};
    if (!mkdtemp(scratch))
        return EXIT_FAILURE;
    test_golden();
    test_refusals();
    test_foreign();
    test_changes();
    test_every_byte();
    test_pickles();
    test_training_checkpoints();
    test_what_is_not_foreign();
    test_foreign_folders();
    test_shards();
    test_out_of_memory();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[1100];
        snprintf(path, sizeof path, "%s/%s", scratch, names[i]);
        unlink(path);
    }
    rmdir(scratch);
    return test_summary();
}

#include "io/foreign.h"
#include "base/memory.h"
#include "io/file.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define TO_PYTORCH "fetch the same model as transformers keeps it, such as openai/whisper-base (ser pull)"
#define GGUF       "GGUF, for llama.cpp and whisper.cpp: " TO_PYTORCH
#define GGML       "ggml, for whisper.cpp: " TO_PYTORCH
#define HDF5       "HDF5, of TensorFlow or Keras: save the model with PyTorch"
#define MSGPACK    "of Flax: save the model with PyTorch"
#define CTRANSLATE "of CTranslate2 (faster-whisper): " TO_PYTORCH
#define ADAPTER    "an adapter without its model: merge them (peft: merge_and_unload)"
#define RENAMED    "weights under another name"

/* ---- by their content ---- */

/* ggml's number 0x67676d6c (whisper.cpp, models/convert-pt-to-ggml.py) is little-endian; CTranslate2 writes
 * its version, then the name of the model with its length (python/ctranslate2/specs/model_spec.py). */
static const char *form_of(const unsigned char *b, size_t n)
{
    static const unsigned char hdf5[] = "\x89HDF\r\n\x1a\n";
    if (n >= 4 && memcmp(b, "GGUF", 4) == 0)
        return GGUF;
    if (n >= 4 && memcmp(b, "lmgg", 4) == 0)
        return GGML;
    if (n >= 8 && memcmp(b, hdf5, 8) == 0)
        return HDF5;
    if (n >= 17 && memcmp(b + 6, "WhisperSpec", 11) == 0)
        return CTRANSLATE;
    /* A map whose first key is a short text (github.com/msgpack/msgpack, spec.md). */
    return n >= 3 && (b[0] & 0xf0) == 0x80 && (b[1] & 0xe0) == 0xa0 && b[2] >= ' ' ? MSGPACK : NULL;
}

static bool is_web_page(const unsigned char *b, size_t n)
{
    size_t i = 0;
    while (i < n && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t'))
        i++;
    return n - i >= 9 && (strncasecmp((const char *)b + i, "<!doctype", 9) == 0 ||
                          strncasecmp((const char *)b + i, "<html", 5) == 0);
}

/* What is left where a download was given its place on the disk, and no content. */
static bool begins_with_nothing(const unsigned char *b, size_t n)
{
    enum { LOOKED_AT = 512 };
    for (size_t i = 0; i < n && i < LOOKED_AT; i++)
        if (b[i])
            return false;
    return n >= LOOKED_AT;
}

ser_status ser_foreign_check(const void *bytes, size_t n, ser_error *err)
{
    const char *form = form_of(bytes, n);
    if (form)
        return ser_fail(err, SER_E_UNSUPPORTED, "it is %s", form);
    if (n == 0)
        return ser_fail(err, SER_E_FORMAT, "it is empty: fetch it again");
    if (is_web_page(bytes, n))
        return ser_fail(err, SER_E_FORMAT, "it is a web page: fetch the file again, from its own address");
    if (begins_with_nothing(bytes, n))
        return ser_fail(err, SER_E_FORMAT, "there are zeros where it should begin: fetch it again");
    return SER_OK;
}

ser_status ser_foreign_check_file(const char *path, ser_error *err)
{
    ser_bytes bytes = {0};
    ser_status st = ser_io_map(&bytes, path, 0, NULL);
    if (st != SER_OK)
        return st == SER_E_NOMEM ? ser_fail_nomem(err) : SER_OK;
    const char *form = form_of(bytes.data, bytes.n);
    if (form)
        st = ser_fail(err, SER_E_UNSUPPORTED, "it is %s", form);
    ser_bytes_release(&bytes);
    return st;
}

/* ---- by their names ---- */

static const struct {
    const char *ending, *form;
} forms[] = {{"adapter_model.safetensors", ADAPTER},
             {"adapter_model.bin", ADAPTER},
             {"tf_model.h5", "of TensorFlow: save the model with PyTorch"},
             {".h5", HDF5},
             {".msgpack", MSGPACK},
             {".onnx", "of ONNX: fetch the model that it was made of"},
             {".gguf", GGUF},
             {".nemo", "of NeMo: no encoder of NVIDIA's can be used"},
             {".npz", "of NumPy or MLX: " TO_PYTORCH},
             {".safetensors", RENAMED},
             {".ckpt", RENAMED},
             {".pth", RENAMED},
             {".pt", RENAMED},
             {".bin", RENAMED}};
enum { N_FORMS = sizeof forms / sizeof *forms };

static size_t form_by_name(const char *name)
{
    size_t i = 0, n = strlen(name);
    for (; i < N_FORMS; i++) {
        size_t n_ending = strlen(forms[i].ending);
        if (n >= n_ending && strcasecmp(name + n - n_ending, forms[i].ending) == 0)
            break;
    }
    return name[0] == '.' ? N_FORMS : i;
}

/* The first row of forms that a file has the ending of, and of those files the first by name. */
static ser_status find_form(size_t *form, char **file, const char *folder, ser_error *err)
{
    ser_status st = SER_OK;
    *form = N_FORMS;
    *file = NULL;
    errno = 0;
    DIR *dir = opendir(folder);
    if (!dir)
        return errno == ENOMEM ? ser_fail_nomem(err) : SER_OK;
    for (const struct dirent *d; st == SER_OK && (d = readdir(dir));) {
        size_t i = form_by_name(d->d_name);
        if (i > *form || i == N_FORMS || (i == *form && strcmp(d->d_name, *file) > 0))
            continue;
        ser_free(*file);
        *file = ser_strdup(d->d_name);
        *form = i;
        st = *file ? SER_OK : ser_fail_nomem(err);
    }
    closedir(dir);
    return st;
}

/* A name that says little: what it holds, else how we would call it. */
static ser_status name_renamed(const char *folder, const char *file, ser_error *err)
{
    char *path = ser_io_join(folder, file), *config = ser_io_join(folder, "config.json");
    ser_status st = path && config ? ser_foreign_check_file(path, err) : ser_fail_nomem(err);
    if (st == SER_E_UNSUPPORTED)
        ser_fail_within(err, st, "%s: ", file);
    else if (st == SER_OK && access(config, F_OK) != 0)
        st = ser_fail(err, SER_E_UNSUPPORTED, "its weights (%s) have no config.json beside them: %s", file,
                      TO_PYTORCH);
    else if (st == SER_OK)
        st = ser_fail(err, SER_E_UNSUPPORTED, "its weights (%s) have a name of their own: call them %s", file,
                      strstr(file, ".safetensors") ? "model.safetensors" : "pytorch_model.bin");
    ser_free(path);
    ser_free(config);
    return st;
}

ser_status ser_foreign_check_folder(const char *folder, ser_error *err)
{
    size_t form;
    char *file;
    ser_status st = find_form(&form, &file, folder, err);
    if (st == SER_OK && file)
        st = strcmp(forms[form].form, RENAMED) == 0
                 ? name_renamed(folder, file, err)
                 : ser_fail(err, SER_E_UNSUPPORTED, "its weights (%s) are %s", file, forms[form].form);
    ser_free(file);
    return st;
}

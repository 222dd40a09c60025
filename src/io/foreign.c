#include "io/foreign.h"
#include "base/memory.h"
#include "base/sniff.h"
#include "io/checkpoint.h"
#include "io/file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TO_PYTORCH "fetch the same model as transformers keeps it, such as openai/whisper-base (ser pull)"
#define GGUF       "GGUF, for llama.cpp and whisper.cpp: " TO_PYTORCH
#define GGML       "ggml, for whisper.cpp: " TO_PYTORCH
#define HDF5       "HDF5, of TensorFlow or Keras: save the model with PyTorch"
#define MSGPACK    "of Flax: save the model with PyTorch"
#define CTRANSLATE "of CTranslate2 (faster-whisper): " TO_PYTORCH
#define ADAPTER    "an adapter without its model: merge them (peft: merge_and_unload)"
#define NUMPY      "of NumPy or MLX: " TO_PYTORCH
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
    if (n > 8 && b[8] == '{') /* safetensors, whose first eight bytes, a length, may be anything */
        return NULL;
    /* A map whose first key is a short text (github.com/msgpack/msgpack, spec.md). */
    return n >= 3 && (b[0] & 0xf0) == 0x80 && (b[1] & 0xe0) == 0xa0 && b[2] >= ' ' ? MSGPACK : NULL;
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
    if (ser_is_web_page(bytes, n))
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
             {".npz", NUMPY},
             {".safetensors", RENAMED},
             {".ckpt", RENAMED},
             {".pth", RENAMED},
             {".pt", RENAMED},
             {".bin", RENAMED}};
enum { N_FORMS = sizeof forms / sizeof *forms };

static bool has_ending(const char *name, const char *ending)
{
    size_t n = strlen(name), n_ending = strlen(ending);
    return n >= n_ending && strcasecmp(name + n - n_ending, ending) == 0;
}

/* What transformers' Trainer keeps of a training beside the weights. */
static bool is_of_training(const char *name)
{
    static const char *const beginnings[] = {"optimizer.", "scheduler.", "scaler.", "training_args.",
                                             "rng_state"};
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        if (strncasecmp(name, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    return false;
}

/* "...-00001-of-00002.safetensors", a part of weights in several files. */
static bool is_part(const char *name)
{
    static const char pattern[] = "-00000-of-00000.";
    const char *dot = strrchr(name, '.');
    size_t n = sizeof pattern - 1;
    if (!dot || (size_t)(dot + 1 - name) < n)
        return false;
    const char *at = dot + 1 - n;
    for (size_t i = 0; i < n; i++)
        if (pattern[i] == '0' ? !isdigit((unsigned char)at[i]) : at[i] != pattern[i])
            return false;
    return true;
}

/* has_config: features of recordings are kept in .npz, too. */
static size_t form_by_name(const char *name, bool has_config)
{
    size_t i = 0;
    while (i < N_FORMS && !has_ending(name, forms[i].ending))
        i++;
    if (name[0] == '.' || is_of_training(name) ||
        (i < N_FORMS && strcmp(forms[i].form, NUMPY) == 0 && !has_config &&
         strncasecmp(name, "weights", 7) != 0))
        return N_FORMS;
    return i;
}

/* The first row of forms that a file has the ending of, and of those files the first by name. */
static ser_status find_form(size_t *form, char **file, const char *folder, bool has_config, ser_error *err)
{
    struct stat info;
    ser_status st = SER_OK;
    *form = N_FORMS;
    *file = NULL;
    errno = 0;
    DIR *dir = opendir(folder);
    if (!dir)
        return errno == ENOMEM ? ser_fail_nomem(err) : SER_OK;
    for (const struct dirent *d; st == SER_OK && (d = readdir(dir));) {
        size_t i = form_by_name(d->d_name, has_config);
        if (i > *form || i == N_FORMS || (i == *form && strcmp(d->d_name, *file) > 0) ||
            fstatat(dirfd(dir), d->d_name, &info, 0) != 0 || !S_ISREG(info.st_mode))
            continue;
        ser_free(*file);
        *file = ser_strdup(d->d_name);
        *form = i;
        st = *file ? SER_OK : ser_fail_nomem(err);
    }
    closedir(dir);
    return st;
}

/* is_there: whether it is a regular file. */
static ser_status look_for(bool *is_there, const char *folder, const char *name, ser_error *err)
{
    struct stat info;
    char *path = ser_io_join(folder, name);
    if (!path)
        return ser_fail_nomem(err);
    *is_there = stat(path, &info) == 0 && S_ISREG(info.st_mode);
    ser_free(path);
    return SER_OK;
}

/* A name that says little, or is right: what it holds, else what is missing, else how we would call it.
 * without_config: what to do where there is no config.json, NULL where there is. */
static ser_status name_weights(const char *folder, const char *file, const char *without_config,
                               ser_error *err)
{
    bool is_safe = has_ending(file, ".safetensors");
    char *path = ser_io_join(folder, file);
    ser_status st = path ? ser_foreign_check_file(path, err) : ser_fail_nomem(err);
    ser_free(path);
    if (st == SER_E_UNSUPPORTED)
        return ser_fail_within(err, st, "%s: ", file);
    if (st != SER_OK)
        return st;
    if (without_config)
        return ser_fail(err, SER_E_UNSUPPORTED, "its weights (%s) have no config.json beside them: %s", file,
                        without_config);
    if (is_part(file) && (is_safe || has_ending(file, ".bin")))
        return ser_fail(err, SER_E_UNSUPPORTED, "its weights (%s) are parts, and %s is missing: fetch it",
                        file, is_safe ? "model.safetensors.index.json" : "pytorch_model.bin.index.json");
    return ser_fail(err, SER_E_UNSUPPORTED, "its weights (%s) have a name of their own: call them %s", file,
                    is_safe ? "model.safetensors" : "pytorch_model.bin");
}

ser_status ser_foreign_check_folder(const char *folder, ser_error *err)
{
    size_t form;
    char *file;
    bool has_config = false, is_there = false;
    ser_status st = look_for(&has_config, folder, "config.json", err);
    for (size_t i = 0; st == SER_OK && !has_config && i < SER_CHECKPOINT_N_FORMS; i++) {
        st = look_for(&is_there, folder, ser_checkpoint_forms[i], err);
        if (st == SER_OK && is_there) /* whatever else is there */
            return name_weights(folder, ser_checkpoint_forms[i], "fetch it from where they come", err);
    }
    if (st != SER_OK)
        return st;
    st = find_form(&form, &file, folder, has_config, err);
    if (st == SER_OK && file)
        st = strcmp(forms[form].form, RENAMED) == 0
                 ? name_weights(folder, file, has_config ? NULL : TO_PYTORCH, err)
                 : ser_fail(err, SER_E_UNSUPPORTED, "its weights (%s) are %s", file, forms[form].form);
    ser_free(file);
    return st;
}

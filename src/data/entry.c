#include "data/entry.h"
#include "base/memory.h"
#include "io/file.h"
#include "io/npy.h"

#include <stdlib.h>
#include <string.h>

char *ser_tree_npy_path(const char *folder, const char *utterance)
{
    return ser_format("%s/%s.npy", folder, utterance);
}

char *ser_tree_facts_path(const char *folder, const char *utterance)
{
    return ser_format("%s/index/%s.safetensors", folder, utterance);
}

/* ---- index/<utterance>.safetensors ---- */

static bool copy_hash(char out[65], const char *text)
{
    if (!text || strlen(text) != 64)
        return false;
    memcpy(out, text, 65);
    return true;
}

static ser_status parse_facts(ser_tree_entry *e, const ser_safetensors *file, ser_error *err)
{
    const ser_tensor *active = ser_safetensors_find(file, "active"),
                     *fingerprint = ser_safetensors_find(file, "fingerprint");
    const char *n_samples = ser_safetensors_metadata(file, "n_samples");
    if (!active || active->dtype != SER_U8 || !active->n_elements || !fingerprint ||
        fingerprint->dtype != SER_U8 || !n_samples ||
        !copy_hash(e->sha256, ser_safetensors_metadata(file, "sha256")) ||
        !copy_hash(e->file_sha256, ser_safetensors_metadata(file, "file_sha256")) ||
        !copy_hash(e->parameters, ser_safetensors_metadata(file, "parameters")))
        return ser_fail(err, SER_E_FORMAT, "it lacks something: extract the features again");
    e->n_samples = strtoull(n_samples, NULL, 10);
    ser_status st = ser_fingerprint_from_bytes(&e->fingerprint, fingerprint->data, fingerprint->n_bytes, err);
    if (st != SER_OK)
        return st;
    if (!ser_grow(&e->frames.active, &e->frames.active_capacity, active->n_elements, 1))
        return ser_fail_nomem(err);
    e->frames.n = active->n_elements;
    memcpy(e->frames.active, active->data, active->n_bytes);
    for (size_t t = 0; t < e->frames.n; t++)
        if (e->frames.active[t])
            return SER_OK;
    return ser_fail(err, SER_E_FORMAT, "none of its frames is active: extract the features again");
}

/* All but the frames: only their number is set. */
static ser_status read_facts(ser_tree_entry *e, const char *folder, const char *utterance, ser_error *err)
{
    ser_safetensors *file = NULL;
    *e = (ser_tree_entry){0};
    char *path = ser_tree_facts_path(folder, utterance);
    if (!path)
        return ser_fail_nomem(err);
    ser_status st = ser_safetensors_open(&file, path, err);
    if (st == SER_OK)
        st = parse_facts(e, file, err);
    if (st != SER_OK) {
        ser_fail_within(err, st, "%s: ", path);
        ser_tree_entry_release(e);
    }
    ser_safetensors_close(&file);
    ser_free(path);
    return st;
}

static ser_status write_facts(const ser_tree_entry *e, const char *path, ser_error *err)
{
    size_t n_bytes;
    const void *bytes = ser_fingerprint_bytes(e->fingerprint, &n_bytes);
    const ser_tensor tensors[] = {
        {"active", SER_U8, 1, {e->frames.n}, e->frames.n, e->frames.active, e->frames.n},
        {"fingerprint", SER_U8, 1, {n_bytes}, n_bytes, bytes, n_bytes},
    };
    char n_samples[32];
    snprintf(n_samples, sizeof n_samples, "%zu", e->n_samples);
    const char *const metadata[][2] = {{"sha256", e->sha256},
                                       {"file_sha256", e->file_sha256},
                                       {"n_samples", n_samples},
                                       {"parameters", e->parameters}};
    return ser_safetensors_write_unsynced(path, tensors, sizeof tensors / sizeof *tensors, metadata,
                                          sizeof metadata / sizeof *metadata, err);
}

/* ---- <utterance>.npy ---- */

static ser_status check_frames(const ser_npy *a, size_t n_frames, size_t dims, ser_error *err)
{
    if (a->n_dims != 2 || a->dims[0] != n_frames || a->dims[1] != dims)
        return ser_fail(err, SER_E_FORMAT,
                        "its shape is not the index's (%zu, %zu): extract the features again", n_frames,
                        dims);
    for (size_t i = 0; i < a->n_elements; i++)
        if (a->data[i] - a->data[i] != 0) /* also true of NaN, and no call in the loop */
            return ser_fail(err, SER_E_FORMAT,
                            "a value of frame %zu is not finite: extract the features again", i / dims);
    return SER_OK;
}

/* Where frames.n is known. */
static ser_status read_frames(ser_frame_buffer *frames, const char *path, ser_error *err)
{
    ser_npy a;
    size_t n_max;
    if (!ser_mul_size(&n_max, frames->n, frames->dims))
        return ser_fail_nomem(err);
    ser_status st = ser_npy_read(&a, path, n_max, err);
    if (st == SER_OK)
        st = check_frames(&a, frames->n, frames->dims, err);
    if (st == SER_OK) {
        frames->x = a.data; /* moves over */
        frames->x_capacity = a.n_elements;
        a.data = NULL;
    }
    ser_npy_release(&a);
    return st;
}

ser_status ser_tree_entry_read(ser_tree_entry *e, size_t dims, const char *folder, const char *utterance,
                               ser_error *err)
{
    ser_status st = read_facts(e, folder, utterance, err);
    if (st != SER_OK)
        return st;
    char *path = ser_tree_npy_path(folder, utterance);
    e->frames.dims = dims;
    st = path ? read_frames(&e->frames, path, err) : ser_fail_nomem(err);
    if (st != SER_OK) {
        ser_fail_within(err, st, "%s: ", path ? path : utterance);
        ser_tree_entry_release(e);
    }
    ser_free(path);
    return st;
}

/* ---- both ---- */

ser_status ser_tree_entry_write(const ser_tree_entry *e, const char *folder, const char *utterance,
                                ser_error *err)
{
    char *npy = ser_tree_npy_path(folder, utterance), *facts = ser_tree_facts_path(folder, utterance);
    const char *path = npy;
    ser_status st = npy && facts ? ser_io_make_folder_of(npy, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_npy_write_unsynced(npy, e->frames.x, 2, (size_t[]){e->frames.n, e->frames.dims}, err);
    if (st == SER_OK) {
        path = facts;
        st = ser_io_make_folder_of(facts, err);
    }
    if (st == SER_OK)
        st = write_facts(e, facts, err);
    if (st != SER_OK && path)
        ser_fail_within(err, st, "%s: ", path);
    ser_free(npy);
    ser_free(facts);
    return st;
}

void ser_tree_entry_release(ser_tree_entry *e)
{
    ser_fingerprint_free(&e->fingerprint);
    ser_frame_buffer_release(&e->frames);
    *e = (ser_tree_entry){0};
}

#include "data/tree.h"
#include "base/memory.h"
#include "io/file.h"

#include <string.h>
#include <unistd.h>

/* ---- which layers ---- */

/* Where hidden state layer lies among those of the part; false: it is not there. */
static bool find_layer(size_t *position, json_t *parameters, const ser_feature_part *part, int layer)
{
    const json_t *list =
        json_object_get(json_object_get(parameters, "layers"), ser_feature_kind_name(part->kind));
    for (*position = 0; *position < json_array_size(list); ++*position)
        if (json_integer_value(json_array_get(list, *position)) == layer)
            return true;
    return false;
}

static size_t n_layers_of(json_t *parameters, const ser_feature_part *part)
{
    return json_array_size(
        json_object_get(json_object_get(parameters, "layers"), ser_feature_kind_name(part->kind)));
}

/* Fills tree->offset; false: some layer is not in the tree. *dims is what its frames must have. */
static bool map_blocks(ser_tree *tree, size_t *dims)
{
    const ser_feature_spec *spec = ser_extractor_spec(tree->extractor);
    json_t *parameters = tree->index.parameters;
    size_t block = 0;
    *dims = 0;
    for (size_t p = 0; p < spec->n_parts; p++) {
        const ser_feature_part *part = &spec->parts[p];
        bool is_encoder = ser_feature_kind_is_encoder(part->kind);
        size_t n_blocks = is_encoder ? part->n_layers : 1, block_dims = 0;
        for (size_t i = 0; i < n_blocks; i++, block++) {
            size_t offset, position = 0;
            ser_extractor_block(tree->extractor, block, &offset, &block_dims);
            if (is_encoder && !find_layer(&position, parameters, part, part->layers[i]))
                return false;
            tree->offset[block] = *dims + position * block_dims;
        }
        *dims += block_dims * (is_encoder ? n_layers_of(parameters, part) : 1);
    }
    return true;
}

/* ---- opening ---- */

/* SER_E_UNSUPPORTED with the reason: it is another tree than is asked for. */
static ser_status match(ser_tree *tree, const ser_tree_recipe *recipe, ser_error *reason, ser_error *err)
{
    char difference[SER_TREE_DIFFERENCE];
    json_t *wanted = NULL;
    size_t dims;
    ser_status st = ser_tree_parameters(&wanted, recipe, err);
    if (st != SER_OK)
        return st;
    bool differs = ser_tree_parameters_differ(difference, tree->index.parameters, wanted, true);
    bool mapped = !differs && map_blocks(tree, &dims);
    if (!differs && !mapped)
        ser_tree_parameters_differ(difference, tree->index.parameters, wanted, false);
    json_decref(wanted);
    if (!mapped)
        return ser_fail(reason, SER_E_UNSUPPORTED, "%s: %s", tree->folder, difference);
    if (!tree->index.complete)
        return ser_fail(reason, SER_E_UNSUPPORTED,
                        "%s: it is not finished: go on with the 'ser extract' that began it", tree->folder);
    if (dims != tree->index.dims)
        return ser_fail(err, SER_E_FORMAT,
                        "%s/index.json: dims is %zu, and its parameters make %zu: extract the features "
                        "again with --overwrite",
                        tree->folder, tree->index.dims, dims);
    return SER_OK;
}

static ser_status open_index(ser_tree *tree, ser_error *reason, ser_error *err)
{
    char *path = ser_io_join(tree->folder, "index.json");
    ser_status st = path ? SER_OK : ser_fail_nomem(err);
    if (path && access(path, F_OK) != 0)
        st = access(tree->folder, F_OK) == 0
                 ? ser_fail(reason, SER_E_UNSUPPORTED, "%s: no index.json says what the features there are",
                            tree->folder)
                 : ser_fail(reason, SER_E_IO, "%s: no features are there", tree->folder);
    else if (path && (st = ser_tree_index_read(&tree->index, path, err)) != SER_OK)
        ser_fail_within(err, st, "%s: ", path);
    ser_free(path);
    return st;
}

ser_status ser_tree_open(ser_tree **out, ser_error *reason, const char *features_dir, const char *corpus,
                         const ser_extractor *e, const ser_tree_recipe *recipe, ser_error *err)
{
    *out = NULL;
    *reason = (ser_error){0};
    ser_status st = SER_OK;
    ser_tree *tree = ser_alloc(1, sizeof *tree);
    if (!tree)
        return ser_fail_nomem(err);
    tree->extractor = e;
    tree->folder = ser_tree_folder(features_dir, recipe->spec, corpus);
    tree->offset = ser_alloc(ser_extractor_n_blocks(e), sizeof *tree->offset);
    if (!tree->folder || !tree->offset)
        st = ser_fail_nomem(err);
    if (st == SER_OK)
        st = open_index(tree, reason, err);
    if (st == SER_OK)
        st = match(tree, recipe, reason, err);
    if (st != SER_OK)
        ser_tree_close(&tree);
    *out = tree;
    return reason->status != SER_OK ? SER_OK : st;
}

void ser_tree_close(ser_tree **tree)
{
    if (!*tree)
        return;
    ser_tree_index_release(&(*tree)->index);
    ser_free((*tree)->folder);
    ser_free((*tree)->offset);
    ser_free(*tree);
    *tree = NULL;
}

/* ---- reading ---- */

/* The columns asked for, in their order. */
static ser_status take_columns(ser_frame_buffer *frames, const ser_tree *tree, ser_error *err)
{
    size_t dims = ser_extractor_dims(tree->extractor);
    ser_frame_buffer taken = {.dims = dims};
    ser_status st = ser_frame_buffer_resize(&taken, frames->n, err);
    if (st != SER_OK)
        return st;
    memcpy(taken.active, frames->active, frames->n);
    for (size_t b = 0; b < ser_extractor_n_blocks(tree->extractor); b++) {
        size_t to, n;
        ser_extractor_block(tree->extractor, b, &to, &n);
        for (size_t t = 0; t < frames->n; t++)
            memcpy(taken.x + t * dims + to, frames->x + t * frames->dims + tree->offset[b],
                   n * sizeof *taken.x);
    }
    ser_frame_buffer_release(frames);
    *frames = taken;
    return SER_OK;
}

static bool same_columns(const ser_tree *tree)
{
    if (tree->index.dims != ser_extractor_dims(tree->extractor))
        return false;
    for (size_t b = 0; b < ser_extractor_n_blocks(tree->extractor); b++) {
        size_t offset, dims;
        ser_extractor_block(tree->extractor, b, &offset, &dims);
        if (tree->offset[b] != offset)
            return false;
    }
    return true;
}

ser_status ser_tree_read(ser_tree_entry *out, const ser_tree *tree, const ser_tree_recording *r,
                         ser_error *err)
{
    ser_status st = ser_tree_entry_read(out, tree->index.dims, tree->folder, r->utterance, err);
    if (st != SER_OK)
        return st;
    if (out->frames.n != r->n_frames || out->n_samples != r->n_samples || strcmp(out->sha256, r->sha256) != 0)
        st = ser_fail(err, SER_E_FORMAT,
                      "%s: '%.100s' is not what index.json says: extract the features again", tree->folder,
                      r->utterance);
    if (st == SER_OK && !same_columns(tree))
        st = take_columns(&out->frames, tree, err);
    if (st != SER_OK)
        ser_tree_entry_release(out);
    return st;
}

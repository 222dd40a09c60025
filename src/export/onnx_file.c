#include "export/onnx_file.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/file.h"

#include <stdio.h>
#include <string.h>

/* What is smaller stays in the model, where those who look at it find shapes, axes and scales. Data begin at
 * whole pages, so that they can be mapped. */
enum { LEAST_EXTERNAL = 1024, ALIGNMENT = 4096 };

/* ---- constants in a file of their own ---- */

enum { LOCATION, OFFSET, LENGTH, N_ENTRIES };

/* Where a tensor's data lie, as text. */
typedef struct place {
    Onnx__StringStringEntryProto entries[N_ENTRIES], *pointers[N_ENTRIES];
    char offset[24], length[24];
} place;

typedef struct data_file {
    ser_output out;
    const char *name; /* without its folder */
    uint64_t n_bytes;
    place **places;
    size_t n_places, capacity;
} data_file;

static void describe(place *p, const data_file *f, size_t n)
{
    static const char *const keys[N_ENTRIES] = {"location", "offset", "length"};
    char *const values[N_ENTRIES] = {(char *)f->name, p->offset, p->length};
    snprintf(p->offset, sizeof p->offset, "%llu", (unsigned long long)f->n_bytes);
    snprintf(p->length, sizeof p->length, "%zu", n);
    for (int i = 0; i < N_ENTRIES; i++) {
        p->entries[i] = (Onnx__StringStringEntryProto)ONNX__STRING_STRING_ENTRY_PROTO__INIT;
        p->entries[i].key = (char *)keys[i];
        p->entries[i].value = values[i];
        p->pointers[i] = &p->entries[i];
    }
}

static ser_status move_tensor(data_file *f, Onnx__TensorProto *t, ser_error *err)
{
    static const char nothing[ALIGNMENT];
    size_t n = t->raw_data.len, n_gap = (size_t)(-f->n_bytes % ALIGNMENT);
    if (!ser_grow(&f->places, &f->capacity, f->n_places + 1, sizeof(place *)))
        return ser_fail_nomem(err);
    place *p = f->places[f->n_places] = ser_alloc(1, sizeof *p);
    if (!p)
        return ser_fail_nomem(err);
    f->n_places++;
    fwrite(nothing, 1, n_gap, f->out.file); /* commit sees whether it worked */
    f->n_bytes += n_gap;
    describe(p, f, n);
    fwrite(t->raw_data.data, 1, n, f->out.file);
    f->n_bytes += n;
    t->external_data = p->pointers;
    t->n_external_data = N_ENTRIES;
    t->has_data_location = true;
    t->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    t->has_raw_data = false;
    return SER_OK;
}

static ser_status move_tensors(data_file *f, Onnx__GraphProto *graph, ser_error *err)
{
    ser_status st = SER_OK;
    for (size_t i = 0; i < graph->n_initializer && st == SER_OK; i++)
        if (graph->initializer[i]->raw_data.len >= LEAST_EXTERNAL)
            st = move_tensor(f, graph->initializer[i], err);
    for (size_t i = 0; i < graph->n_node && st == SER_OK; i++)
        for (size_t k = 0; k < graph->node[i]->n_attribute && st == SER_OK; k++)
            if (graph->node[i]->attribute[k]->g)
                st = move_tensors(f, graph->node[i]->attribute[k]->g, err);
    return st;
}

static void move_back(Onnx__GraphProto *graph)
{
    for (size_t i = 0; i < graph->n_initializer; i++) {
        Onnx__TensorProto *t = graph->initializer[i];
        t->n_external_data = 0;
        t->external_data = NULL;
        t->has_data_location = false;
        t->has_raw_data = true;
    }
    for (size_t i = 0; i < graph->n_node; i++)
        for (size_t k = 0; k < graph->node[i]->n_attribute; k++)
            if (graph->node[i]->attribute[k]->g)
                move_back(graph->node[i]->attribute[k]->g);
}

/* ---- the model ---- */

typedef struct file_buffer {
    ProtobufCBuffer base;
    FILE *file;
} file_buffer;

static void append(ProtobufCBuffer *buffer, size_t n, const uint8_t *bytes)
{
    fwrite(bytes, 1, n, ((file_buffer *)buffer)->file); /* commit sees whether it worked */
}

static ser_status write_model(const Onnx__ModelProto *model, const char *path, ser_error *err)
{
    ser_output out;
    ser_status st = ser_output_open(&out, path, err);
    if (st != SER_OK)
        return st;
    file_buffer buffer = {{append}, out.file};
    protobuf_c_message_pack_to_buffer(&model->base, &buffer.base);
    return ser_output_commit(&out, err);
}

static ser_status write_in_two(Onnx__ModelProto *model, const char *path, ser_error *err)
{
    char *data_path = ser_format("%s.data", path);
    if (!data_path)
        return ser_fail_nomem(err);
    const char *slash = strrchr(data_path, '/');
    data_file f = {.name = slash ? slash + 1 : data_path};
    ser_status st = ser_output_open(&f.out, data_path, err);
    if (st == SER_OK)
        st = move_tensors(&f, model->graph, err);
    if (st == SER_OK && protobuf_c_message_get_packed_size(&model->base) > INT32_MAX)
        st = ser_fail(err, SER_E_UNSUPPORTED, "the model without its weights is larger than 2 GB");
    if (st == SER_OK)
        st = ser_output_commit(&f.out, err);
    if (st == SER_OK)
        st = write_model(model, path, err);
    ser_output_abort(&f.out);
    move_back(model->graph);
    for (size_t i = 0; i < f.n_places; i++)
        ser_free(f.places[i]);
    ser_free(f.places);
    ser_free(data_path);
    return st;
}

ser_status ser_onnx_write_file(Onnx__ModelProto *model, const char *path, size_t max_bytes, ser_error *err)
{
    size_t most = max_bytes && max_bytes < INT32_MAX ? max_bytes : INT32_MAX;
    return protobuf_c_message_get_packed_size(&model->base) > most ? write_in_two(model, path, err)
                                                                   : write_model(model, path, err);
}

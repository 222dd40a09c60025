/* A model of LOGMEL or MFCC as C99: what differs from model to model is written here, the rest is in c99/. */
#include "base/vector.h"
#include "export/export.h"
#include "export/folder.h"
#include "export/network.h"
#include "export/read.h"
#include "export/sources.h"
#include "export/vectors.h"
#include "features/filters.h"
#include "model/pooled.h"

#include <math.h>

enum {
    N_FFT = 2048,
    N_BINS = N_FFT / 2 + 1,
    MAX_SAMPLES = 10 * SER_SAMPLE_RATE_HZ, /* as long as a recording is judged as one utterance */
};

typedef struct writing {
    const ser_model_data *m;
    size_t hop, dims, n_filters; /* n_filters: of the widest network */
    ser_export_floats weights, vectors;
    size_t at_turn_re, at_turn_im, at_filters, at_dct, at_linear, at_networks;
    ser_mel_filters filters;
    int first_bin[SER_LOGMEL_DIMS], n_bins[SER_LOGMEL_DIMS];
    ser_text head, source;
} writing;

/* ---- what can be written ---- */

static ser_status check(writing *w, ser_error *err)
{
    const ser_model_data *m = w->m;
    w->hop = (size_t)m->spec.hop_samples;
    for (size_t i = 0; i < m->spec.n_parts; i++) {
        const ser_feature_part *p = &m->spec.parts[i];
        if (ser_feature_kind_is_encoder(p->kind))
            return ser_fail(err, SER_E_UNSUPPORTED,
                            "reads %s: only models of LOGMEL and MFCC, which need no encoder, become C",
                            ser_feature_kind_name(p->kind));
        w->dims += p->kind == SER_FEATURE_MFCC ? SER_MFCC_DIMS : SER_LOGMEL_DIMS;
    }
    if (m->plain.n_in && m->plain.n_in != SER_N_STATISTICS * w->dims)
        return ser_fail(err, SER_E_FORMAT,
                        "the model's weights take %zu features, its specification gives %zu: "
                        "the file is damaged",
                        m->plain.n_in, SER_N_STATISTICS * w->dims);
    if (m->unlike.n_in)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "measures how unlike recordings are: only ONNX takes that along, C does not");
    if (!m->n_networks)
        return SER_OK;
    size_t n_frames = 1 + MAX_SAMPLES / w->hop, n_averaged = m->networks[0].condense.n_averaged;
    if (n_frames / (n_averaged > 1 ? n_averaged : 1) >= SER_TIMNET_WINDOW)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "reads a frame every %zu samples: networks become C with %d frames in 10 s at most",
                        w->hop, SER_TIMNET_WINDOW);
    for (size_t i = 0; i < m->n_networks; i++)
        if (m->networks[i].net->shape.n_filters > w->n_filters)
            w->n_filters = m->networks[i].net->shape.n_filters;
    return SER_OK;
}

/* ---- weights.bin ---- */

/* As features/mel.c makes them: the window, with the halves that the last step of the transform owes, and
 * exp(-2 pi i k / N_FFT). */
static void add_transform(writing *w)
{
    const double turn = 2 * acos(-1) / N_FFT;
    float *x = ser_export_floats_add(&w->weights, N_FFT);
    for (int i = 0; x && i < N_FFT; i++)
        x[i] = (float)(0.5 * (0.5 - 0.5 * cos(turn * i)));
    w->at_turn_re = w->weights.n;
    w->at_turn_im = w->at_turn_re + N_BINS;
    x = ser_export_floats_add(&w->weights, 2 * N_BINS);
    for (int k = 0; x && k < N_BINS; k++) {
        x[k] = (float)cos(turn * k);
        x[N_BINS + k] = (float)-sin(turn * k);
    }
}

static ser_status add_filters(writing *w, ser_error *err)
{
    const ser_mel_settings s = ser_logmel_settings((int)w->hop);
    ser_status st = ser_mel_filters_init(&w->filters, &s, err);
    w->at_filters = w->weights.n;
    for (int i = 0; i < SER_LOGMEL_DIMS && st == SER_OK; i++) {
        const ser_mel_filter *b = &w->filters.bands[i];
        const float *x = w->filters.weights + b->first_weight;
        int n = b->n_chunks * SER_N_LANES;
        while (n && x[n - 1] == 0)
            n--;
        w->first_bin[i] = b->first_bin;
        w->n_bins[i] = n;
        ser_export_floats_append(&w->weights, x, (size_t)n);
    }
    return st;
}

static ser_status add_dct(writing *w, ser_error *err)
{
    float *table;
    ser_status st = ser_dct_new(&table, SER_MFCC_DIMS, SER_LOGMEL_DIMS, err);
    w->at_dct = w->weights.n;
    if (st == SER_OK)
        ser_export_floats_append(&w->weights, table, SER_MFCC_DIMS * SER_LOGMEL_DIMS);
    ser_free(table);
    return st;
}

static void add_linear(writing *w)
{
    const ser_linear *l = &w->m->plain;
    w->at_linear = w->weights.n;
    if (!l->n_in)
        return;
    ser_export_floats_append(&w->weights, l->mean, l->n_in);
    ser_export_floats_append(&w->weights, l->scale, l->n_in);
    ser_export_floats_append(&w->weights, l->w, l->n_in * l->n_labels);
    ser_export_floats_append(&w->weights, l->bias, l->n_labels);
    ser_export_floats_append(&w->weights, &l->temperature, 1);
}

static void add_conv(writing *w, const ser_timnet *net, const ser_timnet_conv *c)
{
    size_t n = net->shape.n_filters, n_kernel = net->shape.kernel_size * n * n;
    float *to = ser_export_floats_add(&w->weights, n_kernel + n);
    if (to)
        ser_export_fold_conv(to, to + n_kernel, net, c);
}

static void place_blocks(writing *w, const ser_timnet_layout *l, const ser_timnet_member *m,
                         const float *from, size_t row)
{
    float *to = ser_export_floats_add(&w->weights, l->dims * row);
    if (to)
        ser_export_place_blocks(to, l, m, from, row);
}

static void add_network(writing *w, const ser_timnet_layout *l, const ser_timnet_member *m)
{
    const ser_timnet *net = m->net;
    const float *v = net->values;
    size_t c = net->shape.n_filters, n_blocks = ser_timnet_n_blocks(net);
    const size_t sizes[4] = {c, SER_TIMNET_DENSE_1, SER_TIMNET_DENSE_2, net->shape.n_labels};
    place_blocks(w, l, m, m->mean, 1);
    place_blocks(w, l, m, m->scale, 1);
    ser_export_floats_append(&w->weights, v + net->weighting, n_blocks);
    ser_export_floats_append(&w->weights, &m->temperature, 1);
    for (size_t d = 0; d < 2; d++) {
        place_blocks(w, l, m, v + net->input[d].kernel, c);
        ser_export_floats_append(&w->weights, v + net->input[d].bias, c);
        for (size_t i = 0; i < 2 * n_blocks; i++)
            add_conv(w, net, &net->convs[d * 2 * n_blocks + i]);
    }
    for (size_t i = 0; i < 3; i++) {
        ser_export_floats_append(&w->weights, v + net->dense[i].kernel, sizes[i] * sizes[i + 1]);
        ser_export_floats_append(&w->weights, v + net->dense[i].bias, sizes[i + 1]);
    }
}

static ser_status add_networks(writing *w, ser_error *err)
{
    const ser_model_data *m = w->m;
    ser_extractor *e = NULL;
    ser_status st = ser_extractor_new(&e, &m->spec, NULL, err);
    w->at_networks = w->weights.n;
    if (st == SER_OK) {
        const ser_timnet_layout layout = ser_timnet_layout_of(e);
        st = m->n_networks ? ser_timnet_members_check(m->networks, m->n_networks, &layout, err) : SER_OK;
        for (size_t i = 0; i < m->n_networks && st == SER_OK; i++)
            add_network(w, &layout, &m->networks[i]);
    }
    ser_extractor_free(&e);
    return st;
}

static ser_status collect_weights(writing *w, ser_error *err)
{
    add_transform(w);
    ser_status st = add_filters(w, err);
    if (st == SER_OK)
        st = add_dct(w, err);
    add_linear(w);
    if (st == SER_OK)
        st = add_networks(w, err);
    return st == SER_OK && w->weights.failed ? ser_fail_nomem(err) : st;
}

/* ---- emotion.h and emotion.c ---- */

static unsigned long fnv(const ser_export_floats *f)
{
    uint32_t sum = 2166136261u;
    for (size_t i = 0; i < f->n * sizeof *f->x; i++)
        sum = (sum ^ ((const unsigned char *)f->x)[i]) * 16777619u;
    return sum;
}

static void describe(ser_text *t, const ser_model_data *m)
{
    ser_text_appendf(t, "/* Which emotion a voice carries: a model (%s) of ", ser_model_data_type(m));
    ser_feature_spec_key(&m->spec, t);
    ser_text_appendf(
        t,
        " as C99,\n * written by ser %s. The code is under the MIT licence (LICENSE). The weights are "
        "the model's: they are under\n * its terms, and provenance.json says where it comes from, as far as "
        "it tells. */\n",
        SER_VERSION);
}

static void write_header(writing *w)
{
    ser_text *t = &w->head;
    describe(t, w->m);
    ser_text_append(t, "#ifndef EMOTION_H\n#define EMOTION_H\n\n#include <stddef.h>\n\n");
    ser_text_appendf(t, "#define EMOTION_N_LABELS      %zu\n", w->m->n_labels);
    ser_text_appendf(t, "#define EMOTION_HOP           %zu /* samples from frame to frame */\n", w->hop);
    ser_text_appendf(t, "#define EMOTION_DIMS          %zu /* of a frame */\n", w->dims);
    ser_text_appendf(t, "#define EMOTION_HAS_LINEAR    %d\n", w->m->plain.n_in != 0);
    ser_text_appendf(t, "#define EMOTION_N_NETWORKS    %zu\n", w->m->n_networks);
    ser_text_appendf(t, "#define EMOTION_FILTERS       %zu /* of the widest network */\n", w->n_filters);
    ser_text_appendf(t, "#define EMOTION_WEIGHTS_BYTES %zu\n", w->weights.n * sizeof *w->weights.x);
    ser_text_append_n(t, ser_export_c99_header, (size_t)(ser_export_c99_header_end - ser_export_c99_header));
}

/* As C writes it: what is no plain letter as an octal number, also '?', of which trigraphs are made. */
static void append_string(ser_text *t, const char *s)
{
    ser_text_append(t, "\"");
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c < ' ' || c > '~' || c == '"' || c == '\\' || c == '?')
            ser_text_appendf(t, "\\%03o", c);
        else
            ser_text_append_n(t, s, 1);
    }
    ser_text_append(t, "\"");
}

static void append_numbers(ser_text *t, const char *name, const int *x)
{
    ser_text_appendf(t, "static const int %s[128] = {", name);
    for (int i = 0; i < SER_LOGMEL_DIMS; i++)
        ser_text_appendf(t, "%s%d", i ? ", " : "", x[i]);
    ser_text_append(t, "};\n");
}

static void append_networks(ser_text *t, const ser_model_data *m)
{
    if (!m->n_networks)
        return;
    size_t n_averaged = m->networks[0].condense.n_averaged;
    ser_text_appendf(t, "#define NETWORKS_TRIM    %d\n#define NETWORKS_AVERAGE %zu\n",
                     m->networks[0].condense.trim, n_averaged > 1 ? n_averaged : 1);
    ser_text_append(
        t, "struct network {\n    size_t filters, kernel, dilations, stacks;\n    int activation;\n};\n"
           "static const struct network networks[EMOTION_N_NETWORKS] = {");
    for (size_t i = 0; i < m->n_networks; i++) {
        const ser_timnet_shape *s = &m->networks[i].net->shape;
        ser_text_appendf(t, "%s{%zu, %zu, %zu, %zu, %d}", i ? ", " : "", s->n_filters, s->kernel_size,
                         s->n_dilations, s->n_stacks, (int)s->activation);
    }
    ser_text_append(t, "};\n");
}

static void write_source(writing *w)
{
    ser_text *t = &w->source;
    const ser_model_data *m = w->m;
    size_t offset = 0;
    describe(t, m);
    ser_text_append(t, "#include \"emotion.h\"\n\n#include <math.h>\n#include <string.h>\n\n"
                       "const char *const emotion_labels[EMOTION_N_LABELS] = {");
    for (size_t i = 0; i < m->n_labels; i++) {
        ser_text_append(t, i ? ", " : "");
        append_string(t, m->labels[i]);
    }
    ser_text_append(t, "};\n\n/* Where what stands in weights.bin, in floats. */\n#define AT_WINDOW  0\n");
    const struct {
        const char *name;
        size_t at;
    } places[] = {{"TURN_RE", w->at_turn_re}, {"TURN_IM", w->at_turn_im}, {"FILTERS", w->at_filters},
                  {"DCT", w->at_dct},         {"LINEAR", w->at_linear},   {"NETWORKS", w->at_networks}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        ser_text_appendf(t, "#define AT_%s %zu\n", places[i].name, places[i].at);
    ser_text_appendf(t, "#define WEIGHTS_FNV %luul\n\n", fnv(&w->weights));
    append_numbers(t, "filter_first", w->first_bin);
    append_numbers(t, "filter_bins", w->n_bins);
    ser_text_append(t, "static const struct {\n    int is_mfcc;\n    size_t offset, dims;\n} parts[] = {");
    for (size_t i = 0; i < m->spec.n_parts; i++) {
        bool is_mfcc = m->spec.parts[i].kind == SER_FEATURE_MFCC;
        size_t dims = is_mfcc ? SER_MFCC_DIMS : SER_LOGMEL_DIMS;
        ser_text_appendf(t, "%s{%d, %zu, %zu}", i ? ", " : "", is_mfcc, offset, dims);
        offset += dims;
    }
    ser_text_append(t, "};\n");
    append_networks(t, m);
    ser_text_append(t, "\n");
    ser_text_append_n(t, ser_export_c99_source, (size_t)(ser_export_c99_source_end - ser_export_c99_source));
}

static ser_status write_files(writing *w, const char *path, ser_error *err)
{
    const char *provenance = w->m->provenance;
    ser_export_folder f = {0};
    const struct {
        const char *name;
        const void *bytes;
        size_t n;
    } files[] = {
        {"emotion.h", w->head.s, w->head.n},
        {"emotion.c", w->source.s, w->source.n},
        {"weights.bin", w->weights.x, w->weights.n * sizeof *w->weights.x},
        {"vectors.bin", w->vectors.x, w->vectors.n * sizeof *w->vectors.x},
        {"LICENSE", ser_export_licence, (size_t)(ser_export_licence_end - ser_export_licence)},
        {"provenance.json", provenance, provenance ? strlen(provenance) : 0},
    };
    ser_status st = ser_export_folder_open(&f, path, err);
    for (size_t i = 0; i < sizeof files / sizeof *files && st == SER_OK; i++)
        if (files[i].bytes)
            st = ser_export_folder_write(&f, files[i].name, files[i].bytes, files[i].n, err);
    if (st == SER_OK)
        st = ser_export_folder_commit(&f, err);
    ser_export_folder_abort(&f);
    return st;
}

ser_status ser_export_c99(const char *model, const char *folder, ser_error *err)
{
    ser_model_data m;
    ser_safetensors *file;
    writing w = {.m = &m};
    ser_status st = ser_export_read(&m, &file, model, err);
    if (st == SER_OK)
        st = check(&w, err);
    if (st != SER_OK)
        st = ser_fail_within(err, st, "%s: ", model ? model : "the built-in model");
    if (st == SER_OK)
        st = collect_weights(&w, err);
    if (st == SER_OK)
        st = ser_export_vectors(&w.vectors, &m, err);
    if (st == SER_OK) {
        write_header(&w);
        write_source(&w);
        st = w.head.failed || w.source.failed ? ser_fail_nomem(err) : write_files(&w, folder, err);
    }
    ser_mel_filters_release(&w.filters);
    ser_free(w.weights.x);
    ser_free(w.vectors.x);
    ser_text_release(&w.head);
    ser_text_release(&w.source);
    ser_model_data_release(&m);
    ser_safetensors_close(&file);
    return st;
}

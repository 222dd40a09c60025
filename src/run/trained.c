#include "run/trained.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "io/file.h"
#include "io/json.h"
#include "keras/weights.h"
#include "learn/kind.h"
#include "model/standardised.h"

#include <string.h>
#include <sys/stat.h>

enum { MAX_MODELS = 1000 };

/* ---- opening ---- */

/* Corpus and recordings that it was trained on. */
static ser_status read_origin(ser_trained *t, ser_error *err)
{
    const char *text = t->data.provenance;
    json_t *origin = NULL;
    if (text && ser_json_load(&origin, text, strlen(text), 0, NULL) == SER_E_NOMEM)
        return ser_fail_nomem(err);
    json_t *list = json_object_get(origin, "trained_on"), *corpus = json_object_get(origin, "corpus");
    ser_status st = SER_OK;
    if (json_is_string(corpus) && !(t->corpus = ser_strdup(json_string_value(corpus))))
        st = ser_fail_nomem(err);
    for (size_t i = 0; i < json_array_size(list) && st == SER_OK; i++) {
        const char *hash = json_string_value(json_array_get(list, i));
        st = ser_heard_add(&t->heard, hash ? hash : "", err);
    }
    ser_heard_sort(&t->heard);
    json_decref(origin);
    return st;
}

/* Of what lies in the file: names, shapes and bytes are all that tells one tuned encoder from another. */
static void hash_carried(char hex[65], const ser_safetensors *file)
{
    ser_sha256 h;
    ser_sha256_init(&h);
    for (size_t i = 0; i < ser_safetensors_n(file); i++) {
        const ser_tensor *t = ser_safetensors_at(file, i);
        if (strncmp(t->name, "encoder", strlen("encoder")) != 0)
            continue;
        ser_sha256_add(&h, t->name, strlen(t->name) + 1);
        ser_sha256_add(&h, t->data, t->n_bytes);
    }
    ser_sha256_finish(&h, hex);
}

static ser_status open_model(ser_trained *t, const char *path, const char *name, ser_error *err)
{
    ser_safetensors *file = NULL;
    const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name, *dot = strrchr(base, '.');
    t->name = ser_strndup(base, dot > base ? (size_t)(dot - base) : strlen(base));
    t->path = ser_strdup(path);
    ser_status st = t->name && t->path ? ser_safetensors_open(&file, path, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_model_data_read(&t->data, file, err);
    if (st == SER_OK && t->data.encoder_configs[0])
        hash_carried(t->carried, file);
    ser_safetensors_close(&file);
    if (st == SER_OK)
        st = read_origin(t, err);
    t->learned = ser_learned_of_model(&t->data);
    return st == SER_OK ? SER_OK : ser_fail_within(err, st, "%s: ", path);
}

static bool is_fold(const char *name)
{
    const char *end = strrchr(name, '.');
    return strncmp(name, "fold-", 5) == 0 && !strchr(name, '/') && end && strcmp(end, ".safetensors") == 0;
}

static ser_status open_named(ser_trained_list *out, const char *folder, char **names, size_t n_names,
                             bool (*wanted)(const char *name), ser_error *err)
{
    ser_status st = SER_OK;
    for (size_t i = 0; i < n_names && st == SER_OK; i++) {
        if (!wanted(names[i]) || out->n == MAX_MODELS)
            continue;
        char *path = ser_io_join(folder, names[i]);
        st = path ? open_model(&out->items[out->n++], path, names[i], err) : ser_fail_nomem(err);
        ser_free(path);
    }
    return st;
}

static bool is_final(const char *name)
{
    return strcmp(name, "model.safetensors") == 0;
}

static bool is_keras(const char *name)
{
    const char *end = strrchr(name, '.');
    return end && (strcmp(end, ".h5") == 0 || strcmp(end, ".hdf5") == 0);
}

/* The files below a folder; a path that is a file is the only one, *folder is empty then. */
static ser_status list_files(char ***names, size_t *n_names, const char **folder, const char *path,
                             ser_error *err)
{
    struct stat info;
    *folder = path;
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode))
        return ser_io_list_files(names, n_names, path, err);
    *folder = "";
    if (!(*names = ser_alloc(1, sizeof **names)) || !(**names = ser_strdup(path)))
        return ser_fail_nomem(err);
    *n_names = 1;
    return SER_OK;
}

/* A file that the user named. */
static bool is_model(const char *name)
{
    return !is_keras(name);
}

ser_status ser_trained_open(ser_trained_list *out, const char *path, ser_error *err)
{
    char **names = NULL;
    size_t n_names = 0;
    const char *folder;
    *out = (ser_trained_list){0};
    ser_status st = list_files(&names, &n_names, &folder, path, err);
    if (st == SER_OK && !(out->items = ser_alloc(n_names + 1, sizeof *out->items)))
        st = ser_fail_nomem(err);
    if (st == SER_OK)
        st = open_named(out, folder, names, n_names, *folder ? is_fold : is_model, err);
    if (st == SER_OK && !out->n)
        st = open_named(out, folder, names, n_names, is_final, err);
    bool has_keras = false;
    for (size_t i = 0; i < n_names; i++)
        has_keras = has_keras || is_keras(names[i]);
    if (st == SER_OK && !out->n && !has_keras)
        st = ser_fail(
            err, SER_E_IO,
            "%s: it holds no models: name a run folder of 'ser train', or one with Keras weights (.h5)",
            path);
    ser_io_free_list(names, n_names);
    if (st != SER_OK || !out->n)
        ser_trained_close(out);
    return st;
}

static ser_status describe_misfit(ser_trained *t, const ser_keras_misfit *m, size_t n_layers, ser_error *err)
{
    ser_text text = {0};
    if (!m->n)
        return SER_OK;
    ser_text_appendf(&text, "%zu of %zu layers %s random values: %s (%s). Answers through %s mean nothing",
                     m->n, n_layers, m->n == 1 ? "does not fit and keeps" : "do not fit and keep", m->names.s,
                     m->first.text, m->n == 1 ? "it" : "them");
    t->misfit = text.s;
    return text.failed ? ser_fail_nomem(err) : SER_OK;
}

/* What all Keras files of a folder have in common. */
typedef struct keras_kind {
    const char *folder;
    const ser_feature_spec *spec;
    ser_timnet_shape shape;
    ser_condense condense;
    bool partly; /* layers that do not fit are let pass */
    uint64_t seed;
} keras_kind;

static ser_status read_keras(ser_trained *t, const char *path, const keras_kind *kind, ser_error *err)
{
    ser_timnet *net = t->data.networks->net;
    ser_keras_misfit misfit = {0};
    if (!kind->partly)
        return ser_keras_weights_read(path, net, err);
    ser_timnet_randomise(net, kind->seed);
    ser_status st = ser_keras_weights_read_fitting(path, net, &misfit, err);
    if (st == SER_OK)
        st = describe_misfit(t, &misfit, misfit.n_layers, err);
    ser_keras_misfit_release(&misfit);
    return st;
}

static ser_status open_keras(ser_trained *t, const char *name, const keras_kind *kind, ser_error *err)
{
    char *path = ser_io_join(kind->folder, name);
    t->name = ser_strdup(name);
    t->data.networks = ser_alloc(1, sizeof *t->data.networks);
    ser_status st = path && t->name && t->data.networks
                        ? ser_timnet_member_init(t->data.networks, &kind->shape, err)
                        : ser_fail_nomem(err);
    if (st == SER_OK) {
        t->data.n_networks = 1;
        t->data.networks->condense = kind->condense;
        t->data.spec = *kind->spec;
        t->learned = ser_learned_of_model(&t->data);
        st = read_keras(t, path, kind, err);
        if (st != SER_OK)
            ser_fail_within(err, st, "%s: ", path);
    }
    ser_free(path);
    return st;
}

ser_status ser_trained_open_keras(ser_trained_list *out, const char *path, const ser_workbench *w,
                                  const ser_corpus *source, const ser_run_network *network, ser_error *err)
{
    char **names = NULL;
    size_t n_names = 0;
    keras_kind kind = {.spec = &w->spec,
                       .shape = ser_run_timnet_settings(network).shape,
                       .condense = ser_run_condense(network),
                       .partly = source != NULL,
                       .seed = w->seed};
    kind.shape.n_in = ser_extractor_dims(w->extractor);
    kind.shape.n_labels = source ? source->n_labels : w->corpus->n_labels;
    *out = (ser_trained_list){0};
    ser_status st = list_files(&names, &n_names, &kind.folder, path, err);
    if (st == SER_OK && !(out->items = ser_alloc(n_names + 1, sizeof *out->items)))
        st = ser_fail_nomem(err);
    for (size_t i = 0; i < n_names && st == SER_OK; i++)
        if (is_keras(names[i]) && out->n < MAX_MODELS)
            st = open_keras(&out->items[out->n++], names[i], &kind, err);
    ser_io_free_list(names, n_names);
    if (st != SER_OK)
        ser_trained_close(out);
    return st;
}

void ser_trained_close(ser_trained_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        ser_trained *t = &list->items[i];
        ser_heard_release(&t->heard);
        ser_free(t->name);
        ser_free(t->path);
        ser_free(t->corpus);
        ser_free(t->misfit);
        ser_model_data_release(&t->data);
    }
    ser_free(list->items);
    *list = (ser_trained_list){0};
}

/* ---- reading ---- */

static const ser_condense *condense_of(const ser_trained *t)
{
    static const ser_condense none;
    return t->data.n_networks ? &t->data.networks[0].condense : &none;
}

bool ser_trained_reads_the_same(const ser_trained *a, const ser_trained *b)
{
    ser_text x = {0}, y = {0};
    ser_feature_spec_key(&a->data.spec, &x);
    ser_feature_spec_key(&b->data.spec, &y);
    const ser_condense *c = condense_of(a), *d = condense_of(b);
    bool same = x.s && y.s && strcmp(x.s, y.s) == 0 && c->n_averaged == d->n_averaged && c->trim == d->trim &&
                strcmp(a->carried, b->carried) == 0;
    ser_text_release(&x);
    ser_text_release(&y);
    return same;
}

/* "WHISPER=1,2". */
static void name_layers(ser_text *out, const ser_feature_spec *spec)
{
    for (size_t i = 0; i < spec->n_parts; i++) {
        const ser_feature_part *p = &spec->parts[i];
        for (size_t l = 0; l < p->n_layers; l++) {
            if (!l)
                ser_text_appendf(out, "%s%s=", out->n ? "+" : "", ser_feature_kind_name(p->kind));
            ser_text_appendf(out, "%s%d", l ? "," : "", p->layers[l]);
        }
    }
}

static bool same_layers(const ser_feature_spec *a, const ser_feature_spec *b)
{
    bool same = ser_feature_spec_encoder(a) != NULL;
    for (size_t i = 0; i < a->n_parts; i++) {
        const ser_feature_part *p = &a->parts[i], *q = &b->parts[i];
        same = same && p->n_layers == q->n_layers &&
               memcmp(p->layers, q->layers, p->n_layers * sizeof *p->layers) == 0;
    }
    return same;
}

static ser_status fail_features(const ser_trained *model, bool layers, const char *asked, ser_error *err)
{
    ser_text own = {0};
    if (layers)
        name_layers(&own, &model->data.spec);
    else
        ser_feature_spec_type(&model->data.spec, &own);
    ser_status st =
        own.failed ? ser_fail_nomem(err)
        : layers   ? ser_fail(err, SER_E_FORMAT, "%s reads the layers %s, not %s: leave --layers out",
                              model->name, own.s ? own.s : "", asked)
                   : ser_fail(err, SER_E_FORMAT, "%s reads %s features, not %s: leave --feature-type out",
                              model->name, own.s ? own.s : "", asked);
    ser_text_release(&own);
    return st;
}

/* What the user named besides must be what the model reads: it would answer all the same, and mean nothing.
 */
static ser_status check_features(const ser_trained *model, const ser_run_data *data, ser_error *err)
{
    ser_feature_spec spec = model->data.spec, asked = {0};
    ser_status st = SER_OK;
    if (data->feature_type) {
        st = ser_feature_spec_parse(&asked, data->feature_type, err);
        bool same = st == SER_OK && asked.n_parts == spec.n_parts;
        for (size_t i = 0; same && i < spec.n_parts; i++)
            same = asked.parts[i].kind == spec.parts[i].kind;
        if (st == SER_OK && !same)
            st = fail_features(model, false, data->feature_type, err);
    }
    if (st == SER_OK && data->layers && strcmp(data->layers, "auto") != 0) {
        st = ser_feature_spec_set_layers(&spec, data->layers, err);
        if (st == SER_OK && !same_layers(&spec, &model->data.spec))
            st = fail_features(model, true, data->layers, err);
    }
    return st;
}

ser_status ser_trained_workbench(ser_workbench *out, const ser_trained *model,
                                 const ser_workbench_settings *s, ser_error *err)
{
    ser_workbench_settings own = *s;
    own.features = (ser_run_features){.spec = model->data.spec, .layers = SER_LAYERS_NAMED};
    own.encoder_sha256 = model->data.encoder_sha256;
    if (model->carried[0] && !s->data->n_encoders) {
        own.encoder_sha256 = model->carried;
        own.carrier = &model->data;
        own.carrier_path = model->path;
    }
    own.frames = condense_of(model);
    ser_status st = check_features(model, s->data, err);
    return st == SER_OK ? ser_workbench_open(out, &own, err) : st;
}

ser_status ser_trained_check_labels(const ser_trained *model, char *const *labels, size_t n_labels,
                                    const char *whose, ser_error *err)
{
    const ser_model_data *m = &model->data;
    if (!m->n_labels) /* Keras weights name none */
        return SER_OK;
    bool same = m->n_labels == n_labels;
    for (size_t i = 0; i < m->n_labels && same; i++)
        same = strcmp(m->labels[i], labels[i]) == 0;
    if (same)
        return SER_OK;
    ser_text own = {0}, others = {0};
    for (size_t i = 0; i < m->n_labels; i++)
        ser_text_appendf(&own, "%s%.40s", i ? ", " : "", m->labels[i]);
    for (size_t i = 0; i < n_labels; i++)
        ser_text_appendf(&others, "%s%.40s", i ? ", " : "", labels[i]);
    ser_status st =
        own.failed || others.failed
            ? ser_fail_nomem(err)
            : ser_fail(err, SER_E_FORMAT,
                       "%s tells %zu emotions apart (%s), %s has %zu (%s): test it on a corpus with the "
                       "same emotions, or with 'ser test-cross-corpus', which maps them",
                       model->name, m->n_labels, own.s, whose, n_labels, n_labels ? others.s : "");
    ser_text_release(&own);
    ser_text_release(&others);
    return st;
}

ser_status ser_trained_read_standardised(ser_trained *model, const ser_extractor *e, bool by_speaker,
                                         ser_error *err)
{
    ser_model_data *m = &model->data;
    ser_status st = ser_model_read_standardised(m, e, err);
    if (st != SER_OK)
        return ser_fail_within(err, st, "%s: ", model->name);
    if (by_speaker && m->baseline.n_in)
        model->learned.linear.head = m->baseline;
    return SER_OK;
}

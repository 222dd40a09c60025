/* ser info: what a model, an encoder checkpoint, a feature file, a table or a recording is. */
#include "audio/audio.h"
#include "base/memory.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/inputs.h"
#include "cli/progress.h"
#include "encoder/encoder.h"
#include "io/checkpoint.h"
#include "io/csv.h"
#include "io/file.h"
#include "io/foreign.h"
#include "io/hub.h"
#include "io/json.h"
#include "io/npy.h"
#include "io/torch.h"
#include "keras/h5.h"
#include "model/builtin.h"
#include "model/model_file.h"
#include "report/escape.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static const ser_option options[] = {{SER_OPTION_END}};

static int run(int argc, char **argv);

const ser_command ser_command_info = {
    .name = "info",
    .run = run,
    .summary = "say what a model, a run folder, a checkpoint, a feature file, a table or a recording is",
    .usage = "[PATH...]",
    .description = "Without a PATH: the model built into the program. A checkpoint may also be named as in "
                   "the hub's cache, such as openai/whisper-base.",
    .examples = "ser info\nser info recording.wav model.safetensors features.npy whisper-base/",
    .options = options,
};

/* What a file holds or is called must not move the cursor. */
static void print_clean(const char *s)
{
    ser_text clean = {0};
    ser_append_line(&clean, s, 0, true);
    fputs(clean.failed ? "(no memory for it)" : clean.s ? clean.s : "", stdout);
    ser_text_release(&clean);
}

static size_t longest_word(const char *text)
{
    size_t longest = 0;
    for (size_t n; *text; text += n + (text[n] == ' ')) {
        n = strcspn(text, " ");
        longest = n > longest ? n : longest;
    }
    return longest;
}

/* One line; on a terminal that is too narrow for it several. */
static void print_value(const char *name, const char *value)
{
    enum { NAME = 15, LEAST = 4 };
    ser_style style = ser_style_of(stdout);
    ser_text clean = {0}, lines = {0};
    ser_append_line(&clean, value, 0, true);
    if (style.terminal && clean.n && !clean.failed)
        ser_help_append_wrapped(&lines, clean.s, NAME,
                                NAME + longest_word(clean.s) <= style.width ? NAME : LEAST, style.width);
    printf("  %-12s ", name);
    if (lines.n && !lines.failed) {
        fputs(lines.s, stdout);
    } else {
        print_clean(value);
        printf("\n");
    }
    ser_text_release(&clean);
    ser_text_release(&lines);
}

static void print_field(const char *name, const char *format, ...) SER_PRINTF(2, 3);

static void print_field(const char *name, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    char *text = n < 0 ? NULL : ser_alloc((size_t)n + 1, 1);
    if (text)
        vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    va_end(args);
    print_value(name, text ? text : "(no memory for it)");
    ser_free(text);
}

static void print_network(const ser_timnet_member *m)
{
    const ser_timnet_shape *s = &m->net->shape;
    print_field("network",
                "%zu features, %zu filters, kernel %zu, %zu dilations, %zu stacks, %s: %.2f million "
                "weights, temperature %.3f",
                s->n_in, s->n_filters, s->kernel_size, s->n_dilations, s->n_stacks,
                ser_nonlinearity_name(s->activation), (double)m->net->n_trained / 1e6,
                (double)m->temperature);
}

/* Lists, of recordings and of figures for each corpus left out, are for programs: how long they are. */
static ser_status print_provenance(const char *text, ser_error *err)
{
    json_t *object = NULL;
    ser_status st = ser_json_load(&object, text, strlen(text), 0, NULL);
    static const char *const lists[] = {"trained_on", "adapted_to", "parts_left_out"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        json_t *list = json_object_get(object, lists[i]);
        if (json_is_array(list))
            ser_json_set(&object, lists[i], json_integer((json_int_t)json_array_size(list)));
    }
    size_t form = ser_style_of(stdout).terminal ? 0 : JSON_COMPACT; /* spaces to break lines at */
    char *shorter = object ? ser_json_dump(object, form | JSON_REAL_PRECISION(4)) : NULL;
    if (st == SER_E_NOMEM || (st == SER_OK && !shorter))
        st = ser_fail_nomem(err);
    else
        print_field("provenance", "%s", shorter ? shorter : text), st = SER_OK; /* which may be no JSON */
    free(shorter);
    json_decref(object);
    return st;
}

static ser_status print_model(const ser_safetensors *file, ser_error *err)
{
    ser_model_data m;
    ser_text key = {0}, labels = {0};
    ser_status st = ser_model_data_read(&m, file, err);
    if (st != SER_OK)
        return st;
    ser_feature_spec_key(&m.spec, &key);
    for (size_t i = 0; i < m.n_labels; i++)
        ser_text_appendf(&labels, "%s%s", i ? ", " : "", m.labels[i]);
    printf("model, %s\n", ser_model_data_type(&m));
    print_field("emotions", "%s", labels.s ? labels.s : "");
    print_field("features", "%s", key.s ? key.s : "");
    if (m.plain.n_in) {
        print_field("weights", "%zu features x %zu emotions", m.plain.n_in, m.n_labels);
        print_field("temperature", "%.3f", (double)m.plain.temperature);
    }
    for (size_t i = 0; i < m.n_networks; i++)
        print_network(&m.networks[i]);
    print_field("baseline", "%s",
                m.baseline.n_in && !m.n_networks ? "yes: answers can be made relative to a voice (--baseline)"
                                                 : "no");
    print_field("encoder", "%s",
                m.encoder_configs[0]  ? "in the file"
                : m.encoder_sha256[0] ? m.encoder_sha256
                                      : "none needed");
    if (m.min_confidence > 0 && m.min_confidence_plain > 0)
        print_field("uncertain",
                    "below %.0f %% confidence, neutral and calm below %.0f %% (--min-confidence auto)",
                    100 * m.min_confidence, 100 * m.min_confidence_plain);
    else if (m.min_confidence > 0)
        print_field("uncertain", "below %.0f %% confidence (--min-confidence auto)", 100 * m.min_confidence);
    if (m.unlike.n_in)
        print_field(
            "unlike",
            "measured: beyond what 99 of 100 recordings of corpora left out keep within, confidence falls");
    if (m.provenance)
        st = print_provenance(m.provenance, err);
    ser_text_release(&key);
    ser_text_release(&labels);
    ser_model_data_release(&m);
    return st;
}

static void print_tensors(const ser_safetensors *file, const char *format)
{
    size_t n_elements = 0;
    for (size_t i = 0; i < ser_safetensors_n(file); i++)
        n_elements += ser_safetensors_at(file, i)->n_elements;
    printf("tensors (%s), no model of ser\n", format);
    print_field("tensors", "%zu, %zu values", ser_safetensors_n(file), n_elements);
}

static ser_status print_safetensors(const char *path, ser_error *err)
{
    ser_safetensors *file = NULL;
    ser_status st = ser_safetensors_open(&file, path, err);
    if (st == SER_OK && ser_safetensors_metadata(file, "ser.format_version")) {
        st = print_model(file, err);
    } else if (st == SER_OK) {
        print_tensors(file, "safetensors");
    }
    ser_safetensors_close(&file);
    return st;
}

static ser_status print_npy(const char *path, ser_error *err)
{
    ser_npy a;
    ser_status st = ser_npy_read(&a, path, 0, err);
    if (st != SER_OK)
        return st;
    double low = INFINITY, high = -INFINITY, sum = 0;
    size_t n_odd = 0;
    for (size_t i = 0; i < a.n_elements; i++) {
        double x = (double)a.data[i];
        n_odd += !isfinite(x);
        low = fmin(low, x);
        high = fmax(high, x);
        sum += x;
    }
    printf("features, float32\n");
    printf("  %-12s (", "shape");
    for (int i = 0; i < a.n_dims; i++)
        printf("%s%zu", i ? ", " : "", a.dims[i]);
    printf(")\n");
    if (a.n_elements)
        print_field("values", "%g to %g, mean %g%s", low, high, sum / (double)a.n_elements,
                    n_odd ? ", some are not finite: compute the features again" : "");
    ser_npy_release(&a);
    return SER_OK;
}

static ser_status print_encoder(const char *path, ser_error *err)
{
    ser_encoder *e = NULL;
    ser_encoder_info info;
    char sha256[65], *folder = NULL;
    ser_status st = ser_hub_find(&folder, path, err);
    if (st == SER_OK)
        st = ser_encoder_open(&e, folder, -1, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, err);
    if (st == SER_OK)
        st = ser_encoder_sha256(e, sha256, err);
    if (st == SER_OK) {
        ser_encoder_get_info(e, &info);
        printf("encoder checkpoint, %s\n", info.model_type);
        print_field("layers", "%d, hidden states 0 to %d of %zu dims", info.n_layers, info.n_layers,
                    info.dims);
        print_field("window", "%.0f s", (double)info.max_samples / SER_SAMPLE_RATE_HZ);
        print_field("weights", "%.1f million", (double)info.n_parameters / 1e6);
        print_field("sha256", "%s", sha256);
    }
    ser_encoder_close(&e);
    ser_free(folder);
    return st;
}

static ser_status print_audio(const char *path, ser_error *err)
{
    enum { N_BLOCK = 1 << 16 };
    ser_audio *a = NULL;
    float *pcm = NULL;
    ser_audio_info info;
    double peak = 0, sum = 0;
    size_t n = 0, n_read = 0;
    ser_status st = ser_audio_open(&a, path, err);
    if (st == SER_OK && !(pcm = ser_alloc(N_BLOCK, sizeof *pcm)))
        st = ser_fail_nomem(err);
    do {
        if (st != SER_OK || (st = ser_audio_read(a, pcm, N_BLOCK, &n_read, err)) != SER_OK)
            break;
        for (size_t i = 0; i < n_read; i++) {
            peak = fmax(peak, fabs((double)pcm[i]));
            sum += (double)pcm[i] * (double)pcm[i];
        }
        n += n_read;
    } while (n_read == N_BLOCK);
    if (st == SER_OK) {
        ser_audio_get_info(a, &info);
        printf("recording, %s\n", info.format);
        print_field("duration", "%.2f s", (double)n / SER_SAMPLE_RATE_HZ);
        print_field("rate", "%d Hz, %d channel%s: heard at 16000 Hz, one channel", info.sample_rate_hz,
                    info.n_channels, info.n_channels == 1 ? "" : "s");
        print_field("level", "peak %.1f dB, mean %.1f dB of full scale", 20 * log10(fmax(peak, 1e-10)),
                    10 * log10(fmax(n ? sum / (double)n : 0, 1e-20)));
        if (*ser_audio_warning(a))
            print_field("warning", "%s", ser_audio_warning(a));
    }
    ser_free(pcm);
    ser_audio_close(&a);
    return st;
}

static bool begins_with(const char *path, const char *magic, size_t n, size_t at)
{
    char head[16] = {0};
    FILE *file = fopen(path, "rb");
    size_t n_read = file ? fread(head, 1, sizeof head, file) : 0;
    if (file)
        fclose(file);
    return n_read >= at + n && memcmp(head + at, magic, n) == 0;
}

static bool count_layer(void *context, const char *text, size_t n)
{
    (void)text, (void)n;
    ++*(size_t *)context;
    return true;
}

static ser_status print_h5(const char *path, ser_error *err)
{
    ser_bytes bytes = {0};
    ser_h5 file;
    size_t n_layers = 0;
    ser_status st = ser_io_map(&bytes, path, 0, err);
    if (st == SER_OK && ser_h5_open(&file, bytes.data, bytes.n) != SER_H5_FOUND)
        st = ser_fail(err, SER_E_FORMAT, "this HDF5 file is not laid out as Keras's weights are");
    if (st == SER_OK &&
        ser_h5_texts(&file, file.root, "layer_names", count_layer, &n_layers) == SER_H5_FOUND) {
        printf("weights for Keras (HDF5)\n");
        print_field("layers", "%zu", n_layers);
        print_field("use", "ser test --test-path %s, or load_weights in Keras", path);
    } else if (st == SER_OK) {
        printf("HDF5, no weights of Keras\n");
    }
    ser_bytes_release(&bytes);
    return st;
}

/* Of torch.save. */
static ser_status print_torch(const char *path, ser_error *err)
{
    ser_safetensors *file = NULL;
    ser_status st = ser_torch_open(&file, path, err);
    if (st == SER_OK)
        print_tensors(file, "PyTorch");
    ser_safetensors_close(&file);
    return st;
}

static bool ends_as_torch(const char *path)
{
    static const char *const endings[] = {".bin", ".pt", ".pth", ".ckpt"};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (strcmp(dot, endings[i]) == 0)
            return true;
    return false;
}

/* What ser train and others leave. */
static const char *const parts[] = {"report.html", "report.json",   "metrics.xlsx",
                                    "weights.h5",  "history.jsonl", "config.json"};

/* A report with the settings of its run: where it stands alone, 'ser evaluate --json' wrote it. */
static bool has_report(const char *folder)
{
    char *report = ser_io_join(folder, "report.json"), *config = ser_io_join(folder, "config.json");
    bool has = report && access(report, R_OK) == 0 && config && access(config, F_OK) == 0;
    ser_free(config);
    ser_free(report);
    return has;
}

/* A file of a run folder that has no more to tell than the folder; false: it is none. */
static bool print_part(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char *folder = slash ? ser_strndup(path, (size_t)(slash - path) + 1) : ser_strdup("./");
    bool is_part = false;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        is_part = is_part || strcmp(name, parts[i]) == 0;
    is_part = is_part && folder && has_report(folder);
    if (is_part) {
        printf("a part of a run: 'ser info ");
        print_clean(folder);
        printf("' tells of all\n");
    }
    ser_free(folder);
    return is_part;
}

/* model: NULL where there is none. */
static ser_status print_run_folder(const char *folder, const char *model, ser_error *err)
{
    const char *before = "run folder, with ";
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char *path = ser_io_join(folder, parts[i]);
        if (path && access(path, F_OK) == 0)
            printf("%s%s", before, parts[i]), before = ", ";
        ser_free(path);
    }
    if (!model) {
        printf("; no model\n");
        return SER_OK;
    }
    printf("%smodel.safetensors: ", before);
    return print_safetensors(model, err);
}

static bool has_file(const char *folder, const char *name)
{
    char *path = ser_io_join(folder, name);
    bool has = path && access(path, F_OK) == 0;
    ser_free(path);
    return has;
}

/* What else lies there, such as an embeddings.pt, makes no model of a folder with recordings in it.
 * SER_E_FORMAT: there are none. */
static ser_status print_recordings(const char *folder, ser_error *err)
{
    ser_inputs inputs = {0};
    bool is_model = has_file(folder, "config.json");
    for (size_t i = 0; i < SER_CHECKPOINT_N_FORMS; i++)
        is_model = is_model || has_file(folder, ser_checkpoint_forms[i]);
    ser_status st = is_model ? SER_E_FORMAT : ser_inputs_add(&inputs, folder, err);
    if (st == SER_OK) {
        printf("%zu recording%s in this folder: 'ser predict ", inputs.n, inputs.n == 1 ? "" : "s");
        print_clean(folder);
        printf("' answers for %s\n", inputs.n == 1 ? "it" : "each");
    }
    ser_inputs_release(&inputs);
    return st;
}

static ser_status print_folder(const char *path, ser_error *err)
{
    char *model = ser_io_join(path, "model.safetensors");
    ser_safetensors *file = NULL;
    bool is_run = model && access(model, R_OK) == 0 && ser_safetensors_open(&file, model, NULL) == SER_OK &&
                  ser_safetensors_metadata(file, "ser.format_version");
    ser_safetensors_close(&file);
    bool is_run_folder = is_run || has_report(path); /* of an evaluation or a test */
    ser_status st =
        is_run_folder ? print_run_folder(path, is_run ? model : NULL, err) : print_recordings(path, err);
    if (!is_run_folder && st == SER_E_FORMAT)
        st = print_encoder(path, err);
    ser_free(model);
    return st;
}

static bool is_table(const char *path)
{
    size_t n = strlen(path);
    return n > 4 && (strcasecmp(path + n - 4, ".csv") == 0 || strcasecmp(path + n - 4, ".tsv") == 0);
}

static ser_status print_table(const char *path, ser_error *err)
{
    ser_csv csv;
    ser_text columns = {0};
    ser_status st = ser_csv_read(&csv, path, err);
    if (st != SER_OK)
        return st;
    ser_csv_append_columns(&columns, &csv);
    printf("table\n");
    print_field("rows", "%zu", csv.n_rows - 1);
    print_field("columns", "%s", columns.s && !columns.failed ? columns.s : "(no memory for them)");
    if (ser_csv_column(&csv, "file") >= 0 && ser_csv_column(&csv, "emotion") >= 0)
        print_field("corpus", "'ser evaluate --data' and 'ser train --data' read it");
    ser_text_release(&columns);
    ser_csv_release(&csv);
    return SER_OK;
}

static ser_status print_path(const char *path, ser_error *err)
{
    struct stat info;
    print_clean(path);
    printf(": ");
    bool exists = stat(path, &info) == 0;
    if (exists && S_ISDIR(info.st_mode))
        return print_folder(path, err);
    if (!exists && ser_hub_has(path))
        return print_encoder(path, err);
    if (exists && !S_ISREG(info.st_mode)) /* a pipe: what is read to look at it would be gone */
        return print_audio(path, err);
    if (begins_with(path, "\x93NUMPY", 6, 0))
        return print_npy(path, err);
    if (begins_with(path, "\x89HDF\r\n\x1a\n", 8, 0))
        return print_h5(path, err);
    if (begins_with(path, "{", 1, 8))
        return print_safetensors(path, err);
    if (print_part(path))
        return SER_OK;
    if (begins_with(path, "PK\3\4", 4, 0) && ends_as_torch(path))
        return print_torch(path, err);
    if (exists && is_table(path))
        return print_table(path, err);
    ser_status st = ser_foreign_check_file(path, err);
    return st == SER_OK ? print_audio(path, err) : st;
}

static ser_status print_builtin(ser_error *err)
{
    size_t n_bytes;
    ser_safetensors *file = NULL;
    const void *bytes = ser_builtin_model(&n_bytes);
    if (!bytes)
        return ser_fail(err, SER_E_UNSUPPORTED, "this build has no built-in model");
    ser_status st = ser_safetensors_open_memory(&file, bytes, n_bytes, err);
    printf("built in, %.1f MB: ", (double)n_bytes / 1e6);
    if (st == SER_OK)
        st = print_model(file, err);
    ser_safetensors_close(&file);
    return st;
}

static int run(int argc, char **argv)
{
    ser_option_list paths = {0};
    ser_error err = {0};
    int status;
    if (ser_options_start(&ser_command_info, argc, argv, &paths, &status)) {
        if (!paths.n && print_builtin(&err) != SER_OK) {
            ser_say("%s", err.text);
            status = SER_EXIT_FAILED;
        }
        for (size_t i = 0; i < paths.n; i++)
            if (print_path(paths.items[i], &err) != SER_OK) {
                printf("not understood\n");
                ser_say("%s: %s", paths.items[i], err.text);
                status = SER_EXIT_FAILED;
            }
    }
    ser_option_list_release(&paths);
    return status;
}

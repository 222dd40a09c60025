/* Feature trees: filled, read, gone on with, refused. */
#include "audio/audio.h"
#include "base/memory.h"
#include "corpus.h"
#include "data/fill.h"
#include "data/tree.h"
#include "failures/failing.h"
#include "io/file.h"
#include "io/npy.h"

static const char folder[] = "features/LOGMEL/MADE_LOGMEL_128";

static const char *in_tree(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return scratch(path);
}

static ser_status fill_trees(ser_tree_filled *filled, const ser_tree_content *contents, size_t n,
                             bool overwrite, const ser_progress *progress, ser_error *err)
{
    char features[512];
    snprintf(features, sizeof features, "%s", scratch("features"));
    const ser_tree_fill_settings settings = {.features_dir = features,
                                             .overwrite = overwrite,
                                             .n_threads = 2,
                                             .progress = progress ? *progress : (ser_progress){0}};
    return ser_trees_fill(filled, contents, n, &made_corpus, &settings, err);
}

static ser_status fill_with(ser_tree_filled *filled, const made_tools *t, bool overwrite,
                            const ser_progress *progress, ser_error *err)
{
    const ser_tree_content content = {.extractor = t->extractor, .recipe = &t->recipe};
    return fill_trees(filled, &content, 1, overwrite, progress, err);
}

/* How many recordings were computed. */
static size_t fill(const made_tools *t, bool overwrite)
{
    ser_tree_filled filled;
    ser_error err = {0};
    CHECK_OK(fill_with(&filled, t, overwrite, NULL, &err), &err);
    CHECK(filled.n == N_RECORDINGS && filled.n_failed == 0);
    size_t n = filled.n_computed;
    ser_tree_filled_release(&filled);
    return n;
}

static ser_status open_tree(ser_tree **tree, ser_error *reason, const made_tools *t, ser_error *err)
{
    return ser_tree_open(tree, reason, scratch("features"), "MADE", t->extractor, &t->recipe, err);
}

/* What the extractor makes of a recording. */
static void extract(ser_frame_buffer *b, const made_tools *t, size_t u)
{
    float *pcm = NULL;
    size_t n;
    ser_error err = {0};
    ser_extractor_work *work = NULL;
    CHECK_OK(ser_audio_load(&pcm, &n, made_utterances[u].path, NULL, &err), &err);
    CHECK_OK(ser_extractor_work_new(&work, t->extractor, 1, &err), &err);
    ser_pcm_memory memory = {.pcm = pcm, .n_samples = n};
    ser_pcm_source source = ser_pcm_from_memory(&memory);
    *b = (ser_frame_buffer){.dims = ser_extractor_dims(t->extractor)};
    CHECK_OK(ser_extract(t->extractor, work, &source, ser_frame_buffer_add, b, &err), &err);
    ser_extractor_work_free(&work);
    ser_free(pcm);
}

static bool same_frames(const ser_frame_buffer *a, const ser_frame_buffer *b)
{
    return a->n == b->n && a->dims == b->dims && memcmp(a->x, b->x, a->n * a->dims * sizeof *a->x) == 0 &&
           memcmp(a->active, b->active, a->n) == 0;
}

/* Every recording in the tree has the frames that the extractor makes. */
static void check_tree_equals_audio(const made_tools *t)
{
    ser_error err = {0}, reason;
    ser_tree *tree;
    CHECK_OK(open_tree(&tree, &reason, t, &err), &err);
    CHECK(tree != NULL);
    for (size_t u = 0; u < N_RECORDINGS && tree; u++) {
        ser_frame_buffer computed;
        ser_tree_entry entry;
        const ser_tree_recording *r = ser_tree_index_find(&tree->index, made_utterances[u].name);
        extract(&computed, t, u);
        CHECK_OK(ser_tree_read(&entry, tree, r, &err), &err);
        CHECK(same_frames(&computed, &entry.frames));
        CHECK(strcmp(ser_fingerprint_sha256(entry.fingerprint), entry.sha256) == 0);
        ser_tree_entry_release(&entry);
        ser_frame_buffer_release(&computed);
    }
    ser_tree_close(&tree);
}

static void test_fill_and_read(const made_tools *t)
{
    ser_error err = {0}, reason;
    ser_tree *tree;
    ser_corpus *corpus;
    ser_npy a;
    CHECK(fill(t, false) == N_RECORDINGS);
    CHECK(scratch_count(folder) == N_RECORDINGS + 2);
    CHECK_OK(ser_npy_read(&a, in_tree("r2.npy"), 0, &err), &err);
    CHECK(a.n_dims == 2 && a.dims[0] == 31 && a.dims[1] == SER_LOGMEL_DIMS);
    ser_npy_release(&a);
    check_tree_equals_audio(t);
    CHECK_OK(open_tree(&tree, &reason, t, &err), &err);
    CHECK_OK(ser_tree_index_corpus(&corpus, &tree->index, &err), &err);
    CHECK(strcmp(corpus->name, "MADE") == 0 && corpus->n_utterances == N_RECORDINGS &&
          corpus->n_labels == 2 && corpus->n_speakers == 2 && corpus->n_texts == 1);
    for (size_t u = 0; u < N_RECORDINGS; u++) {
        const ser_utterance *x = &corpus->utterances[u], *y = &made_utterances[u];
        CHECK(strcmp(x->name, y->name) == 0 && strcmp(x->file, y->file) == 0 && x->label == y->label &&
              x->speaker == y->speaker && x->text == y->text && x->fold == y->fold);
    }
    ser_corpus_free(&corpus);
    ser_tree_close(&tree);
}

/* ---- going on ---- */

static bool stop_after_two(void *context, const char *what, size_t done, size_t total)
{
    (void)context, (void)what, (void)total;
    return done < 2;
}

static void test_resume(const made_tools *t)
{
    ser_error err = {0}, reason;
    ser_tree *tree;
    ser_tree_filled filled;
    const ser_progress stop = {stop_after_two, NULL};
    CHECK(fill(t, false) == 0);
    CHECK(truncate(in_tree("r1.npy"), 1000) == 0);
    CHECK(fill(t, false) == 1);
    CHECK(truncate(in_tree("index/r1.safetensors"), 100) == 0 && unlink(in_tree("r5.npy")) == 0);
    CHECK(fill(t, false) == 2);
    make_recording("r3.wav", 0.7, 33); /* another recording under the same name */
    CHECK(fill(t, false) == 1);
    check_tree_equals_audio(t);
    make_recording("r3.wav", 0.7, 3);
    CHECK(fill(t, true) == N_RECORDINGS);
    CHECK_FAILS(fill_with(&filled, t, true, &stop, &err), SER_E_CANCELLED, &err, "goes on");
    size_t n_before = filled.n_computed;
    ser_tree_filled_release(&filled);
    CHECK(n_before >= 2 && n_before < N_RECORDINGS);
    CHECK_OK(open_tree(&tree, &reason, t, &err), &err);
    CHECK(!tree && strstr(reason.text, "not finished"));
    scratch_put("features/LOGMEL/MADE_LOGMEL_128/.ser-999999999-0", "half", 4); /* of a killed process */
    CHECK(fill(t, false) == N_RECORDINGS - n_before);
    CHECK(scratch_count(folder) == N_RECORDINGS + 2);
    check_tree_equals_audio(t);
}

static void test_recordings_that_cannot_be_read(const made_tools *t)
{
    ser_error err = {0}, reason;
    ser_tree *tree;
    ser_tree_filled filled;
    scratch_put("r4.wav", "no sound", 8);
    CHECK_OK(fill_with(&filled, t, false, NULL, &err), &err);
    CHECK(filled.n_failed == 1 && filled.failures[4] && strstr(filled.failures[4], "r4.wav: ") &&
          !filled.failures[3]);
    ser_tree_filled_release(&filled);
    CHECK_OK(open_tree(&tree, &reason, t, &err), &err);
    CHECK(!tree);
    make_corpus();
    CHECK(fill(t, false) == 0);
}

/* ---- what is not mixed ---- */

static void test_other_parameters(const made_tools *t)
{
    ser_error err = {0}, reason;
    ser_tree *tree;
    ser_tree_filled filled;
    made_tools other;
    make_tools(&other, "LOGMEL", NULL, NULL, 512);
    CHECK_FAILS(fill_with(&filled, &other, false, NULL, &err), SER_E_UNSUPPORTED, &err,
                "MADE_LOGMEL_128: its hop_length is 320, not 512: --overwrite");
    ser_tree_filled_release(&filled);
    CHECK_OK(open_tree(&tree, &reason, &other, &err), &err);
    CHECK(!tree && strstr(reason.text, "its hop_length is 320, not 512"));
    check_tree_equals_audio(t);
    char path[1000], away[1000]; /* as other programs leave features */
    snprintf(path, sizeof path, "%s/LOGMEL/MADE_LOGMEL_128/index.json", scratch("features"));
    snprintf(away, sizeof away, "%s/index.json", scratch("features"));
    CHECK(rename(path, away) == 0);
    CHECK_OK(open_tree(&tree, &reason, t, &err), &err);
    CHECK(!tree && reason.status == SER_E_UNSUPPORTED && strstr(reason.text, "no index.json says what"));
    CHECK(rename(away, path) == 0);
    CHECK(fill(&other, true) == N_RECORDINGS);
    check_tree_equals_audio(&other);
    free_tools(&other);
    CHECK(fill(t, true) == N_RECORDINGS);
}

static void test_other_recordings(const made_tools *t)
{
    ser_error err = {0};
    ser_tree_filled filled;
    made_corpus.n_utterances--;
    CHECK_FAILS(fill_with(&filled, t, false, NULL, &err), SER_E_UNSUPPORTED, &err, "'r5'");
    ser_tree_filled_release(&filled);
    CHECK_OK(fill_with(&filled, t, true, NULL, &err), &err);
    ser_tree_filled_release(&filled);
    CHECK(access(in_tree("r5.npy"), F_OK) != 0 && access(in_tree("r4.npy"), F_OK) == 0);
    made_corpus.n_utterances++;
    CHECK(fill(t, false) == 1); /* more than before is fine */
}

/* A folder of the original system, or somebody's own. */
static void test_strange_files(const made_tools *t)
{
    ser_error err = {0};
    ser_tree_filled filled;
    scratch_put("features/LOGMEL/MADE_LOGMEL_128/notes.npy", "mine", 4);
    unlink(in_tree("index.json"));
    CHECK_FAILS(fill_with(&filled, t, false, NULL, &err), SER_E_UNSUPPORTED, &err, "no index.json");
    ser_tree_filled_release(&filled);
    CHECK(fill(t, true) == N_RECORDINGS);
    CHECK(access(in_tree("notes.npy"), F_OK) == 0);
    unlink(in_tree("notes.npy"));
    scratch_put("features/LOGMEL/MADE_LOGMEL_128/index.json", "{\"format_version\": 1,\n", 22);
    CHECK_FAILS(fill_with(&filled, t, false, NULL, &err), SER_E_FORMAT, &err, "index.json: line 2: ");
    ser_tree_filled_release(&filled);
    CHECK(fill(t, true) == N_RECORDINGS);
}

/* ---- joined, pooled ---- */

/* All in one go; what is there is taken as it is. */
static void test_joined(void)
{
    ser_error err = {0};
    ser_tree_filled filled[3];
    made_tools logmel, whisper, both;
    make_tools(&logmel, "LOGMEL", NULL, NULL, SER_DEFAULT_HOP);
    make_tools(&whisper, "WHISPER", "tiny", "1", SER_DEFAULT_HOP);
    make_tools(&both, "LOGMEL+WHISPER", "tiny", "1", SER_DEFAULT_HOP);
    const ser_tree_content contents[3] = {{logmel.extractor, &logmel.recipe, false},
                                          {whisper.extractor, &whisper.recipe, false},
                                          {both.extractor, &both.recipe, true}};
    CHECK(fill(&logmel, true) == N_RECORDINGS);
    CHECK(unlink(in_tree("r3.npy")) == 0);
    CHECK_OK(fill_trees(filled, contents, 3, false, NULL, &err), &err);
    CHECK(filled[0].n_computed == 1 && filled[1].n_computed == N_RECORDINGS &&
          filled[2].n_computed == N_RECORDINGS);
    for (int i = 0; i < 3; i++)
        ser_tree_filled_release(&filled[i]);
    check_tree_equals_audio(&logmel);
    check_tree_equals_audio(&whisper);
    check_tree_equals_audio(&both);
    CHECK_OK(fill_with(filled, &both, true, NULL, &err), &err);
    ser_tree_filled_release(filled);
    check_tree_equals_audio(&both);
    /* A folder that may not be filled: none is touched. */
    CHECK(unlink(in_tree("index/r3.safetensors")) == 0);
    scratch_put("features/LOGMEL+WHISPER/MADE_LOGMEL+WHISPER/index.json", "x", 1);
    CHECK_FAILS(fill_trees(filled, contents, 3, false, NULL, &err), SER_E_FORMAT, &err, "index.json");
    CHECK(access(in_tree("index/r3.safetensors"), F_OK) != 0);
    for (int i = 0; i < 3; i++)
        ser_tree_filled_release(&filled[i]);
    CHECK_OK(fill_trees(filled, contents, 3, true, NULL, &err), &err);
    for (int i = 0; i < 3; i++)
        ser_tree_filled_release(&filled[i]);
    free_tools(&logmel);
    free_tools(&whisper);
    free_tools(&both);
}

static void test_pooled_encoder(void)
{
    ser_error err = {0};
    ser_tree_filled filled;
    ser_frame_buffer frames;
    ser_tree *tree;
    ser_error reason;
    made_tools t;
    make_tools(&t, "LOGMEL+WHISPER", "tiny", "1", SER_DEFAULT_HOP);
    size_t dims = ser_extractor_dims(t.extractor);
    extract(&frames, &t, 2);
    t.recipe.pool_encoder = true;
    CHECK_FAILS(fill_with(&filled, &t, false, NULL, &err), SER_E_UNSUPPORTED, &err,
                "its pool_encoder is false, not true");
    ser_tree_filled_release(&filled);
    CHECK_OK(fill_with(&filled, &t, true, NULL, &err), &err);
    ser_tree_filled_release(&filled);
    CHECK_OK(open_tree(&tree, &reason, &t, &err), &err);
    ser_tree_entry e;
    CHECK_OK(ser_tree_read(&e, tree, ser_tree_index_find(&tree->index, "r2"), &err), &err);
    CHECK(e.frames.n == frames.n);
    for (size_t i = SER_LOGMEL_DIMS; i < dims; i++) {
        double mean = 0;
        for (size_t f = 0; f < frames.n; f++)
            mean += frames.x[f * dims + i] / (double)frames.n;
        float first = e.frames.x[i], last = e.frames.x[(frames.n - 1) * dims + i];
        CHECK(fabs(first - mean) < 1e-5 && first == last);
    }
    for (size_t f = 0; f < frames.n; f++)
        CHECK(memcmp(e.frames.x + f * dims, frames.x + f * dims, SER_LOGMEL_DIMS * sizeof(float)) == 0);
    ser_tree_entry_release(&e);
    ser_tree_close(&tree);
    ser_frame_buffer_release(&frames);
    free_tools(&t);
}

/* A tree of more layers serves those who want fewer, in their order. */
static void test_some_of_its_layers(void)
{
    ser_error err = {0}, reason;
    ser_tree *tree;
    ser_tree_filled filled;
    made_tools all, some, none;
    make_tools(&all, "WHISPER", "tiny", "2,0,1", SER_DEFAULT_HOP);
    CHECK_OK(fill_with(&filled, &all, true, NULL, &err), &err);
    ser_tree_filled_release(&filled);
    make_tools(&some, "WHISPER", "tiny", "1,2", SER_DEFAULT_HOP);
    check_tree_equals_audio(&some);
    make_tools(&none, "WHISPER", "tiny", "1", SER_DEFAULT_HOP);
    CHECK_OK(fill_with(&filled, &none, true, NULL, &err), &err);
    ser_tree_filled_release(&filled);
    CHECK_OK(open_tree(&tree, &reason, &some, &err), &err);
    CHECK(!tree && strstr(reason.text, "its layers is {\"WHISPER\":[1]}, not {\"WHISPER\":[1,2]}"));
    none.recipe.encoder_sha256 = "another";
    CHECK_OK(open_tree(&tree, &reason, &none, &err), &err);
    CHECK(!tree && strstr(reason.text, "its encoder_sha256 is e0, not another"));
    free_tools(&all);
    free_tools(&some);
    free_tools(&none);
}

/* ---- damage ---- */

static void put_npy(const char *header, size_t n_values, float value)
{
    char bytes[8192] = "\223NUMPY\1\0\166\0";
    size_t n = 10 + 118;
    memset(bytes + 10, ' ', 118);
    memcpy(bytes + 10, header, strlen(header));
    bytes[n - 1] = '\n';
    for (size_t i = 0; i < n_values; i++, n += 4)
        memcpy(bytes + n, &value, 4);
    scratch_put("features/LOGMEL/MADE_LOGMEL_128/r0.npy", bytes, n);
}

static void check_r0_fails(const made_tools *t, const char *words)
{
    ser_error err = {0}, reason;
    ser_tree *tree;
    ser_tree_entry entry;
    CHECK_OK(open_tree(&tree, &reason, t, &err), &err);
    const ser_tree_recording *r = ser_tree_index_find(&tree->index, "r0");
    CHECK_FAILS(ser_tree_read(&entry, tree, r, &err), SER_E_FORMAT, &err, words);
    CHECK(strstr(err.text, "r0") != NULL && !entry.frames.x && !entry.fingerprint);
    ser_tree_close(&tree);
}

static void test_damaged_npy(const made_tools *t)
{
    put_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (21, 8), }", 336, 1);
    check_r0_fails(t, "not float32");
    put_npy("{'descr': '<f4', 'fortran_order': True, 'shape': (21, 8), }", 168, 1);
    check_r0_fails(t, "Fortran");
    put_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (21, 8), }", 168, 1);
    check_r0_fails(t, "not the index's (21, 128)");
    put_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (22, 128), }", 7, 1);
    check_r0_fails(t, "2816 numbers");
    put_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (21, 128), }", 7, 1);
    check_r0_fails(t, "not what its header says");
    CHECK(fill(t, false) == 1);
    int file_at = 10 + 118 + 4 * (3 * SER_LOGMEL_DIMS + 5);
    FILE *f = fopen(in_tree("r0.npy"), "r+b");
    const float nan = NAN;
    CHECK(f && fseek(f, file_at, SEEK_SET) == 0 && fwrite(&nan, 4, 1, f) == 1 && fclose(f) == 0);
    check_r0_fails(t, "frame 3 is not finite");
    CHECK(fill(t, false) == 1);
    CHECK(rename(in_tree("index/r1.safetensors"), in_tree("index/r0.safetensors")) == 0);
    check_r0_fails(t, "r0");
    CHECK(fill(t, false) == 2);
}

/* Text that replaces the first occurrence of another in index.json. */
static void check_index(const char *text, const char *old, const char *new, const char *words)
{
    ser_error err = {0};
    ser_tree_index index;
    ser_text t = {0};
    const char *at = strstr(text, old);
    CHECK(at != NULL);
    ser_text_append_n(&t, text, (size_t)(at - text));
    ser_text_append(&t, new);
    ser_text_append(&t, at + strlen(old));
    CHECK_FAILS(ser_tree_index_parse(&index, t.s, t.n, &err),
                t.n > 20 && strcmp(words, "newer") == 0 ? SER_E_UNSUPPORTED : SER_E_FORMAT, &err, words);
    CHECK(!index.recordings && !index.parameters);
    ser_text_release(&t);
}

static void test_damaged_index(void)
{
    ser_error err = {0};
    ser_bytes bytes;
    CHECK_OK(ser_io_read(&bytes, in_tree("index.json"), 0, &err), &err);
    const char *text = (const char *)bytes.data;
    check_index(text, "\"format_version\": 1", "\"format_version\": 2", "newer");
    check_index(text, "\"format_version\": 1", "\"format_version\": \"1\"", "no index");
    check_index(text, "\"corpus\": \"MADE\"", "\"corpus\": 3", "no index");
    check_index(text, "\"dims\": 128", "\"dims\": -1", "no index");
    check_index(text, "\"dims\": 128", "\"dims\": 1e99", "no index");
    check_index(text, "\"parameters\": {", "\"parameters\": [], \"x\": {", "no index");
    check_index(text, "\"complete\": true", "\"complete\": 1", "no index");
    check_index(text, "\"utterance\": \"r0\"", "\"utterance\": \"../r0\"", "recording 1 ");
    check_index(text, "\"utterance\": \"r0\"", "\"utterance\": \"/r0\"", "recording 1 ");
    check_index(text, "\"utterance\": \"r0\"", "\"utterance\": \"\"", "recording 1 ");
    check_index(text, "\"utterance\": \"r1\"", "\"utterance\": \"r0\"", "'r0' is listed twice");
    check_index(text, "\"utterance\": \"r2\"", "\"utterance\": \"r9\"",
                "'r3' is listed twice, or not in its");
    check_index(text, "\"label\": \"sad\"", "\"label\": null", "recording 2 ");
    check_index(text, "\"label\": \"sad\"", "\"label\": \"\"", "recording 2 ");
    check_index(text, "\"speaker\": \"1\"", "\"speaker\": 1", "recording 1 ");
    check_index(text, "\"n_frames\": 21", "\"n_frames\": 0", "recording 1 ");
    check_index(text, "\"n_frames\": 21", "\"n_frames\": 21.0", "recording 1 ");
    check_index(text, "\"sha256\": \"", "\"sha256\": \"x", "recording 1 ");
    ser_bytes_release(&bytes);
}

static void test_no_memory(const made_tools *t)
{
    ser_error err = {0}, reason;
    ser_tree *tree = NULL;
    ser_tree_entry entry;
    ser_corpus *corpus = NULL;
    ser_status st = SER_E_NOMEM;
    for (long n = 0; st != SER_OK && n < 1000; n++) {
        failing_at(n);
        st = open_tree(&tree, &reason, t, &err);
        CHECK(tree ? st == SER_OK : st == SER_E_NOMEM);
    }
    CHECK(tree != NULL);
    st = SER_E_NOMEM;
    for (long n = 0; st != SER_OK && n < 1000; n++) {
        failing_at(n);
        st = ser_tree_read(&entry, tree, &tree->index.recordings[1], &err);
        CHECK(st == SER_OK || (st == SER_E_NOMEM && !entry.frames.x));
    }
    ser_tree_entry_release(&entry);
    st = SER_E_NOMEM;
    for (long n = 0; st != SER_OK && n < 1000; n++) {
        failing_at(n);
        st = ser_tree_index_corpus(&corpus, &tree->index, &err);
        CHECK(st == SER_OK || (st == SER_E_NOMEM && !corpus));
    }
    failing_at(-1);
    ser_corpus_free(&corpus);
    ser_tree_close(&tree);
}

static void test_no_memory_to_fill(const made_tools *t)
{
    char features[512];
    ser_error err = {0};
    ser_tree_filled filled;
    ser_status st = SER_E_NOMEM;
    snprintf(features, sizeof features, "%s", scratch("features"));
    const ser_tree_fill_settings settings = {.features_dir = features, .overwrite = true, .n_threads = 1};
    const ser_tree_content content = {.extractor = t->extractor, .recipe = &t->recipe};
    for (long n = 0; st != SER_OK && n < 3000; n += 3) {
        failing_at(n);
        st = ser_trees_fill(&filled, &content, 1, &made_corpus, &settings, &err);
        CHECK(st == SER_OK || st == SER_E_NOMEM);
        ser_tree_filled_release(&filled);
    }
    failing_at(-1);
    CHECK_OK(st, &err);
}

int main(void)
{
    made_tools logmel;
    scratch_make();
    make_corpus();
    make_tools(&logmel, "LOGMEL", NULL, NULL, SER_DEFAULT_HOP);
    test_fill_and_read(&logmel);
    test_resume(&logmel);
    test_recordings_that_cannot_be_read(&logmel);
    test_other_parameters(&logmel);
    test_other_recordings(&logmel);
    test_strange_files(&logmel);
    test_joined();
    test_pooled_encoder();
    test_some_of_its_layers();
    test_damaged_npy(&logmel);
    test_damaged_index();
    test_no_memory(&logmel);
    test_no_memory_to_fill(&logmel);
    free_tools(&logmel);
    scratch_remove();
    return test_summary();
}

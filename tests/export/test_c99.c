/* Models exported as C99, compiled as strictly as compilers go, against what ser_predict answers; and folders
 * that are made whole or not at all. */
#include "export/export.h"
#include "failures/failing.h"
#include "models.h"

static int shell(const char *format, const char *a, const char *b, const char *c)
{
    char command[2048];
    snprintf(command, sizeof command, format, a, b, c);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_model(const wanted *w)
{
    ser_error err = {0};
    char folder[64], vectors[96], model[96];
    snprintf(folder, sizeof folder, "%s-c", w->name);
    snprintf(vectors, sizeof vectors, "%s-vectors", w->name);
    write_model(w, scratch(w->name));
    CHECK_OK(ser_export_c99(scratch(w->name), scratch(folder), &err), &err);
    CHECK(scratch_count(folder) == 6);
    write_vectors(scratch(w->name), false, NULL, N_UTTERANCES, scratch(vectors));
    snprintf(model, sizeof model, "%s/emotion.c", folder);
    CHECK(shell("cc -std=c99 -pedantic -Wall -Wextra -Werror -O2 -DEMOTION_CHECK -o %s %s -lm%s",
                scratch("check"), scratch(model), "") == 0);
    snprintf(model, sizeof model, "%s/weights.bin", folder);
    CHECK(shell("%s %s %s", scratch("check"), scratch(model), scratch(vectors)) == 0);
    snprintf(vectors, sizeof vectors, "%s/vectors.bin", folder);
    CHECK(shell("%s %s %s", scratch("check"), scratch(model), scratch(vectors)) == 0);
}

/* The vectors, where Node.js can. */
static void test_in_node(const char *program, const char *folder)
{
    static const char script[] =
        "import { WASI } from 'wasi';\n"
        "import { readFile } from 'fs/promises';\n"
        "const [program, folder] = process.argv.slice(2);\n"
        "const wasi = new WASI({ version: 'preview1', returnOnExit: true, preopens: { '/model': folder },\n"
        "                        args: ['check', '/model/weights.bin', '/model/vectors.bin'] });\n"
        "const made = await WebAssembly.instantiate(await readFile(program),\n"
        "                                           { wasi_snapshot_preview1: wasi.wasiImport });\n"
        "process.exit(wasi.start(made.instance));\n";
    if (shell("node -e \"require('wasi')\" >/dev/null 2>&1%s%s%s", "", "", "") != 0)
        return;
    scratch_put("run.mjs", script, sizeof script - 1);
    CHECK(shell("node --no-warnings %s %s %s", scratch("run.mjs"), program, folder) == 0);
}

/* For WebAssembly, where clang can. */
static void test_wasi(const char *folder)
{
    const char *compile =
        "clang --target=wasm32-wasi --sysroot=/usr -std=c99 -Wall -Wextra -Werror -O2 -o %s %s%s";
    scratch_put("empty.c", "int main(void) { return 0; }", 28);
    if (shell(compile, scratch("empty.wasm"), scratch("empty.c"), " 2>/dev/null") != 0)
        return;
    CHECK(shell(compile, scratch("emotion.wasm"), scratch(folder), "/emotion.c -DEMOTION_CHECK -lm") == 0);
    test_in_node(scratch("emotion.wasm"), scratch(folder));
}

/* A check that sees a wrong score, and weights of another model. */
static void test_check(const char *name, const char *other)
{
    char weights[96], vectors[96];
    float x;
    snprintf(weights, sizeof weights, "%s-c/weights.bin", name);
    snprintf(vectors, sizeof vectors, "%s-vectors", name);
    FILE *f = fopen(scratch(vectors), "r+b");
    fseek(f, -(long)sizeof x, SEEK_END);
    CHECK(fread(&x, sizeof x, 1, f) == 1);
    x += 0.001f;
    fseek(f, -(long)sizeof x, SEEK_END);
    CHECK(fwrite(&x, sizeof x, 1, f) == 1);
    fclose(f);
    CHECK(shell("%s %s %s", scratch("check"), scratch(weights), scratch(vectors)) == 1);
    snprintf(weights, sizeof weights, "%s-c/weights.bin", other);
    CHECK(shell("%s %s %s 2>/dev/null", scratch("check"), scratch(weights), scratch(vectors)) == 2);
}

static void test_folders(const char *model)
{
    ser_error err = {0};
    int n_before = scratch_count("");
    CHECK_FAILS(ser_export_c99(scratch(model), scratch("plain-c"), &err), SER_E_ARG, &err, "there already");
    CHECK_FAILS(ser_export_c99(scratch(model), scratch(model), &err), SER_E_ARG, &err, "there already");
    CHECK_FAILS(ser_export_c99(scratch(model), scratch("no/where"), &err), SER_E_IO, &err, "cannot be made");
    CHECK_FAILS(ser_export_c99(scratch("none"), scratch("new"), &err), SER_E_IO, &err, "none");
    CHECK_FAILS(ser_export_c99(NULL, scratch("new"), &err), SER_E_UNSUPPORTED, &err, "WHISPER");
    wanted measuring = models[0]; /* how unlike recordings are */
    measuring.reach = 1;
    write_model(&measuring, scratch("measuring"));
    CHECK_FAILS(ser_export_c99(scratch("measuring"), scratch("new"), &err), SER_E_UNSUPPORTED, &err, "ONNX");
    unlink(scratch("measuring"));
    CHECK(scratch_count("") == n_before && scratch_count("plain-c") == 6);
    CHECK(mkdir(scratch("empty"), 0777) == 0);
    CHECK_OK(ser_export_c99(scratch(model), scratch("empty/"), &err), &err);
    CHECK(scratch_count("empty") == 6 && scratch_count("") == n_before + 1);
}

/* Whichever allocation fails, nothing is left behind. */
static void test_memory(const char *model)
{
    int n_before = scratch_count("");
    ser_status st = SER_E_NOMEM;
    for (long n = 0; st == SER_E_NOMEM; n += 7) {
        ser_error err = {0};
        failing_at(n);
        st = ser_export_c99(scratch(model), scratch("memory"), &err);
        failing_at(-1);
        CHECK(st == SER_OK || (st == SER_E_NOMEM && scratch_count("") == n_before));
    }
    CHECK(st == SER_OK && scratch_count("memory") == 6);
}

int main(void)
{
    scratch_make();
    for (size_t i = 0; i < N_MODELS; i++)
        test_model(&models[i]);
    test_check("both", "mfcc");
    test_wasi("both-c");
    test_folders("plain");
    test_memory("plain");
    scratch_remove();
    return test_summary();
}

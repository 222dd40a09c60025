/* Runs a fuzz target on the files, and all files in the folders, that are named on the command line: the
 * inputs that once crashed, as a test, with any compiler. Where the target has a mutator of its own, each
 * input is run in some altered forms too, the same ones each time. */
#include "mutate.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

enum { N_ALTERED = 40, MAX_GROWTH = 4096 };

static size_t n_inputs;

__attribute__((weak)) size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t n_max,
                                                     unsigned int seed);

/* Instead of libFuzzer's: one byte becomes another. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t n, size_t n_max)
{
    static fuzz_random r;
    (void)n_max;
    if (n)
        data[fuzz_below(&r, n)] = (uint8_t)fuzz_next(&r);
    return n;
}

static void run_altered(const uint8_t *bytes, size_t n)
{
    uint8_t *copy = malloc(n + MAX_GROWTH);
    if (!copy)
        abort();
    size_t n_now = n;
    for (unsigned int i = 0; i < N_ALTERED; i++) {
        if (i % 4 == 0) { /* four changes on top of each other, then anew */
            memcpy(copy, bytes, n);
            n_now = n;
        }
        n_now = LLVMFuzzerCustomMutator(copy, n_now, n + MAX_GROWTH, i);
        if (n_now > n + MAX_GROWTH)
            abort();
        LLVMFuzzerTestOneInput(copy, n_now);
    }
    free(copy);
}

static int run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *bytes = NULL;
    size_t n = 0, n_read = 0;
    if (f) {
        do {
            bytes = realloc(bytes, n + 65536);
            if (!bytes)
                abort();
            n_read = fread(bytes + n, 1, 65536, f);
            n += n_read;
        } while (n_read);
    }
    if (!f || ferror(f)) {
        perror(path);
        return 1;
    }
    fclose(f);
    LLVMFuzzerTestOneInput(bytes, n);
    if (LLVMFuzzerCustomMutator && n)
        run_altered(bytes, n);
    n_inputs++;
    free(bytes);
    return 0;
}

static int run_folder(const char *path)
{
    DIR *dir = opendir(path);
    int status = 0;
    const struct dirent *entry;
    if (!dir) {
        perror(path);
        return 1;
    }
    while ((entry = readdir(dir))) {
        char inner[4096];
        if (entry->d_name[0] == '.')
            continue;
        if (snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) >= (int)sizeof inner)
            abort();
        status |= run_file(inner);
    }
    closedir(dir);
    return status;
}

int main(int argc, char **argv)
{
    int status = 0;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        status |= stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode) ? run_folder(argv[i]) : run_file(argv[i]);
    }
    printf("%zu inputs\n", n_inputs);
    return status || !n_inputs ? EXIT_FAILURE : EXIT_SUCCESS;
}

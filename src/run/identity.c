#include "run/identity.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ser_cpu_name(char *name, size_t n)
{
    char line[256];
    snprintf(name, n, "unknown");
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(name, n, "%s", colon + 1 + strspn(colon + 1, " \t"));
        break;
    }
    if (file)
        fclose(file);
}

/* ---- hashes ---- */

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static ser_status hash_lines(char hex[65], char **lines, size_t n, ser_error *err)
{
    ser_sha256 h;
    ser_sha256_init(&h);
    for (size_t i = 0; i < n; i++)
        if (!lines[i])
            return ser_fail_nomem(err);
    qsort(lines, n, sizeof *lines, compare_lines);
    for (size_t i = 0; i < n; i++)
        ser_sha256_add(&h, lines[i], strlen(lines[i]));
    ser_sha256_finish(&h, hex);
    return SER_OK;
}

ser_status ser_report_hashes(char data_sha256[65], char split_sha256[65], const ser_corpus *corpus,
                             const ser_folds *folds, const ser_store *store, ser_error *err)
{
    size_t n = corpus->n_utterances;
    char **data = ser_alloc(n, sizeof *data), **split = ser_alloc(n, sizeof *split);
    ser_status st = data && split ? SER_OK : ser_fail_nomem(err);
    for (size_t u = 0; u < n && st == SER_OK; u++) {
        ser_text t = {0}, s = {0};
        ser_text_appendf(&t, "%s\t%s\n", corpus->utterances[u].name, store->recordings[u].sha256);
        ser_text_appendf(&s, "%s\t%s\n", corpus->utterances[u].name, folds->names[folds->test_fold[u]]);
        data[u] = t.s;
        split[u] = s.s;
    }
    if (st == SER_OK)
        st = hash_lines(data_sha256, data, n, err);
    if (st == SER_OK)
        st = hash_lines(split_sha256, split, n, err);
    for (size_t u = 0; u < n; u++) {
        if (data)
            ser_free(data[u]);
        if (split)
            ser_free(split[u]);
    }
    ser_free(data);
    ser_free(split);
    return st;
}

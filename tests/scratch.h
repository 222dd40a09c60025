/* A folder for the files that a test makes: scratch_make() first, scratch_remove() last. */
#ifndef SER_TESTS_SCRATCH_H
#define SER_TESTS_SCRATCH_H

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch_folder[256];

static inline void scratch_make(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(scratch_folder, sizeof scratch_folder, "%s/ser-test-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(scratch_folder)) {
        perror(scratch_folder);
        exit(EXIT_FAILURE);
    }
}

/* The path of a name in it; one of eight buffers, used in turn. */
static inline const char *scratch(const char *name)
{
    static char paths[8][512];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof *paths, "%s/%s", scratch_folder, name);
    return path;
}

static inline void scratch_put(const char *name, const void *bytes, size_t n)
{
    FILE *f = fopen(scratch(name), "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f) != 0) {
        perror(name);
        exit(EXIT_FAILURE);
    }
}

/* n: the entries that are not . or .. in a folder of it. */
static inline int scratch_count(const char *name)
{
    int n = 0;
    DIR *dir = opendir(scratch(name));
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n - 2;
}

static inline int scratch_remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st, (void)kind, (void)where;
    return remove(path);
}

static inline void scratch_remove(void)
{
    nftw(scratch_folder, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif

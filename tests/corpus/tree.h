/* Folders and files for tests, in a temporary folder of their own. */
#ifndef SER_TESTS_CORPUS_TREE_H
#define SER_TESTS_CORPUS_TREE_H

#include "test.h"
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char tree_root[200];

/* Returns a path below the temporary folder; valid until the eighth call from now. */
static inline const char *tree_path(const char *name)
{
    static char paths[8][512];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", tree_root, name);
    return path;
}

static inline void tree_make(void)
{
    const char *temporary = getenv("TMPDIR");
    snprintf(tree_root, sizeof tree_root, "%.150s/ser-corpus-XXXXXX", temporary ? temporary : "/tmp");
    if (!mkdtemp(tree_root)) {
        perror(tree_root);
        exit(EXIT_FAILURE);
    }
}

/* Makes the folders above it too. */
static inline void tree_write(const char *name, const void *bytes, size_t n)
{
    char path[512];
    snprintf(path, sizeof path, "%s", tree_path(name));
    for (char *p = path + strlen(tree_root) + 1; *p; p++)
        if (*p == '/') {
            *p = 0;
            mkdir(path, 0777);
            *p = '/';
        }
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, n, file) != n || fclose(file) != 0) {
        perror(path);
        exit(EXIT_FAILURE);
    }
}

static inline void tree_write_text(const char *name, const char *text)
{
    tree_write(name, text, strlen(text));
}

/* Files whose content nobody looks at: names separated by blanks. */
static inline void tree_touch(const char *names)
{
    char name[256];
    for (int n; sscanf(names, "%255s%n", name, &n) == 1; names += n)
        tree_write(name, "", 0);
}

static inline int tree_remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

static inline void tree_remove(void)
{
    nftw(tree_root, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif

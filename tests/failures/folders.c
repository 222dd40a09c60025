#include "failures/folders.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_PATH = 512 };

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st, (void)kind, (void)where;
    return remove(path);
}

void folder_clear(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* nftw has no context. */
static const char *root, *other_root;
static bool good, only_there, all_there;

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), n_end = strlen(end);
    return n >= n_end && strcmp(s + n - n_end, end) == 0;
}

static unsigned char *contents(size_t *n, const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f || fstat(fileno(f), &st) != 0)
        return NULL;
    unsigned char *bytes = malloc((size_t)st.st_size + 1);
    *n = bytes ? fread(bytes, 1, (size_t)st.st_size, f) : 0;
    fclose(f);
    if (bytes)
        bytes[*n] = 0;
    return bytes;
}

static bool same_bytes(const char *path, const char *other)
{
    size_t n = 0, n_other = 0;
    unsigned char *a = contents(&n, path), *b = contents(&n_other, other);
    bool same = a && b && n == n_other && memcmp(a, b, n) == 0;
    free(a);
    free(b);
    return same;
}

/* By how files of its kind end. */
static bool is_whole(const char *path)
{
    static const struct {
        const char *extension, *end;
    } ends[] = {{".json", "}"}, {".html", "</html>"}, {".xlsx", "PK\5\6"}, {".jsonl", "\n"}, {".csv", "\n"}};
    enum { TAIL = 64 };
    size_t n = 0;
    unsigned char *bytes = contents(&n, path);
    bool whole = bytes != NULL;
    for (size_t i = 0; whole && i < sizeof ends / sizeof *ends; i++)
        if (ends_with(path, ends[i].extension) && n) {
            size_t from = n > TAIL ? n - TAIL : 0;
            whole = memmem(bytes + from, n - from, ends[i].end, strlen(ends[i].end)) != NULL;
        }
    free(bytes);
    return whole;
}

/* The texts of JSON without their digits: its keys, and all else in it that is no number. */
static size_t keep_texts(unsigned char *bytes, size_t n)
{
    size_t kept = 0;
    bool inside = false;
    for (size_t i = 0; i < n; i++) {
        inside = inside != (bytes[i] == '"');
        if (inside && (bytes[i] < '0' || bytes[i] > '9'))
            bytes[kept++] = bytes[i];
    }
    return kept;
}

static bool same_texts(const char *path, const char *other)
{
    size_t n = 0, n_other = 0;
    unsigned char *a = contents(&n, path), *b = contents(&n_other, other);
    n = a ? keep_texts(a, n) : 0;
    n_other = b ? keep_texts(b, n_other) : 0;
    bool same = a && b && n == n_other && memcmp(a, b, n) == 0;
    free(a);
    free(b);
    return same;
}

static bool depends_on_time(const char *path)
{
    static const char *const kinds[] = {".json", ".jsonl", ".html", ".xlsx", "/.made", "/.lock"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (ends_with(path, kinds[i]))
            return true;
    return false;
}

static int look_at(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    char other[MAX_PATH];
    (void)st;
    if (kind != FTW_F)
        return 0;
    snprintf(other, sizeof other, "%s%s", other_root, path + strlen(root));
    bool there = access(other, F_OK) == 0, fine = true;
    if (only_there)
        fine = there;
    else if (strncmp(path + where->base, ".ser-", 5) == 0)
        fine = false;
    else if (there && all_there && ends_with(path, ".json"))
        fine = same_texts(path, other);
    else
        fine = there && !depends_on_time(path) ? same_bytes(path, other) : is_whole(path);
    if (!fine)
        fprintf(stderr, "%s: %s\n", path, only_there ? "is missing" : "is not whole");
    good = good && fine;
    return 0;
}

static void walk(const char *folder, const char *other, bool presence)
{
    root = folder;
    other_root = other;
    only_there = presence;
    nftw(folder, look_at, 16, FTW_PHYS);
}

bool folder_is_whole(const char *folder, const char *reference, bool complete)
{
    good = true;
    all_there = complete;
    walk(folder, reference, false);
    if (complete)
        walk(reference, folder, true);
    return good;
}

/* Files that stand for others. */
#ifndef SER_BASE_SNIFF_H
#define SER_BASE_SNIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define SER_LFS_ADVICE "it is a Git LFS pointer: fetch the content with git lfs pull"

/* A Git LFS pointer lies where the content was not fetched (git-lfs, docs/spec.md). bytes: the file's first
 * n. */
static inline bool ser_is_lfs_pointer(const void *bytes, size_t n)
{
    static const char first_line[] = "version https://git-lfs.github.com/spec/";
    return n >= sizeof first_line - 1 && memcmp(bytes, first_line, sizeof first_line - 1) == 0;
}

#endif

/* Files that stand for others. */
#ifndef SER_BASE_SNIFF_H
#define SER_BASE_SNIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/* What Git LFS (git-lfs, docs/spec.md) and git-annex (git-annex.branchable.com/internals/pointer_file) put in
 * place of content that was not fetched; of git-annex and of the model hub's cache also the text of a link,
 * as copies without links leave it. bytes: the file's first n. What it is and what to do about it; NULL: it
 * is no such pointer. */
static inline const char *ser_pointer_advice(const void *bytes, size_t n)
{
    static const char lfs[] = "version https://git-lfs.github.com/spec/", annex[] = "/annex/objects/",
                      hub[] = "../../blobs/";
    const char *text = bytes;
    size_t n_line = 0;
    if (n >= sizeof lfs - 1 && memcmp(text, lfs, sizeof lfs - 1) == 0)
        return "it is a Git LFS pointer: fetch the content with git lfs pull";
    if (n >= sizeof hub - 1 && memcmp(text, hub, sizeof hub - 1) == 0)
        return "it is the text of a link into the model cache: copy the cache again, with its links";
    while (n_line < n && text[n_line] > ' ' && text[n_line] < 127)
        n_line++;
    if (n_line && (text[0] == '/' || text[0] == '.') && memmem(text, n_line, annex, sizeof annex - 1))
        return "it is a pointer of git-annex: fetch the content with git annex get, or datalad get";
    return NULL;
}

/* What a server sends in place of a file that is not there, or asks for a password first. bytes: as above. */
static inline bool ser_is_web_page(const void *bytes, size_t n)
{
    static const char *const tags[] = {"<!doctype html", "<html", "<?xml"};
    const char *text = bytes;
    size_t at = n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (at < n && strchr(" \t\r\n", text[at]) && text[at])
        at++;
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (n - at >= strlen(tags[i]) && strncasecmp(text + at, tags[i], strlen(tags[i])) == 0)
            return true;
    return false;
}

#endif

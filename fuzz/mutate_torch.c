/* A zip archive as torch.save writes it: one entry's content is changed, and the archive written anew around
 * it. */
#include "mutate_pickle.h"

enum { LOCAL = 30, CENTRAL = 46, END = 22, MAX_ENTRIES = 32 };

typedef struct entry {
    const uint8_t *name;
    size_t n_name;
    uint8_t *content;
    size_t n;
} entry;

static uint8_t *copy_with_room(const uint8_t *bytes, size_t n, size_t room)
{
    uint8_t *copy = calloc(room, 1);
    if (!copy)
        abort();
    memcpy(copy, bytes, n);
    return copy;
}

/* The entries that follow each other from the beginning on, uncompressed. */
static size_t read_entries(entry *entries, const uint8_t *data, size_t n)
{
    size_t n_entries = 0, at = 0;
    while (n_entries < MAX_ENTRIES && at <= n && n - at >= LOCAL && memcmp(data + at, "PK\3\4", 4) == 0) {
        size_t n_name = (size_t)fuzz_get(data + at + 26, 2), n_extra = (size_t)fuzz_get(data + at + 28, 2);
        size_t n_content = (size_t)fuzz_get(data + at + 18, 4);
        if (n - at - LOCAL < n_name + n_extra || n - at - LOCAL - n_name - n_extra < n_content)
            break;
        const uint8_t *name = data + at + LOCAL;
        entries[n_entries++] = (entry){
            name, n_name, copy_with_room(name + n_name + n_extra, n_content, 2 * n_content + 256), n_content};
        at += LOCAL + n_name + n_extra + n_content;
    }
    return n_entries;
}

static size_t put_local(uint8_t *out, const entry *e)
{
    memset(out, 0, LOCAL);
    memcpy(out, "PK\3\4", 4);
    fuzz_put(out + 18, e->n, 4);
    fuzz_put(out + 22, e->n, 4);
    fuzz_put(out + 26, e->n_name, 2);
    memcpy(out + LOCAL, e->name, e->n_name);
    memcpy(out + LOCAL + e->n_name, e->content, e->n);
    return LOCAL + e->n_name + e->n;
}

static size_t put_central(uint8_t *out, const entry *e, size_t at)
{
    memset(out, 0, CENTRAL);
    memcpy(out, "PK\1\2", 4);
    fuzz_put(out + 20, e->n, 4);
    fuzz_put(out + 24, e->n, 4);
    fuzz_put(out + 28, e->n_name, 2);
    fuzz_put(out + 42, at, 4);
    memcpy(out + CENTRAL, e->name, e->n_name);
    return CENTRAL + e->n_name;
}

/* 0: it does not fit. */
static size_t write_archive(uint8_t *out, size_t n_max, const entry *entries, size_t n_entries)
{
    size_t need = END, at[MAX_ENTRIES], n = 0;
    for (size_t i = 0; i < n_entries; i++)
        need += LOCAL + CENTRAL + 2 * entries[i].n_name + entries[i].n;
    if (need > n_max)
        return 0;
    for (size_t i = 0; i < n_entries; i++) {
        at[i] = n;
        n += put_local(out + n, &entries[i]);
    }
    size_t directory = n;
    for (size_t i = 0; i < n_entries; i++)
        n += put_central(out + n, &entries[i], at[i]);
    memset(out + n, 0, END);
    memcpy(out + n, "PK\5\6", 4);
    fuzz_put(out + n + 8, n_entries, 2);
    fuzz_put(out + n + 10, n_entries, 2);
    fuzz_put(out + n + 12, n - directory, 4);
    fuzz_put(out + n + 16, directory, 4);
    return n + END;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t n_max, unsigned int seed)
{
    fuzz_random r = {seed};
    entry entries[MAX_ENTRIES];
    uint8_t *old = fuzz_copy(data, n);
    size_t n_entries = n <= n_max && fuzz_below(&r, 4) ? read_entries(entries, old, n) : 0, n_new = 0;
    if (n_entries) {
        entry *e = &entries[fuzz_below(&r, fuzz_below(&r, 2) ? 1 : n_entries)]; /* the pickle comes first */
        size_t room = 2 * e->n + 256;
        if (fuzz_below(&r, 4))
            e->n = mutate_pickle(e->content, e->n, room, &r);
        else
            e->n = LLVMFuzzerMutate(e->content, e->n, room);
        if (fuzz_below(&r, 16) == 0) /* one left out */
            entries[fuzz_below(&r, n_entries)].n_name = 0;
        n_new = write_archive(data, n_max, entries, n_entries);
    }
    for (size_t i = 0; i < n_entries; i++)
        free(entries[i].content);
    if (!n_new)
        memcpy(data, old, n);
    free(old);
    return n_new ? n_new : LLVMFuzzerMutate(data, n, n_max);
}

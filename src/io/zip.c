#include "io/zip.h"
#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    END_SIZE = 22,
    LOCATOR_SIZE = 20,
    END64_SIZE = 56,
    ENTRY_SIZE = 46,
    LOCAL_SIZE = 30,
    MAX_COMMENT = 65535,
    ENCRYPTED = 1,
    ZIP64_EXTRA = 1
};

static const uint32_t end_mark = 0x06054b50, end64_mark = 0x06064b50, locator_mark = 0x07064b50,
                      entry_mark = 0x02014b50, local_mark = 0x04034b50, see_zip64 = 0xffffffff;

/* Little-endian numbers; whoever calls has checked that they are there. */
static uint16_t u16(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t u32(const unsigned char *p)
{
    return u16(p) | (uint32_t)u16(p + 2) << 16;
}

static uint64_t u64(const unsigned char *p)
{
    return u32(p) | (uint64_t)u32(p + 4) << 32;
}

static ser_status fail_damaged(ser_error *err, const char *what)
{
    return ser_fail(err, SER_E_FORMAT, "its zip directory is damaged (%s): fetch it again", what);
}

/* Where the directory lies, and how many entries it has. */
typedef struct directory {
    uint64_t at, n_bytes, n_entries;
} directory;

static ser_status find_directory(directory *d, const unsigned char *bytes, size_t n, ser_error *err)
{
    if (n < END_SIZE)
        return fail_damaged(err, "no end record");
    size_t at = n - END_SIZE, lowest = at > MAX_COMMENT ? at - MAX_COMMENT : 0;
    while (at > lowest && u32(bytes + at) != end_mark)
        at--;
    if (u32(bytes + at) != end_mark)
        return fail_damaged(err, "no end record");
    const unsigned char *end = bytes + at;
    *d = (directory){.at = u32(end + 16), .n_bytes = u32(end + 12), .n_entries = u16(end + 10)};
    if (at >= LOCATOR_SIZE && u32(end - LOCATOR_SIZE) == locator_mark) {
        uint64_t at64 = u64(end - LOCATOR_SIZE + 8);
        if (n < END64_SIZE || at64 > n - END64_SIZE || u32(bytes + at64) != end64_mark)
            return fail_damaged(err, "no zip64 end record");
        *d = (directory){.at = u64(bytes + at64 + 48),
                         .n_bytes = u64(bytes + at64 + 40),
                         .n_entries = u64(bytes + at64 + 32)};
    }
    if (d->at > n || d->n_bytes > n - d->at || d->n_entries > d->n_bytes / ENTRY_SIZE)
        return fail_damaged(err, "it lies outside the file");
    return SER_OK;
}

/* What a directory entry says; sizes and offset that do not fit in 32 bits are in the zip64 extra field, in
 * this order. */
static bool read_sizes(uint64_t values[3], const unsigned char *entry, const unsigned char *extra,
                       size_t n_extra)
{
    static const int at[] = {24, 20, 42}; /* size, compressed size, offset */
    const unsigned char *wide = NULL;
    size_t n_wide = 0, used = 0;
    while (n_extra >= 4 && !wide) {
        size_t n = u16(extra + 2);
        if (n > n_extra - 4)
            return false;
        if (u16(extra) == ZIP64_EXTRA) {
            wide = extra + 4;
            n_wide = n;
        }
        extra += 4 + n;
        n_extra -= 4 + n;
    }
    for (int i = 0; i < 3; i++) {
        values[i] = u32(entry + at[i]);
        if (values[i] != see_zip64)
            continue;
        if (n_wide - used < 8)
            return false;
        values[i] = u64(wide + used);
        used += 8;
    }
    return true;
}

static ser_status read_entry(ser_zip_entry *e, const unsigned char *entry, const unsigned char *bytes,
                             size_t n, ser_error *err)
{
    uint64_t values[3];
    size_t n_name = u16(entry + 28), n_extra = u16(entry + 30);
    *e = (ser_zip_entry){.name = (const char *)entry + ENTRY_SIZE, .n_name = n_name};
    if (!read_sizes(values, entry, entry + ENTRY_SIZE + n_name, n_extra))
        return fail_damaged(err, "an extra field");
    if (u16(entry + 8) & ENCRYPTED || u16(entry + 10) != 0 || values[0] != values[1])
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "its entries are compressed or encrypted: only checkpoints as torch.save writes them "
                        "can be read");
    uint64_t at = values[2];
    if (at > n || n - at < LOCAL_SIZE || u32(bytes + at) != local_mark)
        return fail_damaged(err, "an entry's place");
    uint64_t n_head = LOCAL_SIZE + (uint64_t)u16(bytes + at + 26) + u16(bytes + at + 28);
    if (n - at < n_head || values[0] > n - at - n_head)
        return fail_damaged(err, "an entry's size");
    e->data = bytes + at + n_head;
    e->n = (size_t)values[0];
    return SER_OK;
}

static int compare_names(const void *a, const void *b)
{
    const ser_zip_entry *x = a, *y = b;
    int order = memcmp(x->name, y->name, x->n_name < y->n_name ? x->n_name : y->n_name);
    return order ? order : (x->n_name > y->n_name) - (x->n_name < y->n_name);
}

static int compare_places(const void *a, const void *b)
{
    const ser_zip_entry *x = a, *y = b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return (x->n > y->n) - (x->n < y->n);
}

static ser_status check_entries(ser_zip *zip, ser_error *err)
{
    if (zip->n)
        qsort(zip->entries, zip->n, sizeof *zip->entries, compare_places);
    for (size_t i = 1; i < zip->n; i++)
        if (zip->entries[i].data < zip->entries[i - 1].data + zip->entries[i - 1].n)
            return fail_damaged(err, "entries overlap");
    if (zip->n)
        qsort(zip->entries, zip->n, sizeof *zip->entries, compare_names);
    for (size_t i = 1; i < zip->n; i++)
        if (compare_names(&zip->entries[i], &zip->entries[i - 1]) == 0)
            return fail_damaged(err, "two entries of one name");
    return SER_OK;
}

ser_status ser_zip_open(ser_zip *zip, const unsigned char *bytes, size_t n, ser_error *err)
{
    directory d = {0};
    *zip = (ser_zip){0};
    ser_status status = find_directory(&d, bytes, n, err);
    if (status == SER_OK && !(zip->entries = ser_alloc((size_t)d.n_entries, sizeof *zip->entries)))
        status = ser_fail_nomem(err);
    /* A place outside the file is no pointer, not even one that is never followed. */
    const unsigned char *entry = status == SER_OK ? bytes + d.at : bytes;
    size_t n_left = status == SER_OK ? (size_t)d.n_bytes : 0;
    for (; status == SER_OK && zip->n < d.n_entries; zip->n++) {
        size_t n_entry = n_left < ENTRY_SIZE ? 0 : ENTRY_SIZE + (size_t)u16(entry + 28) + u16(entry + 30);
        n_entry += n_entry ? u16(entry + 32) : 0;
        if (!n_entry || n_entry > n_left || u32(entry) != entry_mark)
            status = fail_damaged(err, "an entry");
        else
            status = read_entry(&zip->entries[zip->n], entry, bytes, n, err);
        if (status != SER_OK)
            break;
        entry += n_entry;
        n_left -= n_entry;
    }
    if (status == SER_OK)
        status = check_entries(zip, err);
    if (status != SER_OK)
        ser_zip_release(zip);
    return status;
}

void ser_zip_release(ser_zip *zip)
{
    ser_free(zip->entries);
    *zip = (ser_zip){0};
}

const ser_zip_entry *ser_zip_find(const ser_zip *zip, const char *name, size_t n_name)
{
    ser_zip_entry key = {.name = name, .n_name = n_name};
    return zip->n ? bsearch(&key, zip->entries, zip->n, sizeof key, compare_names) : NULL;
}

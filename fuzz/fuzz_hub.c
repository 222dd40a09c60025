#include "fuzz.h"
#include "net/listing.h"

/* What is listed can be a file's name in one folder, and a hash can be one too. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *copy = fuzz_copy(data, n);
    ser_listing listing;
    ser_listed record;
    if (ser_listing_parse(&listing, copy, n, NULL) == SER_OK)
        for (size_t i = 0; i < listing.n; i++) {
            const ser_listed *f = &listing.files[i];
            if (ser_listing_find(&listing, f->name) != f || strchr(f->name, '/') || f->name[0] == '.' ||
                strchr(f->hash.hex, '/') || strlen(listing.commit) != 40)
                abort();
        }
    ser_listing_release(&listing);
    if (ser_record_parse(&record, "a.zip", copy, n, NULL) == SER_OK && record.hash.kind != SER_HASH_MD5)
        abort();
    free(copy);
    return 0;
}

#include "data/store.h"
#include "base/memory.h"

ser_status ser_store_new(ser_store **out, size_t n, size_t n_copies, size_t n_rows, size_t dims,
                         ser_error *err)
{
    size_t n_all, n_values;
    ser_store *s = *out = ser_alloc(1, sizeof *s);
    if (!s)
        return ser_fail_nomem(err);
    *s = (ser_store){.n = n, .n_copies = n_copies, .n_rows = n_rows, .dims = dims};
    s->recordings = ser_alloc(n, sizeof *s->recordings);
    if (ser_mul_size(&n_all, n, n_rows) && ser_mul_size(&n_values, n_all, dims))
        s->pooled = ser_alloc(n_values, sizeof *s->pooled);
    if (s->recordings && s->pooled)
        return SER_OK;
    ser_store_free(out);
    return ser_fail_nomem(err);
}

void ser_store_free(ser_store **s)
{
    if (!s || !*s)
        return;
    for (size_t i = 0; (*s)->recordings && i < (*s)->n; i++)
        ser_fingerprint_free(&(*s)->recordings[i].fingerprint), ser_free((*s)->recordings[i].warning);
    ser_free((*s)->folder);
    ser_free((*s)->recipe);
    ser_free((*s)->recordings);
    ser_free((*s)->pooled);
    ser_free(*s);
    *s = NULL;
}

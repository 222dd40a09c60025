#include "fuzz.h"
#include "io/textgrid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *copy = fuzz_copy(data, n);
    ser_textgrid g;
    if (ser_textgrid_parse(&g, copy, n, NULL) == SER_OK)
        for (size_t t = 0; t < g.n_tiers; t++)
            if (!g.tiers[t].name || (g.tiers[t].has_points && g.tiers[t].n))
                abort();
    ser_textgrid_release(&g);
    free(copy);
    return 0;
}

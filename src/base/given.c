#include "base/given.h"

#include <string.h>

ser_status ser_take_given(void *own, size_t n_own, size_t n_first, const void *given, ser_error *err)
{
    enum { MOST = 4096 };
    size_t n;
    memcpy(&n, given, sizeof n);
    if (!n)
        n = n_first;
    if (n < sizeof n || n > MOST)
        return ser_fail(err, SER_E_ARG, "the size of a settings struct is %zu: set it to sizeof", n);
    for (size_t i = n_own; i < n; i++)
        if (((const unsigned char *)given)[i])
            return ser_fail(err, SER_E_UNSUPPORTED,
                            "a setting is asked for that version %s does not know: use a newer library",
                            SER_VERSION);
    memcpy(own, given, n < n_own ? n : n_own);
    memcpy(own, &n_own, sizeof n_own);
    return SER_OK;
}

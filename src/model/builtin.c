#include "model/builtin.h"

#ifdef SER_HAS_BUILTIN_MODEL
extern const unsigned char ser_builtin_bytes[], ser_builtin_bytes_end[]; /* builtin.S */
#endif

const void *ser_builtin_model(size_t *n_bytes)
{
#ifdef SER_HAS_BUILTIN_MODEL
    *n_bytes = (size_t)(ser_builtin_bytes_end - ser_builtin_bytes);
    return ser_builtin_bytes;
#else
    *n_bytes = 0;
    return NULL;
#endif
}

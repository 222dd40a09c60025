#include "model/builtin.h"

#ifdef SER_HAS_BUILTIN_MODEL
extern const unsigned char ser_builtin_model_start[], ser_builtin_model_end[]; /* builtin.S */
#endif

const void *ser_builtin_model(size_t *n_bytes)
{
#ifdef SER_HAS_BUILTIN_MODEL
    *n_bytes = (size_t)(ser_builtin_model_end - ser_builtin_model_start);
    return ser_builtin_model_start;
#else
    *n_bytes = 0;
    return NULL;
#endif
}

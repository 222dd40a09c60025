#include "learn/kind.h"

#define ADDRESS(name) &ser_kind_##name,
static const ser_model_kind *const kinds[] = {SER_MODEL_KINDS(ADDRESS) NULL};
#undef ADDRESS

const ser_model_kind *const *ser_model_kinds(void)
{
    return kinds;
}

ser_learned ser_learned_of_model(const ser_model_data *m)
{
    ser_learned l = {.unlike = m->unlike.n_in ? &m->unlike : NULL};
    for (const ser_model_kind *const *k = kinds; *k; k++)
        if ((*k)->load && (*k)->load(&l, &l.own[l.n_kinds], m))
            l.kinds[l.n_kinds++] = *k;
    return l;
}

#include "learn/kind.h"

static const ser_model_kind *const kinds[] = {&ser_kind_linear, &ser_kind_timnet, NULL};

const ser_model_kind *const *ser_model_kinds(void)
{
    return kinds;
}

ser_learned ser_learned_of_model(const ser_model_data *m)
{
    ser_learned l = {0};
    for (const ser_model_kind *const *k = kinds; *k; k++)
        if ((*k)->load && (*k)->load(&l, &l.own[l.n_kinds], m))
            l.kinds[l.n_kinds++] = *k;
    return l;
}

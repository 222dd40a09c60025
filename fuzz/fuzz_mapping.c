#include "corpus/mapping.h"
#include "fuzz.h"

/* A table that was read has a pair, and pairs of known emotions alone. */
static void check(const char *bytes, size_t n, const ser_emotion_list *source, const ser_emotion_list *target)
{
    ser_mapping m;
    if (ser_mapping_read_memory(&m, bytes, n, source, target, NULL) != SER_OK)
        return;
    bool any = target->n == 0;
    for (size_t t = 0; t < m.n_target; t++)
        any = ser_mapping_reaches(&m, t) || any;
    if (!any || m.n_source != source->n || m.n_target != target->n)
        abort();
    ser_mapping_release(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static char *first[] = {"a", "angry", "b", "sad"}, *second[] = {"a", "b", "calm", "sad"};
    const ser_emotion_list source = {"one", first, 4}, target = {"two", second, 4}, bare = {"three", NULL, 0};
    uint8_t *copy = fuzz_copy(data, n);
    check((const char *)copy, n, &source, &target);
    check((const char *)copy, n, &source, &bare);
    free(copy);
    return 0;
}

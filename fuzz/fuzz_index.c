#include "data/index.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *copy = fuzz_copy(data, n);
    ser_tree_index index;
    ser_corpus *corpus = NULL;
    if (ser_tree_index_parse(&index, copy, n, NULL) == SER_OK) {
        for (size_t i = 0; i < index.n_recordings; i++) {
            const ser_tree_recording *r = &index.recordings[i];
            if (ser_tree_index_find(&index, r->utterance) != r || r->utterance[0] == '/' ||
                strncmp(r->utterance, "../", 3) == 0 || strstr(r->utterance, "/../") || !r->n_frames)
                abort();
        }
        if (ser_tree_index_corpus(&corpus, &index, NULL) == SER_OK &&
            (corpus->n_utterances != index.n_recordings || corpus->n_labels < 2))
            abort();
    }
    ser_corpus_free(&corpus);
    ser_tree_index_release(&index);
    free(copy);
    return 0;
}

/* nEMO: I. Christop, "nEMO: Dataset of Emotional Speech in Polish", LREC-COLING 2024. */
#include "corpus/known.h"

#include <ctype.h>
#include <string.h>

/* WR0_surprised_64: speaker, emotion, sentence. */
static bool parse(ser_name_facts *f, const char *name)
{
    static const char *const emotions[][2] = {{"anger", "angry"},     {"fear", "fear"},
                                              {"happiness", "happy"}, {"neutral", "neutral"},
                                              {"sadness", "sad"},     {"surprised", "surprised"}};
    if (!isupper((unsigned char)name[0]) || !isupper((unsigned char)name[1]) ||
        !ser_known_digits(name + 2, 1) || name[3] != '_')
        return false;
    const char *word = name + 4, *end = strchr(word, '_'), *sentence = end ? end + 1 : "";
    size_t n_digits = strlen(sentence);
    int e = 0;
    while (end && e < 6 &&
           (strncmp(word, emotions[e][0], (size_t)(end - word)) != 0 || emotions[e][0][end - word]))
        e++;
    if (!end || e == 6 || n_digits < 1 || n_digits > 3 || !ser_known_digits(sentence, (int)n_digits))
        return false;
    *f = (ser_name_facts){.emotion = emotions[e][1]};
    memcpy(f->speaker, name, 3);
    memcpy(f->text, sentence, n_digits);
    return true;
}

const ser_known_corpus ser_corpus_nemo = {
    .name = "NEMO",
    .folder = "nemo",
    .publisher_name = "nEMO",
    .example = "WR0_surprised_64",
    .emotions = {"angry", "fear", "happy", "neutral", "sad", "surprised"},
    .parse = parse,
    .sound_folder = "samples",
    /* The publisher's data.tsv. */
    .men = "KS0 MP0 SM0 TP0 WR0",
    .women = "EB0 IC0 KD0 MK0",
    .origin = {.terms = "CC BY-NC-SA 4.0; please cite Christop 2024",
               .where = "clone https://github.com/amu-cai/nEMO"},
};

#include "corpus/corpus.h"

#include <ctype.h>
#include <stdbool.h>

typedef struct emotion {
    const char *name;
    const char *spellings[12];
} emotion;

/* As folders of public corpora are called, EMO-DB's German terms among them. */
static const emotion emotions[] = {
    {"angry", {"angry", "anger", "ang", "wut", "ärger", "aerger"}},
    {"boredom", {"boredom", "bored", "bor", "langeweile"}},
    {"calm", {"calm", "calmness"}},
    {"disgust", {"disgust", "disgusted", "dis", "ekel"}},
    {"fear", {"fear", "fearful", "fea", "afraid", "scared", "anxiety", "anxious", "angst"}},
    {"happy", {"happy", "happiness", "hap", "joy", "joyful", "freude"}},
    {"neutral", {"neutral", "neu", "neutrality", "normal"}},
    {"sad", {"sad", "sadness", "trauer"}},
    {"surprised",
     {"surprised", "surprise", "sur", "ps", "pleasant surprise", "pleasant surprised", "surprising"}},
};

static bool is_gap(char c)
{
    return c == '_' || c == '-' || c == ' ';
}

static bool same_spelling(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b) && !(is_gap(*a) && is_gap(*b)))
            return false;
    return *a == *b;
}

const char *ser_emotion_from_spelling(const char *spelling)
{
    for (size_t i = 0; i < sizeof emotions / sizeof *emotions; i++)
        for (const char *const *s = emotions[i].spellings; *s; s++)
            if (same_spelling(spelling, *s))
                return emotions[i].name;
    return NULL;
}

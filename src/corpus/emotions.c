#include "corpus/corpus.h"

#include <ctype.h>
#include <stdbool.h>

typedef struct emotion {
    const char *name;
    const char *spellings[20];
} emotion;

/* As folders of public corpora are called, EMO-DB's German terms (with the adjectives) and CaFE's French ones
 * among them. Accents also as macOS writes them in names of files. */
static const emotion emotions[] = {
    {"angry",
     {"angry", "anger", "ang", "wut", "wütend", "wu\xcc\x88tend", "ärger", "a\xcc\x88rger", "aerger",
      "verärgert", "vera\xcc\x88rgert", "colère", "cole\xcc\x80re"}},
    {"boredom", {"boredom", "bored", "bor", "langeweile", "gelangweilt"}},
    {"calm", {"calm", "calmness"}},
    {"disgust", {"disgust", "disgusted", "dis", "ekel", "angeekelt", "dégoût", "de\xcc\x81gou\xcc\x82t"}},
    {"fear",
     {"fear", "fearful", "fea", "afraid", "scared", "anxiety", "anxious", "angst", "ängstlich",
      "a\xcc\x88ngstlich", "peur"}},
    {"happy",
     {"happy", "happiness", "hap", "joy", "joyful", "freude", "fröhlich", "fro\xcc\x88hlich", "glücklich",
      "glu\xcc\x88"
      "cklich",
      "joie"}},
    {"neutral", {"neutral", "neu", "neutrality", "normal", "neutre"}},
    {"sad", {"sad", "sadness", "trauer", "traurig", "tristesse"}},
    {"surprised",
     {"surprised", "surprise", "sur", "ps", "pleasant surprise", "pleasant surprised", "surprising",
      "überrascht",
      "u\xcc\x88"
      "berrascht"}},
};

/* The character at *s in lower case, behind which *s is then. UTF-8: ASCII, and the letters of Europe's
 * languages up to U+017F, of which each large one lies beside its small one; all other bytes as they are. A
 * no-break space is a blank.
 */
static unsigned lower(const char **s)
{
    const unsigned char *c = (const unsigned char *)*s;
    *s += 1;
    if (c[0] < 0x80)
        return c[0] == '\t' ? ' ' : (unsigned)tolower(c[0]);
    if (c[0] < 0xc2 || c[0] > 0xc5 || (c[1] & 0xc0) != 0x80)
        return c[0];
    *s += 1;
    unsigned letter = (c[0] & 0x1fu) << 6 | (c[1] & 0x3fu);
    if (letter == 0xa0)
        return ' ';
    if (letter >= 0xc0 && letter <= 0xde)
        return letter == 0xd7 ? letter : letter + 0x20;
    bool large_is_odd = (letter >= 0x139 && letter <= 0x148) || (letter >= 0x179 && letter <= 0x17e);
    return letter >= 0x100 && letter % 2 == large_is_odd ? letter + 1 : letter;
}

/* The next character that counts: blanks at the ends do not, several count as one; gaps: '_' and '-' are
 * blanks. */
static unsigned next_letter(const char **s, bool at_start, bool gaps)
{
    unsigned letter = lower(s);
    while (letter == ' ' || (gaps && (letter == '_' || letter == '-'))) {
        const char *behind = *s;
        unsigned next = lower(&behind);
        bool is_blank = next == ' ' || (gaps && (next == '_' || next == '-'));
        if (!is_blank && next && !at_start)
            return ' ';
        letter = next;
        *s = behind;
    }
    return letter;
}

static bool same(const char *a, const char *b, bool gaps)
{
    for (bool at_start = true;; at_start = false) {
        unsigned x = next_letter(&a, at_start, gaps), y = next_letter(&b, at_start, gaps);
        if (x != y || !x)
            return x == y;
    }
}

bool ser_emotion_same_class(const char *a, const char *b)
{
    return same(a, b, false);
}

const char *ser_emotion_from_spelling(const char *spelling)
{
    for (size_t i = 0; i < sizeof emotions / sizeof *emotions; i++)
        for (const char *const *s = emotions[i].spellings; *s; s++)
            if (same(spelling, *s, true))
                return emotions[i].name;
    return NULL;
}

/* EMO-DB: F. Burkhardt et al., "A database of German emotional speech", Interspeech 2005. */
#include "corpus/known.h"

#include <ctype.h>
#include <string.h>

/* 03a01Fa: speaker, text, emotion (the German word's first letter), version. */
static bool parse(ser_name_facts *f, const char *name)
{
    static const char letters[] = "WLEAFTN";
    static const char *const emotions[] = {"angry", "boredom", "disgust", "fear", "happy", "sad", "neutral"};
    if (strlen(name) != 7 || !ser_known_digits(name, 2) || !strchr("ab", name[2]) ||
        !ser_known_digits(name + 3, 2) || !strchr(letters, name[5]) || !islower((unsigned char)name[6]))
        return false;
    *f = (ser_name_facts){.emotion = emotions[strchr(letters, name[5]) - letters]};
    memcpy(f->speaker, name, 2);
    memcpy(f->text, name + 2, 3);
    return true;
}

const ser_known_corpus ser_corpus_emodb = {
    .name = "EMODB",
    .folder = "emodb",
    .publisher_name = "EMO-DB",
    .example = "03a01Fa",
    .emotions = {"angry", "boredom", "disgust", "fear", "happy", "neutral", "sad"},
    .parse = parse,
    .sound_folder = "wav",
    .men = "03 10 11 12 15",
    .women = "08 09 13 14 16",
    /* http://emodb.bilderbar.info/download/ */
    .origin = {.host = "http://emodb.bilderbar.info",
               .archive = "/download/download.zip",
               .terms = "free for research; please cite Burkhardt et al. 2005"},
};

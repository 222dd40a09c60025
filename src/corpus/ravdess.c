/* RAVDESS: S. R. Livingstone, F. A. Russo, "The Ryerson Audio-Visual Database of Emotional Speech and Song",
 * PLoS ONE 13(5), 2018. */
#include "corpus/known.h"

#include <string.h>

/* 03-01-06-01-02-01-12: modality, channel, emotion, intensity, statement, repetition, actor. Modality 02 has
 * no sound; channel 02 is song. */
static bool parse(ser_name_facts *f, const char *name)
{
    static const char *const emotions[] = {"neutral", "calm", "happy",   "sad",
                                           "angry",   "fear", "disgust", "surprised"};
    static const int largest[7] = {3, 2, 8, 2, 2, 2, 24};
    int value[7];
    if (strlen(name) != 20)
        return false;
    for (int i = 0; i < 7; i++) {
        const char *s = name + 3 * i;
        if (!ser_known_digits(s, 2) || (i < 6 && s[2] != '-'))
            return false;
        value[i] = 10 * (s[0] - '0') + s[1] - '0';
        if (value[i] < 1 || value[i] > largest[i])
            return false;
    }
    *f = (ser_name_facts){.emotion = emotions[value[2] - 1], .other_kind = value[1] == 2};
    memcpy(f->speaker, name + 18, 2);
    memcpy(f->text, name + 12, 2);
    return value[0] != 2;
}

const ser_known_corpus ser_corpus_ravdess = {
    .name = "RAVDESS",
    .folder = "ravdess",
    .publisher_name = "RAVDESS",
    .example = "03-01-06-01-02-01-12",
    .other_kind = "songs",
    .emotions = {"angry", "calm", "disgust", "fear", "happy", "neutral", "sad", "surprised"},
    .parse = parse,
    .sound_folder = "Actor_##",
    .men = "01 03 05 07 09 11 13 15 17 19 21 23",
    .women = "02 04 06 08 10 12 14 16 18 20 22 24",
    .counterpart = "EMODB",
    /* The original system's tables. */
    .mappings = {{"EMODB", "RAVDESS",
                  "emotion,counts_as\n"
                  "angry,angry\n"
                  "boredom,neutral\n"
                  "boredom,calm\n"
                  "disgust,disgust\n"
                  "fear,fear\n"
                  "happy,happy\n"
                  "neutral,neutral\n"
                  "sad,sad\n"},
                 {"RAVDESS", "EMODB",
                  "emotion,counts_as\n"
                  "angry,angry\n"
                  "calm,neutral\n"
                  "calm,boredom\n"
                  "disgust,disgust\n"
                  "fear,fear\n"
                  "happy,happy\n"
                  "neutral,neutral\n"
                  "sad,sad\n"
                  "surprised,fear\n"}},
    /* https://zenodo.org/records/1188976 */
    .origin = {.host = "https://zenodo.org",
               .archive = "/api/records/1188976/files/Audio_Speech_Actors_01-24.zip/content",
               .record = "/api/records/1188976",
               .key = "Audio_Speech_Actors_01-24.zip",
               .terms = "CC BY-NC-SA 4.0; please cite Livingstone and Russo 2018"},
};

/* CREMA-D: H. Cao et al., "CREMA-D: Crowd-sourced emotional multimodal actors dataset", IEEE Transactions on
 * Affective Computing 5(4), 2014. */
#include "corpus/known.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* 1001_DFA_ANG_XX: actor, sentence, emotion, level (low, middle, high, not stated: XX; of one recording, X).
 */
static bool parse(ser_name_facts *f, const char *name)
{
    static const char *const sentences[] = {"IEO", "TIE", "IOM", "IWW", "TAI", "MTI",
                                            "IWL", "ITH", "DFA", "ITS", "TSI", "WSI"};
    static const char *const emotions[][2] = {{"ANG", "angry"}, {"DIS", "disgust"}, {"FEA", "fear"},
                                              {"HAP", "happy"}, {"NEU", "neutral"}, {"SAD", "sad"}};
    static const char *const levels[] = {"LO", "MD", "HI", "XX", "X"};
    if (strlen(name) < 14 || !ser_known_digits(name, 4) || name[4] != '_' || name[8] != '_' ||
        name[12] != '_')
        return false;
    int sentence = 0, emotion = 0, level = 0;
    while (sentence < 12 && strncmp(name + 5, sentences[sentence], 3) != 0)
        sentence++;
    while (emotion < 6 && strncmp(name + 9, emotions[emotion][0], 3) != 0)
        emotion++;
    while (level < 5 && strcmp(name + 13, levels[level]) != 0)
        level++;
    if (sentence == 12 || emotion == 6 || level == 5)
        return false;
    *f = (ser_name_facts){.emotion = emotions[emotion][1]};
    memcpy(f->speaker, name, 4);
    memcpy(f->text, name + 5, 3);
    return true;
}

/* Beside AudioWAV lie the same recordings as AudioMP3. */
static bool is_folder(const char *name, size_t n)
{
    return n == 0 || (n == 8 && strncasecmp(name, "AudioWAV", 8) == 0);
}

/* The publisher's VideoDemographics.csv. */
static ser_sex sex(const char *speaker)
{
    static const short women[] = {1002, 1003, 1004, 1006, 1007, 1008, 1009, 1010, 1012, 1013, 1018,
                                  1020, 1021, 1024, 1025, 1028, 1029, 1030, 1037, 1043, 1046, 1047,
                                  1049, 1052, 1053, 1054, 1055, 1056, 1058, 1060, 1061, 1063, 1072,
                                  1073, 1074, 1075, 1076, 1078, 1079, 1082, 1084, 1089, 1091};
    long actor = strlen(speaker) == 4 && ser_known_digits(speaker, 4) ? strtol(speaker, NULL, 10) : 0;
    if (actor < 1001 || actor > 1091)
        return SER_SEX_UNKNOWN;
    for (size_t i = 0; i < sizeof women / sizeof *women; i++)
        if (actor == women[i])
            return SER_SEX_FEMALE;
    return SER_SEX_MALE;
}

const ser_known_corpus ser_corpus_cremad = {
    .name = "CREMAD",
    .folder = "cremad",
    .publisher_name = "CREMA-D",
    .example = "1001_DFA_ANG_XX",
    .emotions = {"angry", "disgust", "fear", "happy", "neutral", "sad"},
    .parse = parse,
    .is_folder = is_folder,
    .sex = sex,
    .votes = "voice_votes.csv",
    .misnamed = {"1040_ITH_SAD_X", "1040_ITH_SAD_XX"},
    .origin = {.terms = "Open Database License 1.0; please cite Cao et al. 2014",
               .where = "clone https://github.com/CheyneyComputerScience/CREMA-D (with Git LFS)"},
};

/* CREMA-D: H. Cao et al., "CREMA-D: Crowd-sourced emotional multimodal actors dataset", IEEE Transactions on
 * Affective Computing 5(4), 2014. */
#include "corpus/known.h"

#include <string.h>

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

const ser_known_corpus ser_corpus_cremad = {
    .name = "CREMAD",
    .folder = "cremad",
    .publisher_name = "CREMA-D",
    .example = "1001_DFA_ANG_XX",
    .emotions = {"angry", "disgust", "fear", "happy", "neutral", "sad"},
    .parse = parse,
    .sound_folder = "AudioWAV", /* beside it lie the same recordings as AudioMP3 */
    /* The publisher's VideoDemographics.csv. */
    .men = "1001 1005 1011 1014 1015 1016 1017 1019 1022 1023 1026 1027 1031 1032 1033 1034 1035 "
           "1036 1038 1039 1040 1041 1042 1044 1045 1048 1050 1051 1057 1059 1062 1064 1065 1066 "
           "1067 1068 1069 1070 1071 1077 1080 1081 1083 1085 1086 1087 1088 1090",
    .women = "1002 1003 1004 1006 1007 1008 1009 1010 1012 1013 1018 1020 1021 1024 1025 1028 1029 "
             "1030 1037 1043 1046 1047 1049 1052 1053 1054 1055 1056 1058 1060 1061 1063 1072 1073 "
             "1074 1075 1076 1078 1079 1082 1084 1089 1091",
    .votes = "voice_votes.csv",
    .misnamed = {"1040_ITH_SAD_X", "1040_ITH_SAD_XX"},
    .origin = {.terms = "Open Database License 1.0; please cite Cao et al. 2014",
               .where = "clone https://github.com/CheyneyComputerScience/CREMA-D (with Git LFS)"},
};

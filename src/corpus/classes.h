/* How folders that no publisher laid out tell emotions: "angry/x.wav"; "train/angry/x.wav" and
 * "0003/Angry/x.wav", where fewer recordings lie in emotions' folders of the first level; "OAF_angry/x.wav",
 * where no folder is one's as a whole. */
#ifndef SER_CORPUS_CLASSES_H
#define SER_CORPUS_CLASSES_H

#include "corpus/draft.h"

enum { SER_SPEAKERS_IN_NAMES = -1, SER_NO_SPEAKERS = -2 };

typedef struct ser_class_scheme {
    int level;         /* of the folders that are the classes, 0: the first */
    bool named;        /* most are named as emotions; else they are classes of their own */
    bool at_end;       /* the emotion is one end of the name, "OAF_angry" */
    int speaker_level; /* of the folders that are the speakers, or one of the above */
} ser_class_scheme;

/* files: relative to the corpus's folder, with '/'. */
ser_status ser_class_scheme_find(ser_class_scheme *out, char **files, size_t n, ser_error *err);
/* What the scheme says of a file; free with ser_free. NULL: nothing. */
ser_status ser_class_scheme_apply(const ser_class_scheme *s, char **label, char **speaker, const char *file,
                                  ser_error *err);
/* Whether all folders that a file lies in are parts of a corpus, such as "train" or "wav". */
bool ser_class_is_in_parts(const char *file);
/* What was taken for an emotion, and why, where that is not the first level's folders by their names. */
ser_status ser_class_scheme_warn(const ser_class_scheme *s, ser_draft *d, char **files, size_t n,
                                 ser_error *err);

#endif

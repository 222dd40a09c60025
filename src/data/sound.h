/* The files of a corpus's recordings: each is read and hashed once, and decoded once where its sound is asked
 * for, whatever is wanted of the recordings in it. */
#ifndef SER_DATA_SOUND_H
#define SER_DATA_SOUND_H

#include "base/team.h"
#include "corpus/corpus.h"

typedef struct ser_sound_file ser_sound_file;

/* The sound of one recording: its file, or a stretch of it. */
typedef struct ser_sound {
    const ser_utterance *utterance;
    ser_sound_file *file;
    size_t n_samples; /* after ser_sound_decode */
    const float *pcm; /* (n_samples): 16 kHz mono, the file's */
    char content[65]; /* after ser_sound_hash: the file's sha256; of a stretch, what stands for both */
    char beyond[80];  /* after ser_sound_decode: of a stretch that ends behind its file's end; else empty */
} ser_sound;

ser_status ser_sound_hash(ser_sound *s, ser_error *err);
/* SER_E_FORMAT also for a stretch that lies beyond the end, or is shorter than SER_MIN_SAMPLES. */
ser_status ser_sound_decode(ser_sound *s, ser_error *err);
/* After ser_sound_decode: empty, or what there is to tell of the stretch, or by the decoder of the whole
 * file. */
const char *ser_sound_warning(const ser_sound *s);

/* One recording; worker as in ser_parallel_for. What was asked for is there until the next recording. */
typedef ser_status (*ser_sound_work)(void *context, size_t utterance, ser_sound *sound, int worker,
                                     ser_error *err);

/* Calls work for every utterance: files side by side in n_threads threads (0: all cores), the recordings of a
 * file one after the other. A failure ends it. */
ser_status ser_sound_for_each(const ser_corpus *corpus, int n_threads, ser_sound_work work, void *context,
                              ser_error *err);

/* The files dealt over the ranks of a team, or with a watch alone: what ended the program before is tried by
 * itself, and not for ever. */
typedef struct ser_sound_deal {
    const ser_team *team;   /* NULL: this process alone */
    const ser_watch *watch; /* NULL: nobody notes anything */
    int n_threads;          /* of this rank; 0: all cores */
    /* As ser_sound_work, on whichever rank; appends what rank 0 is to know. */
    ser_status (*work)(void *context, size_t utterance, ser_sound *sound, int worker, ser_text *answer,
                       ser_error *err);
    /* On rank 0, one at a time: what work told; why the recording is not tried. NULL: nobody asks. */
    ser_status (*take)(void *context, size_t utterance, const void *answer, size_t n, ser_error *err);
    ser_status (*refuse)(void *context, size_t utterance, const ser_error *why, ser_error *err);
    void *context;
    const ser_progress *progress; /* counts files */
    const char *what;
} ser_sound_deal;
ser_status ser_sound_share_out(const ser_corpus *corpus, const ser_sound_deal *deal, ser_error *err);

#endif

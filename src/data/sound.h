/* The files of a corpus's recordings: each is read and hashed once, and decoded once where its sound is asked
 * for, whatever is wanted of the recordings in it. */
#ifndef SER_DATA_SOUND_H
#define SER_DATA_SOUND_H

#include "corpus/corpus.h"

typedef struct ser_sound_file ser_sound_file;

/* The sound of one recording: its file, or a stretch of it. */
typedef struct ser_sound {
    const ser_utterance *utterance;
    ser_sound_file *file;
    size_t n_samples; /* after ser_sound_decode */
    const float *pcm; /* (n_samples): 16 kHz mono, the file's */
    char content[65]; /* after ser_sound_hash: the file's sha256; of a stretch, what stands for both */
} ser_sound;

ser_status ser_sound_hash(ser_sound *s, ser_error *err);
/* SER_E_FORMAT also for a stretch that lies beyond the end, or is shorter than SER_MIN_SAMPLES. */
ser_status ser_sound_decode(ser_sound *s, ser_error *err);
/* Empty, or what the decoder has to tell of the whole file. */
const char *ser_sound_warning(const ser_sound *s);

/* One recording; worker as in ser_parallel_for. What was asked for is there until the next recording. */
typedef ser_status (*ser_sound_work)(void *context, size_t utterance, ser_sound *sound, int worker,
                                     ser_error *err);

/* Calls work for every utterance: files side by side in n_threads threads (0: all cores), the recordings of a
 * file one after the other. A failure ends it. */
ser_status ser_sound_for_each(const ser_corpus *corpus, int n_threads, ser_sound_work work, void *context,
                              ser_error *err);

#endif

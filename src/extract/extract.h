/* From a recording of any length to the frames that a feature specification asks for.
 *
 * Recordings longer than 30 s are read in windows of 30 s with 5 s of overlap, joined in the overlap's
 * middle, so that memory does not grow with the length. All parts share one clock: frame i stands for the hop
 * that starts at sample hop * i, and the longer part is cut to the shorter one's length. */
#ifndef SER_EXTRACT_EXTRACT_H
#define SER_EXTRACT_EXTRACT_H

#include "extract/spec.h"

enum { SER_WINDOW_SAMPLES = 30 * SER_SAMPLE_RATE_HZ, SER_WINDOW_OVERLAP = 5 * SER_SAMPLE_RATE_HZ };

typedef struct ser_extractor ser_extractor; /* tables and the encoder: read-only, shared by threads */
typedef struct ser_extractor_work ser_extractor_work; /* belongs to one thread */

/* encoder (NULL when the specification has none) is borrowed and must outlive *out. Layers must be chosen.
 * SER_E_ARG: a layer that the encoder has not; a hop other than the encoder's beside one. */
ser_status ser_extractor_new(ser_extractor **out, const ser_feature_spec *spec, const ser_encoder *encoder,
                             ser_error *err);
/* The same with several encoders: encoders (n) in the order of the specification's encoder parts, see
 * ser_feature_spec_part_of. */
ser_status ser_extractor_new_joined(ser_extractor **out, const ser_feature_spec *spec,
                                    const ser_encoder *const *encoders, size_t n_encoders, ser_error *err);
void ser_extractor_free(ser_extractor **e);
ser_status ser_extractor_work_new(ser_extractor_work **out, const ser_extractor *e, int n_threads,
                                  ser_error *err);
void ser_extractor_work_free(ser_extractor_work **w);
int ser_extractor_work_threads(const ser_extractor_work *w);

const ser_feature_spec *ser_extractor_spec(const ser_extractor *e);
size_t ser_extractor_dims(const ser_extractor *e);
double ser_extractor_frames_per_s(const ser_extractor *e);

/* A frame is made of blocks: one per LOGMEL, MFCC or hidden state. offset within the frame, dims of the
 * block. */
size_t ser_extractor_n_blocks(const ser_extractor *e);
void ser_extractor_block(const ser_extractor *e, size_t block, size_t *offset, size_t *dims);
bool ser_extractor_block_is_encoder(const ser_extractor *e, size_t block);
/* x (n, dims): all frames of a recording. Where they come from an encoder, its mean over time in all of them.
 */
void ser_extractor_pool_encoder(const ser_extractor *e, float *x, size_t n);

/* Where samples come from: fills pcm with up to n_max, *n_read < n_max only at the end. rewind goes back to
 * the start; it is called at most once, and only for recordings of more than one window. */
typedef struct ser_pcm_source {
    ser_status (*read)(void *context, float *pcm, size_t n_max, size_t *n_read, ser_error *err);
    ser_status (*rewind)(void *context, ser_error *err);
    void *context;
} ser_pcm_source;

/* Consecutive frames. A frame is active when the sound around it is within 35 dB of the loudest in its
 * window: statistics over active frames do not change with the silence before and after an utterance. */
typedef struct ser_frames {
    const float *x;              /* (n, dims) */
    const unsigned char *active; /* (n) */
    size_t n;
} ser_frames;

/* Receives the frames of one window after the other. */
typedef ser_status (*ser_frames_fn)(void *context, const ser_frames *frames, ser_error *err);

ser_status ser_extract(const ser_extractor *e, ser_extractor_work *w, const ser_pcm_source *source,
                       ser_frames_fn receive, void *context, ser_error *err);

/* One window that the caller cut, of 1 to SER_WINDOW_SAMPLES samples: all of its frames, which live until the
 * next call. Log-mel is clamped 80 dB below the window's largest power, or below log_mel_max where that is
 * more: that of the sound around the window. */
ser_status ser_extract_window(const ser_extractor *e, ser_extractor_work *w, const float *pcm,
                              size_t n_samples, float log_mel_max, ser_frames *frames, ser_error *err);
/* Of one, frames from ... to - 1 alone, which takes less time; fewer where the window ends before. */
typedef struct ser_cut {
    const float *pcm;
    size_t n_samples;
    float log_mel_max;
    size_t from, to;
    ser_frames frames;
    uint64_t start, end; /* for whoever cuts */
} ser_cut;
/* Where frames lie, and what they are made of: it grows with the longest window. A zeroed one is empty. */
typedef struct ser_frame_room {
    float *part[SER_MAX_PARTS]; /* (capacity, dims of the part) */
    float *log_mel;             /* (capacity, SER_LOGMEL_DIMS), for LOGMEL and MFCC */
    float *frames;              /* (capacity, dims): the parts side by side */
    float *level;               /* (capacity): mean square around each frame */
    unsigned char *active;      /* (capacity) */
    size_t capacity;
} ser_frame_room;
/* The frames live until room is used again; NULL: until the next call. */
ser_status ser_extract_cut(const ser_extractor *e, ser_extractor_work *w, ser_cut *cut, ser_frame_room *room,
                           ser_error *err);
void ser_frame_room_release(ser_frame_room *r);
/* Whether log_mel_max matters. */
bool ser_extractor_has_log_mel(const ser_extractor *e);
/* A window's largest power. */
ser_status ser_extract_log_mel_max(const ser_extractor *e, ser_extractor_work *w, const float *pcm,
                                   size_t n_samples, float *max, ser_error *err);

/* A source over samples in memory. The struct must live as long as the source. */
typedef struct ser_pcm_memory {
    const float *pcm;
    size_t n_samples, at;
} ser_pcm_memory;
ser_pcm_source ser_pcm_from_memory(ser_pcm_memory *m);

#endif

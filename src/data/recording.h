/* The features of one recording, of its altered copies, and of it under a bad condition: out of a feature
 * tree, out of the cache, or computed and kept there. */
#ifndef SER_DATA_RECORDING_H
#define SER_DATA_RECORDING_H

#include "base/progress.h"
#include "data/condition.h"
#include "data/sound.h"
#include "data/store.h"
#include "data/tree.h"

typedef struct ser_intake_settings {
    const ser_extractor *extractor;
    const char *features_key; /* what decides the features' values beside the specification: encoder,
                                 precision, engine */
    size_t n_copies;          /* altered copies of each recording */
    ser_condition condition;  /* not NONE: one row more per recording, under this condition */
    uint64_t seed;            /* of the copies and the condition */
    int n_threads;            /* 0: all cores; one file each */
    const char *folder;       /* where to keep what was computed; NULL: nowhere */
    const ser_tree *tree;     /* features on disk, or NULL */
    bool without_audio;       /* the corpus is the tree's: there are no recordings to read */
    bool pool_encoder;        /* see ser_feature_spec */
    ser_progress progress;
    const ser_team *team;   /* whose ranks share what is to be computed, by folder; NULL: no others */
    const ser_watch *watch; /* notes what is worked on; NULL: nobody does */
} ser_intake_settings;

/* Rows of a recording: itself, its copies, the one under the condition. */
static inline size_t ser_features_n_rows(const ser_intake_settings *s)
{
    return 1 + s->n_copies + (s->condition != SER_CONDITION_NONE);
}

/* One recording under way. */
typedef struct ser_recording_features {
    const ser_intake_settings *settings;
    ser_sound *sound;
    char content[65]; /* the sound's, or what the tree says of it */
    char sha256[65];  /* of its samples: after ser_features_describe */
    bool in_tree;
    ser_tree_entry entry; /* of the tree */
} ser_recording_features;

/* Finds the recording in the tree; only what was made of the same file is taken. Release it in any case. */
ser_status ser_features_open(ser_recording_features *f, const ser_intake_settings *settings, ser_sound *sound,
                             ser_error *err);
void ser_features_release(ser_recording_features *f);

/* The samples' hash and number, and the fingerprint. */
ser_status ser_features_describe(ser_recording_features *f, ser_recording *r, ser_error *err);

/* The frames of a row: out of the tree, else computed. */
ser_status ser_features_frames(ser_recording_features *f, size_t row, ser_extractor_work *work,
                               ser_frames_fn receive, void *context, ser_error *err);

/* Where a block of a row is kept; NULL: nowhere. Blocks are kept one by one, so that another choice of layers
 * finds what is there. */
char *ser_features_cache_path(const ser_recording_features *f, const char *kind, size_t row, size_t block);

/* Pooled statistics (ser_pooled_dims) of a row in the cache. */
bool ser_features_read_pooled(const ser_recording_features *f, size_t row, float *pooled);
void ser_features_write_pooled(const ser_recording_features *f, size_t row, const float *pooled);

#endif

/* The recordings of a corpus, their altered copies and their frames, in parallel: what the store of pooled
 * statistics and the set of frames have in common. */
#ifndef SER_DATA_INTAKE_H
#define SER_DATA_INTAKE_H

#include "data/store.h"
#include "model/pooled.h"

/* What belongs to one thread. */
typedef struct ser_intake_worker {
    ser_extractor_work *work;
    ser_pooling pool;
    ser_frame_buffer frames;
    float *pooled, *scratch; /* ser_pooled_dims each */
} ser_intake_worker;

/* One recording under way. */
typedef struct ser_intake_item {
    const ser_store_settings *settings;
    size_t utterance;
    const char *path;
    char file_sha256[65];
    ser_recording *recording;
    bool in_tree;
    ser_tree_entry entry; /* of the tree */
    float *pcm;           /* NULL until it has to be decoded */
    size_t n_samples;
} ser_intake_item;

/* Fills row 0 ... n_rows-1 of an item: finds it on disk, or computes it and sets *computed. */
typedef ser_status (*ser_intake_fill)(void *context, ser_intake_item *item, size_t row,
                                      ser_intake_worker *worker, bool *computed, ser_error *err);

/* Fills recordings (one per utterance) and calls fill for all rows of all. A failure's text begins with the
 * recording's path. */
ser_status ser_intake_run(ser_recording *recordings, size_t *n_computed, const ser_corpus *corpus,
                          const ser_store_settings *settings, ser_intake_fill fill, void *context,
                          ser_error *err);

size_t ser_intake_n_rows(const ser_store_settings *s);

/* The frames of a row, out of the tree (row 0 of an item that is in it) or computed. */
ser_status ser_intake_frames(ser_intake_item *item, size_t row, ser_intake_worker *worker,
                             ser_frames_fn receive, void *context, ser_error *err);

/* Where a block of a row is kept; NULL: nowhere. Blocks are kept one by one, so that another choice of layers
 * finds what is there. */
char *ser_intake_cache_path(const ser_intake_item *item, const char *kind, size_t row, size_t block);

/* Pooled statistics (ser_pooled_dims) of a row in the cache. */
bool ser_intake_read_pooled(const ser_intake_item *item, size_t row, float *pooled);
void ser_intake_write_pooled(const ser_intake_item *item, size_t row, const float *pooled);

#endif

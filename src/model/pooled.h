/* One vector per recording: for each block of the frames its means, then its standard deviations over time.
 */
#ifndef SER_MODEL_POOLED_H
#define SER_MODEL_POOLED_H

#include "extract/extract.h"
#include "model/pool.h"

static inline size_t ser_pooled_dims(const ser_extractor *e)
{
    return 2 * ser_extractor_dims(e);
}

/* Adds the active frames. */
void ser_pooled_add(ser_pool *pool, const ser_frames *frames);

/* pooled (ser_pooled_dims); scratch likewise. Block b of offset o and d dims fills pooled[2 o ... 2 (o + d)).
 */
void ser_pooled_finish(const ser_extractor *e, const ser_pool *pool, float *pooled, float *scratch);

#endif

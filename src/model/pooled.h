/* One vector per recording. For each block of the frames (a hidden state, log-mel, ...) it holds four
 * statistics over time: mean and standard deviation of all frames, then mean and standard deviation of the
 * active frames. All frames travel better from corpus to corpus, active ones bear silence around the
 * utterance. */
#ifndef SER_MODEL_POOLED_H
#define SER_MODEL_POOLED_H

#include "extract/extract.h"
#include "model/pool.h"
#include <stdbool.h>

enum { SER_N_STATISTICS = 4 };

/* Whether a statistic, 0 ... 3 in the order above, is a deviation, and whether it is of active frames. */
static inline bool ser_statistic_is_spread(size_t statistic)
{
    return statistic % 2 == 1;
}

static inline bool ser_statistic_is_active(size_t statistic)
{
    return statistic >= 2;
}

static inline size_t ser_pooled_dims(const ser_extractor *e)
{
    return SER_N_STATISTICS * ser_extractor_dims(e);
}

typedef struct ser_pooling {
    ser_pool all, active;
} ser_pooling;

ser_status ser_pooling_init(ser_pooling *p, size_t dims, ser_error *err);
void ser_pooling_release(ser_pooling *p);
void ser_pooling_clear(ser_pooling *p);
void ser_pooling_merge(ser_pooling *p, const ser_pooling *other);
void ser_pooling_add(ser_pooling *p, const ser_frames *frames);

/* pooled (ser_pooled_dims); scratch (ser_pooled_dims). There must be an active frame. The block of offset o
 * and dims d fills pooled[4 o ... 4 (o + d)). */
void ser_pooling_finish(const ser_extractor *e, const ser_pooling *p, float *pooled, float *scratch);

#endif

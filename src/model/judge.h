/* What turns frames into an answer: a model, what the session knows of the voice, and working memory. Belongs
 * to one thread. */
#ifndef SER_MODEL_JUDGE_H
#define SER_MODEL_JUDGE_H

#include "audio/quality.h"
#include "model/baseline.h"
#include "model/model_file.h"
#include "model/timeline.h"
#include "model/voice_activity.h"

/* A zeroed struct can be released. Model, extractor and voice network are borrowed. */
typedef struct ser_judge {
    const ser_model_data *model;
    const ser_extractor *extractor;
    ser_extractor_work *work;
    float *pooled, *scratch;   /* ser_pooled_dims each */
    ser_nn_work *nn;           /* of the networks */
    ser_timnet_scorer *scorer; /* theirs */
    float *condensed;          /* frames as they read them */
    size_t condensed_capacity;
    ser_baseline baseline;
    float unlike;                 /* of what ser_judge_voice judged last, in reaches; 0: not measured */
    ser_voice_detector *detector; /* says where there is a voice to be judged */
    ser_quality *quality;         /* of the recording that is heard */
} ser_judge;

/* ops: of the networks, or NULL where the model has none. n_threads: inside one recording; 0: all cores. */
ser_status ser_judge_init(ser_judge *j, const ser_model_data *model, const ser_extractor *extractor,
                          const ser_voice_network *voice, const ser_nn_ops *ops, int n_threads,
                          ser_error *err);
void ser_judge_release(ser_judge *j);

/* What the linear part reads of frames: pooled (ser_pooled_dims). There must be an active one. */
void ser_judge_pool(ser_judge *j, const ser_pooling *frames, float *pooled);
/* A stretch in which somebody speaks: changes nothing that later answers depend on. Beyond the model's reach
 * scores are evened out (model/unlike.h). */
ser_status ser_judge_voice(ser_judge *j, const ser_stretch *stretch, float *scores, int *label,
                           ser_error *err);
/* A recording with a voice in it joins the baseline, where that follows. */
void ser_judge_hear(ser_judge *j, const ser_pooling *recording);
static inline bool ser_judge_follows(const ser_judge *j)
{
    return j->baseline.heard != NULL;
}

#endif

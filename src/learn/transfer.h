/* Learning for a target whose recordings are there, but not what they express. */
#ifndef SER_LEARN_TRANSFER_H
#define SER_LEARN_TRANSFER_H

#include "learn/learn.h"

/* The linear part of ser_learn where there is a transfer: fills linear and adapted. */
ser_status ser_learn_projection(ser_learned *out, const ser_learn_data *source, const int *fold,
                                int test_fold, const ser_learn_settings *settings, const char *what,
                                ser_error *err);

#endif

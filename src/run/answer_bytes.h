/* The answer for a recording as bytes, for a journal or another process of the same program. */
#ifndef SER_RUN_ANSWER_BYTES_H
#define SER_RUN_ANSWER_BYTES_H

#include "base/text.h"

/* r NULL: failure says why not. */
void ser_answer_pack(ser_text *t, const ser_result *r, const ser_error *failure);
/* *failed: there is no result, and failure is filled. SER_E_FORMAT: the bytes are no answer. r is to be
 * released. */
ser_status ser_answer_unpack(ser_result *r, ser_error *failure, bool *failed, const void *bytes, size_t n,
                             ser_error *err);

#endif

/* Windows that threads of their own compute while whoever cuts them goes on. They come back in their order.
 */
#ifndef SER_EXTRACT_CUTS_H
#define SER_EXTRACT_CUTS_H

#include "extract/extract.h"

/* What becomes of a cut when its turn has come: in the thread that posted it, within a call of this header.
 */
typedef ser_status (*ser_cut_fn)(void *context, const ser_cut *cut, ser_error *err);

typedef struct ser_cuts ser_cuts; /* belongs to one thread */

/* Windows of at most max_samples. e and w are borrowed. apart: by as many threads as w has, this one among
 * them, each of which takes a window alone: that takes the processors less time than several in one. Else,
 * and where w has one thread, each is computed with w and handed on as soon as it is posted. */
ser_status ser_cuts_new(ser_cuts **out, const ser_extractor *e, ser_extractor_work *w, bool apart,
                        size_t max_samples, ser_error *err);
/* What has not come back yet never does. */
void ser_cuts_free(ser_cuts **cuts);

/* Samples are copied where they are needed later; a cut without any is handed on in its turn as it is. A
 * failure is that of this cut or of an earlier one, after which nothing but ser_cuts_free is of use. */
ser_status ser_cuts_post(ser_cuts *c, const ser_cut *cut, ser_cut_fn receive, void *context, ser_error *err);
/* Until all have come back. */
ser_status ser_cuts_drain(ser_cuts *c, ser_error *err);

#endif

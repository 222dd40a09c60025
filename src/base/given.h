/* Structs that a program fills, of whatever version of a public header it was built with. */
#ifndef SER_BASE_GIVEN_H
#define SER_BASE_GIVEN_H

#include "base/status.h"

/* Up to which field a struct reached when version 1 of the interface began. */
#define SER_FIRST_SIZE(type, last) (offsetof(type, last) + sizeof(((type *)0)->last))

/* own (n_own bytes, filled with defaults) receives what the caller gave, who may have been built with an
 * older header, whose struct is shorter, or with a newer one: then what this library does not know must be 0.
 */
ser_status ser_take_given(void *own, size_t n_own, size_t n_first, const void *given, ser_error *err);

#endif

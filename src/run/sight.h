/* What a rank sees of files, as text for ser_team.compare, which then names the first that is another: their
 * number of bytes, and what they begin and end with. */
#ifndef SER_RUN_SIGHT_H
#define SER_RUN_SIGHT_H

#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>

/* Whether file i of n is looked at: all of a few, some hundred of many, evenly. */
bool ser_sight_takes(size_t i, size_t n);
/* A line with a tab behind the name. A file that is not there is told as such. */
void ser_sight_add(ser_text *t, const char *name, const char *path);

#endif

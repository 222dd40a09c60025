/* What somebody may have meant. */
#ifndef SER_BASE_SPELLING_H
#define SER_BASE_SPELLING_H

#include <stdbool.h>

/* How many letters are wrong, missing, too many or swapped with a neighbour (Damerau 1964, optimal string
 * alignment), case ignored; 255 where either text is longer than 63 bytes. */
unsigned ser_spelling_distance(const char *a, const char *b);
/* Whether somebody who typed word may have meant candidate: few wrong letters, or its beginning. */
bool ser_spelling_near(const char *word, const char *candidate, unsigned *distance);

#endif

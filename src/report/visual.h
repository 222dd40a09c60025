/* Text in the order in which it is seen, for what draws one letter after the other from left to right. */
#ifndef SER_REPORT_VISUAL_H
#define SER_REPORT_VISUAL_H

#include "base/text.h"

/* Appends s, a line of UTF-8 in the order in which it is read: Hebrew and Arabic from right to left within a
 * line that goes from left to right, with numbers in them as they are and brackets mirrored (the part of
 * Unicode's bidirectional algorithm, UAX #9, that names and labels need), and Arabic letters in the forms in
 * which they join (Unicode's Arabic Presentation Forms). Text of other scripts stays as it is. */
void ser_append_visual(ser_text *t, const char *s);

#endif

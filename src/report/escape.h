/* Text from anywhere (file names, labels, other people's reports) made safe for where it is shown: JSON, XML
 * and HTML, a terminal. Whatever the bytes are, the result is valid UTF-8. */
#ifndef SER_REPORT_ESCAPE_H
#define SER_REPORT_ESCAPE_H

#include "base/text.h"
#include "io/json.h"
#include <stdint.h>

/* The next character of a 0-terminated text, which is moved past it; U+FFFD, and one byte further, where the
 * bytes are not valid UTF-8 (RFC 3629: no surrogates, no overlong forms). 0 at the end, without moving. */
uint32_t ser_utf8_next(const char **s);
void ser_utf8_append(ser_text *t, uint32_t character);
/* All characters of s. */
void ser_utf8_append_clean(ser_text *t, const char *s);

json_t *ser_text_json(const char *s);
json_t *ser_number_json(double x); /* null for what is not finite */

/* A JSON string (RFC 8259) with its quotes. */
void ser_append_json(ser_text *t, const char *s);
/* A field of CSV: a reader that expects UTF-8 would give up on the whole file because of one name that is
 * not.
 */
void ser_append_csv(ser_text *t, const char *s);
/* Text content or the value of a quoted attribute, in XML 1.0 and HTML. Control characters, and those that
 * turn the direction of a text, become U+FFFD. */
void ser_append_xml(ser_text *t, const char *s);
/* One line without control characters (a file name must not move the cursor or start a new message): each
 * becomes '?'. Longer than max_columns: cut, with "…" ("..." without utf8) at its end; 0: no limit. */
void ser_append_line(ser_text *t, const char *s, size_t max_columns, bool utf8);

/* Whole lines and their tabs, each other control character as '?'. */
void ser_append_shown(ser_text *t, const char *s);

/* Width on a terminal: 2 for East Asian wide characters, 0 for combining marks. */
size_t ser_columns(const char *s);
size_t ser_character_columns(uint32_t character);

#endif

/* Which font has a text's letters. cairo draws a text in one, and leaves boxes where that has none. */
#ifndef SER_REPORT_FONTS_H
#define SER_REPORT_FONTS_H

enum { SER_FONT_FAMILY = 128 };

/* "DejaVu Sans", in which pictures are drawn the same everywhere; for scripts that it does not have (Chinese,
 * Japanese, Korean, Devanagari, ...) the family that fontconfig finds on this machine. */
void ser_font_family(char family[SER_FONT_FAMILY], const char *text);

#endif

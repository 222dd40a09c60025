#include "report/fonts.h"
#include "report/escape.h"

#include <fontconfig/fontconfig.h>
#include <stdbool.h>
#include <stdio.h>

static const char usual[] = "DejaVu Sans";

/* The blocks of which DejaVu Sans has nearly all: Latin to Arabic, Georgian, signs, presentation forms. */
static bool is_usual(uint32_t c)
{
    return c < 0x0780 || (c >= 0x10A0 && c < 0x1100) || (c >= 0x1D00 && c < 0x2C00) ||
           (c >= 0xFB00 && c < 0xFF00) || c == 0xFFFD;
}

/* Of the letters that the usual font lacks; NULL: there are none, or no memory. */
static FcCharSet *letters_of(const char *text)
{
    FcCharSet *letters = NULL;
    uint32_t c;
    while ((c = ser_utf8_next(&text)) != 0) {
        if (is_usual(c))
            continue;
        if (!letters)
            letters = FcCharSetCreate();
        if (letters)
            FcCharSetAddChar(letters, c); /* without memory: one fewer to look for */
    }
    return letters;
}

void ser_font_family(char family[SER_FONT_FAMILY], const char *text)
{
    FcCharSet *letters = letters_of(text);
    FcPattern *wanted = letters ? FcPatternCreate() : NULL, *found = NULL;
    FcChar8 *name = NULL;
    FcResult result;
    snprintf(family, SER_FONT_FAMILY, "%s", usual);
    if (wanted && FcPatternAddCharSet(wanted, FC_CHARSET, letters) &&
        FcPatternAddString(wanted, FC_FAMILY, (const FcChar8 *)usual) &&
        FcConfigSubstitute(NULL, wanted, FcMatchPattern)) {
        FcDefaultSubstitute(wanted);
        found = FcFontMatch(NULL, wanted, &result);
    }
    if (found && FcPatternGetString(found, FC_FAMILY, 0, &name) == FcResultMatch)
        snprintf(family, SER_FONT_FAMILY, "%s", (const char *)name);
    if (found)
        FcPatternDestroy(found);
    if (wanted)
        FcPatternDestroy(wanted);
    if (letters)
        FcCharSetDestroy(letters);
}

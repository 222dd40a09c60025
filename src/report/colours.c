#include "report/chart.h"

#include <math.h>
#include <string.h>

#define THEMED(r, g, b, name)                                                                                \
    {                                                                                                        \
        r, g, b, 1, name                                                                                     \
    }
#define FIXED(r, g, b)                                                                                       \
    {                                                                                                        \
        r, g, b, 1, NULL                                                                                     \
    }

const ser_colour ser_ink = THEMED(0x1d, 0x21, 0x29, "--ink"), ser_muted = THEMED(0x5d, 0x66, 0x73, "--muted"),
                 ser_grid = THEMED(0xd5, 0xd9, 0xe0, "--grid"),
                 ser_paper = THEMED(0xff, 0xff, 0xff, "--paper"), ser_white = FIXED(0xff, 0xff, 0xff),
                 ser_blue = FIXED(0x1a, 0x66, 0xc2), ser_red = FIXED(0xd8, 0x4a, 0x3c);

/* Hues far apart where emotions are mistaken for each other (angry and happy, sad and neutral), with
 * different lightness too, so that they can be told apart without seeing red or green. */
static const struct {
    const char *label;
    ser_colour colour;
} emotions[] = {
    {"angry", FIXED(0xc9, 0x37, 0x2c)},     {"boredom", FIXED(0x96, 0x70, 0x53)},
    {"calm", FIXED(0x4f, 0xb3, 0xa9)},      {"disgust", FIXED(0x6a, 0x8f, 0x2f)},
    {"fear", FIXED(0x6f, 0x4a, 0xa8)},      {"happy", FIXED(0xf0, 0xb4, 0x29)},
    {"neutral", FIXED(0xa3, 0xab, 0xb8)},   {"sad", FIXED(0x2f, 0x6d, 0xb5)},
    {"surprised", FIXED(0xe5, 0x7f, 0xb4)},
};

static const ser_colour others[] = {
    FIXED(0x00, 0x72, 0xb2), FIXED(0xe6, 0x9f, 0x00), FIXED(0x00, 0x9e, 0x73), FIXED(0xcc, 0x79, 0xa7),
    FIXED(0x56, 0xb4, 0xe9), FIXED(0xd5, 0x5e, 0x00), FIXED(0x8c, 0x8c, 0x2e), FIXED(0x7d, 0x5b, 0xa6),
};

static const ser_colour no_voice = {0xa3, 0xab, 0xb8, 0.25, NULL};

ser_colour ser_colour_of_label(const char *label, size_t index)
{
    if (!label)
        return no_voice;
    for (size_t i = 0; i < sizeof emotions / sizeof *emotions; i++)
        if (strcmp(label, emotions[i].label) == 0)
            return emotions[i].colour;
    return others[index % (sizeof others / sizeof *others)];
}

ser_colour ser_colour_faded(ser_colour c, double alpha)
{
    c.alpha = alpha;
    return c;
}

static double linear(unsigned char channel)
{
    double x = channel / 255.0;
    return x <= 0.04045 ? x / 12.92 : pow((x + 0.055) / 1.055, 2.4);
}

/* Contrast as of WCAG 2.1: (lighter + 0.05) / (darker + 0.05) of the relative luminances. */
ser_colour ser_colour_on(ser_colour c)
{
    double luminance = 0.2126 * linear(c.red) + 0.7152 * linear(c.green) + 0.0722 * linear(c.blue);
    double with_white = 1.05 / (luminance + 0.05), with_ink = (luminance + 0.05) / (0.015 + 0.05);
    ser_colour ink = ser_ink;
    ink.variable = NULL;
    return with_white >= with_ink ? ser_white : ink;
}

/* Text in the order in which it is seen. What is expected is as python-bidi and arabic-reshaper have it, but
 * that brackets go by pairs (UAX #9, N0) as in browsers, and that letters which join nothing are in their
 * form for that. */
#include "failures/failing.h"
#include "report/chart.h"
#include "report/fonts.h"
#include "report/visual.h"
#include "test.h"

#include <fontconfig/fontconfig.h>

static void test_order(void)
{
    static const char *const cases[][2] = {
        {"interview 3 (é, 日本, Привет).wav", "interview 3 (é, 日本, Привет).wav"},
        {"", ""},
        {"\u05E9\u05DC\u05D5\u05DD.wav", "\u05DD\u05D5\u05DC\u05E9.wav"},
        {"take 3 \u05E9\u05DC\u05D5\u05DD", "take 3 \u05DD\u05D5\u05DC\u05E9"},
        {"\u05D4\u05E7\u05DC 12.flac", "12 \u05DC\u05E7\u05D4.flac"},
        {"\u05D4\u05E7\u05DC 2026-11-30, 12.5.flac", "12.5 ,2026-11-30 \u05DC\u05E7\u05D4.flac"},
        {"(\u05E9\u05DC).wav", "(\u05DC\u05E9).wav"},
        {"\u05D4\u05E7 (2).wav", "(2) \u05E7\u05D4.wav"},
        {"\u05D4\u05E7) x", "\u05E7\u05D4) x"},
        {"a \u05E9\u05DC b \u05E2\u05D5 c", "a \u05DC\u05E9 b \u05D5\u05E2 c"},
        {"\u05E9\u05B8\u05DC\u05D5", "\u05D5\u05DC\u05E9\u05B8"}, /* a mark stays behind its letter */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ser_text t = {0};
        ser_append_visual(&t, cases[i][0]);
        CHECK(strcmp(t.s ? t.s : "", cases[i][1]) == 0);
        ser_text_release(&t);
    }
}

static void test_joined_letters(void)
{
    static const char *const cases[][2] = {
        {"\u062A\u0633\u062C\u064A\u0644.wav", "\uFEDE\uFEF4\uFEA0\uFEB4\uFE97.wav"},
        {"\u0633\u0644\u0627\u0645 \u0639\u0644\u064A\u0643\u0645",
         "\uFEE2\uFEDC\uFEF4\uFEE0\uFECB \uFEE1\uFEFC\uFEB3"}, /* lam and alef are one */
        {"\u0644\u0627 \u0625\u0644\u0647", "\uFEEA\uFEDF\uFE87 \uFEFB"},
        {"\u0628\u0650\u0633\u0645", "\uFEE2\uFEB4\uFE91\u0650"}, /* letters join across a mark */
        {"\u06AF\u0641\u062A\u06AF\u0648 \u0686 \u0698", "\uFB8A \uFB7A \uFEEE\uFB95\uFE98\uFED4\uFB94"},
        {"\u0645\u0631\u062D\u0628\u0627 2026-11-30.wav", "30-11-2026 \uFE8E\uFE92\uFEA3\uFEAE\uFEE3.wav"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ser_text t = {0};
        ser_append_visual(&t, cases[i][0]);
        CHECK(strcmp(t.s, cases[i][1]) == 0);
        ser_text_release(&t);
    }
}

static void test_no_memory(void)
{
    bool failed = true;
    for (long n = 0; failed && n < 100; n++) {
        ser_text t = {0};
        failing_at(n);
        ser_append_visual(&t, "\u05E9\u05DC\u05D5\u05DD");
        failing_at(-1);
        failed = t.failed;
        CHECK(failed || strcmp(t.s, "\u05DD\u05D5\u05DC\u05E9") == 0);
        ser_text_release(&t);
    }
    CHECK(!failed);
}

/* Whatever is cut has room where it stands, also where its letters are the widest, and says that it was cut.
 */
static void test_cut(void)
{
    char wide[201] = "", mixed[201] = "";
    memset(wide, 'W', 200);
    memset(mixed, 'W', 100);
    memset(mixed + 100, 'i', 100);
    const char *const texts[] = {wide, mixed,
                                 "a very long name of a recording, and what it is about, take 12.flac",
                                 "\u65E5\u672C\u8A9E\u306E\u9332\u97F3\u65E5\u672C\u8A9E\u306E\u9332\u97F3"
                                 "\u65E5\u672C\u8A9E\u306E\u9332\u97F3"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (int bold = 0; bold < 2; bold++)
            for (int end = 0; end < 2; end++) {
                ser_text t = {0};
                ser_text_look look = {.size = 17, .bold = bold, .keeps_end = end, .max_width = 300};
                ser_chart_append_cut(&t, texts[i], look);
                double width = ser_chart_text_width(t.s, look.size);
                CHECK(width <= 300 && width > (bold ? 200 : 240) && strstr(t.s, "…"));
                const char *last = texts[i] + strlen(texts[i]) - 1;
                CHECK((t.s[t.n - 1] == *last) == end);
                ser_text_release(&t);
            }
    ser_text t = {0};
    ser_chart_append_cut(&t, "short.wav", (ser_text_look){.size = 17, .bold = true, .max_width = 300});
    CHECK(strcmp(t.s, "short.wav") == 0);
    ser_text_release(&t);
    ser_chart_append_cut(&t, wide, (ser_text_look){.size = 17});
    CHECK(strcmp(t.s, wide) == 0);
    ser_text_release(&t);
}

/* The families here that have a letter, as fontconfig lists them: whether family is one, or whether there is
 * none. */
static bool has_letter(const char *family, FcChar32 letter)
{
    FcCharSet *letters = FcCharSetCreate();
    FcCharSetAddChar(letters, letter);
    FcPattern *wanted = FcPatternBuild(NULL, FC_CHARSET, FcTypeCharSet, letters, NULL);
    FcObjectSet *what = FcObjectSetBuild(FC_FAMILY, NULL);
    FcFontSet *fonts = FcFontList(NULL, wanted, what);
    bool found = fonts->nfont == 0;
    FcChar8 *name;
    for (int i = 0; i < fonts->nfont; i++)
        for (int k = 0; FcPatternGetString(fonts->fonts[i], FC_FAMILY, k, &name) == FcResultMatch; k++)
            found |= strcmp((const char *)name, family) == 0;
    FcFontSetDestroy(fonts);
    FcObjectSetDestroy(what);
    FcPatternDestroy(wanted);
    FcCharSetDestroy(letters);
    return found;
}

static void test_fonts(void)
{
    static const char *const usual[] = {
        "", "angry 12 % …", "Größe", "Привет", "\u05E9\u05DC", "\uFEDE\uFEF4", "▁█"};
    static const struct {
        const char *text;
        FcChar32 letter;
    } others[] = {{"\u65E5\u672C 12.wav", 0x65E5}, {"\u0939\u093F.wav", 0x0939}, {"\uD55C.wav", 0xD55C}};
    char family[SER_FONT_FAMILY];
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        ser_font_family(family, usual[i]);
        CHECK(strcmp(family, "DejaVu Sans") == 0);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        ser_font_family(family, others[i].text);
        CHECK(*family && has_letter(family, others[i].letter));
    }
}

int main(void)
{
    test_fonts();
    test_order();
    test_joined_letters();
    test_no_memory();
    test_cut();
    return test_summary();
}

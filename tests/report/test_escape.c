#include "base/memory.h"
#include "report/escape.h"
#include "test.h"

#include <jansson.h>

/* ill-formed: a continuation alone, overlong forms, surrogates, beyond U+10FFFF, cut short (RFC 3629) */
static const char *const broken[] = {
    "\x80",     "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80",
    "\xE2\x82", "\xFF"};

static void test_utf8(void)
{
    const char *s = "aé€😀";
    CHECK(ser_utf8_next(&s) == 'a' && ser_utf8_next(&s) == 0xE9 && ser_utf8_next(&s) == 0x20AC &&
          ser_utf8_next(&s) == 0x1F600 && ser_utf8_next(&s) == 0 && ser_utf8_next(&s) == 0);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        const char *p = broken[i];
        CHECK(ser_utf8_next(&p) == 0xFFFD && p == broken[i] + 1);
    }
    ser_text t = {0};
    ser_utf8_append(&t, 'a');
    ser_utf8_append(&t, 0xE9);
    ser_utf8_append(&t, 0x20AC);
    ser_utf8_append(&t, 0x1F600);
    CHECK(strcmp(t.s, "aé€😀") == 0);
    ser_text_release(&t);
}

/* Any bytes give a JSON string that another parser reads back, and the same text where they were UTF-8. */
static void test_json(void)
{
    ser_text t = {0};
    const char *text = "a\"b\\c/\n\t\r\x01\x7f é€😀 </script>";
    ser_append_json(&t, text);
    json_t *value = json_loads(t.s, JSON_DECODE_ANY, NULL);
    CHECK(value && strcmp(json_string_value(value), text) == 0);
    json_decref(value);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        ser_text_clear(&t);
        ser_append_json(&t, broken[i]);
        value = json_loads(t.s, JSON_DECODE_ANY, NULL);
        CHECK(value && strncmp(json_string_value(value), "\xEF\xBF\xBD", 3) == 0);
        json_decref(value);
    }
    for (int byte = 1; byte < 256; byte++) {
        char s[] = {'x', (char)byte, 'y', 0};
        ser_text_clear(&t);
        ser_append_json(&t, s);
        value = json_loads(t.s, JSON_DECODE_ANY, NULL);
        CHECK(value != NULL);
        json_decref(value);
    }
    ser_text_release(&t);
}

static void test_xml(void)
{
    ser_text t = {0};
    ser_append_xml(&t, "<a href=\"x\">'&'\x01\xFF\n");
    CHECK(strcmp(t.s, "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;\xEF\xBF\xBD\xEF\xBF\xBD\n") == 0);
    ser_text_clear(&t);
    ser_append_xml(&t, "\xC2\x9B\xE2\x80\xAE\xE2\x81\xA6\tة"); /* CSI of 8 bits, two turns; U+0629 stays */
    CHECK(strcmp(t.s, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\tة") == 0);
    ser_text_release(&t);
}

static void test_line(void)
{
    const struct {
        const char *text;
        size_t max_columns;
        bool utf8;
        const char *expected;
    } cases[] = {
        {"a\033[2Jb\nc", 0, true, "a?[2Jb?c"},
        {"rtl \xE2\x80\xAE", 0, true, "rtl ?"},
        {"abcdef", 6, true, "abcdef"},
        {"abcdef", 5, true, "abcd…"},
        {"abcdef", 5, false, "ab..."},
        {"日本語", 5, true, "日本…"},
        {"日本語", 6, true, "日本語"},
        {"a\xFF", 0, true, "a\xEF\xBF\xBD"},
        {"a\xFF", 0, false, "a?"},
        {"abcdef", 1, true, "…"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ser_text t = {0};
        ser_append_line(&t, cases[i].text, cases[i].max_columns, cases[i].utf8);
        CHECK(t.s && strcmp(t.s, cases[i].expected) == 0);
        ser_text_release(&t);
    }
    CHECK(ser_columns("aé日") == 4 && ser_columns("e\xCC\x81") == 1 && ser_columns("") == 0);
}

int main(void)
{
    test_utf8();
    test_json();
    test_xml();
    test_line();
    return test_summary();
}

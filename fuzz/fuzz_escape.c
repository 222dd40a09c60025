#include "fuzz.h"
#include "report/escape.h"

#include <jansson.h>

/* Any text becomes JSON that another parser reads, HTML without markup, and one line for a terminal. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = malloc(n + 1);
    if (!text)
        abort();
    memcpy(text, data, n);
    text[n] = 0;
    ser_text json = {0}, xml = {0}, line = {0};
    ser_append_json(&json, text);
    json_t *value = json_loads(json.s, JSON_DECODE_ANY, NULL);
    if (!json_is_string(value))
        abort();
    json_decref(value);
    ser_append_xml(&xml, text);
    if (xml.n && strpbrk(xml.s, "<>\"'"))
        abort();
    ser_append_line(&line, text, 20, n % 2);
    if (line.n && (strpbrk(line.s, "\n\r\033\t") || ser_columns(line.s) > 20))
        abort();
    ser_text_release(&json);
    ser_text_release(&xml);
    ser_text_release(&line);
    free(text);
    return 0;
}

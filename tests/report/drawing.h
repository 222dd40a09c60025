/* What tests of pictures share. */
#ifndef SER_TESTS_REPORT_DRAWING_H
#define SER_TESTS_REPORT_DRAWING_H

#include "base/memory.h"
#include "failures/failing.h"
#include "report/pictures.h"
#include "test.h"

/* Read by the leak sanitizer: fontconfig keeps the fonts that cairo asked for until the end. */
SER_API const char *__lsan_default_suppressions(void);
SER_API const char *__lsan_default_suppressions(void)
{
    return "leak:libfontconfig";
}

static inline size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *s = text; (s = strstr(s, what)) != NULL; s++)
        n++;
    return n;
}

/* The finished bytes; the caller releases them. */
static inline ser_text finish(ser_status st, ser_chart **c, const ser_error *err)
{
    ser_error e = {0};
    ser_text bytes = {0};
    CHECK_OK(st, err);
    if (*c)
        CHECK_OK(ser_chart_append(*c, &bytes, &e), &e);
    ser_chart_free(c);
    return bytes;
}

/* Every allocation of ours fails once. */
static inline void check_out_of_memory(ser_status (*draw)(ser_chart **c))
{
    ser_status st = SER_E_NOMEM;
    long n;
    for (n = 0; st != SER_OK && n < 10000; n++) {
        ser_text bytes = {0};
        ser_chart *c = NULL;
        failing_at(n);
        st = draw(&c);
        if (st == SER_OK)
            st = ser_chart_append(c, &bytes, NULL);
        CHECK(st == SER_OK || st == SER_E_NOMEM);
        ser_chart_free(&c);
        ser_text_release(&bytes);
    }
    failing_at(-1);
    CHECK(st == SER_OK && n > 10);
}

#endif

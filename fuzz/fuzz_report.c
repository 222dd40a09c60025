#include "fuzz.h"
#include "report/html.h"

/* Whatever a report says, the page has no script and no markup of its own. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *copy = fuzz_copy(data, n);
    json_t *report = json_loadb((const char *)copy, n, 0, NULL);
    ser_text page = {0};
    if (report && ser_report_html(&page, report, NULL) == SER_OK &&
        (strstr(page.s, "<script") || strstr(page.s, "<img") || strstr(page.s, "=\"nan") ||
         strstr(page.s, "=\"inf")))
        abort();
    ser_text_release(&page);
    json_decref(report);
    free(copy);
    return 0;
}

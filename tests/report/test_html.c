#include "base/memory.h"
#include "report/html.h"
#include "test.h"

#include <unistd.h>

static const char report_text[] =
    "{\"corpus\": \"EMODB <b>\", \"protocol\": \"emobox\", \"n\": 4, \"ua\": 75.04, \"wa\": 75.0, \"f1\": "
    "73.3,"
    " \"loss\": 0.5, \"ua_ci95\": [60.1, 89.9], \"wa_ci95\": [61, 90], \"ci95_over\": \"recordings\", "
    "\"ece\": 2.5,"
    " \"labels\": [\"angry\", \"sad & <sorry>\"], \"confusion\": [[2, 0], [1, 1]],"
    " \"folds\": [{\"fold\": 1, \"n_train\": 2, \"n_test\": 2, \"ua\": 100, \"wa\": 100},"
    "             {\"fold\": 2, \"n_train\": 2, \"n_test\": 2, \"ua\": 50, \"wa\": 50}],"
    " \"predictions\": ["
    "  {\"file\": \"a.wav\", \"label\": \"angry\", \"predicted\": \"angry\", \"scores\":"
    "   {\"angry\": 0.9, \"sad & <sorry>\": 0.1}},"
    "  {\"file\": \"b.wav\", \"label\": \"angry\", \"predicted\": \"angry\", \"scores\":"
    "   {\"angry\": 0.8, \"sad & <sorry>\": 0.2}},"
    "  {\"file\": \"<script>x</script>.wav\", \"label\": \"sad & <sorry>\", \"predicted\": \"angry\", "
    "\"scores\":"
    "   {\"angry\": 0.7, \"sad & <sorry>\": 0.3}},"
    "  {\"file\": \"d.wav\", \"label\": \"sad & <sorry>\", \"predicted\": \"sad & <sorry>\", \"scores\":"
    "   {\"angry\": 0.4, \"sad & <sorry>\": 0.6}}],"
    " \"config\": {\"epoch\": 50, \"layers\": [1, 2], \"name\": \"</td>\", \"lr\": 0.003, \"flag\": true},"
    " \"leaks\": {\"speakers\": [3, 0], \"texts\": [2, 2], \"duplicates\": [0, 0]}, \"seed\": 46}";

static json_t *parse(const char *text)
{
    json_t *report = json_loads(text, 0, NULL);
    CHECK(report != NULL);
    return report;
}

static ser_text page_of(json_t *report)
{
    ser_text page = {0};
    ser_error err = {0};
    CHECK_OK(ser_report_html(&page, report, &err), &err);
    json_decref(report);
    return page;
}

static bool has(const ser_text *page, const char *what)
{
    return page->s && strstr(page->s, what);
}

static void test_page(void)
{
    ser_text page = page_of(parse(report_text)), again = page_of(parse(report_text));
    CHECK(page.n == again.n && memcmp(page.s, again.s, page.n) == 0);
    CHECK(has(&page, "<h1>EMODB &lt;b&gt;</h1>") && has(&page, ">75.0<small> %</small>"));
    CHECK(has(&page, "60.1 to 89.9") && has(&page, "by resampling recordings"));
    CHECK(has(&page, "class=\"box bad\"><h2>Training and test parts are not independent") &&
          has(&page, "<b>speakers</b> shared in 1 of 2 folds, up to 3") &&
          has(&page, "<b>sentences</b> shared in 2 of 2 folds") && !has(&page, "<b>recordings</b> shared"));
    /* precision 2/3, recall 1, F1 0.8 of the first emotion */
    CHECK(has(&page, ">66.7 %<") && has(&page, ">100.0 %<") && has(&page, ">80.0 %<"));
    CHECK(has(&page, "Who is taken for whom") && has(&page, "Are the probabilities right?"));
    CHECK(has(&page, "1 of 1, worth a listen") && has(&page, "&lt;script&gt;x&lt;/script&gt;.wav"));
    CHECK(has(&page, ">layers</th><td>1, 2</td>") && has(&page, ">name</th><td>&lt;/td&gt;</td>") &&
          has(&page, ">lr</th><td>0.003</td>") && has(&page, ">flag</th><td>yes</td>"));
    ser_text_release(&page);
    ser_text_release(&again);
}

/* One file, no scripts: nothing is fetched when it is opened. */
static void test_self_contained(void)
{
    ser_text page = page_of(parse(report_text));
    CHECK(!has(&page, "<script") && !has(&page, "src=") && !has(&page, "href=") && !has(&page, "url(") &&
          !has(&page, "@import"));
    ser_text_release(&page);
}

/* Only what there is: no empty headings. */
static void test_smallest(void)
{
    ser_text page = page_of(parse("{\"labels\": [\"a\"], \"confusion\": [[0]]}"));
    CHECK(!has(&page, "Folds") && !has(&page, "mistakes") && !has(&page, "independent") &&
          !has(&page, "probabilities") && !has(&page, "Across corpora") && !has(&page, "nan"));
    ser_text_release(&page);
    page = page_of(
        parse("{\"labels\": [\"a\"], \"confusion\": [[1]], \"target\": \"RAVDESS\", \"ua_shared\": 61.9,"
              "\"excluded\": {\"calm\": 192}, \"ua_mean\": 60, \"ua_sd\": 1.25, \"seeds\": [1, 2],"
              "\"leaks\": {\"speakers\": [0], \"texts\": [0], \"duplicates\": [0]}}"));
    CHECK(has(&page, "Across corpora") && has(&page, "calm: 192") && has(&page, "61.9"));
    CHECK(has(&page, "Over 2 seeds UA is 60.0 %") &&
          has(&page, "class=\"box good\"><h2>Training and test parts share no speaker and no recording"));
    ser_text_release(&page);
}

static void test_broken(void)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"{}", "labels"},
        {"[]", "labels"},
        {"{\"labels\": [], \"confusion\": []}", "labels"},
        {"{\"labels\": [1], \"confusion\": [[1]]}", "no text"},
        {"{\"labels\": [\"a\"]}", "confusion"},
        {"{\"labels\": [\"a\", \"b\"], \"confusion\": [[1, 2], [3]]}", "confusion"},
        {"{\"labels\": [\"a\"], \"confusion\": [[-1]]}", "confusion"},
        {"{\"labels\": [\"a\"], \"confusion\": [[1.5]]}", "confusion"},
        {"{\"labels\": [\"a\"], \"confusion\": [[99999999999999]]}", "confusion"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ser_text page = {0};
        ser_error err = {0};
        json_t *report = parse(cases[i].text);
        CHECK_FAILS(ser_report_html(&page, report, &err), SER_E_FORMAT, &err, cases[i].words);
        CHECK(!page.n);
        json_decref(report);
        ser_text_release(&page);
    }
    /* Wrong types elsewhere: the part is left out. */
    ser_text page = page_of(parse(
        "{\"labels\": [\"a\"], \"confusion\": [[1]], \"ua\": \"high\", \"ua_ci95\": [1], \"folds\": [3, "
        "null],"
        "\"leaks\": {\"speakers\": \"many\"}, \"predictions\": [7, {\"label\": \"a\", \"predicted\": \"b\"}],"
        "\"config\": []}"));
    CHECK(!has(&page, "high") && has(&page, "1 of 1, worth a listen"));
    ser_text_release(&page);
}

/* The picture of the calibration needs every score; one that is no probability would draw nonsense. */
static void test_odd_scores(void)
{
    static const char *const odd[] = {"1e300", "-0.1", "null", "\"0.9\""};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        char text[400];
        snprintf(text, sizeof text,
                 "{\"labels\": [\"a\", \"b\"], \"confusion\": [[1, 0], [0, 0]], \"predictions\": [{\"file\": "
                 "\"x\","
                 " \"label\": \"a\", \"predicted\": \"a\", \"scores\": {\"a\": %s, \"b\": 0.1}}]}",
                 odd[i]);
        ser_text page = page_of(parse(text));
        CHECK(!has(&page, "probabilities"));
        ser_text_release(&page);
    }
}

static void test_order_of_mistakes(void)
{
    ser_text page = page_of(parse(
        "{\"labels\": [\"a\", \"b\"], \"confusion\": [[0, 3], [0, 0]], \"predictions\": ["
        "{\"file\": \"low\", \"label\": \"a\", \"predicted\": \"b\", \"scores\": {\"a\": 0.4, \"b\": 0.6}},"
        "{\"file\": \"top2\", \"label\": \"a\", \"predicted\": \"b\", \"scores\": {\"a\": 0.1, \"b\": 0.9}},"
        "{\"file\": \"top1\", \"label\": \"a\", \"predicted\": \"b\", \"scores\": {\"a\": 0.1, \"b\": "
        "0.9}}]}"));
    const char *low = strstr(page.s, ">low<"), *first = strstr(page.s, ">top1<"),
               *second = strstr(page.s, ">top2<");
    CHECK(low && first && second && first < second && second < low);
    ser_text_release(&page);
}

static void test_save(void)
{
    char folder[] = "/tmp/ser-test-html-XXXXXX", path[64];
    ser_error err = {0};
    json_t *report = parse(report_text);
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/report.html", folder);
    CHECK_OK(ser_report_html_save(path, report, &err), &err);
    CHECK(unlink(path) == 0 && symlink("/dev/full", path) == 0);
    CHECK_FAILS(ser_report_html_save(path, report, &err), SER_E_IO, &err, "free some space");
    unlink(path);
    rmdir(folder);
    json_decref(report);
}

static void test_out_of_memory(void)
{
    json_t *report = parse(report_text);
    ser_status st = SER_E_NOMEM;
    long n;
    for (n = 0; st != SER_OK && n < 10000; n++) {
        ser_text page = {0};
        ser_alloc_fail_at(n);
        st = ser_report_html(&page, report, NULL);
        CHECK(st == SER_OK || st == SER_E_NOMEM);
        ser_text_release(&page);
    }
    ser_alloc_fail_at(-1);
    CHECK(st == SER_OK && n > 10);
    json_decref(report);
}

int main(void)
{
    test_page();
    test_self_contained();
    test_smallest();
    test_broken();
    test_odd_scores();
    test_order_of_mistakes();
    test_save();
    test_out_of_memory();
    return test_summary();
}

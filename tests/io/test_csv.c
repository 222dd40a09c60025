#include "base/memory.h"
#include "failures/failing.h"
#include "io/csv.h"
#include "scratch.h"
#include "test.h"

/* From an exact heap copy without a final 0, so that a sanitizer sees what is read beyond it. */
static ser_status read_text(ser_csv *c, const char *text, ser_error *err)
{
    size_t n = strlen(text);
    char *copy = malloc(n ? n : 1);
    memcpy(copy, text, n);
    ser_status status = ser_csv_read_memory(c, copy, n, err);
    free(copy);
    return status;
}

/* All fields, each in brackets, each row on a line. */
static void check_rows(const char *text, const char *expected)
{
    ser_error err = {0};
    ser_csv c;
    ser_text all = {0};
    ser_text_append(&all, "");
    CHECK_OK(read_text(&c, text, &err), &err);
    for (size_t i = 0; i < c.n_rows; i++) {
        for (size_t j = 0; j < c.n_columns; j++)
            ser_text_appendf(&all, "[%s]", c.rows[i][j]);
        ser_text_append(&all, "\n");
    }
    if (strcmp(all.s, expected) != 0)
        fprintf(stderr, "read as:\n%s", all.s);
    CHECK(strcmp(all.s, expected) == 0);
    ser_text_release(&all);
    ser_csv_release(&c);
    CHECK(!c.rows && !c.text && !c.n_rows);
}

static void test_reading(void)
{
    check_rows("a,b\n1,2\n", "[a][b]\n[1][2]\n");
    check_rows("a,b\r\n1,2", "[a][b]\n[1][2]\n");
    check_rows("\xef\xbb\xbf"
               "a,b\n,\n",
               "[a][b]\n[][]\n");
    check_rows("a,b\n1,", "[a][b]\n[1][]\n");
    check_rows("\"a\",\"b\"\r\n\"x,y\",\"say \"\"hi\"\"\"\r\n", "[a][b]\n[x,y][say \"hi\"]\n");
    check_rows("a,b\n\"two\nlines\",\"\"\n", "[a][b]\n[two\nlines][]\n");
    check_rows("a,b\n\n1,2\n\r\n\n", "[a][b]\n[1][2]\n"); /* empty lines are no rows */
    check_rows("a\n5\"\nb\rc\n", "[a]\n[5\"]\n[b\rc]\n");
    check_rows("a,b\n1,2\r", "[a][b]\n[1][2]\n");
    check_rows("a", "[a]\n");
    check_rows("datei,gef\xc3\xbchl\n", "[datei][gef\xc3\xbchl]\n");
}

/* As spreadsheets write it. */
static void test_spreadsheets(void)
{
    check_rows("a;b;c\n1,5;2;3\n", "[a][b][c]\n[1,5][2][3]\n");
    check_rows("\n\"x;y;z\",b\n1,2\n", "[x;y;z][b]\n[1][2]\n"); /* quoted ones do not count */
    check_rows("a\tb\r\n1, 2\t;\r\n", "[a][b]\n[1, 2][;]\n");
    check_rows("a,b;c\n1,2;3\n", "[a][b;c]\n[1][2;3]\n"); /* as many: commas */
    check_rows("sep=;\r\na;b,c,d\r\n1;2\r\n", "[a][b,c,d]\n[1][2]\n");
    check_rows("\xef\xbb\xbfSEP=\t\na\tb\n", "[a][b]\n");
    check_rows("sep=,\na,b\n", "[a][b]\n");
    check_rows("sep=|\n1\n", "[sep=|]\n[1]\n");
    check_rows("sep=;x\n1;2\n", "[sep=][x]\n[1][2]\n");
    check_rows("a,b\r1,2\r\r3,\"x\ry\"\r", "[a][b]\n[1][2]\n[3][x\ry]\n");
    check_rows("sep=;\ra;b\r", "[a][b]\n");
}

static void test_columns(void)
{
    ser_error err = {0};
    ser_csv c;
    scratch_put("c.csv", "file,emotion\na.wav,angry\n", 25);
    CHECK_OK(ser_csv_read(&c, scratch("c.csv"), &err), &err);
    CHECK(ser_csv_column(&c, "file") == 0 && ser_csv_column(&c, "emotion") == 1 &&
          ser_csv_column(&c, "fil") == -1);
    CHECK(c.n_rows == 2 && strcmp(c.rows[1][1], "angry") == 0);
    ser_csv_release(&c);
    CHECK_OK(read_text(&c, "File, EMOTION ,emotion x,Fold,fold\n1,2,3,4,5\n", &err), &err);
    CHECK(ser_csv_column(&c, "file") == 0 && ser_csv_column(&c, "emotion") == 1);
    CHECK(ser_csv_column(&c, "fold") == 4 && ser_csv_column(&c, "FOLD") == 3 &&
          ser_csv_column(&c, "x") == -1);
    CHECK(!ser_csv_is_twice(&c, "file") && !ser_csv_is_twice(&c, "fold") && !ser_csv_is_twice(&c, "x"));
    ser_text names = {0};
    ser_csv_append_columns(&names, &c);
    CHECK(names.s && strcmp(names.s, "File,  EMOTION , emotion x, Fold, fold") == 0);
    ser_text_release(&names);
    ser_csv_release(&c);
    CHECK(ser_csv_column(&c, "file") == -1);
    CHECK_OK(read_text(&c, "file,emotion,Label,emotion,label \n1,2,3,4,5\n", &err), &err);
    CHECK(ser_csv_is_twice(&c, "emotion") && ser_csv_is_twice(&c, "label") && !ser_csv_is_twice(&c, "file"));
    ser_csv_release(&c);
}

static void test_bad(void)
{
    ser_error err = {0};
    ser_csv c;
    CHECK_FAILS(read_text(&c, "a,b\n1,2\n3\n", &err), SER_E_FORMAT, &err,
                "line 3 has 1 fields, the first line has 2");
    CHECK_FAILS(read_text(&c, "a\n\"x\ny\"\n1,2\n", &err), SER_E_FORMAT, &err, "line 4 has 2 fields");
    CHECK_FAILS(read_text(&c, "a\n1\n\"x\n", &err), SER_E_FORMAT, &err, "opened in line 3");
    CHECK_FAILS(read_text(&c, "a;b\r1;2\r3\r", &err), SER_E_FORMAT, &err, "line 3 has 1 fields");
    CHECK_FAILS(read_text(&c, "\"", &err), SER_E_FORMAT, &err, "opened in line 1");
    CHECK_FAILS(read_text(&c, "\"a\"b\n", &err), SER_E_FORMAT, &err, "line 1 has text behind");
    CHECK_FAILS(read_text(&c, "", &err), SER_E_FORMAT, &err, "empty");
    CHECK_FAILS(read_text(&c, "\n\r\n", &err), SER_E_FORMAT, &err, "empty");
    CHECK_FAILS(ser_csv_read_memory(&c, "a,\0b", 4, &err), SER_E_FORMAT, &err, "UTF-8");
    CHECK_FAILS(ser_csv_read(&c, scratch("missing"), &err), SER_E_IO, &err, "No such file");
    CHECK(!c.rows);
    ser_status status = SER_E_NOMEM;
    for (long n = 0; status == SER_E_NOMEM && n < 20; n++) {
        failing_at(n);
        status = read_text(&c, "a,b,c,d,e\n1,2,3,4,5\n1,2,3,4,5\n", &err);
        CHECK(status == SER_OK ? n > 3 : status == SER_E_NOMEM && !c.rows && !c.text);
    }
    failing_at(-1);
    ser_csv_release(&c);
}

/* What people give in place of a table. */
static void test_other_forms(void)
{
    static const char workbook[] = "PK\3\4\24\0\6\0\10\0\0\0!\0[Content_Types].xml \242",
                      sheet[] = "PK\3\4\24\0mimetypeapplication/vnd.oasis.opendocument.spreadsheet",
                      archive[] = "PK\3\4\24\0\0\0a.csv";
    static const struct {
        const char *bytes;
        size_t n;
        const char *words;
    } forms[] = {{workbook, sizeof workbook, "it is a workbook of Excel or LibreOffice: save it as CSV"},
                 {sheet, sizeof sheet, "it is a workbook of Excel or LibreOffice"},
                 {archive, sizeof archive, "it is an archive (ZIP): unpack"},
                 {"\xd0\xcf\x11\xe0\xa1", 5, "it is an Excel workbook"},
                 {"\x1f\x8b\b\0", 4, "gzip"},
                 {"PAR1\25\0", 6, "it is Parquet: write it as CSV"},
                 {"\xff\xfe"
                  "f\0",
                  4, "it is UTF-16 text: save it as UTF-8 text"},
                 {"\xfe\xff\0f", 4, "it is UTF-16 text: save it as UTF-8 text"},
                 {"{\"file\": \"a.wav\"}\n", 18, "it is JSON: write it as CSV"},
                 {"[{\"file\": 1}]", 13, "it is JSON: write it as CSV"},
                 {" \n<!DOCTYPE html><html>", 23, "it is a web page, no table"},
                 {"version https://git-lfs.github.com/spec/v1\n", 43, "git lfs pull"}};
    ser_error err = {0};
    ser_csv c;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        CHECK_FAILS(ser_csv_read_memory(&c, forms[i].bytes, forms[i].n, &err), SER_E_FORMAT, &err,
                    forms[i].words);
    check_rows("PK,b\n", "[PK][b]\n"); /* tables all the same */
    check_rows("PAR1,b\n", "[PAR1][b]\n");
    check_rows("[id],b\n", "[[id]][b]\n");
    check_rows("{\n", "[{]\n");
}

static void test_writing(void)
{
    static const char *const fields[] = {"plain", "", "a,b", "say \"hi\"", "two\nlines", "cr\r", "\""};
    ser_error err = {0};
    ser_text t = {0};
    for (size_t i = 0; i < 7; i++) {
        ser_text_append(&t, i ? "," : "");
        ser_csv_append_field(&t, fields[i]);
    }
    CHECK(strncmp(t.s, "plain,,\"a,b\",\"say \"\"hi\"\"\",", 26) == 0);
    ser_csv c;
    CHECK_OK(read_text(&c, t.s, &err), &err);
    CHECK(c.n_rows == 1 && c.n_columns == 7);
    for (size_t i = 0; i < 7 && c.n_columns == 7; i++)
        CHECK(strcmp(c.rows[0][i], fields[i]) == 0);
    ser_csv_release(&c);
    ser_text_release(&t);
}

int main(void)
{
    scratch_make();
    test_reading();
    test_spreadsheets();
    test_columns();
    test_bad();
    test_other_forms();
    test_writing();
    scratch_remove();
    return test_summary();
}

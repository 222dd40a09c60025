#include "io/file.h"
#include "report/formats.h"
#include "report/spreadsheet_cells.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { INK = 0x1D2129, MUTED = 0x5D6673, LINE = 0x9AA3AF, HEAD_FILL = 0xE4ECF6 };

/* What a look adds to plain ink. Numbers keep off the column to their right. */
static const struct {
    const char *number;
    double size; /* points; 0: the usual */
    int colour, fill, align, indent;
    bool bold, line_above, line_below, wrapped, framed;
} looks[SER_N_CELL_LOOKS] = {
#define NUMBER(format) .number = (format), .align = LXW_ALIGN_RIGHT, .indent = 1
#define HEAD           .bold = true, .fill = HEAD_FILL, .line_below = true
#define TOTAL          .bold = true, .line_above = true
    [SER_CELL_TITLE] = {.size = 18, .bold = true},
    [SER_CELL_MUTED] = {.colour = MUTED},
    [SER_CELL_SECTION] = {.size = 13, .bold = true},
    [SER_CELL_HEAD] = {HEAD, .wrapped = true},
    [SER_CELL_HEAD_RIGHT] = {HEAD, .wrapped = true, .align = LXW_ALIGN_RIGHT, .indent = 1},
    [SER_CELL_HEAD_CENTRED] = {HEAD, .align = LXW_ALIGN_CENTER},
    [SER_CELL_TEXT] = {.align = LXW_ALIGN_LEFT},
    [SER_CELL_PERCENT] = {NUMBER("0.0%")},
    [SER_CELL_DECIMALS] = {NUMBER("0.000")},
    [SER_CELL_INTEGER] = {NUMBER("#,##0")},
    [SER_CELL_RATE] = {NUMBER("0.00E+00")},
    [SER_CELL_TOTAL] = {TOTAL},
    [SER_CELL_TOTAL_PERCENT] = {NUMBER("0.0%"), TOTAL},
    [SER_CELL_TOTAL_DECIMALS] = {NUMBER("0.000"), TOTAL},
    [SER_CELL_TOTAL_INTEGER] = {NUMBER("#,##0"), TOTAL},
    [SER_CELL_SHARE] = {.number = "0%;;–", .align = LXW_ALIGN_CENTER},
    [SER_CELL_COUNT] = {.number = "#,##0;;–", .align = LXW_ALIGN_CENTER},
    [SER_CELL_SHARE_FRAMED] = {.number = "0%;;–", .align = LXW_ALIGN_CENTER, .bold = true, .framed = true},
    [SER_CELL_COUNT_FRAMED] = {.number = "#,##0;;–", .align = LXW_ALIGN_CENTER, .bold = true, .framed = true},
    [SER_CELL_NOTE] = {.wrapped = true},
    [SER_CELL_SERIOUS] = {.colour = 0xA33A10, .fill = 0xFDEEE6, .bold = true, .wrapped = true},
    [SER_CELL_GOOD] = {.colour = 0x1B7F4B, .fill = 0xE6F5EC, .wrapped = true},
#undef NUMBER
#undef HEAD
#undef TOTAL
};

static void make_looks(ser_book *b)
{
    for (int i = 0; i < SER_N_CELL_LOOKS; i++) {
        lxw_format *f = b->looks[i] = workbook_add_format(b->workbook);
        if (!f) {
            b->no_memory = true;
            return;
        }
        format_set_font_color(f, looks[i].colour ? (lxw_color_t)looks[i].colour : INK);
        format_set_align(f, LXW_ALIGN_VERTICAL_CENTER);
        if (looks[i].number)
            format_set_num_format(f, looks[i].number);
        if (looks[i].size > 0)
            format_set_font_size(f, looks[i].size);
        if (looks[i].fill)
            format_set_bg_color(f, (lxw_color_t)looks[i].fill);
        if (looks[i].align)
            format_set_align(f, (uint8_t)looks[i].align);
        if (looks[i].indent)
            format_set_indent(f, (uint8_t)looks[i].indent);
        if (looks[i].bold)
            format_set_bold(f);
        if (looks[i].wrapped)
            format_set_text_wrap(f);
        if (looks[i].line_above)
            format_set_top(f, LXW_BORDER_THIN), format_set_top_color(f, LINE);
        if (looks[i].line_below)
            format_set_bottom(f, LXW_BORDER_THIN), format_set_bottom_color(f, LINE);
        if (looks[i].framed)
            format_set_border(f, LXW_BORDER_THIN), format_set_border_color(f, INK);
    }
}

/* The file says when it was made: as the run does, else never by the clock, so that the same run gives the
 * same bytes. */
static void set_properties(ser_book *b)
{
    const ser_run_report *r = b->report;
    struct tm tm = {.tm_year = 80, .tm_mday = 1};
    struct tm parsed = {0};
    if (r->date && strptime(r->date, "%Y-%m-%d", &parsed))
        tm = parsed;
    lxw_doc_properties properties = {
        .title = "Speech emotion recognition", .comments = "Written by ser", .created = timegm(&tm)};
    ser_book_check(b, workbook_set_properties(b->workbook, &properties));
}

static void fill(ser_book *b)
{
    make_looks(b);
    if (b->no_memory)
        return;
    set_properties(b);
    ser_sheet_summary(b);
    if (b->report->cross)
        ser_sheet_models(b);
    else
        ser_sheet_folds(b);
    if (b->report->corpora_left_out)
        ser_sheet_left_out(b);
    ser_sheet_classes(b);
    ser_sheet_confusion(b);
    ser_sheet_history(b);
    ser_sheet_recordings(b);
}

static ser_status fail(const ser_book *b, ser_error *err)
{
    /* Where its table of texts cannot grow, it does not say why; nor do libminizip and zlib below it, and the
     * C library's tmpfile: errno does. */
    if (b->no_memory || b->error == LXW_ERROR_MEMORY_MALLOC_FAILED ||
        b->error == LXW_ERROR_SHARED_STRING_INDEX_NOT_FOUND || b->error_number == ENOMEM)
        return ser_fail_nomem(err);
    return ser_fail(
        err, SER_E_IO,
        "the workbook cannot be made (%s): free memory, and room in the folder of temporary files",
        lxw_strerror(b->error));
}

/* The workbook's bytes in a file that only this process sees: libxlsxwriter wants a name and seeks in it. */
static ser_status make(int fd, const ser_run_report *r, ser_error *err)
{
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ser_book b = {.report = r, .workbook = workbook_new(name)};
    if (!b.workbook)
        return ser_fail_nomem(err);
    errno = 0;
    fill(&b);
    ser_book_check(&b, workbook_close(b.workbook)); /* also frees it */
    b.error_number = errno;
    ser_text_release(&b.text);
    return b.no_memory || b.error != LXW_NO_ERROR ? fail(&b, err) : SER_OK;
}

ser_status ser_spreadsheet_save(const char *path, const ser_run_report *r, ser_error *err)
{
    struct stat info;
    int fd = memfd_create("metrics.xlsx", MFD_CLOEXEC);
    if (fd < 0)
        return ser_fail(err, SER_E_IO, "no room for a workbook in memory: %s", strerror(errno));
    ser_status st = make(fd, r, err);
    if (st == SER_OK && (fstat(fd, &info) != 0 || info.st_size <= 0))
        st = ser_fail(err, SER_E_IO, "the workbook came out empty: free memory");
    if (st == SER_OK) {
        void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        st = bytes == MAP_FAILED ? ser_fail_nomem(err) : ser_io_write(path, bytes, (size_t)info.st_size, err);
        if (bytes != MAP_FAILED)
            munmap(bytes, (size_t)info.st_size);
    }
    close(fd);
    return st;
}

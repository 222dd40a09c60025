/* From a picture to a file. */
#include "report/html_parts.h"
#include "report/pictures.h"

static ser_status draw(ser_chart **c, ser_chart_format format, ser_picture_kind kind, const void *picture,
                       ser_error *err)
{
    switch (kind) {
    case SER_PICTURE_CONFUSION:
        return ser_draw_confusion(c, format, picture, err);
    case SER_PICTURE_RELIABILITY:
        return ser_draw_reliability(c, format, picture, err);
    case SER_PICTURE_TIMELINE:
        return ser_draw_timeline(c, format, picture, err);
    case SER_PICTURE_CURVES:
        return ser_draw_curves(c, format, picture, err);
    case SER_PICTURE_LOSSES:
        return ser_draw_losses(c, format, picture, err);
    default:
        return ser_draw_map(c, format, picture, err);
    }
}

static ser_status append(ser_text *page, ser_picture_kind kind, const void *picture, const char *class,
                         ser_error *err)
{
    ser_chart *c = NULL;
    ser_status st = draw(&c, SER_CHART_HTML, kind, picture, err);
    if (st == SER_OK)
        st = ser_html_chart(page, c, class, err);
    ser_chart_free(&c);
    return st;
}

static ser_status append_both(ser_text *page, ser_picture_kind kind, const void *wide, const void *narrow,
                              ser_error *err)
{
    ser_status st = append(page, kind, wide, "wide", err);
    return st == SER_OK ? append(page, kind, narrow, "narrow", err) : st;
}

ser_status ser_picture_append(ser_text *page, ser_picture_kind kind, const void *picture, ser_error *err)
{
    if (kind == SER_PICTURE_CURVES) {
        ser_curves_picture narrow = *(const ser_curves_picture *)picture;
        narrow.narrow = true;
        return append_both(page, kind, picture, &narrow, err);
    }
    if (kind == SER_PICTURE_LOSSES) {
        ser_losses_picture narrow = *(const ser_losses_picture *)picture;
        narrow.narrow = true;
        return append_both(page, kind, picture, &narrow, err);
    }
    return append(page, kind, picture, NULL, err);
}

ser_status ser_picture_save(const char *path, ser_picture_kind kind, const void *picture, ser_error *err)
{
    ser_chart_format format;
    ser_chart *c = NULL;
    ser_status st = ser_chart_format_of(&format, path, err);
    if (st == SER_OK)
        st = draw(&c, format, kind, picture, err);
    if (st == SER_OK)
        st = ser_chart_save(c, path, err);
    ser_chart_free(&c);
    return st;
}

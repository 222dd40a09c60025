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

ser_status ser_picture_append(ser_text *page, ser_picture_kind kind, const void *picture, ser_error *err)
{
    ser_chart *c = NULL;
    ser_status st = draw(&c, SER_CHART_HTML, kind, picture, err);
    if (st == SER_OK)
        st = ser_html_chart(page, c, err);
    ser_chart_free(&c);
    return st;
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

/* From a picture to a file. */
#include "report/pictures.h"

static ser_status save(ser_chart **c, ser_status drawn, const char *path, ser_error *err)
{
    ser_status st = drawn == SER_OK ? ser_chart_save(*c, path, err) : drawn;
    ser_chart_free(c);
    return st;
}

ser_status ser_save_confusion(const char *path, const ser_confusion_picture *p, ser_error *err)
{
    ser_chart_format format;
    ser_chart *c = NULL;
    ser_status st = ser_chart_format_of(&format, path, err);
    return st != SER_OK ? st : save(&c, ser_draw_confusion(&c, format, p, err), path, err);
}

ser_status ser_save_reliability(const char *path, const ser_reliability_picture *p, ser_error *err)
{
    ser_chart_format format;
    ser_chart *c = NULL;
    ser_status st = ser_chart_format_of(&format, path, err);
    return st != SER_OK ? st : save(&c, ser_draw_reliability(&c, format, p, err), path, err);
}

ser_status ser_save_timeline(const char *path, const ser_timeline_picture *p, ser_error *err)
{
    ser_chart_format format;
    ser_chart *c = NULL;
    ser_status st = ser_chart_format_of(&format, path, err);
    return st != SER_OK ? st : save(&c, ser_draw_timeline(&c, format, p, err), path, err);
}

ser_status ser_save_curves(const char *path, const ser_curves_picture *p, ser_error *err)
{
    ser_chart_format format;
    ser_chart *c = NULL;
    ser_status st = ser_chart_format_of(&format, path, err);
    return st != SER_OK ? st : save(&c, ser_draw_curves(&c, format, p, err), path, err);
}

ser_status ser_save_losses(const char *path, const ser_losses_picture *p, ser_error *err)
{
    ser_chart_format format;
    ser_chart *c = NULL;
    ser_status st = ser_chart_format_of(&format, path, err);
    return st != SER_OK ? st : save(&c, ser_draw_losses(&c, format, p, err), path, err);
}

ser_status ser_save_map(const char *path, const ser_map_picture *p, ser_error *err)
{
    ser_chart_format format;
    ser_chart *c = NULL;
    ser_status st = ser_chart_format_of(&format, path, err);
    return st != SER_OK ? st : save(&c, ser_draw_map(&c, format, p, err), path, err);
}

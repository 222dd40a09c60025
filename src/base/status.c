#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

ser_status ser_fail(ser_error *err, ser_status status, const char *format, ...)
{
    if (!err)
        return status;
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    err->status = status;
    return status;
}

ser_status ser_fail_nomem(ser_error *err)
{
    return ser_fail(err, SER_E_NOMEM, "out of memory: close other programs or work on less at once");
}

ser_status ser_fail_within(ser_error *err, ser_status status, const char *format, ...)
{
    if (!err)
        return status;
    char inner[sizeof err->text];
    memcpy(inner, err->text, sizeof inner);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof err->text)
        snprintf(err->text + n, sizeof err->text - (size_t)n, "%s", inner);
    err->status = status;
    return status;
}

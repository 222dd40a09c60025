#include "cli/outputs.h"
#include "base/memory.h"
#include "base/text.h"
#include "report/chart.h"

#include <string.h>
#include <unistd.h>

static bool can_write_beside(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? ser_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : ser_strdup(".");
    bool ok = folder && access(folder, W_OK | X_OK) == 0;
    ser_free(folder);
    return ok;
}

bool ser_output_fits(const ser_command *command, const char *option, const char *path, int *status)
{
    if (!path || can_write_beside(path))
        return true;
    *status =
        ser_usage_error(command, "--%s: %s: its folder cannot be written to: choose another", option, path);
    return false;
}

bool ser_picture_fits(const ser_command *command, const char *option, const char *path, int *status)
{
    ser_chart_format format;
    ser_error err = {0};
    if (path && ser_chart_format_of(&format, path, &err) != SER_OK) {
        *status = ser_usage_error(command, "--%s: %s: %s", option, path, err.text);
        return false;
    }
    return ser_output_fits(command, option, path, status);
}

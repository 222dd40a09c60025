#include "cli/outputs.h"
#include "base/memory.h"
#include "base/text.h"
#include "report/chart.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The folder that a path's last name lies in; NULL: out of memory. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? ser_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : ser_strdup(".");
}

/* From where the next name begins, behind slashes and what stays in place. */
static const char *skip(const char *s)
{
    while (*s == '/' || (*s == '.' && (s[1] == '/' || !s[1])))
        s++;
    return s;
}

/* As they are written: neither is there yet. */
static bool are_one(const char *a, const char *b)
{
    for (a = skip(a), b = skip(b); *a && *b; a = skip(a), b = skip(b)) {
        size_t n = strcspn(a, "/");
        if (n != strcspn(b, "/") || memcmp(a, b, n) != 0)
            return false;
        a += n;
        b += n;
    }
    return !*a && !*b;
}

static bool is_of(const char *folder, const char *made)
{
    char *here = getcwd(NULL, 0);
    char *a = here ? ser_format("%s/%s", *folder == '/' ? "" : here, folder) : NULL;
    char *b = here ? ser_format("%s/%s", *made == '/' ? "" : here, made) : NULL;
    bool is = a && b && are_one(a, b);
    ser_free(a);
    ser_free(b);
    free(here);
    return is;
}

/* As ser_output_open will go about it: what takes the place of a file is made beside it, and a link stays
 * one. NULL: it fits. */
static const char *misfit(const char *path, const char *made)
{
    struct stat info;
    bool exists = stat(path, &info) == 0;
    if (!*path || path[strlen(path) - 1] == '/' || (exists && S_ISDIR(info.st_mode)))
        return "it is a folder: add a file name";
    bool is_regular = exists && S_ISREG(info.st_mode);
    char *target = is_regular ? realpath(path, NULL) : NULL;
    bool nameless = exists && (!is_regular || info.st_nlink == 0);
    if (nameless) /* a device, a pipe, or what /dev/stdout was opened as and is removed since */
        return access(path, W_OK) == 0 ? NULL : "it cannot be written to: choose another";
    char *folder = folder_of(target ? target : path);
    bool fits = folder && (access(folder, W_OK | X_OK) == 0 ||
                           (made && access(folder, F_OK) != 0 && is_of(folder, made)));
    ser_free(folder);
    free(target);
    return fits ? NULL : "its folder cannot be written to: choose another";
}

bool ser_output_fits(const ser_command *command, const char *option, const char *path, const char *made,
                     int *status)
{
    const char *why = path ? misfit(path, made) : NULL;
    if (why)
        *status = ser_usage_error(command, "--%s: %s: %s", option, path, why);
    return !why;
}

bool ser_picture_fits(const ser_command *command, const char *option, const char *path, const char *made,
                      int *status)
{
    ser_chart_format format;
    ser_error err = {0};
    if (path && ser_chart_format_of(&format, path, &err) != SER_OK) {
        *status = ser_usage_error(command, "--%s: %s: %s", option, path, err.text);
        return false;
    }
    return ser_output_fits(command, option, path, made, status);
}

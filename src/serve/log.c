#include "serve/log.h"
#include "io/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

ser_status ser_log_open(ser_serve_log *out, const char *path, ser_error *err)
{
    *out = (ser_serve_log){.path = path, .file = path ? fopen(path, "ae") : stderr};
    return out->file ? SER_OK : ser_fail(err, SER_E_IO, "%s: cannot be written: %s", path, strerror(errno));
}

void ser_log_rotate(ser_serve_log *l)
{
    FILE *file = l->path ? fopen(l->path, "ae") : NULL;
    if (!file)
        return;
    fclose(l->file);
    l->file = file;
}

void ser_log_close(ser_serve_log *l)
{
    if (l->path && l->file)
        fclose(l->file);
    *l = (ser_serve_log){0};
}

/* The line, and a flush, so that what was answered stands there even if the process is killed. Without memory
 * for the line one says so: a log never has a line that lacks some of what it tells. */
static void put(ser_serve_log *l, json_t *object)
{
    char now[32];
    struct tm utc;
    time_t t = time(NULL);
    strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &utc));
    json_t *line = json_pack("{s:s}", "time", now);
    ser_json_update(&line, object);
    char *text = line ? ser_json_dump(line, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    if (text)
        fprintf(l->file, "%s\n", text);
    else
        fprintf(l->file, "{\"time\":\"%s\",\"event\":\"out_of_memory\"}\n", now);
    free(text);
    fflush(l->file);
    json_decref(line);
}

void ser_log_write(ser_serve_log *l, const ser_log_line *line)
{
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:i, s:f, s:f, s:I}", "request_id", line->request_id, "method",
                  line->method, "route", line->route, "status", line->status, "ms", 1000 * line->seconds,
                  "audio_s", line->audio_s, "bytes", (json_int_t)line->n_bytes);
    if (object && line->address)
        ser_json_set(&object, "address", json_string(line->address));
    put(l, object);
}

void ser_log_note(ser_serve_log *l, const char *event, const char *detail)
{
    json_t *object = json_pack("{s:s}", "event", event);
    if (object && detail)
        ser_json_set(&object, "detail", json_string(detail));
    put(l, object);
}

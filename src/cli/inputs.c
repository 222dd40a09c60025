#include "cli/inputs.h"
#include "audio/audio.h"
#include "base/memory.h"
#include "io/file.h"

#include <string.h>
#include <sys/stat.h>

static ser_status add(ser_inputs *inputs, const char *path, ser_error *err)
{
    if (!ser_grow(&inputs->items, &inputs->capacity, inputs->n + 1, sizeof *inputs->items))
        return ser_fail_nomem(err);
    ser_input *item = &inputs->items[inputs->n];
    *item = (ser_input){.path = ser_strdup(path), .name = ser_strdup(path)};
    inputs->n++;
    return item->path && item->name ? SER_OK : ser_fail_nomem(err);
}

static ser_status add_folder(ser_inputs *inputs, const char *folder, ser_error *err)
{
    char **files;
    size_t n_files, n_before = inputs->n;
    ser_status st = ser_io_list_files(&files, &n_files, folder, err);
    if (st != SER_OK)
        return st;
    size_t n_name = strlen(folder);
    while (n_name > 1 && folder[n_name - 1] == '/')
        n_name--;
    char *root = ser_strndup(folder, n_name);
    for (size_t i = 0; i < n_files && st == SER_OK; i++) {
        char *path = root ? ser_io_join(root, files[i]) : NULL;
        if (!path)
            st = ser_fail_nomem(err);
        else if (ser_audio_is_audio(path))
            st = add(inputs, path, err);
        else
            inputs->n_skipped++;
        ser_free(path);
    }
    ser_free(root);
    ser_io_free_list(files, n_files);
    if (st == SER_OK && inputs->n == n_before)
        st = ser_fail(err, SER_E_FORMAT, "no audio in this folder: name one with recordings");
    return st;
}

ser_status ser_inputs_add(ser_inputs *inputs, const char *argument, ser_error *err)
{
    struct stat info;
    bool is_folder = strcmp(argument, "-") != 0 && stat(argument, &info) == 0 && S_ISDIR(info.st_mode);
    return is_folder ? add_folder(inputs, argument, err) : add(inputs, argument, err);
}

void ser_inputs_release(ser_inputs *inputs)
{
    for (size_t i = 0; i < inputs->n; i++) {
        ser_free(inputs->items[i].path);
        ser_free(inputs->items[i].name);
    }
    ser_free(inputs->items);
    *inputs = (ser_inputs){0};
}

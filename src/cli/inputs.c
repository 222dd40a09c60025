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

static void skip(ser_inputs *inputs, const char *path)
{
    enum { N_NAMED = 3 };
    if (inputs->n_skipped < N_NAMED)
        ser_text_appendf(&inputs->skipped, "%s%s", inputs->n_skipped ? ", " : "", path);
    else if (inputs->n_skipped == N_NAMED)
        ser_text_append(&inputs->skipped, ", ...");
    inputs->n_skipped++;
}

static void note_kind(ser_inputs *inputs, const char *kind)
{
    if (!inputs->kinds.s || !strstr(inputs->kinds.s, kind))
        ser_text_appendf(&inputs->kinds, "%s%s", inputs->n_need_ffmpeg ? ", " : "", kind);
    inputs->n_need_ffmpeg++;
}

/* A file of a folder, or a link that leads nowhere. */
static ser_status add_entry(ser_inputs *inputs, const char *root, const char *file, bool is_dangling,
                            ser_error *err)
{
    const char *kind;
    if (ser_io_is_hidden(file))
        return SER_OK;
    char *path = ser_io_join(root, file);
    if (!path)
        return ser_fail_nomem(err);
    ser_status st = SER_OK;
    ser_audio_state state = is_dangling ? SER_AUDIO_NONE : ser_audio_look(path, &kind);
    if (state == SER_AUDIO_NEEDS_FFMPEG)
        note_kind(inputs, kind);
    if (is_dangling ? ser_audio_is_named_so(path) : state != SER_AUDIO_NONE) {
        st = add(inputs, path, err);
        if (st == SER_OK)
            inputs->items[inputs->n - 1].relative = strlen(path) - strlen(file);
    } else
        skip(inputs, path);
    ser_free(path);
    return st;
}

static ser_status add_folder(ser_inputs *inputs, const char *folder, ser_error *err)
{
    ser_io_listing listing = {0};
    size_t n_before = inputs->n, n_name = strlen(folder);
    while (n_name > 1 && folder[n_name - 1] == '/')
        n_name--;
    char *root = ser_strndup(folder, n_name);
    ser_status st = root ? ser_io_list(&listing, folder, err) : ser_fail_nomem(err);
    size_t file = 0, dangling = 0;
    while (st == SER_OK &&
           (file < listing.n_files || dangling < listing.n_dangling)) { /* together in byte order */
        bool is_dangling =
            file == listing.n_files ||
            (dangling < listing.n_dangling && strcmp(listing.dangling[dangling], listing.files[file]) < 0);
        st = add_entry(inputs, root, is_dangling ? listing.dangling[dangling++] : listing.files[file++],
                       is_dangling, err);
    }
    for (size_t i = 0; st == SER_OK && i < listing.n_closed; i++) { /* whose recordings nobody can tell */
        char *path = ser_io_join(root, listing.closed[i]);
        st = path ? add(inputs, path, err) : ser_fail_nomem(err);
        ser_free(path);
    }
    for (size_t i = 0; st == SER_OK && i < listing.n_folder_links; i++)
        inputs->n_folder_links += !ser_io_is_hidden(listing.folder_links[i]);
    ser_free(root);
    ser_io_listing_release(&listing);
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
    ser_text_release(&inputs->skipped);
    ser_text_release(&inputs->kinds);
    *inputs = (ser_inputs){0};
}

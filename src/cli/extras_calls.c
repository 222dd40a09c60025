/* Functions of ser-extras.so as the rest of the program calls them: extras.h. */
#include "cli/extras.h"
#include "model/builtin.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static const ser_extras *extras; /* NULL: failure says why */
static char failure[256];

/* For all to see, as if the program were linked with its libraries: those that MPI loads look for it. */
static void load_now(void)
{
    void *module = dlopen("ser-extras.so", RTLD_LAZY | RTLD_GLOBAL);
    void *symbol = module ? dlsym(module, "ser_extras_get") : NULL;
    const char *why = symbol ? NULL : dlerror();
    if (symbol) {
        ser_extras_get_function *get;
        size_t n_bytes;
        memcpy(&get, &symbol, sizeof get);
        const void *model = ser_builtin_model(&n_bytes);
        char build[SER_EXTRAS_BUILD_SIZE];
        ser_extras_build(build);
        extras = get(build, model, n_bytes);
    }
    if (!extras)
        snprintf(failure, sizeof failure, "%s", why ? why : "ser-extras.so is of another build");
}

static const ser_extras *load(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load_now);
    return extras;
}

static ser_status fail(ser_error *err)
{
    return ser_fail(err, SER_E_UNSUPPORTED, "a part of the program cannot be loaded: install it again (%s)",
                    failure);
}

ser_status ser_extras_check(ser_error *err)
{
    return load() ? SER_OK : fail(err);
}

#define CALL(name, ...) (load() ? extras->name(__VA_ARGS__) : fail(err))

ser_status ser_picture_append(ser_text *page, ser_picture_kind kind, const void *picture, ser_error *err)
{
    return CALL(ser_picture_append, page, kind, picture, err);
}

ser_status ser_picture_save(const char *path, ser_picture_kind kind, const void *picture, ser_error *err)
{
    return CALL(ser_picture_save, path, kind, picture, err);
}

ser_status ser_spreadsheet_save(const char *path, const ser_run_report *r, ser_error *err)
{
    return CALL(ser_spreadsheet_save, path, r, err);
}

ser_status ser_run_page_save(const char *path, const ser_run_report *r, ser_error *err)
{
    return CALL(ser_run_page_save, path, r, err);
}

ser_status ser_keras_weights_write(const char *path, const ser_timnet *net, ser_error *err)
{
    return CALL(ser_keras_weights_write, path, net, err);
}

ser_status ser_pull_model(char **folder, const char *name, const ser_pull_settings *s, ser_error *err)
{
    *folder = NULL;
    return CALL(ser_pull_model, folder, name, s, err);
}

ser_status ser_pull_corpus(char **folder, const ser_publication *c, const ser_pull_settings *s,
                           ser_error *err)
{
    *folder = NULL;
    return CALL(ser_pull_corpus, folder, c, s, err);
}

ser_status ser_serve(const ser_serve_settings *settings, ser_error *err)
{
    return CALL(ser_serve, settings, err);
}

/* ---- objects: whoever has one has loaded what made it ---- */

ser_status ser_microphone_open(ser_microphone **out, const char *name, ser_error *err)
{
    *out = NULL;
    return CALL(ser_microphone_open, out, name, err);
}

void ser_microphone_close(ser_microphone **m)
{
    if (*m)
        extras->ser_microphone_close(m);
}

int ser_microphone_rate_hz(const ser_microphone *m)
{
    return extras->ser_microphone_rate_hz(m);
}

const char *ser_microphone_name(const ser_microphone *m)
{
    return extras->ser_microphone_name(m);
}

ser_status ser_microphone_read(ser_microphone *m, float *pcm, bool *lost, ser_error *err)
{
    return extras->ser_microphone_read(m, pcm, lost, err);
}

ser_status ser_microphone_list(ser_text *lines, ser_error *err)
{
    return CALL(ser_microphone_list, lines, err);
}

ser_status ser_ranks_open(ser_ranks **out, const ser_progress *progress, int argc, char **argv,
                          char warning[256], ser_error *err)
{
    *out = NULL;
    *warning = 0;
    return CALL(ser_ranks_open, out, progress, argc, argv, warning, err);
}

const ser_team *ser_ranks_team(const ser_ranks *r)
{
    return r ? extras->ser_ranks_team(r) : NULL;
}

bool ser_ranks_go_on(ser_ranks *r)
{
    return !r || extras->ser_ranks_go_on(r);
}

void ser_ranks_set_handler(ser_ranks *r, void (*handler)(void *, const void *, size_t), void *context)
{
    if (r)
        extras->ser_ranks_set_handler(r, handler, context);
}

void ser_ranks_note(ser_ranks *r, const void *note, size_t n)
{
    extras->ser_ranks_note(r, note, n);
}

void ser_ranks_close(ser_ranks **r, ser_status *st, ser_error *err)
{
    if (*r)
        extras->ser_ranks_close(r, st, err);
}

#include "cli/together.h"
#include "base/sha256.h"
#include "cli/extras.h"
#include "cli/progress.h"
#include "run/sight.h"

#include <string.h>

static struct {
    int argc, rank, n;
    char **argv;
} own = {.n = 1};

int ser_together_begin(int argc, char **argv)
{
    ser_ranks_look(&own.rank, &own.n);
    own.argc = argc;
    own.argv = argv;
    ser_progress_hush(own.rank > 0);
    return own.n;
}

void ser_together_apart(void)
{
    own.rank = 0;
    own.n = 1;
    ser_progress_hush(false);
}

ser_status ser_together_open(ser_ranks **out, ser_error *err)
{
    char warning[256];
    *out = NULL;
    if (own.n <= 1)
        return SER_OK;
    const ser_progress progress = ser_progress_start();
    ser_status st = ser_extras_check(err);
    if (st != SER_OK) { /* on this rank, perhaps alone, and it reaches no other that could tell */
        ser_progress_hush(false);
        return st;
    }
    st = ser_ranks_open(out, &progress, own.argc, own.argv, warning, err);
    if (*warning)
        ser_say("%s", warning);
    return st;
}

bool ser_together_is_first(void)
{
    return own.rank == 0;
}

ser_style ser_together_style(FILE *stream)
{
    ser_style style = ser_style_of(stream);
    if (own.n > 1)
        style = (ser_style){.width = 80, .utf8 = style.utf8};
    return style;
}

static ser_status compare(const ser_team *team, const char *what, const ser_inputs *inputs, ser_error *err)
{
    char hex[65];
    ser_text t = {0};
    ser_sha256 h;
    ser_sha256_init(&h);
    for (size_t i = 0; i < inputs->n; i++)
        ser_sha256_add(&h, inputs->items[i].name, strlen(inputs->items[i].name) + 1);
    ser_sha256_finish(&h, hex);
    ser_text_appendf(&t, "%s\n", hex);
    for (size_t i = 0; i < inputs->n; i++)
        if (ser_sight_takes(i, inputs->n))
            ser_sight_add(&t, inputs->items[i].name, inputs->items[i].path);
    ser_status st = t.failed ? ser_fail_nomem(err) : team->compare(team->context, what, t.s, err);
    ser_text_release(&t);
    return st;
}

ser_status ser_together_compare(const ser_team *team, const ser_inputs *inputs, const ser_inputs *voice,
                                const char *model_path, ser_error *err)
{
    ser_text t = {0};
    if (!team)
        return SER_OK;
    ser_status st = compare(team, "recordings", inputs, err);
    if (st == SER_OK)
        st = compare(team, "recordings of a voice", voice, err);
    if (st == SER_OK && model_path) {
        ser_sight_add(&t, model_path, model_path);
        st = t.failed ? ser_fail_nomem(err) : team->compare(team->context, "models", t.s, err);
    }
    ser_text_release(&t);
    return st;
}

#include "cli/together.h"
#include "cli/progress.h"

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
    ser_status st = ser_ranks_open(out, &progress, own.argc, own.argv, warning, err);
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

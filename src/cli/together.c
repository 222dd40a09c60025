#include "cli/together.h"
#include "cli/progress.h"

int ser_together_begin(void)
{
    int rank, n;
    ser_ranks_look(&rank, &n);
    if (n > 1)
        ser_progress_hush(rank > 0);
    return n;
}

void ser_together_apart(void)
{
    ser_progress_hush(false);
}

ser_status ser_together_open(ser_ranks **out, int argc, char **argv, ser_error *err)
{
    char warning[256];
    const ser_progress progress = ser_progress_start();
    ser_status st = ser_ranks_open(out, &progress, argc, argv, warning, err);
    if (*warning)
        ser_say("%s", warning);
    return st;
}

ser_style ser_together_style(FILE *stream)
{
    int rank, n;
    ser_style style = ser_style_of(stream);
    ser_ranks_look(&rank, &n);
    if (n > 1)
        style = (ser_style){.width = 80, .utf8 = style.utf8};
    return style;
}

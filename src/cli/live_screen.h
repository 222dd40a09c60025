/* What 'ser listen' shows on a terminal: how loud it is, whether somebody speaks, the emotions as bars that
 * move, and the last minute as a strip. */
#ifndef SER_CLI_LIVE_SCREEN_H
#define SER_CLI_LIVE_SCREEN_H

#include "report/prediction.h"

enum { SER_SCREEN_MINUTE = 60, SER_SCREEN_NO_VOICE = -1, SER_SCREEN_UNSURE = -2 };

typedef struct ser_live_screen {
    const ser_prediction_form *form;
    double heard_s, loudest; /* loudest: the largest absolute sample of late, which fades */
    bool speaking;
    int label;                                           /* of the latest measurement; -1: none yet */
    float scores[SER_MAX_LABELS], shown[SER_MAX_LABELS]; /* shown follows scores */
    int minute[SER_SCREEN_MINUTE];                       /* the label of second i modulo 60, or none */
    size_t n_lines;                                      /* that stand on the terminal */
} ser_live_screen;

void ser_live_screen_init(ser_live_screen *s, const ser_prediction_form *form);
void ser_live_screen_hear(ser_live_screen *s, const float *samples, size_t n, double seconds);
void ser_live_screen_event(ser_live_screen *s, const ser_event *e);
/* The whole picture, over the one that stands there: as wide as style.width, which may change. */
void ser_live_screen_draw(ser_live_screen *s, ser_text *t, ser_style style);
/* Leaves what is drawn, below which text may follow. */
void ser_live_screen_leave(ser_live_screen *s);

#endif

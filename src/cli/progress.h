/* The one line of progress on standard error, messages beside it, and the wish to stop. There is one terminal
 * and one process, so this is the one place of the program with global state. */
#ifndef SER_CLI_PROGRESS_H
#define SER_CLI_PROGRESS_H

#include "base/progress.h"
#include "base/text.h"
#include "report/text.h"

/* Something to report to: draws on standard error, at most ten times a second, when that is a terminal;
 * nothing elsewhere. From now on SIGINT and SIGTERM ask the work to stop: every report answers whether to go
 * on. A second one ends the program at once. */
ser_progress ser_progress_start(void);
/* Removes the line; the next report draws it again. Fine when there is none. */
void ser_progress_clear(void);
/* Nothing is drawn or said from now on, or everything again: another process of the same job speaks. */
void ser_progress_hush(bool hushed);
/* Whether SIGINT or SIGTERM came, for work that does not report. */
bool ser_interrupted(void);

/* One line on standard error, "ser: FORMAT...", above the progress line if there is one; control characters
 * become
 * '?'. */
void ser_say(const char *format, ...) SER_PRINTF(1, 2);

/* The same without "ser: ", for what a person likes to see go by. */
void ser_tell(const char *format, ...) SER_PRINTF(1, 2);

/* The line without its end: what, bar, done/total, percent, elapsed and remaining time; total 0: not known,
 * no bar. done_before: what was done already when the clock started. Fits into style.width - 1 columns. */
void ser_progress_line(ser_text *t, const char *what, size_t done, size_t total, size_t done_before,
                       double elapsed_s, ser_style style);

#endif

/* How long something takes. */
#ifndef SER_BASE_CLOCK_H
#define SER_BASE_CLOCK_H

double ser_clock_s(void); /* seconds since some moment, never set back */

#endif

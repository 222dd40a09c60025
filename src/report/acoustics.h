/* How a recording sounds, in words: what was measured, what that means, what to do. docs/sound.md has the
 * limits. */
#ifndef SER_REPORT_ACOUSTICS_H
#define SER_REPORT_ACOUSTICS_H

#include "base/text.h"
#include "io/json.h"
#include "ser/ser.h"

/* In the order in which they are told. */
typedef enum ser_finding {
    SER_FINDING_VOICE,     /* too little of it */
    SER_FINDING_NOISE,     /* too near to it */
    SER_FINDING_CLIPPED,   /* peaks are cut off */
    SER_FINDING_BANDWIDTH, /* high frequencies are missing */
    SER_FINDING_DECAY,     /* echo */
    SER_FINDING_LEVEL,     /* too low */
    SER_N_FINDINGS
} ser_finding;

typedef enum ser_gravity {
    SER_GRAVITY_NONE,   /* or not known */
    SER_GRAVITY_TOLD,   /* to who asks */
    SER_GRAVITY_SERIOUS /* to everybody */
} ser_gravity;

ser_gravity ser_finding_gravity(ser_finding f, const ser_acoustics *s);
/* "bandwidth 3.4 kHz, as by telephone: ...: ..." */
void ser_finding_append(ser_text *t, ser_finding f, const ser_acoustics *s);
/* "unlike what the model learned from, 1.4 times ...: ..." Nothing, and false, up to 1, beyond which
 * confidence is lowered (ser_result.unlike). */
bool ser_unlike_append(ser_text *t, float unlike);
/* All figures that are known, when there is nothing to tell: "nothing noteworthy: 2.1 s of voice at ...". */
void ser_acoustics_append(ser_text *t, const ser_acoustics *s);

/* The figures under the names of ser_acoustics, null where not known, and "notes", the findings' lines. NULL:
 * no memory. */
json_t *ser_acoustics_json(const ser_acoustics *s);
/* The same figures as columns, each followed by a comma; empty where not known. */
void ser_acoustics_csv_header(ser_text *t);
void ser_acoustics_csv(ser_text *t, const ser_acoustics *s); /* s NULL: all empty */

#endif

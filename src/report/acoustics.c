#include "report/acoustics.h"
#include "report/escape.h"

#include <math.h>

/* Beyond which a figure is told, and beyond which to everybody. NaN is beyond nothing. */
typedef struct limit {
    float told, serious;
    bool is_upper; /* what lies above is worse */
} limit;

static const limit limits[SER_N_FINDINGS] = {
    [SER_FINDING_VOICE] = {1, 0.4f, false},        [SER_FINDING_NOISE] = {8, 2, false},
    [SER_FINDING_CLIPPED] = {0.005f, 0.03f, true}, [SER_FINDING_BANDWIDTH] = {4500, 2600, false},
    [SER_FINDING_DECAY] = {0.8f, 1.5f, true},      [SER_FINDING_LEVEL] = {-55, -65, false},
};

static float figure_of(ser_finding f, const ser_acoustics *s)
{
    switch (f) {
    case SER_FINDING_VOICE:
        return s->voice_s;
    case SER_FINDING_NOISE:
        return s->snr_db;
    case SER_FINDING_CLIPPED:
        return s->clipped;
    case SER_FINDING_BANDWIDTH:
        return s->bandwidth_hz;
    case SER_FINDING_DECAY:
        return s->decay_s;
    case SER_FINDING_LEVEL:
        return s->level_db;
    case SER_N_FINDINGS:
        break;
    }
    return NAN;
}

ser_gravity ser_finding_gravity(ser_finding f, const ser_acoustics *s)
{
    float x = figure_of(f, s), told = limits[f].told, serious = limits[f].serious;
    if (limits[f].is_upper) {
        x = -x;
        told = -told;
        serious = -serious;
    }
    return x < serious ? SER_GRAVITY_SERIOUS : x < told ? SER_GRAVITY_TOLD : SER_GRAVITY_NONE;
}

static void append_voice(ser_text *t, const ser_acoustics *s)
{
    if (s->voice_s > 0)
        ser_text_appendf(t, "%.1f s of voice: too little to tell a mood by: let 2 s and more be spoken",
                         (double)s->voice_s);
    else
        ser_text_append(t, "no voice was heard: there is nothing to judge: "
                           "check what was recorded, or speak up");
}

static void append_noise(ser_text *t, double ratio_db)
{
    if (ratio_db >= 1)
        ser_text_appendf(t, "the voice is %.0f dB above the noise", ratio_db);
    else
        ser_text_append(t, "the voice is no louder than the noise");
    ser_text_append(t, ": soft sounds drown in it: go nearer to the microphone, or to a quieter place");
}

static void append_bandwidth(ser_text *t, const ser_acoustics *s)
{
    double khz = (double)s->bandwidth_hz / 1000;
    if (ser_finding_gravity(SER_FINDING_BANDWIDTH, s) == SER_GRAVITY_SERIOUS)
        ser_text_appendf(t,
                         "bandwidth %.1f kHz, muffled: most consonants are missing: "
                         "uncover the microphone, or find the original of this copy",
                         khz);
    else
        ser_text_appendf(t,
                         "bandwidth %.1f kHz, as by telephone: hisses and breath are missing: "
                         "record at 16 kHz or more",
                         khz);
}

void ser_finding_append(ser_text *t, ser_finding f, const ser_acoustics *s)
{
    double x = (double)figure_of(f, s);
    switch (f) {
    case SER_FINDING_VOICE:
        append_voice(t, s);
        break;
    case SER_FINDING_NOISE:
        append_noise(t, x);
        break;
    case SER_FINDING_CLIPPED:
        ser_text_appendf(t,
                         "%.1f %% of the samples are clipped: a voice sounds harsher than it is: "
                         "turn the recording level down",
                         100 * x);
        break;
    case SER_FINDING_BANDWIDTH:
        append_bandwidth(t, s);
        break;
    case SER_FINDING_DECAY:
        ser_text_appendf(t,
                         "echo, roughly %.1f s until a sound has faded: syllables run into each other: "
                         "go nearer to the microphone",
                         x);
        break;
    case SER_FINDING_LEVEL:
        ser_text_appendf(t,
                         "the voice is at %.0f dB of full scale: what fades is lost: "
                         "turn the recording level up",
                         x);
        break;
    case SER_N_FINDINGS:
        break;
    }
}

bool ser_unlike_append(ser_text *t, float unlike)
{
    if (!(unlike > 1))
        return false;
    ser_text_appendf(
        t,
        "unlike what the model learned from, %.1f times as far from it as nearly all speech that it was "
        "tried on: the confidence was lowered: let one voice speak alone, for 2 s and more, near the "
        "microphone",
        (double)unlike);
    return true;
}

void ser_acoustics_append(ser_text *t, const ser_acoustics *s)
{
    ser_text_appendf(t, "nothing noteworthy in the sound: %.1f s of voice", (double)s->voice_s);
    if (isfinite(s->level_db))
        ser_text_appendf(t, " at %.0f dB of full scale", (double)s->level_db);
    if (isfinite(s->snr_db))
        ser_text_appendf(t, ", %.0f dB above the noise", (double)s->snr_db);
    if (isfinite(s->bandwidth_hz))
        ser_text_appendf(t, ", bandwidth %.1f kHz", (double)s->bandwidth_hz / 1000);
    ser_text_appendf(t, ", %.1f %% clipped", 100 * (double)s->clipped);
    if (isfinite(s->decay_s))
        ser_text_appendf(t, ", echo roughly %.1f s", (double)s->decay_s);
}

/* ---- for programs ---- */

enum { N_FIGURES = 7 };

typedef struct figure {
    const char *name;
    float value;
    double steps; /* of 1, to which it is rounded */
} figure;

static void list_figures(figure figures[N_FIGURES], const ser_acoustics *s)
{
    const figure list[N_FIGURES] = {
        {"voice_s", s->voice_s, 1000}, {"bandwidth_hz", s->bandwidth_hz, 1},
        {"level_db", s->level_db, 10}, {"noise_db", s->noise_db, 10},
        {"snr_db", s->snr_db, 10},     {"clipped", s->clipped, 1e5},
        {"decay_s", s->decay_s, 100},
    };
    for (size_t i = 0; i < N_FIGURES; i++)
        figures[i] = list[i];
}

static double rounded(const figure *f)
{
    return round((double)f->value * f->steps) / f->steps;
}

static json_t *notes_json(const ser_acoustics *s)
{
    json_t *list = json_array();
    for (int f = 0; f < SER_N_FINDINGS; f++) {
        ser_text t = {0};
        if (ser_finding_gravity((ser_finding)f, s) == SER_GRAVITY_NONE)
            continue;
        ser_finding_append(&t, (ser_finding)f, s);
        ser_json_add(&list, t.failed ? NULL : json_string(t.s));
        ser_text_release(&t);
    }
    return list;
}

json_t *ser_acoustics_json(const ser_acoustics *s)
{
    figure figures[N_FIGURES];
    json_t *object = json_object();
    list_figures(figures, s);
    for (size_t i = 0; i < N_FIGURES; i++)
        ser_json_set(&object, figures[i].name, ser_number_json(rounded(&figures[i])));
    ser_json_set(&object, "notes", notes_json(s));
    return object;
}

void ser_acoustics_csv_header(ser_text *t)
{
    figure figures[N_FIGURES];
    list_figures(figures, &(ser_acoustics){0});
    for (size_t i = 0; i < N_FIGURES; i++)
        ser_text_appendf(t, "%s,", figures[i].name);
}

void ser_acoustics_csv(ser_text *t, const ser_acoustics *s)
{
    figure figures[N_FIGURES];
    list_figures(figures, s ? s : &(ser_acoustics){0});
    for (size_t i = 0; i < N_FIGURES; i++) {
        if (s && isfinite(figures[i].value))
            ser_text_appendf(t, "%.9g", rounded(&figures[i]));
        ser_text_append(t, ",");
    }
}

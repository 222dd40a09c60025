/* What is told of how a recording sounds, when, and to whom. */
#include "report/acoustics.h"
#include "report/prediction.h"
#include "test.h"

static ser_prediction_form form(void)
{
    return (ser_prediction_form){.labels = {"angry", "happy", "sad"},
                                 .n_labels = 3,
                                 .bars = true,
                                 .warns = true,
                                 .style = {.width = 80, .utf8 = true}};
}

/* As from a studio. */
static ser_acoustics good(void)
{
    return (ser_acoustics){.voice_s = 2.3f,
                           .bandwidth_hz = 7875,
                           .level_db = -21.4f,
                           .noise_db = -60,
                           .snr_db = 38.6f,
                           .clipped = 0,
                           .decay_s = 0.3f};
}

static ser_acoustics unknown(void)
{
    return (ser_acoustics){
        .voice_s = 2, .bandwidth_hz = NAN, .level_db = NAN, .noise_db = NAN, .snr_db = NAN, .decay_s = NAN};
}

static size_t count_lines(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += *s == '\n';
    return n;
}

static void test_limits(void)
{
    static const struct {
        ser_finding finding;
        size_t offset;
        float fine, told, serious;
    } cases[] = {
        {SER_FINDING_VOICE, offsetof(ser_acoustics, voice_s), 1, 0.9f, 0.3f},
        {SER_FINDING_NOISE, offsetof(ser_acoustics, snr_db), 8, 7.9f, 1},
        {SER_FINDING_CLIPPED, offsetof(ser_acoustics, clipped), 0.004f, 0.006f, 0.04f},
        {SER_FINDING_BANDWIDTH, offsetof(ser_acoustics, bandwidth_hz), 5500, 4000, 2500},
        {SER_FINDING_DECAY, offsetof(ser_acoustics, decay_s), 0.7f, 0.9f, 1.6f},
        {SER_FINDING_LEVEL, offsetof(ser_acoustics, level_db), -54, -56, -66},
    };
    ser_acoustics s = good(), u = unknown();
    for (int f = 0; f < SER_N_FINDINGS; f++) {
        CHECK(ser_finding_gravity((ser_finding)f, &s) == SER_GRAVITY_NONE);
        CHECK(ser_finding_gravity((ser_finding)f, &u) == SER_GRAVITY_NONE); /* not known is not bad */
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float *figure = (float *)((char *)&s + cases[i].offset);
        s = good();
        *figure = cases[i].fine;
        CHECK(ser_finding_gravity(cases[i].finding, &s) == SER_GRAVITY_NONE);
        *figure = cases[i].told;
        CHECK(ser_finding_gravity(cases[i].finding, &s) == SER_GRAVITY_TOLD);
        *figure = cases[i].serious;
        CHECK(ser_finding_gravity(cases[i].finding, &s) == SER_GRAVITY_SERIOUS);
        for (int f = 0; f < SER_N_FINDINGS; f++)
            CHECK((cases[i].finding == (ser_finding)f) ==
                  (ser_finding_gravity((ser_finding)f, &s) != SER_GRAVITY_NONE));
    }
}

/* What was measured, what it means, what to do. */
static void test_words(void)
{
    ser_acoustics s = {.voice_s = 0.3f,
                       .bandwidth_hz = 3500,
                       .level_db = -67,
                       .snr_db = 2.4f,
                       .clipped = 0.041f,
                       .decay_s = 1.2f};
    const char *const figures[] = {"0.3 s", "2 dB", "4.1 %", "3.5 kHz", "1.2 s", "-67 dB"};
    for (int f = 0; f < SER_N_FINDINGS; f++) {
        ser_text t = {0};
        ser_finding_append(&t, (ser_finding)f, &s);
        CHECK(t.n && strstr(t.s, figures[f]) && !strchr(t.s, '\n'));
        const char *first = t.n ? strstr(t.s, ": ") : NULL;
        CHECK(first && strstr(first + 2, ": "));
        ser_text_release(&t);
    }
    ser_text t = {0};
    s.bandwidth_hz = 2000;
    ser_finding_append(&t, SER_FINDING_BANDWIDTH, &s);
    CHECK(strstr(t.s, "muffled") && !strstr(t.s, "telephone"));
    ser_text_clear(&t);
    s.snr_db = -3;
    ser_finding_append(&t, SER_FINDING_NOISE, &s);
    CHECK(strstr(t.s, "no louder than the noise"));
    ser_text_clear(&t);
    s.voice_s = 0;
    ser_finding_append(&t, SER_FINDING_VOICE, &s);
    CHECK(strstr(t.s, "no voice"));
    ser_text_release(&t);
}

static size_t text_lines(const ser_prediction_form *f, const ser_result *r, ser_text *t)
{
    ser_text_clear(t);
    ser_prediction_text(t, f, "a.wav", r);
    return count_lines(t->s);
}

static void test_text(void)
{
    ser_result r = {.duration_s = 3, .label = 1, .scores = {0.2f, 0.7f, 0.1f}, .sound = good()};
    ser_prediction_form f = form();
    ser_text t = {0};
    const size_t n_plain = 1 + 3; /* with bars */
    CHECK(text_lines(&f, &r, &t) == n_plain);
    r.sound.snr_db = 6; /* worth telling to who asks */
    r.sound.bandwidth_hz = 3500;
    CHECK(text_lines(&f, &r, &t) == n_plain);
    r.sound.snr_db = 1.5f; /* to everybody, but no more than the worst */
    r.sound.clipped = 0.1f;
    CHECK(text_lines(&f, &r, &t) == n_plain + 1 && strstr(t.s, "\n  note: the voice is 2 dB"));
    f.bars = f.warns = false; /* one of many */
    CHECK(text_lines(&f, &r, &t) == 1);
    f.explain = true;
    CHECK(text_lines(&f, &r, &t) == 1 + 3 && !strstr(t.s, "6 dB") && !strstr(t.s, "note"));
    CHECK(strstr(t.s, "2 dB") < strstr(t.s, "clipped") && strstr(t.s, "clipped") < strstr(t.s, "telephone"));
    r.sound = good();
    CHECK(text_lines(&f, &r, &t) == 2 && strstr(t.s, "nothing noteworthy") && strstr(t.s, "39 dB") &&
          strstr(t.s, "7.9 kHz"));
    r.sound = unknown(); /* figures that are not there are left out */
    CHECK(text_lines(&f, &r, &t) == 2 && strstr(t.s, "nothing noteworthy") && !strstr(t.s, "nan"));
    f.style.terminal = true;
    r.sound = good();
    r.sound.snr_db = 2;
    text_lines(&f, &r, &t);
    size_t longest = 0;
    for (const char *at = t.s, *end; at && (end = strchr(at, '\n')); at = end + 1)
        longest = (size_t)(end - at) > longest ? (size_t)(end - at) : longest;
    CHECK(longest <= 80);
    r = (ser_result){.duration_s = 1, .label = -1, .note = SER_NOTE_SILENCE, .sound = unknown()};
    r.sound.voice_s = 0;
    f = form();
    CHECK(text_lines(&f, &r, &t) == 1); /* the answer says why there is no label */
    f.explain = true;
    CHECK(text_lines(&f, &r, &t) == 2 && strstr(t.s, "no voice was heard"));
    ser_text_release(&t);
}

static void test_json(void)
{
    ser_result r = {.duration_s = 3, .label = 1, .scores = {0.2f, 0.7f, 0.1f}, .sound = good()};
    ser_prediction_form f = form();
    ser_text t = {0};
    ser_prediction_json(&t, &f, "a.wav", &r);
    CHECK(!strstr(t.s, "sound"));
    ser_text_clear(&t);
    f.explain = true;
    r.sound.decay_s = NAN;
    r.sound.clipped = 0.012345f;
    ser_prediction_json(&t, &f, "a.wav", &r);
    json_t *o = json_loads(t.s, 0, NULL);
    const json_t *sound = json_object_get(o, "sound");
    CHECK(json_object_size(sound) == 8 && json_real_value(json_object_get(sound, "bandwidth_hz")) == 7875);
    CHECK(json_is_null(json_object_get(sound, "decay_s")));
    CHECK(fabs(json_real_value(json_object_get(sound, "clipped")) - 0.01235) < 1e-9);
    CHECK(fabs(json_real_value(json_object_get(sound, "level_db")) + 21.4) < 1e-9);
    const json_t *notes = json_object_get(sound, "notes");
    CHECK(json_array_size(notes) == 1 &&
          strstr(json_string_value(json_array_get(notes, 0)), "1.2 % of the samples are clipped"));
    json_decref(o);
    ser_text_release(&t);
}

/* How unlike the recording is stands before all that its sound has to say. */
static void test_unlike(void)
{
    ser_result r = {
        .duration_s = 3, .label = 1, .scores = {0.3f, 0.4f, 0.3f}, .sound = good(), .unlike = 0.8f};
    ser_prediction_form f = form();
    ser_text t = {0};
    f.explain = true;
    r.sound.clipped = 0.012345f;
    ser_prediction_json(&t, &f, "a.wav", &r);
    json_t *o = json_loads(t.s, 0, NULL);
    CHECK(fabs(json_real_value(json_object_get(o, "unlike")) - 0.8) < 1e-9 && !json_object_get(o, "note"));
    CHECK(json_array_size(json_object_get(json_object_get(o, "sound"), "notes")) == 1);
    json_decref(o);
    ser_text_clear(&t);
    ser_prediction_text(&t, &f, "a.wav", &r);
    CHECK(!strstr(t.s, "unlike") && strstr(t.s, "clipped"));
    ser_text_clear(&t);
    r.unlike = 1.44f;
    r.note = SER_NOTE_UNLIKE;
    ser_prediction_json(&t, &f, "a.wav", &r);
    o = json_loads(t.s, 0, NULL);
    const json_t *notes = json_object_get(json_object_get(o, "sound"), "notes");
    CHECK(json_array_size(notes) == 2 &&
          strstr(json_string_value(json_array_get(notes, 0)), "1.4 times as far from it"));
    CHECK(strcmp(json_string_value(json_object_get(o, "note")), "unlike the training recordings") == 0);
    CHECK(json_is_string(json_object_get(o, "label")));
    json_decref(o);
    ser_text_clear(&t);
    ser_prediction_text(&t, &f, "a.wav", &r);
    CHECK(strstr(t.s, "\n  unlike what the model learned from, 1.4 times") && strstr(t.s, "clipped"));
    ser_text_clear(&t);
    f.explain = false; /* to everybody, since the answer is another for it */
    f.warns = true;
    ser_prediction_text(&t, &f, "a.wav", &r);
    CHECK(strstr(t.s, "\n  note: unlike what the model learned from, 1.4 times") && !strstr(t.s, "clipped"));
    ser_text_clear(&t);
    f.warns = false;
    ser_prediction_text(&t, &f, "a.wav", &r);
    CHECK(!strstr(t.s, "unlike"));
    ser_text_release(&t);
}

static size_t count_commas(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += *s == ',';
    return n;
}

static void test_csv(void)
{
    ser_segment segment = {.end_s = 3, .label = 1, .scores = {0.2f, 0.7f, 0.1f}};
    ser_result r = {.duration_s = 3, .label = 1, .scores = {0.2f, 0.7f, 0.1f}, .sound = good()};
    r.segments = &segment;
    r.n_segments = 1;
    r.sound.decay_s = NAN;
    r.unlike = 1.2341f;
    for (int timeline = 0; timeline < 2; timeline++) {
        ser_prediction_form f = form();
        ser_text header = {0}, row = {0}, failed = {0};
        f.timeline = timeline;
        f.explain = true;
        ser_prediction_csv_header(&header, &f);
        ser_prediction_csv(&row, &f, "a.wav", &r);
        ser_prediction_csv_error(&failed, &f, "b.wav", "it is damaged");
        CHECK(
            strstr(header.s,
                   ",sad,voice_s,bandwidth_hz,level_db,noise_db,snr_db,clipped,decay_s,unlike,note,error\n"));
        CHECK(strstr(row.s, ",2.3,7875,-21.4,-60,38.6,0,,1.234,,\n"));
        CHECK(count_commas(row.s) == count_commas(header.s) &&
              count_commas(failed.s) == count_commas(header.s));
        CHECK(strstr(failed.s, ",it is damaged\n"));
        ser_text_release(&header);
        ser_text_release(&row);
        ser_text_release(&failed);
    }
}

int main(void)
{
    test_unlike();
    test_limits();
    test_words();
    test_text();
    test_json();
    test_csv();
    return test_summary();
}

#include "io/csv.h"
#include "report/prediction.h"
#include "test.h"

#include <jansson.h>

static ser_prediction_form form(void)
{
    return (ser_prediction_form){
        .labels = {"angry", "happy", "sad"}, .n_labels = 3, .style = {.width = 80, .utf8 = true}};
}

static void want(ser_prediction_form *f, double min_confidence)
{
    for (size_t i = 0; i < f->n_labels; i++)
        f->min_confidence[i] = min_confidence;
}

static ser_result result(ser_segment segments[2])
{
    ser_result r = {.duration_s = 3.2149, .label = 1, .scores = {0.2f, 0.7f, 0.1f}};
    r.confidence = r.scores[1];
    segments[0] = (ser_segment){.start_s = 0, .end_s = 1.5, .label = 1, .scores = {0.2f, 0.7f, 0.1f}};
    segments[1] = (ser_segment){.start_s = 1.5, .end_s = 3.2149, .label = -1};
    r.segments = segments;
    r.n_segments = 2;
    return r;
}

static json_t *parse_line(ser_text *t)
{
    CHECK(t->n && strchr(t->s, '\n') == t->s + t->n - 1); /* one line */
    json_error_t error;
    json_t *object = json_loads(t->s, JSON_REJECT_DUPLICATES, &error);
    CHECK(json_is_object(object));
    ser_text_release(t);
    return object;
}

static double number(const json_t *object, const char *key)
{
    return json_is_number(json_object_get(object, key)) ? json_number_value(json_object_get(object, key))
                                                        : NAN;
}

static const char *string(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "(none)";
}

static void test_json(void)
{
    ser_segment segments[2];
    ser_result r = result(segments);
    ser_prediction_form f = form();
    ser_text t = {0};
    ser_prediction_json(&t, &f, "a b.wav", &r);
    json_t *o = parse_line(&t), *scores = json_object_get(o, "scores");
    CHECK(strcmp(string(o, "file"), "a b.wav") == 0 && strcmp(string(o, "label"), "happy") == 0);
    CHECK(number(o, "duration") == 3.215 && number(o, "confidence") == number(scores, "happy"));
    CHECK((float)number(o, "confidence") == 0.7f); /* the very same float */
    CHECK(fabs(number(scores, "angry") + number(scores, "happy") + number(scores, "sad") - 1) < 1e-6);
    CHECK(!json_object_get(o, "segments") && !json_object_get(o, "note"));
    json_decref(o);

    f.timeline = true;
    ser_prediction_json(&t, &f, "a.wav", &r);
    o = parse_line(&t);
    const json_t *list = json_object_get(o, "segments"), *second = json_array_get(list, 1);
    CHECK(json_array_size(list) == 2 && number(json_array_get(list, 0), "end") == 1.5);
    CHECK(json_is_null(json_object_get(second, "label")) && json_is_null(json_object_get(second, "scores")));
    json_decref(o);

    want(&f, 0.8);
    ser_prediction_json(&t, &f, "a.wav", &r);
    o = parse_line(&t);
    CHECK(strcmp(string(o, "label"), "uncertain") == 0 && (float)number(o, "confidence") == 0.7f);
    json_decref(o);
    f.min_confidence[1] = 0.7; /* each emotion has its own */
    ser_prediction_json(&t, &f, "a.wav", &r);
    o = parse_line(&t);
    CHECK(strcmp(string(o, "label"), "uncertain") == 0); /* 0.7f is less */
    json_decref(o);
    f.min_confidence[1] = 0.69;
    ser_prediction_json(&t, &f, "a.wav", &r);
    o = parse_line(&t);
    CHECK(strcmp(string(o, "label"), "happy") == 0);
    json_decref(o);
    want(&f, 0);
    for (int i = 0; i < 3; i++)
        r.scores[i] = 1.0f / 3;
    ser_prediction_json(&t, &f, "a.wav", &r);
    o = parse_line(&t);
    scores = json_object_get(o, "scores");
    CHECK((float)number(scores, "angry") == 1.0f / 3);
    CHECK(fabs(number(scores, "angry") + number(scores, "happy") + number(scores, "sad") - 1) < 1e-6);
    json_decref(o);
}

static void test_json_without_label(void)
{
    ser_result r = {.duration_s = 1, .label = -1, .note = SER_NOTE_NO_VOICE};
    ser_prediction_form f = form();
    ser_text t = {0};
    ser_prediction_json(&t, &f, "\xff\n\".wav", &r); /* a name that is not UTF-8 */
    json_t *o = parse_line(&t);
    CHECK(json_is_null(json_object_get(o, "label")) && json_is_null(json_object_get(o, "scores")));
    CHECK(number(o, "confidence") == 0 && strcmp(string(o, "note"), "no voice") == 0);
    CHECK(strcmp(string(o, "file"), "\xEF\xBF\xBD\n\".wav") == 0);
    json_decref(o);
    ser_prediction_json_error(&t, "b.wav", "it is \"empty\"");
    o = parse_line(&t);
    CHECK(json_object_size(o) == 2 && strcmp(string(o, "error"), "it is \"empty\"") == 0);
    json_decref(o);
}

static void test_events(void)
{
    ser_event e = {.kind = SER_EVENT_SPEECH_START, .start_s = 1.2345, .end_s = 1.2345, .label = -1};
    ser_prediction_form f = form();
    ser_text t = {0};
    ser_prediction_event(&t, &f, &e);
    CHECK(strcmp(t.s, "{\"event\": \"speech_start\", \"start\": 1.234, \"end\": 1.234, \"label\": null, "
                      "\"confidence\": 0, \"scores\": null}\n") == 0 ||
          strstr(t.s, "\"start\": 1.235"));
    ser_text_clear(&t);
    e = (ser_event){.kind = SER_EVENT_MEASUREMENT, .end_s = 2, .label = 1, .scores = {0.25f, 0.5f, 0.25f}};
    ser_prediction_event(&t, &f, &e);
    json_t *o = parse_line(&t);
    CHECK(json_is_false(json_object_get(o, "final")) && number(o, "confidence") == 0.5);
    CHECK(strcmp(string(o, "event"), "measurement") == 0 && strcmp(string(o, "label"), "happy") == 0);
    json_decref(o);
    e.kind = SER_EVENT_SPEECH_END;
    want(&f, 0.6);
    ser_prediction_event(&t, &f, &e);
    o = parse_line(&t);
    CHECK(!json_object_get(o, "final") && strcmp(string(o, "label"), "uncertain") == 0);
    json_decref(o);
    ser_prediction_event_text(&t, &f, &e);
    CHECK(strcmp(t.s, "      0:00.0 –     0:02.0  uncertain: happy 50 %, angry 25 %\n") == 0);
    ser_text_release(&t);
}

static void test_csv(void)
{
    ser_segment segments[2];
    ser_result r = result(segments), silent = {.duration_s = 1, .label = -1, .note = SER_NOTE_SILENCE};
    ser_prediction_form f = form();
    ser_text t = {0};
    ser_error err = {0};
    ser_csv csv;
    ser_prediction_csv_header(&t, &f);
    ser_prediction_csv(&t, &f, "a, \"b\"\n.wav", &r);
    ser_prediction_csv(&t, &f, "s.wav", &silent);
    ser_prediction_csv_error(&t, &f, "c\xff.wav", "broken, sorry");
    CHECK(strncmp(t.s, "file,duration,label,confidence,angry,happy,sad,note,error\n", 58) == 0);
    CHECK_OK(ser_csv_read_memory(&csv, t.s, t.n, &err), &err);
    CHECK(csv.n_rows == 4 && csv.n_columns == 9);
    if (csv.n_rows == 4 && csv.n_columns == 9) {
        char ***rows = csv.rows;
        CHECK(strcmp(rows[1][0], "a, \"b\"\n.wav") == 0 && strcmp(rows[1][1], "3.215") == 0);
        CHECK(strcmp(rows[1][2], "happy") == 0 && strtof(rows[1][3], NULL) == 0.7f &&
              strtof(rows[1][4], NULL) == 0.2f && strtof(rows[1][6], NULL) == 0.1f);
        CHECK(!*rows[1][7] && !*rows[1][8]);
        CHECK(!*rows[2][2] && strcmp(rows[2][3], "0") == 0 && !*rows[2][4] && !*rows[2][6] &&
              strcmp(rows[2][7], "silence") == 0);
        CHECK(strcmp(rows[3][0], "c\xEF\xBF\xBD.wav") == 0 && !*rows[3][1] && !*rows[3][2] && !*rows[3][3] &&
              !*rows[3][6] && !*rows[3][7] && strcmp(rows[3][8], "broken, sorry") == 0);
    }
    ser_csv_release(&csv);
    ser_text_release(&t);
}

static void test_csv_timeline(void)
{
    ser_segment segments[2];
    ser_result r = result(segments), silent = {.duration_s = 1, .label = -1, .note = SER_NOTE_SILENCE};
    ser_prediction_form f = form();
    ser_text t = {0};
    f.timeline = true;
    ser_prediction_csv_header(&t, &f);
    ser_prediction_csv(&t, &f, "a.wav", &r);
    ser_prediction_csv(&t, &f, "s.wav", &silent);
    ser_prediction_csv_error(&t, &f, "c.wav", "broken");
    CHECK(strcmp(t.s, "file,start,end,duration,label,confidence,angry,happy,sad,note,error\n"
                      "a.wav,0.000,1.500,3.215,happy,0.699999988,0.200000003,0.699999988,0.100000001,,\n"
                      "a.wav,1.500,3.215,3.215,,0,,,,,\n"
                      "s.wav,0.000,1.000,1.000,,0,,,,silence,\n"
                      "c.wav,,,,,,,,,,broken\n") == 0);
    ser_text_release(&t);
}

static void test_counts(void)
{
    ser_segment segments[2];
    ser_result r = result(segments), silent = {.label = -1};
    ser_prediction_form f = form();
    ser_prediction_counts c = {0};
    ser_text t = {0};
    ser_prediction_counts_add(&c, &f, &silent);
    r.label = 0;
    ser_prediction_counts_add(&c, &f, &r);
    r.label = 1;
    ser_prediction_counts_add(&c, &f, &r);
    ser_prediction_counts_add(&c, &f, &r);
    want(&f, 0.9);
    ser_prediction_counts_add(&c, &f, &r);
    c.n++, c.n_failed++;
    ser_prediction_counts_text(&t, &f, &c);
    CHECK(strcmp(t.s, "6 recordings: 2 happy, 1 angry, 1 uncertain, 1 without a voice, 1 not read\n") == 0);
    ser_text_release(&t);
}

static void test_text(void)
{
    ser_segment segments[2];
    ser_result r = result(segments), silent = {.duration_s = 1, .label = -1, .note = SER_NOTE_SILENCE};
    ser_prediction_form f = form();
    ser_text t = {0};
    f.bars = f.timeline = true;
    f.style.width = 40;
    ser_prediction_text(&t, &f, "a\033c.wav", &r);
    CHECK(strcmp(t.s, "happy      70 %     3.21 s  a?c.wav\n"
                      "  angry     ███▊                 20.0 %\n"
                      "  happy     █████████████▎       70.0 %\n"
                      "  sad       █▉                   10.0 %\n"
                      "      0:00.0 –     0:01.5  happy      70 %\n"
                      "      0:01.5 –     0:03.2  pause\n") == 0);
    ser_text_clear(&t);
    ser_prediction_text(&t, &f, "s.wav", &silent);
    CHECK(strcmp(t.s, "silence             1.00 s  s.wav\n") == 0);
    ser_text_clear(&t);
    f.bars = f.timeline = false;
    want(&f, 0.9); /* in a column with the labels of other recordings, what it may be behind the name */
    ser_prediction_text(&t, &f, "a.wav", &r);
    CHECK(strcmp(t.s, "uncertain           3.21 s  a.wav  happy 70 %, angry 20 %\n") == 0);
    ser_text_release(&t);
}

int main(void)
{
    test_json();
    test_json_without_label();
    test_events();
    test_csv();
    test_csv_timeline();
    test_counts();
    test_text();
    return test_summary();
}

#include "report/annotation.h"
#include "test.h"

/* Usage: test-annotation [FOLDER]: writes one file of each kind there, for test_annotation.py to read back.
 */

static const ser_prediction_form form = {
    .labels = {"angry \"x\" <b> & -->", "happy", "sad"}, .n_labels = 3, .min_confidence = {0.5, 0.5, 0.5}};

static ser_result result(ser_segment segments[4])
{
    segments[0] = (ser_segment){.start_s = 0.1004, .end_s = 1.5, .label = 1, .scores = {0.2f, 0.7f, 0.1f}};
    segments[1] = (ser_segment){.start_s = 1.5, .end_s = 2, .label = -1};
    segments[2] = (ser_segment){.start_s = 2, .end_s = 3661.2496, .label = 0, .scores = {0.6f, 0.3f, 0.1f}};
    segments[3] =
        (ser_segment){.start_s = 3661.2496, .end_s = 3662, .label = 2, .scores = {0.3f, 0.3f, 0.4f}};
    return (ser_result){.duration_s = 3662, .label = 1, .segments = segments, .n_segments = 4};
}

static void write_all(ser_text *t, ser_annotation kind)
{
    ser_segment segments[4];
    const ser_result r = result(segments);
    ser_annotation_begin(t, kind, &form);
    ser_annotation_append(t, kind, &form, "a b.wav", &r);
}

static void check_text(ser_annotation kind, const char *expected)
{
    ser_text t = {0};
    write_all(&t, kind);
    if (!t.s || strcmp(t.s, expected) != 0)
        fprintf(stderr, "%s: got\n%s", ser_annotation_suffix(kind), t.s ? t.s : "");
    CHECK(t.s && strcmp(t.s, expected) == 0);
    ser_text_release(&t);
}

static void test_formats(void)
{
    check_text(SER_ANNOTATION_RTTM,
               "SPEAKER a_b.wav 1 0.100 1.400 <NA> <NA> happy 0.700 <NA>\n"
               "SPEAKER a_b.wav 1 2.000 3659.250 <NA> <NA> angry_\"x\"_<b>_&_--> 0.600 <NA>\n"
               "SPEAKER a_b.wav 1 3661.250 0.750 <NA> <NA> uncertain 0.400 <NA>\n");
    check_text(SER_ANNOTATION_WEBVTT,
               "WEBVTT\n\n00:00:00.100 --> 00:00:01.500\nhappy 70 %\n\n"
               "00:00:02.000 --> 01:01:01.250\nangry &quot;x&quot; &lt;b&gt; &amp; --&gt; 60 %\n\n"
               "01:01:01.250 --> 01:01:02.000\nuncertain 40 %\n\n");
    check_text(SER_ANNOTATION_AUDACITY,
               "0.100000\t1.500000\thappy 70 %\n2.000000\t3661.250000\tangry \"x\" <b> & --> 60 %\n"
               "3661.250000\t3662.000000\tuncertain 40 %\n");
    check_text(SER_ANNOTATION_AUDFORMAT,
               "file,start,end,emotion,confidence,\"angry \"\"x\"\" <b> & -->\",happy,sad\n"
               "a b.wav,0 days 00:00:00.100000,0 days "
               "00:00:01.500000,happy,0.699999988,0.200000003,0.699999988,0.100000001\n"
               "a b.wav,0 days 00:00:02.000000,0 days 01:01:01.250000,\"angry \"\"x\"\" <b> & "
               "-->\",0.600000024,0.600000024,"
               "0.300000012,0.100000001\n"
               "a b.wav,0 days 01:01:01.250000,0 days "
               "01:01:02.000000,uncertain,0.400000006,0.300000012,0.300000012,0.400000006\n");
}

static void test_textgrid(void)
{
    ser_text t = {0};
    write_all(&t, SER_ANNOTATION_TEXTGRID);
    CHECK(t.s && strstr(t.s, "xmax = 3662.000\ntiers? <exists>\nsize = 2\n"));
    CHECK(t.s && strstr(t.s, "intervals: size = 5\n        intervals [1]:\n            xmin = 0.000\n        "
                             "    xmax = 0.100\n"
                             "            text = \"\"\n"));
    CHECK(t.s && strstr(t.s, "text = \"angry \"\"x\"\" <b> & -->\"\n"));
    ser_text_release(&t);
}

static void test_names(void)
{
    CHECK(ser_annotation_from_name("eaf") == SER_ANNOTATION_EAF &&
          ser_annotation_from_name("json") == SER_N_ANNOTATIONS);
    CHECK(ser_annotation_joins(SER_ANNOTATION_RTTM) && !ser_annotation_joins(SER_ANNOTATION_SRT));
}

static int write_files(const char *folder)
{
    for (int kind = 0; kind < SER_N_ANNOTATIONS; kind++) {
        char path[512];
        ser_text t = {0};
        write_all(&t, (ser_annotation)kind);
        snprintf(path, sizeof path, "%s/x%s", folder, ser_annotation_suffix((ser_annotation)kind));
        FILE *f = fopen(path, "w");
        if (!f || fwrite(t.s, 1, t.n, f) != t.n || fclose(f) != 0)
            return 1;
        ser_text_release(&t);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return write_files(argv[1]);
    test_formats();
    test_textgrid();
    test_names();
    return test_summary();
}

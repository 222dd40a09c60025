#include "base/field.h"
#include "test.h"

#include <stdint.h>

typedef struct settings {
    int flag, whole, word, copies;
    int64_t seed;
    double share, weight;
    const char *text;
    const char *const *list;
    size_t n_list;
} settings;

static const ser_field fields[] = {
    {"flag", SER_FIELD_FLAG, offsetof(settings, flag)},
    {"whole", SER_FIELD_INT, offsetof(settings, whole), 1, 8, true},
    {"word", SER_FIELD_WORD, offsetof(settings, word), .words = "none|some|all"},
    {"copies", SER_FIELD_COUNT, offsetof(settings, copies), 0, 100, true},
    {"seed", SER_FIELD_LONG, offsetof(settings, seed), 0, 1e15},
    {"share", SER_FIELD_DOUBLE, offsetof(settings, share), 0, 1},
    {"weight", SER_FIELD_DOUBLE, offsetof(settings, weight), 1e-6, INFINITY, true},
    {"text", SER_FIELD_TEXT, offsetof(settings, text)},
    {"list", SER_FIELD_LIST, offsetof(settings, list)},
    {NULL, SER_FIELD_END, 0},
};

static const settings usual = {.whole = -1, .copies = -1, .seed = 46, .share = 0.5};

static bool shows(const settings *s, const char *name, const char *expected)
{
    ser_text t = {0};
    ser_field_append(&t, ser_field_find(fields, name), s);
    bool same = strcmp(t.s ? t.s : "", expected) == 0;
    ser_text_release(&t);
    return same;
}

static ser_status set(settings *s, const char *name, const char *value, ser_error *err)
{
    return ser_field_set_text(ser_field_find(fields, name), s, value, name, err);
}

static void test_texts(void)
{
    static const struct {
        const char *name, *value, *shown;
    } good[] = {{"whole", "8", "8"},        {"word", "some", "some"},
                {"copies", "none", "none"}, {"copies", "0", "none"},
                {"copies", "7", "7"},       {"seed", "1000000000000000", "1000000000000000"},
                {"share", "1e-3", "0.001"}, {"weight", "1e9", "1e+09"},
                {"text", "", ""},           {"text", "a|b", "a|b"}};
    static const struct {
        const char *name, *value, *words;
    } bad[] = {{"whole", "0", "whole: '0' does not fit: give a whole number from 1 to 8"},
               {"whole", "1.5", "1.5"},
               {"whole", " 3", "whole number"},
               {"whole", "", "whole number"},
               {"whole", "99999999999999999999", "does not fit"},
               {"word", "som", "give none, some or all"},
               {"word", "some|all", "give none"},
               {"copies", "-1", "none or a whole number"},
               {"copies", "None", "does not fit"},
               {"seed", "1000000000000001", "does not fit"},
               {"share", "nan", "a number from 0 to 1"},
               {"share", "inf", "does not fit"},
               {"share", "0x1p-1 ", "does not fit"},
               {"weight", "0", "at least 1e-06"},
               {"list", "a", "does not fit"}};
    ser_error err = {0};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        settings s = usual;
        CHECK_OK(set(&s, good[i].name, good[i].value, &err), &err);
        CHECK(shows(&s, good[i].name, good[i].shown));
        CHECK_OK(ser_fields_check(fields, &s, &err), &err);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        settings s = usual;
        CHECK_FAILS(set(&s, bad[i].name, bad[i].value, &err), SER_E_ARG, &err, bad[i].words);
        CHECK(memcmp(&s, &usual, sizeof s) == 0);
    }
}

static void test_what_programs_fill(void)
{
    ser_error err = {0};
    settings s = usual;
    CHECK_OK(ser_fields_check(fields, &s, &err), &err);
    CHECK(shows(&s, "whole", "") && shows(&s, "text", "") && shows(&s, "flag", "0") &&
          shows(&s, "word", "none"));
    s.whole = 9;
    CHECK_FAILS(ser_fields_check(fields, &s, &err), SER_E_ARG, &err, "whole: '9'");
    s = usual;
    s.word = 3;
    CHECK_FAILS(ser_fields_check(fields, &s, &err), SER_E_ARG, &err, "word");
    s.word = -1; /* it may not be left open */
    CHECK_FAILS(ser_fields_check(fields, &s, &err), SER_E_ARG, &err, "word");
    s = usual;
    s.weight = (double)NAN;
    CHECK_FAILS(ser_fields_check(fields, &s, &err), SER_E_ARG, &err, "weight");
    s.weight = -INFINITY; /* nobody said anything */
    CHECK_OK(ser_fields_check(fields, &s, &err), &err);
    s.seed = -1;
    CHECK_FAILS(ser_fields_check(fields, &s, &err), SER_E_ARG, &err, "seed");
    CHECK(!ser_field_find(fields, "seeds") && !ser_field_find(NULL, "seed"));
}

int main(void)
{
    test_texts();
    test_what_programs_fill();
    return test_summary();
}

#include "base/memory.h"
#include "base/spelling.h"
#include "demo.h"
#include "failures/failing.h"
#include "test.h"

static ser_option_list rest;

static void reset(void)
{
    ser_option_list_release(&rest);
    ser_option_list_release(&demo.encoders);
    demo.model = demo.data = NULL;
    demo.format = "text";
    demo.jobs = 0;
    demo.seed = 46;
    demo.rate = 0.001;
    demo.quiet = demo.seed_given = false;
}

/* The arguments, ended by NULL, behind the command's name. */
static ser_options_outcome parse(const char *const *arguments, ser_error *err)
{
    char *argv[16] = {(char[]){"predict"}};
    static char copies[16][256];
    int argc = 1;
    for (; arguments[argc - 1]; argc++) {
        snprintf(copies[argc], sizeof copies[argc], "%s", arguments[argc - 1]);
        argv[argc] = copies[argc];
    }
    reset();
    *err = (ser_error){0};
    return ser_options_parse(&demo_predict, argc, argv, &rest, err);
}

#define PARSE(err, ...) parse((const char *const[]){__VA_ARGS__, NULL}, err)

static void test_values(void)
{
    ser_error err;
    CHECK(PARSE(&err, "a.wav", "--model", "m.st", "--format=json", "--quiet", "--seed", "-5", "b.wav") ==
          SER_OPTIONS_WRONG); /* -5 is a value, but out of range */
    CHECK(strstr(err.text, "--seed") && strstr(err.text, "'-5'") && strstr(err.text, "at least 0"));
    CHECK(PARSE(&err, "a.wav", "--model", "m.st", "--format=json", "--quiet", "--seed=5", "-j2", "--lr",
                "1e-2", "b.wav") == SER_OPTIONS_READ);
    CHECK(rest.n == 2 && strcmp(rest.items[0], "a.wav") == 0 && strcmp(rest.items[1], "b.wav") == 0);
    CHECK(strcmp(demo.model, "m.st") == 0 && strcmp(demo.format, "json") == 0 && demo.quiet &&
          demo.seed == 5 && demo.seed_given && demo.jobs == 2 && demo.rate == 0.01);
    CHECK(PARSE(&err, "-m", "m.st", "-q", "-j", "3") == SER_OPTIONS_READ && demo.jobs == 3 && demo.quiet);
    CHECK(!demo.seed_given && demo.seed == 46);
    CHECK(PARSE(&err, "--model=", "-") == SER_OPTIONS_READ && demo.model && !*demo.model && rest.n == 1);
    CHECK(PARSE(&err, "--model=a=b") == SER_OPTIONS_READ && strcmp(demo.model, "a=b") == 0);
    CHECK(PARSE(&err, "--jobs", "1024", "--lr", "1") == SER_OPTIONS_READ && demo.jobs == 1024 &&
          demo.rate == 1);
    CHECK(PARSE(&err, "--jobs", "0", "--lr", "0") == SER_OPTIONS_READ && demo.jobs == 0 && demo.rate == 0);
    CHECK(PARSE(&err, "--seed", "1", "--seed", "2") == SER_OPTIONS_READ && demo.seed == 2);
}

/* Commands of the original system's users go on working. */
static void test_spellings(void)
{
    ser_error err;
    CHECK(PARSE(&err, "--feature_type", "FUSION", "--random_seed", "7") == SER_OPTIONS_READ);
    CHECK(strcmp(demo.data, "FUSION") == 0 && demo.seed == 7 && demo.seed_given);
    CHECK(PARSE(&err, "--random-seed=8", "--feature-type=MFCC") == SER_OPTIONS_READ && demo.seed == 8);
}

static void test_lists_and_end(void)
{
    ser_error err;
    CHECK(PARSE(&err, "--encoder", "a", "--encoder=b", "--", "--quiet", "-x") == SER_OPTIONS_READ);
    CHECK(demo.encoders.n == 2 && strcmp(demo.encoders.items[1], "b") == 0);
    CHECK(rest.n == 2 && strcmp(rest.items[0], "--quiet") == 0 && !demo.quiet);
}

static void test_mistakes(void)
{
    static const struct {
        const char *arguments[4];
        const char *words[3]; /* that the message must have */
    } cases[] = {
        {{"--featur-type", "X"}, {"--featur-type", "did you mean --feature-type?"}},
        {{"--feature", "X"}, {"did you mean --feature-type?"}},
        {{"--fromat=json"}, {"--fromat", "did you mean --format?"}},
        {{"--feature_tyep=X"}, {"did you mean --feature-type?"}},
        {{"--zzz"}, {"--zzz: there is no such option"}},
        {{"-x"}, {"-x: there is no such option"}},
        {{"-qx"}, {"-qx: there is no such option"}},
        {{"--quiet=yes"}, {"--quiet", "no value"}},
        {{"--format", "xml"}, {"--format", "'xml'", "text, json or csv"}},
        {{"--format", "tex"}, {"'tex'"}},
        {{"--format="}, {"''"}},
        {{"--jobs", "1025"}, {"--jobs", "'1025'", "from 0 to 1024"}},
        {{"--jobs", "two"}, {"a whole number"}},
        {{"--jobs", "2x"}, {"'2x'"}},
        {{"--jobs", " 2"}, {"' 2'"}},
        {{"--jobs", ""}, {"''"}},
        {{"--jobs", "1.5"}, {"whole"}},
        {{"--seed", "99999999999999999999999"}, {"--seed"}},
        {{"--lr", "nan"}, {"--lr", "a number from 0 to 1"}},
        {{"--lr", "1.5"}, {"'1.5'"}},
        {{"--lr", "0,5"}, {"'0,5'"}},
        {{"--model"}, {"--model: its value is missing", "FILE"}},
        {{"--model", "--quiet"}, {"--model: its value is missing"}},
        {{"--model", "--"}, {"--model: its value is missing"}},
        {{"-m", "-q"}, {"--model: its value is missing"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ser_error err;
        bool wrong = parse(cases[i].arguments, &err) == SER_OPTIONS_WRONG && err.status == SER_E_ARG;
        for (size_t k = 0; k < 3 && cases[i].words[k]; k++)
            wrong = wrong && strstr(err.text, cases[i].words[k]);
        CHECK(wrong);
        if (!wrong)
            fprintf(stderr, "case %zu: '%s'\n", i, err.text);
    }
    ser_error err;
    CHECK(PARSE(&err, "--zzz") == SER_OPTIONS_WRONG && !strstr(err.text, "did you mean"));
}

static void test_help_wins(void)
{
    ser_error err;
    CHECK(PARSE(&err, "--seed", "5", "--bad", "--help") == SER_OPTIONS_HELP && demo.seed == 46);
    CHECK(PARSE(&err, "-h") == SER_OPTIONS_HELP);
    CHECK(PARSE(&err, "--", "--help") == SER_OPTIONS_READ && rest.n == 1);
}

static void test_spelling_distance(void)
{
    CHECK(ser_spelling_distance("", "abc") == 3 && ser_spelling_distance("abc", "abc") == 0);
    CHECK(ser_spelling_distance("kitten", "sitting") == 3 && ser_spelling_distance("ABC", "abc") == 0);
    CHECK(ser_spelling_distance("fromat", "format") == 1); /* neighbours swapped */
    char longest[65];
    memset(longest, 'a', sizeof longest);
    longest[64] = 0;
    CHECK(ser_spelling_distance(longest, "a") == 255 && ser_spelling_distance("a", longest) == 255);
    longest[63] = 0;
    CHECK(ser_spelling_distance(longest, "") == 63);
}

static void test_choice_words(void)
{
    const char *word;
    CHECK(ser_field_word(&word, "a|bc", 0) == 1 && *word == 'a');
    CHECK(ser_field_word(&word, "a|bc", 1) == 2 && *word == 'b');
    CHECK(ser_field_word(&word, "a|bc", 2) == 0 && ser_field_word(&word, "", 0) == 0);
}

static void test_out_of_memory(void)
{
    ser_error err;
    failing_at(0);
    CHECK(PARSE(&err, "a") == SER_OPTIONS_WRONG && err.status == SER_E_NOMEM);
    failing_at(0);
    CHECK(PARSE(&err, "--encoder=a") == SER_OPTIONS_WRONG && err.status == SER_E_NOMEM);
    failing_at(0);
    CHECK(PARSE(&err, "--format=x") == SER_OPTIONS_WRONG && err.status == SER_E_NOMEM);
    failing_at(-1);
}

static void test_exit_status(void)
{
    CHECK(ser_exit_status(SER_OK) == 0 && ser_exit_status(SER_E_IO) == 1 &&
          ser_exit_status(SER_E_CANCELLED) == 130);
}

int main(void)
{
    test_values();
    test_spellings();
    test_lists_and_end();
    test_mistakes();
    test_help_wins();
    test_spelling_distance();
    test_choice_words();
    test_out_of_memory();
    test_exit_status();
    reset();
    (void)demo_program;
    return test_summary();
}

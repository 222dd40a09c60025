#include "cli/options.h"
#include "fuzz.h"

/* The bytes are arguments, one a line. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    enum { MAX_ARGUMENTS = 32 };
    const char *model = NULL, *format = "text";
    ser_option_list list = {0}, rest;
    long jobs = 1;
    double rate = 0.5;
    bool quiet = false, given = false;
    const ser_option options[] = {
        {SER_OPTION_STRING, 'm', "model", &model, "FILE", "a file"},
        {SER_OPTION_GROUP, .help = "More"},
        {SER_OPTION_CHOICE, 'f', "format", &format, "text|json|csv", "a word"},
        {SER_OPTION_FLAG, 'q', "quiet", &quiet, NULL, "a flag"},
        {SER_OPTION_LIST, 0, "feature-type", &list, "TYPE", "a list", .alias = "features"},
        {SER_OPTION_INT, 'j', "jobs", &jobs, "N", "a number", 1, 8, .given = &given},
        {SER_OPTION_DOUBLE, 0, "lr", &rate, "X", "a fraction", 0, 1},
        {SER_OPTION_END},
    };
    const ser_command command = {.name = "fuzz", .options = options};
    char *text = malloc(n + 1), *argv[MAX_ARGUMENTS] = {(char[]){"fuzz"}};
    int argc = 1;
    if (!text)
        abort();
    memcpy(text, data, n);
    text[n] = 0;
    for (char *line = strtok(text, "\n"); line && argc < MAX_ARGUMENTS; line = strtok(NULL, "\n"))
        argv[argc++] = line;
    ser_error err = {0};
    ser_options_outcome outcome = ser_options_parse(&command, argc, argv, &rest, &err);
    if (outcome == SER_OPTIONS_WRONG && !err.text[0])
        abort();
    if (jobs < 1 || jobs > 8 || !(rate >= 0 && rate <= 1) ||
        (strcmp(format, "text") != 0 && strcmp(format, "json") != 0 && strcmp(format, "csv") != 0))
        abort();
    ser_option_list_release(&rest);
    ser_option_list_release(&list);
    free(text);
    return 0;
}

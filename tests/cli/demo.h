/* A small program whose tables use every kind of option. */
#ifndef SER_TESTS_CLI_DEMO_H
#define SER_TESTS_CLI_DEMO_H

#include "cli/program.h"

#include <math.h>
#include <stdio.h>

static struct {
    const char *model, *format, *data, *corpus, *type;
    ser_option_list encoders;
    long jobs, seed;
    double rate;
    bool quiet, seed_given;
} demo = {.format = "text", .seed = 46, .rate = 0.001};

static const ser_option demo_options[] = {
    {SER_OPTION_STRING, 'm', "model", &demo.model, "FILE", "who answers (default: the built-in model)"},
    {SER_OPTION_CHOICE, 0, "format", &demo.format, "text|json|csv", "how the answer is printed"},
    {SER_OPTION_FLAG, 'q', "quiet", &demo.quiet, NULL, "say nothing"},
    {SER_OPTION_GROUP, .help = "Training"},
    {SER_OPTION_INT, 0, "seed", &demo.seed, "N",
     "where random numbers begin; runs with the same one, processor and number of threads give the same bits",
     0, INFINITY, .alias = "random-seed", .given = &demo.seed_given},
    {SER_OPTION_INT, 'j', "jobs", &demo.jobs, "N", "threads (default: all cores)", 0, 1024},
    {SER_OPTION_DOUBLE, 0, "lr", &demo.rate, "X", "learning rate, it's [0 to 1]: small", 0, 1},
    {SER_OPTION_LIST, 0, "encoder", &demo.encoders, "[TYPE=]DIR|NAME", "an encoder's checkpoint; repeatable"},
    {SER_OPTION_STRING, 0, "feature-type", &demo.data, "TYPE", "LOGMEL, MFCC, HUBERT or WHISPER"},
    {SER_OPTION_STRING, 0, "corpus", &demo.corpus, "CORPUS", "what it learns from",
     .suggested = "EMODB|NEMO|"},
    {SER_OPTION_STRING, 0, "protocol", &demo.type, "PROTOCOL", "how it is tested",
     .suggested = "loso|kfold=5"},
    {SER_OPTION_END},
};

static int demo_run(int argc, char **argv);

static const ser_command demo_predict = {
    .name = "predict",
    .run = demo_run,
    .summary = "tell the emotion of each recording",
    .usage = "PATH...",
    .description =
        "PATH is an audio file, a folder, or -.\n.Scores\\are calibrated; they add up to 1, which is "
        "said here at such length that the line must be broken.",
    .examples = "ser predict a.wav\nser predict --format json recordings/",
    .options = demo_options,
};

static int demo_print(const ser_command *command, int argc, char **argv)
{
    ser_option_list rest = {0};
    int status;
    if (!ser_options_start(command, argc, argv, &rest, &status))
        return status;
    for (size_t i = 0; i < rest.n; i++)
        printf("%s\n", rest.items[i]);
    ser_option_list_release(&rest);
    return status;
}

static int demo_run(int argc, char **argv)
{
    return demo_print(&demo_predict, argc, argv);
}

static int demo_run_info(int argc, char **argv);

static const ser_command demo_info = {
    .name = "info", .run = demo_run_info, .summary = "say what a file is", .usage = "FILE"};

static int demo_run_info(int argc, char **argv)
{
    return demo_print(&demo_info, argc, argv);
}

static const ser_command *const demo_commands[] = {&demo_predict, &demo_info, NULL};

static const ser_environment_variable demo_environment[] = {{"NO_COLOR", "no colours"}, {NULL, NULL}};

static const ser_program demo_program = {.summary = "hears emotions",
                                         .description = "It does.",
                                         .examples = "ser predict a.wav",
                                         .commands = demo_commands,
                                         .environment = demo_environment};

#endif

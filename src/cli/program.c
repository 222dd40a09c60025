#include "cli/program.h"
#include "base/cpu.h"
#include "base/spelling.h"
#include "cli/help.h"
#include "cli/progress.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

static const ser_command *find_command(const ser_program *program, const char *name)
{
    for (const ser_command *const *c = program->commands; *c; c++)
        if (strcmp((*c)->name, name) == 0)
            return *c;
    return NULL;
}

static int complain_about(const ser_program *program, const char *name)
{
    const char *best = NULL;
    unsigned best_distance = 0, distance;
    for (const ser_command *const *c = program->commands; *c; c++)
        if (ser_spelling_near(name, (*c)->name, &distance) && (!best || distance < best_distance)) {
            best = (*c)->name;
            best_distance = distance;
        }
    const char *kind = name[0] == '-' ? "option" : "command";
    if (best)
        ser_say("%s: there is no such %s: did you mean '%s'?", name, kind, best);
    else
        ser_say("%s: there is no such %s: 'ser --help' lists them", name, kind);
    return SER_EXIT_USAGE;
}

static int generate(const ser_program *program, const char *what)
{
    static const struct {
        const char *name;
        void (*generate)(ser_text *t, const ser_program *program);
    } kinds[] = {{"man", ser_generate_manual},
                 {"bash", ser_generate_bash},
                 {"zsh", ser_generate_zsh},
                 {"fish", ser_generate_fish}};
    for (size_t i = 0; what && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(what, kinds[i].name) == 0) {
            ser_text t = {0};
            kinds[i].generate(&t, program);
            if (!t.failed)
                fputs(t.s, stdout);
            int status = t.failed ? SER_EXIT_FAILED : SER_EXIT_OK;
            ser_text_release(&t);
            return status;
        }
    ser_say("--generate: what to generate is missing or unknown: give man, bash, zsh or fish");
    return SER_EXIT_USAGE;
}

static int run(const ser_program *program, int argc, char **argv)
{
    if (argc < 2) {
        ser_say("the command is missing: 'ser --help' lists them");
        return SER_EXIT_USAGE;
    }
    const char *name = argv[1];
    bool help = strcmp(name, "help") == 0;
    if (help && argc > 2) {
        const ser_command *command = find_command(program, argv[2]);
        return command ? ser_help_print(command) : complain_about(program, argv[2]);
    }
    if (help || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return ser_help_print_program(program);
    if (strcmp(name, "--version") == 0)
        return printf("ser %s\n", SER_VERSION) < 0 ? SER_EXIT_FAILED : SER_EXIT_OK;
    if (strcmp(name, "--generate") == 0)
        return generate(program, argc > 2 ? argv[2] : NULL);
    const ser_command *command = find_command(program, name);
    ser_error err = {0};
    if (command && ser_cpu_check(&err) != SER_OK) {
        ser_say("%s", err.text);
        return SER_EXIT_USAGE;
    }
    if (!command)
        return complain_about(program, name);
    return command->run ? command->run(argc - 1, argv + 1)
                        : command->run_job(command->job, argc - 1, argv + 1);
}

int ser_program_run(const ser_program *program, int argc, char **argv)
{
    for (const ser_command *const *c = program->commands; *c; c++)
        if ((*c)->prepare)
            (*c)->prepare((*c)->job);
    setlocale(LC_CTYPE, ""); /* which letters the terminal can show; numbers stay as in C */
    int status = run(program, argc, argv);
    /* A full disk or a closed pipe behind standard output shows only now. */
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        ser_say("standard output: it cannot be written (%s): free some space or redirect it elsewhere",
                strerror(errno ? errno : EIO));
        return status == SER_EXIT_OK ? SER_EXIT_FAILED : status;
    }
    return status;
}

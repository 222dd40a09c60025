#include "cli/help.h"
#include "demo.h"
#include "report/escape.h"
#include "test.h"

#include <sys/wait.h>
#include <unistd.h>

typedef struct outcome {
    char out[20000], err[4000];
    int status;
} outcome;

static void read_all(char *text, size_t size, FILE *file)
{
    rewind(file);
    text[fread(text, 1, size - 1, file)] = 0;
    fclose(file);
}

/* Runs the program in a process of its own; out_path: where standard output goes, or NULL. */
static const outcome *run_to(const char *out_path, const char *const *arguments)
{
    static outcome o;
    FILE *out = out_path ? fopen(out_path, "w+") : tmpfile(), *err = tmpfile();
    char *argv[16] = {(char[]){"ser"}};
    int argc = 1, status = 0;
    for (; arguments[argc - 1]; argc++)
        argv[argc] = strdup(arguments[argc - 1]);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        dup2(fileno(out), STDOUT_FILENO);
        dup2(fileno(err), STDERR_FILENO);
        _exit(ser_program_run(&demo_program, argc, argv));
    }
    waitpid(child, &status, 0);
    for (int i = 1; i < argc; i++)
        free(argv[i]);
    o.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    read_all(o.out, sizeof o.out, out);
    read_all(o.err, sizeof o.err, err);
    return &o;
}

#define RUN(...) run_to(NULL, (const char *const[]){__VA_ARGS__, NULL})

static void test_dispatch(void)
{
    const outcome *o = RUN("predict", "a.wav", "--quiet", "b.wav");
    CHECK(o->status == 0 && strcmp(o->out, "a.wav\nb.wav\n") == 0 && !*o->err);
    o = RUN("--version");
    CHECK(o->status == 0 && strcmp(o->out, "ser " SER_VERSION "\n") == 0);
    o = RUN(NULL);
    CHECK(o->status == 2 && !*o->out && strstr(o->err, "ser: the command is missing"));
    o = RUN("perdict");
    CHECK(o->status == 2 && !*o->out &&
          strcmp(o->err, "ser: perdict: there is no such command: did you mean 'predict'?\n") == 0);
    o = RUN("\033[2J");
    CHECK(o->status == 2 && strstr(o->err, "ser: ?[2J: there is no such command: 'ser --help' lists them"));
    o = RUN("--frobnicate");
    CHECK(o->status == 2 && strstr(o->err, "no such option"));
    o = RUN("predict", "--jobs", "x");
    CHECK(o->status == 2 && !*o->out && strncmp(o->err, "ser: --jobs: 'x'", 16) == 0 &&
          strstr(o->err, "'ser predict --help'"));
}

static void test_full_disk(void)
{
    const outcome *o = run_to("/dev/full", (const char *const[]){"predict", "a.wav", NULL});
    CHECK(o->status == 1 && strstr(o->err, "ser: standard output: it cannot be written"));
    o = run_to("/dev/full", (const char *const[]){"--help", NULL});
    CHECK(o->status == 1);
}

static void test_help(void)
{
    const outcome *o = RUN("predict", "--help");
    static const char expected[] =
        "Usage: ser predict [OPTIONS] PATH...\n"
        "\n"
        "Tell the emotion of each recording.\n"
        "\n"
        "PATH is an audio file, a folder, or -.\n"
        "\n"
        ".Scores\\are calibrated; they add up to 1, which is said here at such length that\n"
        "the line must be broken.\n"
        "\n"
        "Options:\n"
        "  -m, --model FILE         who answers (default: the built-in model)\n"
        "      --format text|json|csv\n"
        "                           how the answer is printed (default: text)\n"
        "  -q, --quiet              say nothing\n"
        "\n"
        "Training:\n"
        "      --seed N             where random numbers begin; runs with the same one,\n"
        "                           processor and number of threads give the same bits\n"
        "                           (default: 46)\n"
        "  -j, --jobs N             threads (default: all cores)\n"
        "      --lr X               learning rate, it's [0 to 1]: small (default: 0.001)\n"
        "      --encoder [TYPE=]DIR|NAME\n"
        "                           an encoder's checkpoint; repeatable\n"
        "      --feature-type TYPE  LOGMEL, MFCC, HUBERT or WHISPER\n"
        "      --corpus CORPUS      what it learns from\n"
        "      --protocol PROTOCOL  how it is tested\n"
        "\n"
        "Help:\n"
        "  -h, --help               show this help\n"
        "\n"
        "Examples:\n"
        "  ser predict a.wav\n"
        "  ser predict --format json recordings/\n";
    CHECK(o->status == 0 && !*o->err);
    CHECK(strcmp(o->out, expected) == 0);
    if (strcmp(o->out, expected) != 0)
        fprintf(stderr, "%s", o->out);
    CHECK(strcmp(RUN("help", "predict")->out, expected) == 0);
    CHECK(RUN("help", "nothing")->status == 2);
    o = RUN("info", "-h");
    CHECK(o->status == 0 && strstr(o->out, "Options:\n  -h, --help  show this help\n"));
    o = RUN("--help");
    CHECK(o->status == 0 && strstr(o->out, "Commands:\n  predict    tell the emotion of each recording\n"
                                           "  info       say what a file is\n"));
    CHECK(strcmp(RUN("help")->out, RUN("-h")->out) == 0);
}

/* No line is wider than the terminal, or than 100 columns. */
static void test_help_width(void)
{
    for (size_t width = 40; width <= 140; width += 20) {
        ser_text t = {0};
        ser_help_command(&t, &demo_predict, (ser_style){.width = width});
        size_t widest = 0;
        for (char *line = strtok(t.s, "\n"); line; line = strtok(NULL, "\n"))
            widest = ser_columns(line) > widest ? ser_columns(line) : widest;
        CHECK(widest <= (width < 100 ? width : 100) && (width < 100 || widest > 85));
        ser_text_release(&t);
    }
    ser_text t = {0};
    ser_help_command(&t, &demo_predict, (ser_style){.width = 80, .colour = true});
    CHECK(strstr(t.s, "\033[1mTraining\033[0m:\n") && strstr(t.s, "\033[1m-q, --quiet\033[0m"));
    ser_text_release(&t);
}

/* ---- what --generate prints, judged by the programs that read it where they are installed ---- */

static char folder[] = "/tmp/ser-test-program-XXXXXX";

static void generate(const char *what, char path[80])
{
    snprintf(path, 80, "%s/ser.%s", folder, what);
    CHECK(run_to(path, (const char *const[]){"--generate", what, NULL})->status == 0);
}

/* The command's standard output and errors. */
static const char *shell(const char *command)
{
    static char text[8000];
    FILE *pipe = popen(command, "r");
    size_t n = pipe ? fread(text, 1, sizeof text - 1, pipe) : 0;
    text[n] = 0;
    CHECK(pipe && pclose(pipe) == 0);
    return text;
}

static bool has_program(const char *name)
{
    char command[64];
    snprintf(command, sizeof command, "command -v %s > /dev/null", name);
    return system(command) == 0;
}

static void test_manual(void)
{
    char path[80], command[200];
    generate("man", path);
    const outcome *o = RUN("--generate", "man");
    CHECK(strstr(o->out, ".TH SER 1") && strstr(o->out, ".SS ser predict [OPTIONS] PATH...\n"));
    CHECK(strstr(o->out, ".TP\n\\fB\\-m\\fR, \\fB\\-\\-\\fR\\fBmodel\\fR \\fIFILE\\fR\n"));
    CHECK(strstr(o->out, "\n\\&.Scores\\eare calibrated")); /* is text, not a macro */
    CHECK(strstr(o->out, "NO_COLOR") && strstr(o->out, ".SH EXIT STATUS"));
    if (has_program("groff")) {
        snprintf(command, sizeof command, "groff -man -ww -Tutf8 %s 2>&1 >/dev/null", path);
        CHECK(!*shell(command));
    }
    if (has_program("mandoc")) {
        snprintf(command, sizeof command,
                 "mandoc -T lint -W warning %s 2>&1 | grep -v 'missing date' || true", path);
        CHECK(!*shell(command));
    }
    unlink(path);
}

static const char *complete_in_bash(const char *path, const char *words, int current)
{
    char command[400];
    snprintf(command, sizeof command,
             "bash -c 'source %s; COMP_WORDS=(%s); COMP_CWORD=%d; cd %s; _ser; printf \"%%s\\n\" "
             "\"${COMPREPLY[@]}\"' "
             "2>&1",
             path, words, current, folder);
    return shell(command);
}

static void test_bash(void)
{
    char path[80];
    generate("bash", path);
    if (has_program("bash")) {
        CHECK(strcmp(complete_in_bash(path, "ser pre", 1), "predict\n") == 0);
        CHECK(strcmp(complete_in_bash(path, "ser predict --fo", 2), "--format\n") == 0);
        CHECK(strcmp(complete_in_bash(path, "ser predict --format j", 3), "json\n") == 0);
        CHECK(strcmp(complete_in_bash(path, "ser predict --format =", 3), "text\njson\ncsv\n") == 0);
        CHECK(strcmp(complete_in_bash(path, "ser predict --format = c", 4), "csv\n") == 0);
        CHECK(strcmp(complete_in_bash(path, "ser predict -m ser", 3), "ser.bash\n") == 0);
        CHECK(strcmp(complete_in_bash(path, "ser predict --encoder ser", 3), "\n") == 0); /* folders only */
        CHECK(strcmp(complete_in_bash(path, "ser predict --seed 1", 3), "\n") == 0);
        CHECK(strcmp(complete_in_bash(path, "ser predict --protocol =", 3), "loso\nkfold=5\n") == 0);
        CHECK(strcmp(complete_in_bash(path, "ser predict --corpus N", 3), "NEMO\n") == 0);
        CHECK(strcmp(complete_in_bash(path, "ser predict --corpus se", 3), "ser.bash\n") ==
              0); /* files too */
        CHECK(strcmp(complete_in_bash(path, "ser info s", 2), "ser.bash\n") == 0);
        CHECK(strcmp(complete_in_bash(path, "ser info --", 2), "--help\n") == 0);
    }
    unlink(path);
}

static void test_zsh_and_fish(void)
{
    char path[80], command[400];
    generate("zsh", path);
    if (has_program("zsh")) {
        snprintf(command, sizeof command, "zsh -n %s 2>&1", path);
        CHECK(!*shell(command));
    }
    unlink(path);
    generate("fish", path);
    if (has_program("fish")) {
        snprintf(
            command, sizeof command,
            "HOME=%s fish -c 'source %s; complete -C \"ser predict --format j\"; complete -C \"ser inf\"; "
            "complete -C \"ser predict --lr\"' 2>&1",
            folder, path);
        CHECK(strcmp(shell(command), "json\thow the answer is printed\ninfo\tsay what a file is\n"
                                     "--lr\tlearning rate, it's [0 to 1]: small\n") == 0);
        snprintf(command, sizeof command, "rm -rf %s/.config %s/.local %s/.cache", folder, folder, folder);
        CHECK(system(command) == 0);
    }
    unlink(path);
    CHECK(RUN("--generate", "powershell")->status == 2 && RUN("--generate")->status == 2);
    const outcome *o = RUN("--generate", "zsh");
    CHECK(strstr(o->out,
                 "'(-m --model)'{-m+,--model=}'[who answers (default: the built-in model)]:FILE:_files'"));
    CHECK(
        strstr(o->out, ":CORPUS:{_alternative \"value\\:value\\:(EMODB NEMO)\" \"file\\:file\\:_files\"}'"));
    CHECK(strstr(o->out, ":PROTOCOL:(loso kfold=5)'"));
    CHECK(strstr(o->out, "'--lr=[learning rate, it'\\''s \\[0 to 1\\]: small]:X:'"));
}

int main(void)
{
    CHECK(mkdtemp(folder) != NULL);
    test_dispatch();
    test_full_disk();
    test_help();
    test_help_width();
    test_manual();
    test_bash();
    test_zsh_and_fish();
    CHECK(rmdir(folder) == 0);
    return test_summary();
}

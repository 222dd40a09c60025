#include "cli/help.h"
#include "report/escape.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { WIDEST = 100, INDENT = 2, WIDEST_NAME = 24, BETWEEN = 2 };

void ser_help_append_wrapped(ser_text *t, const char *text, size_t column, size_t indent, size_t width)
{
    bool first = true;
    while (*text) {
        size_t n = strcspn(text, " \n");
        if (n) {
            char word[128];
            snprintf(word, sizeof word, "%.*s", (int)n, text);
            size_t n_columns = ser_columns(word);
            if (!first && column + 1 + n_columns > width) {
                ser_text_appendf(t, "\n%*s", (int)indent, "");
                column = indent;
                first = true;
            }
            ser_text_append(t, first ? "" : " ");
            ser_text_append_n(t, text, n);
            column += n_columns + !first;
            first = false;
        }
        text += n;
        if (*text == '\n' && text[1]) {
            ser_text_appendf(t, "\n\n%*s", (int)indent, "");
            column = indent;
            first = true;
        }
        text += *text != 0;
    }
    ser_text_append(t, "\n");
}

/* A summary, which tables show as it is, as a sentence. */
static void append_sentence(ser_text *t, const char *summary, size_t width)
{
    ser_text sentence = {0};
    ser_text_appendf(&sentence, "%s.", summary);
    if (!sentence.failed) {
        sentence.s[0] = (char)toupper((unsigned char)sentence.s[0]);
        ser_help_append_wrapped(t, sentence.s, 0, 0, width);
    }
    t->failed |= sentence.failed;
    ser_text_release(&sentence);
}

static void append_heading(ser_text *t, const char *text, ser_style style)
{
    ser_text_append(t, "\n");
    ser_append_bold(t, style);
    ser_text_append(t, text);
    ser_append_plain(t, style);
    ser_text_append(t, ":\n");
}

static void append_default(ser_text *t, const ser_option *o)
{
    const char *word;
    if (o->kind == SER_OPTION_FIELD) {
        const ser_field *f = ser_option_field(o);
        ser_text value = {0};
        if (f->kind != SER_FIELD_FLAG)
            ser_field_append(&value, f, o->value);
        if (value.n)
            ser_text_appendf(t, " (default: %s)", value.s);
        ser_text_release(&value);
        return;
    }
    switch (o->kind) {
    case SER_OPTION_STRING:
    case SER_OPTION_CHOICE:
        word = *(const char *const *)o->value;
        if (word && *word)
            ser_text_appendf(t, " (default: %s)", word);
        break;
    case SER_OPTION_INT:
        ser_text_appendf(t, " (default: %ld)", *(const long *)o->value);
        break;
    case SER_OPTION_DOUBLE:
        ser_text_appendf(t, " (default: %.9g)", *(const double *)o->value);
        break;
    case SER_OPTION_END:
    case SER_OPTION_GROUP:
    case SER_OPTION_FLAG:
    case SER_OPTION_LIST:
    case SER_OPTION_FIELD:
        break;
    }
}

void ser_help_append_meaning(ser_text *t, const ser_option *o)
{
    ser_text_append(t, o->help);
    if (!strstr(o->help, "default"))
        append_default(t, o);
}

/* "-m, --model FILE", or "    --model FILE". */
static void append_name(ser_text *t, const ser_option *o)
{
    if (o->letter)
        ser_text_appendf(t, "-%c, --%s", o->letter, o->name);
    else
        ser_text_appendf(t, "    --%s", o->name);
    if (ser_option_shape(o) != SER_OPTION_FLAG)
        ser_text_appendf(t, " %s", ser_option_argument(o));
}

/* name and meaning in two columns; the meaning goes to the next line where the name is too long. */
static void append_entry(ser_text *t, const char *name, const char *meaning, size_t name_width,
                         ser_style style)
{
    size_t column = INDENT + ser_columns(name), right = INDENT + name_width + BETWEEN;
    ser_text_appendf(t, "%*s", INDENT, "");
    ser_append_bold(t, style);
    ser_text_append(t, name);
    ser_append_plain(t, style);
    if (column + BETWEEN > right)
        ser_text_appendf(t, "\n%*s", (int)right, "");
    else
        ser_text_appendf(t, "%*s", (int)(right - column), "");
    ser_help_append_wrapped(t, meaning, right, right, style.width);
}

static void append_option(ser_text *t, const ser_option *o, size_t name_width, ser_style style)
{
    ser_text name = {0}, meaning = {0};
    append_name(&name, o);
    ser_help_append_meaning(&meaning, o);
    if (!name.failed && !meaning.failed)
        append_entry(t, name.s, meaning.s, name_width, style);
    t->failed |= name.failed || meaning.failed;
    ser_text_release(&name);
    ser_text_release(&meaning);
}

static size_t widest_name(const ser_option *options)
{
    size_t widest = strlen("-h, --help");
    for (const ser_option *o = options; o && ser_option_shape(o) != SER_OPTION_END; o++) {
        if (ser_option_shape(o) == SER_OPTION_GROUP)
            continue;
        size_t n = 6 + strlen(o->name) +
                   (ser_option_shape(o) == SER_OPTION_FLAG ? 0 : 1 + ser_columns(ser_option_argument(o)));
        if (n <= WIDEST_NAME && n > widest)
            widest = n;
    }
    return widest;
}

static void append_options(ser_text *t, const ser_option *options, ser_style style)
{
    static const ser_option help = {
        .kind = SER_OPTION_FLAG, .letter = 'h', .name = "help", .help = "show this help"};
    size_t name_width = widest_name(options);
    bool grouped = false;
    if (!options || ser_option_shape(options) != SER_OPTION_GROUP)
        append_heading(t, "Options", style);
    for (const ser_option *o = options; o && ser_option_shape(o) != SER_OPTION_END; o++) {
        if (ser_option_shape(o) == SER_OPTION_GROUP) {
            append_heading(t, o->help, style);
            grouped = true;
        } else {
            append_option(t, o, name_width, style);
        }
    }
    if (grouped)
        append_heading(t, "Help", style);
    append_option(t, &help, name_width, style);
}

static void append_examples(ser_text *t, const char *examples, ser_style style)
{
    if (!examples)
        return;
    append_heading(t, "Examples", style);
    for (const char *line = examples; *line;) {
        size_t n = strcspn(line, "\n");
        ser_text_appendf(t, "%*s%.*s\n", INDENT, "", (int)n, line);
        line += n + (line[n] != 0);
    }
}

static ser_style limited(ser_style style)
{
    style.width = style.width < WIDEST ? style.width : WIDEST;
    return style;
}

void ser_help_command(ser_text *t, const ser_command *command, ser_style style)
{
    style = limited(style);
    ser_append_bold(t, style);
    ser_text_append(t, "Usage:");
    ser_append_plain(t, style);
    ser_text_append(t, " ");
    char usage[512];
    snprintf(usage, sizeof usage, "ser %s [OPTIONS] %s", command->name, command->usage ? command->usage : "");
    ser_help_append_wrapped(t, usage, 7, 11, style.width);
    ser_text_append(t, "\n");
    append_sentence(t, command->summary, style.width);
    if (command->description) {
        ser_text_append(t, "\n");
        ser_help_append_wrapped(t, command->description, 0, 0, style.width);
    }
    append_options(t, command->options, style);
    append_examples(t, command->examples, style);
}

static void append_program(ser_text *t, const ser_program *program, ser_style style)
{
    style = limited(style);
    size_t widest = strlen("--version");
    for (const ser_command *const *c = program->commands; *c; c++)
        widest = strlen((*c)->name) > widest ? strlen((*c)->name) : widest;
    ser_append_bold(t, style);
    ser_text_append(t, "Usage:");
    ser_append_plain(t, style);
    ser_text_append(t, " ser COMMAND [OPTIONS] ...\n\n");
    append_sentence(t, program->summary, style.width);
    append_heading(t, "Commands", style);
    for (const ser_command *const *c = program->commands; *c; c++)
        append_entry(t, (*c)->name, (*c)->summary, widest, style);
    append_heading(t, "Options", style);
    append_entry(t, "--help", "show this help; 'ser COMMAND --help' shows a command's", widest, style);
    append_entry(t, "--version", "show the version", widest, style);
    append_examples(t, program->examples, style);
}

static int print(ser_text *t)
{
    int status = t->failed ? SER_EXIT_FAILED : SER_EXIT_OK;
    if (!t->failed)
        fputs(t->s, stdout);
    ser_text_release(t);
    return status;
}

int ser_help_print(const ser_command *command)
{
    ser_text t = {0};
    ser_help_command(&t, command, ser_style_of(stdout));
    return print(&t);
}

int ser_help_print_program(const ser_program *program)
{
    ser_text t = {0};
    append_program(&t, program, ser_style_of(stdout));
    return print(&t);
}

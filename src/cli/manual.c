/* The manual page ser.1, from the tables: man macros, https://man7.org/linux/man-pages/man7/man.7.html */
#include "cli/help.h"

#include <ctype.h>
#include <string.h>

/* A backslash and a hyphen mean something to roff, and so do '.' and '\'' where a line begins. */
static void append_roff(ser_text *t, const char *s, size_t n)
{
    if (n && (*s == '.' || *s == '\''))
        ser_text_append(t, "\\&");
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\\')
            ser_text_append(t, "\\e");
        else if (s[i] == '-')
            ser_text_append(t, "\\-");
        else
            ser_text_append_n(t, s + i, 1);
    }
}

/* Each line of the text becomes a paragraph; the first one goes without a macro, as behind a heading. */
static void append_paragraphs(ser_text *t, const char *text)
{
    for (bool first = true; text && *text; first = false) {
        size_t n = strcspn(text, "\n");
        ser_text_append(t, first ? "" : ".PP\n");
        append_roff(t, text, n);
        ser_text_append(t, "\n");
        text += n + (text[n] != 0);
    }
}

static void append_examples(ser_text *t, const char *examples)
{
    ser_text_append(t, ".RS\n.nf\n");
    while (*examples) {
        size_t n = strcspn(examples, "\n");
        append_roff(t, examples, n);
        ser_text_append(t, "\n");
        examples += n + (examples[n] != 0);
    }
    ser_text_append(t, ".fi\n.RE\n");
}

static void append_styled(ser_text *t, char font, const char *s)
{
    ser_text_appendf(t, "\\f%c", font);
    append_roff(t, s, strlen(s));
    ser_text_append(t, "\\fR");
}

static void append_option(ser_text *t, const ser_option *o)
{
    ser_text meaning = {0};
    ser_text_append(t, ".TP\n");
    if (o->letter)
        ser_text_appendf(t, "\\fB\\-%c\\fR, ", o->letter);
    ser_text_append(t, "\\fB\\-\\-\\fR");
    append_styled(t, 'B', o->name);
    if (ser_option_shape(o) != SER_OPTION_FLAG) {
        ser_text_append(t, " ");
        append_styled(t, 'I', ser_option_argument(o));
    }
    ser_text_append(t, "\n");
    ser_help_append_meaning(&meaning, o);
    if (meaning.n)
        append_roff(t, meaning.s, meaning.n);
    t->failed |= meaning.failed;
    ser_text_release(&meaning);
    ser_text_append(t, "\n");
}

static void append_command(ser_text *t, const ser_command *c)
{
    ser_text_append(t, ".SS ser ");
    append_roff(t, c->name, strlen(c->name));
    ser_text_append(t, " [OPTIONS] ");
    append_roff(t, c->usage ? c->usage : "", c->usage ? strlen(c->usage) : 0);
    ser_text_append(t, "\n");
    ser_text_appendf(t, "%c", toupper((unsigned char)c->summary[0]));
    append_roff(t, c->summary + 1, strlen(c->summary + 1));
    ser_text_append(t, ".\n");
    if (c->description)
        ser_text_append(t, ".PP\n");
    append_paragraphs(t, c->description);
    for (const ser_option *o = c->options; o && ser_option_shape(o) != SER_OPTION_END; o++) {
        if (ser_option_shape(o) == SER_OPTION_GROUP) {
            ser_text_append(t, ".PP\n");
            append_styled(t, 'I', o->help);
            ser_text_append(t, "\n");
        } else {
            append_option(t, o);
        }
    }
    if (c->examples) {
        ser_text_append(t, ".PP\nExamples:\n");
        append_examples(t, c->examples);
    }
}

static void append_term(ser_text *t, const char *term, const char *meaning)
{
    ser_text_append(t, ".TP\n");
    append_styled(t, 'B', term);
    ser_text_append(t, "\n");
    append_roff(t, meaning, strlen(meaning));
    ser_text_append(t, "\n");
}

void ser_generate_manual(ser_text *t, const ser_program *program)
{
    ser_text_append(t, ".TH SER 1 \"\" \"ser " SER_VERSION "\" \"User Commands\"\n.SH NAME\nser \\- ");
    append_roff(t, program->summary, strlen(program->summary));
    ser_text_append(t,
                    "\n.SH SYNOPSIS\n\\fBser\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR] ...\n.SH DESCRIPTION\n");
    append_paragraphs(t, program->description);
    ser_text_append(
        t, ".PP\nOptions may be written with \\(oq_\\(cq for \\(oq\\-\\(cq, and their values behind a "
           "space or \\(oq=\\(cq.\n.SH COMMANDS\n");
    for (const ser_command *const *c = program->commands; *c; c++)
        append_command(t, *c);
    ser_text_append(t, ".SH EXIT STATUS\n");
    append_term(t, "0", "Done.");
    append_term(t, "1", "An input failed (the others were done), or the job could not be completed.");
    append_term(t, "2", "Wrong usage of the command line.");
    append_term(t, "130", "Interrupted, after saving what was done.");
    if (program->environment) {
        ser_text_append(t, ".SH ENVIRONMENT\n");
        for (const ser_environment_variable *v = program->environment; v->name; v++)
            append_term(t, v->name, v->help);
    }
    if (program->examples) {
        ser_text_append(t, ".SH EXAMPLES\n");
        append_examples(t, program->examples);
    }
}

#include "cli/options.h"
#include "base/memory.h"
#include "base/spelling.h"
#include "cli/help.h"
#include "cli/progress.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int ser_exit_status(ser_status status)
{
    if (status == SER_OK)
        return SER_EXIT_OK;
    return status == SER_E_CANCELLED ? SER_EXIT_INTERRUPTED
           : status == SER_E_ARG     ? SER_EXIT_USAGE
                                     : SER_EXIT_FAILED;
}

void ser_option_list_release(ser_option_list *list)
{
    ser_free(list->items);
    *list = (ser_option_list){0};
}

static bool push(ser_option_list *list, const char *item)
{
    if (!ser_grow(&list->items, &list->capacity, list->n + 1, sizeof *list->items))
        return false;
    list->items[list->n++] = item;
    return true;
}

/* '_' counts as '-'. name ends after n bytes. */
static bool same_name(const char *name, size_t n, const char *option)
{
    if (!option || strlen(option) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((name[i] == '_' ? '-' : name[i]) != option[i])
            return false;
    return true;
}

static const ser_option *find_option(const ser_command *command, const char *name, size_t n)
{
    for (const ser_option *o = command->options; o && o->kind != SER_OPTION_END; o++)
        if (o->kind != SER_OPTION_GROUP && (same_name(name, n, o->name) || same_name(name, n, o->alias)))
            return o;
    return NULL;
}

static const ser_option *find_letter(const ser_command *command, char letter)
{
    for (const ser_option *o = command->options; o && o->kind != SER_OPTION_END; o++)
        if (o->kind != SER_OPTION_GROUP && o->letter == letter)
            return o;
    return NULL;
}

/* What other programs call it. */
static const char *synonym(const ser_command *command, const char *name)
{
    static const char *const words[][2] = {{"threads", "jobs"}, {"num-threads", "jobs"}, {"workers", "jobs"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(name, words[i][0]) == 0 && find_option(command, words[i][1], strlen(words[i][1])))
            return words[i][1];
    return NULL;
}

static ser_status fail_unknown(const ser_command *command, const char *argument, ser_error *err)
{
    const char *best = NULL;
    unsigned best_distance = 0, distance;
    char name[64];
    size_t n = strcspn(argument, "=");
    if (strncmp(argument, "--", 2) == 0 && n - 2 < sizeof name) {
        snprintf(name, sizeof name, "%.*s", (int)n - 2, argument + 2);
        for (char *c = name; *c; c++)
            *c = *c == '_' ? '-' : *c;
        best = synonym(command, name);
        for (const ser_option *o = command->options; o && o->kind != SER_OPTION_END; o++)
            if (o->name && ser_spelling_near(name, o->name, &distance) &&
                (!best || distance < best_distance)) {
                best = o->name;
                best_distance = distance;
            }
    }
    if (best)
        return ser_fail(err, SER_E_ARG, "%.*s: there is no such option: did you mean --%s?", (int)n, argument,
                        best);
    if (access(argument, F_OK) == 0)
        return ser_fail(err, SER_E_ARG, "%s: there is no such option: write ./%s for the file", argument,
                        argument);
    return ser_fail(err, SER_E_ARG, "%.*s: there is no such option", (int)n, argument);
}

_Static_assert(sizeof(long) == sizeof(int64_t), "a long option is stored as a long field");

const ser_field *ser_option_field(const ser_option *o)
{
    char name[64];
    snprintf(name, sizeof name, "%s", o->name);
    for (char *c = name; *c; c++)
        *c = *c == '-' ? '_' : *c;
    const ser_field *f = ser_field_find(*o->fields, name);
    assert(f); /* a table of options and one of fields that do not belong together */
    return f;
}

ser_option_kind ser_option_shape(const ser_option *o)
{
    if (o->kind != SER_OPTION_FIELD)
        return o->kind;
    switch (ser_option_field(o)->kind) {
    case SER_FIELD_FLAG:
        return SER_OPTION_FLAG;
    case SER_FIELD_WORD:
        return SER_OPTION_CHOICE;
    case SER_FIELD_TEXT:
        return SER_OPTION_STRING;
    case SER_FIELD_DOUBLE:
        return SER_OPTION_DOUBLE;
    default:
        return SER_OPTION_INT;
    }
}

const char *ser_option_argument(const ser_option *o)
{
    bool has_words = o->kind == SER_OPTION_FIELD && ser_option_shape(o) == SER_OPTION_CHOICE;
    return has_words ? ser_option_field(o)->words : o->argument;
}

/* value NULL: of a flag. */
static ser_status store_field(const ser_field *f, void *settings, const ser_option *o, const char *value,
                              ser_error *err)
{
    char called[80];
    snprintf(called, sizeof called, "--%s", o->name);
    return value ? ser_field_set_text(f, settings, value, called, err)
                 : ser_field_set_number(f, settings, 1, called, err);
}

static ser_status store_number(const ser_option *o, const char *value, ser_error *err)
{
    const ser_field f = {.name = o->name,
                         .kind = o->kind == SER_OPTION_INT ? SER_FIELD_LONG : SER_FIELD_DOUBLE,
                         .minimum = o->minimum,
                         .maximum = o->maximum};
    return store_field(&f, o->value, o, value, err);
}

static ser_status store_choice(const ser_option *o, const char *value, ser_error *err)
{
    const ser_field f = {.name = o->name, .kind = SER_FIELD_WORD, .words = o->argument};
    int which;
    ser_status st = store_field(&f, &which, o, value, err);
    if (st == SER_OK)
        *(const char **)o->value = value;
    return st;
}

/* value NULL: for a flag. */
static ser_status store(const ser_option *o, const char *value, ser_error *err)
{
    ser_status st = SER_OK;
    switch (o->kind) {
    case SER_OPTION_FLAG:
        *(bool *)o->value = true;
        break;
    case SER_OPTION_STRING:
        *(const char **)o->value = value;
        break;
    case SER_OPTION_LIST:
        st = push(o->value, value) ? SER_OK : ser_fail_nomem(err);
        break;
    case SER_OPTION_INT:
    case SER_OPTION_DOUBLE:
        st = store_number(o, value, err);
        break;
    case SER_OPTION_CHOICE:
        st = store_choice(o, value, err);
        break;
    case SER_OPTION_FIELD:
        st = store_field(ser_option_field(o), o->value, o, value, err);
        break;
    case SER_OPTION_END:
    case SER_OPTION_GROUP:
        break;
    }
    if (st == SER_OK && o->given)
        *o->given = true;
    return st;
}

static bool is_option(const ser_command *command, const char *argument)
{
    if (strcmp(argument, "--") == 0)
        return true;
    if (strncmp(argument, "--", 2) == 0)
        return find_option(command, argument + 2, strcspn(argument + 2, "="));
    return argument[0] == '-' && argument[1] && !argument[2] && find_letter(command, argument[1]);
}

/* The option at argv[*i]; *i is moved on when its value is the next argument. */
static ser_status read_option(const ser_command *command, int argc, char **argv, int *i, ser_error *err)
{
    const char *argument = argv[*i], *value = NULL;
    const ser_option *o;
    if (argument[1] == '-') {
        size_t n = strcspn(argument + 2, "=");
        o = find_option(command, argument + 2, n);
        value = argument[2 + n] ? argument + 2 + n + 1 : NULL;
    } else {
        o = find_letter(command, argument[1]);
        value = argument[2] ? argument + 2 : NULL;
    }
    bool is_flag = o && ser_option_shape(o) == SER_OPTION_FLAG;
    if (!o || (is_flag && value && argument[1] != '-'))
        return fail_unknown(command, argument, err);
    if (is_flag)
        return value ? ser_fail(err, SER_E_ARG, "--%s: it takes no value: leave out '=%s'", o->name, value)
                     : store(o, NULL, err);
    /* Who forgets a value should not lose the option behind it. */
    if (!value && *i + 1 < argc && !is_option(command, argv[*i + 1]))
        value = argv[++*i];
    if (!value)
        return ser_fail(err, SER_E_ARG, "--%s: its value is missing: --%s %s", o->name, o->name,
                        ser_option_argument(o));
    return store(o, value, err);
}

/* Before anything is read, so that the help shows the defaults, and is shown also beside a mistake. */
static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

ser_options_outcome ser_options_parse(const ser_command *command, int argc, char **argv,
                                      ser_option_list *rest, ser_error *err)
{
    bool ended = false;
    *rest = (ser_option_list){0};
    if (asks_for_help(argc, argv))
        return SER_OPTIONS_HELP;
    for (int i = 1; i < argc; i++) {
        ser_status st = SER_OK;
        if (!ended && strcmp(argv[i], "--") == 0)
            ended = true;
        else if (!ended && argv[i][0] == '-' && argv[i][1])
            st = read_option(command, argc, argv, &i, err);
        else
            st = push(rest, argv[i]) ? SER_OK : ser_fail_nomem(err);
        if (st != SER_OK)
            return SER_OPTIONS_WRONG;
    }
    return SER_OPTIONS_READ;
}

bool ser_options_start(const ser_command *command, int argc, char **argv, ser_option_list *rest,
                       int *exit_status)
{
    ser_error err = {0};
    *exit_status = SER_EXIT_OK;
    switch (ser_options_parse(command, argc, argv, rest, &err)) {
    case SER_OPTIONS_READ:
        return true;
    case SER_OPTIONS_HELP:
        *exit_status = ser_help_print(command);
        break;
    case SER_OPTIONS_WRONG:
        *exit_status = err.status == SER_E_NOMEM ? SER_EXIT_FAILED : ser_usage_error(command, "%s", err.text);
        if (err.status == SER_E_NOMEM)
            ser_say("%s", err.text);
        break;
    }
    ser_option_list_release(rest);
    return false;
}

int ser_usage_error(const ser_command *command, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ser_say("%s", text);
    ser_say("'ser %s --help' lists what there is", command->name);
    return SER_EXIT_USAGE;
}

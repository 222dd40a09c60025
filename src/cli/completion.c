/* Completion for bash, zsh and fish, from the tables of commands and options. */
#include "cli/program.h"

#include <string.h>

typedef enum value_kind { NOTHING, WORDS, FILES, FOLDERS } value_kind;

/* What an option's value may be, by the name of its argument. */
static value_kind kind_of(const ser_option *o)
{
    static const char *const files[] = {"FILE", "PATH", "CORPUS", "OUT", "REPORT", "AUDIO"};
    if (ser_option_shape(o) == SER_OPTION_CHOICE)
        return WORDS;
    if (ser_option_shape(o) != SER_OPTION_STRING && ser_option_shape(o) != SER_OPTION_LIST)
        return NOTHING;
    if (strstr(ser_option_argument(o), "DIR") || strstr(ser_option_argument(o), "FOLDER"))
        return FOLDERS;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strstr(ser_option_argument(o), files[i]))
            return FILES;
    return NOTHING;
}

static bool is_end(const ser_option *o)
{
    return !o || ser_option_shape(o) == SER_OPTION_END;
}

static void append_words(ser_text *t, const char *choices)
{
    const char *word;
    size_t n;
    for (size_t i = 0; (n = ser_field_word(&word, choices, i)) > 0; i++) {
        ser_text_append(t, i ? " " : "");
        ser_text_append_n(t, word, n);
    }
}

static const char *words_of(const ser_option *o)
{
    return ser_option_shape(o) == SER_OPTION_CHOICE ? ser_option_argument(o) : o->suggested;
}

/* Inside single quotes of a shell; every character of special is written behind a backslash. */
static void append_quoted(ser_text *t, const char *s, const char *special)
{
    for (; *s; s++) {
        if (*s == '\'')
            ser_text_append(t, "'\\''");
        else
            ser_text_appendf(t, strchr(special, *s) ? "\\%c" : "%c", *s);
    }
}

static void append_bash_values(ser_text *t, const ser_option *options)
{
    ser_text_append(t, "        case $prev in\n");
    for (const ser_option *o = options; !is_end(o); o++) {
        if (ser_option_shape(o) == SER_OPTION_GROUP || ser_option_shape(o) == SER_OPTION_FLAG)
            continue;
        ser_text_appendf(t, "        --%s", o->name);
        if (o->letter)
            ser_text_appendf(t, "|-%c", o->letter);
        static const char *const kinds[] = {[FILES] = " kind=-f", [FOLDERS] = " kind=-d"};
        value_kind kind = kind_of(o);
        ser_text_append(t, ")");
        if (words_of(o)) {
            ser_text_append(t, " words='");
            append_words(t, words_of(o));
            ser_text_append(t, "'");
        }
        ser_text_appendf(t, "%s ;;\n",
                         kind == FILES || kind == FOLDERS ? kinds[kind]
                         : words_of(o)                    ? ""
                                                          : " return");
    }
    ser_text_append(t, "        esac\n");
}

void ser_generate_bash(ser_text *t, const ser_program *program)
{
    ser_text_append(t,
                    "# bash completion for ser, made by: ser --generate bash\n"
                    "_ser() {\n"
                    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words= kind= "
                    "options=\n"
                    "    # --name=value arrives as three words\n"
                    "    if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then "
                    "prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
                    "    COMPREPLY=()\n"
                    "    if ((COMP_CWORD == 1)); then words='--help --version");
    for (const ser_command *const *c = program->commands; *c; c++)
        ser_text_appendf(t, " %s", (*c)->name);
    ser_text_append(t, "'; fi\n    case ${COMP_WORDS[1]} in\n");
    for (const ser_command *const *c = program->commands; *c; c++) {
        ser_text_appendf(t, "    %s)\n        options='--help", (*c)->name);
        for (const ser_option *o = (*c)->options; !is_end(o); o++)
            if (ser_option_shape(o) != SER_OPTION_GROUP)
                ser_text_appendf(t, " --%s", o->name);
        ser_text_append(t, "'\n");
        append_bash_values(t, (*c)->options);
        ser_text_append(t, "        ;;\n");
    }
    ser_text_append(t, "    esac\n"
                       "    if [[ -n $words ]]; then\n"
                       "        [[ -z $kind ]] || compopt -o filenames 2>/dev/null\n"
                       "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\"\n"
                       "            [[ -z $kind ]] || compgen \"$kind\" -- \"$cur\")\n"
                       "    elif [[ -z $kind && $cur == -* ]]; then\n"
                       "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$cur\")\n"
                       "    else\n"
                       "        compopt -o filenames 2>/dev/null\n"
                       "        mapfile -t COMPREPLY < <(compgen \"${kind:--f}\" -- \"$cur\")\n"
                       "    fi\n"
                       "}\n"
                       "complete -F _ser ser\n");
}

/* '(-m --model)'{-m+,--model=}'[meaning]:FILE:_files' */
static void append_zsh_option(ser_text *t, const ser_option *o)
{
    bool has_value = ser_option_shape(o) != SER_OPTION_FLAG;
    ser_text_append(t, " \\\n                '");
    ser_text_append(t, ser_option_shape(o) == SER_OPTION_LIST ? "*" : "");
    if (o->letter && ser_option_shape(o) != SER_OPTION_LIST)
        ser_text_appendf(t, "(-%c --%s)", o->letter, o->name);
    if (o->letter)
        ser_text_appendf(t, "'{-%c%s,--%s%s}'", o->letter, has_value ? "+" : "", o->name,
                         has_value ? "=" : "");
    else
        ser_text_appendf(t, "--%s%s", o->name, has_value ? "=" : "");
    ser_text_append(t, "[");
    append_quoted(t, o->help, "[]\\");
    ser_text_append(t, "]");
    if (has_value) {
        ser_text_append(t, ":");
        append_quoted(t, ser_option_shape(o) == SER_OPTION_CHOICE ? o->name : ser_option_argument(o), ":\\");
        ser_text_append(t, ":");
    }
    static const char *const kinds[] = {[FILES] = "_files", [FOLDERS] = "_files -/"};
    value_kind kind = kind_of(o);
    bool of_files = kind == FILES || kind == FOLDERS;
    if (of_files && words_of(o))
        ser_text_append(t, "{_alternative \"value\\:value\\:"); /* at bare colons _arguments splits */
    if (words_of(o)) {
        ser_text_append(t, "(");
        append_words(t, words_of(o));
        ser_text_append(t, ")");
    }
    if (of_files && words_of(o))
        ser_text_appendf(t, "\" \"file\\:file\\:%s\"}", kinds[kind]);
    else if (of_files)
        ser_text_append(t, kinds[kind]);
    ser_text_append(t, "'");
}

void ser_generate_zsh(ser_text *t, const ser_program *program)
{
    ser_text_append(t, "#compdef ser\n"
                       "# zsh completion for ser, made by: ser --generate zsh\n"
                       "_ser() {\n"
                       "    local curcontext=\"$curcontext\" state line\n"
                       "    local -a commands=(\n");
    for (const ser_command *const *c = program->commands; *c; c++) {
        ser_text_appendf(t, "        '%s:", (*c)->name);
        append_quoted(t, (*c)->summary, "\\");
        ser_text_append(t, "'\n");
    }
    ser_text_append(t, "    )\n"
                       "    _arguments -C '(- *)--help[show help]' '(- *)--version[show the version]' \\\n"
                       "        '1:command:->command' '*::argument:->argument'\n"
                       "    case $state in\n"
                       "    command) _describe command commands ;;\n"
                       "    argument)\n"
                       "        case $words[1] in\n");
    for (const ser_command *const *c = program->commands; *c; c++) {
        ser_text_appendf(t, "        %s)\n            _arguments -S '(- *)'{-h,--help}'[show help]'",
                         (*c)->name);
        for (const ser_option *o = (*c)->options; !is_end(o); o++)
            if (ser_option_shape(o) != SER_OPTION_GROUP)
                append_zsh_option(t, o);
        ser_text_append(t, " \\\n                '*:file:_files' ;;\n");
    }
    ser_text_append(t, "        esac ;;\n"
                       "    esac\n"
                       "}\n"
                       "_ser \"$@\"\n");
}

static void append_fish_option(ser_text *t, const char *command, const ser_option *o)
{
    ser_text_appendf(t, "complete -c ser -n '__fish_seen_subcommand_from %s' -l %s", command, o->name);
    if (o->letter)
        ser_text_appendf(t, " -s %c", o->letter);
    value_kind kind = kind_of(o);
    if (kind == FILES)
        ser_text_append(t, " -r -F");
    else if (ser_option_shape(o) != SER_OPTION_FLAG)
        ser_text_append(t, " -x");
    if (kind == FOLDERS)
        ser_text_append(t, " -a '(__fish_complete_directories)'");
    if (words_of(o)) {
        ser_text_append(t, " -a '");
        append_words(t, words_of(o));
        ser_text_append(t, "'");
    }
    ser_text_append(t, " -d '");
    append_quoted(t, o->help, "\\");
    ser_text_append(t, "'\n");
}

void ser_generate_fish(ser_text *t, const ser_program *program)
{
    ser_text_append(t, "# fish completion for ser, made by: ser --generate fish\n"
                       "complete -c ser -n __fish_use_subcommand -f -l help -d 'show help'\n"
                       "complete -c ser -n __fish_use_subcommand -f -l version -d 'show the version'\n");
    for (const ser_command *const *c = program->commands; *c; c++) {
        ser_text_appendf(t, "complete -c ser -n __fish_use_subcommand -f -a %s -d '", (*c)->name);
        append_quoted(t, (*c)->summary, "\\");
        ser_text_append(t, "'\n");
    }
    for (const ser_command *const *c = program->commands; *c; c++) {
        ser_text_appendf(t,
                         "complete -c ser -n '__fish_seen_subcommand_from %s' -s h -l help -d 'show help'\n",
                         (*c)->name);
        for (const ser_option *o = (*c)->options; !is_end(o); o++)
            if (ser_option_shape(o) != SER_OPTION_GROUP)
                append_fish_option(t, (*c)->name, o);
    }
}

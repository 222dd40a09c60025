#include "cli/settings.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_KEY = 64 };

static void key_of(char key[MAX_KEY], const ser_option *o)
{
    snprintf(key, MAX_KEY, "%s", o->name);
    for (char *c = key; *c; c++)
        if (*c == '-')
            *c = '_';
}

/* Numbers that nobody gave may be below what can be given. */
static bool is_given(const ser_option *o, double value)
{
    return (o->minimum == 0 && o->maximum == 0) || value >= o->minimum;
}

static json_t *value_of(const ser_option *o)
{
    const char *text;
    const ser_option_list *list;
    json_t *array;
    switch (o->kind) {
    case SER_OPTION_FLAG:
        return json_boolean(*(bool *)o->value);
    case SER_OPTION_INT:
        return is_given(o, (double)*(long *)o->value) ? json_integer(*(long *)o->value) : json_null();
    case SER_OPTION_DOUBLE:
        return is_given(o, *(double *)o->value) ? json_real(*(double *)o->value) : json_null();
    case SER_OPTION_LIST: /* one as it is, which is what there mostly is */
        list = o->value;
        if (list->n < 2)
            return list->n ? json_string(list->items[0]) : json_null();
        array = json_array();
        for (size_t i = 0; i < list->n; i++)
            json_array_append_new(array, json_string(list->items[i]));
        return array;
    default:
        text = *(const char **)o->value;
        return text ? json_string(text) : json_null();
    }
}

/* The next option that is a setting, or NULL. */
static const ser_option *next_setting(const ser_option *o, bool *in_output)
{
    for (; o->kind != SER_OPTION_END; o++) {
        if (o->kind == SER_OPTION_GROUP)
            *in_output = strcmp(o->help, SER_OUTPUT_GROUP) == 0;
        else if (!*in_output)
            return o;
    }
    return NULL;
}

json_t *ser_settings_to_json(const ser_command *command)
{
    char key[MAX_KEY];
    bool in_output = false;
    json_t *object = json_object();
    for (const ser_option *o = command->options; (o = next_setting(o, &in_output)); o++) {
        key_of(key, o);
        if (json_object_set_new(object, key, value_of(o)) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static ser_status set_list(ser_option_list *list, const json_t *value, ser_error *err)
{
    size_t n = json_is_array(value) ? json_array_size(value) : json_is_string(value);
    if (!ser_grow(&list->items, &list->capacity, n, sizeof *list->items))
        return ser_fail_nomem(err);
    list->n = 0;
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_is_array(value) ? json_array_get(value, i) : value);
        if (text)
            list->items[list->n++] = text;
    }
    return SER_OK;
}

static ser_status set_value(const ser_option *o, const json_t *value, bool *right, ser_error *err)
{
    *right = true;
    if (o->kind == SER_OPTION_FLAG && json_is_boolean(value))
        *(bool *)o->value = json_is_true(value);
    else if (o->kind == SER_OPTION_LIST && (json_is_string(value) || json_is_array(value)))
        return set_list(o->value, value, err);
    else if (json_is_null(value)) /* nobody gave one */
        return SER_OK;
    else if (o->kind == SER_OPTION_INT && json_is_integer(value))
        return ser_option_store_number(o, (double)json_integer_value(value), err);
    else if (o->kind == SER_OPTION_DOUBLE && json_is_number(value))
        return ser_option_store_number(o, json_number_value(value), err);
    else if (o->kind == SER_OPTION_CHOICE && json_is_string(value))
        return ser_option_store_word(o, json_string_value(value), err);
    else if (o->kind == SER_OPTION_STRING && json_is_string(value))
        *(const char **)o->value = json_string_value(value);
    else
        *right = false;
    return SER_OK;
}

ser_status ser_settings_from_json(const ser_command *command, const json_t *settings, ser_error *err)
{
    char key[MAX_KEY];
    bool in_output = false;
    for (const ser_option *o = command->options; (o = next_setting(o, &in_output)); o++) {
        key_of(key, o);
        const json_t *value = json_object_get(settings, key);
        bool right = true;
        ser_status st = value ? set_value(o, value, &right, err) : SER_OK;
        if (st == SER_E_ARG) /* here nobody typed it */
            return err ? err->status = SER_E_FORMAT : SER_E_FORMAT;
        if (st != SER_OK)
            return st;
        if (!right)
            return ser_fail(err, SER_E_FORMAT, "setting '%s' has a value of a wrong type", key);
    }
    return SER_OK;
}

void ser_append_setting(ser_text *t, const json_t *value)
{
    const char *key;
    json_t *part;
    char *text = json_is_object(value) || json_is_string(value)
                     ? NULL
                     : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(4));
    if (text || json_is_string(value))
        ser_text_append(t, text ? text : json_string_value(value));
    free(text);
    json_object_foreach((json_t *)value, key, part)
    {
        ser_text_appendf(t, "%s%s ",
                         json_object_iter((json_t *)value) == json_object_key_to_iter(key) ? "" : " / ", key);
        ser_append_setting(t, part);
    }
}

void ser_append_settings(ser_text *t, const json_t *settings)
{
    enum { WIDTH = 100 };
    const char *key;
    json_t *value;
    size_t line = t->n;
    ser_text one = {0};
    json_object_foreach((json_t *)settings, key, value)
    {
        ser_text_clear(&one);
        ser_text_appendf(&one, "%s ", key);
        ser_append_setting(&one, value);
        bool is_first = t->n == line;
        if (!is_first && t->n + one.n + 3 > line + WIDTH) {
            ser_text_append(t, ",\n");
            line = t->n;
            is_first = true;
        }
        ser_text_appendf(t, "%s%s", is_first ? "" : ", ", one.s ? one.s : "");
    }
    t->failed = t->failed || one.failed;
    ser_text_release(&one);
    if (t->n > line)
        ser_text_append(t, "\n");
}

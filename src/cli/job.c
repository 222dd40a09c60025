#include "cli/job.h"
#include "base/memory.h"
#include "cli/epochs.h"
#include "cli/extras.h"
#include "cli/outputs.h"
#include "cli/progress.h"
#include "cli/together.h"
#include "io/file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

ser_job_words ser_job_given;

/* ---- options ---- */

void ser_job_init(const ser_job_command *c)
{
    c->job->init(c->settings, c->job->size);
}

bool ser_job_parse(const ser_job_command *c, int argc, char **argv, ser_option_list *rest, int *status)
{
    ser_option_list own = {0}, *encoders = &ser_job_given.encoders;
    ser_option_list_release(encoders);
    ser_together_begin(argc, argv);
    if (!ser_options_start(c->command, argc, argv, rest ? rest : &own, status))
        return false;
    if (own.n)
        *status = ser_usage_error(c->command, "'%s' is not expected here", own.items[0]);
    ser_option_list_release(&own);
    if (encoders->n) {
        ser_run_data *data = ser_run_data_of(c->settings);
        data->encoders = encoders->items;
        data->n_encoders = encoders->n;
    }
    return *status == SER_EXIT_OK;
}

/* The number of threads changes nothing, so a run may go on with another. */
static ser_status compare(const json_t *own, const json_t *given, const char *folder, ser_error *err)
{
    const char *key;
    json_t *value;
    if (!own || !given)
        return ser_fail_nomem(err);
    json_object_foreach((json_t *)given, key, value)
    {
        if (strcmp(key, "jobs") != 0 && !json_equal(value, json_object_get(own, key)))
            return ser_fail(err, SER_E_ARG,
                            "%s: its run has another --%s: resume it without that option, or begin a new run",
                            folder, key);
    }
    return SER_OK;
}

static bool resume(const ser_job_command *c, int argc, char **argv, int *status)
{
    ser_error err = {0};
    json_t *own = NULL, *given = NULL;
    const char *folder = ser_job_given.resume;
    ser_job_init(c);
    ser_status st = ser_run_settings_of(c->settings, &ser_job_given.kept, folder, c->job, &err);
    bool go_on = st == SER_OK;
    if (go_on) {
        own = ser_run_settings_to_json(c->job, c->settings);
        go_on = ser_job_parse(c, argc, argv, NULL, status);
    }
    if (go_on) {
        given = ser_run_settings_to_json(c->job, c->settings);
        st = compare(own, given, folder, &err);
        go_on = st == SER_OK;
    }
    if (st != SER_OK) {
        ser_say("%s", err.text);
        *status = ser_exit_status(st);
    }
    ser_run_place *place = ser_run_place_of(c->job, c->settings);
    place->folder = folder;
    place->resume = 1;
    json_decref(own);
    json_decref(given);
    return go_on;
}

bool ser_job_check_needs(const ser_job_command *c, int *status)
{
    for (size_t i = 0; i < sizeof c->needs / sizeof *c->needs && c->needs[i].name; i++)
        if (!ser_field_is_given(ser_field_find(c->job->fields, c->needs[i].name), c->settings) &&
            !(c->needs[i].unless &&
              ser_field_number(ser_field_find(c->job->fields, c->needs[i].unless), c->settings) > 0)) {
            *status = ser_usage_error(c->command, "%s", c->needs[i].complaint);
            return false;
        }
    return true;
}

const char *ser_job_folder(const ser_job_command *c)
{
    const ser_run_place *place = ser_run_place_of(c->job, c->settings);
    return place ? place->folder : NULL;
}

bool ser_job_start(const ser_job_command *c, int argc, char **argv, int *status)
{
    if (!ser_job_parse(c, argc, argv, NULL, status))
        return false;
    if (ser_job_given.resume)
        return resume(c, argc, argv, status);
    return ser_job_check_needs(c, status);
}

void ser_job_release(void)
{
    ser_option_list_release(&ser_job_given.encoders);
    ser_run_kept_release(&ser_job_given.kept);
}

/* ---- running ---- */

/* What the listener needs of one run. */
typedef struct listening {
    ser_progress progress;
    ser_epoch_curve curve;
    char *folder; /* of the run; NULL: not there yet */
} listening;

static int on_progress(void *context, const char *what, size_t done, size_t total)
{
    const listening *l = context;
    return !ser_progress_report(&l->progress, what, done, total);
}

static void on_epoch(void *context, const ser_run_epoch_info *epoch)
{
    ser_epoch_show(&((listening *)context)->curve, epoch);
}

static void on_message(void *context, ser_run_message kind, const char *text)
{
    listening *l = context;
    switch (kind) {
    case SER_RUN_WARNING:
        ser_say("%s", text);
        break;
    case SER_RUN_DONE:
        ser_progress_clear();
        printf("%s\n", text);
        break;
    case SER_RUN_SETTINGS: /* the summary has them, too: this is for who waits */
        if (isatty(STDERR_FILENO)) {
            ser_progress_clear();
            fprintf(stderr, "%s\n", text);
        }
        break;
    case SER_RUN_FOLDER:
        ser_free(l->folder);
        l->folder = ser_strdup(text);
        break;
    }
}

static bool has_resume(const ser_job_command *c)
{
    const ser_option *o = c->command->options;
    while (o->kind != SER_OPTION_END && o->value != &ser_job_given.resume)
        o++;
    return o->kind != SER_OPTION_END;
}

static void say_resume(const ser_job_command *c, const char *folder)
{
    ser_text word = {0};
    ser_text_append_word(&word, folder);
    if (!word.failed)
        ser_say("go on with: ser %s --resume %s", c->command->name, word.s);
    ser_text_release(&word);
}

ser_status ser_job_run(ser_run_result **out, const ser_job_command *c, ser_error *err)
{
    listening l = {.progress = ser_progress_start()};
    ser_ranks *ranks = NULL;
    *out = NULL;
    ser_status st = ser_together_open(&ranks, err);
    if (st == SER_OK && ser_run_place_of(c->job, c->settings))
        st = ser_extras_check(err);
    const ser_run_listener listener = {.size = sizeof listener,
                                       .context = &l,
                                       .on_progress = on_progress,
                                       .on_epoch = on_epoch,
                                       .on_message = on_message,
                                       .ranks = ranks};
    if (st == SER_OK)
        st = c->job->run(out, c->settings, &listener, err);
    ser_ranks_close(&ranks, &st, err);
    if (st != SER_OK)
        ser_run_result_free(out);
    const char *folder = l.folder ? l.folder : ser_job_given.resume;
    ser_progress_clear();
    if (st == SER_E_CANCELLED && has_resume(c) && folder)
        say_resume(c, folder);
    if (st == SER_OK && ser_run_result_was_complete(*out))
        ser_say("%s: this run is complete", ser_run_result_folder(*out));
    ser_free(l.folder);
    return st;
}

void ser_job_print(const ser_run_result *r)
{
    ser_text t = {0};
    if (!ser_together_is_first())
        return;
    ser_run_result_append(&t, r, ser_together_style(stdout));
    if (t.n && !t.failed)
        fwrite(t.s, 1, t.n, stdout);
    ser_text_release(&t);
    if (ser_run_result_folder(r))
        printf("%s\n", ser_run_result_folder(r));
}

int ser_job_finish(const ser_job_command *c)
{
    const char *json_path = ser_job_given.json;
    ser_error err = {0};
    ser_run_result *r = NULL;
    ser_status st = ser_job_run(&r, c, &err);
    if (st == SER_OK)
        ser_job_print(r);
    if (st == SER_OK && json_path && ser_together_is_first())
        st = ser_io_write(json_path, ser_run_result_json(r), strlen(ser_run_result_json(r)), &err);
    if (st != SER_OK && r)
        ser_fail_within(&err, st, "%s: ", json_path);
    if (st != SER_OK)
        ser_say("%s", err.text);
    int status = st == SER_OK && ser_run_result_n_failed(r) ? SER_EXIT_FAILED : ser_exit_status(st);
    ser_run_result_free(&r);
    return status;
}

int ser_job_main(const ser_job_command *c, int argc, char **argv)
{
    int status;
    if (ser_job_start(c, argc, argv, &status) &&
        (!ser_together_is_first() ||
         ser_output_fits(c->command, "json", ser_job_given.json, ser_job_folder(c), &status)))
        status = ser_job_finish(c);
    ser_job_release();
    return status;
}

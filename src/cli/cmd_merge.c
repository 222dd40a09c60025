/* ser merge: shares of one job, joined to what it gives in one go. */
#include "cli/commands.h"
#include "cli/progress.h"
#include "run/merge.h"

#include <stdio.h>

static const char *output_path;

static const ser_option options[] = {
    {SER_OPTION_STRING, 'o', "output", &output_path, "OUT",
     "of predict the file, of extract the folder of feature trees, of evaluate the run folder that one run "
     "would have made"},
    {SER_OPTION_END},
};

static int run(int argc, char **argv);

const ser_command ser_command_merge = {
    .name = "merge",
    .run = run,
    .summary = "join what the shards of a job left",
    .usage = "-o OUT PART...",
    .description =
        "PART is the output of 'ser predict --shard I/N' or the features folder of 'ser extract --shard "
        "I/N' or the run folder of 'ser evaluate --fold I'; "
        "all are named, in any order. The result is that of one run, byte for byte.\n"
        "Where a shard is missing, there twice, not whole, or of another model, other recordings or another "
        "version of ser, nothing is written, and the message says which it is. The exit status is 1 when a "
        "recording could not be read, as it is of the shards: their manifests name it.",
    .examples = "ser predict --shard 1/2 --format csv -o part-1.csv recordings/\n"
                "ser predict --shard 2/2 --format csv -o part-2.csv recordings/\n"
                "ser merge -o emotions.csv part-1.csv part-2.csv\n"
                "ser merge -o data/features parts/*\nser merge -o runs/loso runs/fold-*",
    .options = options,
};

static int on_progress(void *context, const char *what, size_t done, size_t total)
{
    return !ser_progress_report(context, what, done, total);
}

static void on_message(void *context, ser_run_message kind, const char *text)
{
    (void)context;
    ser_progress_clear();
    if (kind == SER_RUN_DONE)
        printf("%s\n", text);
    else if (kind == SER_RUN_WARNING)
        ser_say("%s", text);
}

static int merge(const ser_option_list *parts)
{
    ser_error err = {0};
    ser_merged merged;
    ser_run_host host;
    ser_progress line = ser_progress_start();
    const ser_run_listener listener = {
        .size = sizeof listener, .context = &line, .on_progress = on_progress, .on_message = on_message};
    ser_run_host_init(&host, &listener);
    ser_status st = ser_run_merge(&merged, parts->items, parts->n, output_path, &host, &err);
    ser_progress_clear();
    if (st != SER_OK)
        ser_say("%s", err.text);
    else if (merged.n_failed)
        ser_say("%zu of %zu recordings could not be read: the manifests of the shards name them",
                merged.n_failed, merged.n);
    return st == SER_OK && merged.n_failed ? SER_EXIT_FAILED : ser_exit_status(st);
}

static int run(int argc, char **argv)
{
    ser_option_list parts = {0};
    int status;
    if (ser_options_start(&ser_command_merge, argc, argv, &parts, &status)) {
        if (!output_path)
            status = ser_usage_error(&ser_command_merge, "no output is named: give -o OUT");
        else if (!parts.n)
            status = ser_usage_error(&ser_command_merge, "no part is named");
        else
            status = merge(&parts);
    }
    ser_option_list_release(&parts);
    return status;
}

/* The run folder: what a training or a test leaves behind, and one process at a time in it. */
#ifndef SER_CLI_RUN_FOLDER_H
#define SER_CLI_RUN_FOLDER_H

#include "base/lock.h"
#include "cli/options.h"
#include "learn/evaluate.h"
#include "report/pictures.h"
#include "run/record.h"
#include "train/adapt.h"
#include "train/timnet_fit.h"
#include <jansson.h>
#include <stdio.h>

typedef struct ser_run_folder {
    char *path;
    json_t *config; /* the options as given */
    ser_lock lock;
    ser_run_record record;
    FILE *history; /* history.jsonl: a line per epoch */
    bool complete; /* report.json is there already */
} ser_run_folder;

/* Where a run leaves what it finds: in resume, else in path, else in
 * runs/<command>-<corpus>[-<target>]-<features>-<date>-<time>. */
typedef struct ser_run_place {
    const char *path, *resume;   /* as the options say, or NULL */
    const char *corpus, *target; /* target: across corpora, else NULL */
    const ser_feature_spec *spec;
} ser_run_place;

/* Makes the folder, locks it, writes the command's options into config.json; the folder of a run to resume
 * must hold one that says the same. SER_E_IO: another process is at work in it; SER_E_ARG: it holds a run, or
 * one of another configuration, or a new one is not empty. */
ser_status ser_run_folder_open(ser_run_folder *out, const ser_command *command, const ser_run_place *place,
                               ser_error *err);
void ser_run_folder_close(ser_run_folder *f);

/* One line of history.jsonl. */
void ser_run_folder_tell(ser_run_folder *f, const char *part, size_t network, const ser_timnet_epoch *e);

void ser_run_folder_tell_adapt(ser_run_folder *f, const char *part, const ser_adapt_epoch *e);

/* Before work that keeps states begins: those of n_networks networks of each fold (NULL: none) as
 * ser_evaluate names them, and NAME-1.safetensors ... for each of names, which ends with NULL, directly in
 * the folder. */
ser_status ser_run_folder_begin(ser_run_folder *f, const ser_folds *folds, const char *const *names,
                                size_t n_networks, ser_error *err);
/* When the run is complete: its states go, and what killed processes of it left without a final name. */
void ser_run_folder_tidy(ser_run_folder *f);

/* ser_options_start for commands that go on with runs: with --resume the run's options are in force. config
 * (json_decref) owns their texts. */
bool ser_run_options_start(const ser_command *command, int argc, char **argv, const char **resume_path,
                           json_t **config, ser_option_list *rest, int *status);

/* Into folder/name, or name where folder is empty. */
ser_status ser_run_save_json(const char *folder, const char *name, const json_t *object, ser_error *err);

/* A confusion matrix as NAME.png and NAME.svg. */
ser_status ser_run_save_confusion(const char *folder, const char *name, const ser_confusion_picture *p,
                                  ser_error *err);
ser_status ser_run_save_losses(const char *folder, const char *name, const ser_losses_picture *p,
                               ser_error *err);
ser_status ser_run_save_map(const char *folder, const char *name, const ser_map_picture *p, ser_error *err);
/* metrics.xlsx, report.html, confusion and, where there are epochs, the curves of loss and accuracy, each as
 * .png and .svg; then report.json, which tells that the run is complete, and json_path (NULL: nowhere)
 * besides. */
ser_status ser_run_save(const ser_run_folder *f, const ser_run_report *r, const json_t *report,
                        const char *json_path, ser_error *err);

#endif

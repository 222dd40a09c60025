/* The run folder: what a job leaves behind, and one process at a time in it. */
#ifndef SER_RUN_FOLDER_H
#define SER_RUN_FOLDER_H

#include "base/lock.h"
#include "learn/evaluate.h"
#include "report/run_report.h"
#include "run/record.h"
#include "run/settings.h"

typedef struct ser_run_folder {
    char *path; /* NULL: nothing is written */
    ser_lock lock;
    ser_run_record record;
    bool complete; /* report.json is there already */
} ser_run_folder;

/* What a folder is called that nobody named: runs/<job>-<corpus>[-<target>]-<features>-<date>-<time>. */
typedef struct ser_run_naming {
    const char *corpus, *target; /* target: across corpora, else NULL */
    const ser_feature_spec *spec;
} ser_run_naming;

/* Makes the folder, locks it, and writes config, the settings as given, into config.json; one to resume is
 * there already, with its own. SER_E_IO: another process is at work in it; SER_E_ARG: a new one holds a run,
 * or is not empty. */
ser_status ser_run_folder_open(ser_run_folder *out, const ser_run_job *job, const ser_run_place *place,
                               const ser_run_naming *naming, const json_t *config, ser_error *err);
/* What rank 0 has opened, to the others, which see the folder and leave it to rank 0. SER_E_IO: one does not
 * see it. */
ser_status ser_run_folder_share(ser_run_folder *f, const ser_team *team, ser_error *err);
void ser_run_folder_close(ser_run_folder *f);

/* The settings of the run in a folder; the caller does json_decref. */
ser_status ser_run_read_config(json_t **out, const char *folder, ser_error *err);

/* Before work that keeps states begins: those of n_networks networks of each fold (NULL: none) as
 * ser_evaluate names them with state_prefix prefix, and NAME-1.safetensors ... for each of names, which ends
 * with NULL, directly in the folder. */
ser_status ser_run_folder_begin(ser_run_folder *f, const ser_folds *folds, const char *prefix,
                                const char *const *names, size_t n_networks, ser_error *err);
/* When the run is complete: its states go, and what killed processes of it left without a final name. */
void ser_run_folder_tidy(ser_run_folder *f);

/* How objects are written. */
enum { SER_RUN_JSON = JSON_INDENT(1) | JSON_REAL_PRECISION(9) };
/* Into folder/name, or name where folder is empty. */
ser_status ser_run_save_json(const char *folder, const char *name, const json_t *object, ser_error *err);
/* metrics.xlsx, report.html, the usual pictures; then report.json, which tells that the run is complete. */
ser_status ser_run_save(const ser_run_folder *f, const ser_run_report *r, const char *json, ser_error *err);

#endif

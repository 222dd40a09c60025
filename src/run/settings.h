/* The settings of jobs: what is in them, their defaults, their checks, and the same as JSON. A job is one
 * row. */
#ifndef SER_RUN_SETTINGS_H
#define SER_RUN_SETTINGS_H

#include "base/field.h"
#include "corpus/folds.h"
#include "extract/spec.h"
#include "io/json.h"
#include "learn/learn.h"
#include "ser/run.h"

typedef struct ser_run_job {
    const char *name; /* of the command, and of its run folders */
    size_t size;      /* of its settings */
    void (*init)(void *settings, size_t size);
    ser_status (*check)(const void *settings, ser_error *err);
    ser_status (*run)(ser_run_result **out, const void *settings, const ser_run_listener *listener,
                      ser_error *err);
    const ser_field *fields; /* what decides the figures, and n_threads: the "config" of a report */
    const ser_field *places; /* where results go; nothing: it keeps none */
    size_t place;            /* offset of its ser_run_place, where there are places */
} ser_run_job;

extern const ser_run_job ser_job_train, ser_job_evaluate, ser_job_test, ser_job_test_across, ser_job_adapt,
    ser_job_extract;
const ser_run_job *ser_run_job_find(const char *name); /* NULL: there is none */

/* Every settings struct has them at the same place. */
static inline ser_run_data *ser_run_data_of(void *settings)
{
    return &((ser_run_train_settings *)settings)->data;
}

static inline ser_run_place *ser_run_place_of(const ser_run_job *job,
                                              void *settings) /* NULL: there is none */
{
    return job->places->kind == SER_FIELD_END ? NULL : (ser_run_place *)((char *)settings + job->place);
}

/* Settings as JSON, with null where nobody said anything. The caller owns the object; NULL: out of memory. */
json_t *ser_run_settings_to_json(const ser_run_job *job, const void *settings);
/* Room for the list in settings that come from JSON. */
enum { SER_RUN_MAX_LISTED = 16 };
typedef struct ser_run_listed {
    const char *items[SER_RUN_MAX_LISTED];
} ser_run_listed;
/* Sets what the object names; object and room must outlive the settings. SER_E_FORMAT: a value that does not
 * fit. Null leaves the default. unknown NULL: other keys are left alone, because another version may have
 * written them. Else places are set, too, and the first key that nobody knows is put there, or NULL. */
ser_status ser_run_settings_from_json(const ser_run_job *job, void *settings, const json_t *object,
                                      ser_run_listed *room, const char **unknown, ser_error *err);

/* What the settings of a resumed run are made of. */
typedef struct ser_run_kept {
    json_t *config;
    ser_run_listed listed;
} ser_run_kept;
/* A program's settings as this library knows them, checked: what is beyond their size has its default. own
 * (job->size bytes) is filled; where a run is resumed, with its settings, which kept (ser_run_kept_release)
 * holds. SER_E_ARG: never initialised, of a newer library, impossible. */
ser_status ser_run_adopt(void *own, ser_run_kept *kept, const void *settings, const ser_run_job *job,
                         ser_error *err);
void ser_run_kept_release(ser_run_kept *kept);
/* Overlays settings with those of the run in a folder. SER_E_ARG: it is another job's. */
ser_status ser_run_settings_of(void *settings, ser_run_kept *kept, const char *folder, const ser_run_job *job,
                               ser_error *err);

/* ---- what texts in settings say, read once ---- */

typedef enum ser_layer_choice {
    SER_LAYERS_AUTO,    /* chosen inside each training part */
    SER_LAYERS_NAMED,   /* those of the specification */
    SER_LAYERS_WEIGHTED /* all of them, summed by learned weights */
} ser_layer_choice;

/* What is read of each recording. */
typedef struct ser_run_features {
    ser_feature_spec spec;
    ser_layer_choice layers;
} ser_run_features;
/* type: data's own, or what stands for it where that is NULL. */
ser_status ser_run_features_parse(ser_run_features *out, const ser_run_data *data, const char *type,
                                  ser_error *err);

/* Kinds of models joined with '+': those of learn/kinds.c. */
typedef struct ser_run_models {
    bool linear, networks;
    ser_more_kind more[SER_MAX_MODEL_KINDS]; /* the others */
    size_t n_more;
} ser_run_models;
ser_status ser_run_models_parse(ser_run_models *out, const char *model_type, ser_error *err);

const char *ser_precision_name(ser_precision p);
const char *ser_engine_name(ser_engine e);

#endif

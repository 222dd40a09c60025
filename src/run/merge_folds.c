/* Folds of one evaluation: its report is made as the evaluation makes it, of what each fold left. */
#include "base/memory.h"
#include "run/merge_parts.h"
#include "run/settings.h"

ser_status ser_merge_folds(const ser_manifest *manifests, size_t n, const char *output,
                           const ser_run_host *host, ser_error *err)
{
    ser_run_evaluate_settings settings;
    ser_run_kept kept = {0};
    ser_run_result *result = NULL;
    const char **parts = ser_alloc(n, sizeof *parts);
    if (!parts)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < n; i++)
        parts[i] = manifests[i].part;
    ser_run_evaluate_settings_init(&settings, sizeof settings);
    ser_status st = ser_run_settings_of(&settings, &kept, parts[0], &ser_job_evaluate, err);
    if (st == SER_OK) {
        settings.place.folder = output;
        settings.parts = parts;
        settings.n_parts = n;
        st = ser_run_evaluate(&result, &settings, &host->listener, err);
    }
    if (st == SER_OK)
        ser_run_tell(host, SER_RUN_DONE, "%s: %zu folds", output, n);
    ser_run_result_free(&result);
    ser_run_kept_release(&kept);
    ser_free(parts);
    return st;
}

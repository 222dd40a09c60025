#include "fuzz.h"
#include "run/settings.h"

/* Settings that come as JSON: what passes the checks is within its range, and stays the same when it is
 * written and read again. The first byte chooses the job. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const ser_run_job *const jobs[] = {&ser_job_train, &ser_job_evaluate,    &ser_job_test,
                                              &ser_job_adapt, &ser_job_test_across, &ser_job_extract};
    static union {
        ser_run_train_settings train;
        ser_run_evaluate_settings evaluate;
        ser_run_test_settings test;
        ser_run_test_across_settings across;
        ser_run_adapt_settings adapt;
        ser_run_extract_settings extract;
    } settings;
    if (!n)
        return 0;
    const ser_run_job *job = jobs[data[0] % (sizeof jobs / sizeof *jobs)];
    uint8_t *copy = fuzz_copy(data + 1, n - 1);
    json_t *object = json_loadb((const char *)copy, n - 1, 0, NULL);
    ser_run_listed listed, again_listed;
    const char *unknown;
    job->init(&settings, job->size);
    if (json_is_object(object) &&
        ser_run_settings_from_json(job, &settings, object, &listed, &unknown, NULL) == SER_OK) {
        json_t *written = ser_run_settings_to_json(job, &settings);
        if (!written || ser_fields_check(job->fields, &settings, NULL) != SER_OK)
            abort();
        job->init(&settings, job->size);
        if (ser_run_settings_from_json(job, &settings, written, &again_listed, NULL, NULL) != SER_OK)
            abort();
        json_t *again = ser_run_settings_to_json(job, &settings);
        if (!json_equal(written, again))
            abort();
        (void)job->check(&settings, NULL);
        json_decref(again);
        json_decref(written);
    }
    json_decref(object);
    free(copy);
    return 0;
}

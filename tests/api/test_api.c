/* The public interface as a product sees it: this header, this library, nothing else. Compiled as C11. */
#include <ser/ser.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int n_passed, n_failed;

static void check(int ok, const char *what)
{
    n_passed += ok;
    n_failed += !ok;
    if (!ok)
        fprintf(stderr, "not true: %s\n", what);
}

#define CHECK(condition) check(condition, #condition)

static void test_without_a_model(void)
{
    ser_settings settings;
    ser_error err;
    ser_model *model = (ser_model *)&settings;
    ser_default_settings(&settings);
    CHECK(settings.n_threads == 0 && settings.precision == SER_PRECISION_AUTO && !settings.encoders &&
          !settings.n_encoders);
    CHECK(strlen(ser_version()) >= 5);
    CHECK(ser_model_open(&model, "/nowhere/model.safetensors", &settings, &err) == SER_E_IO);
    CHECK(!model && err.status == SER_E_IO && err.text[0]);
    CHECK(ser_model_open(&model, "/nowhere/model.safetensors", NULL, NULL) == SER_E_IO);
    ser_model_close(&model);
    ser_model_close(NULL);
    ser_session_free(NULL);
    ser_result_release(NULL);
}

static void test_predictions(const ser_model *model)
{
    enum { N = 3 * SER_SAMPLE_RATE_HZ };
    static float pcm[N];
    ser_error err;
    ser_session *session;
    ser_result r;
    CHECK(ser_model_n_labels(model) == 9 && strcmp(ser_model_label(model, 0), "angry") == 0 &&
          !ser_model_label(model, 9));
    CHECK(ser_session_new(&session, model, NULL, &err) == SER_OK);
    CHECK(ser_predict(session, pcm, N, NULL, &r, &err) == SER_OK);
    CHECK(r.label == -1 && r.note == SER_NOTE_SILENCE && r.duration_s == 3 && r.confidence == 0);
    ser_result_release(&r);
    for (int i = 0; i < N; i++)
        pcm[i] = 0.3f * sinf(0.02f * (float)i);
    const ser_predict_options timeline = {.timeline = 1};
    CHECK(ser_predict(session, pcm, N, &timeline, &r, &err) == SER_OK);
    CHECK(r.label == -1 && r.note == SER_NOTE_NO_VOICE && r.n_segments == 1 && r.segments[0].end_s == 3);
    ser_result_release(&r);
    ser_result_release(&r);
    CHECK(ser_predict(session, pcm, 399, NULL, &r, &err) == SER_E_FORMAT && strstr(err.text, "25 ms"));
    CHECK(ser_predict(session, NULL, 0, NULL, &r, &err) == SER_E_FORMAT);
    pcm[100] = NAN;
    CHECK(ser_predict(session, pcm, N, NULL, &r, &err) == SER_E_FORMAT && strstr(err.text, "finite"));
    CHECK(ser_predict_file(session, "/nowhere.wav", NULL, &r, &err) == SER_E_IO);
    const char *paths[] = {"/nowhere.wav", "/nowhere.wav", "/nowhere.wav"};
    CHECK(ser_session_set_baseline(session, paths, 1, &err) == SER_E_ARG);
    CHECK(ser_session_set_baseline(session, paths, 3, &err) == SER_E_IO && strstr(err.text, "/nowhere.wav"));
    CHECK(ser_session_set_baseline(session, NULL, 0, &err) == SER_OK);
    ser_session_free(&session);
    CHECK(!session);
}

int main(void)
{
    ser_error err;
    ser_model *model;
    test_without_a_model();
    if (ser_model_open(&model, NULL, NULL, &err) == SER_OK)
        test_predictions(model);
    else
        CHECK(err.status == SER_E_UNSUPPORTED); /* a library built before the first model was trained */
    ser_model_close(&model);
    printf("%d passed, %d failed\n", n_passed, n_failed);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

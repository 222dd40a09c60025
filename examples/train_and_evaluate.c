/* Trains a model on a corpus, says how well it would do with speakers that it has not heard, and asks it
 * about recordings.
 *
 *   cc -o train_and_evaluate train_and_evaluate.c $(pkg-config --cflags --libs ser-run)
 *   ./train_and_evaluate CORPUS RUN_FOLDER RECORDING...
 *
 * CORPUS: EMODB or another known name, a folder with one subfolder per emotion, or a CSV file with the
 * columns file, emotion and, for this protocol, speaker. RUN_FOLDER: new or empty. */
#include <ser/run.h>

#include <stdio.h>

/* Called while a job works; what is not 0 would stop it. */
static int show_progress(void *context, const char *what, size_t done, size_t total)
{
    (void)context;
    if (done == total && total)
        fprintf(stderr, "%s: %zu done\n", what, total);
    return 0;
}

static void show_message(void *context, ser_run_message kind, const char *text)
{
    (void)context;
    fprintf(stderr, kind == SER_RUN_FOLDER ? "leaves its results in %s\n" : "note: %s\n", text);
}

static ser_status evaluate(const char *corpus, const ser_run_listener *listener, ser_error *err)
{
    ser_run_result *result;
    ser_run_evaluate_settings s;
    ser_run_evaluate_settings_init(&s, sizeof s);
    s.data.corpus = corpus;
    s.data.feature_type = "LOGMEL";
    s.learning.n_copies = 0;
    s.protocol = "loso"; /* every speaker left out once */
    s.place.without = 1; /* only the figures are wanted */
    ser_status status = ser_run_evaluate(&result, &s, listener, err);
    if (status == SER_OK)
        fputs(ser_run_result_text(result), stdout); /* ser_run_result_json: the same for programs */
    ser_run_result_free(&result);
    return status;
}

static ser_status train(const char *corpus, const char *folder, const ser_run_listener *listener,
                        ser_error *err)
{
    ser_run_result *result;
    ser_run_train_settings s;
    ser_run_train_settings_init(&s, sizeof s);
    s.data.corpus = corpus;
    s.data.feature_type = "LOGMEL";
    s.learning.model_type = "linear";
    s.learning.preset = SER_RUN_BEST;
    s.learning.n_copies = 0;
    s.n_folds = 0; /* no folds: the model alone */
    s.place.folder = folder;
    ser_status status = ser_run_train(&result, &s, listener, err);
    ser_run_result_free(&result);
    return status;
}

typedef struct question {
    const ser_model *model;
    char **recordings;
} question;

/* Called once for each recording, in their order. */
static void show_answer(void *context, size_t i, const ser_result *r, const ser_error *failure)
{
    const question *q = context;
    if (!r)
        printf("%s: %s\n", q->recordings[i], failure->text);
    else if (r->label >= 0)
        printf("%s: %s, %.0f %%\n", q->recordings[i], ser_model_label(q->model, (size_t)r->label),
               100 * (double)r->confidence);
    else
        printf("%s: no voice\n", q->recordings[i]);
}

static ser_status ask(const char *model_path, char **recordings, size_t n, ser_error *err)
{
    ser_model *model = NULL;
    ser_run_predict_settings s;
    ser_status status = ser_model_open(&model, model_path, NULL, err);
    question q = {model, recordings};
    ser_run_predict_settings_init(&s, sizeof s);
    s.on_answer = show_answer;
    s.context = &q;
    if (status == SER_OK)
        status = ser_run_predict(model, (const char *const *)recordings, n, &s, NULL, err);
    ser_model_close(&model);
    return status;
}

int main(int argc, char **argv)
{
    char model_path[4096];
    ser_error err = {SER_OK, ""};
    ser_run_listener listener;
    if (argc < 4) {
        fprintf(stderr, "usage: train_and_evaluate CORPUS RUN_FOLDER RECORDING...\n");
        return 2;
    }
    ser_run_listener_init(&listener, sizeof listener);
    listener.on_progress = show_progress;
    listener.on_message = show_message;
    ser_status status = evaluate(argv[1], &listener, &err);
    if (status == SER_OK)
        status = train(argv[1], argv[2], &listener, &err);
    snprintf(model_path, sizeof model_path, "%s/model.safetensors", argv[2]);
    if (status == SER_OK)
        status = ask(model_path, argv + 3, (size_t)argc - 3, &err);
    if (status != SER_OK)
        fprintf(stderr, "%s\n", err.text);
    return status != SER_OK;
}

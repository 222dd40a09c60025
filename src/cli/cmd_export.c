/* ser export: a model in a form that other programs run. */
#include "cli/commands.h"
#include "cli/progress.h"
#include "export/export.h"

#include <stdio.h>
#include <string.h>

static const char *format, *output;
static ser_option_list encoders;

static const ser_option options[] = {
    {SER_OPTION_CHOICE, 0, "format", &format, "onnx|c", "in which form"},
    {SER_OPTION_LIST, 'e', "encoder", &encoders, "FOLDER|NAME",
     "onnx, of a model that carries no encoder: the checkpoint that it was trained with (default: the usual "
     "one in the model hub's cache); repeatable, for models with several"},
    {SER_OPTION_STRING, 'o', "output", &output, "OUT",
     "the file or folder to make (default: emotion.onnx, emotion)"},
    {SER_OPTION_END},
};

static int run(int argc, char **argv);

const ser_command ser_command_export = {
    .name = "export",
    .run = run,
    .summary = "write a model in a form that other programs run",
    .usage = "--format onnx|c [MODEL]",
    .description =
        "Without MODEL: the one that is built into the program.\n"
        "onnx: one file with everything in it, from the waveform (16 kHz, mono, 25 ms or more) to the scores "
        "of 'ser predict --precision fp32', for whatever runs ONNX (opset 17); where nobody speaks, they are "
        "all 0. The labels, in the order of the scores, stand in its metadata, and so do licences and where "
        "the model comes from. What does not fit into the 2 GB that such a file can hold goes to OUT.data, "
        "which must stay beside it.\n"
        "c: a model of LOGMEL or MFCC as C99 that needs nothing but a math library and takes no "
        "memory of its own. OUT is a folder with emotion.c, emotion.h (which says how to call it), "
        "the weights, and test vectors: recordings and their scores. Compiled with EMOTION_CHECK "
        "defined, emotion.c is a program that compares with them. It takes one utterance of up to "
        "10 s, and gives scores to whatever it hears: whether anybody speaks is for the caller, as are "
        "longer recordings, of which 'ser predict' judges pieces.\n"
        "OUT appears when it is whole. A folder that is there already must be empty.",
    .examples = "ser export --format onnx -o emotion.onnx\n"
                "ser train --data EMODB --feature-type MFCC --run mfcc\n"
                "ser export --format c mfcc/model.safetensors -o emotion\n"
                "cc -O2 -DEMOTION_CHECK emotion/emotion.c -lm -o check\n"
                "./check emotion/weights.bin emotion/vectors.bin",
    .options = options,
};

static int run(int argc, char **argv)
{
    ser_option_list models = {0};
    ser_error err = {0};
    int status;
    if (!ser_options_start(&ser_command_export, argc, argv, &models, &status))
        goto done;
    if (!format) {
        status = ser_usage_error(&ser_command_export,
                                 "which form the model is to have is missing: --format onnx or c");
        goto done;
    }
    if (models.n > 1) {
        status = ser_usage_error(&ser_command_export, "one model at a time: '%s' and '%s' are two",
                                 models.items[0], models.items[1]);
        goto done;
    }
    bool is_onnx = strcmp(format, "onnx") == 0;
    const char *out = output    ? output
                      : is_onnx ? "emotion.onnx"
                                : "emotion",
               *model = models.n ? models.items[0] : NULL;
    const ser_export_onnx_options onnx = {.encoders = encoders.items, .n_encoders = encoders.n};
    ser_status st = is_onnx ? ser_export_onnx(model, &onnx, out, &err) : ser_export_c99(model, out, &err);
    if (st == SER_OK && (printf("%s\n", out) < 0 || fflush(stdout) != 0))
        st = SER_E_IO; /* said when the program ends */
    else if (st != SER_OK)
        ser_say("%s", err.text);
    status = ser_exit_status(st);
done:
    ser_option_list_release(&models);
    ser_option_list_release(&encoders);
    return status;
}

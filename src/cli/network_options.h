/* The temporal network's options, as the original system spelled them, and the preset behind them. */
#ifndef SER_CLI_NETWORK_OPTIONS_H
#define SER_CLI_NETWORK_OPTIONS_H

#include "cli/workbench.h"
#include "learn/learn.h"

/* -1 or NULL where the user said nothing: the preset decides. */
typedef struct ser_network_options {
    long n_epochs, batch_size, n_filters, kernel_size, n_dilations, n_stacks, n_networks;
    long n_averaged_frames, trim;
    long patience, n_average, n_warmup_epochs, n_time_masks, n_feature_masks;
    double rate, beta1, beta2, dropout, label_smoothing, validation_share, decay, mixup;
    const char *activation;
    bool class_weights;
} ser_network_options;

#define SER_NETWORK_DEFAULTS                                                                                 \
    {                                                                                                        \
        .n_epochs = -1, .batch_size = -1, .n_filters = -1, .kernel_size = -1, .n_dilations = -1,             \
        .n_stacks = -1, .n_networks = -1, .n_averaged_frames = -1, .trim = -1, .patience = -1,               \
        .n_average = -1, .n_warmup_epochs = -1, .n_time_masks = -1, .n_feature_masks = -1, .rate = -1,       \
        .beta1 = -1, .beta2 = -1, .dropout = -1, .label_smoothing = -1, .validation_share = -1, .decay = -1, \
        .mixup = -1                                                                                          \
    }

/* What was given takes the preset's place. */
void ser_set_size(size_t *to, long given);
void ser_set_number(double *to, double given);

/* clang-format off */
/* What a network is, which its Keras weights do not tell. */
#define SER_NETWORK_SHAPE_OPTIONS(o) \
    {SER_OPTION_INT, 0, "average-frames", &(o).n_averaged_frames, "N", "make one frame of N neighbours; 0: none (default: original 0)", 0, SER_MAX_AVERAGED}, \
    {SER_OPTION_INT, 0, "trim", &(o).trim, "0|1", "leave out the silence before and after an utterance (default: original 0)", 0, 1}, \
    {SER_OPTION_INT, 0, "filter-size", &(o).n_filters, "N", "filters (default: original 128)", 1, 1024}, \
    {SER_OPTION_INT, 0, "kernel-size", &(o).kernel_size, "N", "frames that a convolution sees (default: 3)", 1, 15}, \
    {SER_OPTION_INT, 0, "dilation-size", &(o).n_dilations, "N", "blocks of a stack, with dilations 1, 2, 4, ... (default: original 8)", 1, 12}, \
    {SER_OPTION_INT, 0, "stack-size", &(o).n_stacks, "N", "stacks (default: original 3)", 1, 12}, \
    {SER_OPTION_CHOICE, 0, "activation", &(o).activation, "relu|elu|swish|tanh", "(default: relu)"}

#define SER_NETWORK_OPTIONS(o) \
    {SER_OPTION_GROUP, .help = "Temporal network (defaults: those of the preset)"}, \
    {SER_OPTION_INT, 0, "epoch", &(o).n_epochs, "N", "epochs, at most (default: original 50)", 1, 100000}, \
    {SER_OPTION_INT, 0, "batch-size", &(o).batch_size, "N", "recordings in a batch (default: original 32)", 1, 4096}, \
    {SER_OPTION_DOUBLE, 0, "lr", &(o).rate, "RATE", "learning rate (default: original 3e-4)", 1e-9, 10}, \
    {SER_OPTION_DOUBLE, 0, "beta1", &(o).beta1, "B", "of Adam (default: 0.93)", 0, 0.9999}, \
    {SER_OPTION_DOUBLE, 0, "beta2", &(o).beta2, "B", "of Adam (default: 0.98)", 0, 0.99999}, \
    {SER_OPTION_INT, 0, "warmup", &(o).n_warmup_epochs, "N", "epochs over which the rate rises (default: original 0)", 0, 100000}, \
    {SER_OPTION_DOUBLE, 0, "decay", &(o).decay, "SHARE", "by which the rate falls along half a cosine wave (default: original 0)", 0, 1}, \
    {SER_OPTION_INT, 0, "patience", &(o).patience, "N", "stop after so many epochs without a better validation loss; 0: never (default: original 10)", 0, 100000}, \
    {SER_OPTION_DOUBLE, 0, "validation", &(o).validation_share, "SHARE", "of the training part, to stop by and to calibrate with (default: 0.1)", 0, 0.9}, \
    {SER_OPTION_INT, 0, "average", &(o).n_average, "N", "average the weights of the last N epochs, with --patience 0 (default: original 0)", 0, 100000}, \
    {SER_OPTION_INT, 0, "networks", &(o).n_networks, "N", "networks of consecutive seeds, whose scores are averaged (default: original 1)", 1, 32}, \
    {SER_OPTION_DOUBLE, 0, "label-smoothing", &(o).label_smoothing, "SHARE", "(default: 0.1)", 0, 0.9}, \
    {SER_OPTION_FLAG, 0, "class-weights", &(o).class_weights, NULL, "let each emotion count the same in the loss"}, \
    {SER_OPTION_INT, 0, "time-masks", &(o).n_time_masks, "N", "stretches of time hidden in each recording (default: original 0)", 0, 16}, \
    {SER_OPTION_INT, 0, "feature-masks", &(o).n_feature_masks, "N", "stretches of features hidden in each recording (default: original 0)", 0, 16}, \
    {SER_OPTION_DOUBLE, 0, "mixup", &(o).mixup, "ALPHA", "mix pairs of recordings and their labels (default: original 0)", 0, 2}, \
    {SER_OPTION_DOUBLE, 0, "dropout", &(o).dropout, "SHARE", "(default: original 0.4)", 0, 0.95}, \
    SER_NETWORK_SHAPE_OPTIONS(o)

/* Of tests, where models tell themselves what they read and are, and Keras weights do not. */
#define SER_TESTED_OPTIONS(bench, network) \
    SER_DATA_OPTIONS(bench), \
    {SER_OPTION_INT, 0, "seed", &(bench).seed, "N", "of the resamples behind the intervals", 0, 1e15, .alias = "random-seed"}, \
    {SER_OPTION_GROUP, .help = "Keras weights, which do not tell what network they are of"}, \
    {SER_OPTION_CHOICE, 0, "preset", &(bench).preset, "original|best", "the defaults of the next ones"}, \
    SER_NETWORK_SHAPE_OPTIONS(network)
/* clang-format on */

#define SER_MODEL_TYPES "linear|timnet|linear+timnet"
#define SER_MODEL_TYPES_HELP                                                                                 \
    "linear: statistics pooling and a softmax layer; timnet: the temporal network; both: scores averaged"

bool ser_model_type_has_linear(const char *model_type);
bool ser_model_type_has_networks(const char *model_type);

/* What ser_learn takes, as the options say. */
typedef struct ser_learning {
    ser_learn_data data;
    ser_learn_settings settings; /* speaker_disjoint is the caller's to set */
    ser_nn_ops *ops;             /* of the networks */
} ser_learning;

/* w, o and progress must outlive it. */
ser_status ser_learning_open(ser_learning *out, const ser_workbench *w, const ser_workbench_options *o,
                             const ser_network_options *network, const char *model_type,
                             const ser_progress *progress, ser_error *err);
void ser_learning_close(ser_learning *l);

/* config, the options as given, with what the preset decided put in: every option in force. The caller does
 * json_decref; NULL: out of memory. */
json_t *ser_learning_config(const json_t *config, const ser_learning *l, const ser_workbench *w,
                            const ser_network_options *o, const ser_workbench_options *bench);
/* The networks' options in force, as lines of text; without networks nothing. */
void ser_append_network_settings(ser_text *t, const ser_learning *l, const ser_network_options *o,
                                 const ser_workbench_options *bench);

/* What is done to frames before the networks read them, by the preset and the features of bench, with what
 * the user said in its place. */
ser_condense ser_network_condense(const ser_network_options *o, const ser_workbench_options *bench);
ser_timnet_settings ser_network_settings(const ser_network_options *o, const ser_workbench_options *bench);

#endif

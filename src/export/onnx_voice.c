/* Where somebody speaks: model/voice_activity.h, its network and its rules, as a loop over windows of 32 ms.
 */
#include "export/onnx_parts.h"
#include "model/voice_activity.h"

#include <string.h>

static ser_onnx_value scalar_to_one(ser_onnx *g, float x)
{
    ser_onnx_value value;
    float *to = ser_onnx_floats(g, &value, 1, (const size_t[]){1});
    if (to)
        *to = x;
    return value;
}

static ser_onnx_value and_not(ser_onnx *g, ser_onnx_value a, ser_onnx_value b)
{
    return SER_ONNX(g, "And", a, SER_ONNX(g, "Not", b));
}

/* ---- the network ---- */

typedef struct network {
    ser_onnx *g;
    const ser_safetensors *file;
    ser_status st;
    ser_error *err;
} network;

/* A tensor as it lies in the file; turned: (rows, columns) as (columns, rows). */
static ser_onnx_value tensor(network *n, const char *name, bool turned)
{
    ser_onnx_value value = "";
    const ser_tensor *t = ser_safetensors_find(n->file, name);
    if (n->st == SER_OK && !t)
        n->st = ser_fail(n->err, SER_E_FORMAT, "the voice detector's tensor '%s' is missing", name);
    if (n->st != SER_OK)
        return value;
    const size_t turned_dims[] = {t->n_dims > 1 ? t->dims[1] : 1, t->dims[0]};
    float *to = ser_onnx_floats(n->g, &value, turned ? 2 : (size_t)t->n_dims, turned ? turned_dims : t->dims);
    for (size_t i = 0; to && i < t->n_elements && n->st == SER_OK; i += t->n_elements / t->dims[0]) {
        size_t n_row = t->n_elements / t->dims[0], row = i / n_row;
        if (!turned)
            n->st = ser_tensor_to_f32(to + i, t, i, n_row, n->err);
        for (size_t k = 0; turned && k < n_row && n->st == SER_OK; k++)
            n->st = ser_tensor_to_f32(to + k * t->dims[0] + row, t, i + k, 1, n->err);
    }
    return value;
}

static ser_onnx_value convolve(network *n, ser_onnx_value x, const char *weight, const char *bias,
                               int64_t stride)
{
    const int64_t pads[] = {1, 1};
    x = SER_ONNX(n->g, "Conv", x, tensor(n, weight, false), tensor(n, bias, false));
    ser_onnx_ints(n->g, "strides", 1, &stride);
    ser_onnx_ints(n->g, "pads", 2, pads);
    return SER_ONNX(n->g, "Relu", x);
}

/* window (SER_VOICE_READ) to what its convolutions say: (1, SER_VOICE_WIDE). */
static ser_onnx_value see(network *n, ser_onnx_value window)
{
    ser_onnx *g = n->g;
    const int64_t pads[] = {0, SER_VOICE_MIRRORED - SER_VOICE_READ}, shape[] = {1, 1, SER_VOICE_MIRRORED},
                  hop = SER_VOICE_HOP, flat[] = {1, SER_VOICE_WIDE};
    ser_onnx_value x = SER_ONNX(g, "Pad", window, ser_onnx_i64(g, 2, pads));
    ser_onnx_string(g, "mode", "reflect");
    x = SER_ONNX(g, "Reshape", x, ser_onnx_i64(g, 3, shape));
    x = SER_ONNX(g, "Conv", x, tensor(n, "stft_conv.weight", false));
    ser_onnx_ints(g, "strides", 1, &hop);
    x = SER_ONNX(g, "Mul", x, x);
    ser_onnx_value bins = ser_onnx_integer(g, SER_VOICE_BINS), end = ser_onnx_integer(g, 2 * SER_VOICE_BINS);
    x = SER_ONNX(g, "Add", ser_onnx_slice(g, x, ser_onnx_integer(g, 0), bins, 1),
                 ser_onnx_slice(g, x, bins, end, 1));
    x = SER_ONNX(g, "Sqrt", x);
    x = convolve(n, x, "conv1.weight", "conv1.bias", 1);
    x = convolve(n, x, "conv2.weight", "conv2.bias", 2);
    x = convolve(n, x, "conv3.weight", "conv3.bias", 2);
    x = convolve(n, x, "conv4.weight", "conv4.bias", 1);
    return SER_ONNX(g, "Reshape", x, ser_onnx_i64(g, 2, flat));
}

/* The memory (hidden, cell; 1, SER_VOICE_WIDE) goes on by one window; returns the probability (1). */
static ser_onnx_value remember(network *n, ser_onnx_value x, ser_onnx_value memory[2])
{
    ser_onnx *g = n->g;
    const int64_t one[] = {1};
    ser_onnx_value gates[4];
    x = SER_ONNX(g, "Add", SER_ONNX(g, "MatMul", x, tensor(n, "lstm_cell.weight_ih", true)),
                 tensor(n, "lstm_cell.bias_ih", false));
    ser_onnx_value before = SER_ONNX(g, "MatMul", memory[0], tensor(n, "lstm_cell.weight_hh", true));
    x = SER_ONNX(g, "Add", x, SER_ONNX(g, "Add", before, tensor(n, "lstm_cell.bias_hh", false)));
    for (int64_t i = 0; i < 4; i++) { /* input, forget, cell, output */
        ser_onnx_value from = ser_onnx_integer(g, i * SER_VOICE_WIDE);
        gates[i] = ser_onnx_slice(g, x, from, ser_onnx_integer(g, (i + 1) * SER_VOICE_WIDE), 1);
        gates[i] = SER_ONNX(g, i == 2 ? "Tanh" : "Sigmoid", gates[i]);
    }
    memory[1] =
        SER_ONNX(g, "Add", SER_ONNX(g, "Mul", gates[1], memory[1]), SER_ONNX(g, "Mul", gates[0], gates[2]));
    memory[0] = SER_ONNX(g, "Mul", gates[3], SER_ONNX(g, "Tanh", memory[1]));
    ser_onnx_value w = SER_ONNX(g, "Reshape", tensor(n, "final_conv.weight", false),
                                ser_onnx_i64(g, 2, (const int64_t[]){SER_VOICE_WIDE, 1}));
    x = SER_ONNX(g, "MatMul", SER_ONNX(g, "Relu", memory[0]), w);
    x = SER_ONNX(g, "Reshape", x, ser_onnx_i64(g, 1, one));
    return SER_ONNX(g, "Sigmoid", SER_ONNX(g, "Add", x, tensor(n, "final_conv.bias", false)));
}

/* ---- the rules ---- */

/* What ser_voice_spans knows, each of the shape (1). */
enum {
    FIRST,
    LAST,
    N_VOICED,
    LONGEST_FIRST,
    LONGEST_LAST,
    LONGEST_N,
    START,    /* of the utterance under way */
    LAST_END, /* of the one before */
    N_SPANS,
    WINDOW,
    N_NUMBERS
};
enum { LIKELY, SPEAKING, N_TRUTHS };

typedef struct spans {
    ser_onnx_value numbers[N_NUMBERS], truths[N_TRUTHS];
} spans;

static ser_onnx_value choose(ser_onnx *g, ser_onnx_value truth, ser_onnx_value a, ser_onnx_value b)
{
    return SER_ONNX(g, "Where", truth, a, b);
}

static ser_onnx_value at_least(ser_onnx *g, ser_onnx_value x, uint64_t least)
{
    return SER_ONNX(g, "GreaterOrEqual", x, ser_onnx_integer(g, (int64_t)least));
}

/* Where a stretch that begins with this window starts, with its margin. */
static ser_onnx_value start_of(ser_onnx *g, const ser_voice_rules *r, ser_onnx_value first,
                               ser_onnx_value last_end)
{
    ser_onnx_value start = SER_ONNX(g, "Mul", first, ser_onnx_integer(g, SER_VOICE_WINDOW));
    start = SER_ONNX(g, "Sub", start, ser_onnx_integer(g, (int64_t)r->margin));
    return SER_ONNX(g, "Max", SER_ONNX(g, "Max", start, ser_onnx_integer(g, 0)), last_end);
}

/* Where one that ends with this window ends, of so many samples. */
static ser_onnx_value end_of(ser_onnx *g, const ser_voice_rules *r, ser_onnx_value last,
                             ser_onnx_value n_samples)
{
    ser_onnx_value end = SER_ONNX(g, "Add", last, ser_onnx_integer(g, 1));
    end = SER_ONNX(g, "Mul", end, ser_onnx_integer(g, SER_VOICE_WINDOW));
    return SER_ONNX(g, "Min", SER_ONNX(g, "Add", end, ser_onnx_integer(g, (int64_t)r->margin)), n_samples);
}

/* ser_voice_spans_add. Returns whether an utterance ends. */
static ser_onnx_value add_window(ser_onnx *g, const ser_voice_rules *r, spans *s, ser_onnx_value probability)
{
    ser_onnx_value *v = s->numbers, *t = s->truths, window = v[WINDOW], none = ser_onnx_integer(g, 0);
    ser_onnx_value one = ser_onnx_integer(g, 1), silent = SER_ONNX(g, "Not", t[SPEAKING]);
    ser_onnx_value voiced = SER_ONNX(g, "GreaterOrEqual", probability, scalar_to_one(g, r->stays));
    ser_onnx_value likely = SER_ONNX(g, "GreaterOrEqual", probability, scalar_to_one(g, r->begins));
    ser_onnx_value had = at_least(g, v[N_VOICED], 1), since = SER_ONNX(g, "Sub", window, v[LAST]);
    ser_onnx_value pause = and_not(g, had, voiced);
    ser_onnx_value ends =
        SER_ONNX(g, "And", SER_ONNX(g, "And", pause, t[SPEAKING]), at_least(g, since, r->pause));
    ser_onnx_value lost = SER_ONNX(g, "And", SER_ONNX(g, "And", pause, silent), at_least(g, since, r->gap));
    ser_onnx_value cleared = SER_ONNX(g, "Or", ends, lost), next = SER_ONNX(g, "Add", window, one);
    ser_onnx_value end =
        end_of(g, r, v[LAST], SER_ONNX(g, "Mul", next, ser_onnx_integer(g, SER_VOICE_WINDOW)));

    v[FIRST] = choose(g, and_not(g, voiced, had), window, v[FIRST]);
    v[LAST] = choose(g, voiced, window, v[LAST]);
    v[N_VOICED] =
        choose(g, voiced, SER_ONNX(g, "Add", v[N_VOICED], one), choose(g, cleared, none, v[N_VOICED]));
    t[LIKELY] = and_not(g, SER_ONNX(g, "Or", t[LIKELY], likely), cleared);
    ser_onnx_value longer = SER_ONNX(g, "And", SER_ONNX(g, "Greater", v[N_VOICED], v[LONGEST_N]),
                                     SER_ONNX(g, "And", voiced, silent));
    longer = SER_ONNX(g, "And", longer, t[LIKELY]);
    for (int i = 0; i < 3; i++)
        v[LONGEST_FIRST + i] = choose(g, longer, v[FIRST + i], v[LONGEST_FIRST + i]);

    ser_onnx_value waiting = SER_ONNX(g, "And", silent, at_least(g, v[N_VOICED], 1));
    ser_onnx_value begins =
        SER_ONNX(g, "And", SER_ONNX(g, "And", waiting, t[LIKELY]), at_least(g, v[N_VOICED], r->min_speech));
    v[START] = choose(g, begins, start_of(g, r, v[FIRST], v[LAST_END]), v[START]);
    v[LAST_END] = choose(g, ends, end, v[LAST_END]);
    v[N_SPANS] = choose(g, begins, SER_ONNX(g, "Add", v[N_SPANS], one), v[N_SPANS]);
    t[SPEAKING] = SER_ONNX(g, "Or", and_not(g, t[SPEAKING], ends), begins);
    ser_onnx_value doubt = SER_ONNX(g, "And", and_not(g, waiting, begins),
                                    at_least(g, SER_ONNX(g, "Sub", window, v[FIRST]), r->longest_doubt));
    ser_onnx_value shortened = SER_ONNX(g, "Sub", next, ser_onnx_integer(g, (int64_t)r->longest_doubt));
    v[FIRST] = choose(g, doubt, shortened, v[FIRST]);
    v[WINDOW] = next;
    return ends;
}

/* ser_voice_spans_finish: the last utterance, from 0 to 0 where there is none. */
static void finish(ser_onnx *g, const ser_voice_rules *r, const spans *s, ser_onnx_value n_samples,
                   ser_onnx_value span[2])
{
    const ser_onnx_value *v = s->numbers;
    ser_onnx_value none = ser_onnx_integer(g, 0), two = ser_onnx_integer(g, 2);
    ser_onnx_value half = SER_ONNX(g, "GreaterOrEqual", SER_ONNX(g, "Mul", two, v[LONGEST_N]), v[WINDOW]);
    ser_onnx_value short_one =
        and_not(g, SER_ONNX(g, "And", half, at_least(g, v[LONGEST_N], 1)), s->truths[SPEAKING]);
    short_one = and_not(g, short_one, at_least(g, v[N_SPANS], 1));
    span[0] = choose(g, short_one, start_of(g, r, v[LONGEST_FIRST], none), none);
    span[0] = choose(g, s->truths[SPEAKING], v[START], span[0]);
    span[1] = choose(g, short_one, end_of(g, r, v[LONGEST_LAST], n_samples), none);
    span[1] = choose(g, s->truths[SPEAKING], end_of(g, r, v[LAST], n_samples), span[1]);
}

/* ---- windows ---- */

/* The samples as the detector takes them, and as many zeros as fill the last window: (windows,
 * SER_VOICE_WINDOW). */
static ser_onnx_value cut(ser_onnx *g, ser_onnx_value waveform)
{
    const int64_t shape[] = {-1, SER_VOICE_WINDOW};
    ser_onnx_value largest = ser_onnx_scalar(g, ser_voice_level.largest_sample);
    ser_onnx_value x = SER_ONNX(g, "Where", SER_ONNX(g, "IsNaN", waveform), ser_onnx_scalar(g, 0), waveform);
    x = SER_ONNX(g, "Min", SER_ONNX(g, "Max", x, SER_ONNX(g, "Neg", largest)), largest);
    ser_onnx_value n = ser_onnx_length(g, x, 1), window = ser_onnx_integer(g, SER_VOICE_WINDOW);
    ser_onnx_value rest = SER_ONNX(g, "Add", n, ser_onnx_integer(g, SER_VOICE_WINDOW - 1));
    rest = SER_ONNX(g, "Mul", SER_ONNX(g, "Div", rest, window), window);
    rest = SER_ONNX(g, "Sub", rest, n);
    ser_onnx_value pads = SER_ONNX(g, "Concat", ser_onnx_i64(g, 3, (const int64_t[]){0, 0, 0}), rest);
    ser_onnx_int(g, "axis", 0);
    return SER_ONNX(g, "Reshape", SER_ONNX(g, "Pad", x, pads), ser_onnx_i64(g, 2, shape));
}

/* window (SER_VOICE_WINDOW) with what was before it, at the level that the network hears best; goes on. */
static ser_onnx_value scale(ser_onnx *g, ser_onnx_value window, ser_onnx_value *before,
                            ser_onnx_value *loudest, ser_onnx_value *level)
{
    const ser_voice_levels *l = &ser_voice_level;
    *level = SER_ONNX(g, "Sqrt", SER_ONNX(g, "ReduceMean", SER_ONNX(g, "Mul", window, window)));
    ser_onnx_value release =
        choose(g, SER_ONNX(g, "Greater", *loudest, scalar_to_one(g, 1)),
               scalar_to_one(g, (float)l->fast_release), scalar_to_one(g, (float)l->release));
    *loudest = SER_ONNX(g, "Max", SER_ONNX(g, "Mul", *loudest, release), *level);
    ser_onnx_value gain = SER_ONNX(g, "Max", *loudest, scalar_to_one(g, 1e-9f));
    gain = SER_ONNX(g, "Min", SER_ONNX(g, "Div", scalar_to_one(g, (float)l->target), gain),
                    scalar_to_one(g, (float)l->most_gain));
    ser_onnx_value x = SER_ONNX(g, "Concat", *before, window);
    ser_onnx_int(g, "axis", 0);
    *before = ser_onnx_slice(g, window, ser_onnx_integer(g, SER_VOICE_WINDOW - SER_VOICE_CONTEXT),
                             ser_onnx_integer(g, SER_VOICE_WINDOW), 0);
    return SER_ONNX(g, "Mul", x, gain);
}

/* ---- the loop ---- */

/* What goes from window to window: the numbers and truths of spans, then these. */
enum { LOUDEST = N_NUMBERS + N_TRUTHS, BEFORE, HIDDEN, CELL, N_STATES };

static ser_onnx_kind kind_of(int state)
{
    _Static_assert(SER_VOICE_CONTEXT == 64 && SER_VOICE_WIDE == 128, "as the kinds say");
    static const ser_onnx_kind own[] = {{SER_ONNX_FLOAT, 1, {"1"}},
                                        {SER_ONNX_FLOAT, 1, {"64"}},
                                        {SER_ONNX_FLOAT, 2, {"1", "128"}},
                                        {SER_ONNX_FLOAT, 2, {"1", "128"}}};
    if (state >= LOUDEST)
        return own[state - LOUDEST];
    return (ser_onnx_kind){state < N_NUMBERS ? SER_ONNX_INT64 : SER_ONNX_BOOL, 1, {"1"}};
}

static ser_onnx_value initial(ser_onnx *g, int state)
{
    ser_onnx_value value;
    if (state < N_NUMBERS)
        return ser_onnx_integer(g, 0);
    if (state < LOUDEST)
        return at_least(g, ser_onnx_integer(g, 0), 1);
    if (state == LOUDEST)
        return scalar_to_one(g, (float)ser_voice_level.first);
    size_t n = state == BEFORE ? SER_VOICE_CONTEXT : SER_VOICE_WIDE;
    ser_onnx_floats(g, &value, state == BEFORE ? 1 : 2, state == BEFORE ? &n : (const size_t[]){1, n});
    return value;
}

/* One window: states go on; ended (2): start and end of an utterance that ends here, and whether one does. */
static void hear(network *n, const ser_voice_rules *r, ser_onnx_value window, ser_onnx_value *states,
                 ser_onnx_value ended[3])
{
    ser_onnx *g = n->g;
    spans s;
    ser_onnx_value level;
    memcpy(s.numbers, states, sizeof s.numbers);
    memcpy(s.truths, states + N_NUMBERS, sizeof s.truths);
    ser_onnx_value x = scale(g, window, &states[BEFORE], &states[LOUDEST], &level);
    x = remember(n, see(n, x), &states[HIDDEN]);
    ser_onnx_value silence = SER_ONNX(g, "Less", level, scalar_to_one(g, (float)ser_voice_level.silence));
    x = choose(g, silence, scalar_to_one(g, 0), x);
    ended[2] = add_window(g, r, &s, x);
    ended[0] = s.numbers[START];
    ended[1] = s.numbers[LAST_END];
    memcpy(states, s.numbers, sizeof s.numbers);
    memcpy(states + N_NUMBERS, s.truths, sizeof s.truths);
}

/* (windows + 1): those of utterances that ended in the loop, and the last one. */
static ser_onnx_value gather(ser_onnx *g, ser_onnx_value of_windows, ser_onnx_value which,
                             ser_onnx_value last)
{
    const int64_t flat = -1;
    ser_onnx_value x = SER_ONNX(g, "Reshape", of_windows, ser_onnx_i64(g, 1, &flat));
    x = SER_ONNX(g, "Compress", x, SER_ONNX(g, "Reshape", which, ser_onnx_i64(g, 1, &flat)));
    ser_onnx_int(g, "axis", 0);
    x = SER_ONNX(g, "Concat", x, last);
    ser_onnx_int(g, "axis", 0);
    return x;
}

ser_status ser_onnx_voice(ser_onnx *g, ser_onnx_value spans_out[2], ser_onnx_value waveform, ser_error *err)
{
    ser_voice_settings settings;
    ser_voice_default_settings(&settings);
    const ser_voice_rules rules = ser_voice_rules_of(&settings);
    ser_safetensors *file = NULL;
    network n = {.g = g, .err = err, .st = ser_voice_weights_open(&file, err)};
    n.file = file;
    ser_onnx_value inputs[N_STATES + 2] = {NULL}, states[N_STATES], outputs[N_STATES + 3], ended[3], last[2];
    for (int i = 0; i < N_STATES; i++)
        inputs[i] = initial(g, i);
    inputs[N_STATES] = cut(g, waveform);
    ser_onnx_begin(g);
    for (int i = 0; i < N_STATES; i++)
        states[i] = ser_onnx_input(g, NULL, kind_of(i));
    _Static_assert(SER_VOICE_WINDOW == 512, "as the kind says");
    ser_onnx_value window = ser_onnx_input(g, NULL, (ser_onnx_kind){SER_ONNX_FLOAT, 1, {"512"}});
    hear(&n, &rules, window, states, ended);
    for (int i = 0; i < N_STATES; i++)
        ser_onnx_output(g, NULL, states[i], kind_of(i));
    for (int i = 0; i < 3; i++)
        ser_onnx_output(g, NULL, ended[i], kind_of(i < 2 ? START : N_NUMBERS));
    ser_onnx_end(g, "Scan", inputs, N_STATES + 3, outputs);
    ser_onnx_int(g, "num_scan_inputs", 1);
    spans s;
    memcpy(s.numbers, outputs, sizeof s.numbers);
    memcpy(s.truths, outputs + N_NUMBERS, sizeof s.truths);
    finish(g, &rules, &s, ser_onnx_length(g, waveform, 1), last);
    for (int i = 0; i < 2; i++)
        spans_out[i] = gather(g, outputs[N_STATES + i], outputs[N_STATES + 2], last[i]);
    ser_safetensors_close(&file);
    return n.st;
}

/* ser: which emotion does a voice carry? The public interface of libser.
 *
 * Thread safety: a ser_model is read-only after ser_model_open and may be shared by threads; a ser_session is
 * working memory and belongs to one thread at a time. The library never prints, never exits and has no global
 * state.
 *
 * Errors: every call that can fail returns a ser_status and, where an error struct is given (NULL is fine),
 * one line of text that says what is wrong and what to do. On failure, output pointers are left NULL and
 * outputs untouched.
 *
 * Versions: a program runs with every later library of the same SER_API_VERSION. Structs that a program fills
 * begin with size, sizeof of the struct in the header that it was built with (0: the fields that version 1 of
 * this interface began with), so that fields may join at their end: what a program does not know of keeps its
 * default. Structs that the library fills have room for that; functions that work on structs know them by
 * their size at build time. */
#ifndef SER_SER_H
#define SER_SER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SER_API __attribute__((visibility("default")))
#else
#define SER_API
#endif

#define SER_API_VERSION    1     /* of this header; see ser_api_version */
#define SER_SAMPLE_RATE_HZ 16000 /* what every model listens to */
#define SER_MAX_LABELS     64    /* emotions a model can tell apart, at most */

typedef enum ser_status {
    SER_OK = 0,
    SER_E_NOMEM = -1,       /* out of memory */
    SER_E_IO = -2,          /* a file cannot be opened, read or written */
    SER_E_FORMAT = -3,      /* the content is damaged or not what it should be */
    SER_E_UNSUPPORTED = -4, /* well-formed, but not something this version handles */
    SER_E_ARG = -5,         /* the caller's arguments contradict each other or are out of range */
    SER_E_CANCELLED = -6    /* the caller asked to stop */
} ser_status;

typedef struct ser_error {
    ser_status status;
    char text[512]; /* UTF-8, one line, no final full stop or newline; the one path that a call was given is
                     * the caller's to put before it */
} ser_error;

typedef enum ser_precision {
    SER_PRECISION_AUTO,
    SER_PRECISION_FP32,
    SER_PRECISION_BF16,
    SER_PRECISION_INT8
} ser_precision;

typedef enum ser_engine { SER_ENGINE_ONEDNN, SER_ENGINE_REF } ser_engine;

typedef struct ser_settings {
    size_t size;
    int n_threads;           /* of sessions that do not say otherwise, inside one recording; 0: all cores */
    ser_precision precision; /* of the encoder; AUTO: the fastest on this processor that keeps the accuracy */
    ser_engine engine;       /* REF: plain C, slow, to compare with */
    /* Of models that carry no encoder: the checkpoint's folder, or its name in the model hub's cache; where a
     * model needs several, each once, with "TYPE=" in front where config.json does not tell. Those that are
     * not named are looked for in that cache under their usual names. With a model that carries its own,
     * SER_E_ARG. */
    const char *const *encoders;
    size_t n_encoders;
} ser_settings;

/* Fills the first size bytes of *s with the defaults: all cores, AUTO, oneDNN, no encoder folder. */
SER_API void ser_settings_init(ser_settings *s, size_t size);
static inline void ser_default_settings(ser_settings *s)
{
    ser_settings_init(s, sizeof *s);
}

/* "MAJOR.MINOR.PATCH" */
SER_API const char *ser_version(void);
/* SER_API_VERSION of the library that runs. */
SER_API int ser_api_version(void);
/* "SER_E_FORMAT"; "unknown" for a number that is no status. */
SER_API const char *ser_status_name(ser_status status);

typedef struct ser_model ser_model;
typedef struct ser_session ser_session;

/* Opens a model file. path NULL: the model built into the library. s NULL: the defaults.
 * The caller owns *out and closes it with ser_model_close. */
SER_API ser_status ser_model_open(ser_model **out, const char *path, const ser_settings *s, ser_error *err);
SER_API void ser_model_close(ser_model **model); /* sets *model to NULL; a NULL model is fine */

SER_API size_t ser_model_n_labels(const ser_model *model);
/* Name of emotion i, 0 <= i < n_labels, in alphabetical order; owned by the model. NULL when i is out of
 * range. */
SER_API const char *ser_model_label(const ser_model *model, size_t i);

/* What answers: "linear" (statistics over time and a softmax layer), "timnet" (temporal networks), or
 * "linear+timnet" (both, their calibrated scores averaged). */
SER_API const char *ser_model_type(const ser_model *model);

/* What it reads, in a fixed spelling: "WHISPER(layers=2,3,4;pad=0)"; owned by the model. */
SER_API const char *ser_model_features(const ser_model *model);
/* The frames of that are made of blocks side by side, one for LOGMEL, MFCC and each hidden state, in the
 * order of ser_model_features: how many values block i has. 0: there is none. */
SER_API size_t ser_model_feature_dims(const ser_model *model, size_t i);
/* Where it comes from, as its maker wrote it: a JSON object with corpora, hashes, settings, figures; owned by
 * the model. NULL: the file does not say. */
SER_API const char *ser_model_provenance(const ser_model *model);

/* Below which confidence an answer is none to rely on, by the model's own rule; 0: it has none. That of
 * emotion i may be lower for neutral and calm, which are told of a voice at less cost than anger is: the rule
 * is ser_model_min_confidence_of, the other is its value for all other emotions. */
SER_API double ser_model_min_confidence(const ser_model *model);
SER_API double ser_model_min_confidence_of(const ser_model *model, size_t i);

typedef struct ser_session_settings {
    size_t size;
    int n_threads; /* inside one recording; 0: all cores */
} ser_session_settings;

/* Working memory for predictions. settings NULL: as the model's. The model must outlive the session. */
SER_API ser_status ser_session_new(ser_session **out, const ser_model *model,
                                   const ser_session_settings *settings, ser_error *err);
SER_API void ser_session_free(ser_session **session);

typedef enum ser_note {
    SER_NOTE_NONE,
    SER_NOTE_SILENCE,  /* nothing but silence: no label */
    SER_NOTE_NO_VOICE, /* sound, but no voice in it: no label */
    SER_NOTE_UNLIKE    /* a label, whose confidence was lowered: see unlike of ser_result */
} ser_note;

/* How a recording sounds, as far as answers depend on it: docs/sound.md says how each is measured. NaN: could
 * not be. */
typedef struct ser_acoustics {
    float voice_s;      /* in so many seconds a voice is heard */
    float bandwidth_hz; /* up to which frequency there is sound, 8000 at most: that is what models hear */
    float level_db;     /* of the voice, root mean square, in dB of full scale */
    float noise_db;     /* of the pauses, likewise, above 125 Hz */
    float snr_db;       /* of the voice to the noise */
    float clipped;      /* share of samples in flat tops at the ceiling, 0 to 1 */
    float decay_s;      /* roughly, how long a sound takes to fade by 60 dB: what the room adds */
    float reserved[5];  /* 0 */
} ser_acoustics;

typedef struct ser_segment {
    double start_s, end_s;
    int label; /* index of the emotion; -1: no voice here */
    float scores[SER_MAX_LABELS];
} ser_segment;

typedef struct ser_result {
    double duration_s;
    int label;        /* index of the most probable emotion; -1 where note says why there is none */
    float confidence; /* its probability; 0 without a label */
    float scores[SER_MAX_LABELS]; /* calibrated probabilities of the model's labels, adding up to 1 */
    ser_note note;
    char warning[256];     /* empty, or what was odd about the recording (such as a truncated file) */
    ser_segment *segments; /* with timeline; owned by the result */
    size_t n_segments;
    float *peaks; /* with n_peaks: the largest absolute sample of so many equal parts; owned by the result */
    size_t n_peaks;
    ser_acoustics sound; /* with sound; else zeroed */
    /* How far the recording lies from those that the model learned from, in the space of its features (the
     * mean of |x - mean| / deviation over them: novelty detection, Pimentel et al. 2014,
     * doi:10.1016/j.sigpro.2013.12.026). 1 is as far as 99 of 100 recordings of corpora that it was tried on
     * without having heard them; beyond that the scores, of segments and events too, have been evened out
     * (docs/strangers.md). Of a recording of more than 10 s the mean over its stretches. 0: no label, or a
     * model that does not measure it. */
    float unlike;
    float reserved_float; /* 0 */
    uint64_t reserved[1]; /* 0 */
} ser_result;

typedef struct ser_predict_options {
    size_t size;
    int timeline;   /* not 0: fill segments: the emotion over time, equal neighbours merged */
    size_t n_peaks; /* so many peaks, to draw the sound; 0: none */
    /* Told how many seconds have been heard so far, of how many as far as the recording says (0: it does
     * not), from the calling thread, about once a second of sound; what is not 0 stops the work with
     * SER_E_CANCELLED. NULL: nobody is told. */
    int (*on_progress)(void *context, double heard_s, double total_s);
    void *context;
    int sound; /* not 0: fill sound: how the recording sounds. Costs a millisecond a second of it */
} ser_predict_options;

/* The emotion of n_samples of 16 kHz mono sound, nominal range [-1, 1]. options NULL: no timeline.
 * SER_E_FORMAT for less than 25 ms and for samples that are not finite. Release *r with ser_result_release.
 */
SER_API ser_status ser_predict(ser_session *s, const float *pcm, size_t n_samples,
                               const ser_predict_options *options, ser_result *r, ser_error *err);
/* The same for an audio file of any rate and channel count that libsndfile reads; "-" is standard input. */
SER_API ser_status ser_predict_file(ser_session *s, const char *path, const ser_predict_options *options,
                                    ser_result *r, ser_error *err);
/* The same for the bytes of such a file, which are not kept. */
SER_API ser_status ser_predict_bytes(ser_session *s, const void *bytes, size_t n_bytes,
                                     const ser_predict_options *options, ser_result *r, ser_error *err);
/* Releases what the result owns; a result that was never filled must be zeroed. */
SER_API void ser_result_release(ser_result *r);

/* ---- features ---- */

typedef struct ser_feature_settings {
    size_t size;
    /* What 'ser extract --feature-type' takes: "LOGMEL", "MFCC", "WHISPER", "HUBERT", ..., joined with '+'.
     * NULL: what the one encoder of ser_settings gives. */
    const char *type;
    /* Hidden states: "1,2,3", of several encoders "HUBERT=6+WHISPER=2,3"; 0 is what the first layer reads.
     * "all": every one. NULL: WHISPER's third, the others' last. */
    const char *layers;
    int hop_samples;  /* from one frame of LOGMEL or MFCC to the next, 16 to 16000; 0: 320 */
    int pad_s;        /* pad with silence for encoders to so many seconds, up to 30; 0: not at all */
    int pool_encoder; /* not 0: the encoder's mean over time in every frame, as 'ser extract --pool-encoder'
                       */
} ser_feature_settings;

/* A model without labels, whose sessions read features (ser_features...) and answer nothing: the frames are
 * those that 'ser extract' writes. Its precision is the settings' as of any other; 'ser extract' takes
 * SER_PRECISION_FP32 where nobody says otherwise. Predictions, streams and voices: SER_E_UNSUPPORTED.
 * ser_model_type says "features", ser_model_features with which layers. */
SER_API ser_status ser_model_open_features(ser_model **out, const ser_feature_settings *features,
                                           const ser_settings *s, ser_error *err);

/* What the model reads of a recording. */
typedef struct ser_feature_array {
    float *values; /* (n_rows, n_dims), C order; owned by the array */
    size_t n_rows, n_dims;
    double frames_per_s;  /* 0: pooled */
    uint64_t reserved[4]; /* 0 */
} ser_feature_array;

/* Frames over time, or with pooled not 0 one row: for each hidden state (or log-mel, ...) mean and deviation
 * of all frames, then of the active ones. Input and errors as ser_predict. */
SER_API ser_status ser_features(ser_session *s, const float *pcm, size_t n_samples, int pooled,
                                ser_feature_array *out, ser_error *err);
SER_API ser_status ser_features_file(ser_session *s, const char *path, int pooled, ser_feature_array *out,
                                     ser_error *err);
SER_API ser_status ser_features_bytes(ser_session *s, const void *bytes, size_t n_bytes, int pooled,
                                      ser_feature_array *out, ser_error *err);
SER_API void ser_feature_array_release(ser_feature_array *a);

/* ---- samples ---- */

/* What every model listens to: 16 kHz mono. For ser_predict and ser_features of stretches of a recording,
 * which is decoded once. */
typedef struct ser_samples {
    float *samples; /* (n_samples), nominal range [-1, 1]; owned by the struct */
    size_t n_samples;
    int file_rate_hz, file_channels; /* as the recording has them */
    char warning[256];               /* as in ser_result, where it was read to its end */
    uint64_t reserved[8];            /* 0 */
} ser_samples;

typedef struct ser_samples_options {
    size_t size;
    double start_s, end_s; /* no sample before, none from there on; end_s 0: to the end of the recording */
} ser_samples_options;

/* Sample i of the recording lies at i / 16000 s; start and end are rounded to a sample. What is left of a
 * stretch where the recording ends before it may be nothing. At most 2^28 samples (4.7 h): SER_E_UNSUPPORTED
 * beyond. options NULL: the whole recording. Release *out with ser_samples_release. */
SER_API ser_status ser_samples_read_file(ser_samples *out, const char *path,
                                         const ser_samples_options *options, ser_error *err);
SER_API ser_status ser_samples_read_bytes(ser_samples *out, const void *bytes, size_t n_bytes,
                                          const ser_samples_options *options, ser_error *err);
SER_API void ser_samples_release(ser_samples *s);

/* ---- a stream ---- */

typedef struct ser_stream ser_stream;

typedef enum ser_event_kind {
    SER_EVENT_SPEECH_START = 1, /* somebody begins to speak at start_s */
    SER_EVENT_MEASUREMENT,      /* the emotion from start_s to end_s */
    SER_EVENT_SPEECH_END        /* an utterance from start_s to end_s is over: its own answer */
} ser_event_kind;

typedef struct ser_event {
    ser_event_kind kind;
    /* Of a measurement: 0, what was heard of the utterance's last 3 s so far; 1, the segment that the
     * timeline of a recording of the same sound has. Of other events 1. */
    int final;
    double start_s, end_s; /* since the stream began */
    int label;             /* -1: none */
    float confidence, scores[SER_MAX_LABELS];
    uint64_t reserved[8]; /* 0 */
} ser_event;

typedef struct ser_stream_settings {
    size_t size;
    int sample_rate_hz, n_channels; /* of what is pushed; 0: 16000, 1 */
    double pause_s;                 /* so long a pause ends an utterance, 0.1 to 10; 0: 0.5 */
    double
        update_s; /* so often an utterance under way is measured, 0.25 to 10; 0: every second; < 0: never */
} ser_stream_settings;

/* Speech that comes bit by bit. An utterance of up to 4 s is measured as a whole, inside a longer one the
 * emotion goes with time; final measurements and ends do not depend on the portions in which sound is pushed,
 * nor do the others. Memory does not grow with time. Features that need the loudest of a whole recording
 * (log-mel) take the loudest of the utterance so far. A session that follows a voice is joined by each
 * utterance when it has ended. Several streams may share a session, as long as one thread at a time uses it
 * or them; the session must outlive them. settings NULL: the defaults. */
SER_API ser_status ser_stream_open(ser_stream **out, ser_session *session,
                                   const ser_stream_settings *settings, ser_error *err);
/* n_frames of n_channels samples each, interleaved, nominal range [-1, 1]. SER_E_FORMAT: a sample is not
 * finite. After a failure the stream can only be closed. */
SER_API ser_status ser_stream_push(ser_stream *s, const float *samples, size_t n_frames, ser_error *err);
/* No more will come: an utterance under way ends. */
SER_API ser_status ser_stream_finish(ser_stream *s, ser_error *err);
/* The next event of what was pushed so far, in the order in which they became known; owned by the stream, and
 * gone with the next call of any of these. NULL: no more for now. */
SER_API const ser_event *ser_stream_next(ser_stream *s);
SER_API void ser_stream_close(ser_stream **stream); /* sets *stream to NULL; a NULL stream is fine */

/* ---- a voice ---- */

/* From now on this session standardises features by the voice heard in these recordings (no labels needed),
 * and answers with the model's second head; a model whose encoder learned with its head, as the built-in
 * one's did, goes on answering with its first head, beside which the second counts the more, the more
 * recordings there are (docs/model-format.md). At least 3 recordings; 10 or more are better. n_paths 0: back
 * to none. SER_E_UNSUPPORTED: the model has no such head, or temporal networks. */
SER_API ser_status ser_session_set_baseline(ser_session *s, const char *const *paths, size_t n_paths,
                                            ser_error *err);

/* The same, and the second head is adapted to the recordings besides: their emotions need not be known, but
 * all should occur, in numbers that do not differ too much. At least 20 recordings, of one voice or of
 * several heard alike. Costs a second or two more. */
SER_API ser_status ser_session_adapt(ser_session *s, const char *const *paths, size_t n_paths,
                                     ser_error *err);
/* From now on each recording that this session hears joins the baseline, once, before it is answered for, so
 * that answers depend on their order, and on nothing else that is asked: for one voice, whose recordings come
 * one by one. Those of more than 10 s are heard once more for it. Errors as ser_session_set_baseline. */
SER_API ser_status ser_session_follow_voice(ser_session *s, ser_error *err);
/* What the first two functions above did to another session of the same model; the same session: nothing. */
SER_API ser_status ser_session_copy_baseline(ser_session *s, const ser_session *from, ser_error *err);

#ifdef __cplusplus
}
#endif
#endif

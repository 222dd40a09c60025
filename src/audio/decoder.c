#include "audio/decoder.h"
#include "audio/ffmpeg.h"
#include "base/memory.h"

#include <errno.h>
#include <math.h>
#include <mpg123.h>
#include <sndfile.h>
#include <stdio.h>
#include <string.h>

/* MP3 goes to libmpg123 itself: through libsndfile 1.2 it stops early where a variable bit rate has no Xing
 * header, and prints notes to standard error. */
struct ser_decoder {
    ser_audio_info info;
    SNDFILE *sndfile;
    mpg123_handle *mpeg;
    ser_ffmpeg *ffmpeg;
    uint64_t tolerance; /* frames that may be missing from what is stated */
    float scale;        /* 0: none */
    double peak;        /* with a scale: before it */
    bool damaged;       /* MPEG: decoding stopped before the end */
    bool changed;       /* MPEG: the rate or the channels change on the way */
    bool without_end;   /* Ogg: the mark of the end is missing */
    bool chained;       /* Ogg: more recordings follow, which are not read */
    bool second_data;   /* WAV: more sound follows, which is not read */
    bool more_behind;   /* WAV: bytes that are no chunks follow, as many as of sound or more */
};

static sf_count_t file_length(void *user)
{
    return (sf_count_t)((ser_source *)user)->n;
}

static sf_count_t file_seek(sf_count_t offset, int whence, void *user)
{
    ser_source *s = user;
    sf_count_t from = whence == SEEK_CUR   ? (sf_count_t)s->position
                      : whence == SEEK_END ? (sf_count_t)s->n
                                           : 0;
    sf_count_t to;
    if (__builtin_add_overflow(from, offset, &to) || to < 0)
        return -1;
    s->position = (uint64_t)to;
    return to;
}

static sf_count_t file_read(void *out, sf_count_t n, void *user)
{
    ser_source *s = user;
    size_t n_read = n > 0 ? ser_source_read_at(s, s->position, out, (size_t)n) : 0;
    s->position += n_read;
    return (sf_count_t)n_read;
}

static sf_count_t file_tell(void *user)
{
    return (sf_count_t)((ser_source *)user)->position;
}

static ser_status fail_damaged(ser_error *err)
{
    return ser_fail(err, SER_E_FORMAT,
                    "its header is damaged or its encoding is not known here: %sconvert it to WAV or FLAC",
                    ser_ffmpeg_is_there() ? "" : "install ffmpeg, or ");
}

/* "WAV, Signed 16 bit PCM" */
static void describe(char *out, size_t n_out, int format)
{
    SF_FORMAT_INFO major = {.format = format & SF_FORMAT_TYPEMASK},
                   sub = {.format = format & SF_FORMAT_SUBMASK};
    sf_command(NULL, SFC_GET_FORMAT_INFO, &major, sizeof major);
    sf_command(NULL, SFC_GET_FORMAT_INFO, &sub, sizeof sub);
    const char *name = major.name ? major.name : "unknown";
    snprintf(out, n_out, "%.*s, %s", (int)strcspn(name, " "), name, sub.name ? sub.name : "unknown");
}

/* Programs that keep 16-bit samples as floating-point numbers forget to divide them. What such a file is
 * shows only in the whole of it, which is read once more for that. */
static void find_scale(ser_decoder *d, int format)
{
    const double full_scale[] = {128, 32768, 8388608, 2147483648.0}; /* of 8 to 32 bits */
    enum { N_SCALES = sizeof full_scale / sizeof *full_scale };
    enum { LOUDEST = 8 }; /* 18 dB over full scale may be a voice, badly amplified */
    int coding = format & SF_FORMAT_SUBMASK;
    double peak = 0;
    if ((coding != SF_FORMAT_FLOAT && coding != SF_FORMAT_DOUBLE) ||
        sf_command(d->sndfile, SFC_CALC_SIGNAL_MAX, &peak, sizeof peak) != 0 || !(peak > LOUDEST))
        return;
    for (size_t i = 0; i < N_SCALES && d->scale == 0; i++)
        if (peak <= full_scale[i])
            d->scale = (float)(1 / full_scale[i]);
    d->peak = peak;
}

/* Neither library tells in all cases that memory ran out; malloc does. */
static ser_status fail_opening(ser_error *err)
{
    return errno == ENOMEM ? ser_fail_nomem(err) : fail_damaged(err);
}

static ser_status open_sndfile(ser_decoder *d, ser_source *s, ser_error *err)
{
    SF_VIRTUAL_IO io = {.get_filelen = file_length, .seek = file_seek, .read = file_read, .tell = file_tell};
    SF_INFO info = {0};
    ser_source_reset(s);
    ser_wav wav = ser_source_view_wav(s);
    if (wav.is_damaged)
        return fail_damaged(err);
    ser_promise promise = wav.is_view ? wav.promise : ser_source_mend_header(s);
    d->second_data = wav.second_data;
    d->more_behind = wav.more_behind && !wav.second_data;
    ser_ogg ogg = ser_source_walk_ogg(s);
    d->chained = ogg.chained;
    d->without_end = ogg.is_ogg && !ogg.ended;
    errno = 0;
    d->sndfile = sf_open_virtual(&io, SFM_READ, &info, s);
    if (!d->sndfile)
        return fail_opening(err);
    d->info.sample_rate_hz = info.samplerate;
    d->info.n_channels = info.channels;
    describe(d->info.format, sizeof d->info.format, info.format);
    bool known = info.frames > 0 && info.frames < SF_COUNT_MAX;
    d->info.n_frames_stated = known ? (uint64_t)info.frames : 0;
    /* The number of frames in a WAV with MPEG audio counts what its encoder put in front of them too. */
    d->tolerance = (info.format & SF_FORMAT_SUBMASK) == SF_FORMAT_MPEG_LAYER_III ? 3 * 1152 : 0;
    find_scale(d, info.format);
    if (known && promise.n_held) /* a header can promise anything, also more than a number can hold */
        d->info.n_frames_stated =
            (uint64_t)fmin((double)info.frames * ((double)promise.n_stated / (double)promise.n_held), 1e18);
    return SER_OK;
}

static mpg123_ssize_t mpeg_read(void *user, void *out, size_t n)
{
    return (mpg123_ssize_t)file_read(out, (sf_count_t)n, user);
}

/* Not seekable: so lengths come from the Xing header or are unknown, but are never guessed. */
static off_t mpeg_seek(void *user, off_t offset, int whence)
{
    (void)user, (void)offset, (void)whence;
    return -1;
}

static ser_status open_mpeg(ser_decoder *d, ser_source *s, ser_error *err)
{
    long rate;
    int channels, encoding;
    ser_source_reset(s);
    d->tolerance = 1152; /* encoders are not of one opinion about the last frame */
    if (mpg123_init() != MPG123_OK || !(d->mpeg = mpg123_new(NULL, NULL)))
        return ser_fail_nomem(err);
    mpg123_param(d->mpeg, MPG123_REMOVE_FLAGS, MPG123_AUTO_RESAMPLE, 0);
    mpg123_param(d->mpeg, MPG123_ADD_FLAGS,
                 MPG123_QUIET | MPG123_FORCE_FLOAT | MPG123_GAPLESS | MPG123_SKIP_ID3V2, 0);
    errno = 0;
    if (mpg123_replace_reader_handle(d->mpeg, mpeg_read, mpeg_seek, NULL) != MPG123_OK ||
        mpg123_open_handle(d->mpeg, s) != MPG123_OK ||
        mpg123_getformat(d->mpeg, &rate, &channels, &encoding) != MPG123_OK ||
        encoding != MPG123_ENC_FLOAT_32)
        return fail_opening(err);
    d->info = (ser_audio_info){.sample_rate_hz = (int)rate, .n_channels = channels};
    struct mpg123_frameinfo frame;
    mpg123_info(d->mpeg, &frame);
    snprintf(d->info.format, sizeof d->info.format, "MP%d, MPEG layer %d", frame.layer, frame.layer);
    off_t length = mpg123_length(d->mpeg);
    d->info.n_frames_stated = length > 0 ? (uint64_t)length : 0;
    return SER_OK;
}

static ser_status open_ffmpeg(ser_decoder *d, ser_source *s, const char *kind, ser_error *err)
{
    ser_status st = ser_ffmpeg_open(&d->ffmpeg, s, err);
    if (st == SER_E_UNSUPPORTED)
        return ser_fail(
            err, st, "this is %s: install ffmpeg, or convert it elsewhere with ffmpeg -i FILE OUT.wav", kind);
    if (st != SER_OK)
        return ser_fail_within(err, st, "this is %s: ", kind);
    ser_ffmpeg_format(d->ffmpeg, &d->info.sample_rate_hz, &d->info.n_channels);
    snprintf(d->info.format, sizeof d->info.format, "%s, read by ffmpeg", kind);
    return SER_OK;
}

/* Forgets what a decoder that gave up has left. */
static void start_again(ser_decoder *d, ser_source *s)
{
    if (d->sndfile)
        sf_close(d->sndfile);
    if (d->mpeg)
        mpg123_delete(d->mpeg);
    *d = (ser_decoder){0};
    ser_source_reset(s);
}

/* The library that knows it, and ffmpeg where that gives up or would leave half of it unread. */
static ser_status open_kind(ser_decoder *d, ser_source *s, ser_audio_kind kind, ser_error *err)
{
    ser_error why = {0};
    ser_status st = kind.reader == SER_READER_MPEG ? open_mpeg(d, s, &why) : open_sndfile(d, s, &why);
    if ((st == SER_E_FORMAT || (st == SER_OK && d->chained)) && ser_ffmpeg_is_there()) {
        ser_decoder first = *d;
        *d = (ser_decoder){0};
        ser_status by_ffmpeg = open_ffmpeg(d, s, kind.name, NULL);
        if (by_ffmpeg == SER_OK) {
            d->chained = first.chained;
            d->without_end = first.without_end;
            start_again(&first, s);
            return SER_OK;
        }
        *d = first; /* whose words say more about a file that it knows */
        if (by_ffmpeg == SER_E_NOMEM)
            return ser_fail_nomem(err);
    }
    if (st != SER_OK && err)
        *err = why;
    return st;
}

ser_status ser_decoder_open(ser_decoder **out, ser_source *source, ser_error *err)
{
    *out = NULL;
    if (!source->n)
        return ser_fail(err, SER_E_FORMAT, "it is empty: record it again or leave it out");
    ser_decoder *d = ser_alloc(1, sizeof *d);
    if (!d)
        return ser_fail_nomem(err);
    /* Never by name, nor whatever libsndfile takes for sound: for some formats it needs only two bytes, or
     * none and the right name. */
    ser_status status;
    ser_audio_kind kind = ser_audio_kind_of(source);
    if (kind.reader == SER_READER_SNDFILE || kind.reader == SER_READER_MPEG)
        status = open_kind(d, source, kind, err);
    else if (kind.reader == SER_READER_FFMPEG)
        status = open_ffmpeg(d, source, kind.name, err);
    else if (kind.reader == SER_READER_POINTER || kind.reader == SER_READER_STRANGER)
        status = ser_fail(err, SER_E_FORMAT, "%s", kind.name);
    else
        status = ser_fail(
            err, SER_E_FORMAT,
            "it is not audio that can be read (WAV, FLAC, Ogg, Opus, MP3, AIFF and others can): convert "
            "it, such as with ffmpeg -i FILE OUT.wav");
    if (status == SER_OK)
        *out = d;
    else
        ser_decoder_close(&d);
    return status;
}

void ser_decoder_close(ser_decoder **d)
{
    if (!*d)
        return;
    if ((*d)->sndfile)
        sf_close((*d)->sndfile);
    if ((*d)->mpeg)
        mpg123_delete((*d)->mpeg);
    ser_ffmpeg_close(&(*d)->ffmpeg);
    ser_free(*d);
    *d = NULL;
}

const ser_audio_info *ser_decoder_info(const ser_decoder *d)
{
    return &d->info;
}

static size_t read_mpeg(ser_decoder *d, float *frames, size_t n)
{
    size_t n_values = n * (size_t)d->info.n_channels, n_done = 0;
    while (n_done < n_values && !d->changed) {
        size_t n_bytes = 0;
        int result = mpg123_read(d->mpeg, frames + n_done, (n_values - n_done) * sizeof *frames, &n_bytes);
        n_done += n_bytes / sizeof *frames;
        if (result == MPG123_NEW_FORMAT) {
            long rate;
            int channels, encoding;
            mpg123_getformat(d->mpeg, &rate, &channels, &encoding);
            d->changed = rate != d->info.sample_rate_hz || channels != d->info.n_channels;
        } else if (result != MPG123_OK || !n_bytes) {
            d->damaged = result != MPG123_OK && result != MPG123_DONE;
            break;
        }
    }
    return n_done / (size_t)d->info.n_channels;
}

size_t ser_decoder_read(ser_decoder *d, float *frames, size_t n)
{
    if (d->ffmpeg)
        return ser_ffmpeg_read(d->ffmpeg, frames, n);
    if (d->mpeg)
        return read_mpeg(d, frames, n);
    sf_count_t n_got = sf_readf_float(d->sndfile, frames, (sf_count_t)n);
    size_t n_read = n_got > 0 ? (size_t)n_got : 0;
    for (size_t i = 0; d->scale != 0 && i < n_read * (size_t)d->info.n_channels; i++)
        frames[i] *= d->scale;
    return n_read;
}

const char *ser_decoder_failure(const ser_decoder *d)
{
    const char *text = NULL;
    return d->ffmpeg && ser_ffmpeg_outcome(d->ffmpeg, &text) == SER_FFMPEG_STOPPED ? text : NULL;
}

/* What is odd about the file as such. */
static bool tell_content(const ser_decoder *d, char *buffer, size_t n_buffer)
{
    if (d->scale != 0)
        snprintf(buffer, n_buffer,
                 "its samples go to %.0f, %.0f dB over full scale: taken for integers and divided by %.0f",
                 d->peak, 20 * log10(d->peak), 1 / (double)d->scale);
    else if (d->peak > 0)
        snprintf(buffer, n_buffer, "its samples go to %.3g, %.0f dB over full scale: scale them to [-1, 1]",
                 d->peak, 20 * log10(d->peak));
    else if (d->chained && !d->ffmpeg)
        snprintf(buffer, n_buffer, "it is several recordings in a row, of which only the first is used: %s",
                 "install ffmpeg, or convert it elsewhere with ffmpeg -i FILE OUT.wav");
    else if (d->second_data)
        snprintf(buffer, n_buffer, "it holds a second part of sound (chunk \"data\"), which is not used");
    else if (d->more_behind)
        snprintf(buffer, n_buffer, "behind its sound lie as many bytes again, which are not used: %s",
                 "its header is wrong, or several files were put together");
    else
        return false;
    return true;
}

const char *ser_decoder_fault(const ser_decoder *d, uint64_t n_frames, char *buffer, size_t n_buffer)
{
    const char *complaint = "";
    ser_ffmpeg_end end = d->ffmpeg ? ser_ffmpeg_outcome(d->ffmpeg, &complaint) : SER_FFMPEG_DONE;
    double stated_s = (double)d->info.n_frames_stated / d->info.sample_rate_hz,
           held_s = (double)n_frames / d->info.sample_rate_hz;
    /* Between recordings in a row ffmpeg takes headers for sound and says so. */
    if (*complaint && !(d->chained && end == SER_FFMPEG_REMARKS))
        snprintf(buffer, n_buffer, "only %.3f s can be decoded and are used: %s", held_s, complaint);
    else if (d->changed)
        snprintf(buffer, n_buffer, "its sampling rate or channels change after %.3f s: the rest is left out",
                 held_s);
    else if (d->info.n_frames_stated > n_frames + d->tolerance)
        snprintf(buffer, n_buffer,
                 "the header promises %.3f s, only %.3f s can be decoded and are used: fetch the file again",
                 stated_s, held_s);
    else if (d->damaged)
        snprintf(buffer, n_buffer, "it is damaged after %.3f s, the rest is left out: fetch the file again",
                 held_s);
    else if (d->without_end)
        snprintf(buffer, n_buffer, "its end mark is missing after %.3f s: it may be cut short", held_s);
    else
        return tell_content(d, buffer, n_buffer) ? buffer : NULL;
    return buffer;
}

#include "audio/decoder.h"
#include "base/memory.h"

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
    bool damaged;     /* MPEG: decoding stopped before the end */
    bool changed;     /* MPEG: the rate or the channels change on the way */
    bool without_end; /* Ogg: the mark of the end is missing */
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
                    "its header is damaged or its encoding is not known here: convert it to WAV or FLAC");
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

static ser_status open_sndfile(ser_decoder *d, ser_source *s, ser_error *err)
{
    SF_VIRTUAL_IO io = {.get_filelen = file_length, .seek = file_seek, .read = file_read, .tell = file_tell};
    SF_INFO info = {0};
    ser_promise promise = ser_source_mend_header(s);
    s->position = 0;
    d->sndfile = sf_open_virtual(&io, SFM_READ, &info, s);
    if (!d->sndfile)
        return fail_damaged(err);
    d->info.sample_rate_hz = info.samplerate;
    d->info.n_channels = info.channels;
    describe(d->info.format, sizeof d->info.format, info.format);
    bool known = info.frames > 0 && info.frames < SF_COUNT_MAX;
    d->info.n_frames_stated = known ? (uint64_t)info.frames : 0;
    d->without_end = !known && (info.format & SF_FORMAT_TYPEMASK) == SF_FORMAT_OGG;
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
    s->position = 0;
    if (mpg123_init() != MPG123_OK || !(d->mpeg = mpg123_new(NULL, NULL)))
        return ser_fail_nomem(err);
    mpg123_param(d->mpeg, MPG123_REMOVE_FLAGS, MPG123_AUTO_RESAMPLE, 0);
    mpg123_param(d->mpeg, MPG123_ADD_FLAGS,
                 MPG123_QUIET | MPG123_FORCE_FLOAT | MPG123_GAPLESS | MPG123_SKIP_ID3V2, 0);
    if (mpg123_replace_reader_handle(d->mpeg, mpeg_read, mpeg_seek, NULL) != MPG123_OK ||
        mpg123_open_handle(d->mpeg, s) != MPG123_OK ||
        mpg123_getformat(d->mpeg, &rate, &channels, &encoding) != MPG123_OK ||
        encoding != MPG123_ENC_FLOAT_32)
        return fail_damaged(err);
    d->info = (ser_audio_info){.sample_rate_hz = (int)rate, .n_channels = channels};
    struct mpg123_frameinfo frame;
    mpg123_info(d->mpeg, &frame);
    snprintf(d->info.format, sizeof d->info.format, "MP%d, MPEG layer %d", frame.layer, frame.layer);
    off_t length = mpg123_length(d->mpeg);
    d->info.n_frames_stated = length > 0 ? (uint64_t)length : 0;
    return SER_OK;
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
    if (ser_source_is_container(source))
        status = open_sndfile(d, source, err);
    else if (ser_source_find_mpeg(source))
        status = open_mpeg(d, source, err);
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
    if (d->mpeg)
        return read_mpeg(d, frames, n);
    sf_count_t n_read = sf_readf_float(d->sndfile, frames, (sf_count_t)n);
    return n_read > 0 ? (size_t)n_read : 0;
}

const char *ser_decoder_fault(const ser_decoder *d, uint64_t n_frames, char *buffer, size_t n_buffer)
{
    /* Encoders are not of one opinion about the last MPEG frame. */
    const uint64_t tolerance = d->mpeg ? 1152 : 0;
    double stated_s = (double)d->info.n_frames_stated / d->info.sample_rate_hz,
           held_s = (double)n_frames / d->info.sample_rate_hz;
    if (d->changed)
        snprintf(buffer, n_buffer, "its sampling rate or channels change after %.3f s: the rest is left out",
                 held_s);
    else if (d->info.n_frames_stated > n_frames + tolerance)
        snprintf(buffer, n_buffer,
                 "the header promises %.3f s, only %.3f s can be decoded and are used: fetch the file again",
                 stated_s, held_s);
    else if (d->damaged)
        snprintf(buffer, n_buffer, "it is damaged after %.3f s, the rest is left out: fetch the file again",
                 held_s);
    else if (d->without_end)
        snprintf(buffer, n_buffer, "its end mark is missing after %.3f s: it may be cut short", held_s);
    else
        return NULL;
    return buffer;
}

#include "audio/kind.h"
#include "base/sniff.h"

#include <string.h>

enum { N_HEAD = 64 };

/* "?": any byte. Zero bytes cannot be told from the end: no beginning here has them. */
typedef struct beginning {
    const char *bytes, *name;
    ser_audio_reader reader;
} beginning;

/* Of libsndfile's formats those that begin with four bytes or more and hold recordings; then what ffmpeg
 * reads of what telephones, recorders and browsers write. */
static const beginning beginnings[] = {
    {"RIFF????WAVE", "WAV", SER_READER_SNDFILE},
    {"RIFX????WAVE", "WAV", SER_READER_SNDFILE},
    {"RF64????WAVE", "WAV", SER_READER_SNDFILE},
    {"BW64????WAVE", "WAV", SER_READER_SNDFILE},
    {"riff\x2e\x91\xcf\x11", "W64", SER_READER_SNDFILE},
    {"FORM????AIFF", "AIFF", SER_READER_SNDFILE},
    {"FORM????AIFC", "AIFF", SER_READER_SNDFILE},
    {"FORM????8SVX", "SVX", SER_READER_SNDFILE},
    {"FORM????16SV", "SVX", SER_READER_SNDFILE},
    {"caff", "CAF", SER_READER_SNDFILE},
    {".snd", "AU", SER_READER_SNDFILE},
    {"dns.", "AU", SER_READER_SNDFILE},
    {"fLaC", "FLAC", SER_READER_SNDFILE},
    {"OggS", "Ogg", SER_READER_SNDFILE},
    {"NIST_1A", "NIST", SER_READER_SNDFILE},
    {"Creative Voic", "VOC", SER_READER_SNDFILE},
    {"2BIT", "AVR", SER_READER_SNDFILE},
    {"PVF1", "PVF", SER_READER_SNDFILE},
    {" paf", "PAF", SER_READER_SNDFILE},
    {"fap ", "PAF", SER_READER_SNDFILE},
    {"????ftypM4A", "M4A", SER_READER_FFMPEG},
    {"????ftypM4B", "M4B", SER_READER_FFMPEG},
    {"????ftypqt", "MOV", SER_READER_FFMPEG},
    {"????ftyp3g", "3GP", SER_READER_FFMPEG},
    {"????ftyp", "MP4", SER_READER_FFMPEG},
    {"????moov", "MOV", SER_READER_FFMPEG},
    {"????mdat", "MOV", SER_READER_FFMPEG},
    {"????wide", "MOV", SER_READER_FFMPEG},
    {"#!AMR", "AMR", SER_READER_FFMPEG},
    {"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMA or WMV", SER_READER_FFMPEG},
    {"RIFF????AVI ", "AVI", SER_READER_FFMPEG},
    {"RIFF????QLCM", "QCP", SER_READER_FFMPEG},
    {"FLV\x01", "FLV", SER_READER_FFMPEG},
    {"ADIF", "AAC", SER_READER_FFMPEG},
    {"wvpk", "WavPack", SER_READER_FFMPEG},
    {"MAC ", "Monkey's Audio", SER_READER_FFMPEG},
    {"TTA1", "TTA", SER_READER_FFMPEG},
    {"MPCK", "Musepack", SER_READER_FFMPEG},
    {"MP+", "Musepack", SER_READER_FFMPEG},
    {"DSD ", "DSF", SER_READER_FFMPEG},
    {".RMF", "RealAudio", SER_READER_FFMPEG},
    {"\x0b\x77", "AC-3", SER_READER_FFMPEG},
    {"\x77\x0b", "AC-3", SER_READER_FFMPEG},
    {"\x7f\xfe\x80\x01", "DTS", SER_READER_FFMPEG},
    {"\x06\x0e\x2b\x34", "MXF", SER_READER_FFMPEG},
    {"PK\x03\x04", "it is an archive (ZIP), no recording: unpack it first", SER_READER_STRANGER},
    {"\x1f\x8b", "it is an archive (gzip), no recording: unpack it first", SER_READER_STRANGER},
    {"7z\xbc\xaf\x27\x1c", "it is an archive (7z), no recording: unpack it first", SER_READER_STRANGER},
    {"Rar!\x1a", "it is an archive (RAR), no recording: unpack it first", SER_READER_STRANGER},
    {"%PDF-", "it is a PDF, no recording: give the recording", SER_READER_STRANGER},
    {"\x89PNG", "it is a picture (PNG), no recording: give the recording", SER_READER_STRANGER},
    {"\xff\xd8\xff", "it is a picture (JPEG), no recording: give the recording", SER_READER_STRANGER},
};

static bool begins_with(const unsigned char *h, size_t n, const char *bytes)
{
    size_t k = 0;
    while (bytes[k] && k < n && (bytes[k] == '?' || (unsigned char)bytes[k] == h[k]))
        k++;
    return !bytes[k];
}

/* Bytes of the AAC frame with this ADTS header; 0: it is none (ISO 13818-7, 6.2). */
static size_t adts_frame_size(const unsigned char h[6])
{
    size_t n = (size_t)(h[3] & 3) << 11 | (size_t)h[4] << 3 | h[5] >> 5;
    bool good = h[0] == 0xff && (h[1] & 0xf6) == 0xf0 && (h[2] >> 2 & 15) < 13 && n > 7;
    return good ? n : 0;
}

static bool is_adts(ser_source *s)
{
    unsigned char h[6];
    uint64_t at = 0;
    for (int i = 0; i < 3; i++) { /* a file of one or two frames may end there */
        if (i && at == s->n)
            return true;
        size_t n = ser_source_read_at(s, at, h, sizeof h) == sizeof h ? adts_frame_size(h) : 0;
        if (!n)
            return false;
        at += n;
    }
    return true;
}

/* Packets that begin with 0x47: of 188 bytes (ISO 13818-1, 2.4.3.2), or as camcorders and Blu-ray discs write
 * them, with the time in four bytes in front of each. */
static bool is_transport_stream(ser_source *s, size_t n_time)
{
    enum { PACKET = 188, N_PACKETS = 5 };
    unsigned char mark;
    for (uint64_t i = 0; i < N_PACKETS; i++)
        if (ser_source_read_at(s, n_time + i * (PACKET + n_time), &mark, 1) < 1 || mark != 0x47)
            return false;
    return true;
}

static bool is_all_zeros(const unsigned char *h, size_t n)
{
    size_t i = 0;
    while (i < n && !h[i])
        i++;
    return i == n;
}

static ser_audio_kind other_kind(ser_source *s, const unsigned char *h, size_t n)
{
    static const unsigned char ebml[] = {0x1a, 0x45, 0xdf, 0xa3}, program_stream[] = {0, 0, 1, 0xba};
    if (n >= 4 && memcmp(h, ebml, 4) == 0)
        return (ser_audio_kind){SER_READER_FFMPEG, memmem(h, n, "webm", 4) ? "WebM" : "MKV"};
    if (n >= 4 && memcmp(h, program_stream, 4) == 0)
        return (ser_audio_kind){SER_READER_FFMPEG, "MPEG video"};
    if (is_adts(s))
        return (ser_audio_kind){SER_READER_FFMPEG, "AAC"};
    if (is_transport_stream(s, 0) || is_transport_stream(s, 4))
        return (ser_audio_kind){SER_READER_FFMPEG, "MPEG-TS"};
    const char *advice = ser_pointer_advice(h, n);
    if (advice)
        return (ser_audio_kind){SER_READER_POINTER, advice};
    if (ser_is_web_page(h, n))
        return (ser_audio_kind){SER_READER_STRANGER,
                                "it is a web page, no recording: fetch the recording again"};
    if (ser_source_find_mpeg(s))
        return (ser_audio_kind){SER_READER_MPEG, "MP3"};
    if (is_all_zeros(h, n))
        return (ser_audio_kind){
            SER_READER_STRANGER,
            "there are zeros where it should begin: fetch it again, or give raw samples a "
            "header, such as with ffmpeg -f s16le -ar RATE -i FILE OUT.wav"};
    return (ser_audio_kind){SER_READER_NONE, ""};
}

ser_audio_kind ser_audio_kind_of(ser_source *s)
{
    unsigned char h[N_HEAD] = {0};
    size_t n = ser_source_read_at(s, 0, h, sizeof h);
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        if (begins_with(h, n, beginnings[i].bytes))
            return (ser_audio_kind){beginnings[i].reader, beginnings[i].name};
    return other_kind(s, h, n);
}

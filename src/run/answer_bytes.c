#include "run/answer_bytes.h"
#include "base/memory.h"

#include <string.h>

/* What stands before a result's scores, warning, segments and peaks. */
typedef struct answer_head {
    double duration_s;
    size_t n_segments, n_peaks;
    int status; /* of a failure, whose text follows */
    int label, note;
    float confidence, unlike;
    ser_acoustics sound;
    unsigned n_scores, n_text;
} answer_head;

static unsigned n_scores_of(const ser_result *r)
{
    unsigned n = SER_MAX_LABELS;
    while (n && r->scores[n - 1] == 0)
        n--;
    return n;
}

void ser_answer_pack(ser_text *t, const ser_result *r, const ser_error *failure)
{
    answer_head h;
    memset(&h, 0, sizeof h); /* padding, too: the same answer is the same bytes */
    const char *text = r ? r->warning : failure->text;
    h.n_text = (unsigned)strlen(text);
    if (r) {
        h.duration_s = r->duration_s;
        h.n_segments = r->n_segments;
        h.n_peaks = r->n_peaks;
        h.label = r->label;
        h.note = (int)r->note;
        h.confidence = r->confidence;
        h.unlike = r->unlike;
        h.sound = r->sound;
        h.n_scores = n_scores_of(r);
    } else
        h.status = (int)failure->status;
    ser_text_append_n(t, (const char *)&h, sizeof h);
    ser_text_append_n(t, text, h.n_text);
    if (!r)
        return;
    ser_text_append_n(t, (const char *)r->scores, h.n_scores * sizeof *r->scores);
    if (r->n_segments)
        ser_text_append_n(t, (const char *)r->segments, r->n_segments * sizeof *r->segments);
    if (r->n_peaks)
        ser_text_append_n(t, (const char *)r->peaks, r->n_peaks * sizeof *r->peaks);
}

/* The next n bytes; false: there are not so many. */
static bool cut(void *to, const char **at, const char *end, size_t n)
{
    if ((size_t)(end - *at) < n)
        return false;
    if (n)
        memcpy(to, *at, n);
    *at += n;
    return true;
}

/* Memory for n items that are there. */
static void *reserve(const char *at, const char *end, size_t n, size_t size)
{
    return n <= (size_t)(end - at) / size ? ser_alloc(n, size) : NULL;
}

static bool read_result(ser_result *r, const answer_head *h, const char *at, const char *end)
{
    r->duration_s = h->duration_s;
    r->label = h->label;
    r->note = (ser_note)h->note;
    r->confidence = h->confidence;
    r->unlike = h->unlike;
    r->sound = h->sound;
    if (h->n_text >= sizeof r->warning || h->n_scores > SER_MAX_LABELS || h->label >= SER_MAX_LABELS ||
        !cut(r->warning, &at, end, h->n_text) || !cut(r->scores, &at, end, h->n_scores * sizeof *r->scores))
        return false;
    if (h->n_segments && !(r->segments = reserve(at, end, h->n_segments, sizeof *r->segments)))
        return false;
    r->n_segments = h->n_segments;
    if (!cut(r->segments, &at, end, h->n_segments * sizeof *r->segments))
        return false;
    if (h->n_peaks && !(r->peaks = reserve(at, end, h->n_peaks, sizeof *r->peaks)))
        return false;
    r->n_peaks = h->n_peaks;
    return cut(r->peaks, &at, end, h->n_peaks * sizeof *r->peaks) && at == end;
}

ser_status ser_answer_unpack(ser_result *r, ser_error *failure, bool *failed, const void *bytes, size_t n,
                             ser_error *err)
{
    const char *at = bytes, *end = at + n;
    answer_head h;
    *r = (ser_result){0};
    *failure = (ser_error){0};
    *failed = true;
    bool ok = n && cut(&h, &at, end, sizeof h);
    *failed = ok && h.status != SER_OK;
    if (ok && *failed) {
        ok = h.n_text < sizeof failure->text && h.n_text == (size_t)(end - at) &&
             cut(failure->text, &at, end, h.n_text);
        failure->status = (ser_status)h.status;
    } else if (ok)
        ok = read_result(r, &h, at, end);
    if (ok)
        return SER_OK;
    ser_result_release(r);
    return ser_fail(err, SER_E_FORMAT, "it is no answer");
}

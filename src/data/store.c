#include "data/store.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/intake.h"

static ser_status add_to_pool(void *context, const ser_frames *frames, ser_error *err)
{
    (void)err;
    ser_pooling_add(context, frames);
    return SER_OK;
}

static ser_status fill_row(void *context, ser_intake_item *it, size_t row, ser_intake_worker *w,
                           bool *computed, ser_error *err)
{
    float *pooled = ser_store_row(context, it->utterance, row);
    bool in_tree = row == 0 && it->in_tree;
    if (!in_tree && ser_intake_read_pooled(it, row, pooled))
        return SER_OK;
    ser_pooling_clear(&w->pool);
    ser_status st = ser_intake_frames(it, row, w, add_to_pool, &w->pool, err);
    if (st != SER_OK)
        return st;
    ser_pooling_finish(it->settings->extractor, &w->pool, pooled, w->scratch);
    *computed = !in_tree;
    if (!in_tree)
        ser_intake_write_pooled(it, row, pooled);
    return SER_OK;
}

/* For what is computed beside recordings. */
static ser_status keep_recipe(ser_store *s, const ser_store_settings *settings, ser_error *err)
{
    ser_text t = {0};
    ser_text_appendf(&t, "%s", settings->features_key);
    for (size_t b = 0; b < ser_extractor_n_blocks(settings->extractor); b++) {
        ser_text_append(&t, " ");
        ser_feature_spec_block_key(ser_extractor_spec(settings->extractor), b, &t);
    }
    s->recipe = t.s;
    s->folder = settings->folder ? ser_strdup(settings->folder) : NULL;
    return t.failed || (settings->folder && !s->folder) ? ser_fail_nomem(err) : SER_OK;
}

ser_status ser_store_new(ser_store **out, const ser_corpus *corpus, const ser_store_settings *settings,
                         ser_error *err)
{
    *out = NULL;
    size_t n_values;
    ser_store *s = ser_alloc(1, sizeof *s);
    if (!s)
        return ser_fail_nomem(err);
    s->n = corpus->n_utterances;
    s->n_copies = settings->n_copies;
    s->n_rows = ser_intake_n_rows(settings);
    s->dims = ser_pooled_dims(settings->extractor);
    s->recordings = ser_alloc(s->n, sizeof *s->recordings);
    if (ser_mul_size(&n_values, s->n * s->n_rows, s->dims))
        s->pooled = ser_alloc(n_values, sizeof *s->pooled);
    ser_status st = s->recordings && s->pooled
                        ? ser_intake_run(s->recordings, &s->n_computed, corpus, settings, fill_row, s, err)
                        : ser_fail_nomem(err);
    if (st == SER_OK)
        st = keep_recipe(s, settings, err);
    if (st != SER_OK)
        ser_store_free(&s);
    *out = s;
    return st;
}

void ser_store_free(ser_store **s)
{
    if (!s || !*s)
        return;
    for (size_t i = 0; (*s)->recordings && i < (*s)->n; i++)
        ser_fingerprint_free(&(*s)->recordings[i].fingerprint);
    ser_free((*s)->folder);
    ser_free((*s)->recipe);
    ser_free((*s)->recordings);
    ser_free((*s)->pooled);
    ser_free(*s);
    *s = NULL;
}

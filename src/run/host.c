#include "run/host.h"
#include "base/text.h"
#include "run/ranks.h"
#include "run/sight.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool report(void *context, const char *what, size_t done, size_t total)
{
    const ser_run_listener *l = context;
    return (!l->on_progress || l->on_progress(l->context, what, done, total) == 0) &&
           ser_ranks_go_on(l->ranks);
}

void ser_run_host_init(ser_run_host *h, const ser_run_listener *listener)
{
    size_t size = listener ? listener->size : 0;
    *h = (ser_run_host){0};
    memcpy(&h->listener, listener ? (const void *)listener : "",
           size < sizeof h->listener ? size : sizeof h->listener);
    h->team = ser_ranks_team(h->listener.ranks);
    if (!ser_team_is_first(h->team)) { /* rank 0 speaks for all */
        h->listener.on_message = NULL;
        h->listener.on_epoch = NULL;
    }
    if (h->listener.on_progress || h->team)
        h->progress = (ser_progress){.fn = report, .context = &h->listener};
}

void ser_run_tell(const ser_run_host *h, ser_run_message kind, const char *format, ...)
{
    char text[2048];
    va_list args;
    if (!h->listener.on_message)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    h->listener.on_message(h->listener.context, kind, text);
}

void ser_run_warn(void *host, const char *text)
{
    ser_run_tell(host, SER_RUN_WARNING, "%s", text);
}

ser_status ser_run_compare(const ser_run_host *h, const ser_corpus *corpus, const char *encoders,
                           ser_error *err)
{
    char hex[65];
    ser_text t = {0};
    if (!h->team)
        return SER_OK;
    ser_corpus_hash(hex, corpus);
    ser_text_appendf(&t, "%s\n", hex);
    for (size_t u = 0; u < corpus->n_utterances; u++)
        if (ser_sight_takes(u, corpus->n_utterances))
            ser_sight_add(&t, corpus->utterances[u].name, corpus->utterances[u].path);
    ser_status st =
        t.failed ? ser_fail_nomem(err) : h->team->compare(h->team->context, "recordings", t.s, err);
    if (st == SER_OK && encoders && *encoders)
        st = h->team->compare(h->team->context, "encoders", encoders, err);
    ser_text_release(&t);
    return st;
}

/* Encoders' weights from a model hub into its cache, and corpora from their publishers into the data folder.
 * Nothing appears under its final name until it is whole; what has come is gone on with by the next call. */
#ifndef SER_NET_PULL_H
#define SER_NET_PULL_H

#include "base/progress.h"
#include "base/status.h"

typedef struct ser_pull_settings {
    const char *endpoint;     /* "https://HOST/PATH" of a mirror; NULL: the hub or publisher itself */
    const char *token;        /* for the hub; or NULL */
    const char *data_dir;     /* of corpora */
    const char *certificates; /* as in ser_http_settings */
    long timeout_s;           /* that a connection may give nothing */
    ser_progress progress;
    void (*tell)(const char *text); /* what was fetched and checked, a line each; or NULL */
} ser_pull_settings;

/* The files of "openai/whisper-base" that ser reads. *folder: where they lie (ser_free). */
ser_status ser_pull_model(char **folder, const char *name, const ser_pull_settings *s, ser_error *err);

/* Where a publisher keeps a corpus: one zip archive. */
typedef struct ser_publication {
    const char *name, *folder; /* "EMODB", "emodb": there already in either, else made as the first */
    const char *host, *archive;
    const char *record, *key; /* where size and hash are stated, and of which file; NULL: nowhere */
    const char *terms;
    const char *if_plain; /* what to do where its host is known without encryption alone */
} ser_publication;

ser_status ser_pull_corpus(char **folder, const ser_publication *c, const ser_pull_settings *s,
                           ser_error *err);

#endif

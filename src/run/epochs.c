#include "run/epochs.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/file.h"
#include "io/json.h"
#include "report/escape.h"
#include "run/ranks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Written anew also when a run goes on, because what was made before is told again. Not buffered, so that it
 * is known how much of what waits was written. */
static FILE *open_history(const char *folder)
{
    char *path = ser_io_join(folder, "history.jsonl");
    FILE *file = path ? fopen(path, "we") : NULL;
    if (file)
        setvbuf(file, NULL, _IONBF, 0);
    ser_free(path);
    return file;
}

/* A log is worth no failure: what cannot be written now waits for the next line. */
static void write_waiting(ser_epochs *k)
{
    ser_text *t = &k->waiting;
    if (!t->n || (!k->history && !(k->history = open_history(k->folder))))
        return;
    size_t n = fwrite(t->s, 1, t->n, k->history);
    memmove(t->s, t->s + n, t->n - n + 1); /* and its 0 */
    t->n -= n;
}

/* Takes the line. */
static void write_history(ser_epochs *k, json_t *line)
{
    char *text = line && k->folder ? ser_json_dump(line, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    if (text)
        ser_text_appendf(&k->waiting, "%s\n", text);
    k->lost = k->lost || (k->folder && !text) || k->waiting.failed;
    k->waiting.failed = false;
    if (k->folder)
        write_waiting(k);
    free(text);
    json_decref(line);
}

static void tell(const ser_epochs *k, const ser_run_epoch_info *e)
{
    const ser_run_listener *l = &k->host->listener;
    if (l->on_epoch)
        l->on_epoch(l->context, e);
}

static void tell_network(ser_epochs *k, const char *what, size_t network, const ser_timnet_epoch *e)
{
    bool adapts = e->entropy > 0;
    json_t *line =
        json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:f, s:f}", "part", what, "network",
                  (json_int_t)network, "epoch", (json_int_t)e->epoch, "train_loss",
                  ser_number_json(e->train_loss), "train_accuracy", ser_number_json(e->train_accuracy),
                  "validation_loss", ser_number_json(e->validation_loss), "validation_accuracy",
                  ser_number_json(e->validation_accuracy), "rate", e->rate, "seconds", e->seconds);
    if (line && adapts) {
        ser_json_set(&line, "lmmd", ser_number_json(e->lmmd));
        ser_json_set(&line, "entropy", ser_number_json(e->entropy));
        ser_json_set(&line, "balance", ser_number_json(e->balance));
    }
    write_history(k, line);
    tell(k, &(ser_run_epoch_info){.part = what,
                                  .network = network,
                                  .n_networks = k->n_networks,
                                  .epoch = e->epoch,
                                  .n_epochs = e->n_epochs,
                                  .train_loss = e->train_loss,
                                  .train_accuracy = e->train_accuracy,
                                  .validation_loss = e->validation_loss,
                                  .validation_accuracy = e->validation_accuracy,
                                  .lmmd = adapts ? e->lmmd : NAN,
                                  .entropy = adapts ? e->entropy : NAN,
                                  .rate = e->rate,
                                  .seconds = e->seconds,
                                  .restored = e->restored});
}

/* An epoch on its way to rank 0; what follows. */
typedef struct epoch_note {
    ser_timnet_epoch epoch;
    size_t network;
} epoch_note;

static void hear(void *context, const void *note, size_t n)
{
    epoch_note e;
    if (n <= sizeof e)
        return;
    memcpy(&e, note, sizeof e);
    tell_network(context, (const char *)note + sizeof e, e.network, &e.epoch);
}

void ser_epochs_gather(ser_epochs *k)
{
    ser_ranks_set_handler(k->host->listener.ranks, hear, k);
}

void ser_epochs_tell(void *context, const char *what, size_t network, const ser_timnet_epoch *e)
{
    ser_epochs *k = context;
    ser_text t = {0};
    if (!k->host->team) {
        tell_network(k, what, network, e);
        return;
    }
    const epoch_note note = {.epoch = *e, .network = network};
    ser_text_append_n(&t, (const char *)&note, sizeof note);
    ser_text_append_n(&t, what, strlen(what) + 1);
    if (!t.failed)
        ser_ranks_note(k->host->listener.ranks, t.s, t.n);
    ser_text_release(&t);
}

void ser_epochs_tell_adapt(void *context, const char *what, const ser_adapt_epoch *e)
{
    ser_epochs *k = context;
    write_history(k, json_pack("{s:s, s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "part", what, "epoch",
                               (json_int_t)e->epoch, "train_loss", e->source_loss, "train_accuracy",
                               e->source_accuracy, "lmmd", e->lmmd, "entropy", e->entropy, "balance",
                               e->balance, "rate", e->rate));
    tell(k, &(ser_run_epoch_info){.part = what,
                                  .network = 1,
                                  .n_networks = 1,
                                  .epoch = e->epoch,
                                  .n_epochs = e->n_epochs,
                                  .train_loss = e->source_loss,
                                  .train_accuracy = e->source_accuracy,
                                  .validation_loss = NAN,
                                  .validation_accuracy = NAN,
                                  .lmmd = e->lmmd,
                                  .entropy = e->entropy,
                                  .rate = e->rate,
                                  .seconds = NAN});
}

void ser_epochs_tell_tuning(void *context, const char *what, size_t training, const ser_tune_epoch *e)
{
    ser_epochs_tell(context, what, training,
                    &(ser_timnet_epoch){.epoch = e->epoch,
                                        .n_epochs = e->n_epochs,
                                        .train_loss = e->loss,
                                        .train_accuracy = e->accuracy,
                                        .validation_loss = NAN,
                                        .validation_accuracy = NAN,
                                        .rate = e->rate,
                                        .seconds = e->seconds,
                                        .restored = e->restored});
}

void ser_epochs_finish(ser_epochs *k)
{
    if (k->folder)
        write_waiting(k);
    if (k->lost || k->waiting.n)
        ser_run_tell(k->host, SER_RUN_WARNING,
                     "%s/history.jsonl could not be written: epochs are missing in it", k->folder);
}

void ser_epochs_close(ser_epochs *k)
{
    if (k->history)
        fclose(k->history);
    k->history = NULL;
    ser_text_release(&k->waiting);
}

#include "learn/honest.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

void ser_honest_release(ser_honest *h)
{
    for (size_t i = 0; i < SER_N_HONEST; i++) {
        ser_folds_free(&h->rows[i].folds);
        if (!h->rows[i].known)
            ser_evaluation_release(&h->rows[i].evaluation);
    }
    *h = (ser_honest){0};
}

static int at_most(size_t k, size_t n)
{
    return (int)(n >= 2 && n < k ? n : k);
}

static ser_protocol protocol_of(ser_honest_row *row, size_t i, const ser_corpus *corpus, size_t k)
{
    static const struct {
        const char *what, *prefix;
        ser_protocol_kind kind;
    } table[SER_N_HONEST] = {{"random folds", "kfold=", SER_PROTOCOL_KFOLD},
                             {"speakers left out", "group-kfold=", SER_PROTOCOL_GROUP_KFOLD},
                             {"sentences left out", "text-kfold=", SER_PROTOCOL_TEXT_KFOLD},
                             {"corpora left out", "loco", SER_PROTOCOL_LOCO}};
    ser_protocol p = {.kind = table[i].kind, .k = (int)k};
    if (i == SER_HONEST_SPEAKERS)
        p.k = at_most(k, corpus->n_speakers);
    if (i == SER_HONEST_TEXTS)
        p.k = at_most(k, corpus->n_texts);
    row->what = table[i].what;
    if (i == SER_HONEST_CORPORA)
        snprintf(row->protocol, sizeof row->protocol, "%s", table[i].prefix);
    else
        snprintf(row->protocol, sizeof row->protocol, "%s%d", table[i].prefix, p.k);
    return p;
}

static bool is_known(const ser_honest_known *known, const ser_protocol *protocol,
                     const ser_learn_settings *learn)
{
    return known && known->protocol.kind == protocol->kind &&
           (protocol->kind == SER_PROTOCOL_LOCO || known->protocol.k == protocol->k) &&
           known->speaker_disjoint == learn->speaker_disjoint &&
           known->corpus_disjoint == learn->corpus_disjoint;
}

/* The states' names are the row's own: the folds of two protocols are called alike. */
static ser_status evaluate_row(ser_honest_row *row, const ser_learn_data *data, const ser_protocol *protocol,
                               const ser_evaluate_settings *settings, const ser_honest_known *known,
                               ser_error *err)
{
    ser_evaluate_settings own = *settings;
    own.learn.speaker_disjoint =
        protocol->kind == SER_PROTOCOL_GROUP_KFOLD || protocol->kind == SER_PROTOCOL_LOCO;
    own.learn.corpus_disjoint = protocol->kind == SER_PROTOCOL_LOCO;
    if (is_known(known, protocol, &own.learn)) {
        row->known = true;
        row->evaluation = *known->evaluation;
        return SER_OK;
    }
    snprintf(row->prefix, sizeof row->prefix, "%s-", row->protocol);
    own.state_prefix = row->prefix;
    ser_status st = SER_OK;
    if (known && known->on_row)
        st = known->on_row(known->context, row->folds, row->prefix, err);
    if (st == SER_OK)
        st = ser_evaluate(&row->evaluation, data, row->folds, &own, err);
    return st == SER_OK ? st : ser_fail_within(err, st, "%s: ", row->what);
}

ser_status ser_honest_run(ser_honest *out, const ser_learn_data *data, int k,
                          const ser_evaluate_settings *settings, const ser_honest_known *known,
                          ser_error *err)
{
    ser_status st = k >= 2 ? SER_OK : ser_fail(err, SER_E_ARG, "%d folds: at least two are needed", k);
    *out = (ser_honest){0};
    for (size_t i = 0; i < SER_N_HONEST && st == SER_OK; i++) {
        ser_honest_row *row = &out->rows[i];
        const ser_protocol protocol = protocol_of(row, i, data->corpus, (size_t)k);
        ser_error why = {0};
        st = ser_folds_new(&row->folds, data->corpus, &protocol, settings->learn.seed, &why);
        if (st == SER_OK)
            st = evaluate_row(row, data, &protocol, settings, known, err);
        else if (st != SER_E_ARG)
            *err = why;
        if (st == SER_E_ARG && !row->folds) {
            snprintf(row->reason, sizeof row->reason, "%.199s", why.text);
            st = SER_OK;
        }
    }
    if (st != SER_OK)
        ser_honest_release(out);
    return st;
}

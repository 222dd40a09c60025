#include "learn/pack.h"
#include "base/memory.h"
#include "learn/kind.h"

#include <string.h>

static void put(ser_text *t, const void *bytes, size_t n)
{
    if (n)
        ser_text_append_n(t, bytes, n);
}

void ser_pack_read(ser_pack_reader *r, void *to, size_t n)
{
    if (r->failed || (size_t)(r->end - r->at) < n) {
        r->failed = true;
        memset(to, 0, n);
        return;
    }
    memcpy(to, r->at, n);
    r->at += n;
}

/* (n) items, allocated; NULL where they cannot be there. */
static void *read_array(ser_pack_reader *r, size_t n, size_t size)
{
    void *items = !r->failed && n <= (size_t)(r->end - r->at) / size ? ser_alloc(n, size) : NULL;
    r->failed = r->failed || !items;
    if (items)
        ser_pack_read(r, items, n * size);
    return items;
}

static ser_status verdict(const ser_pack_reader *r, ser_error *err)
{
    return r->failed ? ser_fail(err, SER_E_FORMAT, "what was learned is damaged, or of another version")
                     : SER_OK;
}

/* ---- a network ---- */

/* Fixed numbers of a network; epochs, mean, scale and values follow. */
typedef struct network_head {
    ser_timnet_shape shape;
    ser_condense condense;
    uint64_t blocks;
    size_t n_epochs, epoch_kept, n_train, n_validation, n_values;
    double validation_loss, validation_accuracy, validation_ua;
    float temperature;
    char note[256];
} network_head;

void ser_network_pack(ser_text *t, const ser_timnet_fit *fit, const ser_timnet_member *m)
{
    network_head h;
    memset(&h, 0, sizeof h);
    h.shape = m->net->shape;
    h.condense = m->condense;
    h.blocks = m->blocks;
    h.temperature = m->temperature;
    h.n_values = m->net->n_values;
    h.n_epochs = fit->n_epochs;
    h.epoch_kept = fit->epoch_kept;
    h.n_train = fit->n_train;
    h.n_validation = fit->n_validation;
    h.validation_loss = fit->validation_loss;
    h.validation_accuracy = fit->validation_accuracy;
    h.validation_ua = fit->validation_ua;
    memcpy(h.note, fit->note, sizeof h.note);
    put(t, &h, sizeof h);
    put(t, fit->history, fit->n_epochs * sizeof *fit->history);
    put(t, m->mean, h.shape.n_in * sizeof *m->mean);
    put(t, m->scale, h.shape.n_in * sizeof *m->scale);
    put(t, m->net->values, h.n_values * sizeof *m->net->values);
}

ser_status ser_network_unpack(ser_timnet_fit *fit, ser_timnet_member *m, ser_pack_reader *r, ser_error *err)
{
    network_head h;
    ser_pack_read(r, &h, sizeof h);
    *fit = (ser_timnet_fit){.n_epochs = h.n_epochs,
                            .epoch_kept = h.epoch_kept,
                            .n_train = h.n_train,
                            .n_validation = h.n_validation,
                            .validation_loss = h.validation_loss,
                            .validation_accuracy = h.validation_accuracy,
                            .validation_ua = h.validation_ua};
    memcpy(fit->note, h.note, sizeof fit->note);
    fit->note[sizeof fit->note - 1] = 0;
    fit->history = read_array(r, h.n_epochs, sizeof *fit->history);
    ser_status st = verdict(r, err);
    if (st == SER_OK && (h.n_values > (size_t)(r->end - r->at) / sizeof(float) || h.shape.n_in > h.n_values))
        st = ser_fail(err, SER_E_FORMAT, "what was learned is damaged");
    if (st == SER_OK)
        st = ser_timnet_member_init(m, &h.shape, err);
    if (st != SER_OK)
        return st;
    m->temperature = h.temperature;
    m->condense = h.condense;
    m->blocks = h.blocks;
    r->failed = r->failed || m->net->n_values != h.n_values;
    ser_pack_read(r, m->mean, h.shape.n_in * sizeof *m->mean);
    ser_pack_read(r, m->scale, h.shape.n_in * sizeof *m->scale);
    ser_pack_read(r, m->net->values, m->net->n_values * sizeof *m->net->values);
    return verdict(r, err);
}

/* ---- a head ---- */

static void pack_head(ser_text *t, const ser_head_fit *f)
{
    ser_head_fit plain = *f;
    const ser_linear *l = &f->head;
    plain.head.mean = plain.head.scale = plain.head.w = plain.head.bias = NULL;
    put(t, &plain, sizeof plain);
    put(t, l->mean, l->n_in * sizeof *l->mean);
    put(t, l->scale, l->n_in * sizeof *l->scale);
    put(t, l->w, l->n_in * l->n_labels * sizeof *l->w);
    put(t, l->bias, (l->n_in ? l->n_labels : 0) * sizeof *l->bias);
}

static ser_status unpack_head(ser_head_fit *f, ser_pack_reader *r, ser_error *err)
{
    ser_pack_read(r, f, sizeof *f);
    size_t n_in = f->head.n_in, n_labels = f->head.n_labels, n;
    float temperature = f->head.temperature;
    f->head = (ser_linear){0};
    r->failed = r->failed || n_labels > SER_MAX_LABELS || !ser_mul_size(&n, n_in, n_labels) ||
                n > (size_t)(r->end - r->at) / sizeof(float);
    ser_status st = verdict(r, err);
    if (st == SER_OK && n_in)
        st = ser_linear_init(&f->head, n_in, n_labels, err);
    if (st != SER_OK || !n_in)
        return st;
    f->head.temperature = temperature;
    ser_pack_read(r, f->head.mean, n_in * sizeof *f->head.mean);
    ser_pack_read(r, f->head.scale, n_in * sizeof *f->head.scale);
    ser_pack_read(r, f->head.w, n * sizeof *f->head.w);
    ser_pack_read(r, f->head.bias, n_labels * sizeof *f->head.bias);
    return verdict(r, err);
}

/* ---- all of it ---- */

/* Kinds by their place in the table: addresses are another process's. */
static uint64_t bits_of(const ser_learned *l)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < l->n_kinds; i++)
        for (size_t k = 0; ser_model_kinds()[k]; k++)
            bits |= (uint64_t)(l->kinds[i] == ser_model_kinds()[k]) << k;
    return bits;
}

void ser_learned_pack(ser_text *t, const ser_learned *l)
{
    const uint64_t numbers[] = {bits_of(l), l->has_linear, l->n_networks};
    put(t, numbers, sizeof numbers);
    pack_head(t, &l->linear);
    for (size_t i = 0; i < l->n_networks; i++)
        ser_network_pack(t, &l->networks[i], &l->members[i]);
}

ser_status ser_learned_unpack(ser_learned *l, ser_pack_reader *r, ser_error *err)
{
    uint64_t numbers[3];
    *l = (ser_learned){0};
    ser_pack_read(r, numbers, sizeof numbers);
    for (size_t k = 0; ser_model_kinds()[k]; k++)
        if (numbers[0] >> k & 1)
            l->kinds[l->n_kinds++] = ser_model_kinds()[k];
    l->has_linear = numbers[1] != 0;
    ser_status st = unpack_head(&l->linear, r, err);
    size_t n = numbers[2];
    if (st != SER_OK || !n)
        return st;
    if (n > (size_t)(r->end - r->at) / sizeof(network_head))
        return ser_fail(err, SER_E_FORMAT, "what was learned is damaged");
    l->networks = ser_alloc(n, sizeof *l->networks);
    l->members = ser_alloc(n, sizeof *l->members);
    if (!l->networks || !l->members)
        return ser_fail_nomem(err);
    l->n_networks = n;
    for (size_t i = 0; i < n && st == SER_OK; i++)
        st = ser_network_unpack(&l->networks[i], &l->members[i], r, err);
    return st;
}

#include "run/tuned.h"

/* The features were checked with the settings. */
static ser_status read_shape(ser_tune_shape *shape, const ser_tuned_wish *wish, ser_error *err)
{
    const ser_feature_part *part = &wish->features->spec.parts[0];
    if (part->n_layers > SER_TUNE_MAX_POOLED)
        return ser_fail(err, SER_E_ARG, "fine_tune: at most %d layers can be read", SER_TUNE_MAX_POOLED);
    shape->n_pooled = part->n_layers;
    for (size_t i = 0; i < part->n_layers; i++)
        shape->pooled[i] = part->layers[i];
    shape->from = wish->how->from;
    return SER_OK;
}

static void take_over(ser_fine_tune_settings *s, ser_crops_settings *crops, const ser_run_fine_tuning *how)
{
    s->head_alone = how->n_steps == 0;
    s->n_copies = (size_t)how->n_copies;
    s->n_soup = (size_t)how->n_soup;
    s->blend = how->blend;
    s->tune.rate = how->rate;
    s->tune.pull = how->pull;
    s->tune.lora_rank = (size_t)how->lora_rank;
    s->tune.lora_alpha = how->lora_alpha;
    crops->mixup = how->mixup;
    crops->corpus_exponent = how->balance;
    crops->neutral = how->neutral;
    crops->votes_share = how->votes;
    if (how->no_variety)
        crops->variety = (ser_variety){0};
}

static ser_status open_crops(ser_tuned *t, const ser_corpus *corpus, const ser_tuned_wish *wish,
                             ser_error *err)
{
    enum { PER_EPOCH = 100 };
    const ser_run_fine_tuning *how = wish->how;
    ser_encoder_info info;
    ser_fine_tune_settings *s = &t->source.settings;
    ser_encoder_get_info(t->encoders.items[0], &info);
    ser_crops_settings crops = ser_crops_default_settings();
    crops.max_samples = crops.max_samples < info.max_samples ? crops.max_samples : info.max_samples;
    s->max_answer = s->max_answer < info.max_samples ? s->max_answer : info.max_samples;
    crops.seed = wish->seed;
    crops.n_threads = wish->data->n_threads;
    crops.progress = &t->host->progress;
    take_over(s, &crops, how);
    s->tune.n_epochs = how->n_steps > PER_EPOCH ? (size_t)how->n_steps / PER_EPOCH : 1;
    s->tune.n_per_epoch = s->tune.batch_size * ((size_t)how->n_steps / s->tune.n_epochs);
    s->tune.seed = crops.seed;
    s->tune.micro_batch = (size_t)wish->micro_batch;
    s->tune.team = wish->team;
    s->tune.n_threads = wish->data->n_threads;
    s->tune.ops = t->ops;
    s->tune.progress = &t->host->progress;
    s->encoder = t->encoders.folders[0];
    t->source.on_epoch = wish->epochs ? ser_epochs_tell_tuning : NULL;
    t->source.context = wish->epochs;
    return ser_crops_new(&t->source.crops, corpus, &crops, err);
}

ser_status ser_tuned_open(ser_tuned *t, const ser_corpus *corpus, const ser_tuned_wish *wish,
                          const ser_run_host *host, ser_error *err)
{
    const ser_run_data *d = wish->data;
    *t = (ser_tuned){.host = host, .source = {.settings = ser_fine_tune_default_settings()}};
    ser_status st = read_shape(&t->source.settings.shape, wish, err);
    if (st == SER_OK)
        st = ser_encoders_open(&t->encoders, &wish->features->spec, d->encoders, d->n_encoders, d->engine,
                               d->precision, err);
    if (st == SER_OK)
        st = ser_nn_ops_new(&t->ops, d->engine, d->precision, err);
    return st == SER_OK ? open_crops(t, corpus, wish, err) : st;
}

void ser_tuned_close(ser_tuned *t)
{
    ser_crops_free(&t->source.crops);
    ser_nn_ops_free(&t->ops);
    ser_encoders_close(&t->encoders);
}

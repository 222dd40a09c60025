#include "io/json.h"
#include "learn/cross.h"
#include "report/escape.h"

#include <math.h>

static json_t *pair_json(const double x[2])
{
    return isfinite(x[0]) && isfinite(x[1]) ? json_pack("[f, f]", x[0], x[1]) : json_null();
}

static json_t *mapping_json(const ser_mapping *m)
{
    json_t *pairs = json_object();
    for (size_t s = 0; s < m->n_source; s++) {
        json_t *images = json_array();
        for (size_t t = 0; t < m->n_target; t++)
            if (ser_mapping_counts(m, s, t))
                ser_json_add(&images, ser_text_json(m->target_labels[t]));
        json_t *key = ser_text_json(m->source_labels[s]);
        ser_json_set(&pairs, json_string_value(key), images);
        json_decref(key);
    }
    return json_pack("{s:o, s:o}", "name", ser_text_json(m->name), "counts_as", pairs);
}

static json_t *shared_json(const ser_mapping *m)
{
    json_t *list = json_array();
    for (size_t k = 0; k < m->n_shared; k++)
        ser_json_add(&list, ser_text_json(m->target_labels[m->shared_target[k]]));
    return list;
}

static json_t *excluded_json(const ser_cross *c, const ser_mapping *m)
{
    json_t *counts = json_object();
    for (size_t t = 0; t < m->n_target; t++) {
        json_t *key = ser_text_json(m->target_labels[t]);
        if (c->per_class[t].excluded)
            ser_json_set(&counts, json_string_value(key), json_integer((json_int_t)c->per_class[t].support));
        json_decref(key);
    }
    return counts;
}

static json_t *classes_json(const ser_cross *c, const ser_mapping *m)
{
    json_t *list = json_array();
    for (size_t t = 0; t < m->n_target; t++) {
        const ser_cross_class *class = &c->per_class[t];
        json_t *object =
            json_pack("{s:o, s:I, s:o}", "label", ser_text_json(m->target_labels[t]), "n",
                      (json_int_t) class->support, "lenient", ser_number_json(100 * class->right));
        if (object && class->shared >= 0 && c->figures.per_class) {
            const ser_class_figures *f = &c->figures.per_class[class->shared];
            ser_json_update(&object, json_pack("{s:f, s:f, s:f}", "precision", 100 * f->precision, "recall",
                                               100 * f->recall, "f1", 100 * f->f1));
        }
        ser_json_add(&list, object);
    }
    return list;
}

json_t *ser_cross_json(const ser_cross *c, const ser_mapping *m)
{
    const ser_figures *f = &c->figures;
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:I, s:I, s:o, s:o, s:o}", "source",
                     ser_text_json(m->source), "target", ser_text_json(m->target), "mapping", mapping_json(m),
                     "ua_shared", ser_number_json(f->ua), "ua_shared_ci95", pair_json(f->ua_ci95),
                     "wa_shared", ser_number_json(f->wa), "f1_shared", ser_number_json(f->f1), "n_shared",
                     (json_int_t)f->n, "acc_lenient", ser_number_json(c->acc_lenient), "acc_lenient_ci95",
                     pair_json(c->lenient_ci95), "n_lenient", (json_int_t)c->n_lenient, "n_known",
                     (json_int_t)c->n_known, "shared_labels", shared_json(m), "excluded", excluded_json(c, m),
                     "per_class", classes_json(c, m));
}

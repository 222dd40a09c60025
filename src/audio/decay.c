#include "audio/decay.h"

#include <math.h>

/* Chosen on 32 recordings of EMO-DB, RAVDESS, CREMA-D and nEMO, as they are and in echoes of 0.3 to 1.5 s:
 * see docs/sound.md. */
static const double tolerance_db = 0.2; /* a descent may rise by that, since noise does */
static const double least_hops = 14, least_drop_db = 12;
static const double from_loudest_db = 30; /* it begins no further below the loudest */
static const double hop_s = (double)SER_DECAY_HOP / 16000;
static const double first_bin_s = 0.05, bins_per_octave = 8;
static const double fastest = 0.2; /* share of the hops in descents */

/* The descent from first_db to last_db is over. */
static void end_descent(ser_decay *d)
{
    double n = d->n, mean_t = (n - 1) / 2;
    if (n >= least_hops && d->first_db - d->last_db >= least_drop_db &&
        d->first_db > d->loudest_db - from_loudest_db) {
        double slope = (d->sum_ty - mean_t * d->sum_y) / (n * (n * n - 1) / 12); /* dB per hop */
        double bin = bins_per_octave * log2(-60 / slope * hop_s / first_bin_s);
        d->hops_in[(size_t)fmin(fmax(bin, 0), SER_DECAY_BINS - 1)] += n;
    }
    d->n = 0;
}

static void add_point(ser_decay *d, double db)
{
    d->sum_y = d->n > 0 ? d->sum_y + db : db;
    d->sum_ty = d->n > 0 ? d->sum_ty + d->n * db : 0;
    d->n++;
}

static void add_level(ser_decay *d, double db)
{
    if (d->n > 0 && db > d->last_db + tolerance_db)
        end_descent(d);
    if (d->n > 0)
        add_point(d, db);
    else if (d->begun && db < d->last_db) {
        d->first_db = d->last_db;
        add_point(d, d->last_db);
        add_point(d, db);
    }
    d->loudest_db = d->begun ? fmax(d->loudest_db, db) : db;
    d->last_db = db;
    d->begun = true;
}

void ser_decay_add(ser_decay *d, double mean_square)
{
    double sum = 0;
    d->hops[d->n_hops++ % SER_DECAY_SMOOTHED] = mean_square;
    for (size_t i = 0; i < SER_DECAY_SMOOTHED; i++)
        sum += d->hops[i];
    if (d->n_hops >= SER_DECAY_SMOOTHED)
        add_level(d, 10 * log10(sum / SER_DECAY_SMOOTHED + 1e-10));
}

double ser_decay_s(const ser_decay *d)
{
    ser_decay ended = *d;
    double sum = 0, below = 0;
    end_descent(&ended);
    for (size_t i = 0; i < SER_DECAY_BINS; i++)
        sum += ended.hops_in[i];
    for (size_t i = 0; i < SER_DECAY_BINS && sum > 0; i++) {
        below += ended.hops_in[i];
        if (below >= fastest * sum)
            return first_bin_s * exp2(((double)i + 0.5) / bins_per_octave);
    }
    return NAN;
}

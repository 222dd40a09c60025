#include "audio/room.h"
#include "audio/audio.h"

#include <math.h>
#include <string.h>

#define SPEED_OF_SOUND_M_PER_S 343.0

ser_room ser_room_at_random(ser_random *r)
{
    static const double longest_m[3] = {10, 8, 4}, shortest_m[3] = {2.5, 2.5, 2.2};
    enum { TRIES = 50 };
    const double from_wall_m = 0.3;
    ser_room room = {.decay_s = exp(ser_random_between(r, log(0.1), log(0.9)))};
    double distance_m = 0;
    for (int k = 0; k < 3; k++) {
        room.size_m[k] = ser_random_between(r, shortest_m[k], longest_m[k]);
        room.microphone_m[k] = ser_random_between(r, from_wall_m, room.size_m[k] - from_wall_m);
    }
    for (int i = 0; i < TRIES && (distance_m < 0.3 || distance_m > 3); i++) {
        double sum = 0;
        for (int k = 0; k < 3; k++) {
            double low = fmax(from_wall_m, room.microphone_m[k] - 2),
                   high = fmin(room.size_m[k] - from_wall_m, room.microphone_m[k] + 2);
            room.source_m[k] = ser_random_between(r, low, high);
            sum += pow(room.source_m[k] - room.microphone_m[k], 2);
        }
        distance_m = sqrt(sum);
    }
    return room;
}

/* The share of sound pressure that a wall gives back, so that the room has its decay (Eyring 1930). */
static double reflection(const ser_room *room)
{
    const double *s = room->size_m;
    double volume = s[0] * s[1] * s[2], surface = 2 * (s[0] * s[1] + s[0] * s[2] + s[1] * s[2]);
    double absorbed = 1 - exp(-0.161 * volume / (surface * room->decay_s));
    return sqrt(1 - absorbed);
}

/* Along one axis the images of the source lie at (1 - 2 q) source + 2 m size, reflected |m - q| + |m| times.
 */
typedef struct image {
    double offset_m; /* from the microphone */
    int n_reflections;
} image;

static image image_of(const ser_room *room, int axis, int i)
{
    int q = i & 1, m = (i - q) / 2;
    double at = (1 - 2 * q) * room->source_m[axis] + 2 * m * room->size_m[axis];
    return (image){at - room->microphone_m[axis], (m < 0 ? -m : m) + (m - q < 0 ? q - m : m - q)};
}

typedef struct echo {
    float *response;
    size_t n;
    double direct_m, samples_per_m;
    double kept[64]; /* kept[k]: what is left after k reflections */
} echo;

/* All images of one row along the third axis. */
static void add_row(const echo *e, const ser_room *room, const image *x, const image *y)
{
    double flat = x->offset_m * x->offset_m + y->offset_m * y->offset_m;
    double reach_m = e->direct_m + (double)e->n / e->samples_per_m;
    int farthest = (int)(reach_m / room->size_m[2]) + 2;
    for (int i = -farthest; i <= farthest; i++) {
        image z = image_of(room, 2, i);
        int n_reflections = x->n_reflections + y->n_reflections + z.n_reflections;
        if (n_reflections >= (int)(sizeof e->kept / sizeof *e->kept))
            continue;
        double distance_m = sqrt(flat + z.offset_m * z.offset_m),
               at = (distance_m - e->direct_m) * e->samples_per_m;
        if (!(at >= 0) || at >= (double)e->n - 1)
            continue;
        size_t sample = (size_t)at;
        double part = at - (double)sample, strength = e->kept[n_reflections] / fmax(distance_m, 0.01);
        e->response[sample] += (float)(strength * (1 - part)); /* between two samples: shared by both */
        e->response[sample + 1] += (float)(strength * part);
    }
}

void ser_room_response(float *response, size_t n, const ser_room *room)
{
    echo e = {.response = response, .n = n, .samples_per_m = SER_SAMPLE_RATE_HZ / SPEED_OF_SOUND_M_PER_S};
    double sum = 0, energy = 0, kept = 1, share = reflection(room);
    memset(response, 0, n * sizeof *response);
    for (int k = 0; k < 3; k++)
        sum += pow(room->source_m[k] - room->microphone_m[k], 2);
    e.direct_m = sqrt(sum);
    for (size_t k = 0; k < sizeof e.kept / sizeof *e.kept; k++, kept *= share)
        e.kept[k] = kept;
    double reach_m = e.direct_m + (double)n / e.samples_per_m;
    int nx = (int)(reach_m / room->size_m[0]) + 2, ny = (int)(reach_m / room->size_m[1]) + 2;
    for (int i = -nx; i <= nx; i++) {
        image x = image_of(room, 0, i);
        for (int j = -ny; fabs(x.offset_m) < reach_m && j <= ny; j++) {
            image y = image_of(room, 1, j);
            if (hypot(x.offset_m, y.offset_m) < reach_m)
                add_row(&e, room, &x, &y);
        }
    }
    for (size_t i = 0; i < n; i++)
        energy += (double)response[i] * (double)response[i];
    for (size_t i = 0; i < n && energy > 0; i++)
        response[i] *= (float)(1 / sqrt(energy));
}

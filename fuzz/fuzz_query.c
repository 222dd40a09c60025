/* What stands behind the '?', a part a line, for each route that takes one; the first byte says which, and
 * whether the head is a route's. */
#include "service.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    ser_service *s = fuzz_service(false);
    if (!n)
        return 0;
    ser_request *r = ser_request_new(s);
    char *text = (char *)fuzz_copy(data, n); /* the last byte becomes its end */
    if (!r)
        abort();
    text[n - 1] = 0;
    r->route = data[0] % 2 ? SER_ROUTE_PREDICT : SER_ROUTE_FEATURES;
    ser_route found = ser_route_of(text, strlen(text));
    if (found < SER_ROUTE_UNKNOWN && strcmp(ser_route_path(found), text) != 0)
        abort();
    bool fits = true;
    for (char *at = n > 1 ? text + 1 : NULL, *next; at && fits; at = next) {
        next = strchr(at, '\n');
        if (next)
            *next++ = 0;
        fits = ser_route_query(r, at);
    }
    if (fits != (r->status == 0) || r->model >= s->settings->n_models ||
        !(r->min_confidence >= 0 && r->min_confidence <= 1) ||
        (r->frames && r->route != SER_ROUTE_FEATURES) ||
        ((r->timeline || r->explain) && r->route == SER_ROUTE_FEATURES))
        abort();
    ser_request_release(r);
    free(text);
    return 0;
}

#include "serve/peers.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

/* There are at most as many as there may be connections, so that looking at each is soon done. */
ser_peer *ser_peer_of(ser_service *s, const char *address)
{
    for (size_t i = 0; i < s->n_peers; i++)
        if (strcmp(s->peers[i].address, address) == 0)
            return &s->peers[i];
    if (!ser_grow(&s->peers, &s->peers_capacity, s->n_peers + 1, sizeof *s->peers))
        return NULL;
    ser_peer *p = &s->peers[s->n_peers++];
    *p = (ser_peer){0};
    snprintf(p->address, sizeof p->address, "%s", address);
    return p;
}

void ser_peers_tidy(ser_service *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_peers; i++)
        if (s->peers[i].n_connections || s->peers[i].n_requests)
            s->peers[n++] = s->peers[i];
    s->n_peers = n;
}

/* How much each address has open: connections, and requests that are not answered yet. */
#ifndef SER_SERVE_PEERS_H
#define SER_SERVE_PEERS_H

#include "serve/service.h"

typedef struct ser_peer {
    char address[SER_ADDRESS_BYTES];
    int n_connections, n_requests;
} ser_peer;

/* The one of this address, made where there is none; NULL: out of memory. Valid until the next call. */
ser_peer *ser_peer_of(ser_service *s, const char *address);
/* Forgets those that have nothing open. */
void ser_peers_tidy(ser_service *s);

#endif

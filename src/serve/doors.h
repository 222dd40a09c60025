/* The sockets on which the service listens. They are its own and not libwebsockets', which binds to every
 * address of the machine where it is given one of IPv4 and knows IPv6, and which takes one connection a turn
 * of its loop once it refuses some. */
#ifndef SER_SERVE_DOORS_H
#define SER_SERVE_DOORS_H

#include "base/status.h"
#include <stdbool.h>

enum { SER_MAX_DOORS = 8, SER_ADDRESS_BYTES = 46 };

typedef struct ser_doors {
    int fds[SER_MAX_DOORS], n; /* one for each address that the host's name has */
    int port;
} ser_doors;

/* host: a name or an address; "::" is every address of the machine, IPv4 too. port 0: any that is free.
 * SER_E_IO: it is taken, or the address is not there. */
ser_status ser_doors_open(ser_doors *d, const char *host, int port, ser_error *err);
void ser_doors_close(ser_doors *d);

/* The next connection that waits at fd, and from which address it comes, as a number; -1: none does. */
int ser_door_accept(int fd, char address[SER_ADDRESS_BYTES]);
/* Its client has closed the connection, or its own side of it. */
bool ser_door_is_gone(int fd);

#endif

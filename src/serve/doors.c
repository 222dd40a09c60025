#include "serve/doors.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_WAITING = 4096 }; /* connections that nobody has taken yet; the kernel may allow fewer */

typedef union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage room;
} address;

static void set_port(address *a, int port)
{
    if (a->any.sa_family == AF_INET6)
        a->v6.sin6_port = htons((uint16_t)port);
    else
        a->v4.sin_port = htons((uint16_t)port);
}

static int port_of(int fd)
{
    address a = {0};
    socklen_t n = sizeof a;
    if (getsockname(fd, &a.any, &n) != 0)
        return 0;
    return ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
}

/* The socket, or -1, and errno says why. */
static int listen_on(const address *a, socklen_t n)
{
    int yes = 1, only_v6 = a->any.sa_family != AF_INET6 || !IN6_IS_ADDR_UNSPECIFIED(&a->v6.sin6_addr);
    int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes); /* what is accepted inherits it */
    if (a->any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof only_v6);
    if (bind(fd, &a->any, n) == 0 && listen(fd, MAX_WAITING) == 0)
        return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

static ser_status tell(int reason, const char *host, int port, ser_error *err)
{
    return ser_fail(err, SER_E_IO, "cannot listen on %s, port %d: %s", host, port,
                    reason == EADDRINUSE      ? "the port is taken: name another with --port"
                    : reason == EADDRNOTAVAIL ? "the address is not one of this machine's"
                                              : strerror(reason));
}

static ser_status open_all(ser_doors *d, const struct addrinfo *found, const char *host, ser_error *err)
{
    int reason = EAFNOSUPPORT;
    for (const struct addrinfo *i = found; i && d->n < SER_MAX_DOORS; i = i->ai_next) {
        address a = {0};
        if (i->ai_addrlen > sizeof a || (i->ai_family != AF_INET && i->ai_family != AF_INET6))
            continue;
        memcpy(&a, i->ai_addr, i->ai_addrlen);
        set_port(&a, d->port);
        int fd = listen_on(&a, i->ai_addrlen);
        if (fd >= 0) {
            d->fds[d->n++] = fd;
            d->port = port_of(fd);
            continue;
        }
        reason = errno;
        if (reason != EADDRNOTAVAIL && reason != EAFNOSUPPORT) /* "localhost" where there is no IPv6 */
            return tell(reason, host, d->port, err);
    }
    return d->n ? SER_OK : tell(reason, host, d->port, err);
}

ser_status ser_doors_open(ser_doors *d, const char *host, int port, ser_error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    *d = (ser_doors){.port = port};
    int problem = getaddrinfo(host, NULL, &hints, &found);
    if (problem)
        return ser_fail(err, SER_E_IO, "--host %s: %s", host, gai_strerror(problem));
    ser_status st = open_all(d, found, host, err);
    freeaddrinfo(found);
    if (st != SER_OK)
        ser_doors_close(d);
    return st;
}

void ser_doors_close(ser_doors *d)
{
    for (int i = 0; i < d->n; i++)
        if (d->fds[i] >= 0)
            close(d->fds[i]);
    d->n = 0;
}

int ser_door_accept(int fd, char text[SER_ADDRESS_BYTES])
{
    static const char mapped[] = "::ffff:"; /* IPv4, where "::" is listened on */
    address a = {0};
    socklen_t n = sizeof a;
    int taken;
    do
        taken = accept4(fd, &a.any, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (taken < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (taken < 0)
        return -1;
    const void *number =
        a.any.sa_family == AF_INET6 ? (const void *)&a.v6.sin6_addr : (const void *)&a.v4.sin_addr;
    if (!inet_ntop(a.any.sa_family, number, text, SER_ADDRESS_BYTES))
        *text = 0;
    if (strncmp(text, mapped, sizeof mapped - 1) == 0 && strchr(text, '.'))
        memmove(text, text + sizeof mapped - 1, strlen(text) + 1 - (sizeof mapped - 1));
    return taken;
}

bool ser_door_is_gone(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

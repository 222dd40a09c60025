#include "base/sha256.h"

void ser_sha256_init(ser_sha256 *h)
{
    SHA256Init(&h->context);
}

void ser_sha256_add(ser_sha256 *h, const void *bytes, size_t n)
{
    SHA256Update(&h->context, bytes, n);
}

void ser_sha256_finish(ser_sha256 *h, char hex[65])
{
    SHA256End(&h->context, hex);
}

void ser_sha256_of(char hex[65], const void *bytes, size_t n)
{
    SHA256Data(bytes, n, hex);
}

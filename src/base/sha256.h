/* SHA-256 (FIPS 180-4), by libmd. */
#ifndef SER_BASE_SHA256_H
#define SER_BASE_SHA256_H

#include <sha2.h>
#include <stddef.h>

typedef struct ser_sha256 {
    SHA2_CTX context;
} ser_sha256;

void ser_sha256_init(ser_sha256 *h);
void ser_sha256_add(ser_sha256 *h, const void *bytes, size_t n);
/* 64 lower-case hexadecimal digits and a final 0. */
void ser_sha256_finish(ser_sha256 *h, char hex[65]);
/* All at once. */
void ser_sha256_of(char hex[65], const void *bytes, size_t n);

#endif

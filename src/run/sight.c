#include "run/sight.h"
#include "base/sha256.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool ser_sight_takes(size_t i, size_t n)
{
    enum { MANY = 256 };
    return n <= MANY || i * MANY / n != (i + 1) * MANY / n;
}

static void look_at(char hex[65], const char *path)
{
    enum { STRETCH = 1 << 16 };
    char bytes[STRETCH];
    struct stat info;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    memcpy(hex, "none", sizeof "none");
    if (file >= 0 && fstat(file, &info) == 0 && S_ISREG(info.st_mode)) {
        int64_t size = (int64_t)info.st_size;
        ser_sha256 h;
        ser_sha256_init(&h);
        ser_sha256_add(&h, &size, sizeof size);
        ssize_t n = pread(file, bytes, sizeof bytes, 0);
        ser_sha256_add(&h, bytes, n > 0 ? (size_t)n : 0);
        n = size > STRETCH ? pread(file, bytes, sizeof bytes, info.st_size - STRETCH) : 0;
        ser_sha256_add(&h, bytes, n > 0 ? (size_t)n : 0);
        ser_sha256_finish(&h, hex);
    }
    if (file >= 0)
        close(file);
}

void ser_sight_add(ser_text *t, const char *name, const char *path)
{
    char hex[65];
    size_t start = t->n;
    look_at(hex, path);
    ser_text_append(t, name);
    for (size_t i = start; i < t->n && !t->failed; i++)
        if (iscntrl((unsigned char)t->s[i]))
            t->s[i] = '?';
    ser_text_appendf(t, "\t%s\n", hex);
}

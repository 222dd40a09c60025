#include "base/sha256.h"
#include "serve/service.h"

#include <stdlib.h>
#include <string.h>

/* assets.S */
extern const char ser_asset_page[], ser_asset_page_end[], ser_asset_worklet[], ser_asset_worklet_end[],
    ser_asset_openapi[], ser_asset_openapi_end[];

const char *ser_serve_asset(ser_route route, size_t *n, const char **type)
{
    switch (route) {
    case SER_ROUTE_WORKLET:
        *n = (size_t)(ser_asset_worklet_end - ser_asset_worklet);
        *type = "text/javascript; charset=utf-8";
        return ser_asset_worklet;
    case SER_ROUTE_OPENAPI:
        *n = (size_t)(ser_asset_openapi_end - ser_asset_openapi);
        *type = "application/json";
        return ser_asset_openapi;
    default:
        *n = (size_t)(ser_asset_page_end - ser_asset_page);
        *type = "text/html; charset=utf-8";
        return ser_asset_page;
    }
}

/* 'sha256-...' as a Content-Security-Policy writes it: base64 (RFC 4648) of the hash of what stands between
 * the tags. */
static void append_hash(ser_text *t, const char *begin, const char *end)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *from = strstr(ser_asset_page, begin) + strlen(begin), *to = strstr(from, end);
    char hex[65];
    unsigned char bytes[33] = {0};
    ser_sha256_of(hex, from, (size_t)(to - from));
    for (int i = 0; i < 32; i++) {
        const char pair[3] = {hex[2 * i], hex[2 * i + 1]};
        bytes[i] = (unsigned char)strtol(pair, NULL, 16);
    }
    ser_text_append(t, "'sha256-");
    for (int i = 0; i < 33; i += 3) {
        unsigned x = (unsigned)bytes[i] << 16 | (unsigned)bytes[i + 1] << 8 | bytes[i + 2];
        ser_text_appendf(t, "%c%c%c%c", digits[x >> 18], digits[x >> 12 & 63], digits[x >> 6 & 63],
                         i == 30 ? '=' : digits[x & 63]); /* 32 bytes: one short of whole threes */
    }
    ser_text_append(t, "'");
}

void ser_serve_page_policy(ser_text *t)
{
    ser_text_append(t, "default-src 'none'; script-src 'self' ");
    append_hash(t, "<script>", "</script>");
    ser_text_append(t, "; style-src ");
    append_hash(t, "<style>", "</style>");
    ser_text_append(
        t, "; img-src data: blob:; media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
           "frame-ancestors 'none'");
}

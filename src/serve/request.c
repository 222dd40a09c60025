#include "base/memory.h"
#include "report/escape.h"
#include "serve/service.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>

ser_request *ser_request_new(ser_service *s)
{
    uint64_t number = 0;
    ser_request *r = ser_alloc(1, sizeof *r);
    if (!r)
        return NULL;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        number = (uint64_t)(uintptr_t)r;
    snprintf(r->id, sizeof r->id, "%016llx", (unsigned long long)number);
    r->service = s;
    r->min_confidence = s->settings->min_confidence;
    r->type = "application/json";
    atomic_init(&r->n_holders, 1);
    atomic_init(&r->abandoned, false);
    return r;
}

void ser_request_release(ser_request *r)
{
    if (!r || atomic_fetch_sub(&r->n_holders, 1) != 1)
        return;
    atomic_fetch_sub(&r->service->n_upload_bytes, r->capacity);
    ser_free(r->body);
    ser_free(r->uploads);
    ser_decoded_release(&r->sound);
    ser_text_release(&r->text);
    ser_free(r);
}

ser_status ser_request_grow(ser_request *r, size_t n)
{
    size_t before = r->capacity, wanted = n;
    if (n <= before)
        return SER_OK;
    if (n < 2 * before) /* by doubling, up to what was announced */
        wanted = 2 * before < r->n_expected ? 2 * before : r->n_expected;
    if (atomic_load(&r->service->n_upload_bytes) + (wanted - before) >
            r->service->settings->limits.upload_bytes ||
        !ser_grow(&r->body, &r->capacity, wanted, 1))
        return SER_E_NOMEM;
    atomic_fetch_add(&r->service->n_upload_bytes, r->capacity - before);
    return SER_OK;
}

void ser_request_fail(ser_request *r, int status, const char *type, const char *format, ...)
{
    char message[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    r->status = status;
    r->fixed = NULL;
    r->type = "application/json";
    ser_text_clear(&r->text);
    ser_text_appendf(&r->text, "{\"error\": {\"code\": %d, \"message\": ", status);
    ser_append_json(&r->text, message);
    ser_text_append(&r->text, ", \"type\": ");
    ser_append_json(&r->text, type);
    ser_text_appendf(&r->text, "}, \"request_id\": \"%s\"}\n", r->id);
}

#include "base/memory.h"
#include "base/sniff.h"
#include "encoder/kind.h"
#include "io/json.h"

#include <string.h>

ser_status ser_config_parse(json_t **out, const char *text, ser_error *err)
{
    json_error_t why;
    if (ser_json_load(out, text, strlen(text), JSON_REJECT_DUPLICATES, &why) == SER_E_NOMEM)
        return ser_fail_nomem(err);
    if (json_is_object(*out))
        return SER_OK;
    const char *advice = ser_pointer_advice(text, strlen(text));
    if (advice) {
        json_decref(*out);
        *out = NULL;
        return ser_fail(err, SER_E_FORMAT, "%s", advice);
    }
    bool other = *out;
    json_decref(*out);
    *out = NULL;
    return ser_fail(err, SER_E_FORMAT, "it is no JSON object (%s): fetch it again",
                    other ? "something else" : why.text);
}

ser_status ser_config_read(json_t **out, const char *folder, const char *name, ser_error *err)
{
    *out = NULL;
    char *path = ser_io_join(folder, name);
    if (!path)
        return ser_fail_nomem(err);
    ser_bytes bytes = {0};
    ser_status status = ser_io_read(&bytes, path, SER_MAX_CONFIG_BYTES, err);
    if (status == SER_OK)
        status = ser_config_parse(out, (const char *)bytes.data, err);
    if (status != SER_OK)
        ser_fail_within(err, status, "%s: ", name);
    ser_bytes_release(&bytes);
    ser_free(path);
    return status;
}

/* The object of a file that may be missing: NULL then. */
static ser_status read_optional(json_t **out, const char *folder, const char *name, ser_error *err)
{
    ser_error inner = {0};
    ser_status status = ser_config_read(out, folder, name, &inner);
    if (status == SER_E_IO)
        return SER_OK;
    if (status != SER_OK && err)
        *err = inner;
    return status;
}

ser_status ser_config_read_inputs(json_t **out, const char **name, const char *folder, ser_error *err)
{
    *name = "preprocessor_config.json";
    ser_status status = read_optional(out, folder, *name, err);
    if (status != SER_OK || *out)
        return status;
    *name = "processor_config.json";
    json_t *processor;
    status = read_optional(&processor, folder, *name, err);
    if (status != SER_OK)
        return status;
    *out = json_incref(json_object_get(processor, "feature_extractor"));
    json_decref(processor);
    if (!*out || json_is_object(*out))
        return SER_OK;
    json_decref(*out);
    *out = NULL;
    return ser_fail(err, SER_E_FORMAT, "%s: 'feature_extractor' is no object: fetch it again", *name);
}

ser_status ser_config_size(size_t *out, const json_t *config, const char *key, size_t minimum, size_t maximum,
                           ser_error *err)
{
    const json_t *value = json_object_get(config, key);
    if (!json_is_integer(value))
        return ser_fail(err, SER_E_FORMAT, "'%s' is %s: fetch it again", key,
                        value ? "no whole number" : "missing");
    json_int_t number = json_integer_value(value);
    if (number < (json_int_t)minimum || number > (json_int_t)maximum)
        return ser_fail(err, SER_E_UNSUPPORTED, "'%s' is %" JSON_INTEGER_FORMAT ": %zu to %zu can be handled",
                        key, number, minimum, maximum);
    *out = (size_t)number;
    return SER_OK;
}

#include "base/memory.h"
#include "encoder/kind.h"

ser_status ser_config_parse(json_t **out, const char *text, ser_error *err)
{
    json_error_t why;
    *out = json_loads(text, JSON_REJECT_DUPLICATES, &why);
    if (json_is_object(*out))
        return SER_OK;
    bool no_memory = !*out && json_error_code(&why) == json_error_out_of_memory;
    bool other = *out;
    json_decref(*out);
    *out = NULL;
    if (no_memory)
        return ser_fail_nomem(err);
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

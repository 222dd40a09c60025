#include "serve/service.h"

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

/* The files that the service hands out. */
#include "base/asset.inc"

    asset ser_asset_page, SER_SERVE_PAGE
    asset ser_asset_worklet, SER_SERVE_WORKLET
    asset ser_asset_openapi, SER_SERVE_OPENAPI

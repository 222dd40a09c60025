/* The parts of an export that are the same for every model. */
#include "base/asset.inc"

    asset ser_export_c99_source, SER_EXPORT_C99_SOURCE
    asset ser_export_c99_header, SER_EXPORT_C99_HEADER
    asset ser_export_licence, SER_EXPORT_LICENCE
    asset ser_export_notice, SER_EXPORT_NOTICE

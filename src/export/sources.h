/* What of an export is the same for every model: assets.S. */
#ifndef SER_EXPORT_SOURCES_H
#define SER_EXPORT_SOURCES_H

extern const char ser_export_c99_source[], ser_export_c99_source_end[], ser_export_c99_header[],
    ser_export_c99_header_end[], ser_export_licence[], ser_export_licence_end[], ser_export_notice[];

#endif

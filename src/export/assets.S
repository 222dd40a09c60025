/* The parts of an export that are the same for every model. */
    .section .rodata
    .macro asset name, file
    .global ser_export_\name
    .hidden ser_export_\name
    .global ser_export_\name\()_end
    .hidden ser_export_\name\()_end
ser_export_\name:
    .incbin "\file"
ser_export_\name\()_end:
    .byte 0
    .endm
    asset c99_source, SER_EXPORT_C99_SOURCE
    asset c99_header, SER_EXPORT_C99_HEADER
    asset licence, SER_EXPORT_LICENCE
    asset notice, SER_EXPORT_NOTICE
    .section .note.GNU-stack,"",%progbits

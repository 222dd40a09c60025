/* The files that the service hands out, as they are. */
    .section .rodata
    .macro asset name, file
    .global ser_asset_\name
    .hidden ser_asset_\name
    .global ser_asset_\name\()_end
    .hidden ser_asset_\name\()_end
ser_asset_\name:
    .incbin "\file"
ser_asset_\name\()_end:
    .byte 0
    .endm
    asset page, SER_SERVE_PAGE
    asset worklet, SER_SERVE_WORKLET
    asset openapi, SER_SERVE_OPENAPI
    .section .note.GNU-stack,"",%progbits

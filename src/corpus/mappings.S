/* Puts the mapping tables into the program as they are. */
    .section .rodata
    .global ser_mapping_emodb_ravdess_start
    .hidden ser_mapping_emodb_ravdess_start
    .global ser_mapping_emodb_ravdess_end
    .hidden ser_mapping_emodb_ravdess_end
    .global ser_mapping_ravdess_emodb_start
    .hidden ser_mapping_ravdess_emodb_start
    .global ser_mapping_ravdess_emodb_end
    .hidden ser_mapping_ravdess_emodb_end
ser_mapping_emodb_ravdess_start:
    .incbin SER_MAPPING_EMODB_RAVDESS
ser_mapping_emodb_ravdess_end:
    .byte 0
ser_mapping_ravdess_emodb_start:
    .incbin SER_MAPPING_RAVDESS_EMODB
ser_mapping_ravdess_emodb_end:
    .byte 0
    .section .note.GNU-stack,"",%progbits

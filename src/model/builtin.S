/* Puts the model file into the program as it is: the linker maps it, nothing is parsed at build time. */
    .section .rodata
    .balign 64
    .global ser_builtin_model_start
    .hidden ser_builtin_model_start
    .global ser_builtin_model_end
    .hidden ser_builtin_model_end
ser_builtin_model_start:
    .incbin SER_BUILTIN_MODEL_FILE
ser_builtin_model_end:
    .byte 0
    .section .note.GNU-stack,"",%progbits

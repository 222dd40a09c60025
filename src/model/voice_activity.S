/* Puts the weights of voice_network.c into the program as they are; see builtin.S. */
    .section .rodata
    .balign 64
    .global ser_voice_weights_start
    .hidden ser_voice_weights_start
    .global ser_voice_weights_end
    .hidden ser_voice_weights_end
ser_voice_weights_start:
    .incbin SER_VOICE_WEIGHTS_FILE
ser_voice_weights_end:
    .byte 0
    .section .note.GNU-stack,"",%progbits

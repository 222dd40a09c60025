/* For assembly: puts a file into the program as it is, as NAME and, a zero byte, NAME_end. */
    .macro asset name, file
    .section .rodata
    .balign 64
    .global \name
    .hidden \name
    .global \name\()_end
    .hidden \name\()_end
\name:
    .incbin "\file"
\name\()_end:
    .byte 0
    .section .note.GNU-stack,"",%progbits
    .endm

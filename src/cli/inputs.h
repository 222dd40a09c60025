/* The recordings that the arguments of a command name: files, folders, standard input. */
#ifndef SER_CLI_INPUTS_H
#define SER_CLI_INPUTS_H

#include "base/text.h"

typedef struct ser_input {
    char *path;      /* to open it: "-" is standard input */
    char *name;      /* to show: the argument, or argument/relative path */
    size_t relative; /* where the path relative to the argument begins in name; 0: it is no folder */
} ser_input;

typedef struct ser_inputs {
    ser_input *items;
    size_t n, capacity;
    size_t n_skipped; /* files in folders that are not audio by their content, the first few by name */
    ser_text skipped;
    size_t n_need_ffmpeg;  /* recordings in folders that only it would read, which is not installed */
    ser_text kinds;        /* theirs: "M4A, AAC" */
    size_t n_folder_links; /* links to folders, in folders: they are not followed */
} ser_inputs;

/* A folder is searched recursively, in byte order of the relative path, hidden files left alone.
 * SER_E_FORMAT: a folder without any audio. What is audio and cannot be read, a link that leads nowhere and
 * is named as audio, is an input: opening it tells the user why. */
ser_status ser_inputs_add(ser_inputs *inputs, const char *argument, ser_error *err);
void ser_inputs_release(ser_inputs *inputs);

#endif

/* What of the program needs libraries that an answer of 'ser predict' does not: pictures, spreadsheets,
 * Keras's files, microphones, downloads, the service, MPI. It lies in ser-extras.so, with those libraries,
 * seventy of ninety, and is loaded when something of it is called for the first time, so that no other start
 * of the program waits for them. Callers do not notice: extras_calls.c has functions of the same names, which
 * hand on. */
#ifndef SER_CLI_EXTRAS_H
#define SER_CLI_EXTRAS_H

#include "audio/microphone.h"
#include "keras/weights.h"
#include "net/pull.h"
#include "report/formats.h"
#include "report/pictures.h"
#include "run/ranks.h"
#include "serve/serve.h"

#include <stdio.h>

/* The functions, by name. */
#define SER_EXTRAS(ROW)                                                                                      \
    ROW(ser_picture_append)                                                                                  \
    ROW(ser_picture_save)                                                                                    \
    ROW(ser_spreadsheet_save)                                                                                \
    ROW(ser_run_page_save)                                                                                   \
    ROW(ser_keras_weights_write)                                                                             \
    ROW(ser_microphone_open)                                                                                 \
    ROW(ser_microphone_close)                                                                                \
    ROW(ser_microphone_rate_hz)                                                                              \
    ROW(ser_microphone_name)                                                                                 \
    ROW(ser_microphone_read)                                                                                 \
    ROW(ser_microphone_list)                                                                                 \
    ROW(ser_pull_model)                                                                                      \
    ROW(ser_pull_corpus)                                                                                     \
    ROW(ser_serve)                                                                                           \
    ROW(ser_ranks_open)                                                                                      \
    ROW(ser_ranks_team)                                                                                      \
    ROW(ser_ranks_go_on)                                                                                     \
    ROW(ser_ranks_set_handler)                                                                               \
    ROW(ser_ranks_note)                                                                                      \
    ROW(ser_ranks_close)

#define SER_EXTRAS_MEMBER_(name) __typeof__(name) *name;
typedef struct ser_extras {
    SER_EXTRAS(SER_EXTRAS_MEMBER_)
} ser_extras;

/* Version, and sizes of what goes to and fro: in a build folder both may be of one version, and one of them
 * older. */
enum { SER_EXTRAS_BUILD_SIZE = 256 };
static inline void ser_extras_build(char text[SER_EXTRAS_BUILD_SIZE])
{
    snprintf(text, SER_EXTRAS_BUILD_SIZE, "%s %zu %zu %zu %zu %zu %zu %zu %zu %zu %zu", SER_VERSION,
             sizeof(ser_extras), sizeof(ser_error), sizeof(ser_text), sizeof(ser_run_report),
             sizeof(ser_curves_picture), sizeof(ser_timeline_picture), sizeof(ser_timnet), sizeof(ser_team),
             sizeof(ser_pull_settings), sizeof(ser_serve_settings));
}

/* The one symbol of ser-extras.so, by this name. model (n_bytes): the one that is built into the program, so
 * that it lies there once. build: the program's, as above; NULL where the file is of another. */
typedef const ser_extras *ser_extras_get_function(const char *build, const void *model, size_t n_bytes);
#define SER_EXTRAS_GET ser_extras_get

/* Loads it now, for a command that will call something of it at the end of its work: by then it may have been
 * replaced. */
ser_status ser_extras_check(ser_error *err);

#endif

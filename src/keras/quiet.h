/* libhdf5 as this folder uses it: quiet, so that a failure is told once, in our own words; and on files in
 * memory. */
#ifndef SER_KERAS_QUIET_H
#define SER_KERAS_QUIET_H

#include <hdf5.h>
#include <stdio.h>

/* What the calling thread's libhdf5 did with its error stack before; give it back with ser_hdf5_restore. */
typedef struct ser_hdf5_voice {
    H5E_auto2_t print;
    void *context;
} ser_hdf5_voice;

static inline ser_hdf5_voice ser_hdf5_silence(void)
{
    ser_hdf5_voice voice = {0};
    H5Eget_auto2(H5E_DEFAULT, &voice.print, &voice.context);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return voice;
}

static inline void ser_hdf5_restore(ser_hdf5_voice voice)
{
    H5Eset_auto2(H5E_DEFAULT, voice.print, voice.context);
}

/* A name for a file in memory. libhdf5 refuses one that some file on the disk has, and takes two open files
 * of one name for the same: no file lies below /dev/null, and no two callers have the same address. */
typedef struct ser_hdf5_name {
    char text[64];
} ser_hdf5_name;

static inline ser_hdf5_name ser_hdf5_name_for(const void *caller)
{
    ser_hdf5_name name;
    snprintf(name.text, sizeof name.text, "/dev/null/%p", caller);
    return name;
}

#endif

/* libhdf5 as this folder uses it: quiet, so that a failure is told once, in our own words. */
#ifndef SER_KERAS_QUIET_H
#define SER_KERAS_QUIET_H

#include <hdf5.h>

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

#endif

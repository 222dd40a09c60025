/* Pictures of a run folder, each as NAME.png and NAME.svg. */
#ifndef SER_RUN_PICTURES_H
#define SER_RUN_PICTURES_H

#include "report/map.h"
#include "report/pictures.h"
#include "report/run_report.h"

ser_status ser_run_picture_save(const char *folder, const char *name, ser_picture_kind kind,
                                const void *picture, ser_error *err);

/* The usual ones of a run: confusion and, where there are epochs, the curves of loss and accuracy. */
ser_status ser_run_pictures_save(const char *folder, const ser_run_report *r, ser_error *err);

#endif

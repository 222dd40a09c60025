/* The emotion over time as other tools read it: Praat, ELAN, Audacity, players' subtitles, diarisation's
 * RTTM, audformat. Times are whole milliseconds, rounded once, so that neighbours meet; pauses are left out,
 * but in a TextGrid, where they are intervals without text. */
#ifndef SER_REPORT_ANNOTATION_H
#define SER_REPORT_ANNOTATION_H

#include "report/prediction.h"

typedef enum ser_annotation {
    SER_ANNOTATION_TEXTGRID,
    SER_ANNOTATION_EAF,
    SER_ANNOTATION_RTTM,
    SER_ANNOTATION_WEBVTT,
    SER_ANNOTATION_SRT,
    SER_ANNOTATION_AUDACITY,
    SER_ANNOTATION_AUDFORMAT,
    SER_N_ANNOTATIONS
} ser_annotation;

#define SER_ANNOTATION_WORDS "textgrid|eaf|rttm|webvtt|srt|audacity|audformat"

/* SER_N_ANNOTATIONS for a word that is none of them. */
ser_annotation ser_annotation_from_name(const char *name);
/* What files of it end with: ".TextGrid". */
const char *ser_annotation_suffix(ser_annotation kind);
/* Whether one file holds several recordings. */
bool ser_annotation_joins(ser_annotation kind);

/* What a file begins with before its first recording; then each recording whole. file: as its name is to
 * stand there. */
void ser_annotation_begin(ser_text *t, ser_annotation kind, const ser_prediction_form *form);
void ser_annotation_append(ser_text *t, ser_annotation kind, const ser_prediction_form *form,
                           const char *file, const ser_result *r);

#endif

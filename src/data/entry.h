/* The files of one recording in a feature tree: <utterance>.npy, which holds its frames, and
 * index/<utterance>.safetensors, which holds what else is needed to do without the recording. */
#ifndef SER_DATA_ENTRY_H
#define SER_DATA_ENTRY_H

#include "corpus/fingerprint.h"
#include "data/buffer.h"

typedef struct ser_tree_entry {
    ser_fingerprint *fingerprint;
    char sha256[65];      /* of the decoded samples */
    char file_sha256[65]; /* of the recording's file, or what stands for a stretch of it: ser_sound.content */
    char parameters[65];  /* ser_tree_parameters_key of the tree it was made for */
    size_t n_samples;
    ser_frame_buffer frames; /* dims: set before reading */
} ser_tree_entry;

/* Errors begin with the path of the file at fault. SER_E_FORMAT: another type, order or size than its header
 * says, than dims and the other file say, or a value that is not finite. */
ser_status ser_tree_entry_read(ser_tree_entry *out, size_t dims, const char *folder, const char *utterance,
                               ser_error *err);
/* The .npy first: where the second file is, both are whole. */
ser_status ser_tree_entry_write(const ser_tree_entry *entry, const char *folder, const char *utterance,
                                ser_error *err);
void ser_tree_entry_release(ser_tree_entry *entry);

/* FOLDER/<utterance>.npy and FOLDER/index/<utterance>.safetensors; NULL: out of memory. */
char *ser_tree_npy_path(const char *folder, const char *utterance);
char *ser_tree_facts_path(const char *folder, const char *utterance);

#endif

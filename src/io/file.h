/* Files: whole into memory, mapped, and outputs that appear under their final name only when whole. */
#ifndef SER_IO_FILE_H
#define SER_IO_FILE_H

#include "base/status.h"
#include <stdbool.h>
#include <stdio.h>
#include <sys/statvfs.h>

/* A file's bytes: mapped read-only where the system allows, so that opening a large file copies nothing. */
typedef struct ser_bytes {
    const unsigned char *data;
    size_t n;
    bool mapped; /* else allocated */
} ser_bytes;

/* SER_E_IO when it cannot be read; SER_E_FORMAT when it is no regular file or larger than n_max bytes (0: no
 * limit). */
ser_status ser_io_map(ser_bytes *out, const char *path, size_t n_max, ser_error *err);
/* The same as an own copy, with a 0 behind the last byte: for text. */
ser_status ser_io_read(ser_bytes *out, const char *path, size_t n_max, ser_error *err);
void ser_bytes_release(ser_bytes *b); /* zeroes *b */
/* Lets go of the memory behind n bytes at data, which lie in *b, where that is a mapped file: they are read
 * from it again when somebody asks. */
void ser_bytes_forget(const ser_bytes *b, const void *data, size_t n);

/* An output under a temporary name beside the final one. Write to .file, then commit, which checks every
 * write so far, flushes to the disk and renames; abort (also fine after commit, and on a zeroed struct)
 * removes it. */
typedef struct ser_output {
    FILE *file;
    char *path, *temporary_path;
    bool unsynced; /* for one of many files: commit does not wait for the disk, see ser_io_sync */
} ser_output;

#define SER_TEMPORARY_PREFIX ".ser-" /* a killed process may leave such files behind */
ser_status ser_output_open(ser_output *out, const char *path, ser_error *err);
ser_status ser_output_commit(ser_output *out, ser_error *err);
void ser_output_abort(ser_output *out);

/* All of the above in one call. */
ser_status ser_io_write(const char *path, const void *bytes, size_t n, ser_error *err);

/* Waits until all that was written to the folder's file system is on the disk: once, behind many files, where
 * each of them would wait for as long. Until then a power failure may take a file, or leave it empty. */
ser_status ser_io_sync(const char *folder, ser_error *err);

/* Waits until the name of path, which was just renamed, is on the disk. */
ser_status ser_io_sync_name(const char *path, ser_error *err);

/* Makes a folder and those above it; fine when it is there. */
ser_status ser_io_make_folder(const char *path, ser_error *err);

/* That of a file, whose path has a '/' in it. */
ser_status ser_io_make_folder_of(const char *path, ser_error *err);

/* Bytes that a disk has left; INFINITY where it does not count them (a tmpfs without a limit, some network
 * file systems): then writing will tell. */
double ser_io_room(const struct statvfs *disk);

/* "folder/name", or name when it is absolute or folder is empty; NULL when out of memory; free with ser_free.
 */
char *ser_io_join(const char *folder, const char *name);

/* Every regular file below folder, relative to it, in byte order of the relative path; links to folders are
 * not followed; folders that may not be read are an error. Free with ser_io_free_list. */
ser_status ser_io_list_files(char ***paths, size_t *n_paths, const char *folder, ser_error *err);
void ser_io_free_list(char **paths, size_t n_paths);

/* The same, and what is no file now: links that lead nowhere, links to folders, and folders that may not be
 * read, but for hidden ones and lost+found. All relative to folder, in byte order. A zeroed struct is empty.
 */
typedef struct ser_io_listing {
    char **files, **dangling, **folder_links, **closed;
    size_t n_files, n_dangling, n_folder_links, n_closed;
} ser_io_listing;

/* It or a folder that it lies in begins with a dot: what systems and programs keep beside people's files
 * (._1.wav, .git/annex/objects/...). */
bool ser_io_is_hidden(const char *relative);

ser_status ser_io_list(ser_io_listing *out, const char *folder, ser_error *err);
/* Fails where a folder may not be read. */
ser_status ser_io_check_closed(const ser_io_listing *l, const char *folder, ser_error *err);
void ser_io_listing_release(ser_io_listing *l);

/* There is a variable or a home that names one. */
bool ser_io_has_cache(void);

/* ${XDG_CACHE_HOME:-~/.cache}/ser/NAME; NULL when there is neither variable nor home, or no memory. */
char *ser_io_cache_folder(const char *name);

#endif

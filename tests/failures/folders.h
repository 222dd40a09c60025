/* What a call left, against what it leaves where nothing fails. */
#ifndef SER_TESTS_FOLDERS_H
#define SER_TESTS_FOLDERS_H

#include <stdbool.h>

/* Removes a file, or a folder with all in it. */
void folder_clear(const char *path);

/* Every file of folder is whole: the same bytes as in reference where those do not hang on the time, else not
 * cut off; and no temporary file is left. complete: all of reference is there. Says on stderr what is not so.
 */
bool folder_is_whole(const char *folder, const char *reference, bool complete);

#endif

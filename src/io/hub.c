#include "io/hub.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* HUB/models--OWNER--NAME/ */
static void append_model_folder(ser_text *t, const char *name)
{
    const char *home = getenv("HF_HOME");
    if (home && *home)
        ser_text_append(t, home);
    else
        ser_text_appendf(t, "%s/.cache/huggingface", getenv("HOME") ? getenv("HOME") : "");
    ser_text_append(t, "/hub/models--");
    for (const char *c = name; *c; c++)
        ser_text_append_n(t, *c == '/' ? "--" : c, *c == '/' ? 2 : 1);
    ser_text_append(t, "/");
}

ser_status ser_hub_find(char **folder, const char *name, ser_error *err)
{
    enum { MAX_REVISION = 200 };
    ser_text path = {0};
    ser_bytes revision = {0};
    ser_status st;
    *folder = NULL;
    append_model_folder(&path, name);
    size_t n_root = path.n;
    ser_text_append(&path, "refs/main");
    st = path.failed ? ser_fail_nomem(err) : ser_io_read(&revision, path.s, MAX_REVISION, err);
    if (st == SER_OK) {
        path.n = n_root;
        size_t n = strcspn((const char *)revision.data, " \r\n");
        ser_text_append(&path, "snapshots/");
        ser_text_append_n(&path, (const char *)revision.data, n);
        st = path.failed ? ser_fail_nomem(err) : access(path.s, R_OK) == 0 ? SER_OK : SER_E_IO;
    }
    if (st == SER_OK)
        *folder = path.s;
    else
        ser_text_release(&path);
    ser_bytes_release(&revision);
    return st == SER_OK || st == SER_E_NOMEM
               ? st
               : ser_fail(err, SER_E_IO,
                          "%s is not in the model cache: name the folder of a checkpoint with --encoder",
                          name);
}

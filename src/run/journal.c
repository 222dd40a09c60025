#include "run/journal.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/memory.h"
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_MARKS = 1 << 28, TOO_OFTEN = 2 };
static const char RANK[] = "rank-", IDENTITY[] = "identity", CRASHES[] = "crashes", ANSWERS[] = "answers",
                  RUN[] = "run", LOCK[] = ".lock", BEGIN[] = "begin ", END[] = "end ", STOP[] = "stop";

/* A recording at which a run ended. */
typedef struct crash {
    char *name;
    int n, rank; /* how often; the last rank */
} crash;

struct ser_journal {
    const ser_team *team;
    char *folder;
    int marks; /* this rank's file; -1: not open */
    ser_lock lock;
    bool locked;
    FILE *answers; /* rank 0 */
    crash *crashes;
    size_t n_crashes, capacity;
    ser_watch watch;
};

/* What stands before each kept answer. */
typedef struct record {
    uint64_t item, n, checksum; /* of the bytes that follow */
} record;

static uint64_t checksum(const record *r, const void *bytes)
{
    const unsigned char *b = bytes;
    uint64_t h = (0xcbf29ce484222325u ^ r->item) * 0x100000001b3u ^ r->n; /* FNV-1a */
    for (size_t i = 0; i < r->n; i++)
        h = (h ^ b[i]) * 0x100000001b3u;
    return h;
}

/* ---- crashes ---- */

static crash *find(const ser_journal *j, const char *name, size_t n)
{
    for (size_t i = 0; i < j->n_crashes; i++)
        if (strncmp(j->crashes[i].name, name, n) == 0 && !j->crashes[i].name[n])
            return &j->crashes[i];
    return NULL;
}

static ser_status add_crash(ser_journal *j, int rank, const char *name, size_t n, ser_error *err)
{
    crash *c = find(j, name, n);
    if (!c) {
        if (!ser_grow(&j->crashes, &j->capacity, j->n_crashes + 1, sizeof *j->crashes))
            return ser_fail_nomem(err);
        c = &j->crashes[j->n_crashes];
        if (!(c->name = ser_strndup(name, n)))
            return ser_fail_nomem(err);
        j->n_crashes++;
    }
    c->n++;
    c->rank = rank;
    return SER_OK;
}

/* Whether the file of this name, n characters, was written after that time: it may have been repaired. */
static bool is_newer(const char *name, size_t n, const struct timespec *than)
{
    struct stat info;
    char *path = ser_strndup(name, n);
    bool there = path && stat(path, &info) == 0;
    ser_free(path);
    return there && (info.st_mtim.tv_sec > than->tv_sec ||
                     (info.st_mtim.tv_sec == than->tv_sec && info.st_mtim.tv_nsec > than->tv_nsec));
}

/* Lines "RANK NAME". */
static ser_status read_crashes(ser_journal *j, ser_error *err)
{
    ser_bytes bytes = {0};
    struct stat info;
    char *path = ser_io_join(j->folder, CRASHES);
    ser_status st = path ? SER_OK : ser_fail_nomem(err);
    if (st == SER_OK && stat(path, &info) == 0)
        st = ser_io_read(&bytes, path, MAX_MARKS, err);
    for (const char *line = (const char *)bytes.data; st == SER_OK && line && *line;) {
        size_t n = strcspn(line, "\n"), n_rank = strspn(line, "0123456789");
        if (n_rank && n_rank < n && line[n_rank] == ' ' &&
            !is_newer(line + n_rank + 1, n - n_rank - 1, &info.st_mtim))
            st = add_crash(j, atoi(line), line + n_rank + 1, n - n_rank - 1, err);
        line += n + (line[n] == '\n');
    }
    ser_bytes_release(&bytes);
    ser_free(path);
    return st;
}

static ser_status write_crashes(const ser_journal *j, ser_error *err)
{
    ser_text t = {0};
    for (size_t i = 0; i < j->n_crashes; i++)
        for (int k = 0; k < j->crashes[i].n; k++)
            ser_text_appendf(&t, "%d %s\n", j->crashes[i].rank, j->crashes[i].name);
    char *path = t.failed ? NULL : ser_io_join(j->folder, CRASHES);
    ser_status st = path ? ser_io_write(path, t.s ? t.s : "", t.n, err) : ser_fail_nomem(err);
    ser_free(path);
    ser_text_release(&t);
    return st;
}

static int journal_crashes(void *journal, const char *name, ser_error *why)
{
    const ser_journal *j = journal;
    const crash *c = find(j, name, strlen(name));
    if (c && c->n >= TOO_OFTEN)
        ser_fail(why, SER_E_FORMAT,
                 "reading it ended the program %d times (the last time rank %d): it is set aside until it is "
                 "changed",
                 c->n, c->rank);
    return c ? c->n : 0;
}

/* ---- marks of the run before ---- */

static bool line_is(const char *line, size_t n, const char *key, const char *name, size_t n_name)
{
    size_t n_key = strlen(key);
    return n == n_key + n_name && strncmp(line, key, n_key) == 0 && strncmp(line + n_key, name, n_name) == 0;
}

/* Whether what begins before at has its end after it. */
static bool is_ended(const char *at, const char *name, size_t n_name)
{
    for (; *at; at += strcspn(at, "\n"), at += *at == '\n')
        if (line_is(at, strcspn(at, "\n"), END, name, n_name))
            return true;
    return false;
}

/* What a rank had begun when it ended without having been asked to. Marks of a rank are few: each end of a
 * recording leaves those behind that were begun before, so that only the last ones are looked at. */
static ser_status find_culprits(ser_journal *j, const ser_journal_settings *s, int rank, const char *marks,
                                ser_error *err)
{
    ser_status st = SER_OK;
    const char *stop = strstr(marks, STOP);
    if (stop && (stop == marks || stop[-1] == '\n') && stop[strlen(STOP)] == '\n')
        return SER_OK;
    for (const char *line = marks; *line && st == SER_OK;) {
        size_t n = strcspn(line, "\n"), n_key = strlen(BEGIN);
        const char *after = line + n + (line[n] == '\n'), *name = line + n_key;
        if (strncmp(line, BEGIN, n_key) == 0 && n > n_key && line[n] && !is_ended(after, name, n - n_key)) {
            st = add_crash(j, rank, name, n - n_key, err);
            ser_text t = {0};
            ser_text_appendf(
                &t, "%.*s: rank %d of the run before ended at it%s", (int)(n - n_key), name, rank,
                st == SER_OK && find(j, name, n - n_key)->n < TOO_OFTEN ? ": it is tried once more, alone"
                                                                        : ", and not for the first time");
            if (s->tell && !t.failed)
                s->tell(s->context, t.s);
            ser_text_release(&t);
        }
        line = after;
    }
    return st;
}

static ser_status read_marks(ser_journal *j, const ser_journal_settings *s, const char *name, ser_error *err)
{
    ser_bytes bytes = {0};
    char *path = ser_io_join(j->folder, name);
    ser_status st = path ? ser_io_read(&bytes, path, MAX_MARKS, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = find_culprits(j, s, atoi(name + strlen(RANK)), (const char *)bytes.data, err);
    ser_bytes_release(&bytes);
    ser_free(path);
    return st;
}

/* Crashes are noted before the marks that tell of them go. */
static ser_status look_back(ser_journal *j, const ser_journal_settings *s, ser_error *err)
{
    char **files = NULL;
    size_t n_files = 0;
    ser_status st = read_crashes(j, err);
    if (st == SER_OK)
        st = ser_io_list_files(&files, &n_files, j->folder, err);
    for (size_t i = 0; i < n_files && st == SER_OK; i++)
        if (strncmp(files[i], RANK, strlen(RANK)) == 0)
            st = read_marks(j, s, files[i], err);
    if (st == SER_OK && j->n_crashes)
        st = write_crashes(j, err);
    for (size_t i = 0; i < n_files && st == SER_OK; i++) {
        char *path = strncmp(files[i], RANK, strlen(RANK)) == 0 ? ser_io_join(j->folder, files[i]) : NULL;
        if (path)
            unlink(path);
        ser_free(path);
    }
    ser_io_free_list(files, n_files);
    return st;
}

/* ---- marking ---- */

/* Line by line whole: the file is written by this rank alone, and a line by one call. */
static void mark(const ser_journal *j, const char *key, const char *name)
{
    ser_text t = {0};
    if (j->marks < 0)
        return;
    ser_text_appendf(&t, "%s%s", key, name);
    for (size_t i = 0; i < t.n && !t.failed; i++)
        t.s[i] = t.s[i] == '\n' ? '?' : t.s[i];
    ser_text_append(&t, "\n");
    if (!t.failed && write(j->marks, t.s, t.n) < 0)
        t.failed = true; /* a full disk is told by who needs its bytes */
    ser_text_release(&t);
}

static void journal_begin(void *journal, const char *name)
{
    mark(journal, BEGIN, name);
}

static void journal_end(void *journal, const char *name)
{
    mark(journal, END, name);
}

static void journal_stop(void *journal)
{
    mark(journal, STOP, "");
}

const ser_watch *ser_journal_watch(const ser_journal *j)
{
    return j ? &j->watch : NULL;
}

/* ---- closing ---- */

static void remove_file(const ser_journal *j, const char *name)
{
    char *path = ser_io_join(j->folder, name);
    if (path)
        unlink(path);
    ser_free(path);
}

static void remove_all(const ser_journal *j)
{
    char **files = NULL;
    size_t n_files = 0;
    if (ser_io_list_files(&files, &n_files, j->folder, NULL) == SER_OK)
        for (size_t i = 0; i < n_files; i++)
            if (strncmp(files[i], RANK, strlen(RANK)) == 0)
                remove_file(j, files[i]);
    ser_io_free_list(files, n_files);
    remove_file(j, ANSWERS);
    remove_file(j, CRASHES);
    remove_file(j, IDENTITY);
    remove_file(j, RUN);
    remove_file(j, LOCK);
    rmdir(j->folder);
}

void ser_journal_close(ser_journal **journal, bool done)
{
    ser_journal *j = *journal;
    if (!j)
        return;
    if (!done)
        journal_stop(j);
    if (j->marks >= 0)
        close(j->marks);
    if (j->answers)
        fclose(j->answers);
    /* Nobody's file is open any more when it goes. */
    done = done && ser_team_meet(j->team, NULL) == SER_OK;
    if (done && ser_team_is_first(j->team))
        remove_all(j);
    ser_lock_release(&j->lock, NULL);
    for (size_t i = 0; i < j->n_crashes; i++)
        ser_free(j->crashes[i].name);
    ser_free(j->crashes);
    ser_free(j->folder);
    ser_free(j);
    *journal = NULL;
}

/* It cannot be used; nor can it, as it is, be of use to another run. */
static void leave(ser_journal **journal)
{
    const ser_journal *j = *journal;
    if (ser_team_is_first(j->team) && j->locked)
        remove_all(j);
    ser_journal_close(journal, false);
}

/* ---- opening ---- */

/* Answers of another job are of no use for this one. */
static ser_status check_identity(const ser_journal *j, const ser_journal_settings *s, ser_error *err)
{
    ser_bytes bytes = {0};
    char *path = ser_io_join(j->folder, IDENTITY);
    bool there = path && ser_io_read(&bytes, path, 4096, NULL) == SER_OK,
         same = there && strcmp((const char *)bytes.data, s->identity) == 0;
    ser_status st = path ? SER_OK : ser_fail_nomem(err);
    if (there && !same) {
        remove_file(j, ANSWERS);
        if (s->tell)
            s->tell(s->context,
                    "the run before was of other recordings, options or processors: nothing of it is used");
    }
    if (st == SER_OK && !same)
        st = ser_io_write(path, s->identity, strlen(s->identity), err);
    ser_bytes_release(&bytes);
    ser_free(path);
    return st;
}

static ser_status open_first(ser_journal *j, const ser_journal_settings *s, ser_error *err)
{
    ser_status st = ser_io_make_folder(j->folder, err);
    char *lock = ser_io_join(j->folder, LOCK), *answers = ser_io_join(j->folder, ANSWERS);
    if (st == SER_OK && (!lock || !answers))
        st = ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_lock_try(&j->lock, &j->locked, lock, err);
    if (st == SER_OK && !j->locked)
        st = ser_fail(err, SER_E_IO, "%s: another process is at work on it: wait for it", s->output);
    if (st == SER_OK)
        st = check_identity(j, s, err);
    if (st == SER_OK)
        st = look_back(j, s, err);
    if (st == SER_OK && !(j->answers = fopen(answers, "a+be")))
        st = ser_fail(err, SER_E_IO, "%s: it cannot be written (%s)", answers, strerror(errno));
    ser_free(lock);
    ser_free(answers);
    return st;
}

/* Whether the folder that this rank sees is that of rank 0, and not one that a run left here: rank 0 writes
 * into it what no other run has. */
static ser_status check_shared(const ser_journal *j, ser_status st, ser_error *err)
{
    char host[64] = "";
    ser_text run = {0};
    ser_bytes seen = {0};
    char *path = ser_io_join(j->folder, RUN);
    gethostname(host, sizeof host - 1);
    if (st == SER_OK && !path)
        st = ser_fail_nomem(err);
    if (ser_team_is_first(j->team)) {
        ser_text_appendf(&run, "%s %ld %.9f", host, (long)getpid(), ser_clock_s());
        if (st == SER_OK)
            st = run.failed ? ser_fail_nomem(err) : ser_io_write(path, run.s, run.n, err);
        if (st != SER_OK)
            ser_text_clear(&run); /* the others wait for it */
    }
    ser_status shared = ser_team_share(j->team, &run, err);
    st = st == SER_OK ? shared : st;
    if (st == SER_OK && (ser_io_read(&seen, path, 4096, NULL) != SER_OK ||
                         strcmp((const char *)seen.data, run.n ? run.s : "") != 0))
        st = ser_fail(err, SER_E_IO,
                      "%s: it is not what rank 0 wrote: it must lie in a folder that all ranks share",
                      j->folder);
    ser_bytes_release(&seen);
    ser_text_release(&run);
    ser_free(path);
    return st;
}

static ser_status open_marks(ser_journal *j, ser_error *err)
{
    char *path = ser_format("%s/%s%d", j->folder, RANK, j->team ? j->team->rank : 0);
    j->marks = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
    ser_status st = path ? SER_OK : ser_fail_nomem(err);
    if (st == SER_OK && j->marks < 0)
        st = ser_fail(err, SER_E_IO,
                      "%s: it cannot be written (%s): it must lie in a folder that all ranks share", path,
                      strerror(errno));
    ser_free(path);
    return st;
}

bool ser_journal_is_wanted(const ser_journal_settings *s)
{
    char *folder = ser_format("%s.journal", s->output);
    bool there = folder && access(folder, F_OK) == 0;
    ser_free(folder);
    return there || s->team;
}

ser_status ser_journal_open(ser_journal **out, const ser_journal_settings *s, ser_error *err)
{
    char *folder = ser_format("%s.journal", s->output);
    ser_journal *j = *out = folder ? ser_alloc(1, sizeof *j) : NULL;
    if (!j) {
        ser_free(folder);
        return ser_fail_nomem(err);
    }
    *j = (ser_journal){.team = s->team, .folder = folder, .marks = -1, .lock = {-1}};
    j->watch = (ser_watch){journal_begin, journal_end, journal_stop, journal_crashes, j};
    ser_status st = ser_team_is_first(s->team) ? open_first(j, s, err) : SER_OK;
    st = check_shared(j, st, err);
    if (st == SER_OK)
        st = open_marks(j, err);
    if (s->optional && s->team) { /* all or none have one */
        ser_status own = st;
        st = s->team->compare(s->team->context, "journals", own == SER_OK ? "" : "none", NULL);
        if (st == SER_E_FORMAT || (st == SER_OK && own != SER_OK)) {
            leave(out);
            return SER_OK;
        }
    }
    if (st != SER_OK)
        ser_journal_close(out, false);
    return st;
}

/* ---- answers ---- */

ser_status ser_journal_answers(ser_journal *j,
                               ser_status (*take)(void *context, size_t item, const void *answer, size_t n,
                                                  ser_error *err),
                               void *context, ser_error *err)
{
    enum { MAX_ANSWER = 1 << 28 };
    record r;
    long whole = 0;
    ser_status st = SER_OK;
    rewind(j->answers);
    while (st == SER_OK && fread(&r, sizeof r, 1, j->answers) == 1 && r.n <= MAX_ANSWER) {
        char *bytes = ser_alloc((size_t)r.n, 1);
        bool read = bytes && (!r.n || fread(bytes, (size_t)r.n, 1, j->answers) == 1) &&
                    checksum(&r, bytes) == r.checksum;
        if (!bytes)
            st = ser_fail_nomem(err);
        else if (read && take(context, (size_t)r.item, bytes, (size_t)r.n, err) == SER_E_NOMEM)
            st = SER_E_NOMEM;
        ser_free(bytes);
        if (!read)
            break;
        whole = ftell(j->answers);
    }
    /* What a killed process left half written goes, so that what follows can be read. */
    if (st == SER_OK && ftruncate(fileno(j->answers), whole) != 0)
        st = ser_fail(err, SER_E_IO, "%s: it cannot be written (%s)", j->folder, strerror(errno));
    fseek(j->answers, 0, SEEK_END);
    return st;
}

ser_status ser_journal_keep(ser_journal *j, size_t item, const void *answer, size_t n, ser_error *err)
{
    record r = {.item = item, .n = n};
    r.checksum = checksum(&r, answer);
    if (fwrite(&r, sizeof r, 1, j->answers) == 1 && (!n || fwrite(answer, n, 1, j->answers) == 1) &&
        fflush(j->answers) == 0)
        return SER_OK;
    return ser_fail(err, SER_E_IO, "%s: it cannot be written (%s): free some space", j->folder,
                    strerror(errno));
}

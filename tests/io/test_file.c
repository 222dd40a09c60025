#include "base/memory.h"
#include "failures/failing.h"
#include "io/file.h"
#include "scratch.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void test_reading(void)
{
    ser_error err = {0};
    ser_bytes b;
    scratch_put("five", "hello", 5);
    scratch_put("empty", "", 0);
    CHECK_OK(ser_io_map(&b, scratch("five"), 5, &err), &err);
    CHECK(b.n == 5 && memcmp(b.data, "hello", 5) == 0 && b.mapped);
    ser_bytes_release(&b);
    CHECK(!b.data && !b.n);
    CHECK_OK(ser_io_read(&b, scratch("five"), 0, &err), &err);
    CHECK(b.n == 5 && strcmp((const char *)b.data, "hello") == 0 && !b.mapped);
    ser_bytes_release(&b);
    CHECK_OK(ser_io_map(&b, scratch("empty"), 0, &err), &err);
    CHECK(b.n == 0 && b.data);
    ser_bytes_release(&b);
    CHECK_FAILS(ser_io_map(&b, scratch("five"), 4, &err), SER_E_FORMAT, &err, "has 5 bytes");
    CHECK_FAILS(ser_io_read(&b, scratch("missing"), 0, &err), SER_E_IO, &err, "No such file");
    CHECK_FAILS(ser_io_read(&b, scratch("five/x"), 0, &err), SER_E_IO, &err, "check the path");
    CHECK_FAILS(ser_io_map(&b, scratch_folder, 0, &err), SER_E_FORMAT, &err, "folder");
    CHECK_FAILS(ser_io_map(&b, "/dev/zero", 0, &err), SER_E_FORMAT, &err, "no regular file");
    CHECK(mkfifo(scratch("pipe"), 0600) == 0); /* must not wait for a writer */
    CHECK_FAILS(ser_io_map(&b, scratch("pipe"), 0, &err), SER_E_FORMAT, &err, "no regular file");
    failing_at(0);
    CHECK_FAILS(ser_io_read(&b, scratch("five"), 0, &err), SER_E_NOMEM, &err, "memory");
}

static bool has_content(const char *name, const char *content)
{
    ser_bytes b;
    bool good =
        ser_io_read(&b, scratch(name), 0, NULL) == SER_OK && strcmp((const char *)b.data, content) == 0;
    ser_bytes_release(&b);
    return good;
}

static void test_output(void)
{
    ser_error err = {0};
    ser_output out = {0};
    ser_output_abort(&out); /* a zeroed struct is fine */
    CHECK_OK(ser_io_make_folder(scratch("out"), &err), &err);
    CHECK_OK(ser_io_write(scratch("out/file"), "first", 5, &err), &err);
    CHECK(has_content("out/file", "first"));

    CHECK_OK(ser_output_open(&out, scratch("out/file"), &err), &err);
    fprintf(out.file, "sec");
    fflush(out.file);
    CHECK(has_content("out/file", "first") && scratch_count("out") == 2);
    ser_output_abort(&out);
    CHECK(has_content("out/file", "first") && scratch_count("out") == 1);

    CHECK_OK(ser_output_open(&out, scratch("out/file"), &err), &err);
    fprintf(out.file, "second");
    CHECK_OK(ser_output_commit(&out, &err), &err);
    ser_output_abort(&out); /* fine after commit */
    CHECK(has_content("out/file", "second") && scratch_count("out") == 1);

    mode_t mask = umask(027);
    struct stat st;
    CHECK_OK(ser_io_write(scratch("out/mode"), "", 0, &err), &err);
    CHECK(stat(scratch("out/mode"), &st) == 0 && (st.st_mode & 0777) == 0640 && st.st_size == 0);
    umask(mask);

    char name[300] = "out/"; /* longer than any file system's */
    memset(name + 4, 'x', 290);
    CHECK_OK(ser_output_open(&out, scratch(name), &err), &err);
    CHECK_FAILS(ser_output_commit(&out, &err), SER_E_IO, &err, "its name is too long for this file system");

    /* Two outputs of one name at a time; the later commit wins. */
    ser_output other;
    CHECK_OK(ser_output_open(&out, scratch("out/file"), &err), &err);
    CHECK_OK(ser_output_open(&other, scratch("out/file"), &err), &err);
    fprintf(out.file, "a");
    fprintf(other.file, "b");
    CHECK_OK(ser_output_commit(&out, &err), &err);
    CHECK_OK(ser_output_commit(&other, &err), &err);
    CHECK(has_content("out/file", "b") && scratch_count("out") == 2);

    CHECK_OK(ser_output_open(&out, scratch("out/file"), &err), &err);
    out.unsynced = true;
    fprintf(out.file, "one of many");
    CHECK_OK(ser_output_commit(&out, &err), &err);
    CHECK_OK(ser_io_sync(scratch("out"), &err), &err);
    CHECK(has_content("out/file", "one of many") && scratch_count("out") == 2);
    CHECK_FAILS(ser_io_sync(scratch("nowhere"), &err), SER_E_IO, &err, "No such file");
    CHECK_FAILS(ser_io_sync(scratch("out/file"), &err), SER_E_IO, &err, "Not a directory");

    char longest[400] = "out/";
    memset(longest + 4, 'n', 255); /* NAME_MAX */
    longest[4 + 255] = 0;
    CHECK_OK(ser_io_write(scratch(longest), "x", 1, &err), &err);
    CHECK(has_content(longest, "x"));
}

static void test_output_kinds(void)
{
    ser_error err = {0};
    CHECK_OK(ser_io_make_folder(scratch("kinds"), &err), &err);
    CHECK_OK(ser_io_write(scratch("kinds/target"), "old", 3, &err), &err);
    CHECK(symlink("target", scratch("kinds/link")) == 0);
    CHECK_OK(ser_io_write(scratch("kinds/link"), "new", 3, &err), &err);
    struct stat st;
    CHECK(has_content("kinds/target", "new") && lstat(scratch("kinds/link"), &st) == 0 &&
          S_ISLNK(st.st_mode));

    CHECK_FAILS(ser_io_write(scratch("kinds/none/file"), "x", 1, &err), SER_E_IO, &err,
                "folder does not exist");
    CHECK_FAILS(ser_io_write(scratch("kinds/target/file"), "x", 1, &err), SER_E_IO, &err,
                "folder does not exist");
    CHECK_FAILS(ser_io_write(scratch("kinds"), "x", 1, &err), SER_E_IO, &err, "is a folder");
    CHECK_FAILS(ser_io_write(scratch("kinds/new/"), "x", 1, &err), SER_E_IO, &err, "is a folder");
    CHECK_FAILS(ser_io_write("", "x", 1, &err), SER_E_IO, &err, "does not exist");

    /* A device is written to, not replaced by a file. */
    CHECK_OK(ser_io_write("/dev/null", "x", 1, &err), &err);
    CHECK(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode));
    CHECK_FAILS(ser_io_write("/dev/full", "x", 1, &err), SER_E_IO, &err, "No space left");
    static char megabyte[1 << 20]; /* more than stdio's buffer: the write itself fails, not the flush */
    CHECK_FAILS(ser_io_write("/dev/full", megabyte, sizeof megabyte, &err), SER_E_IO, &err,
                "cannot be written");
    CHECK(stat("/dev/full", &st) == 0 && S_ISCHR(st.st_mode));

    /* What was opened and is removed since, by the name that /dev/stdout points to. */
    char content[8] = "", itself[64];
    int removed = open(scratch("kinds/removed"), O_RDWR | O_CREAT, 0600);
    snprintf(itself, sizeof itself, "/proc/self/fd/%d", removed);
    CHECK(removed >= 0 && unlink(scratch("kinds/removed")) == 0 &&
          symlink(itself, scratch("kinds/stdout")) == 0);
    int n_before = scratch_count("kinds");
    CHECK_OK(ser_io_write(scratch("kinds/stdout"), "told", 4, &err), &err);
    CHECK(pread(removed, content, sizeof content, 0) == 4 && strcmp(content, "told") == 0);
    CHECK(lstat(scratch("kinds/stdout"), &st) == 0 && S_ISLNK(st.st_mode) &&
          scratch_count("kinds") == n_before);
    close(removed);

    for (long n = 0; n < 3; n++) {
        failing_at(n);
        ser_status status = ser_io_write(scratch("kinds/memory"), "x", 1, &err);
        CHECK(status == (n < 2 ? SER_E_NOMEM : SER_OK));
        CHECK((access(scratch("kinds/memory"), F_OK) == 0) == (status == SER_OK));
    }
    failing_at(-1);
}

enum { NOBODY = 65534, NOT_POSSIBLE = 77 };

/* In a process of its own, as somebody who may not search the folder above, so that the file there has no
 * full name: how it ends. */
static int write_without_full_name(void)
{
    ser_output out;
    if (chdir(scratch("hidden/own")) != 0 || chmod("..", 0) != 0 ||
        (getuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) != 0) || realpath("file", NULL) ||
        errno != EACCES)
        return NOT_POSSIBLE;
    if (ser_output_open(&out, "file", NULL) != SER_OK || fprintf(out.file, "never whole") < 0)
        return 1;
    ser_bytes b = {0};
    fflush(out.file);
    bool kept = ser_io_read(&b, "file", 0, NULL) == SER_OK && strcmp((const char *)b.data, "old") == 0;
    ser_bytes_release(&b);
    ser_output_abort(&out);
    return kept && ser_io_write("file", "new", 3, NULL) == SER_OK ? 0 : 2;
}

static void test_output_without_full_name(void)
{
    ser_error err = {0};
    int how = 0;
    CHECK_OK(ser_io_make_folder(scratch("hidden/own"), &err), &err);
    CHECK_OK(ser_io_write(scratch("hidden/own/file"), "old", 3, &err), &err);
    if (getuid() == 0)
        CHECK(chown(scratch("hidden/own"), NOBODY, NOBODY) == 0 &&
              chown(scratch("hidden/own/file"), NOBODY, NOBODY) == 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(write_without_full_name());
    CHECK(child > 0 && waitpid(child, &how, 0) == child);
    CHECK(chmod(scratch("hidden"), 0700) == 0);
    bool possible = WIFEXITED(how) && WEXITSTATUS(how) != NOT_POSSIBLE;
    CHECK(WIFEXITED(how) && (!possible || WEXITSTATUS(how) == 0));
    CHECK(has_content("hidden/own/file", possible ? "new" : "old") && scratch_count("hidden/own") == 1);
}

/* In a process of its own, as somebody who may not read all folders. */
static int list_with_closed_folders(void)
{
    ser_io_listing l = {0};
    char **files;
    size_t n;
    if (chdir(scratch("closed")) != 0 || chmod("lost+found", 0) != 0 || chmod(".Trash", 0) != 0 ||
        (getuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) != 0) || access("lost+found", R_OK) == 0)
        return NOT_POSSIBLE;
    if (ser_io_list(&l, ".", NULL) != SER_OK || l.n_files != 1 || l.n_closed != 0)
        return 1; /* what is the system's own */
    ser_io_listing_release(&l);
    if (chmod("own", 0) != 0 || ser_io_list(&l, ".", NULL) != SER_OK || l.n_files != 1 || l.n_closed != 1 ||
        strcmp(l.closed[0], "own") != 0)
        return 2;
    ser_io_listing_release(&l);
    if (ser_io_list_files(&files, &n, ".", NULL) != SER_E_IO || files || n)
        return 3;
    return ser_io_list(&l, "own", NULL) == SER_E_IO ? 0 : 4;
}

static void test_closed_folders(void)
{
    static const char *const folders[] = {"closed/lost+found", "closed/.Trash", "closed/own"};
    ser_error err = {0};
    int how = 0;
    for (size_t i = 0; i < 3; i++) {
        CHECK_OK(ser_io_make_folder(scratch(folders[i]), &err), &err);
        if (getuid() == 0 && i == 2)
            CHECK(chown(scratch(folders[i]), NOBODY, NOBODY) == 0);
    }
    CHECK_OK(ser_io_write(scratch("closed/a.wav"), "x", 1, &err), &err);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(list_with_closed_folders());
    CHECK(child > 0 && waitpid(child, &how, 0) == child);
    CHECK(WIFEXITED(how) && (WEXITSTATUS(how) == 0 || WEXITSTATUS(how) == NOT_POSSIBLE));
    for (size_t i = 0; i < 3; i++)
        CHECK(chmod(scratch(folders[i]), 0700) == 0);
}

/* A limit on the size of files stands for a full disk. */
static void test_disk_full(void)
{
    ser_error err = {0};
    static char much[100000];
    struct rlimit limit = {0}, small;
    signal(SIGXFSZ, SIG_IGN);
    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    small = limit;
    small.rlim_cur = 50000;
    CHECK_OK(ser_io_make_folder(scratch("full"), &err), &err);
    CHECK_OK(ser_io_write(scratch("full/file"), "old", 3, &err), &err);
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    ser_status status = ser_io_write(scratch("full/file"), much, sizeof much, &err);
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK(status == SER_E_IO && strstr(err.text, "cannot be written"));
    CHECK(has_content("full/file", "old") && scratch_count("full") == 1);
}

static void test_folders(void)
{
    ser_error err = {0};
    struct stat st;
    CHECK_OK(ser_io_make_folder(scratch("x/y//z/"), &err), &err);
    CHECK(stat(scratch("x/y/z"), &st) == 0 && S_ISDIR(st.st_mode));
    CHECK_OK(ser_io_make_folder(scratch("x/y/z"), &err), &err);
    CHECK_OK(ser_io_make_folder("/", &err), &err);
    scratch_put("x/file", "", 0);
    CHECK_FAILS(ser_io_make_folder(scratch("x/file/more"), &err), SER_E_IO, &err, "is a file");
    CHECK_FAILS(ser_io_make_folder("/proc/none/here", &err), SER_E_IO, &err, "/proc/none");

    char *path = ser_io_join("a", "b");
    CHECK(path && strcmp(path, "a/b") == 0);
    ser_free(path);
    path = ser_io_join("a/", "b");
    CHECK(path && strcmp(path, "a/b") == 0);
    ser_free(path);
    path = ser_io_join("a", "/b");
    CHECK(path && strcmp(path, "/b") == 0);
    ser_free(path);
    path = ser_io_join("", "b");
    CHECK(path && strcmp(path, "b") == 0);
    ser_free(path);

    setenv("XDG_CACHE_HOME", "/cache", 1);
    path = ser_io_cache_folder("features");
    CHECK(path && strcmp(path, "/cache/ser/features") == 0);
    ser_free(path);
    setenv("XDG_CACHE_HOME", "relative", 1); /* not allowed: as if it were not set */
    setenv("HOME", "/nowhere", 1);
    path = ser_io_cache_folder("features");
    CHECK(path && strcmp(path, "/nowhere/.cache/ser/features") == 0);
    ser_free(path);
    unsetenv("HOME");
    CHECK(!ser_io_cache_folder("features"));
}

static void test_list(void)
{
    ser_error err = {0};
    char **paths;
    size_t n;
    CHECK_OK(ser_io_make_folder(scratch("list/b/deep"), &err), &err);
    CHECK_OK(ser_io_make_folder(scratch("list/empty"), &err), &err);
    scratch_put("list/b/deep/2", "", 0);
    scratch_put("list/b/1", "", 0);
    scratch_put("list/b.txt", "", 0);
    scratch_put("list/a", "", 0);
    scratch_put("list/.hidden", "", 0);
    CHECK(symlink("a", scratch("list/link-to-file")) == 0);
    CHECK(symlink("b", scratch("list/link-to-folder")) == 0);
    CHECK(symlink("..", scratch("list/b/loop")) == 0);
    CHECK(symlink("self", scratch("list/self")) == 0);
    CHECK(symlink("nowhere", scratch("list/broken")) == 0);
    CHECK(mkfifo(scratch("list/pipe"), 0600) == 0);
    static const char *const expected[] = {".hidden", "a", "b.txt", "b/1", "b/deep/2", "link-to-file"};
    CHECK_OK(ser_io_list_files(&paths, &n, scratch("list"), &err), &err);
    CHECK(n == 6);
    for (size_t i = 0; i < 6 && n == 6; i++)
        CHECK(strcmp(paths[i], expected[i]) == 0);
    ser_io_free_list(paths, n);
    ser_io_listing listing = {0};
    CHECK_OK(ser_io_list(&listing, scratch("list"), &err), &err);
    CHECK(listing.n_files == 6 && listing.n_dangling == 2 && listing.n_folder_links == 2);
    CHECK(listing.n_dangling == 2 && strcmp(listing.dangling[0], "broken") == 0 &&
          strcmp(listing.dangling[1], "self") == 0);
    CHECK(listing.n_folder_links == 2 && strcmp(listing.folder_links[0], "b/loop") == 0 &&
          strcmp(listing.folder_links[1], "link-to-folder") == 0);
    ser_io_listing_release(&listing);
    CHECK_OK(ser_io_list_files(&paths, &n, scratch("list/link-to-folder"), &err), &err); /* named: followed */
    CHECK(n == 2);
    ser_io_free_list(paths, n);
    CHECK_OK(ser_io_list_files(&paths, &n, scratch("list/empty"), &err), &err);
    CHECK(n == 0);
    ser_io_free_list(paths, n);
    CHECK_FAILS(ser_io_list_files(&paths, &n, scratch("none"), &err), SER_E_IO, &err, "cannot be read");
    CHECK_FAILS(ser_io_list_files(&paths, &n, scratch("list/a"), &err), SER_E_IO, &err, "cannot be read");
    ser_status status = SER_E_NOMEM;
    long n_failures = 0;
    for (; status == SER_E_NOMEM && n_failures < 1000; n_failures++) {
        failing_at(n_failures);
        status = ser_io_list_files(&paths, &n, scratch("list"), &err);
        CHECK(status == SER_OK || (status == SER_E_NOMEM && !paths && !n));
    }
    failing_at(-1);
    CHECK(status == SER_OK && n_failures > 10);
    ser_io_free_list(paths, n);
}

static void test_room(void)
{
    CHECK(ser_io_room(&(struct statvfs){.f_blocks = 10, .f_bavail = 3, .f_frsize = 4096}) == 3 * 4096);
    CHECK(ser_io_room(&(struct statvfs){.f_blocks = 10, .f_frsize = 4096}) == 0);
    CHECK(ser_io_room(&(struct statvfs){.f_frsize = 4096}) > 1e300); /* as a tmpfs without a limit says */
}

int main(void)
{
    scratch_make();
    test_reading();
    test_output();
    test_output_kinds();
    test_output_without_full_name();
    test_closed_folders();
    test_disk_full();
    test_room();
    test_folders();
    test_list();
    scratch_remove();
    return test_summary();
}

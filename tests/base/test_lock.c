#include "base/lock.h"
#include "scratch.h"
#include "test.h"

#include <sys/wait.h>
#include <unistd.h>

static char path[300];

/* What another process finds: 1: it has the lock, and lets go of it. */
static int try_elsewhere(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        ser_lock lock = {-1};
        bool taken = false;
        ser_status st = ser_lock_try(&lock, &taken, path, NULL);
        ser_lock_release(&lock, path);
        _exit(st == SER_OK ? taken : 2);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* One that was refused must not open the door for a third. */
static void test_three(void)
{
    ser_error err = {0};
    ser_lock lock = {-1};
    bool taken = false;
    CHECK_OK(ser_lock_try(&lock, &taken, path, &err), &err);
    CHECK(taken);
    CHECK(try_elsewhere() == 0);
    CHECK(try_elsewhere() == 0);
    CHECK(access(path, F_OK) == 0);
    ser_lock_release(&lock, path);
    CHECK(access(path, F_OK) != 0);
    CHECK(try_elsewhere() == 1);
    ser_lock_release(&lock, path); /* nothing is taken */
}

static int read_count(const char *file)
{
    int n = -1;
    FILE *f = fopen(file, "r");
    if (f && fscanf(f, "%d", &n) != 1)
        n = -1;
    if (f)
        fclose(f);
    return n;
}

static void write_count(const char *file, int n)
{
    FILE *f = fopen(file, "w");
    if (f) {
        fprintf(f, "%d", n);
        fclose(f);
    }
}

/* Several count in one file, and each removes the lock's file when it lets go. */
static void test_contention(void)
{
    enum { N_PROCESSES = 3, N_TURNS = 200 };
    const char *file = scratch("count");
    write_count(file, 0);
    for (int i = 0; i < N_PROCESSES; i++)
        if (fork() == 0) {
            for (int k = 0; k < N_TURNS;) {
                ser_lock lock = {-1};
                bool taken;
                if (ser_lock_try(&lock, &taken, path, NULL) != SER_OK)
                    _exit(1);
                if (!taken)
                    continue;
                write_count(file, read_count(file) + 1);
                ser_lock_release(&lock, path);
                k++;
            }
            _exit(0);
        }
    int status, n_ok = 0;
    while (wait(&status) > 0)
        n_ok += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    CHECK(n_ok == N_PROCESSES);
    CHECK(read_count(file) == N_PROCESSES * N_TURNS);
}

/* SIGKILL leaves the file behind, and no lock. */
static void test_killed(void)
{
    ser_error err = {0};
    pid_t pid = fork();
    if (pid == 0) {
        ser_lock lock = {-1};
        bool taken;
        _exit(ser_lock_try(&lock, &taken, path, NULL) == SER_OK && taken ? 0 : 1);
    }
    waitpid(pid, NULL, 0);
    ser_lock lock = {-1};
    CHECK(access(path, F_OK) == 0);
    CHECK_OK(ser_lock_take(&lock, path, NULL, &err), &err);
    ser_lock_release(&lock, path);
}

static bool stop(void *context, const char *what, size_t done, size_t total)
{
    (void)what, (void)done, (void)total;
    ++*(int *)context;
    return false;
}

static void test_waiting_is_told(void)
{
    ser_error err = {0};
    ser_lock lock = {-1}, other = {-1};
    int n_told = 0;
    const ser_progress progress = {.fn = stop, .context = &n_told};
    CHECK_OK(ser_lock_take(&lock, path, &progress, &err), &err);
    CHECK_FAILS(ser_lock_take(&other, path, &progress, &err), SER_E_CANCELLED, &err, "interrupted");
    CHECK(n_told == 1 && other.fd == -1);
    ser_lock_release(&lock, path);
    CHECK_FAILS(ser_lock_take(&lock, "/nowhere/at/all/lock", NULL, &err), SER_E_IO, &err, "permissions");
}

int main(void)
{
    scratch_make();
    snprintf(path, sizeof path, "%s/.lock", scratch_folder);
    test_three();
    test_contention();
    test_killed();
    test_waiting_is_told();
    scratch_remove();
    return test_summary();
}

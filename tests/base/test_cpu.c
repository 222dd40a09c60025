/* What SER_MAX_ISA allows, each word in a process of its own, because the answer is found once. */
#include "base/cpu.h"
#include "test.h"

#include <sys/wait.h>
#include <unistd.h>

/* What ser_cpu() says where SER_MAX_ISA is this word, or not set. */
static unsigned found_with(const char *word)
{
    int ends[2], status = -1;
    unsigned found = ~0u;
    if (pipe(ends) != 0)
        return found;
    pid_t child = fork();
    if (child == 0) {
        if (word)
            setenv("SER_MAX_ISA", word, 1);
        else
            unsetenv("SER_MAX_ISA");
        found = ser_cpu();
        _exit(write(ends[1], &found, sizeof found) == sizeof found && ser_cpu() == found ? 0 : 1);
    }
    close(ends[1]);
    if (child < 0 || read(ends[0], &found, sizeof found) != sizeof found)
        found = ~0u;
    close(ends[0]);
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    return found;
}

int main(void)
{
    static const char *const words[] = {"sse41", "avx2", "avx512", "avx512vnni", "avx512bf16", "amx"};
    unsigned all = found_with(NULL), before = 0;
    CHECK(all != ~0u);
    CHECK(all == found_with("amx"));
    CHECK(found_with("sse41") == 0);
    CHECK(found_with("avx2") == (all & SER_CPU_AVX2));
    CHECK(found_with("avxvnni") == (all & (SER_CPU_AVX2 | SER_CPU_AVXVNNI)));
    CHECK(found_with("avx512") == (all & (SER_CPU_AVX2 | SER_CPU_AVX512)));
    CHECK(found_with("AVX512") == all); /* no such word: ignored, and told by ser_cpu_check */
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        unsigned found = found_with(words[i]);
        CHECK((found & before) == before && (found & ~all) == 0); /* each allows what those before it do */
        before = found;
    }
    ser_error err = {0};
    setenv("SER_MAX_ISA", "avx2", 1);
    CHECK_OK(ser_cpu_check(&err), &err);
    CHECK(ser_cpu_limit() && strcmp(ser_cpu_limit(), "avx2") == 0);
    setenv("SER_MAX_ISA", "avx3", 1);
    CHECK_FAILS(ser_cpu_check(&err), SER_E_ARG, &err, "'avx3'");
    CHECK(!ser_cpu_limit());
    unsetenv("SER_MAX_ISA");
    CHECK_OK(ser_cpu_check(&err), &err);
    CHECK(!ser_cpu_limit());
    return test_summary();
}

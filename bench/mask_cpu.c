/* A library for LD_PRELOAD that hides part of what the processor can do from a whole process, its libraries
 * included: SER_BENCH_CPU=avx2, avxvnni, avx512, avx512vnni or avx512bf16, words as in base/cpu.h. Peers have
 * no switch for that, and a comparison in which only some are limited says nothing. What is hidden is what
 * CPUID says, so that whoever asks takes other kernels; clock, caches and the number of multipliers stay.
 *
 * Linux can make CPUID fault (arch_prctl(2), ARCH_SET_CPUID; flag cpuid_fault in /proc/cpuinfo). The signal
 * is caught, the instruction carried out in its place, and its answer trimmed. Threads inherit the setting,
 * exec takes it away, and this library sets it again. Three things are not hidden: XGETBV, by which
 * libraries ask after registers only when CPUID has named the instructions; what the loader chose for libc
 * (memcpy) before this library was there; and /proc/cpuinfo.
 *
 * Without the variable, nothing is done. A word that is not known, or a processor or kernel that cannot do
 * it, ends the process: figures of an unlimited processor must not be taken for others. */
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { SET_CPUID = 0x1012 }; /* ARCH_SET_CPUID of asm/prctl.h; 0: CPUID faults, 1: it does not */

typedef struct answer {
    unsigned a, b, c, d;
} answer;

/* Bits of leaf 7 (Software Developer's Manual, volume 2, CPUID), subleaf 0 b, c, d and subleaf 1 a, d. */
typedef struct bits {
    unsigned b, c, d, more_a, more_d;
} bits;

static const bits amx = {.d = 1u << 22 | 1u << 24 | 1u << 25, .more_a = 1u << 21, .more_d = 1u << 8};
static const bits bf16 = {.more_a = 1u << 5};
/* AVX-512's half floats came with bf16; products of bytes of other signs, and AVX10, later. */
static const bits later = {
    .d = 1u << 23, .more_a = 1u << 23, .more_d = 1u << 4 | 1u << 5 | 1u << 10 | 1u << 19};
static const bits avxvnni = {.more_a = 1u << 4};
static const bits avx512vnni = {.c = 1u << 11};
/* IFMA, VBMI, VBMI2, BITALG, VPOPCNTDQ came no later than VNNI, but after the first AVX-512; 4VNNIW, 4FMAPS,
 * VP2INTERSECT are of few processors. */
static const bits beside = {
    .b = 1u << 21, .c = 1u << 1 | 1u << 6 | 1u << 12 | 1u << 14, .d = 1u << 2 | 1u << 3 | 1u << 8};
/* F, DQ, PF, ER, CD, BW, VL */
static const bits avx512 = {.b = 1u << 16 | 1u << 17 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 30 | 1u << 31};

static const struct {
    const char *word;
    const bits *hidden[8];
} masks[] = {{"avx512bf16", {&amx, &avxvnni, &later}},
             {"avx512vnni", {&amx, &avxvnni, &later, &bf16}},
             {"avx512", {&amx, &avxvnni, &later, &bf16, &avx512vnni, &beside}},
             {"avxvnni", {&amx, &later, &bf16, &avx512vnni, &beside, &avx512}},
             {"avx2", {&amx, &avxvnni, &later, &bf16, &avx512vnni, &beside, &avx512}}};

typedef int (*set_handler)(int, const struct sigaction *, struct sigaction *);

static bits hidden;
static set_handler really_set;
static struct sigaction others; /* what the process wants to happen at SIGSEGV */

static answer ask(unsigned leaf, unsigned subleaf)
{
    answer r;
    __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(subleaf));
    return r;
}

static answer trimmed(unsigned leaf, unsigned subleaf)
{
    answer r = ask(leaf, subleaf);
    if (leaf == 7 && subleaf == 0) {
        r.b &= ~hidden.b;
        r.c &= ~hidden.c;
        r.d &= ~hidden.d;
    } else if (leaf == 7 && subleaf == 1) {
        r.a &= ~hidden.more_a;
        r.d &= ~hidden.more_d;
    } else if (leaf == 0x1d || leaf == 0x1e) {
        r = (answer){0}; /* how large tiles are */
    }
    return r;
}

/* Whether a signal is that of CPUID: a fault of no address, at its two bytes. */
static int is_cpuid(const siginfo_t *info, const ucontext_t *context)
{
    if (info->si_code != SI_KERNEL)
        return 0;
    const unsigned char *at = (const unsigned char *)context->uc_mcontext.gregs[REG_RIP];
    return at[0] == 0x0f && at[1] == 0xa2;
}

static void pass_on(int number, siginfo_t *info, void *context)
{
    if (others.sa_flags & SA_SIGINFO)
        others.sa_sigaction(number, info, context);
    else if (others.sa_handler != SIG_DFL && others.sa_handler != SIG_IGN)
        others.sa_handler(number);
    else
        really_set(SIGSEGV, &others, NULL); /* it comes again, and ends the process */
}

static void on_fault(int number, siginfo_t *info, void *data)
{
    ucontext_t *context = data;
    if (!is_cpuid(info, context)) {
        pass_on(number, info, data);
        return;
    }
    greg_t *registers = context->uc_mcontext.gregs;
    syscall(SYS_arch_prctl, SET_CPUID, 1);
    answer r = trimmed((unsigned)registers[REG_RAX], (unsigned)registers[REG_RCX]);
    syscall(SYS_arch_prctl, SET_CPUID, 0);
    registers[REG_RAX] = r.a;
    registers[REG_RBX] = r.b;
    registers[REG_RCX] = r.c;
    registers[REG_RDX] = r.d;
    registers[REG_RIP] += 2;
}

static void give_up(const char *why)
{
    const char *const parts[] = {"SER_BENCH_CPU: ", why, "\n"};
    for (int i = 0; i < 3; i++)
        if (write(STDERR_FILENO, parts[i], strlen(parts[i])) < 0)
            break;
    _exit(2);
}

static void hide(const bits *more)
{
    hidden.b |= more->b;
    hidden.c |= more->c;
    hidden.d |= more->d;
    hidden.more_a |= more->more_a;
    hidden.more_d |= more->more_d;
}

static set_handler find_real(void)
{
    set_handler found;
    void *symbol = dlsym(RTLD_NEXT, "sigaction");
    memcpy(&found, &symbol, sizeof found);
    return found;
}

/* Linked with -z initfirst: before every other library asks, and before libc knows its environment. */
__attribute__((constructor)) static void start(int argc, char **argv, char **environment)
{
    (void)argc, (void)argv;
    static const char name[] = "SER_BENCH_CPU=";
    const char *word = NULL;
    for (; *environment && !word; environment++)
        if (strncmp(*environment, name, sizeof name - 1) == 0)
            word = *environment + sizeof name - 1;
    if (!word || !*word)
        return;
    size_t i = 0, n = sizeof masks / sizeof *masks;
    while (i < n && strcmp(word, masks[i].word) != 0)
        i++;
    if (i == n)
        give_up("not one of avx2, avxvnni, avx512, avx512vnni, avx512bf16");
    for (const bits *const *p = masks[i].hidden; *p; p++)
        hide(*p);
    struct sigaction ours = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    really_set = find_real();
    if (!really_set || really_set(SIGSEGV, &ours, &others) != 0)
        give_up("no signal handler can be set");
    if (syscall(SYS_arch_prctl, SET_CPUID, 0) != 0)
        give_up("this processor, or its system, cannot make CPUID fault");
}

/* Others may set a handler of their own, and learn of the one before it; ours stays in front. */
int sigaction(int number, const struct sigaction *restrict wanted, struct sigaction *restrict before)
{
    if (!really_set || number != SIGSEGV) {
        set_handler real = really_set ? really_set : find_real();
        return real(number, wanted, before);
    }
    struct sigaction was = others;
    if (wanted)
        others = *wanted;
    if (before)
        *before = was;
    return 0;
}

void (*signal(int number, void (*handler)(int)))(int)
{
    struct sigaction wanted = {.sa_handler = handler, .sa_flags = SA_RESTART}, before;
    return sigaction(number, &wanted, &before) == 0 ? before.sa_handler : SIG_ERR;
}

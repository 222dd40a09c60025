/* The table of commands. */
#include "cli/commands.h"
#include "cli/program.h"

#include <signal.h>

#define ADDRESS(name) &ser_command_##name,
static const ser_command *const commands[] = {SER_COMMANDS(ADDRESS) NULL};
#undef ADDRESS

static const ser_environment_variable environment[] = {
    {"SER_DATA_DIR", "where corpora known by name lie, when --data-dir is not given (default: data/raw)"},
    {"XDG_CACHE_HOME", "computed features are kept in its folder ser/features (default: ~/.cache)"},
    {"HF_HOME",
     "in its folder hub lie encoders that are named like openai/whisper-base, as 'ser pull' leaves them "
     "(default: ~/.cache/huggingface; HF_HUB_CACHE names the folder itself)"},
    {"HF_ENDPOINT", "the model hub that 'ser pull' asks, when --endpoint is not given (default: "
                    "https://huggingface.co)"},
    {"HF_TOKEN", "what 'ser pull' shows the hub, for models that not everybody may have"},
    {"HF_HUB_DOWNLOAD_TIMEOUT", "seconds without a byte after which 'ser pull' takes a connection for broken "
                                "(default: 30)"},
    {"SSL_CERT_FILE", "a file of certificates (PEM) by which 'ser pull' knows servers, such as those of a "
                      "company's proxy (default: the system's)"},
    {"SER_MAX_ISA",
     "the most that may be used of the processor, so that a strong one shows what weaker ones do: "
     "sse41, avx2, avxvnni, avx512, avx512vnni, avx512bf16 or amx (default: all it has)"},
    {"SER_PROGRESS",
     "when 1, progress is drawn where standard error is no terminal, too, such as behind mpirun"},
    {"SER_RANKS",
     "when 0, processes that mpirun or srun started are each on their own, instead of ranks of one job"},
    {"NO_COLOR", "when set, nothing is printed in colour or bold"},
    {NULL, NULL},
};

static const ser_program program = {
    .summary = "hears which emotion a voice carries",
    .description = "ser tells the emotion of recordings, out of the box, and trains and evaluates models on "
                   "corpora of your own. It runs on the processor alone, and only 'ser pull' uses a network.",
    .examples = "ser predict recording.wav\nser evaluate --data EMODB --feature-type WHISPER --protocol loso",
    .commands = commands,
    .environment = environment,
};

int main(int argc, char **argv)
{
    signal(SIGXFSZ, SIG_IGN); /* a file that must not grow is told like a full disk */
    return ser_program_run(&program, argc, argv);
}

/* ser pull: encoders from a model hub, corpora from their publishers. */
#include "base/memory.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "corpus/known.h"
#include "net/pull.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *endpoint, *data_dir;

static const ser_option options[] = {
    {SER_OPTION_STRING, 0, "endpoint", &endpoint, "URL",
     "a mirror of the model hub (default: $HF_ENDPOINT, else https://huggingface.co); for a corpus, of its "
     "publisher's server"},
    {SER_OPTION_STRING, 0, "data-dir", &data_dir, "DIR",
     "where corpora go (default: $SER_DATA_DIR, else data/raw)"},
    {SER_OPTION_END},
};

static int run(int argc, char **argv);

const ser_command ser_command_pull = {
    .name = "pull",
    .run = run,
    .summary = "fetch an encoder's weights or a corpus",
    .usage = "NAME...",
    .description =
        "NAME is a model on the hub, such as facebook/hubert-base-ls960, or one of the "
        "corpora " SER_KNOWN_NAMES "in any case. Models go to "
        "the hub's own cache, where other programs find them too, and are then used by name "
        "(--encoder NAME); only the configuration and the weights are fetched. Corpora go to the "
        "data folder.\n"
        "Size and hash are checked against what the hub or the publisher states; what a publisher has "
        "without encryption alone is fetched where --endpoint says so. After an "
        "interruption the same command goes on where it was. No other command uses the network.",
    .examples = "ser pull openai/whisper-base\n"
                "ser pull facebook/hubert-base-ls960 ravdess\n"
                "ser pull --endpoint http://emodb.bilderbar.info emodb\n"
                "ser pull --endpoint https://hub.example.org microsoft/wavlm-base-plus",
    .options = options,
};

enum { DEFAULT_TIMEOUT_S = 30, LONGEST_TIMEOUT_S = 3600 };

static const char *pulled; /* the name at hand, for tell */

static void tell(const char *text)
{
    ser_tell("%s: %s", pulled, text);
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static long read_timeout(void)
{
    const char *text = variable("HF_HUB_DOWNLOAD_TIMEOUT");
    long s = text ? strtol(text, NULL, 10) : 0;
    return s >= 1 && s <= LONGEST_TIMEOUT_S ? s : DEFAULT_TIMEOUT_S;
}

/* Without the '/' at its end. *out is NULL where url is. */
static ser_status read_endpoint(char **out, const char *url, const char *from, ser_error *err)
{
    *out = NULL;
    if (!url)
        return SER_OK;
    if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0)
        return ser_fail(err, SER_E_ARG, "%s: '%s' is no address: give one such as https://hub.example.org",
                        from, url);
    size_t n = strlen(url);
    while (n && url[n - 1] == '/')
        n--;
    *out = ser_strndup(url, n);
    return *out ? SER_OK : ser_fail_nomem(err);
}

static ser_status pull_corpus(char **folder, const ser_known_corpus *c, const ser_pull_settings *s,
                              ser_error *err)
{
    const ser_known_origin *o = &c->origin;
    ser_text fetch = {0};
    ser_known_append_fetch(&fetch, c, data_dir);
    const ser_publication publication = {c->name,   c->folder, o->host,  o->archive,
                                         o->record, o->key,    o->terms, fetch.s};
    ser_status st =
        fetch.failed ? ser_fail_nomem(err)
        : o->archive ? ser_pull_corpus(folder, &publication, s, err)
                     : ser_fail(err, SER_E_UNSUPPORTED,
                                "no archive of it is at an address that is known to last: %s into %s/%s (%s)",
                                o->where, s->data_dir, c->name, o->terms);
    ser_text_release(&fetch);
    return st;
}

static ser_status pull_model(char **folder, const char *name, const ser_pull_settings *s, ser_error *err)
{
    const ser_known_corpus *near = strchr(name, '/') ? NULL : ser_known_corpus_near(name);
    if (near)
        return ser_fail(err, SER_E_ARG, "there is no such corpus: did you mean %s?", near->name);
    return strchr(name, '/') ? ser_pull_model(folder, name, s, err)
                             : ser_fail(err, SER_E_ARG,
                                        "it is neither a corpus (" SER_KNOWN_NAMES
                                        "in any case) nor a model's name such as openai/whisper-base");
}

static ser_status pull(const char *name, const ser_progress *progress, ser_error *err)
{
    const ser_known_corpus *corpus = ser_known_corpus_find(name);
    const char *usual_folder = variable("SER_DATA_DIR");
    char *folder = NULL, *server = NULL;
    ser_status st = read_endpoint(&server,
                                  endpoint ? endpoint
                                  : corpus ? NULL
                                           : variable("HF_ENDPOINT"),
                                  endpoint ? "--endpoint" : "HF_ENDPOINT", err);
    const ser_pull_settings settings = {.endpoint = server,
                                        .token = variable("HF_TOKEN"),
                                        .data_dir = data_dir       ? data_dir
                                                    : usual_folder ? usual_folder
                                                                   : "data/raw",
                                        .certificates = variable("SSL_CERT_FILE"),
                                        .timeout_s = read_timeout(),
                                        .progress = *progress,
                                        .tell = tell};
    pulled = name;
    if (st == SER_OK)
        st =
            corpus ? pull_corpus(&folder, corpus, &settings, err) : pull_model(&folder, name, &settings, err);
    ser_progress_clear();
    if (st == SER_OK && (printf("%s\n", folder) < 0 || fflush(stdout) != 0))
        st = SER_E_IO; /* said when the program ends */
    else if (st == SER_E_CANCELLED)
        ser_say("%s: %s: the same command goes on from there", name, err->text);
    else if (st != SER_OK)
        ser_say("%s: %s", name, err->text);
    ser_free(folder);
    ser_free(server);
    return st;
}

static int run(int argc, char **argv)
{
    ser_option_list names = {0};
    ser_error err = {0};
    int status;
    if (!ser_options_start(&ser_command_pull, argc, argv, &names, &status))
        goto done;
    if (!names.n) {
        status = ser_usage_error(&ser_command_pull, "what to fetch is missing: name a model or a corpus");
        goto done;
    }
    ser_progress progress = ser_progress_start();
    for (size_t i = 0; i < names.n; i++) {
        ser_status st = pull(names.items[i], &progress, &err);
        if (st != SER_OK)
            status = ser_exit_status(st);
        if (st == SER_E_CANCELLED)
            break;
    }
done:
    ser_option_list_release(&names);
    return status;
}

/* What all ranks do at once: a block of rank 0 for the others, a text of each for rank 0, and whether they
 * are alike. */
#include "base/cpu.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "run/identity.h"
#include "run/ranks_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The next message of this tag. After a failure there is none to wait for: what may still come answers an
 * earlier question, and whoever let that failure pass would take it for the answer to this one. */
static ser_status wait_for(ser_ranks *r, int tag, ser_ranks_message *m, ser_error *err)
{
    if (r->failed)
        return ser_ranks_failure(r, err);
    for (long pause_us = 20; !ser_ranks_receive(r, tag, m); ser_ranks_rest(&pause_us, SER_RANKS_REST_US)) {
        ser_ranks_look_for_urgent(r);
        if (r->failed)
            return ser_ranks_failure(r, err);
        if (ser_ranks_want_to_stop(r, &r->progress, "waiting for other ranks", 0, 0))
            return ser_fail(err, SER_E_CANCELLED, "interrupted");
    }
    return SER_OK;
}

ser_status ser_ranks_share(void *context, ser_text *block, ser_error *err)
{
    ser_ranks *r = context;
    const ser_ranks_head h = {.kind = SER_RANKS_BLOCK};
    ser_status st = SER_OK;
    if (r->team.rank) {
        ser_ranks_message m;
        if ((st = wait_for(r, SER_RANKS_DOWN, &m, err)) != SER_OK)
            return st;
        ser_text_clear(block);
        ser_text_append_n(block, m.bytes, m.n);
        ser_free(m.bytes);
    }
    for (int to = 1; !r->team.rank && to < r->team.n && st == SER_OK; to++)
        st = ser_ranks_send(r, to, SER_RANKS_DOWN, &h, block->s, block->n, err);
    return st == SER_OK && block->failed ? ser_fail_nomem(err) : st;
}

/* A text of each rank, at rank 0: (n), each owned. */
static ser_status gather(ser_ranks *r, char **texts, const char *text, ser_error *err)
{
    const ser_ranks_head h = {.kind = SER_RANKS_TEXT};
    if (r->team.rank)
        return ser_ranks_send(r, 0, SER_RANKS_UP, &h, text, strlen(text), err);
    ser_status st = (texts[0] = ser_strdup(text)) ? SER_OK : ser_fail_nomem(err);
    for (int k = 1; k < r->team.n && st == SER_OK; k++) {
        ser_ranks_message m;
        if ((st = wait_for(r, SER_RANKS_UP, &m, err)) == SER_OK)
            texts[m.from] = m.bytes;
    }
    return st;
}

/* Rank 0's verdict becomes everybody's. */
static ser_status agree(ser_ranks *r, ser_status st, ser_error *err)
{
    ser_text verdict = {0};
    ser_error unheard = {0};
    ser_error *said = err ? err : &unheard;
    ser_text_appendf(&verdict, "%d %s", (int)st, st == SER_OK ? "" : said->text);
    ser_status shared = ser_ranks_share(r, &verdict, said);
    if (shared == SER_OK && (st = (ser_status)atoi(verdict.s)) != SER_OK && r->team.rank)
        ser_fail(said, st, "%s", strchr(verdict.s, ' ') + 1);
    ser_text_release(&verdict);
    return shared == SER_OK ? st : shared;
}

static void free_texts(const ser_ranks *r, char **texts)
{
    for (int k = 0; texts && k < r->team.n; k++)
        ser_free(texts[k]);
    ser_free(texts);
}

/* The first line in which they differ, of whose beginning *n_name characters, up to a tab, are a name; NULL:
 * they do not. */
static const char *differing(const char *a, const char *b, int *n_name)
{
    enum { LONGEST = 200 };
    if (strcmp(a, b) == 0)
        return NULL;
    for (size_t n; *a && (n = strcspn(a, "\n"), strncmp(a, b, n) == 0 && b[n] == a[n]);
         a += n + (a[n] != 0), b += n + (b[n] != 0))
        ;
    size_t n = strcspn(a, "\t\n");
    *n_name = a[n] == '\t' ? (int)(n < LONGEST ? n : LONGEST) : 0;
    return a;
}

ser_status ser_ranks_compare(void *context, const char *what, const char *text, ser_error *err)
{
    ser_ranks *r = context;
    char **texts = ser_alloc((size_t)r->team.n, sizeof *texts);
    ser_status st = texts ? gather(r, texts, text, err) : ser_fail_nomem(err);
    for (int k = 1; k < r->team.n && st == SER_OK && !r->team.rank; k++) {
        int n_name = 0;
        const char *name = differing(texts[0], texts[k], &n_name);
        if (name)
            st = ser_fail(
                err, SER_E_FORMAT,
                "rank %d (%s) sees other %s than rank 0 (%s)%s%.*s: all must see the same files, in a folder "
                "that they share",
                k, r->hosts[k], what, r->hosts[0], n_name ? ", such as " : "", n_name, name);
    }
    free_texts(r, texts);
    return agree(r, st, err);
}

/* ---- whether all are alike ---- */

static void hash_arguments(char hex[65], int argc, char **argv)
{
    ser_sha256 h;
    ser_sha256_init(&h);
    for (int i = 0; i < argc; i++)
        ser_sha256_add(&h, argv[i], strlen(argv[i]) + 1);
    ser_sha256_finish(&h, hex);
}

/* The line'th line of a text of gather, in a buffer. */
static const char *line_of(char out[160], const char *text, int line)
{
    while (line-- > 0 && *text)
        text += strcspn(text, "\n") + (text[strcspn(text, "\n")] != 0);
    snprintf(out, 160, "%.*s", (int)strcspn(text, "\n"), text);
    return out;
}

/* Rank 0: whether all are alike. Lines: host, version, processor, arguments. */
static ser_status check_alike(ser_ranks *r, char *const *texts, char warning[256], ser_error *err)
{
    char a[160], b[160], host[160];
    for (int k = 0; k < r->team.n; k++) {
        snprintf(r->hosts[k], sizeof r->hosts[k], "%.63s", line_of(host, texts[k], 0));
        if (strcmp(line_of(a, texts[0], 1), line_of(b, texts[k], 1)) != 0)
            return ser_fail(
                err, SER_E_UNSUPPORTED,
                "rank %d (%s) is ser %s, and rank 0 (%s) ser %s: install one version on all nodes", k,
                r->hosts[k], b, r->hosts[0], a);
        if (strcmp(line_of(a, texts[0], 3), line_of(b, texts[k], 3)) != 0)
            return ser_fail(err, SER_E_ARG,
                            "rank %d (%s) was given other arguments than rank 0: give all the same, or set "
                            "SER_RANKS=0 where each is on its own",
                            k, r->hosts[k]);
        if (!*warning && strcmp(line_of(a, texts[0], 2), line_of(b, texts[k], 2)) != 0)
            snprintf(warning, 256,
                     "%.60s has another processor (%.50s) than %.60s: the last bits may not be those of one "
                     "machine",
                     r->hosts[k], b, r->hosts[0]);
    }
    return SER_OK;
}

ser_status ser_ranks_meet(ser_ranks *r, int argc, char **argv, char warning[256], ser_error *err)
{
    char host[64] = "?", cpu[128], hex[65], text[512];
    const char *limit = ser_cpu_limit();
    char **texts = ser_alloc((size_t)r->team.n, sizeof *texts);
    gethostname(host, sizeof host - 1);
    ser_cpu_name(cpu, sizeof cpu);
    hash_arguments(hex, argc, argv);
    snprintf(text, sizeof text, "%s\n%s\n%s%s%s\n%s", host, SER_VERSION, cpu, limit ? " as " : "",
             limit ? limit : "", hex);
    ser_status st = texts ? gather(r, texts, text, err) : ser_fail_nomem(err);
    if (st == SER_OK && !r->team.rank)
        st = check_alike(r, texts, warning, err);
    free_texts(r, texts);
    return agree(r, st, err);
}

/* What a recording takes: a table of N recordings, stretches of one file, is opened as a corpus.
 *
 * Usage: measure-recordings N MOST      prints seconds and bytes for each; exit status 1: more than MOST
 * bytes */
#include "corpus/corpus.h"
#include "scratch.h"

#include <malloc.h>
#include <time.h>

static bool write_table(size_t n)
{
    static const char *const emotions[] = {"angry", "neutral", "sad"};
    FILE *f = fopen(scratch("table.csv"), "w");
    scratch_put("one.wav", "RIFF", 4);
    if (f)
        fputs("file,start,end,emotion,speaker\n", f);
    for (size_t i = 0; f && i < n; i++)
        fprintf(f, "one.wav,%zu,%zu,%s,speaker%zu\n", 2 * i, 2 * i + 1, emotions[i % 3], i / 100);
    return f && fclose(f) == 0;
}

int main(int argc, char **argv)
{
    size_t n = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
    struct timespec begun, done;
    ser_corpus *corpus = NULL;
    ser_error err = {0};
    scratch_make();
    bool good = n && write_table(n);
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    if (good && ser_corpus_open(&corpus, scratch("table.csv"), NULL, &err) != SER_OK)
        fprintf(stderr, "%s\n", err.text);
    clock_gettime(CLOCK_MONOTONIC, &done);
    good = corpus && corpus->n_utterances == n;
    double bytes = (double)(mallinfo2().uordblks + mallinfo2().hblkhd - before) / (double)(n ? n : 1);
    if (good)
        printf("%zu recordings: %.0f bytes each, %.1f s\n", n, bytes,
               (double)(done.tv_sec - begun.tv_sec) + 1e-9 * (double)(done.tv_nsec - begun.tv_nsec));
    ser_corpus_free(&corpus);
    scratch_remove();
    return good && bytes <= strtod(argv[2], NULL) ? EXIT_SUCCESS : EXIT_FAILURE;
}

#include "corpus/known.h"
#include "base/spelling.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define ADDRESS(name, file) &ser_corpus_##file,
static const ser_known_corpus *const known[] = {SER_KNOWN_CORPORA(ADDRESS)};

const ser_known_corpus *ser_known_corpus_at(size_t i)
{
    return i < sizeof known / sizeof *known ? known[i] : NULL;
}

const ser_known_corpus *ser_known_corpus_find(const char *name)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcasecmp(name, known[i]->name) == 0)
            return known[i];
    return NULL;
}

const ser_known_corpus *ser_known_corpus_near(const char *name)
{
    const ser_known_corpus *best = NULL;
    unsigned best_distance = 0, distance;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (ser_spelling_near(name, known[i]->name, &distance) && (!best || distance < best_distance)) {
            best = known[i];
            best_distance = distance;
        }
    return best;
}

void ser_known_append_fetch(ser_text *t, const ser_known_corpus *c, const char *data_dir)
{
    const ser_known_origin *o = &c->origin;
    if (!o->archive) {
        ser_text_append(t, o->where);
        return;
    }
    ser_text_append(t, "fetch it with: ser pull ");
    if (strncmp(o->host, "http:", 5) == 0) /* pull wants that said */
        ser_text_appendf(t, "--endpoint %s ", o->host);
    if (data_dir) {
        ser_text_append(t, "--data-dir ");
        ser_text_append_word(t, data_dir);
        ser_text_append(t, " ");
    }
    ser_text_append(t, c->name);
}

const char *ser_known_counterpart(const char *name)
{
    const ser_known_corpus *c = ser_known_corpus_find(name);
    if (!c || c->counterpart)
        return c ? c->counterpart : NULL;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i]->counterpart && strcasecmp(known[i]->counterpart, name) == 0)
            return known[i]->name;
    return NULL;
}

const ser_known_mapping *ser_known_mapping_find(const char *source, const char *target)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        for (size_t m = 0; m < SER_MAX_KNOWN_MAPPINGS && known[i]->mappings[m].table; m++) {
            const ser_known_mapping *mapping = &known[i]->mappings[m];
            if (strcasecmp(source, mapping->source) == 0 && strcasecmp(target, mapping->target) == 0)
                return mapping;
        }
    return NULL;
}

bool ser_known_digits(const char *s, int n)
{
    for (int i = 0; i < n; i++)
        if (!isdigit((unsigned char)s[i]))
            return false;
    return true;
}

bool ser_known_parse(const ser_known_corpus *c, ser_name_facts *f, const char *file)
{
    char name[32];
    const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file, *dot = strrchr(base, '.');
    size_t n = dot ? (size_t)(dot - base) : strlen(base);
    if (n >= sizeof name)
        return false;
    memcpy(name, base, n);
    name[n] = 0;
    return c->parse(f, name);
}

/* name has n characters. */
static bool fits(const char *pattern, const char *name, size_t n)
{
    if (strlen(pattern) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (pattern[i] == '#' ? !isdigit((unsigned char)name[i])
                              : tolower((unsigned char)pattern[i]) != tolower((unsigned char)name[i]))
            return false;
    return true;
}

bool ser_known_lies_as_published(const ser_known_corpus *c, const char *file)
{
    const char *end = strrchr(file, '/'), *folder = end;
    while (folder && folder > file && folder[-1] != '/')
        folder--;
    return !end || end == folder || fits(c->sound_folder, folder, (size_t)(end - folder));
}

static bool is_listed(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = words; *at; at += strspn(at, " ")) {
        size_t n_at = strcspn(at, " ");
        if (n_at == n && strncmp(at, word, n) == 0)
            return true;
        at += n_at;
    }
    return false;
}

ser_sex ser_known_sex(const ser_known_corpus *c, const char *speaker)
{
    return is_listed(c->men, speaker)     ? SER_SEX_MALE
           : is_listed(c->women, speaker) ? SER_SEX_FEMALE
                                          : SER_SEX_UNKNOWN;
}

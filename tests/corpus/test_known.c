/* Corpora that are known by name: what their names say, and what they are to each other. */
#include "base/memory.h"
#include "corpus/known.h"
#include "failures/failing.h"
#include "opened.h"

#include <ctype.h>
#include <strings.h>

/* The rows of the table, and what the files say of themselves. */
static void test_table(void)
{
#define ROW_(name, file) {#name, #file, &ser_corpus_##file},
    static const struct {
        const char *name, *folder;
        const ser_known_corpus *corpus;
    } rows[] = {SER_KNOWN_CORPORA(ROW_)};
    size_t n = 0;
    for (; n < sizeof rows / sizeof *rows; n++) {
        const ser_known_corpus *c = rows[n].corpus;
        CHECK(ser_known_corpus_at(n) == c && strcmp(c->name, rows[n].name) == 0);
        CHECK(strcmp(c->folder, rows[n].folder) == 0 && strcasecmp(c->name, c->folder) == 0);
        CHECK(ser_known_corpus_find(c->name) == c && ser_known_corpus_find(c->folder) == c);
        ser_name_facts f;
        CHECK(c->parse(&f, c->example) && f.speaker[0] && f.text[0]);
        CHECK(c->origin.archive || c->origin.where); /* there is a way to it */
        bool has_emotion = false;
        for (size_t e = 0; c->emotions[e]; e++) {
            const char *usual = ser_emotion_from_spelling(c->emotions[e]);
            CHECK(usual && strcmp(usual, c->emotions[e]) == 0);
            CHECK(!e || strcmp(c->emotions[e - 1], c->emotions[e]) < 0);
            has_emotion = has_emotion || strcmp(c->emotions[e], f.emotion) == 0;
        }
        CHECK(has_emotion);
    }
    CHECK(!ser_known_corpus_at(n) && !ser_known_corpus_find("RAVDES") && !ser_known_corpus_find(""));
}

static void test_counterparts(void)
{
    CHECK(strcmp(ser_known_counterpart("EMODB"), "RAVDESS") == 0);
    CHECK(strcmp(ser_known_counterpart("ravdess"), "EMODB") == 0);
    CHECK(!ser_known_counterpart("CREMAD") && !ser_known_counterpart("mine") &&
          !ser_known_counterpart("EMODB+RAVDESS"));
    CHECK(ser_known_mapping_find("EMODB", "ravdess") && ser_known_mapping_find("RAVDESS", "EMODB"));
    CHECK(ser_known_mapping_find("EMODB", "RAVDESS") != ser_known_mapping_find("RAVDESS", "EMODB"));
    CHECK(!ser_known_mapping_find("EMODB", "EMODB") && !ser_known_mapping_find("CREMAD", "RAVDESS"));
}

/* What a name says, "emotion speaker text sex"; NULL: it is none of the corpus's. */
static void test_names(void)
{
    static const struct {
        const ser_known_corpus *corpus;
        const char *name, *facts;
    } names[] = {
        {&ser_corpus_emodb, "03a01Fa", "happy 03 a01 m"},
        {&ser_corpus_emodb, "16b10Lb", "boredom 16 b10 f"},
        {&ser_corpus_emodb, "03a01Xa", NULL},
        {&ser_corpus_ravdess, "03-01-06-01-02-01-12", "fear 12 02 f"},
        {&ser_corpus_ravdess, "03-01-02-01-01-01-07", "calm 07 01 m"},
        {&ser_corpus_ravdess, "02-01-06-01-02-01-12", NULL},
        {&ser_corpus_cremad, "1001_DFA_ANG_XX", "angry 1001 DFA m"},
        {&ser_corpus_cremad, "1002_IEO_DIS_LO", "disgust 1002 IEO f"},
        {&ser_corpus_cremad, "1091_WSI_FEA_HI", "fear 1091 WSI f"},
        {&ser_corpus_cremad, "1050_TSI_HAP_MD", "happy 1050 TSI m"},
        {&ser_corpus_cremad, "1050_ITS_NEU_XX", "neutral 1050 ITS m"},
        {&ser_corpus_cremad, "1040_ITH_SAD_X", "sad 1040 ITH m"},
        {&ser_corpus_cremad, "1001_DFA_ANG_XY", NULL},
        {&ser_corpus_cremad, "1001_DFA_ANG_", NULL},
        {&ser_corpus_cremad, "1001_DFA_CAL_XX", NULL},
        {&ser_corpus_cremad, "1001_ABC_ANG_XX", NULL},
        {&ser_corpus_cremad, "101_DFA_ANG_XX", NULL},
        {&ser_corpus_cremad, "1001_DFA_ANG_XXX", NULL},
        {&ser_corpus_cremad, "1001-DFA-ANG-XX", NULL},
        {&ser_corpus_nemo, "WR0_surprised_64", "surprised WR0 64 m"},
        {&ser_corpus_nemo, "EB0_anger_1", "angry EB0 1 f"},
        {&ser_corpus_nemo, "KD0_happiness_90", "happy KD0 90 f"},
        {&ser_corpus_nemo, "MP0_sadness_7", "sad MP0 7 m"},
        {&ser_corpus_nemo, "AB1_fear_12", "fear AB1 12 -"},
        {&ser_corpus_nemo, "TP0_neutral_5", "neutral TP0 5 m"},
        {&ser_corpus_nemo, "WR0_ang_64", NULL},
        {&ser_corpus_nemo, "WR0__64", NULL},
        {&ser_corpus_nemo, "WR0_anger_", NULL},
        {&ser_corpus_nemo, "WR0_anger_6x", NULL},
        {&ser_corpus_nemo, "WR0_anger_1234", NULL},
        {&ser_corpus_nemo, "wr0_anger_6", NULL},
        {&ser_corpus_nemo, "W", NULL},
        {&ser_corpus_nemo, "", NULL},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const ser_known_corpus *c = names[i].corpus;
        ser_name_facts f = {0};
        bool parsed = c->parse(&f, names[i].name);
        char said[80] = "";
        if (parsed)
            snprintf(said, sizeof said, "%s %s %s %c", f.emotion, f.speaker, f.text,
                     "-fm"[ser_known_sex(c, f.speaker)]);
        bool ok = names[i].facts ? strcmp(said, names[i].facts) == 0 : !parsed;
        if (!ok)
            fprintf(stderr, "%s: '%s'\n", names[i].name, said);
        CHECK(ok);
    }
    for (size_t i = 0; ser_known_corpus_at(i); i++)
        CHECK(ser_known_sex(ser_known_corpus_at(i), "") == SER_SEX_UNKNOWN &&
              ser_known_sex(ser_known_corpus_at(i), "someone") == SER_SEX_UNKNOWN &&
              ser_known_sex(ser_known_corpus_at(i), "9") == SER_SEX_UNKNOWN);
}

static ser_sex sex_of(const ser_corpus *c, const char *speaker)
{
    for (size_t s = 0; c && s < c->n_speakers; s++)
        if (strcmp(c->speakers[s], speaker) == 0)
            return c->sexes[s];
    return SER_SEX_UNKNOWN;
}

/* Whether part p could have said exactly these emotions ("angry fear"). */
static bool could_say(const ser_corpus *c, size_t p, const char *name, const char *emotions)
{
    char said[256] = "";
    for (size_t l = 0; c && p < c->n_parts && l < c->n_labels; l++)
        if (c->parts[p].emotions >> l & 1)
            snprintf(said + strlen(said), sizeof said - strlen(said), "%s%s", *said ? " " : "", c->labels[l]);
    bool ok = c && p < c->n_parts && strcmp(c->parts[p].name, name) == 0 && strcmp(said, emotions) == 0;
    if (!ok)
        fprintf(stderr, "part %zu: %s\n", p, said);
    return ok;
}

static void test_layouts(void)
{
    tree_touch("d/cremad/AudioWAV/1001_DFA_ANG_XX.wav d/cremad/AudioWAV/1002_IEO_SAD_LO.opus "
               "d/cremad/AudioWAV/1040_ITH_SAD_X.wav d/nemo/samples/WR0_surprised_64.wav "
               "d/nemo/samples/EB0_anger_1.opus d/emodb/wav/03a01Wa.wav d/emodb/wav/08a01Lb.wav "
               "flat/WR0_surprised_64.wav flat/EB0_anger_1.wav");
    tree_write_text("d/nemo/data.tsv", "file_id\temotion\nWR0_surprised_64.wav\tsurprised\n");
    ser_corpus *c = open_corpus("CREMAD", tree_path("d"));
    CHECK(c && c->n_utterances == 3 && strcmp(c->name, "CREMAD") == 0 && c->n_parts == 1 && !c->votes);
    CHECK(says(c, "1001_DFA_ANG_XX", "angry", "1001", "DFA", "AudioWAV/1001_DFA_ANG_XX.wav"));
    CHECK(says(c, "1002_IEO_SAD_LO", "sad", "1002", "IEO", "AudioWAV/1002_IEO_SAD_LO.opus"));
    CHECK(sex_of(c, "1001") == SER_SEX_MALE && sex_of(c, "1002") == SER_SEX_FEMALE);
    ser_corpus_free(&c);
    c = open_corpus("nemo", tree_path("d"));
    CHECK(c && c->n_utterances == 2 && strcmp(c->name, "NEMO") == 0);
    CHECK(says(c, "WR0_surprised_64", "surprised", "WR0", "64", "samples/WR0_surprised_64.wav"));
    CHECK(says(c, "EB0_anger_1", "angry", "EB0", "1", "samples/EB0_anger_1.opus"));
    ser_corpus_free(&c);
    c = open_corpus(tree_path("flat"), NULL); /* recognised by its names */
    CHECK(says(c, "WR0_surprised_64", "surprised", "WR0", "64", "WR0_surprised_64.wav"));
    CHECK(could_say(c, 0, "flat", "angry surprised"));
    ser_corpus_free(&c);
    /* A corpus of which some emotions are not there could have said them all the same. */
    tree_write_text("own.csv", "file,emotion,speaker,gender\nflat/EB0_anger_1.wav,proud,x,F\n"
                               "flat/WR0_surprised_64.wav,fear,y,male\n");
    char spec[600];
    snprintf(spec, sizeof spec, "EMODB+CREMAD+%s", tree_path("own.csv"));
    c = open_corpus(spec, tree_path("d"));
    CHECK(c && c->n_parts == 3 && c->n_labels == 5);
    CHECK(could_say(c, 0, "EMODB", "angry boredom fear sad"));
    CHECK(could_say(c, 1, "CREMAD", "angry fear sad") && could_say(c, 2, "own", "fear proud"));
    CHECK(c && c->utterances[0].part == 1 && c->utterances[c->n_utterances - 1].part == 2);
    CHECK(sex_of(c, "EMODB/03") == SER_SEX_MALE && sex_of(c, "EMODB/08") == SER_SEX_FEMALE);
    CHECK(sex_of(c, "own/x") == SER_SEX_FEMALE && sex_of(c, "own/y") == SER_SEX_MALE);
    ser_corpus_free(&c);
    check_fails("CREMAD", tree_path("flat"), SER_E_IO, "https://github.com/CheyneyComputerScience/CREMA-D");
    check_fails("NEMO", tree_path("flat"), SER_E_IO, "flat/nemo'");
}

static void test_votes(void)
{
    tree_write_text("d/cremad/voice_votes.csv", "utterance,angry,disgust,fear,happy,neutral,sad\n"
                                                "1001_DFA_ANG_XX,4,0,1,0,5,0\n"
                                                "1040_ITH_SAD_XX,0,0,2,0,3,4\n"
                                                "1091_DFA_ANG_XX,1,0,0,0,0,0\n");
    ser_corpus *c = open_corpus("EMODB+CREMAD", tree_path("d"));
    CHECK(c && c->votes && c->n_labels == 3); /* angry boredom sad */
    const float *of_angry = c ? c->votes + 0 : NULL, *of_sad = c ? c->votes + (size_t)2 * c->n_labels : NULL;
    CHECK(c && strcmp(c->utterances[0].name, "CREMAD/1001_DFA_ANG_XX") == 0 && of_angry[0] == 4 &&
          of_angry[2] == 0);
    /* The publisher's table calls this one otherwise. */
    CHECK(c && strcmp(c->utterances[2].name, "CREMAD/1040_ITH_SAD_X") == 0 && of_sad[0] == 0 &&
          of_sad[2] == 4);
    for (size_t i = 0; c && i < c->n_utterances * c->n_labels; i++)
        CHECK(i / c->n_labels == 0 || i / c->n_labels == 2 || c->votes[i] == 0);
    CHECK(warns(c, "not there: 1, the first is '1091_DFA_ANG_XX'") &&
          warns(c, "votes for 'neutral' left out: 8"));
    ser_corpus_free(&c);
    tree_touch("v/a.wav v/b.wav v/angry/c.wav v/sad/d.wav");
    tree_write_text("v/list.csv",
                    "file,emotion,votes\na.wav,anger,Anger:3 sad:1\nb.wav,sad,sad=0.75;angry=0.24\n");
    c = open_corpus(tree_path("v/list.csv"), NULL);
    CHECK(c && c->votes && c->votes[0] == 3 && c->votes[1] == 1 && c->votes[3] == 0.75f);
    ser_corpus_free(&c);
    tree_write_text("v/list.csv", "file,emotion\na.wav,anger\nb.wav,sad\n");
    tree_write_text("v/list.votes.csv", "total,sadness,utterance,anger\n9,2,b,7\n1,1,a,\n");
    c = open_corpus(tree_path("v/list.csv"), NULL);
    CHECK(c && c->votes && c->votes[0] == 0 && c->votes[1] == 1 && c->votes[2] == 7 && c->votes[3] == 2);
    ser_corpus_free(&c);
    tree_write_text("v/votes.csv", "utterance,anger,sad\nd,1,8\n");
    c = open_corpus(tree_path("v"), NULL); /* a folder's own table */
    CHECK(c && c->n_utterances == 2 && c->votes && c->votes[2] == 1 && c->votes[3] == 8);
    ser_corpus_free(&c);
}

static void test_bad_votes(void)
{
    static const char *const columns[][2] = {
        {"angry3", "its votes 'angry3' cannot be read"},
        {":3", "cannot be read"},
        {"angry:", "votes for 'angry' are no number"},
        {"angry:-1", "no number"},
        {"angry:nan", "no number"},
        {"angry:0", "row 2: it has no votes at all"},
        {"angry:0.5 sad:0.3",
         "row 2: its votes do not add up: shares of listeners have to give 1, these give 0.8"},
    };
    static const char *const tables[][2] = {
        {"name,angry\na,1\n", "no column 'utterance'"},
        {"utterance,angry\na,x\n", "row 2: its votes for 'angry' are no number"},
        {"utterance,angry\na,1x\n", "no number"},
        {"utterance,angry\nb,1\na,0\n", "row 3: it has no votes at all"},
        {"utterance,angry\na,1\nb,1\na,2\n", "row 4: the votes for 'a' stand in row 2 already"},
        {"utterance,angry,sad,total\na,1,2,4\n",
         "row 2: its votes do not add up: their sum is 3, the column 'total'"},
        {"utterance,angry\nx,1\ny,1\n",
         "none of its 2 votes is for a recording of this corpus, the first is for 'x'"},
        {"utterance,angry\na\n", "line 2 has 1 fields"},
    };
    tree_touch("w/a.wav w/b.wav");
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        char text[200];
        snprintf(text, sizeof text, "file,emotion,votes\na.wav,anger,%s\nb.wav,sad,\n", columns[i][0]);
        tree_write_text("w/column.csv", text);
        check_fails(tree_path("w/column.csv"), NULL, SER_E_FORMAT, columns[i][1]);
    }
    tree_write_text("w/list.csv", "file,emotion\na.wav,anger\nb.wav,sad\n");
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        tree_write_text("w/list.votes.csv", tables[i][0]);
        check_fails(tree_path("w/list.csv"), NULL, SER_E_FORMAT, tables[i][1]);
        CHECK(strstr(err.text, "list.votes.csv: "));
    }
}

/* Every allocation fails once. */
static void test_memory(void)
{
    tree_write_text("v/list.csv", "file,emotion,votes,sex\na.wav,anger,Anger:3 sad:1,f\nb.wav,sad,,m\n");
    tree_write_text("v/list.votes.csv", "utterance,anger,sad\nb,1,2\n");
    char spec[600];
    snprintf(spec, sizeof spec, "%s+EMODB", tree_path("v/list.csv"));
    long n = 0;
    for (ser_status st = SER_E_NOMEM; st != SER_OK && n < 2000; n++) {
        ser_corpus *c;
        failing_at(n);
        st = ser_corpus_open(&c, spec, tree_path("d"), &err);
        failing_at(-1);
        CHECK(st == SER_OK ? c && c->votes : !c && st == SER_E_NOMEM);
        ser_corpus_free(&c);
    }
    CHECK(n > 50 && n < 2000);
}

/* The real corpora, where they are. */
static void test_published(const char *data)
{
    ser_corpus *c = open_corpus("CREMAD", data);
    CHECK(c && c->n_utterances == 7442 && c->n_speakers == 91 && c->n_texts == 12 && c->n_labels == 6 &&
          c->votes);
    CHECK(c && c->n_warnings == 0);
    size_t n_women = 0, n_voted = 0;
    for (size_t s = 0; c && s < c->n_speakers; s++)
        n_women += c->sexes[s] == SER_SEX_FEMALE;
    for (size_t i = 0; c && i < c->n_utterances; i++) {
        float sum = 0;
        for (size_t l = 0; l < c->n_labels; l++)
            sum += c->votes[i * c->n_labels + l];
        n_voted += sum > 0;
    }
    CHECK(n_women == 43 && n_voted == 7442);
    ser_corpus_free(&c);
    c = open_corpus("NEMO", data);
    CHECK(c && c->n_utterances == 4481 && c->n_speakers == 9 && c->n_texts == 90 && c->n_labels == 6 &&
          !c->votes);
    CHECK(c && c->n_warnings == 0);
    for (size_t s = 0; c && s < c->n_speakers; s++)
        CHECK(c->sexes[s] != SER_SEX_UNKNOWN);
    ser_corpus_free(&c);
}

int main(void)
{
    tree_make();
    unsetenv("SER_DATA_DIR");
    test_table();
    test_counterparts();
    test_names();
    test_layouts();
    test_votes();
    test_bad_votes();
    test_memory();
    const char *shared = getenv("SER_SHARED");
    char data[1024];
    snprintf(data, sizeof data, "%.1000s/data", shared ? shared : "");
    if (shared && access(data, R_OK) == 0)
        test_published(data);
    tree_remove();
    return test_summary();
}

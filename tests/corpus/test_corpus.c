#include "base/memory.h"
#include "failures/failing.h"
#include "opened.h"

static void test_spellings(void)
{
    const char *const pairs[][2] = {{"angry", "angry"},
                                    {"Anger", "angry"},
                                    {"ANG", "angry"},
                                    {"happiness", "happy"},
                                    {"joy", "happy"},
                                    {"ps", "surprised"},
                                    {"surprise", "surprised"},
                                    {"fearful", "fear"},
                                    {"sadness", "sad"},
                                    {"bored", "boredom"},
                                    {"neu", "neutral"},
                                    {"calm", "calm"},
                                    {"disgusted", "disgust"},
                                    {"Pleasant-Surprise", "surprised"},
                                    {"pleasant_surprised", "surprised"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const char *name = ser_emotion_from_spelling(pairs[i][0]);
        CHECK(name && strcmp(name, pairs[i][1]) == 0);
    }
    const char *const unknown[] = {"",          "angr",     "angry2", "contempt",
                                   "not angry", "happysad", "_",      "pleasant"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        CHECK(!ser_emotion_from_spelling(unknown[i]));
}

static void test_emodb(void)
{
    tree_touch(
        "e/wav/03a01Fa.wav e/wav/03a01Wa.flac e/wav/16b10Lb.mp3 e/wav/08a02Eb.WAV e/wav/09a05Aa.wav "
        "e/wav/10b03Ta.wav e/wav/11b01Nc.wav e/wav/.03a01Na.wav e/lablaut/03a01Fa.lablaut e/notes.txt");
    ser_corpus *c = open_corpus(tree_path("e"), NULL);
    CHECK(c && c->n_utterances == 7 && c->n_labels == 7 && c->n_speakers == 6 && c->n_texts == 6);
    CHECK(c && strcmp(c->name, "e") == 0 && c->n_warnings == 0);
    CHECK(says(c, "03a01Fa", "happy", "03", "a01", "wav/03a01Fa.wav"));
    CHECK(says(c, "03a01Wa", "angry", "03", "a01", "wav/03a01Wa.flac"));
    CHECK(says(c, "16b10Lb", "boredom", "16", "b10", "wav/16b10Lb.mp3"));
    CHECK(says(c, "08a02Eb", "disgust", "08", "a02", "wav/08a02Eb.WAV"));
    CHECK(says(c, "09a05Aa", "fear", "09", "a05", "wav/09a05Aa.wav"));
    CHECK(says(c, "10b03Ta", "sad", "10", "b03", "wav/10b03Ta.wav"));
    CHECK(says(c, "11b01Nc", "neutral", "11", "b01", "wav/11b01Nc.wav"));
    ser_corpus_free(&c);
    c = open_corpus(tree_path("e/wav/"), NULL); /* the folder inside alone */
    CHECK(c && c->n_utterances == 7 && strcmp(c->name, "wav") == 0);
    CHECK(says(c, "03a01Fa", "happy", "03", "a01", "03a01Fa.wav"));
    ser_corpus_free(&c);
    /* Names that almost follow the scheme are named and left out; the corpus stays EMO-DB. */
    tree_touch("e/wav/03a01Xa.wav e/wav/03c01Fa.wav e/wav/3a01Fa.wav e/wav/03a01FA.wav e/wav/03a01Fab.wav");
    c = open_corpus(tree_path("e"), NULL);
    CHECK(c && c->n_utterances == 7 && c->n_warnings == 1 && warns(c, "left out: 5, the first is") &&
          warns(c, "wav/03a01FA.wav") && warns(c, "EMO-DB"));
    ser_corpus_free(&c);
}

static void test_ravdess(void)
{
    tree_touch("r/Actor_01/03-01-05-01-01-01-01.wav r/Actor_24/03-01-01-01-02-02-24.wav "
               "r/Audio_Speech/Actor_02/03-01-02-02-01-02-02.flac r/Actor_01/03-01-03-01-01-01-01.wav "
               "r/Actor_01/03-01-04-01-01-01-01.wav r/Actor_01/03-01-06-01-01-01-01.wav "
               "r/Actor_01/03-01-07-01-01-01-01.wav r/Actor_01/03-01-08-01-01-01-01.wav "
               "r/Actor_01/03-02-03-01-01-01-01.wav r/Actor_02/03-02-03-01-01-01-02.wav");
    ser_corpus *c = open_corpus(tree_path("r"), NULL);
    CHECK(c && c->n_utterances == 8 && c->n_labels == 8 && c->n_speakers == 3 && c->n_texts == 2);
    CHECK(says(c, "03-01-05-01-01-01-01", "angry", "01", "01", "Actor_01/03-01-05-01-01-01-01.wav"));
    CHECK(says(c, "03-01-01-01-02-02-24", "neutral", "24", "02", "Actor_24/03-01-01-01-02-02-24.wav"));
    CHECK(says(c, "03-01-02-02-01-02-02", "calm", "02", "01",
               "Audio_Speech/Actor_02/03-01-02-02-01-02-02.flac"));
    const char *const emotions[] = {"happy", "sad", NULL, "fear", "disgust", "surprised"};
    for (int e = 3; e <= 8; e++) {
        char name[64], file[80];
        snprintf(name, sizeof name, "03-01-%02d-01-01-01-01", e);
        snprintf(file, sizeof file, "Actor_01/%s.wav", name);
        CHECK(e == 5 || says(c, name, emotions[e - 3], "01", "01", file));
    }
    CHECK(c && c->n_warnings == 1 &&
          warns(c, "songs left out: 2, the first is Actor_01/03-02-03-01-01-01-01.wav"));
    ser_corpus_free(&c);
    /* Emotion 9, actor 25, no sound, a digit too few, a letter: each is no name of the scheme. */
    tree_touch("r/Actor_01/03-01-09-01-01-01-01.wav r/Actor_01/03-01-05-01-01-01-25.wav "
               "r/Actor_01/02-01-05-01-01-01-01.wav r/Actor_01/03-01-05-01-01-01-1.wav "
               "r/Actor_01/03-01-05-01-01-01-0x.wav r/Actor_01/03-01-05-01-01_01-01.wav");
    c = open_corpus(tree_path("r"), NULL);
    CHECK(c && c->n_utterances == 8 && c->n_warnings == 2 &&
          warns(c, "recordings not named as RAVDESS's, such as 03-01-06-01-02-01-12, left out: 6"));
    ser_corpus_free(&c);
    tree_touch("flat/03-01-05-01-01-01-01.wav flat/03-01-04-01-01-01-01.wav");
    c = open_corpus(tree_path("flat"), NULL); /* without the actors' folders */
    CHECK(c && c->n_utterances == 2 && c->n_speakers == 1);
    ser_corpus_free(&c);
}

static void test_named(void)
{
    tree_touch(
        "d1/EMODB/wav/03a01Fa.wav d1/EMODB/wav/03a01Wa.wav d2/ravdess/Actor_01/03-01-05-01-01-01-01.wav "
        "d2/ravdess/Actor_01/03-01-04-01-01-01-01.wav d3/data/raw/emodb/03a01Fa.wav "
        "d3/data/raw/emodb/03a01Na.wav d4/EMODB/anger/x.wav d4/EMODB/fear/y.wav d5/emodb/readme.txt "
        "d6/RAVDESS/Actor_01/03-02-04-01-01-01-01.wav");
    ser_corpus *c = open_corpus("EMODB", tree_path("d1"));
    CHECK(c && c->n_utterances == 2 && strcmp(c->name, "EMODB") == 0);
    CHECK(says(c, "03a01Fa", "happy", "03", "a01", "wav/03a01Fa.wav"));
    ser_corpus_free(&c);
    c = open_corpus("emodb", tree_path("d1"));
    CHECK(c && strcmp(c->name, "EMODB") == 0);
    ser_corpus_free(&c);
    setenv("SER_DATA_DIR", tree_path("d2"), 1);
    c = open_corpus("RAVDESS", NULL);
    CHECK(c && c->n_utterances == 2 && strcmp(c->name, "RAVDESS") == 0);
    ser_corpus_free(&c);
    check_fails("RAVDESS", tree_path("d1"), SER_E_IO, "d1/RAVDESS"); /* the option comes first */
    unsetenv("SER_DATA_DIR");
    char before[512];
    CHECK(getcwd(before, sizeof before) && chdir(tree_path("d3")) == 0);
    c = open_corpus("EMODB", NULL);
    CHECK(c && c->n_utterances == 2 && find(c, "03a01Na"));
    ser_corpus_free(&c);
    CHECK(chdir(tree_path("d3/data/raw/emodb")) == 0);
    c = open_corpus(".", NULL);
    CHECK(c && strcmp(c->name, "emodb") == 0);
    ser_corpus_free(&c);
    CHECK(chdir(before) == 0);
    check_fails("RAVDESS", tree_path("d1"), SER_E_IO, "--data-dir");
    CHECK(strstr(err.text, "RAVDESS: ") == err.text && strstr(err.text, "d1/ravdess") &&
          strstr(err.text, "SER_DATA_DIR") && strstr(err.text, "ser pull --data-dir ") &&
          strstr(err.text, "/d1 RAVDESS"));
    /* A folder by a corpus's name holds that corpus, or the user has mixed something up. */
    check_fails("EMODB", tree_path("d4"), SER_E_FORMAT, "none of the 2 recordings");
    check_fails("EMODB", tree_path("d5"), SER_E_FORMAT, "no recording in the folder");
    check_fails("RAVDESS", tree_path("d6"), SER_E_FORMAT, "speech");
}

/* The smallest WAV that is one: 16 kHz, mono, 8 bit, 800 samples. */
static void write_wav(const char *name)
{
    unsigned char wav[44 + 800] =
        "RIFF\x44\x03\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\x80\x3e\0\0\x01\0\x08\0data\x20\x03\0";
    memset(wav + 44, 128, 800);
    tree_write(name, wav, sizeof wav);
}

static void test_classes(void)
{
    tree_touch(
        "c/anger/a1.wav c/Angry/a2.ogg c/happiness/deeper/h1.flac c/contempt/k1.mp3 c/anger/readme.txt "
        "c/anger/.a3.wav c/__MACOSX/anger/._a1.wav c/.git/x.wav c/beside1.wav c/beside2.wav");
    write_wav("c/anger/a4");
    write_wav("c/anger/a5.dat");
    ser_corpus *c = open_corpus(tree_path("c"), NULL);
    CHECK(c && c->n_utterances == 6 && c->n_labels == 3 && c->n_speakers == 0 && c->n_texts == 0);
    CHECK(says(c, "a1", "angry", "-", "-", "anger/a1.wav"));
    CHECK(says(c, "a2", "angry", "-", "-", "Angry/a2.ogg"));
    CHECK(says(c, "a4", "angry", "-", "-", "anger/a4")); /* a recording by its content */
    CHECK(says(c, "a5", "angry", "-", "-", "anger/a5.dat"));
    CHECK(says(c, "h1", "happy", "-", "-", "happiness/deeper/h1.flac"));
    CHECK(says(c, "k1", "contempt", "-", "-", "contempt/k1.mp3"));
    CHECK(c && c->n_warnings == 2 && warns(c, "recordings in no subfolder left out: 2") &&
          warns(c, "beside1.wav") && warns(c, "classes of their own: 'contempt'"));
    for (size_t i = 1; c && i < c->n_utterances; i++)
        CHECK(strcmp(c->utterances[i - 1].name, c->utterances[i].name) < 0);
    ser_corpus_free(&c);
    /* Sorted by the user: EMO-DB's names in folders of the user's own count for nothing. */
    tree_touch("own/good/03a01Fa.wav own/good/03a01Na.wav own/bad/03a01Wa.wav");
    c = open_corpus(tree_path("own"), NULL);
    CHECK(says(c, "03a01Wa", "bad", "-", "-", "bad/03a01Wa.wav") && c->n_labels == 2);
    ser_corpus_free(&c);
}

static void test_bad_folders(void)
{
    mkdir(tree_path("empty"), 0777);
    tree_touch("text/anger/a.txt one/anger/a.wav one/angry/b.wav twice/fear/y.wav "
               "root/a.wav root/b.wav");
    check_fails(tree_path("empty"), NULL, SER_E_FORMAT, "no recording");
    check_fails(tree_path("text"), NULL, SER_E_FORMAT, "no recording");
    check_fails(tree_path("one"), NULL, SER_E_FORMAT, "all of its 2 recordings are 'angry'");
    tree_write_text("twice/anger/x.wav", "one");
    tree_write_text("twice/anger/x.flac", "other");
    check_fails(tree_path("twice"), NULL, SER_E_FORMAT,
                "two recordings are called 'anger/x', anger/x.flac and anger/x.wav");
    check_fails(tree_path("root"), NULL, SER_E_FORMAT, "one subfolder per emotion");
    check_fails(tree_path("absent"), NULL, SER_E_IO, "there is no such corpus");
    check_fails("RAVDES", NULL, SER_E_IO, "RAVDES: there is no such corpus: did you mean RAVDESS?");
    check_fails("EMO-DB+RAVDESS", NULL, SER_E_IO, "did you mean EMODB?");
    check_fails("", NULL, SER_E_ARG, "a corpus is missing");
    for (int i = 0; i < 65; i++) {
        char name[32];
        snprintf(name, sizeof name, "many/class%02d/%02d.wav", i, i);
        tree_touch(name);
    }
    check_fails(tree_path("many"), NULL, SER_E_UNSUPPORTED, "65 different emotions");
}

static void test_csv(void)
{
    tree_touch("m/audio/a.wav m/audio/b.wav m/c.flac m/notes.txt elsewhere/d.wav");
    CHECK(symlink("nowhere", tree_path("m/link.wav")) == 0);
    tree_write_text("m/list.csv",
                    "speaker,file,emotion,text,fold\nanna,audio/a.wav,anger,t1,1\n"
                    "bert,audio/b.wav,Joy,t2,2\n,\"c.flac\",proud,,\nanna,../elsewhere/d.wav,sad,t1,0\n");
    ser_corpus *c = open_corpus(tree_path("m/list.csv"), NULL);
    CHECK(c && c->n_utterances == 4 && strcmp(c->name, "list") == 0 && c->n_labels == 4);
    CHECK(says(c, "a", "angry", "anna", "t1", "audio/a.wav") && find(c, "a")->fold == 1);
    CHECK(says(c, "b", "happy", "bert", "t2", "audio/b.wav") && find(c, "b")->fold == 2);
    CHECK(says(c, "c", "proud", "-", "-", "c.flac") && find(c, "c")->fold == -1);
    CHECK(says(c, "d", "sad", "anna", "t1", "../elsewhere/d.wav") && find(c, "d")->fold == 0);
    ser_corpus_free(&c);
    char text[1024];
    snprintf(text, sizeof text, "file,emotion,rating\r\n%s,fear,3\r\naudio/a.wav,anger,4\r\n",
             tree_path("elsewhere/d.wav"));
    tree_write_text("m/absolute", text); /* any name; an absolute path; other columns are no matter */
    c = open_corpus(tree_path("m/absolute"), NULL);
    CHECK(says(c, "d", "fear", "-", "-", tree_path("elsewhere/d.wav")) && find(c, "d")->fold == -1);
    ser_corpus_free(&c);
    const struct {
        const char *text, *words;
        ser_status status;
    } bad[] = {
        {"", "empty", SER_E_FORMAT},
        {"file,label\nc.flac,sad\n", "no column 'emotion'", SER_E_FORMAT},
        {"path,emotion\nc.flac,sad\n", "no column 'file'", SER_E_FORMAT},
        {"file|emotion\nc.flac|sad\n", "no column 'file' (its first line names file|emotion)", SER_E_FORMAT},
        {"file,emotion\n", "no recordings", SER_E_FORMAT},
        {"file,emotion,emotion\nc.flac,sad,angry\n", "it has two columns 'emotion': rename", SER_E_FORMAT},
        {"file,emotion\nhttps://example.org/a.wav,sad\n", "it lists addresses, '...://example.org/a.wav'",
         SER_E_UNSUPPORTED},
        {"RIFF\x24\1\1\1WAVEfmt ", "it is a recording: name a folder of recordings", SER_E_FORMAT},
        {"file,emotion\nc.flac,sad\naudio/a.wav\n", "line 3", SER_E_FORMAT},
        {"file,emotion\nc.flac,sad\naudio/a.wav,\n", "row 3 names no emotion", SER_E_FORMAT},
        {"file,emotion\nc.flac,sad\n,angry\n", "row 3 names no file", SER_E_FORMAT},
        {"file,emotion\nc.flac,sad\nx.wav,angry\ny.wav,angry\n", "2 of the 3 files listed are missing",
         SER_E_IO},
        {"file,emotion\naudio/A.WAV,sad\nx.wav,angry\n", "2 of the 2 files listed are missing, the first is",
         SER_E_IO},
        {"file,emotion\naudio/A.WAV,sad\nx.wav,angry\n", "/m/audio/A.WAV', where 'a.wav' lies", SER_E_IO},
        {"file,emotion\ncaf\xc3\xa9.wav,sad\n", "of the two ways to write letters with accents", SER_E_IO},
        {"file,emotion\nc.wav,sad\n", "/m/c.wav', where 'c.flac' lies", SER_E_IO},
        {"file,emotion\naudio/a,sad\n", "/m/audio/a', where 'a.wav' lies", SER_E_IO},
        {"file,emotion\nnotes.wav,sad\n", "/m/notes.wav': give paths relative", SER_E_IO},
        {"file,emotion\nlink.wav,sad\n", "/m/link.wav', a link to nothing: fetch its content", SER_E_IO},
        {"file,emotion,fold\nc.flac,sad,one\naudio/a.wav,fear,2\n", "the fold 'one'", SER_E_FORMAT},
        {"file,emotion,fold\nc.flac,sad,-1\naudio/a.wav,fear,2\n", "the fold '-1'", SER_E_FORMAT},
        {"file,emotion,fold\nc.flac,sad,99999999999999999999\n", "row 2", SER_E_FORMAT},
        {"file,emotion\nc.flac,sad\nc.flac,angry\n", "rows 2 and 3 name the same recording, 'c.flac'",
         SER_E_FORMAT},
        {"file,emotion\nc.flac,sad\naudio/a.wav,sadness\n", "all of its 2 recordings are 'sad'",
         SER_E_FORMAT},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tree_write_text("m/bad.csv", bad[i].text);
        check_fails(tree_path("m/bad.csv"), NULL, bad[i].status, bad[i].words);
    }
}

static void test_joins(void)
{
    char spec[1600];
    setenv("SER_DATA_DIR", tree_path("d1"), 1);
    mkdir(tree_path("d1/RAVDESS"), 0777);
    tree_touch("d1/RAVDESS/Actor_03/03-01-05-01-01-01-03.wav d1/RAVDESS/Actor_03/03-02-05-01-01-01-03.wav");
    ser_corpus *c =
        open_corpus("EMODB+RAVDESS", NULL); /* RAVDESS has one emotion here: the joined have two */
    CHECK(c && c->n_utterances == 3 && strcmp(c->name, "EMODB+RAVDESS") == 0 && c->n_labels == 2);
    CHECK(says(c, "EMODB/03a01Fa", "happy", "EMODB/03", "EMODB/a01", "EMODB/wav/03a01Fa.wav"));
    CHECK(says(c, "RAVDESS/03-01-05-01-01-01-03", "angry", "RAVDESS/03", "RAVDESS/01",
               "RAVDESS/Actor_03/03-01-05-01-01-01-03.wav"));
    CHECK(c && c->n_speakers == 2 && c->n_warnings == 1 && warns(c, "RAVDESS: songs left out: 1"));
    ser_corpus_free(&c);
    snprintf(spec, sizeof spec, "EMODB+%s+%s", tree_path("own"), tree_path("m/list.csv"));
    c = open_corpus(spec, NULL);
    CHECK(c && strcmp(c->name, "EMODB+own+list") == 0 && c->n_utterances == 9);
    CHECK(says(c, "own/03a01Wa", "bad", "-", "-", "own/bad/03a01Wa.wav"));
    CHECK(says(c, "list/a", "angry", "list/anna", "list/t1", "list/audio/a.wav") &&
          find(c, "list/a")->fold == 1);
    ser_corpus_free(&c);
    /* Names with '+': the longest that exists. */
    tree_touch("x/sad/1.wav x/fear/2.wav x+y/calm/3.wav x+y/joy/4.wav y/joy/5.wav y/sad/6.wav");
    c = open_corpus(tree_path("x+y"), NULL);
    CHECK(c && c->n_utterances == 2 && find(c, "3") && strcmp(c->name, "x+y") == 0);
    ser_corpus_free(&c);
    snprintf(spec, sizeof spec, "%s+%s", tree_path("x+y"), tree_path("x"));
    c = open_corpus(spec, NULL);
    CHECK(c && c->n_utterances == 4 && find(c, "x+y/3") && find(c, "x/1"));
    ser_corpus_free(&c);
    snprintf(spec, sizeof spec, "%s+%s", tree_path("x"), tree_path("y"));
    c = open_corpus(spec, NULL);
    CHECK(c && c->n_utterances == 4 && find(c, "y/5"));
    ser_corpus_free(&c);
    snprintf(spec, sizeof spec, "%s+%s/", tree_path("x"), tree_path("x"));
    check_fails(spec, NULL, SER_E_ARG, "two of the corpora joined are called 'x'");
    check_fails("EMODB+", NULL, SER_E_ARG, "a corpus is missing");
    check_fails("+EMODB", NULL, SER_E_ARG, "a corpus is missing");
    check_fails("EMODB++RAVDESS", NULL, SER_E_ARG, "a corpus is missing");
    check_fails("EMODB+absent", NULL, SER_E_IO, "absent: there is no such corpus");
    unsetenv("SER_DATA_DIR");
}

/* Every allocation fails once. */
static void test_memory(void)
{
    char spec[1600];
    snprintf(spec, sizeof spec, "%s+%s+EMODB", tree_path("m/list.csv"), tree_path("e"));
    int n_successes = 0; /* in a row: probing a text file may fail without harm */
    long n = 0;
    for (; n_successes < 20 && n < 5000; n++) {
        ser_corpus *c;
        failing_at(n);
        ser_status st = ser_corpus_open(&c, spec, tree_path("d1"), &err);
        failing_at(-1);
        CHECK(st == SER_OK ? c && c->n_utterances == 13 : !c && st == SER_E_NOMEM);
        n_successes = st == SER_OK ? n_successes + 1 : 0;
        ser_corpus_free(&c);
    }
    CHECK(n_successes == 20 && n > 200);
}

static void test_published(const char *data)
{
    ser_corpus *c = open_corpus("EMODB", data);
    CHECK(c && c->n_utterances == 535 && c->n_speakers == 10 && c->n_texts == 10 && c->n_warnings == 0);
    const struct {
        const char *label;
        size_t n;
    } emodb[] = {{"angry", 127}, {"boredom", 81}, {"disgust", 46}, {"fear", 69},
                 {"happy", 71},  {"neutral", 79}, {"sad", 62}};
    for (size_t l = 0; c && l < c->n_labels; l++) {
        size_t n = 0;
        for (size_t i = 0; i < c->n_utterances; i++)
            n += c->utterances[i].label == (int)l;
        CHECK(c->n_labels == 7 && strcmp(c->labels[l], emodb[l].label) == 0 && n == emodb[l].n);
    }
    CHECK(c && strcmp(c->speakers[0], "03") == 0 && strcmp(c->speakers[9], "16") == 0);
    ser_corpus_free(&c);
    c = open_corpus("RAVDESS", data);
    CHECK(c && c->n_utterances == 1440 && c->n_speakers == 24 && c->n_texts == 2 && c->n_labels == 8);
    for (size_t l = 0; c && l < c->n_labels; l++) {
        size_t n = 0;
        for (size_t i = 0; i < c->n_utterances; i++)
            n += c->utterances[i].label == (int)l;
        CHECK(n == (strcmp(c->labels[l], "neutral") == 0 ? 96u : 192u));
    }
    for (size_t s = 0; c && s < c->n_speakers; s++) {
        size_t n = 0;
        for (size_t i = 0; i < c->n_utterances; i++)
            n += c->utterances[i].speaker == (int)s;
        CHECK(n == 60);
    }
    ser_corpus_free(&c);
    c = open_corpus("EMODB+RAVDESS", data);
    CHECK(c && c->n_utterances == 1975 && c->n_labels == 9 && c->n_speakers == 34 && c->n_texts == 12);
    CHECK(says(c, "EMODB/03a01Fa", "happy", "EMODB/03", "EMODB/a01", "EMODB/wav/03a01Fa.flac"));
    ser_corpus_free(&c);
}

int main(void)
{
    tree_make();
    unsetenv("SER_DATA_DIR");
    test_spellings();
    test_emodb();
    test_ravdess();
    test_named();
    test_classes();
    test_bad_folders();
    test_csv();
    test_joins();
    test_memory();
    tree_remove();
    const char *shared = getenv("SER_SHARED");
    char data[1024];
    snprintf(data, sizeof data, "%.1000s/data", shared ? shared : "");
    if (shared && access(data, R_OK) == 0)
        test_published(data);
    return test_summary();
}

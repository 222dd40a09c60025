/* Names, folders and tables as people have them: the kinds that public bug reports describe. */
#include "base/memory.h"
#include "corpus/folds.h"
#include "failures/failing.h"
#include "opened.h"

/* "name label speaker" of each utterance, in brackets. */
static void describe(char *out, size_t n, const ser_corpus *c)
{
    *out = 0;
    for (size_t i = 0; c && i < c->n_utterances; i++) {
        const ser_utterance *u = &c->utterances[i];
        snprintf(out + strlen(out), n - strlen(out), "[%s %s %s]", u->name,
                 u->label < 0 ? "-" : c->labels[u->label], u->speaker < 0 ? "-" : c->speakers[u->speaker]);
    }
}

/* What the corpus warns of, in the order told: words of each, with '|' between them; NULL: there is nothing.
 */
static bool warns_as(const ser_corpus *c, const char *warning)
{
    size_t i = 0;
    for (const char *at = warning, *end; at && i < c->n_warnings; at = *end ? end + 1 : NULL, i++) {
        end = at + strcspn(at, "|");
        if (!memmem(c->warnings[i], strlen(c->warnings[i]), at, (size_t)(end - at)))
            return false;
        if (!*end)
            return i + 1 == c->n_warnings;
    }
    return !warning && !c->n_warnings;
}

static void check_corpus(const char *spec, const char *expected, const char *warning)
{
    char said[2000];
    ser_corpus *c = open_corpus(spec, NULL);
    describe(said, sizeof said, c);
    bool right = c && strcmp(said, expected) == 0, told = c && warns_as(c, warning);
    if (!right || !told)
        fprintf(stderr, "%s: %s\n  warns: %s\n", spec, said, c && c->n_warnings ? c->warnings[0] : "");
    CHECK(right);
    CHECK(told);
    ser_corpus_free(&c);
}

static void test_folders(void)
{
    static const struct {
        const char *folder, *files, *expected, *warning;
    } folders[] = {
        {"numbered", "angry/1.wav angry/2.wav happy/1.wav neutral/3.wav",
         "[2 angry -][3 neutral -][angry/1 angry -][happy/1 happy -]", NULL},
        {"esd", "0003/Angry/a.wav 0003/Sad/b.wav 0008/Angry/c.wav 0008/Sad/evaluation/d.wav",
         "[a angry 0003][b sad 0003][c angry 0008][d sad 0008]",
         "emotions are taken from the second ('Angry', 'Sad'), and the speakers from the first ('0003', "
         "'0008')"},
        {"splits", "train/angry/1.wav train/sad/2.wav test/angry/1.wav test/sad/2.wav",
         "[test/angry/1 angry -][test/sad/2 sad -][train/angry/1 angry -][train/sad/2 sad -]",
         "emotions are taken from the second ('angry', 'sad')"},
        {"esd-splits", "s1/train/angry/1.wav s1/test/sad/2.wav s2/train/angry/3.wav s2/train/sad/4.wav",
         "[1 angry s1][2 sad s1][3 angry s2][4 sad s2]",
         "the third ('angry', 'sad'), and the speakers from the first"},
        {"tess",
         "OAF_angry/a.wav OAF_Pleasant_surprise/b.wav YAF_angry/c.wav YAF_pleasant_surprised/d.wav "
         "YAF_Fear/e.wav",
         "[a angry OAF][b surprised OAF][c angry YAF][d surprised YAF][e fear YAF]",
         "emotions are taken from parts of the folders' names ('OAF_Pleasant_surprise', 'OAF_angry', "
         "'YAF_Fear', 'YAF_angry', ...), and the speakers from the rest of them"},
        {"ordered", "01-angry/a.wav 02-sad/b.wav", "[a angry -][b sad -]", "parts of the folders' names"},
        {"behind", "angry_anna/a.wav sad_anna/b.wav angry_bert/c.wav sad_bert/d.wav",
         "[a angry anna][b sad anna][c angry bert][d sad bert]", "parts of the folders' names"},
        {"above", "TESS speech set data/angry/a.wav TESS speech set data/sad/b.wav", "[a angry -][b sad -]",
         "the second ('angry', 'sad')"},
        {"above-tess",
         "TESS data/OAF_angry/a.wav TESS data/OAF_sad/b.wav TESS data/YAF_sad/c.wav TESS data/YAF_fear/d.wav",
         "[a angry OAF][b sad OAF][c sad YAF][d fear YAF]", "parts of the folders' names"},
        {"own", "good/a.wav bad/b.wav", "[a good -][b bad -]",
         "none of its folders is named as an emotion: 'bad', 'good' are taken for classes of their own"},
        {"negated", "angry/a.wav not_angry/b.wav", "[a angry -][b not_angry -]",
         "no known names of emotions, and taken for classes of their own: 'not_angry'"},
        {"slips", "angry/a.wav hapy/b.wav new folder/c.wav sad/d.wav",
         "[a angry -][b hapy -][c new folder -][d sad -]", "classes of their own: 'hapy', 'new folder'"},
        {"german",
         "w\xc3\xbctend/a.wav glu\xcc\x88"
         "cklich/b.wav Traurig/c.wav",
         "[a angry -][b happy -][c sad -]", NULL},
        {"cafe", "Col\xc3\xa8re/Fort/a.wav De\xcc\x81gou\xcc\x82t/Faible/b.wav Neutre/c.wav",
         "[a angry -][b disgust -][c neutral -]", NULL},
        {"strengths", "angry_high/a.wav angry_low/b.wav sad_high/c.wav sad_low/d.wav",
         "[a angry -][b angry -][c sad -][d sad -]",
         "parts of the folders' names ('angry_high', 'angry_low', 'sad_high', 'sad_low')"},
        {"joy", "Joy/angry/a.wav Joy/sad/b.wav Ann/angry/c.wav Ann/sad/d.wav",
         "[a angry Joy][b sad Joy][c angry Ann][d sad Ann]",
         "folders lie in folders: emotions are taken from the second ('angry', 'sad'), and the speakers from "
         "the first ('Ann', 'Joy')"},
        {"normal", "angry/normal/a.wav angry/strong/b.wav sad/normal/c.wav",
         "[a angry -][b angry -][c sad -]", NULL},
        {"own-parts", "good/train/03a01Fa.wav bad/test/03a01Wa.wav", "[03a01Fa good -][03a01Wa bad -]",
         "classes of their own"},
        {"normal-own", "angry/normal/a.wav pride/normal/b.wav", "[a angry -][b pride -]",
         "of their own: 'pride'"},
        {"known-parts", "train/1001_DFA_ANG_XX.wav train/1002_IEO_SAD_HI.wav test/1003_DFA_ANG_XX.wav",
         "[1001_DFA_ANG_XX angry 1001][1002_IEO_SAD_HI sad 1002][1003_DFA_ANG_XX angry 1003]", NULL},
        {"speaker-cases", "Anna/angry/a.wav Anna/sad/b.wav anna/sad/c.wav Ben/sad/d.wav Ben/angry/e.wav",
         "[a angry anna][b sad anna][c sad anna][d sad Ben][e angry Ben]",
         "the second ('angry', 'sad'), and the speakers|such as 'Anna' for 'anna': 2 recordings"},
        {"many-cases",
         "Anna/angry/a.wav Anna/sad/b.wav anna/sad/c.wav Ben/sad/d.wav Ben/angry/e.wav BEN/sad/f.wav",
         "[a angry anna][b sad anna][c sad anna][d sad Ben][e angry Ben][f sad Ben]",
         "and the speakers|such as 'Anna' for 'anna': 3 recordings"},
        {"initials", "MD/angry/a.wav MD/sad/b.wav DC/angry/c.wav DC/sad/d.wav JE/angry/e.wav JE/sad/f.wav",
         "[a angry MD][b sad MD][c angry DC][d sad DC][e angry JE][f sad JE]",
         "the speakers from the first ('DC', 'JE', 'MD')"},
        {"levels", "LO/angry/a.wav LO/sad/b.wav HI/angry/c.wav HI/sad/d.wav XX/angry/e.wav XX/sad/f.wav",
         "[a angry -][b sad -][c angry -][d sad -][e angry -][f sad -]", "from the second ('angry', 'sad')"},
        {"negations", "not_angry/a.wav not_sad/b.wav", "[a not_angry -][b not_sad -]",
         "classes of their own"},
        {"case", "Proud/a.wav proud/b.wav sad/c.wav", "[a proud -][b proud -][c sad -]",
         "classes of their own: 'Proud'|'Proud' is taken for 'proud', from which it differs in case or "
         "blanks "
         "alone: 1"},
        {"macos", "A\xcc\x88rger/a.wav Freude/b.wav", "[a angry -][b happy -]", NULL},
        {"sexes", "male/angry/a.wav male/sad/b.wav female/angry/c.wav female/sad/d.wav",
         "[a angry -][b sad -][c angry -][d sad -]", "the second ('angry', 'sad')"},
        {"deep",
         "up/RAVDESS/speech/Actor_01/03-01-05-01-01-01-01.wav "
         "up/RAVDESS/speech/Actor_02/03-01-04-01-01-01-02.wav",
         "[03-01-04-01-01-01-02 sad 02][03-01-05-01-01-01-01 angry 01]", NULL},
    };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char file[200];
        /* Blanks in these names stand for blanks: files are told by their ends. */
        for (const char *at = folders[i].files, *end; *at; at = end + (*end == ' ')) {
            end = strstr(at, ".wav ");
            end = end ? end + 4 : at + strlen(at);
            snprintf(file, sizeof file, "%s/%.*s", folders[i].folder, (int)(end - at), at);
            tree_write(file, file, strlen(file)); /* no two alike */
        }
        check_corpus(tree_path(folders[i].folder), folders[i].expected, folders[i].warning);
    }
    tree_touch("one/set/good/a.wav one/set/bad/b.wav");
    check_fails(tree_path("one"), NULL, SER_E_FORMAT,
                "all of its 2 recordings lie in one folder, 'set': name that one");
    tree_touch("windows/angry\\a.wav windows/sad\\b.wav");
    check_fails(tree_path("windows"), NULL, SER_E_FORMAT,
                "their names hold '\\', as 'angry\\a.wav' does: unpack");
    tree_touch("listed/a.wav listed/b.wav listed/metadata.csv");
    check_fails(tree_path("listed"), NULL, SER_E_FORMAT, "file,emotion: name 'metadata.csv', if that is one");
    tree_touch("all/ALL/DC_a01.wav all/ALL/JE_sa01.wav");
    check_fails(tree_path("all"), NULL, SER_E_FORMAT,
                "all of its 2 recordings lie in one folder, 'ALL', which is no emotion's name: sort them");
}

static void test_copies(void)
{
    static const char *const files[] = {"Actor_01/03-01-05-01-01-01-01.wav",
                                        "Actor_02/03-01-04-01-01-01-02.wav"};
    char name[200];
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "twice/%s", files[i]);
        tree_write(name, files[i], 20);
        snprintf(name, sizeof name, "twice/audio_speech_actors_01-24/%s", files[i]);
        tree_write(name, files[i], 20);
    }
    check_corpus(tree_path("twice"), "[03-01-04-01-01-01-02 sad 02][03-01-05-01-01-01-01 angry 01]",
                 "second copies of recordings left out: 2, the first is "
                 "audio_speech_actors_01-24/Actor_01/03-01-05-01-01-01-01.wav");
    /* Another recording of the name is a recording. */
    tree_write("twice/audio_speech_actors_01-24/Actor_01/03-01-05-01-01-01-01.wav", "another", 7);
    check_corpus(tree_path("twice"),
                 "[03-01-04-01-01-01-02 sad 02][Actor_01/03-01-05-01-01-01-01 angry 01]"
                 "[audio_speech_actors_01-24/Actor_01/03-01-05-01-01-01-01 angry 01]",
                 "left out: 1");
    /* As CREMA-D's repository has it. */
    tree_write("crema/AudioWAV/1001_DFA_ANG_XX.wav", "a", 1);
    tree_write("crema/AudioMP3/1001_DFA_ANG_XX.mp3", "b", 1);
    tree_write("crema/AudioWAV/1001_DFA_SAD_XX.wav", "c", 1);
    check_corpus(tree_path("crema"), "[1001_DFA_ANG_XX angry 1001][1001_DFA_SAD_XX sad 1001]",
                 "left out: 1, the first is AudioMP3/1001_DFA_ANG_XX.mp3");
    /* A class in a class; the same sound under two emotions is two recordings. */
    tree_write("inside/OAF_angry/x.wav", "x", 1);
    tree_write("inside/YAF_sad/y.wav", "y", 1);
    tree_write("inside/TESS data/OAF_angry/x.wav", "x", 1);
    tree_write("inside/TESS data/YAF_sad/y.wav", "y", 1);
    ser_corpus *c = open_corpus(tree_path("inside"), NULL);
    CHECK(c && c->n_utterances == 2 && c->n_labels == 2 && c->n_warnings == 2 &&
          warns(c, "second copies of recordings left out: 2, the first is TESS data/OAF_angry/x.wav"));
    ser_corpus_free(&c);
    tree_write("beside/sad/x.wav", "x", 1); /* a copy that has the label: the one beside has none */
    tree_write("beside/x.wav", "x", 1);
    tree_write("beside/angry/y.wav", "y", 1);
    check_corpus(tree_path("beside"), "[x sad -][y angry -]", "recordings in no subfolder left out: 1");
    tree_write("nested/angry/x.wav", "x", 1);
    tree_write("nested/angry/angry/x.wav", "x", 1);
    tree_write("nested/sad/x.wav", "x", 1);
    check_corpus(tree_path("nested"), "[angry/x angry -][sad/x sad -]", "the first is angry/angry/x.wav");
}

static void test_links(void)
{
    tree_touch("links/angry/a.wav links/sad/b.wav elsewhere/fear/c.wav none/x/readme.txt");
    CHECK(symlink("nowhere", tree_path("links/angry/annex0.wav")) == 0);
    CHECK(symlink("nowhere", tree_path("links/sad/annex1.WAV")) == 0);
    CHECK(symlink("nowhere", tree_path("links/sad/notes.txt")) == 0);
    CHECK(symlink("nowhere", tree_path("links/.hidden.wav")) == 0);
    check_corpus(tree_path("links"), "[a angry -][b sad -]", "left out: 2, the first is angry/annex0.wav");
    CHECK(symlink("../elsewhere/fear", tree_path("links/fear")) == 0);
    ser_corpus *c = open_corpus(tree_path("links"), NULL);
    CHECK(c && c->n_utterances == 2 && c->n_warnings == 2 &&
          warns(c, "links to folders left out: 1, the first is fear"));
    ser_corpus_free(&c);
    CHECK(symlink("nowhere", tree_path("none/x/a.wav")) == 0);
    check_fails(tree_path("none"), NULL, SER_E_FORMAT, "its 1 recordings are links to nothing");
}

static void test_tables(void)
{
    static const struct {
        const char *text, *expected, *warning;
    } tables[] = {
        {"file;emotion;speaker\nwav/a.wav;angry;3\nwav/b.wav;sad;4\n", "[a angry 3][b sad 4]", NULL},
        {"sep=;\r\nfile;emotion\r\nwav/a.wav;angry\r\nwav/b.wav;sad\r\n", "[a angry -][b sad -]", NULL},
        {"file\temotion\nwav/a.wav\tangry\nwav/b.wav\tsad\n", "[a angry -][b sad -]", NULL},
        {"file,emotion\rwav/a.wav,angry\rwav/b.wav,sad\r", "[a angry -][b sad -]", NULL},
        {"File, EMOTION ,Speaker\nwav/a.wav,angry,3\nwav/b.wav,sad,3\n", "[a angry 3][b sad 3]", NULL},
        {"file,emotion\nwav\\a.wav,angry\nwav\\b.wav,sad\n", "[a angry -][b sad -]", NULL},
        {"file,emotion\n wav/a.wav ,angry\nwav/b.wav,sad\n", "[a angry -][b sad -]", NULL},
        {"file,emotion,speaker\nwav/a.wav,angry , 3\nwav/b.wav, Sad,3 \n", "[a angry 3][b sad 3]", NULL},
        {"file,emotion\nwav/a.wav,\xc3\x84RGER\nwav/b.wav,FREUDE\n", "[a angry -][b happy -]", NULL},
        {"file,emotion\nwav/a.wav,Proud\nwav/b.wav,proud \nwav/c.wav,sad\n",
         "[a proud -][b proud -][c sad -]", "classes of their own: 'Proud'|'Proud' is taken for 'proud'"},
        {"file,emotion,speaker\nwav/a.wav,exc,Anna\nwav/b.wav,fru,anna \nwav/c.wav,neu,Ben\n",
         "[a exc anna][b fru anna][c neutral Ben]",
         "no known names of emotions, and taken for classes of their own: 'exc', 'fru'|such as 'Anna' for "
         "'anna'"},
        {"file,emotion,speaker,sex\nwav/a.wav,sad,A,f\nwav/b.wav,sad,a,m\nwav/c.wav,angry,a,\n",
         "[a sad A][b sad a][c angry a]", NULL},
        {"[id],file,emotion\n1,wav/a.wav,angry\n2,wav/b.wav,sad\n", "[a angry -][b sad -]", NULL},
        {"file,emotion\nwav/a.wav,1\nwav/b.wav,3\n", "[a 1 -][b 3 -]",
         "none of its emotions has a known name: '1', '3' are taken for classes of their own"},
        {"file;emotion;\nwav/a.wav;angry;\nwav/b.wav;sad;\n;;\n ; ;\n", "[a angry -][b sad -]", NULL},
        {"file,emotion\nwav/a.wav,angry\nwav/b.wav,sad\nwav/a.wav,anger\n", "[a angry -][b sad -]",
         "rows that repeat another left out: 1, the first is row 4"},
        {"file,emotion,speaker\nwav/a.wav,angry,nan\nwav/b.wav,sad,NA\n", "[a angry -][b sad NA]", NULL},
        {"file,emotion,speaker\nDC/a01.wav,angry,DC\nJE/a01.wav,sad,JE\nwav/a.wav,sad,JE\n",
         "[DC/a01 angry DC][JE/a01 sad JE][a sad JE]", NULL},
        {"file,emotion\n../t/DC/a01.wav,angry\nJE/a01.wav,sad\n", "[JE/a01 sad -][__/t/DC/a01 angry -]",
         NULL},
        {"file,start,end,emotion\nwav/a.wav,0.1,0.4,angry\nwav/b.wav,0,1,sad\n", "[a angry -][b sad -]",
         NULL},
        {"file,start,end,emotion\nwav/a.wav,0.1,0.4,angry\nwav/a.wav,0.4,NaT,sad\nwav/b.wav,0,,sad\n",
         "[b sad -][wav/a_0.1-0.4 angry -][wav/a_0.4- sad -]", NULL},
        {"file,start,end,emotion\nwav/a.wav,0.1,0.4,angry\nwav/a.wav,0.10,0.4,anger\nwav/b.wav,,,sad\n",
         "[a angry -][b sad -]", "rows that repeat another left out: 1, the first is row 3"},
    };
    static const char *const bad[][2] = {
        {"file,emotion\nwav/a.wav,angry\nwav/b.wav,NaN\n",
         "row 3 names no emotion ('NaN' stands for a value that is"},
        {"file,emotion\nwav/a.wav,angry\nwav/b.wav, \n", "row 3 names no emotion: complete"},
        {"file,emotion\nwav/a.wav,None\nwav/b.wav,sad\n", "row 2 names no emotion ('None'"},
        {"file,emotion\nwav/a.wav,\xc4rger\nwav/b.wav,sad\n",
         "row 2: its emotion is not UTF-8: save the file as UTF-8 text"},
        {"file,emotion,speaker\nwav/a.wav,angry,J\xf6rg\nwav/b.wav,sad,x\n",
         "row 2: its speaker is not UTF-8"},
        {"file,emotion\nwav/\xe4.wav,angry\nwav/b.wav,sad\n", "and save it as UTF-8 text"},
        {"file,emotion\nwav/a.wav,angry\nwav/b.wav,sad\nwav/a.wav,sad\n",
         "rows 2 and 4 name the same recording, 'wav/a.wav', with different values"},
        {"file,start,end,emotion\nwav/a.wav,0.4,0.1,angry\n",
         "row 2: its stretch begins at 0.4 s and ends at 0.1 s"},
        {"file,start,end,emotion\nwav/a.wav,x,0.1,angry\n", "row 2: 'x' is no time"},
        {"file,start,end,emotion\nwav/a.wav,0,-1,angry\n", "row 2: '-1' is no time"},
        {"file,start,end,emotion\nwav/a.wav,0,00:01,angry\n", "row 2: '00:01' is no time"},
        {"file,start,end,emotion\nwav/a.wav,0,0.4,angry\nwav/a.wav,0,0.4,sad\n",
         "rows 2 and 3 name the same recording"},
        {"path,emotion\nwav/a.wav,angry\n", "no column 'file' (its first line names path, emotion)"},
    };
    tree_touch("t/wav/a.wav t/wav/b.wav t/wav/c.wav t/DC/a01.wav t/JE/a01.wav");
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        tree_write_text("t/list.csv", tables[i].text);
        check_corpus(tree_path("t/list.csv"), tables[i].expected, tables[i].warning);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tree_write_text("t/list.csv", bad[i][0]);
        check_fails(tree_path("t/list.csv"), NULL, strstr(bad[i][0], "\xe4") ? SER_E_IO : SER_E_FORMAT,
                    bad[i][1]);
    }
    tree_write("t/utf16.csv",
               "\xff\xfe"
               "f\0i\0l\0e\0",
               10);
    check_fails(tree_path("t/utf16.csv"), NULL, SER_E_FORMAT, "save it as UTF-8 text");
}

/* Seconds, and as audformat writes times. */
static void test_stretches(void)
{
    static const struct {
        const char *start, *end;
        double start_s, end_s;
    } times[] = {
        {"0.5", "2", 0.5, 2},
        {"0 days 00:00:00.100000", "0 days 00:00:00.400000", 0.1, 0.4},
        {"00:01:30", "1 day 01:00:00.5", 90, 90000.5},
        {"1 days", "2 days 00:00:00", 86400, 172800},
        {"0 days", "NaT", 0, 0},
        {"0 days", "1 days", 0, 86400},
        {"\"0,5\"", "\"1,25\"", 0.5, 1.25},
        {"", "NaT", 0, 0},
        {"0", "", 0, 0},
    };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        char text[200];
        snprintf(text, sizeof text, "file,start,end,emotion\nwav/a.wav,%s,%s,angry\nwav/b.wav,,,sad\n",
                 times[i].start, times[i].end);
        tree_write_text("t/list.csv", text);
        ser_corpus *c = open_corpus(tree_path("t/list.csv"), NULL);
        CHECK(c && fabs(c->utterances[0].start_s - times[i].start_s) < 1e-9 &&
              fabs(c->utterances[0].end_s - times[i].end_s) < 1e-9 && c->utterances[1].end_s == 0);
        ser_corpus_free(&c);
    }
}

/* As pandas writes numbers of a column in which some are missing; and names for fold lists. */
static void test_folds(void)
{
    tree_write_text("t/list.csv",
                    "file,emotion,fold\nwav/a.wav,angry,1.0\nwav/b.wav,sad,2.0\nwav/c.wav,sad,\"1,0\"\n");
    ser_corpus *c = open_corpus(tree_path("t/list.csv"), NULL);
    CHECK(c && c->n_utterances == 3 && c->utterances[0].fold == 1 && c->utterances[1].fold == 2 &&
          c->utterances[2].fold == 1);
    tree_write_text("t/folds.csv", "Utterance;Test_Fold\na;1.0\nb;2.0\nc;1.0\n");
    ser_protocol p = {.kind = SER_PROTOCOL_EMOBOX, .folds_path = tree_path("t/folds.csv")};
    ser_folds *f = NULL;
    CHECK_OK(ser_folds_new(&f, c, &p, 1, &err), &err);
    CHECK(f && f->n_folds == 2 && f->test_fold[1] == 1);
    ser_folds_free(&f);
    ser_corpus_free(&c);
    static const char *const bad[] = {"1.5", "1e0", "one", "-1.0", "1.0.0", ".", "\"1,5\""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[100];
        snprintf(text, sizeof text, "file,emotion,fold\nwav/a.wav,angry,%s\nwav/b.wav,sad,2\n", bad[i]);
        tree_write_text("t/list.csv", text);
        check_fails(tree_path("t/list.csv"), NULL, SER_E_FORMAT, "is no number: number the folds");
    }
    c = open_corpus(tree_path("numbered"), NULL);
    tree_write_text("t/folds.csv", "utterance,test_fold\n1,1\n2,2\n3,1\n");
    p.folds_path = tree_path("t/folds.csv");
    CHECK_FAILS(ser_folds_new(&f, c, &p, 1, &err), SER_E_FORMAT, &err, "several recordings are called '1'");
    tree_write_text("t/folds.csv", "utterance,test_fold\nangry/1,1\nhappy/1,2\n2,2\n3,1\n");
    p.folds_path = tree_path("t/folds.csv");
    CHECK_OK(ser_folds_new(&f, c, &p, 1, &err), &err);
    ser_folds_free(&f);
    ser_corpus_free(&c);
    tree_write_text("numbered/votes.csv", "utterance,angry,happy\n1,1,1\n");
    check_fails(tree_path("numbered"), NULL, SER_E_FORMAT,
                "2 recordings are called '1': name them by their paths");
    tree_write_text("numbered/votes.csv", "utterance,angry,happy\nhappy/1,1,2\n2,3,0\n");
    c = open_corpus(tree_path("numbered"), NULL);
    CHECK(c && c->votes && c->votes[0] == 3 && c->votes[(size_t)3 * c->n_labels + 1] == 2);
    ser_corpus_free(&c);
}

/* Every allocation fails once. */
static void test_memory(void)
{
    static const char *const specs[] = {"esd",  "tess",       "twice",        "inside", "splits",
                                        "case", "many-cases", "t/memory.csv", "grids",  "one.textgrid"};
    tree_write_text("t/memory.csv",
                    "file,emotion\n wav\\a.wav,Proud\nwav/b.wav,proud\nwav/c.wav,sad\nwav/c.wav,sad\n");
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        ser_status st = SER_E_NOMEM;
        long n = 0;
        for (; st != SER_OK && n < 2000; n++) {
            ser_corpus *c;
            failing_at(n);
            st = ser_corpus_open(&c, tree_path(specs[i]), NULL, &err);
            failing_at(-1);
            CHECK(st == SER_OK ? c != NULL : !c && st == SER_E_NOMEM);
            ser_corpus_free(&c);
        }
        CHECK(n > 20 && n < 2000);
    }
}

/* A TextGrid as Praat saves it: short and long form, UTF-16, tiers beside the one that is meant. */
static const char long_form[] =
    "File type = \"ooTextFile\"\nObject class = \"TextGrid\"\n\nxmin = 0 \nxmax = 2.5 \ntiers? <exists> \n"
    "size = 3 \nitem []: \n    item [1]:\n        class = \"TextTier\" \n        name = \"clicks\" \n        "
    "xmin = 0 \n"
    "        xmax = 2.5 \n        points: size = 1 \n        points [1]:\n            number = 0.5 \n"
    "            mark = \"click\" \n    item [2]:\n        class = \"IntervalTier\" \n        name = "
    "\"words\" \n"
    "        xmin = 0 \n        xmax = 2.5 \n        intervals: size = 1 \n        intervals [1]:\n"
    "            xmin = 0 \n            xmax = 2.5 \n            text = \"say \"\"hello\"\" ! 3\" \n    item "
    "[3]:\n"
    "        class = \"IntervalTier\" \n        name = \"Emotion\" \n        xmin = 0 \n        xmax = 2.5 \n"
    "        intervals: size = 3 \n        intervals [1]:\n            xmin = 0 \n            xmax = 1 \n"
    "            text = \"Anger\" \n        intervals [2]:\n            xmin = 1 \n            xmax = 1.5 \n"
    "            text = \"\" \n        intervals [3]:\n            xmin = 1.5 \n            xmax = 2.5 \n"
    "            text = \" sad \" \n";
static const char short_form[] = "File type = \"ooTextFile\"\nObject class = "
                                 "\"TextGrid\"\n\n0\n2\n<exists>\n1\n\"IntervalTier\"\n\"mood\"\n0\n2\n2\n"
                                 "0\n1\n\"happy\"\n1\n2\n\"neutral\"\n";

static void write_utf16(const char *name, const char *text)
{
    static unsigned char bytes[8192];
    size_t n = 0;
    bytes[n++] = 0xff, bytes[n++] = 0xfe;
    for (; *text && n + 2 <= sizeof bytes; text++)
        bytes[n++] = (unsigned char)*text, bytes[n++] = 0;
    tree_write(name, bytes, n);
}

static void test_textgrids(void)
{
    tree_write_text("grids/a.TextGrid", long_form);
    tree_touch("grids/a.wav grids/sub/b.flac grids/other.wav");
    write_utf16("grids/sub/b.TextGrid", long_form);
    tree_write_text("grids/words.TextGrid", short_form); /* without a tier of emotions: passed over */
    tree_write_text("grids/broken.TextGrid", "of something else");
    check_corpus(tree_path("grids"),
                 "[a_0-1 angry -][a_1.5-2.5 sad -][sub/b_0-1 angry -][sub/b_1.5-2.5 sad -]", NULL);
    tree_write_text("one.textgrid", short_form);
    tree_touch("one.wav");
    check_corpus(tree_path("one.textgrid"), "[one_0-1 happy -][one_1-2 neutral -]", NULL);

    static const struct {
        const char *name, *from, *to, *words;
    } wrong[] = {{"alone", NULL, NULL, "no recording"},
                 {"early", "\"neutral\"\n", "", "ends early"},
                 {"early2", "\"neutral\"", "\"neutral", "ends early"},
                 {"many", "2\n0\n1\n\"happy\"", "2000000\n0\n1\n\"happy\"", "ends early"},
                 {"kind", "IntervalTier", "PitchTier", "PitchTier"},
                 {"order", "1\n2\n\"neutral\"", "2\n1\n\"neutral\"", "mend it"},
                 {"infinite", "1\n2\n\"neutral\"", "1\n1e999\n\"neutral\"", "ends early"},
                 {"no", "ooTextFile", "ooBinaryFile", "no TextGrid"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char name[64], text[1024];
        const char *at = wrong[i].from ? strstr(short_form, wrong[i].from) : NULL;
        int n = at ? (int)(at - short_form) : (int)strlen(short_form);
        snprintf(text, sizeof text, "%.*s%s%s", n, short_form, at ? wrong[i].to : "",
                 at ? at + strlen(wrong[i].from) : "");
        snprintf(name, sizeof name, "%s.TextGrid", wrong[i].name);
        tree_write_text(name, text);
        if (at) {
            snprintf(name, sizeof name, "%s.wav", wrong[i].name);
            tree_touch(name);
            snprintf(name, sizeof name, "%s.TextGrid", wrong[i].name);
        }
        ser_corpus *c = NULL;
        CHECK(ser_corpus_open(&c, tree_path(name), NULL, &err) != SER_OK && !c);
        if (!strstr(err.text, wrong[i].words))
            fprintf(stderr, "%s: %s\n", name, err.text);
        CHECK(strstr(err.text, wrong[i].words));
    }
}

int main(void)
{
    tree_make();
    test_folders();
    test_copies();
    test_links();
    test_tables();
    test_stretches();
    test_folds();
    test_textgrids();
    test_memory();
    tree_remove();
    return test_summary();
}

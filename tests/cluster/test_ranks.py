#!/usr/bin/env python3
"""One job on several ranks: the bytes of one process, whoever dies.

Usage: test_ranks.py PATH_OF_SER            with Open MPI's mpirun, and a ser that was built with it
       test_ranks.py PATH_OF_SER --without  of a ser that was built without: it says so
"""
import glob, json, os, shutil, signal, subprocess, sys, time, unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../cli"))
WITHOUT = "--without" in sys.argv
if WITHOUT:
    sys.argv.remove("--without")
from test_cross_corpus import Cross
import test_fine_tune  # not its class: its tests would run here again
from test_program import BESIDE, HAS_MODEL, SER, Case, tone, voice, write_wav


class Ranks(Case):
    def setUp(self):
        super().setUp()
        # Ranks that wait must not keep others from the processor; what mpirun leaves lies in a folder that goes.
        self.env.update(OMPI_MCA_mpi_yield_when_idle="1", TMPDIR=self.dir, OMPI_MCA_orte_tmpdir_base=self.dir)
        self.env["ASAN_OPTIONS"] = "detect_leaks=0"  # Open MPI keeps things until the end, in modules that are gone by then
        self.started = []

    def tearDown(self):
        for p in self.started:  # in a session of its own: ranks go with it
            try:
                os.killpg(p.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            p.wait()
        super().tearDown()

    def start(self, n, *args):
        p = subprocess.Popen(["mpirun", "-n", str(n), "--oversubscribe", "--allow-run-as-root", SER, *args], env=self.env, cwd=self.dir,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self.started.append(p)
        return p

    def end(self, p, status=0):
        out, err = (b.decode() for b in p.communicate(timeout=500))
        if status is not None:
            self.assertEqual(p.returncode, status, "stdout: %s\nstderr: %s" % (out, err))
        return out, [l for l in err.splitlines() if l.startswith("ser: ")]

    def start_unlike(self, before, *args, program=SER, rank=1):
        """Two ranks, of which one does something first."""
        script = f"cd {self.dir}; p={SER}; [ $OMPI_COMM_WORLD_RANK != {rank} ] || {{ {before}; p={program}; }}; exec $p \"$@\""
        p = subprocess.Popen(["mpirun", "-n", "2", "--oversubscribe", "--allow-run-as-root", "sh", "-c", script, "sh", *args], env=self.env,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self.started.append(p)
        return p

    def unlike(self, before, *args, status=1, program=SER, rank=1):
        _, err = self.end(self.start_unlike(before, *args, program=program, rank=rank), status)
        self.assertEqual(len(err), 1, err)
        return err[0]

    def ranks(self, n, *args, status=0):
        return self.end(self.start(n, *args), status)

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def pids(self, p):
        """Of the ranks that mpirun started."""
        found = {}
        for path in glob.glob("/proc/[0-9]*/environ"):
            try:
                with open(path, "rb") as f:
                    entries = dict(e.split(b"=", 1) for e in f.read().split(b"\0") if b"=" in e)
                with open(os.path.join(os.path.dirname(path), "stat")) as f:
                    parent = int(f.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            if parent == p.pid and b"OMPI_COMM_WORLD_RANK" in entries:
                found[int(entries[b"OMPI_COMM_WORLD_RANK"])] = int(path.split("/")[2])
        return found

    def wait(self, condition, what, seconds=120):
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.01)


class Apart(Ranks):
    def test_processes_on_their_own(self):
        write_wav(self.path("a.wav"), tone(300, 0.3))
        self.env.update(OMPI_COMM_WORLD_SIZE="4", OMPI_COMM_WORLD_RANK="2", SER_RANKS="0")
        self.ser("extract", "--feature-type", "MFCC", "-o", "a.npy", "a.wav")
        self.assertTrue(os.path.exists(self.path("a.npy")))


@unittest.skipUnless(WITHOUT, "this ser knows ranks")
class Without(Ranks):
    def test_is_said(self):
        write_wav(self.path("a.wav"), tone(300, 0.3))
        for variables in (dict(OMPI_COMM_WORLD_SIZE="4", OMPI_COMM_WORLD_RANK="0"), dict(PMI_SIZE="4", PMI_RANK="0"),
                          dict(SLURM_STEP_NUM_TASKS="4", SLURM_PROCID="0")):
            self.env.update(variables)
            _, err = self.ser("extract", "--feature-type", "MFCC", "-o", "a.npy", "a.wav", status=1)
            self.assertEqual(len(err.splitlines()), 1)
            self.assertIn("4 ranks were started, and this ser was built without MPI", err)
            for name in variables:
                del self.env[name]
        self.assertFalse(os.path.exists(self.path("a.npy")))


@unittest.skipIf(WITHOUT or not shutil.which("mpirun"), "no mpirun, or a ser without MPI")
@unittest.skipUnless(HAS_MODEL, "no built-in model")
class Predict(Ranks):
    def make_recordings(self, n=4):
        os.makedirs(self.path("r/deep, er"))
        for i in range(n):
            write_wav(self.path(f"r/voice{i}.wav"), voice(110 + 7 * i, 1 + 0.2 * i, seed=i))
            write_wav(self.path(f"r/deep, er/tone{i}.wav"), tone(200 + 100 * i, 0.3, seed=i))
        write_wav(self.path("r/none.wav"), [])

    def test_ranks_are_one_process(self):
        self.make_recordings()
        for n, args in ((2, ("--format", "csv", "--timeline")), (4, ("--format", "json",)), (3, ())):
            whole, before = self.ser("predict", *args, "r", status=1)
            out, err = self.ranks(n, "predict", "-j", "1", *args, "r", status=1)
            self.assertEqual(out.replace("\r\n", "\n"), whole)
            self.assertEqual(err, before.splitlines())
        self.ser("predict", "-o", "one", "r", status=1)
        self.ranks(4, "predict", "-o", "four", "r", status=1)
        self.assertEqual(self.read("four"), self.read("one"))
        self.assertEqual([n for n in os.listdir(self.dir) if "journal" in n], [])

    def make_many(self):
        self.make_recordings(2)
        for i in range(120):  # more than are answered before somebody dies
            os.link(self.path("r/voice1.wav"), self.path(f"r/more{i}.wav"))

    def kill(self, p, rank):
        """In the middle of a recording."""
        marks = self.path(f"all.journal/rank-{rank}")
        self.wait(lambda: os.path.exists(marks) and b"begin" in self.read(marks), "work")
        pid = self.pids(p)[rank]

        def is_held():
            with open(f"/proc/{pid}/stat") as f:
                return f.read().rsplit(")", 1)[1].split()[0] == "T"

        def is_within():
            """Held still, to look at: between two recordings it goes on."""
            os.kill(pid, signal.SIGSTOP)
            self.wait(is_held, "that it stops")
            within = self.read(marks).decode().splitlines()[-1].startswith("begin")
            if not within:
                os.kill(pid, signal.SIGCONT)
            return within
        self.wait(is_within, "a recording under way")
        os.kill(pid, signal.SIGKILL)
        self.end(p, None)
        self.assertNotEqual(p.returncode, 0)
        self.assertFalse(os.path.exists(self.path("all")))

    def test_killed(self):
        self.make_many()
        command = ("predict", "-q", "-j", "1", "--format", "csv", "-o", "all", "r")
        self.kill(self.start(3, *command), 1)
        lines = self.read("all.journal/rank-1").decode().splitlines()
        at = lines[-1].removeprefix("begin ")
        self.assertNotEqual(at, lines[-1])  # one thread: at most one recording
        _, err = self.ranks(2, *command, status=1)  # with another number of ranks
        self.assertEqual(err[0], f"ser: {at}: rank 1 of the run before ended at it: it is tried once more, alone")
        self.ser("predict", "-q", "--format", "csv", "-o", "whole", "r", status=1)
        self.assertEqual(self.read("all"), self.read("whole"))
        self.assertFalse(os.path.exists(self.path("all.journal")))

    def test_stopped(self):
        self.make_many()
        command = ("predict", "-q", "-j", "1", "--format", "csv", "-o", "all", "r")
        p = self.start(3, *command)
        self.wait(lambda: os.path.exists(self.path("all.journal/answers")) and self.read("all.journal/answers"), "an answer")
        os.kill(self.pids(p)[2], signal.SIGTERM)  # one of them, as from a time limit
        _, err = self.end(p, 130)
        self.assertEqual(err, ["ser: interrupted"])
        kept = len(self.read("all.journal/answers"))
        self.assertGreater(kept, 0)
        _, err = self.ser("predict", "-q", "--format", "csv", "-o", "all", "r", status=1)  # nobody is to blame
        self.assertNotIn("of the run before", err)
        self.ser("predict", "-q", "--format", "csv", "-o", "whole", "r", status=1)
        self.assertEqual(self.read("all"), self.read("whole"))

    def test_set_aside(self):
        self.make_recordings()
        os.makedirs(self.path("all.journal"))
        with open(self.path("all.journal/crashes"), "w") as f:
            f.write("1 r/voice1.wav\n2 r/voice2.wav\n")
        with open(self.path("all.journal/rank-0"), "w") as f:
            f.write("begin r/voice0.wav\nbegin r/voice3.wav\nend r/voice0.wav\nend r/voice3.wav\nbegin r/voice1.wav\n")
        with open(self.path("all.journal/answers"), "wb") as f:  # damaged
            f.write(b"\x01" * 100)
        _, err = self.ranks(2, "predict", "-q", "--format", "json", "-o", "all", "r", status=1)
        self.assertIn("ser: r/voice1.wav: rank 0 of the run before ended at it, and not for the first time", err)
        rows = [json.loads(l) for l in self.read("all").decode().splitlines()]
        self.assertEqual([r["file"] for r in rows if "error" in r], ["r/none.wav", "r/voice1.wav"])
        self.assertIn("ended the program 2 times (the last time rank 0): it is set aside", [r["error"] for r in rows if "error" in r][1])

    def test_what_ranks_cannot_do(self):
        self.make_recordings()
        for args in (("--follow", "r"), ("-",)):
            _, err = self.ranks(2, "predict", *args, status=2)
            self.assertEqual(len(err), 2, err)  # the second one says where help is
            self.assertIn("is for one process", err[0])

    def test_ranks_that_see_other_files(self):
        self.make_recordings()
        os.makedirs(self.path("here/r"))
        shutil.copy(self.path("r/voice1.wav"), self.path("here/r/a.wav"))
        said = self.unlike("cd here", "predict", "-o", "x", "r")
        self.assertIn("rank 1", said)
        self.assertIn("sees other recordings than rank 0", said)
        shutil.rmtree(self.path("here/r"))
        shutil.copytree(self.path("r"), self.path("here/r"))
        with open(self.path("here/r/voice2.wav"), "r+b") as f:  # as long, and something else
            f.seek(-100, os.SEEK_END)
            f.write(b"another".ljust(100))
        self.assertRegex(self.unlike("cd here", "predict", "-o", "x", "r"),
                         r"rank 1 \(.*\) sees other recordings than rank 0 \(.*\), such as r/voice2.wav: all must see the same files")
        self.assertFalse(os.path.exists(self.path("x")))

    def test_ranks_that_are_unlike(self):
        self.make_recordings(1)
        version = self.ser("--version")[0].split()[1].encode()
        if os.path.exists(BESIDE):  # an installed program is not taken along this way
            for path, copy in ((SER, "other"), (BESIDE, "ser-extras.so")):
                with open(path, "rb") as f:
                    program = f.read()
                with open(self.path(copy), "wb") as f:
                    f.write(program.replace(version + b"\0", b"9" * len(version) + b"\0"))
            os.chmod(self.path("other"), 0o755)
            self.assertRegex(self.unlike("true", "predict", "r", program=self.path("other")), "rank 1 .* is ser 9+, and rank 0 .* install one version")
            os.remove(self.path("ser-extras.so"))
            self.assertIn("a part of the program cannot be loaded", self.unlike("true", "predict", "r", program=self.path("other")))
        self.assertIn("another processor", self.unlike("export SER_MAX_ISA=sse41", "predict", "-q", "r/voice0.wav", status=0))
        for folder in ("m", "here/m"):
            os.makedirs(self.path(folder))
            with open(self.path(folder + "/model.safetensors"), "w") as f:
                f.write(folder.rjust(20))
        os.symlink(self.path("r"), self.path("here/r"))
        self.assertIn("sees other models than rank 0", self.unlike("cd here", "predict", "--model", "m", "r"))

    def test_shards_are_on_their_own(self):
        self.make_recordings()
        p = subprocess.Popen(["mpirun", "-n", "2", "--oversubscribe", "--allow-run-as-root", "sh", "-c",
                              f"{SER} predict -q --shard $((OMPI_COMM_WORLD_RANK+1))/2 -o part$OMPI_COMM_WORLD_RANK r || true"],
                             env=self.env, cwd=self.dir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             start_new_session=True)
        self.started.append(p)
        self.end(p, None)
        self.ser("merge", "-o", "merged", "part0", "part1", status=1)
        self.ser("predict", "-q", "-o", "whole", "r", status=1)
        self.assertEqual(self.read("merged"), self.read("whole"))


def without_times(x):
    if isinstance(x, dict):
        return {k: without_times(v) for k, v in x.items() if k not in ("seconds", "jobs", "ranks", "run")}
    return [without_times(v) for v in x] if isinstance(x, list) else x


@unittest.skipIf(WITHOUT or not shutil.which("mpirun"), "no mpirun, or a ser without MPI")
class Jobs(Ranks):
    NETWORK = ("--epoch", "2", "--filter-size", "6", "--dilation-size", "2", "--stack-size", "1", "--batch-size", "8")
    LEARN = ("--data", "corpus", "--feature-type", "LOGMEL", "--inner-folds", "2", *NETWORK)

    def contents(self, folder):
        found = {}
        for where, _, names in os.walk(self.path(folder)):
            for name in names:
                path = os.path.join(where, name)
                found[os.path.relpath(path, self.path(folder))] = self.read(path)
        return found

    def report(self, run):
        return without_times(json.loads(self.read(run + "/report.json")))

    def test_extract(self):
        self.make_corpus()
        write_wav(self.path("corpus/anger/none.wav"), [])
        args = ("extract", "--data", "corpus", "--feature-type", "LOGMEL+MFCC", "--features-dir")
        out, err = self.ser(*args, "one", status=1)
        for n in (2, 4):
            again, said = self.ranks(n, *args, f"r{n}", "-j", "1", status=1)
            self.assertEqual(self.contents(f"r{n}"), self.contents("one"))
            self.assertEqual(again.replace("\r\n", "\n"), out.replace("one/", f"r{n}/"))
            self.assertEqual(said, err.splitlines())
        os.remove(self.path("corpus/anger/none.wav"))
        self.ranks(3, *args, "r4", "-j", "1")  # goes on where it was, with another number of ranks
        self.ser(*args, "one")
        self.assertEqual(self.contents("r4"), self.contents("one"))

    def test_a_killed_extract(self):
        self.make_corpus(per_class=40)
        args = ("extract", "--data", "corpus", "--feature-type", "LOGMEL", "--features-dir")
        tree, marks = "f/LOGMEL/corpus_LOGMEL_128", "f/LOGMEL/corpus_LOGMEL_128.journal/rank-1"
        p = self.start(2, *args, "f", "-j", "1")
        self.wait(lambda: os.path.exists(self.path(marks)) and b"begin" in self.read(marks), "work")
        os.kill(self.pids(p)[1], signal.SIGKILL)
        self.end(p, None)
        last = self.read(marks).decode().splitlines()[-1]
        _, err = self.ser(*args, "f")
        if last.startswith("begin "):
            self.assertEqual(err.splitlines()[0], f"ser: {last[6:]}: rank 1 of the run before ended at it: it is tried once more, alone")
        self.ser(*args, "one")
        self.assertEqual(self.contents("f"), self.contents("one"))
        self.assertTrue(os.path.exists(self.path(tree)))

    def same_run(self, n, args, out, said=""):
        """What n ranks make in run2 is what one process made in run1."""
        again, err = self.ranks(n, *args, "-j", "1", "--run", "run2")
        self.assertEqual(err, said.splitlines())
        self.assertEqual(again.replace("\r\n", "\n").replace("run2", "run1"), out)
        self.assertEqual(self.report("run2"), self.report("run1"))
        one, two = self.contents("run1"), self.contents("run2")
        self.assertEqual(sorted(one), sorted(two))
        for name in one:
            if name.endswith((".safetensors", ".h5")):
                self.assertEqual(one[name], two[name], name)
        if "history.jsonl" in one:
            epochs = lambda run: sorted(json.dumps(dict(json.loads(l), seconds=0)) for l in self.read(run + "/history.jsonl").splitlines())
            self.assertEqual(epochs("run2"), epochs("run1"))
        shutil.rmtree(self.path("run2"))

    def test_a_killed_intake(self):
        self.make_corpus(per_class=60)
        args = ("train", "--data", "corpus", "--feature-type", "LOGMEL", "--split-fold", "0", "--model-type", "linear", "-j", "1", "--run")
        journals = lambda: glob.glob(self.env["XDG_CACHE_HOME"] + "/ser/features/recordings-*.journal")
        marks = lambda: b"".join(self.read(j + "/rank-1") for j in journals() if os.path.exists(j + "/rank-1"))
        p = self.start(2, *args, "none")
        self.wait(lambda: b"begin" in marks(), "work")
        os.kill(self.pids(p)[1], signal.SIGKILL)
        self.end(p, None)
        last = marks().decode().splitlines()[-1]
        _, err = self.ranks(3, *args, "run")
        if last.startswith("begin "):
            self.assertEqual(err, [f"ser: {last[6:]}: rank 1 of the run before ended at it: it is tried once more, alone"])
        self.assertEqual(journals(), [])
        self.ser(*args, "one")
        self.assertEqual(self.read("run/model.safetensors"), self.read("one/model.safetensors"))

    def test_an_intake_that_ends_the_program_again(self):
        self.make_corpus(per_class=4)
        args = ("evaluate", "--data", "corpus", "--feature-type", "LOGMEL", "--protocol", "kfold=2", "--inner-folds", "2", "-j", "1", "--run")
        write_wav(self.path("corpus/anger/anger9.wav"), tone(900, 60))
        p = self.start(2, *args, "none")  # only to learn what the journal is called
        journals = lambda: glob.glob(self.env["XDG_CACHE_HOME"] + "/ser/features/recordings-*.journal")
        self.wait(lambda: [j for j in journals() if os.path.exists(j + "/rank-1")], "a journal")
        for pid in self.pids(p).values():  # they are no part of mpirun's process group, and would go on without it
            os.kill(pid, signal.SIGKILL)
        os.killpg(p.pid, signal.SIGKILL)
        self.end(p, None)
        folder = journals()[0]
        for name in os.listdir(folder):
            if name.startswith("rank-"):
                os.remove(os.path.join(folder, name))
        bad = "corpus/anger/anger1.wav"
        with open(os.path.join(folder, "crashes"), "w") as f:
            f.write(f"1 {bad}\n0 {bad}\n")
        _, err = self.ranks(2, *args, "none", status=1)
        self.assertEqual(err, [f"ser: {bad}: reading it ended the program 2 times (the last time rank 0): it is set aside until it is changed"])
        self.assertFalse(os.path.exists(self.path("none")))
        os.utime(self.path(bad))  # repaired
        self.ranks(2, *args, "run")
        self.assertEqual(journals(), [])

    def test_the_first_rank_looks_at_the_outputs(self):
        corpus = self.make_corpus(per_class=4)
        args = ("evaluate", "--data", corpus, "--feature-type", "LOGMEL", "--protocol", "kfold=2", "--inner-folds", "2", "--run", self.path("run"), "--json")
        os.makedirs(self.path("out"))
        os.makedirs(self.path("here"))  # of rank 1, which writes nothing: without "out"
        self.end(self.start_unlike(f"cd {self.path('here')}", *args, "out/r.json"))
        self.assertTrue(os.path.exists(self.path("out/r.json")))
        _, err = self.ranks(2, *args, "no/where.json", status=2)
        self.assertIn("no/where.json: its folder cannot be written to", err[0])
        self.assertEqual(len(err), 2, err)  # the second one says where help is

    def test_folds_seeds_candidates_and_networks(self):
        self.make_corpus(per_class=4)
        for ranks, args in (
                ((3,), ("evaluate", "--protocol", "kfold=3", "--model-type", "linear+timnet", "--networks", "2", "--seeds", "2", "--honest")),
                ((2, 4), ("train", "--split-fold", "2", "--model-type", "linear+timnet", "--networks", "3")),
                ((2,), ("evaluate", "--protocol", "kfold=3", "--model-type", "timnet", "--networks", "2", "--micro-batch", "3")),
                ((3,), ("train", "--split-fold", "0", "--model-type", "timnet", "--networks", "3")),
                ((2, 3, 4), ("train", "--split-fold", "0", "--model-type", "linear"))):  # candidates, and shares of their folds
            out, _ = self.ser(*args, *self.LEARN, "--run", "run1")
            for n in ranks:
                self.same_run(n, (*args, *self.LEARN), out)
            shutil.rmtree(self.path("run1"))

    def test_what_shares_recordings_alone(self):
        """test, test-cross-corpus and train-lmmd: the rest is rank 0's."""
        self.count = 0
        Cross.make_corpora(self)
        known = ("--feature-type", "LOGMEL")
        self.ser("train", "--data", "EMODB", *known, "--model-type", "linear", "--split-fold", "2", "--run", "models")
        for args in (("test", "--data", "EMODB", "--test-path", "models", *known),
                     ("test-cross-corpus", "--data", "EMODB", "--test-path", "models", *known),
                     ("train-lmmd", "--data", "EMODB", *known, *self.NETWORK, "--networks", "1", "--augment", "none")):
            cache = self.path("cache-" + args[0])  # ranks have something to share
            self.env["XDG_CACHE_HOME"] = cache
            out, said = self.ser(*args, "--run", "run1")
            shutil.rmtree(cache)
            self.same_run(3, args, out, said)
            shutil.rmtree(self.path("run1"))

    speak = Cross.speak

    def test_one_training_in_step(self):
        self.make_corpus(per_class=4)
        args = ("train", "--split-fold", "0", "--model-type", "timnet", *self.LEARN)
        self.ser(*args, "--micro-batch", "3", "--run", "r1")
        for n in (2, 3, 4):
            self.ranks(n, *args, "-j", "1", "--micro-batch", "3", "--run", f"r{n}")
            self.assertEqual(self.read(f"r{n}/model.safetensors"), self.read("r1/model.safetensors"))
        self.ser(*args, "--run", "whole")
        self.assertNotEqual(self.read("whole/model.safetensors"), self.read("r1/model.safetensors"))
        _, err = self.ranks(2, *args, "--run", "none", status=2)
        self.assertEqual(len(err), 1, err)
        self.assertIn("--micro-batch", err[0])
        self.assertFalse(os.path.exists(self.path("none")))

    def test_fine_tuning_in_step(self):
        two = test_fine_tune.FineTune.make(self, "two", ("angry", "neutral", "surprised"), 9)
        one = test_fine_tune.FineTune.make(self, "one", ("angry", "sad", "neutral"), 0)
        args = ("train", "--data", one + "+" + two, *test_fine_tune.TUNE)
        self.ser(*args, "--micro-batch", "5", "--run", "r1")
        for n in (2, 4):  # of the four parts of a batch each has the same, and two ranks have a different number
            _, err = self.ranks(n, *args, "--micro-batch", "5", "--run", f"r{n}")
            self.assertEqual(err, [])
            self.assertEqual(self.report(f"r{n}"), self.report("r1"))
            for name in ("model.safetensors", "encoder/model.safetensors", "left-out.jsonl"):
                self.assertEqual(self.read(f"r{n}/{name}"), self.read(f"r1/{name}"), name)
        self.ser(*args, "--run", "whole")
        self.assertNotEqual(self.read("whole/encoder/model.safetensors"), self.read("r1/encoder/model.safetensors"))
        _, err = self.ranks(2, *args, "--run", "none", status=2)
        self.assertEqual(len(err), 1, err)
        self.assertIn("--micro-batch", err[0])
        self.assertFalse(os.path.exists(self.path("none")))

    def test_stopped_and_resumed(self):
        self.make_corpus(per_class=4)
        args = ("train", "--split-fold", "0", "--model-type", "timnet", *self.LEARN, "--epoch", "60", "--patience", "0", "--micro-batch", "2")
        p = self.start(2, *args, "-j", "1", "--run", "run")
        self.wait(lambda: os.path.exists(self.path("run/state-1.safetensors")), "an epoch")
        os.kill(self.pids(p)[1], signal.SIGTERM)
        _, err = self.end(p, None)
        if p.returncode == 130:  # else it was quicker
            self.assertEqual(err[-2], "ser: go on with: ser train --resume run", err)
            self.ranks(3, "train", "--resume", "run", "-j", "1")
        self.ser(*args, "--run", "one")
        self.assertEqual(self.read("run/model.safetensors"), self.read("one/model.safetensors"))

    def test_a_failure_is_everybodys(self):
        self.make_corpus(per_class=4)
        os.makedirs(self.path("here"))
        # A rank that sees the corpus, and not the folder that rank 0 writes into.
        said = self.unlike("cd here", "extract", "--data", self.path("corpus"), "--feature-type", "LOGMEL", "--features-dir", "f", "-j", "1")
        self.assertIn("rank 1", said)
        self.assertIn("a folder that all ranks share", said)

    def test_run_folder_that_is_not_shared(self):
        self.make_corpus(per_class=4)
        os.makedirs(self.path("here"))
        said = self.unlike("cd here", "train", "--split-fold", "2", "--model-type", "timnet", *self.LEARN[2:], "--data", self.path("corpus"),
                           "--run", "run", "-j", "1")
        self.assertIn("a folder that all ranks share", said)

    def test_failure_within_a_step(self):
        """Rank 0 cannot write a state, and rank 1 waits inside MPI for its gradients."""
        self.make_corpus(per_class=4)
        args = ("train", "--split-fold", "0", "--model-type", "timnet", *self.LEARN, "--epoch", "40", "--micro-batch", "2", "-j", "1")
        said = self.unlike("trap '' XFSZ; ulimit -f 8", *args, "--run", "run", rank=0)
        self.assertIn("run/state-1.safetensors", said)
        self.assertIn("File too large", said)
        self.ranks(2, "train", "--resume", "run", "-j", "1")
        self.ser(*args, "--run", "one")
        self.assertEqual(self.read("run/model.safetensors"), self.read("one/model.safetensors"))

    @unittest.skipUnless(os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL).returncode == 0, "no root")
    def test_full_disk_on_a_node(self):
        """A small disk of rank 1 alone: what is only kept for later is done without, and whatever else does not fit is told by its name."""
        self.make_corpus(per_class=4)
        os.makedirs(self.path("small"))
        full = f"unshare -m sh -c 'mount -t tmpfs -o size=16k none {self.path('small')}; exec {SER} \"$@\"' sh \"$@\"; exit $?"
        args = ("train", "--split-fold", "2", "--model-type", "linear", "--data", "corpus", "--feature-type", "LOGMEL", "--inner-folds", "2", "-j", "1")
        self.ser(*args, "--run", "one")
        self.end(self.start_unlike(f"export XDG_CACHE_HOME={self.path('small')}; {full}", *args, "--run", "two"))
        self.assertEqual(self.read("one/model.safetensors"), self.read("two/model.safetensors"))
        one = test_fine_tune.FineTune.make(self, "one1", ("angry", "sad", "neutral"), 0)
        said = self.unlike(f"export XDG_CACHE_HOME={self.path('small')}; {full}", "train", "--data", one, *test_fine_tune.TUNE, "--micro-batch", "8", "--run", "none")
        self.assertRegex(said, r"rank 1 \(.*\): .*No space left on device")


if __name__ == "__main__":
    unittest.main()

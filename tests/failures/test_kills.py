#!/usr/bin/env python3
"""Killed at any moment, a command that is run again, or gone on with by --resume, ends in the same bytes; two at a time
in one cache, tree, run folder or model's folder leave what one leaves.

Usage: test_kills.py PATH_OF_SER PATH_OF_FAIL_CALL [N [SEED]]
  Without N each command is killed before some of its calls that write. N: N kills of each command at random moments,
  half of them before a random call that writes.
"""
import os, random, signal, subprocess, sys, time, unittest

FAIL_CALL = os.path.abspath(sys.argv.pop(2))
N = int(sys.argv.pop(2)) if len(sys.argv) > 2 and sys.argv[2].isdigit() else 0
SEED = int(sys.argv.pop(2)) if len(sys.argv) > 2 and sys.argv[2].isdigit() else 1
from common import COMMANDS, SER, Place, comparable, contents  # noqa: E402

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "net"))
from server import Server, host_model  # noqa: E402

MODEL = "some/model"
FILES = {"config.json": b'{"model_type": "hubert"}\n', "preprocessor_config.json": b'{"do_normalize": true}',
         "model.safetensors": bytes(random.Random(0).randbytes(400_000))}
KILLED = ("train", "evaluate", "train-lmmd", "extract", "pull")
SAMPLE = 4  # kills of each command, without N
CAN_WATCH = subprocess.run([FAIL_CALL, "-1", "kill", "/", os.devnull, "/bin/true"]).returncode == 0


def must(place, args):
    p = subprocess.run([SER, *args], cwd=place, env=dict(os.environ, XDG_CACHE_HOME=os.path.join(place, "cache"), LC_ALL="C.UTF-8"),
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert p.returncode == 0, (args, p.stderr)


class Tried(Place):
    def __init__(self, name, server):
        super().__init__()
        self.name = name
        if name == "pull":
            self.args, self.makes = ("pull", "--endpoint", server, MODEL), ("hf",)
        else:
            self.args, self.makes = COMMANDS[name]
        if "run" in self.makes:  # --resume makes no files outside of the run folder
            self.makes = ("run",)

    def env(self):
        env = {k: v for k, v in super().env().items() if not k.startswith(("HF_", "http", "HTTP"))}
        return dict(env, HF_HOME=self.path("hf"))

    def command(self):
        """Whatever a person does after a kill: --resume where there is a run, else the same again."""
        if os.path.exists(self.path("run/config.json")):
            return [SER, self.args[0], "--resume", "run"]
        return [SER, *self.args]

    def start(self, watch=()):
        return subprocess.Popen([*watch, *self.command()], cwd=self.dir, env=self.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self):
        p = self.start()
        _, err = p.communicate(timeout=600)
        return p.returncode, err

    def kill_after(self, seconds):
        p = self.start()
        try:
            p.wait(seconds)
        except subprocess.TimeoutExpired:
            p.kill()
        p.communicate()
        return p.returncode == -signal.SIGKILL

    def kill_before(self, n):
        """The n-th call that writes; the calls."""
        report = self.dir + ".calls"
        p = self.start((FAIL_CALL, str(n), "kill", self.dir, report))
        p.communicate(timeout=600)
        with open(report) as f:
            calls = f.read().splitlines()
        os.remove(report)
        return p.returncode == -signal.SIGKILL, calls

    def made(self):
        found = {}
        for m in self.makes:
            for n, data in contents(self.path(m)).items():
                if not n.endswith((".jsonl", ".lock")) and n != ".made":  # a log of what happened
                    found[f"{m}/{n}" if n else m] = comparable(n or m, data)
        return found


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        Place.prepare(must)
        cls.server = Server()
        host_model(cls.server, MODEL, FILES)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()
        Place.clean()

    def tried(self, name):
        t = Tried(name, self.server.url)
        self.addCleanup(lambda: os.path.exists(t.dir) and t.remove())
        return t

    def check_same(self, t, reference, at):
        made = t.made()
        self.assertEqual(sorted(made), sorted(reference), at)  # and nothing half-written is left
        for n in reference:
            self.assertEqual(made[n], reference[n], (n, at))


@unittest.skipUnless(CAN_WATCH, "no seccomp notifications here")
class Kills(Case):
    def renames_of_each_folder(self, calls):
        """The last one of each, in a form that is the same in every run."""
        last = {}
        for c in calls:
            call, path = c.split(" ", 1)
            if call == "rename":
                last[os.path.dirname(path)] = "rename:" + os.path.join(os.path.basename(os.path.dirname(path)), os.path.basename(path))
        return sorted(last.values())

    def try_command(self, name):
        r = random.Random(SEED)
        whole = self.tried(name)
        _, calls = whole.kill_before(-1)
        reference = whole.made()
        whole.remove()
        timed = self.tried(name)
        begun = time.monotonic()
        self.assertEqual(timed.finish()[0], 0)
        seconds = time.monotonic() - begun
        timed.remove()
        renames = self.renames_of_each_folder(calls)
        n_killed = 0
        for k in range(N or SAMPLE + len(renames)):
            t, at = self.tried(name), []
            for _ in range(1 if not N else r.choice((1, 1, 2, 3))):  # the one that goes on may be killed, too
                if not N and k >= SAMPLE:  # what it makes has all but its name
                    moment = renames[k - SAMPLE]
                    killed, _ = t.kill_before(moment)
                elif not N:
                    moment = (2 * k + 1) * len(calls) // (2 * SAMPLE)
                    killed, _ = t.kill_before(moment)
                elif r.random() < 0.5:
                    moment = r.randrange(len(calls))
                    killed, _ = t.kill_before(moment)
                else:
                    moment = r.uniform(0, seconds)
                    killed = t.kill_after(moment)
                n_killed += killed
                at.append((moment, killed))
            status, err = t.finish()
            self.assertEqual(status, 0, (name, at, err))
            self.check_same(t, reference, (name, at))
            t.remove()
        self.assertGreater(n_killed, 0)
        print(f"{name}: {n_killed} kills in {N or SAMPLE} tries, {len(calls)} calls that write", flush=True)


for command in KILLED:
    setattr(Kills, "test_" + command.replace("-", "_"), lambda self, command=command: self.try_command(command))


class Two(Case):
    """At the same time."""

    def reference(self, name):
        t = self.tried(name)
        self.assertEqual(t.finish()[0], 0)
        made = t.made()
        t.remove()
        return made

    def both(self, t):
        two = [t.start(), t.start()]
        return [(p.communicate(timeout=600)[1], p.returncode) for p in two]

    def test_tree_cache_and_model(self):
        for name in ("extract", "extract-one", "pull"):
            reference, t = self.reference(name), self.tried(name)
            for err, status in self.both(t):
                self.assertEqual(status, 0, (name, err))
            self.check_same(t, reference, name)

    def test_run_folder(self):
        """One gets it; the other says so, and touches nothing."""
        reference, t = self.reference("train"), self.tried("train")
        results = self.both(t)
        self.assertIn(0, [status for _, status in results], results)
        for err, status in results:
            if status:
                self.assertIn(status, (1, 2), err)
                self.assertRegex(err, "at work|not empty|is complete|--resume")
        self.check_same(t, reference, results)


if __name__ == "__main__" and N:
    print(f"seed {SEED}: --- {N} kills of each of {', '.join(KILLED)}", flush=True)
if __name__ == "__main__":
    unittest.main(argv=sys.argv + (["Kills"] if N and len(sys.argv) == 1 else []), failfast=N > 0)

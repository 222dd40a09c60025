#!/usr/bin/env python3
"""Every call that writes fails once, in every command that writes: what was there before is whole, the exit status and
the message say what happened, and the next run, or --resume, ends as if nothing had been.

Usage: test_writes.py PATH_OF_SER PATH_OF_FAIL_CALL [--long]        without --long a sample of the calls
"""
import os, re, shutil, subprocess, sys, time, unittest

FAIL_CALL = os.path.abspath(sys.argv.pop(2))
LONG = "--long" in sys.argv
if LONG:
    sys.argv.remove("--long")
from common import COMMANDS, SER, Place, comparable, contents  # noqa: E402

ERRORS = {"ENOSPC": "No space left on device", "EIO": "Input/output error", "EDQUOT": "Disk quota exceeded", "short": None}
OLD = b"what was there before\n"
SAMPLE = 12  # of each command, without --long


def plain(place, args):
    return subprocess.run([SER, *args], cwd=place, env=dict(os.environ, XDG_CACHE_HOME=os.path.join(place, "cache"), LC_ALL="C.UTF-8"),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600)


def must(place, args):
    p = plain(place, args)
    assert p.returncode == 0, (args, p.stderr)


class Tried(Place):
    def __init__(self, name):
        super().__init__()
        self.name = name
        self.args, self.makes = COMMANDS[name]
        for made in self.makes:
            if "." in made:
                with open(self.path(made), "wb") as f:
                    f.write(OLD)

    def run(self, n, what):
        report = self.dir + ".calls"
        p = subprocess.run([FAIL_CALL, str(n), what, self.dir, report, SER, *self.args], cwd=self.dir, env=self.env(), stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, timeout=600)
        with open(report) as f:
            self.calls = f.read().splitlines()
        os.remove(report)
        return p

    def made(self):
        return {(m, n): data for m in self.makes for n, data in contents(self.path(m)).items()}

    def go_on(self):
        args = self.args
        if os.path.exists(self.path("run/config.json")):
            args = (self.args[0], "--resume", "run")
        return plain(self.dir, args)


@unittest.skipIf(subprocess.run([FAIL_CALL, "-1", "EIO", "/", os.devnull, "/bin/true"]).returncode, "no seccomp notifications here")
class Writes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        Place.prepare(must)

    @classmethod
    def tearDownClass(cls):
        Place.clean()

    def check(self, reference, t, p, what, call):
        at = f"{t.name}, {what} at {call}: status {p.returncode}, stderr: {p.stderr}"
        done = {f"{m}/{n}" if n else m: data for (m, n), data in t.made().items()}
        temporary = [n for n in done if os.path.basename(n).startswith(".ser-")]
        self.assertFalse(temporary, at)
        for name, data in done.items():  # old, or whole
            if data == OLD and p.returncode:
                continue
            try:
                c = comparable(name, data)
            except Exception as e:
                self.fail(f"{at}\n{name} is not whole: {e}")
            if name in reference and not name.endswith((".json", ".jsonl")):
                self.assertEqual(c, reference[name], f"{at}\n{name}")
        if p.returncode == 0:
            self.assertEqual(sorted(done), sorted(reference), at)
            for name in done:
                self.assertEqual(comparable(name, done[name]), reference[name], f"{at}\n{name}")
            return
        self.assertEqual(p.returncode, 1, at)
        lines = [line for line in p.stderr.splitlines() if line.startswith("ser: ") and ERRORS[what] in line]
        self.assertEqual(len(lines), 1, at)
        self.assertFalse(lines[0].startswith("ser: it "), at)  # it names what could not be written
        self.assertNotIn("Traceback", p.stderr)

    def try_command(self, name):
        whole = Tried(name)
        p = whole.run(-1, "EIO")
        self.assertEqual(p.returncode, 0, p.stderr)
        calls = whole.calls
        reference = {f"{m}/{n}" if n else m: comparable(n or m, data) for (m, n), data in whole.made().items()}
        whole.remove()
        n_failed = n_borne = 0
        for what in ERRORS:
            n = sum(c.startswith("write ") for c in calls) if what == "short" else len(calls)
            step = 1 if LONG else max(1, n * len(ERRORS) // SAMPLE)
            for i in range(list(ERRORS).index(what) % step, n, step):
                t = Tried(name)
                p = t.run(i, what)
                if i >= len(t.calls):  # not each run writes as often: where the machine is slow, more is kept in the cache
                    t.remove()
                    continue
                call = t.calls[i]
                self.check(reference, t, p, what, call)
                n_failed += p.returncode != 0
                n_borne += p.returncode == 0
                if what == "short":
                    self.assertEqual(p.returncode, 0, (name, call, p.stderr))
                if p.returncode:
                    again = t.go_on()
                    self.assertEqual(again.returncode, 0, (name, what, call, again.stderr))
                    self.assert_same(reference, t, (name, what, call))
                t.remove()
        print(f"{name}: {len(calls)} calls that write; {n_failed} failures told, {n_borne} done without", flush=True)

    def test_flushed(self):
        """What gets its name was flushed before, and its folder is behind it: a power cut finds it whole."""
        for name in COMMANDS:
            if name == "extract":  # a tree is flushed as a whole: see ser_io_sync
                continue
            t = Tried(name)
            self.assertEqual(t.run(-1, "EIO").returncode, 0)
            calls = [c.split(" ", 1) for c in t.calls]
            calls = [(what, os.path.normpath(os.path.join(os.path.realpath(t.dir), path))) for what, path in calls]
            calls = [(what, path) for what, path in calls if "/cache/" not in path]  # what is computed again where it is damaged
            renamed = [i for i, (what, _) in enumerate(calls) if what == "rename"]
            self.assertTrue(renamed, name)
            for i in renamed:
                what, path = calls[i]
                before = [c[0] for c in calls[:i] if os.path.basename(c[1]).startswith(".ser-")]
                self.assertEqual(before[-2:], ["fsync", "close"], (name, path))
                behind = next((j for j in range(i + 1, len(calls)) if calls[j] == ("fsync", os.path.dirname(path))), None)
                self.assertIsNotNone(behind, (name, path))
                self.assertFalse([c for c in calls[i + 1:behind] if c[0] == "rename"], (name, path))
            t.remove()

    def test_history(self):
        """The log of the epochs is worth no failure: what it misses is written with the next line, or a warning says so."""
        whole = Tried("train")
        self.assertEqual(whole.run(-1, "EIO").returncode, 0)
        lines = contents(whole.path("run"))["history.jsonl"]
        whole.remove()
        for call in ("create:run/history.jsonl", "write:run/history.jsonl"):
            t = Tried("train")
            p = t.run(call, "ENOSPC")
            self.assertEqual((p.returncode, p.stderr), (0, ""), call)
            self.assertEqual(comparable("history.jsonl", contents(t.path("run"))["history.jsonl"]), comparable("history.jsonl", lines), call)
            t.remove()
        t = Tried("train")
        t.run("create:run/history.jsonl", "kill")
        os.mkdir(t.path("run/history.jsonl"))  # where nothing can be written
        p = t.go_on()
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertRegex(p.stderr, "run/history.jsonl could not be written: epochs are missing")
        t.remove()

    def assert_same(self, reference, t, at):
        done = {f"{m}/{n}" if n else m: data for (m, n), data in t.made().items()}
        for name in reference:
            if name in done and done[name] == OLD:  # --resume does not make what lies outside of the run folder
                continue
            self.assertIn(name, done, at)
            self.assertEqual(comparable(name, done[name]), reference[name], (at, name))


def in_tmpfs(size, script):
    """sh -c script in an own mount namespace, with an empty file system of that size as current folder."""
    mounted = 'd=$(mktemp -d) && mount -t tmpfs -o size=%s tmpfs "$d" && cd "$d" && : >mounted && %s' % (size, script)
    return subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mounted], env=dict(os.environ, LC_ALL="C.UTF-8"),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600)


@unittest.skipIf(in_tmpfs("1m", "true").returncode, "nothing can be mounted here")
class FullDisk(unittest.TestCase):
    """A disk that is full, and one that is only read, as they really are."""

    @classmethod
    def setUpClass(cls):
        Place.prepare(must)

    @classmethod
    def tearDownClass(cls):
        Place.clean()

    def try_disk(self, name, size, before, after, words):
        """The command fails; after `after` it ends well."""
        args, makes = COMMANDS[name]
        command = " ".join([SER, *args])
        again = command if "run" not in makes else f'if [ -e run/config.json ]; then {SER} {args[0]} --resume run; else rm -rf run; {command}; fi'
        p = in_tmpfs(size, f"""export XDG_CACHE_HOME="$d/cache" && ln -s {Place.template}/* . && {before} &&
          {{ {command}; echo "status $?"; ls -A . run 2>/dev/null | grep '^[.]ser-'; cat one.npy answers.csv 2>/dev/null; {after} && {again} && echo good; }}""")
        self.assertRegex(p.stdout, "status [12]", p.stderr)
        self.assertEqual(len([line for line in p.stderr.splitlines() if re.search(words, line)]), 1, name + p.stderr)
        self.assertNotIn(".ser-", p.stdout)
        self.assertTrue(p.stdout.rstrip().endswith("good"), p.stdout + p.stderr)
        return p.stdout

    def test_full(self):
        for name in COMMANDS:
            out = self.try_disk(name, "8m", "echo old >one.npy && echo old >answers.csv && head -c 9m /dev/zero >filler 2>/dev/null; true", "rm filler",
                                "No space left on device")
            self.assertEqual(out.count("old\n"), 2, out)

    def test_almost_full(self):
        """There is room for some of it."""
        for name, room in (("train", "64k"), ("evaluate", "100k"), ("extract", "100k"), ("export", "50k")):
            self.try_disk(name, "8m", f"head -c 9m /dev/zero >filler 2>/dev/null; truncate -s -{room} filler", "rm filler", "No space left on device")

    def test_read_only(self):
        for name in COMMANDS:
            out = self.try_disk(name, "8m", "echo old >one.npy && echo old >answers.csv && mount -o remount,ro .", "mount -o remount,rw .",
                                "Read-only file system|cannot be written to")
            self.assertEqual(out.count("old\n"), 2, out)


class Removed(unittest.TestCase):
    """Somebody removes the folder while the work goes on."""

    @classmethod
    def setUpClass(cls):
        Place.prepare(must)

    @classmethod
    def tearDownClass(cls):
        Place.clean()

    def try_removing(self, args, folder, sign):
        place = Place()
        p = subprocess.Popen([SER, *args], cwd=place.dir, env=place.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            while p.poll() is None and not os.path.exists(place.path(sign)):
                time.sleep(0.005)
            while p.poll() is None and os.path.exists(place.path(folder)):
                shutil.rmtree(place.path(folder), ignore_errors=True)
            out, err = p.communicate(timeout=600)
        finally:
            p.kill()
        self.assertEqual(p.returncode, 1, err)
        self.assertEqual(len([line for line in err.splitlines() if folder in line and ("does not exist" in line or "No such file" in line)]), 1, err)
        self.assertFalse([n for n in os.listdir(place.dir) if n.startswith(".ser-")])
        place.remove()

    def test_run(self):
        args = [a if a != "2" else "2000" for a in COMMANDS["train"][0]]
        self.try_removing([*args, "--patience", "0"], "run", "run/history.jsonl")


for command in COMMANDS:
    setattr(Writes, "test_" + command.replace("-", "_"), lambda self, command=command: self.try_command(command))


if __name__ == "__main__":
    unittest.main()

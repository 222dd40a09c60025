#!/usr/bin/env python3
"""Where there is little of something: address space, open files, a home, time that goes on, numbers of 32 bits.

Usage: test_limits.py PATH_OF_SER PATH_OF_CLOCK [--long]     PATH_OF_CLOCK: a library that sets the clock back
"""
import os, resource, subprocess, sys, unittest

CLOCK = os.path.abspath(sys.argv.pop(2))
LONG = "--long" in sys.argv
if LONG:
    sys.argv.remove("--long")
from common import COMMANDS, SER, Place, comparable, contents, voice, write_wav  # noqa: E402

MB = 1 << 20


def run(place, args, limit=None, **env):
    whole = dict(place.env(), **env)
    p = subprocess.run([SER, *args], cwd=place.dir, env={k: v for k, v in whole.items() if v is not None}, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True, timeout=900, preexec_fn=limit)
    return p.returncode, p.stdout, p.stderr


class Limits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        def must(dir, args):
            p = subprocess.run([SER, *args], cwd=dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            assert p.returncode == 0, p.stderr
        Place.prepare(must)

    @classmethod
    def tearDownClass(cls):
        Place.clean()

    def place(self):
        p = Place()
        self.addCleanup(p.remove)
        return p

    def made(self, place, makes):
        return {(m, n): comparable(n or m, data) for m in makes for n, data in contents(place.path(m)).items()}

    def try_all(self, limit=None, names=None, **env):
        """Each command does under the limit what it does without."""
        for name in names or COMMANDS:
            args, makes = COMMANDS[name]
            free, tight = self.place(), self.place()
            status, out, err = run(free, args)
            self.assertEqual(status, 0, (name, err))
            status, tight_out, err = run(tight, args, limit, **env)
            self.assertEqual(status, 0, (name, err))
            self.assertEqual((tight_out, self.made(tight, makes)), (out, self.made(free, makes)), name)
            yield name, tight

    def test_open_files(self):
        for _ in self.try_all(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))):
            pass

    def test_no_home(self):
        for name, place in self.try_all(HOME=None, XDG_CACHE_HOME=None, TMPDIR=None, USER=None, LOGNAME=None):
            self.assertFalse([n for n in os.listdir(place.dir) if n in ("~", ".cache", "cache")], name)
        for name, _ in self.try_all(names=("predict", "train"), HOME="/nowhere", XDG_CACHE_HOME=None):
            pass

    def test_clock_set_back(self):
        for _ in self.try_all(LD_PRELOAD=CLOCK):
            pass

    def test_address_space(self):
        """256 MB beyond what program, libraries and model take; with less, 'out of memory' in words."""
        def limited(mb):
            return lambda: resource.setrlimit(resource.RLIMIT_AS, (mb * MB, mb * MB))
        place = self.place()
        least = 8
        while run(place, ["--version"], limited(least))[0] != 0:
            least += 8
        write_wav(place.path("minute.wav"), voice(140, 3) * 20)
        args = ["predict", "--jobs", "1", "--quiet", "--timeline", "minute.wav"]
        status, whole, err = run(place, args)
        self.assertEqual(status, 0, err)
        model = os.path.getsize(SER) // MB
        self.assertEqual(run(place, args, limited(least + model + 256)), (0, whole, ""))
        n_refused = 0
        for mb in range(least, least + model + 256, 2 if LONG else 24):
            status, out, err = run(place, args, limited(mb))
            if status == 0:
                self.assertEqual(out, whole)
                continue
            n_refused += 1
            self.assertEqual(status, 1, (mb, err))
            self.assertRegex(err, "out of memory|[Cc]annot allocate", mb)
        self.assertGreater(n_refused, 0)

    def test_big_table(self):
        """2 GB of zeros, and 2 GB behind a table that begins well."""
        place = self.place()
        for begin in (b"", b"file,emotion\ncorpus/sad0.wav,sad\n"):
            with open(place.path("big.csv"), "wb") as f:
                f.write(begin)
                f.truncate((2 << 30) + 100)
            status, _, err = run(place, ["evaluate", "--data", "big.csv", "--feature-type", "LOGMEL", "--protocol", "kfold=2"],
                                 lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)))
            self.assertEqual(status, 1, err)
            self.assertIn("bytes and should have at most", err)

    def test_big_recording(self):
        """Over 4 GB: its end is that of the file; the rest of what the header can say is not. Where such a file cannot be, skipped."""
        place = self.place()
        rate, channels = 192000, 16
        frames = (4 << 30) // (channels * 4) + rate
        head = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0" + (3).to_bytes(2, "little") + channels.to_bytes(2, "little") + rate.to_bytes(4, "little") + \
            (rate * channels * 4).to_bytes(4, "little") + (channels * 4).to_bytes(2, "little") + (32).to_bytes(2, "little") + b"data\xff\xff\xff\xff"
        with open(place.path("big.wav"), "wb") as f:
            f.write(head)
            f.truncate(len(head) + frames * channels * 4)
        status, out, err = run(place, ["predict", "--jobs", "1", "--format", "json", "big.wav"])
        self.assertEqual(status, 0, err)
        self.assertIn('"duration": %d.' % (frames // rate) if frames % rate else '"duration": %d' % (frames // rate), out)


if __name__ == "__main__":
    unittest.main()

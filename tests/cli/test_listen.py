#!/usr/bin/env python3
"""Runs `ser listen` on raw samples, and on a microphone that plays a recording (ALSA's file plugin).

Usage: test_listen.py PATH_OF_SER        Needs nothing but Python's own library, and the speech of Debian's alsa-utils.
"""
import array, fcntl, json, os, pty, re, shutil, signal, struct, subprocess, sys, tempfile, termios, time, unittest, wave

SER = os.path.abspath(sys.argv.pop(1))
SPEECH = "/usr/share/sounds/alsa/Front_Center.wav"
HAS_MODEL = subprocess.run([SER, "info"], capture_output=True).returncode == 0
ALSA_PLUGINS = os.path.exists("/usr/share/alsa/alsa.conf") or os.path.exists("/usr/lib/x86_64-linux-gnu/alsa-lib")

ALSA = """
pcm.silence { type null }
pcm.recording { type file slave.pcm "silence" file "/dev/null" infile "%s" format "raw" }
pcm.!default { type plug slave { pcm "recording" format S16_LE rate 16000 channels 1 } }
ctl.!default { type hw card 0 }
"""


def speech(*names):
    out = array.array("h")
    for name in names:
        if isinstance(name, float):
            out.extend([0] * int(16000 * name))
            continue
        with wave.open(f"/usr/share/sounds/alsa/{name}.wav") as f:
            out.extend(array.array("h", f.readframes(f.getnframes()))[::3])
    return out


@unittest.skipUnless(HAS_MODEL and os.path.exists(SPEECH), "no built-in model, or no recordings of alsa-utils")
class Listen(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.env = dict(os.environ, LC_ALL="C.UTF-8")

    def tearDown(self):
        shutil.rmtree(self.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def listen(self, *args, stdin=b"", status=0, env=None):
        p = subprocess.run([SER, "listen", *args], input=stdin, capture_output=True, env=env or self.env, timeout=300)
        self.assertEqual(p.returncode, status, p.stderr.decode())
        return p.stdout.decode(), p.stderr.decode()

    def events(self, *args, **kw):
        return [json.loads(line) for line in self.listen(*args, **kw)[0].splitlines()]

    def test_events_equal_the_timeline(self):
        sound = speech(0.5, "Front_Center", 1.0, "Front_Left", "Front_Right", "Rear_Center", "Side_Left", 1.0)
        with wave.open(self.path("a.wav"), "wb") as f:
            f.setnchannels(1), f.setsampwidth(2), f.setframerate(16000)
            f.writeframes(sound.tobytes())
        events = self.events("--precision", "fp32", "-", stdin=sound.tobytes())
        self.assertEqual([e["event"] for e in events].count("speech_end"), 2)
        for e in events:
            self.assertEqual(list(e)[:3], ["event", "start", "end"])
            self.assertIn("label", e)
        out = subprocess.run([SER, "predict", "--precision", "fp32", "-f", "json", "--timeline", self.path("a.wav")], capture_output=True, check=True)
        segments = [s for s in json.loads(out.stdout)["segments"] if s["label"]]
        final = [e for e in events if e["event"] == "measurement" and e["final"]]
        self.assertEqual([(s["start"], s["end"], s["label"]) for s in segments], [(e["start"], e["end"], e["label"]) for e in final])
        for s, e in zip(segments, final):
            for label in s["scores"]:
                self.assertAlmostEqual(s["scores"][label], e["scores"][label], delta=1e-5)

    def test_encodings_and_channels(self):
        sound = speech(0.3, "Front_Center", 0.7)
        ends = [e for e in self.events("-", stdin=sound.tobytes()) if e["event"] == "speech_end"]
        stereo = array.array("f", [x / 32768 for x in sound for _ in range(2)])
        same = [e for e in self.events("--channels", "2", "--encoding", "f32le", "-", stdin=stereo.tobytes()) if e["event"] == "speech_end"]
        self.assertEqual(ends, same)
        slower = array.array("h", [x for x in sound for _ in range(3)])
        self.assertEqual(len([e for e in self.events("--rate", "48000", "-", stdin=slower.tobytes()) if e["event"] == "speech_end"]), len(ends))

    def test_pause_and_update(self):
        sound = speech(0.3, "Front_Center", 1.0, "Front_Left", 2.5).tobytes()
        count = lambda events, what: sum(e["event"] == what for e in events)
        usual, patient = self.events("-", stdin=sound), self.events("--pause", "2", "-", stdin=sound)
        self.assertEqual((count(usual, "speech_end"), count(patient, "speech_end")), (2, 1))
        often = [e for e in self.events("--update", "0.25", "-", stdin=sound) if e["event"] == "measurement" and not e["final"]]
        seldom = [e for e in usual if e["event"] == "measurement" and not e["final"]]
        self.assertGreater(len(often), 2 * len(seldom))
        for args in (("--pause", "0.05"), ("--pause", "11"), ("--update", "11")):
            self.assertIn(args[0], self.listen(*args, "-", status=2)[1])

    def test_engine(self):
        sound = speech(0.3, "Front_Center", 0.7).tobytes()
        onednn, ref = ([e["scores"] for e in self.events("--precision", "fp32", "--engine", engine, "-", stdin=sound) if e["event"] == "speech_end"]
                       for engine in ("onednn", "ref"))
        self.assertEqual((len(onednn), len(ref)), (1, 1))
        for label in onednn[0]:
            self.assertAlmostEqual(onednn[0][label], ref[0][label], delta=1e-4)

    def test_odd_input(self):
        self.assertEqual(self.listen("-"), ("", ""))
        self.assertIn("1 byte is no whole sample", self.listen("-", stdin=bytes(3201))[1])
        self.assertIn("finite", self.listen("--encoding", "f32le", "-", stdin=struct.pack("<f", float("nan")) * 100, status=1)[1])
        for args in (("a.wav",), ("-", "-"), ("--device", "x", "-"), ("--update", "0.1", "-"), ("--rate", "10", "-"), ("--encoding", "mp3", "-"),
                     ("--baseline", "x", "--follow", "-"), ("--min-confidence", "2", "-")):
            self.assertTrue(self.listen(*args, status=2)[1].startswith("ser: "))
        self.assertIn("nowhere", self.listen("--record", self.path("nowhere/a.wav"), "-", status=1)[1])

    def test_first_answer_comes_while_somebody_speaks(self):
        """Sound in real time: the first measurement is there before the utterance is over."""
        p = subprocess.Popen([SER, "listen", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.env)
        data = speech(0.2, "Front_Left", "Front_Right", "Rear_Center", "Side_Left").tobytes()
        p.stdin.write(data[: 2 * 16000 * 2])
        p.stdin.flush()
        self.assertEqual(json.loads(p.stdout.readline())["event"], "speech_start")
        first = json.loads(p.stdout.readline())
        self.assertEqual((first["event"], first["final"]), ("measurement", False))
        p.send_signal(signal.SIGINT)  # the answer for what was heard of the utterance still comes
        rest = [json.loads(line) for line in p.communicate(timeout=60)[0].splitlines()]
        self.assertEqual((rest[-1]["event"], p.returncode), ("speech_end", 130))

    def test_record(self):
        sound = speech(0.3, "Front_Center", 0.7)
        for name in ("a.wav", "a.flac"):
            self.events("--record", self.path(name), "-", stdin=sound.tobytes())
            self.assertIn("%.2f s" % (len(sound) / 16000), subprocess.run([SER, "info", self.path(name)], capture_output=True).stdout.decode())
        with wave.open(self.path("a.wav")) as f:
            self.assertEqual(f.readframes(f.getnframes()), sound.tobytes())

    def test_baseline_and_follow(self):
        os.makedirs(self.path("voice"))
        for n in ("Front_Left", "Front_Right", "Rear_Center"):
            shutil.copy(f"/usr/share/sounds/alsa/{n}.wav", self.path("voice"))
        sound = speech(0.3, "Front_Center", 0.9, "Side_Left", 0.9).tobytes()
        answers = [[e["scores"] for e in self.events(*args, "-", stdin=sound) if e["event"] == "speech_end"]
                   for args in ((), ("--baseline", self.path("voice")), ("--follow",))]
        self.assertEqual([len(a) for a in answers], [2, 2, 2])
        self.assertNotEqual(answers[0], answers[1])
        self.assertNotEqual(answers[0], answers[2])

    def test_a_terminal_gets_a_picture(self):
        sound = speech(0.3, "Front_Center", 0.7).tobytes()
        with open(self.path("a.pcm"), "wb") as f:
            f.write(sound)
        pid, fd = pty.fork()
        if pid == 0:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
            os.dup2(os.open(self.path("a.pcm"), os.O_RDONLY), 0)
            os.environ.update(TERM="xterm", LC_ALL="C.UTF-8")
            os.execv(SER, [SER, "listen", "-"])
        seen = b""
        try:
            while chunk := os.read(fd, 4096):
                seen += chunk
        except OSError:
            pass
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        os.close(fd)
        text = seen.decode()
        for words in ("last minute", "neutral", "%", "voice"):
            self.assertIn(words, text)
        self.assertNotIn('"event"', text)
        lines = [re.sub("\x1b\\[[0-9]*[A-Za-z]", "", line).replace("\r", "") for line in text.split("\r\n")]
        for line in lines:  # a line that is wider would leave its rest on the screen
            self.assertLess(len(line), 80, line)
        strips = [line.split("last minute ")[1] for line in lines if "last minute" in line]
        self.assertEqual({len(s) for s in strips}, {60})
        self.assertRegex(strips[-1], "[a-z?]")

    def test_what_is_said_at_ctrl_c_leaves_the_pictures_whole(self):
        inner, outer = os.pipe()
        pid, fd = pty.fork()
        if pid == 0:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
            os.dup2(inner, 0)
            os.close(outer)
            os.environ.update(TERM="xterm", LC_ALL="C.UTF-8")
            os.execv(SER, [SER, "listen", "-"])
        os.close(inner)
        os.write(outer, bytes(32000))
        seen, is_told = b"", False
        try:
            while chunk := os.read(fd, 4096):
                seen += chunk
                if not is_told and b"last minute" in seen:
                    is_told = True
                    os.kill(pid, signal.SIGINT)
        except OSError:
            pass
        os.close(outer)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 130)
        os.close(fd)
        after = seen.decode().partition("ends at once")[2]
        self.assertIn("last minute", after)
        self.assertNotRegex(after, "\x1b\\[[0-9]+A")  # the cursor is not where the picture ended

    def test_without_a_microphone(self):
        with open(self.path("none.conf"), "w") as f:
            f.write("pcm.!default { type hw card 99 }\nctl.!default { type hw card 99 }\n")
        env = dict(self.env, ALSA_CONFIG_PATH=self.path("none.conf"))
        for args in ((), ("--list-devices",), ("--device", "no such")):
            out, err = self.listen(*args, status=2 if args[:1] == ("--device",) else 1, env=env)
            self.assertEqual((out, len(err.splitlines())), ("", 1), err)
            self.assertIn("microphone", err)

    def test_a_sound_system_that_fails(self):
        """PortAudio ends the program that asks it, where ALSA has no configuration."""
        open(self.path("empty.conf"), "w").close()
        for path in (self.path("empty.conf"), self.path("not there")):
            for args in ((), ("--list-devices",)):
                out, err = self.listen(*args, status=1, env=dict(self.env, ALSA_CONFIG_PATH=path))
                self.assertEqual((out, len(err.splitlines())), ("", 1), err)
                self.assertTrue("ALSA" in err or "microphone" in err, err)

    @unittest.skipUnless(ALSA_PLUGINS, "no ALSA")
    def test_a_microphone_that_plays_a_recording(self):
        with open(self.path("a.pcm"), "wb") as f:
            f.write(speech(1.0, "Front_Left", "Front_Right", "Rear_Center", "Side_Left", 3.0).tobytes())
        with open(self.path("asound.conf"), "w") as f:
            f.write(ALSA % self.path("a.pcm"))
        env = dict(self.env, ALSA_CONFIG_PATH=self.path("asound.conf"))
        self.assertIn("default", self.listen("--list-devices", env=env)[0])
        p = subprocess.Popen([SER, "listen", "--device", "default", "--record", self.path("r.wav")], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        events = []
        while not events or events[-1]["event"] != "speech_end":
            line = p.stdout.readline()
            self.assertTrue(line, p.stderr.read().decode() if not line else "")
            events.append(json.loads(line))
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=60)
        self.assertEqual(p.returncode, 130)
        self.assertEqual(events[0]["event"], "speech_start")
        self.assertAlmostEqual(sum(events[-1]["scores"].values()), 1, delta=1e-5)
        with wave.open(self.path("r.wav")) as f:
            self.assertEqual((f.getframerate(), f.getnchannels()), (16000, 1))
            self.assertGreater(f.getnframes(), 16000)


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=1).result
    print("%d passed, %d failed" % (result.testsRun - len(result.failures) - len(result.errors) - len(result.skipped),
                                    len(result.failures) + len(result.errors)))
    sys.exit(not result.wasSuccessful())

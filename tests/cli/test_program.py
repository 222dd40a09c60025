#!/usr/bin/env python3
"""Runs the program `ser` as users do, on good and on broken input. Needs nothing but Python's own library.

Usage: test_program.py PATH_OF_SER        (the environment: SER_SHARED, optional, the folder of real recordings)
"""
import array, csv, io, json, math, os, random, re, shutil, signal, struct, subprocess, sys, tempfile, threading, time, unittest, wave

SER = os.path.abspath(sys.argv.pop(1))
SPEECH = "/usr/share/sounds/alsa/Front_Center.wav"  # of Debian's alsa-utils
NOISE = "/usr/share/sounds/alsa/Noise.wav"
BESIDE = os.path.join(os.path.dirname(os.path.realpath(SER)), "ser-extras.so")
HAS_MODEL = subprocess.run([SER, "info"], capture_output=True).returncode == 0


def write_wav(path, samples, rate=16000, channels=1):
    with wave.open(path, "wb") as f:
        f.setnchannels(channels)
        f.setsampwidth(2)
        f.setframerate(rate)
        data = b"".join(struct.pack("<h", max(-32768, min(32767, round(32768 * s)))) * channels for s in samples)
        f.writeframes(data)


def write_float_wav(path, samples, rate=16000):
    data = struct.pack("<%df" % len(samples), *samples)
    head = b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 3, 1, rate, 4 * rate, 4, 32)
    with open(path, "wb") as f:
        f.write(head + b"data" + struct.pack("<I", len(data)) + data)


def tone(frequency, seconds, rate=16000, level=0.3, seed=0):
    r = random.Random(seed)
    return [level * math.sin(2 * math.pi * frequency * i / rate) + 0.01 * r.gauss(0, 1) for i in range(int(seconds * rate))]


def voice(pitch, seconds, level=0.3, seed=0):
    """What the voice detector takes for a voice: vowels that glide into each other, of pulses through resonances."""
    r, samples, phase, formants = random.Random(seed), [], 0, [[550, 250, 80, 0, 0], [1500, 600, 100, 0, 0], [2500, 300, 150, 0, 0]]
    for i in range(int(seconds * 16000)):
        t = 2 * math.pi * i / 16000
        before, phase = math.floor(phase), phase + pitch * (1 + 0.2 * math.sin(0.7 * t) + 0.05 * math.sin(2.3 * t)) / 16000
        x = (math.floor(phase) > before) * (0.1 + 0.9 * min(max(1.6 * math.sin(5 * t), 0), 1))
        for f in formants:
            a = math.exp(-math.pi * f[2] / 16000)
            x += 2 * a * math.cos(2 * math.pi * (f[0] + f[1] * math.sin(1.3 * t + f[0])) / 16000) * f[3] - a * a * f[4]
            f[4], f[3] = f[3], x
        samples.append(x)
    peak = max(map(abs, samples))
    return [level * x / peak + 0.001 * r.gauss(0, 1) for x in samples]


def safetensors(metadata, tensors=()):
    header, data = {"__metadata__": metadata}, b""
    for name, values in tensors:
        raw = struct.pack("<%df" % len(values), *values)
        header[name] = {"dtype": "F32", "shape": [len(values)], "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.env = dict(os.environ, XDG_CACHE_HOME=os.path.join(self.dir, "cache"), LC_ALL="C.UTF-8")

    def tearDown(self):
        shutil.rmtree(self.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def ser(self, *args, status=0, stdin=None, stdout=subprocess.PIPE):
        p = subprocess.run([SER, *args], env=self.env, input=stdin, stdout=stdout, stderr=subprocess.PIPE, cwd=self.dir, timeout=600)
        out, err = (p.stdout or b"").decode(), p.stderr.decode()
        self.assertEqual(p.returncode, status, "%s\nstdout: %s\nstderr: %s" % (args, out, err))
        return out, err

    def make_corpus(self, name="corpus", per_class=6):
        """Tones: one pitch per emotion."""
        for emotion, frequency in (("anger", 900), ("sadness", 200), ("neutral", 450)):
            os.makedirs(self.path(f"{name}/{emotion}"))
            for i in range(per_class):
                write_wav(self.path(f"{name}/{emotion}/{emotion}{i}.wav"), tone(frequency * (1 + 0.03 * i), 0.5, seed=i + frequency))
        return self.path(name)


class Usage(Case):
    def test_help_and_version(self):
        out, _ = self.ser("--help")
        for command in ("predict", "evaluate", "train", "extract", "info"):
            self.assertIn(command, out)
            self.assertIn("Usage: ser " + command, self.ser(command, "--help")[0])
        self.assertRegex(self.ser("--version")[0], r"^ser \d+\.\d+\.\d+\n$")

    def test_wrong_usage_is_2(self):
        for args in ((), ("predcit",), ("predict",), ("predict", "--formt", "json", "x"), ("predict", "--format", "xml", "x"),
                     ("predict", "--min-confidence", "2", "x"), ("evaluate",), ("evaluate", "--data", "EMODB"), ("train",)):
            _, err = self.ser(*args, status=2)
            self.assertTrue(err.startswith("ser: "), err)

    def test_unknown_processor_is_told(self):
        self.env["SER_MAX_ISA"] = "avx3"
        _, err = self.ser("predict", "x.wav", status=2)
        self.assertRegex(err, r"^ser: SER_MAX_ISA is 'avx3': .*sse41, avx2,")
        self.ser("--help")

    def test_spelling_is_suggested(self):
        self.assertIn("predict", self.ser("predcit", status=2)[1])
        self.assertIn("--format", self.ser("predict", "--formt", "json", "x", status=2)[1])

    def test_underscores_are_read_as_hyphens(self):
        corpus = self.make_corpus()
        self.ser("evaluate", "--data", corpus, "--feature_type", "LOGMEL", "--protocol", "kfold=2", "--random_seed", "3")

    def test_full_disk_is_reported(self):
        with open("/dev/full", "wb") as full:
            self.assertIn("standard output", self.ser("--help", status=1, stdout=full)[1])


@unittest.skipUnless(HAS_MODEL and os.path.exists(SPEECH), "no built-in model, or no recordings of alsa-utils")
class Predict(Case):
    def rows(self, *args, **kw):
        out, err = self.ser("predict", "--format", "json", *args, **kw)
        return [json.loads(line) for line in out.splitlines()], err

    def test_speech(self):
        (row,), _ = self.rows("--min-confidence", "0", SPEECH)
        self.assertAlmostEqual(sum(row["scores"].values()), 1, delta=1e-5)
        self.assertEqual(row["confidence"], max(row["scores"].values()))
        self.assertEqual(row["label"], max(row["scores"], key=row["scores"].get))
        self.assertEqual(sorted(row["scores"]), ["angry", "boredom", "calm", "disgust", "fear", "happy", "neutral", "sad", "surprised"])
        self.assertAlmostEqual(row["duration"], 1.43, delta=0.01)

    def test_no_voice(self):
        rng = random.Random(1)
        write_wav(self.path("zeros.wav"), [0] * 16000)
        write_wav(self.path("white.wav"), [0.1 * rng.gauss(0, 1) for _ in range(32000)])
        write_wav(self.path("hum.wav"), [0.2 * math.sin(2 * math.pi * 50 * i / 16000) for i in range(32000)])
        rows, _ = self.rows(*[self.path(n) for n in ("zeros.wav", "white.wav", "hum.wav")], NOISE)
        self.assertEqual([r["label"] for r in rows], [None] * 4)
        self.assertEqual([r["note"] for r in rows], ["silence"] + ["no voice"] * 3)
        self.assertEqual([r["scores"] for r in rows], [None] * 4)

    def test_broken_recordings_do_not_stop_the_others(self):
        with open(SPEECH, "rb") as f:
            speech = f.read()
        broken = {"empty.wav": b"", "text.wav": b"this is no recording\n" * 99, "header.wav": speech[:30], "nothing.wav": speech[:44]}
        for name, data in broken.items():
            with open(self.path(name), "wb") as f:
                f.write(data)
        write_wav(self.path("short.wav"), tone(300, 0.01))
        write_float_wav(self.path("nan.wav"), [0.1, float("nan")] * 8000)
        names = [self.path(n) for n in (*broken, "short.wav", "nan.wav", "missing.wav")]
        rows, err = self.rows(*names, SPEECH, status=1)
        self.assertEqual([r["file"] for r in rows], names + [SPEECH])
        for name, row in zip(names, rows):
            self.assertIn("error", row, name)
            self.assertIn("ser: %s: " % name, err)
        self.assertIn("label", rows[-1])

    def test_truncated_recording_gives_an_answer_and_a_warning(self):
        with open(SPEECH, "rb") as f:
            speech = f.read()
        with open(self.path("cut.wav"), "wb") as f:
            f.write(speech[: len(speech) // 2])
        (row,), err = self.rows(self.path("cut.wav"))
        self.assertIn("label", row)
        self.assertIn("cut.wav: ", err)

    def test_any_rate_and_channel_count(self):
        with wave.open(SPEECH) as f:
            rate, data = f.getframerate(), f.readframes(f.getnframes())
        samples = [s / 32768 for s in struct.unpack("<%dh" % (len(data) // 2), data)]
        write_wav(self.path("32.wav"), samples, rate, 32)
        write_wav(self.path("192k.wav"), [s for s in samples for _ in range(4)], 4 * rate)
        write_wav(self.path("8k.wav"), samples[:: rate // 8000], 8000)
        (one, many, fast, slow), _ = self.rows("--precision", "fp32", SPEECH, self.path("32.wav"), self.path("192k.wav"), self.path("8k.wav"))
        for label, score in one["scores"].items():
            self.assertEqual(score, many["scores"][label])
        self.assertEqual(one["label"], fast["label"])
        self.assertIsNotNone(slow["label"])

    def test_neighbours_and_threads_change_nothing(self):
        files = [f"/usr/share/sounds/alsa/{n}.wav" for n in ("Front_Center", "Front_Left", "Rear_Right", "Side_Left")]
        alone = [self.rows("--precision", "fp32", "--jobs", "1", f)[0][0] for f in files]
        two, _ = self.rows("--precision", "fp32", "--jobs", "2", *files)
        both, _ = self.rows("--precision", "fp32", "--jobs", "2", files[0])
        for a, b in zip(alone + alone[:1], two + both):
            self.assertEqual(a["file"], b["file"])
            for label in a["scores"]:
                self.assertAlmostEqual(a["scores"][label], b["scores"][label], delta=1e-6)
        self.assertEqual(self.rows("--jobs", "2", *files)[0], self.rows("--jobs", "2", *files)[0])

    def test_engines_agree(self):
        (a,), _ = self.rows("--precision", "fp32", SPEECH)
        (b,), _ = self.rows("--engine", "ref", "--precision", "fp32", SPEECH)
        for label in a["scores"]:
            self.assertAlmostEqual(a["scores"][label], b["scores"][label], delta=1e-4)

    def test_processors_agree(self):
        (b,), _ = self.rows("--engine", "ref", "--precision", "fp32", SPEECH)
        for limit in ("sse41", "avx2", "avx512"):
            self.env["SER_MAX_ISA"] = limit
            (a,), _ = self.rows("--precision", "fp32", SPEECH)
            for label in a["scores"]:
                self.assertAlmostEqual(a["scores"][label], b["scores"][label], delta=1e-4)

    def test_standard_input_equals_the_file(self):
        with open(SPEECH, "rb") as f:
            (row,), _ = self.rows("-", stdin=f.read())
        (same,), _ = self.rows(SPEECH)
        self.assertEqual(row["file"], "-")
        self.assertEqual(row["scores"], same["scores"])

    def test_folder(self):
        os.makedirs(self.path("in/b"))
        for name in ("in/b/z.wav", "in/a.wav", "in/B.wav"):
            shutil.copy(SPEECH, self.path(name))
        with open(self.path("in/notes.txt"), "w") as f:
            f.write("not audio")
        os.symlink(self.path("in"), self.path("in/b/loop"))
        rows, err = self.rows(self.path("in"))
        self.assertEqual([r["file"] for r in rows], [self.path(n) for n in ("in/B.wav", "in/a.wav", "in/b/z.wav")])
        self.assertIn("1 file", err)
        self.assertIn("left out: " + self.path("in/notes.txt"), err)
        self.assertIn("links to folders are not followed: 1", err)
        os.makedirs(self.path("none"))
        self.assertIn("no audio", self.ser("predict", self.path("none"), status=1)[1])

    def test_folder_of_what_was_not_fetched(self):
        """Of Git LFS and git-annex: an error for each, never silence."""
        os.makedirs(self.path("in"))
        shutil.copy(SPEECH, self.path("in/b.wav"))
        os.symlink("../.git/annex/objects/x.wav", self.path("in/annex.wav"))
        os.symlink("nowhere", self.path("in/notes"))
        os.makedirs(self.path("in/.git/annex/objects"))  # what links lead to is no recording of its own
        shutil.copy(SPEECH, self.path("in/.git/annex/objects/y.wav"))
        shutil.copy(SPEECH, self.path("in/._b.wav"))
        with open(self.path("in/copied.wav"), "w") as f:
            f.write("../../.git/annex/objects/x.wav")
        with open(self.path("in/lfs.wav"), "w") as f:
            f.write("version https://git-lfs.github.com/spec/v1\noid sha256:" + 64 * "0" + "\nsize 60822\n")
        out, err = self.ser("predict", "--format", "json", self.path("in"), status=1)
        self.assertIn("1 file in the folders is not audio and left out: " + self.path("in/notes"), err)
        rows = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([os.path.basename(r["file"]) for r in rows], ["annex.wav", "b.wav", "copied.wav", "lfs.wav"])
        self.assertIn("git annex get", rows[0]["error"])
        self.assertIn("label", rows[1])
        self.assertIn("git annex get", rows[2]["error"])
        self.assertIn("git lfs pull", rows[3]["error"])
        os.symlink("nowhere", self.path("gone.wav"))
        self.assertIn("a link that leads nowhere", self.ser("predict", self.path("gone.wav"), status=1)[1])

    def test_name_with_a_dash(self):
        shutil.copy(SPEECH, self.path("-x.wav"))
        p = subprocess.run([SER, "predict", "-x.wav"], env=self.env, cwd=self.dir, capture_output=True, text=True)
        self.assertEqual((p.returncode, p.stderr.splitlines()[0]), (2, "ser: -x.wav: there is no such option: write ./-x.wav for the file"))

    def test_csv(self):
        out, _ = self.ser("predict", "--format", "csv", SPEECH, NOISE, self.path("missing.wav"), status=1)
        rows = list(csv.reader(io.StringIO(out)))
        self.assertEqual(rows[0][:4] + rows[0][-2:], ["file", "duration", "label", "confidence", "note", "error"])
        self.assertTrue(all(len(r) == len(rows[0]) for r in rows))
        self.assertEqual(rows[2][-2], "no voice")
        self.assertTrue(rows[3][-1])

    def test_explain(self):
        """How a recording sounds, as the file has it, whatever its rate."""
        plain, (row,) = self.rows(SPEECH)[0][0], self.rows("--explain", SPEECH)[0]
        sound = row.pop("sound")
        self.assertTrue(0 < row.pop("unlike") < 2)
        self.assertEqual(row, plain)
        self.assertTrue(0 < sound["voice_s"] <= row["duration"] + 0.04 and sound["clipped"] == 0, sound)
        x = voice(140, 2, level=0.9)
        cut = [min(max(4 * v, -0.9), 0.9) for v in x]
        faster = [min(max(4 * (x[i // 3] + (x[i // 3 + 1] - x[i // 3]) * (i % 3) / 3), -0.9), 0.9) for i in range(3 * len(x) - 3)]
        write_wav(self.path("clipped.wav"), cut)
        write_wav(self.path("faster.wav"), faster, 48000)
        write_wav(self.path("narrow.wav"), x[::4], 4000)
        said = {k: self.rows("--explain", self.path(k + ".wav"))[0][0]["sound"] for k in ("clipped", "faster", "narrow")}
        for k in ("clipped", "faster"):
            self.assertGreater(said[k]["clipped"], 0.01, said[k])
            self.assertTrue(any("clipped" in n for n in said[k]["notes"]), said[k])
        self.assertLess(said["narrow"]["bandwidth_hz"], 2300)
        self.assertRegex(self.ser("predict", "--explain", self.path("narrow.wav"))[0], r"\n  bandwidth [12]\.[0-9] kHz, muffled: .*: .*\n")
        (first,) = csv.DictReader(io.StringIO(self.ser("predict", "--explain", "-f", "csv", self.path("clipped.wav"))[0]))
        self.assertEqual(float(first["clipped"]), said["clipped"]["clipped"])
        self.assertIn("no place", self.ser("predict", "--explain", "--timeline", "-f", "srt", SPEECH, status=2)[1])

    def test_unlike(self):
        """Half a second of a voice, and one that drowns in noise: less confident than of the same model without the measure."""
        with wave.open(SPEECH) as f:
            rate, x = f.getframerate(), array.array("h", f.readframes(f.getnframes()))
        x = [v / 32768 for v in x[::f.getnchannels()]]
        loud, r = (sum(v * v for v in x) / len(x)) ** 0.5, random.Random(1)
        write_wav(self.path("short.wav"), x[len(x) // 10:][:rate // 2], rate)
        write_wav(self.path("noisy.wav"), [0.3 * (v + r.gauss(0, 1.7 * loud)) for v in x], rate)
        (whole, short, noisy), _ = self.rows("--explain", SPEECH, self.path("short.wav"), self.path("noisy.wav"))
        self.assertNotIn("note", whole)
        self.assertLess(whole["unlike"], 1)
        for a in (short, noisy):
            self.assertGreater(a["unlike"], 1.1, a)
            self.assertEqual((a["note"], a["label"]), ("unlike the training recordings", "uncertain"))
            self.assertIn("unlike what the model learned from", a["sound"]["notes"][0])
            # As it was before it was evened out: by three times the temperature for each reach beyond the first.
            before = [p ** (1 + 3 * (a["unlike"] - 1)) for p in a["scores"].values()]
            self.assertGreater(max(before) / sum(before), a["confidence"] + 0.05)
            self.assertAlmostEqual(sum(a["scores"].values()), 1, 5)
        self.assertRegex(self.ser("predict", self.path("short.wav"))[0], r"\n  note: unlike what the model learned from, 1\.[0-9] times .*\n")
        (row,) = csv.DictReader(io.StringIO(self.ser("predict", "--explain", "-f", "csv", self.path("short.wav"))[0]))
        self.assertEqual((float(row["unlike"]), row["note"]), (short["unlike"], short["note"]))

    def test_min_confidence(self):
        (row,), _ = self.rows("--min-confidence", "1", SPEECH)
        self.assertEqual(row["label"], "uncertain")

    def test_min_confidence_of_the_model(self):
        (row,), _ = self.rows("--min-confidence", "auto", SPEECH)
        self.assertEqual(row, self.rows(SPEECH)[0][0])
        for wrong in ("2", "-1", "much", "0.5x", ""):
            self.assertIn("--min-confidence", self.ser("predict", "--min-confidence", wrong, SPEECH, status=2)[1])

    def test_output_file_appears_when_whole(self):
        out, _ = self.ser("predict", "-f", "json", "-o", self.path("a.jsonl"), SPEECH, self.path("missing.wav"), status=1)
        self.assertEqual(out, "")
        with open(self.path("a.jsonl")) as f:
            rows = [json.loads(line) for line in f]
        self.assertEqual([r["file"] for r in rows], [SPEECH, self.path("missing.wav")])
        self.assertIn("no/where", self.ser("predict", "-o", self.path("no/where/a.csv"), SPEECH, status=2)[1])
        with open(self.path("model"), "wb") as f:
            f.write(b"broken")
        self.ser("predict", "-m", self.path("model"), "-o", self.path("b.csv"), SPEECH, status=1)
        self.assertFalse(os.path.exists(self.path("b.csv")))

    def test_pictures_are_checked_first(self):
        for name in ("a.jpg", "no/where/a.png"):
            out, err = self.ser("predict", "--picture", self.path(name), SPEECH, status=2)
            self.assertEqual(out, "")
            self.assertIn(self.path(name), err)

    def test_large_libraries_are_loaded_when_they_are_needed(self):
        environment = dict(os.environ, LD_DEBUG="files")  # of glibc's loader; others say nothing
        answer = subprocess.run([SER, "predict", SPEECH], capture_output=True, env=environment, text=True, errors="replace")
        self.assertEqual(answer.returncode, 0)
        self.assertNotRegex(answer.stderr, r"ser-extras\.so|libcairo|libhdf5|libcurl|libwebsockets|libportaudio|libmpi\.")
        self.ser("predict", "-t", "--picture", self.path("a.png"), SPEECH)
        self.assertGreater(os.path.getsize(self.path("a.png")), 1000)

    def test_the_loaded_part_is_found_from_where_the_program_lies(self):
        os.makedirs(self.path("bin"))
        os.symlink(SER, self.path("bin/ser"))
        path = {"PATH": self.path("bin") + ":" + os.environ.get("PATH", "")}
        for program, environment in ((self.path("bin/ser"), {}), ("bin/ser", {}), ("ser", path)):
            command = ["sh", "-c", '"$@"', "sh", program, "predict", "-t", "--picture", "a.png", SPEECH]
            answer = subprocess.run(command, cwd=self.dir, env={**self.env, **environment}, capture_output=True, text=True)
            self.assertEqual(answer.returncode, 0, answer.stderr)
            self.assertGreater(os.path.getsize(self.path("a.png")), 1000)
            os.remove(self.path("a.png"))

    # One that is installed has the absolute path of its own, too, and finds it from anywhere.
    @unittest.skipUnless(os.path.exists(BESIDE), "no build folder")
    def test_the_loaded_part_is_missing_or_another(self):
        shutil.copy(SER, self.path("alone"))  # without the file beside it
        lonely = subprocess.run([self.path("alone"), "predict", "-t", "--picture", self.path("b.png"), SPEECH], capture_output=True, text=True)
        self.assertEqual(lonely.returncode, 1, lonely.stderr)
        self.assertRegex(lonely.stderr, "a part of the program cannot be loaded: install it again .*ser-extras.so")
        # A run does not find out when it is to be saved.
        corpus = self.make_corpus(per_class=2)
        lonely = subprocess.run([self.path("alone"), "evaluate", "--data", corpus, "--feature-type", "LOGMEL", "--protocol", "kfold=2", "--run", self.path("run")],
                                capture_output=True, text=True, env=self.env)
        self.assertEqual(lonely.returncode, 1, lonely.stderr)
        self.assertIn("ser-extras.so", lonely.stderr)
        self.assertFalse(os.path.exists(self.path("run")))

    @unittest.skipUnless(os.path.exists(BESIDE) and shutil.which("nm"), "no build folder, or no nm")
    def test_the_loaded_part_has_one_symbol(self):
        said = subprocess.run(["nm", "-D", "--defined-only", BESIDE], capture_output=True, check=True, text=True).stdout
        self.assertEqual([line.split()[-1] for line in said.splitlines() if " ser_" in line], ["ser_extras_get"])

    @unittest.skipUnless(os.path.exists(BESIDE) and shutil.which("nm"), "no build folder, or no nm")
    def test_there_is_no_shell(self):
        """What begins another program is ffmpeg's start alone, by its path and with an environment of ours."""
        for path in (SER, BESIDE):
            said = subprocess.run(["nm", "-D", "--undefined-only", path], capture_output=True, check=True, text=True).stdout
            called = {line.split()[-1].split("@")[0] for line in said.splitlines()}
            begin = {name for name in called if re.fullmatch("f?exec[lv].*|system|popen|posix_spawnp?|wordexp", name)}
            self.assertLessEqual(begin, {"execve"}, path)

    def test_quiet_and_verbose(self):
        os.makedirs(self.path("in"))
        shutil.copy(SPEECH, self.path("in"))
        with open(self.path("in/notes.txt"), "w") as f:
            f.write("not audio")
        self.assertEqual(self.ser("predict", "-q", self.path("in"))[1], "")
        self.assertIn("missing.wav", self.ser("predict", "-q", self.path("missing.wav"), status=1)[1])
        _, err = self.ser("predict", "--verbose", "-j", "1", SPEECH)
        for words in ("built in", "threads: 1", "times real time"):
            self.assertIn(words, err)
        self.ser("predict", "--quiet", "--verbose", SPEECH, status=2)
        self.assertIn("--jobs", self.ser("predict", "--threads", "2", SPEECH, status=2)[1])

    def test_many_recordings_end_with_a_summary(self):
        out, _ = self.ser("predict", SPEECH, NOISE, SPEECH, self.path("missing.wav"), status=1)
        self.assertRegex(out.splitlines()[-1], r"^4 recordings: 2 [a-z]+, 1 without a voice, 1 not read$")
        self.assertNotIn("recordings:", self.ser("predict", "-f", "csv", SPEECH, NOISE)[0])

    def test_timeline_as_csv(self):
        out, _ = self.ser("predict", "-f", "csv", "--timeline", SPEECH, NOISE)
        rows = list(csv.DictReader(io.StringIO(out)))
        self.assertEqual(list(rows[0])[:6], ["file", "start", "end", "duration", "label", "confidence"])
        for name in (SPEECH, NOISE):
            mine = [r for r in rows if r["file"] == name]
            self.assertEqual((mine[0]["start"], mine[-1]["end"]), ("0.000", mine[0]["duration"]))

    def on_terminal(self, *args):
        import pty
        pid, fd = pty.fork()
        if pid == 0:
            os.environ["TERM"] = "xterm"
            os.execv(SER, [SER, *args])
        seen = b""
        try:
            while chunk := os.read(fd, 4096):
                seen += chunk
        except OSError:
            pass
        os.waitpid(pid, 0)
        os.close(fd)
        return seen

    def test_a_name_does_not_steer_the_terminal(self):
        """In a file it stays what it is, for programs."""
        name = self.path("a\x1b]0;b\x07\u202e.wav")
        shutil.copy(SPEECH, name)
        for args in (("-f", "csv"), ("-f", "json"), ("-f", "rttm", "--timeline"), ("-f", "audformat", "--timeline"), ()):
            seen = self.on_terminal("predict", "--quiet", *args, name)
            self.assertIn(b".wav", seen, args)
            for hostile in (b"\x1b]", b"\x07", "\u202e".encode()):
                self.assertNotIn(hostile, seen, args)
        self.ser("predict", "-f", "csv", "-o", self.path("names.csv"), name)
        with open(self.path("names.csv"), newline="") as f:
            self.assertEqual([row["file"] for row in csv.DictReader(f)], [name])

    def test_a_terminal_is_left_clean(self):
        """The progress line is gone before the answer is printed in its place."""
        seen = self.on_terminal("predict", SPEECH)
        first = seen.decode().split("\r\n")[0]
        self.assertTrue("\x1b[K" not in first or first.rsplit("\x1b[K", 1)[1].strip("\x1b[01m").strip(), first)
        self.assertNotIn("seconds", first.rsplit("\x1b[K", 1)[-1])
        for name in ("textgrid", "srt", "webvtt", "eaf", "json"):
            for line in self.on_terminal("predict", "--timeline", "-f", name, SPEECH).decode().split("\r\n"):
                self.assertFalse(re.search(r"seconds [^\x1b]*0:00[^\r]", line), (name, line))

    def test_lines_fit_a_terminal(self):
        for line in self.on_terminal("info").decode().splitlines():
            self.assertLessEqual(len(line), 80)

    def test_baseline_without_a_voice_is_told(self):
        os.makedirs(self.path("voice"))
        for n in ("Front_Left", "Front_Right", "Noise"):
            shutil.copy(f"/usr/share/sounds/alsa/{n}.wav", self.path("voice"))
        self.assertIn("1 of 3 recordings hold no voice", self.ser("predict", "--baseline", self.path("voice"), SPEECH)[1])

    def test_timeline_covers_the_recording(self):
        with wave.open(SPEECH) as f:
            rate, data = f.getframerate(), f.readframes(f.getnframes())
        with wave.open(self.path("long.wav"), "wb") as f:
            f.setnchannels(1), f.setsampwidth(2), f.setframerate(rate)
            f.writeframes(data * 30)
        (row,), _ = self.rows("--timeline", self.path("long.wav"))
        segments = row["segments"]
        self.assertEqual(segments[0]["start"], 0)
        self.assertAlmostEqual(segments[-1]["end"], row["duration"], delta=1e-3)
        for a, b in zip(segments, segments[1:]):
            self.assertEqual(a["end"], b["start"])
            self.assertNotEqual(a["label"], b["label"])
        self.ser("predict", "--picture", self.path("p.png"), self.path("long.wav"))
        with open(self.path("p.png"), "rb") as f:
            self.assertEqual(f.read(8), b"\x89PNG\r\n\x1a\n")

    def test_a_folder_of_what_only_ffmpeg_reads(self):
        self.env["PATH"] = ""
        os.makedirs(self.path("calls"))
        for name, begin in (("a.m4a", b"\0\0\0\x20ftypM4A "), ("b.amr", b"#!AMR\n"), ("c.webm", b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm")):
            with open(self.path("calls/" + name), "wb") as f:
                f.write(begin + bytes(50))
        with open(self.path("calls/notes.txt"), "w") as f:
            f.write("no sound\n")
        out, err = self.ser("predict", "-f", "json", self.path("calls"), status=1)
        self.assertIn("3 files are audio that cannot be read here (M4A, AMR, WebM): install ffmpeg", err)
        self.assertIn("1 file in the folders is not audio and left out: ", err)
        self.assertIn("notes.txt", err)
        rows = [json.loads(line) for line in out.splitlines()]
        self.assertEqual(["this is M4A: ", "this is AMR: ", "this is WebM: "], [r["error"].split("install")[0] for r in rows])

    def test_a_single_pipe_is_opened_once(self):
        expected = self.rows(SPEECH)[0][0]

        def feed(path):
            with open(SPEECH, "rb") as f, open(path, "wb") as pipe:
                shutil.copyfileobj(f, pipe)

        def answer(path, *options):
            feeder = subprocess.Popen(["cat", SPEECH], stdout=subprocess.PIPE) if path == "/dev/stdin" else None
            writer = threading.Thread(target=feed, args=(path,))
            if not feeder:
                writer.start()
            p = subprocess.run([SER, *options, path], env=self.env, stdin=feeder.stdout if feeder else None, capture_output=True,
                               cwd=self.dir, timeout=60)
            if feeder:
                feeder.stdout.close()
                feeder.wait()
            else:
                writer.join()
            self.assertEqual(p.returncode, 0, p.stderr)
            return p.stdout.decode()

        os.mkfifo(self.path("fifo"))
        for path in (self.path("fifo"), "/dev/stdin"):
            row = json.loads(answer(path, "predict", "-f", "json"))
            self.assertEqual(row["scores"], expected["scores"])
            self.assertIn("recording, WAV", answer(path, "info"))
            answer(path, "predict", "--picture", self.path("pipe.svg"))
        self.ser("predict", "--picture", self.path("file.svg"), SPEECH)
        with open(self.path("pipe.svg")) as a, open(self.path("file.svg")) as b:
            self.assertEqual(a.read().replace(">stdin<", ">Front_Center.wav<"), b.read())

    def test_baseline(self):
        os.makedirs(self.path("voice"))
        for n in ("Front_Left", "Front_Right", "Rear_Center", "Side_Left"):
            shutil.copy(f"/usr/share/sounds/alsa/{n}.wav", self.path("voice"))
        (row,), _ = self.rows("--baseline", self.path("voice"), SPEECH)
        self.assertAlmostEqual(sum(row["scores"].values()), 1, delta=1e-5)
        self.assertNotEqual(row["scores"], self.rows(SPEECH)[0][0]["scores"])
        os.makedirs(self.path("one"))
        shutil.copy(SPEECH, self.path("one"))
        self.assertIn("at least 3", self.ser("predict", "--baseline", self.path("one"), SPEECH, status=1)[1])
        for option in ("--baseline", "--adapt"):
            self.assertIn("nosuch: No such file", self.ser("predict", option, self.path("nosuch"), SPEECH, status=1)[1])
            self.assertIn("is no folder", self.ser("predict", option, SPEECH, SPEECH, status=2)[1])


class Models(Case):
    def check(self, data, words):
        with open(self.path("m.safetensors"), "wb") as f:
            f.write(data)
        write_wav(self.path("a.wav"), tone(300, 1))
        _, err = self.ser("predict", "--model", self.path("m.safetensors"), self.path("a.wav"), status=1)
        self.assertIn(words, err)
        self.assertEqual(len(err.splitlines()), 1, err)

    def test_damaged_models_are_refused(self):
        good = {"ser.format_version": "1", "ser.model_type": "linear", "ser.labels": '["a", "b"]',
                "ser.features": '{"type": "LOGMEL", "layers": [], "hop_length": 320, "pad": 0}'}
        self.check(b"", "m.safetensors")
        self.check(b"\xff" * 100, "m.safetensors")
        self.check(safetensors({"format": "pt"}), "no model of ser")
        self.check(safetensors(dict(good, **{"ser.format_version": "3"})), "newer")
        self.check(safetensors(dict(good, **{"ser.features": "{"})), "JSON")
        self.check(safetensors(dict(good, **{"ser.labels": '["b", "a"]'})), "alphabetical")
        self.check(safetensors(good), "plain.weight")
        self.check(safetensors(good)[:-20], "m.safetensors")
        self.check(safetensors(good, [("plain.weight", [0.0] * 4)]), "plain.weight")

    def test_train_predict_and_same_bits(self):
        corpus = self.make_corpus()
        args = ("train", "--data", corpus, "--feature-type", "LOGMEL", "--augment", "1", "--model-type", "linear")
        out, _ = self.ser(*args, "--run", self.path("r1"))
        self.assertEqual(out.splitlines()[-1], self.path("r1"))
        shutil.rmtree(self.path("cache"))
        self.ser(*args, "--run", self.path("r2"), "--jobs", "1")
        with open(self.path("r1/model.safetensors"), "rb") as a, open(self.path("r2/model.safetensors"), "rb") as b:
            self.assertEqual(a.read(), b.read())
        self.assertIn("LOGMEL", self.ser("info", self.path("r1/model.safetensors"))[0])
        out, _ = self.ser("predict", "--format", "json", "--model", self.path("r1/model.safetensors"), corpus)
        self.assertEqual(len(out.splitlines()), 18)
        self.assertEqual(out, self.ser("predict", "--format", "json", "--model", self.path("r1"), corpus)[0])
        out, _ = self.ser("info", self.path("r1"))
        for words in ("run folder", "report.html", "LOGMEL"):
            self.assertIn(words, out)
        for part in ("report.html", "report.json", "config.json", "metrics.xlsx"):
            self.assertIn(f"a part of a run: 'ser info {self.path('r1')}/'", self.ser("info", self.path("r1/" + part))[0])
        shutil.copy(self.path("r1/report.json"), self.path("report.json"))  # as --json leaves one
        self.assertNotIn("a part of a run", self.ser("info", self.path("report.json"), status=1)[0])
        os.mkdir(self.path("reports"))
        shutil.copy(self.path("r1/report.json"), self.path("reports"))
        self.assertNotIn("run folder", self.ser("info", self.path("reports"), status=1)[0])

    def test_info_of_a_folder_of_recordings(self):
        os.mkdir(self.path("mine"))
        shutil.copy(SPEECH, self.path("mine/a.wav"))
        for beside in (b"", b"PK\3\4" + bytes(40)):
            with open(self.path("mine/embeddings.pt"), "wb") as f:
                f.write(beside)
            out, _ = self.ser("info", self.path("mine"))
            self.assertIn(f"1 recording in this folder: 'ser predict {self.path('mine')}'", out)
        with open(self.path("mine/model.safetensors"), "wb") as f:  # a model with an example beside it is a model
            f.write(b"{}")
        self.assertIn("config.json", self.ser("info", self.path("mine"), status=1)[1])

    def test_info_moves_no_cursor(self):
        evil = self.path("ev\033[31mil")
        os.mkdir(evil)
        shutil.copy(SPEECH, evil + "/a.wav")
        out, _ = self.ser("info", evil)
        self.assertIn("'ser predict %s'" % self.path("ev?[31mil"), out)
        self.assertNotIn("\033", out)
        for name in ("report.json", "config.json"):
            with open(os.path.join(evil, name), "w") as f:
                f.write("{}")
        out, _ = self.ser("info", evil + "/report.json")
        self.assertIn("'ser info %s/'" % self.path("ev?[31mil"), out)
        self.assertNotIn("\033", out)

    def test_output_to_what_is_removed(self):
        """-o /dev/stdout, which is a file that has no name any more: that file is written to."""
        with tempfile.TemporaryFile() as f:
            p = subprocess.run([SER, "predict", "--format", "csv", "-o", "/dev/stdout", SPEECH], stdout=f, stderr=subprocess.PIPE, text=True)
            self.assertEqual((p.returncode, p.stderr), (0, ""))
            f.seek(0)
            self.assertIn(SPEECH, f.read().decode())

    def test_info_of_other_programs_weights(self):
        golden = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "io")
        self.assertIn("tensors (PyTorch), no model of ser", self.ser("info", os.path.join(golden, "state.bin"))[0])
        self.assertIn("'datetime.date'", self.ser("info", os.path.join(golden, "code.bin"), status=1)[1])
        with open(self.path("w.gguf"), "wb") as f:
            f.write(b"GGUF" + bytes(100))
        for args in (("info",), ("predict", SPEECH, "--model"), ("extract", SPEECH, "--feature-type", "WHISPER", "-o", self.path("x.npy"), "--encoder")):
            _, err = self.ser(*args, self.path("w.gguf"), status=1)
            self.assertIn("it is GGUF, for llama.cpp and whisper.cpp: fetch the same model", err)


class CommercialModel(Case):
    MODEL = os.path.join(os.environ.get("SER_TEST_DIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")), "../models/cremad.safetensors")

    def test_it_answers_and_says_what_it_is_made_of(self):
        out, _ = self.ser("predict", "--format", "json", "--model", self.MODEL, SPEECH)
        self.assertEqual(sorted(json.loads(out)["scores"]), ["angry", "disgust", "fear", "happy", "neutral", "sad"])
        out, _ = self.ser("info", self.MODEL)
        said = json.loads(out.split("provenance", 1)[1])
        self.assertEqual((said["corpus"], said["trained_on"]), ("CREMAD", 7442))
        with open(os.path.join(os.path.dirname(self.MODEL), "../NOTICE")) as f:
            self.assertIn("models/cremad.safetensors", f.read())


class Extract(Case):
    def read_npy(self, path):
        with open(path, "rb") as f:
            data = f.read()
        n = struct.unpack("<H", data[8:10])[0]
        header = eval(data[10:10 + n])
        self.assertEqual((data[:6], header["descr"], header["fortran_order"]), (b"\x93NUMPY", "<f4", False))
        return header["shape"], data[10 + n:]

    def test_no_table(self):
        self.assertIn("name OUT.npy", self.ser("extract", "--feature-type", "LOGMEL", "-o", "a.csv", "a.wav", status=2)[1])

    def test_shapes(self):
        write_wav(self.path("a.wav"), tone(300, 1.0))
        for args, shape in ((("LOGMEL",), (51, 128)), (("MFCC",), (51, 96)), (("LOGMEL+MFCC",), (51, 224)),
                            (("LOGMEL", "--hop-length", "512"), (32, 128))):
            self.ser("extract", "--feature-type", *args, "-o", self.path("a.npy"), self.path("a.wav"))
            got, data = self.read_npy(self.path("a.npy"))
            self.assertEqual(got, shape)
            self.assertEqual(len(data), 4 * shape[0] * shape[1])

    def test_bad_input(self):
        write_wav(self.path("a.wav"), tone(300, 1.0))
        self.ser("extract", "--feature-type", "LOGMEL", self.path("a.wav"), status=2)
        self.ser("extract", "--feature-type", "CHROMA", "-o", self.path("a.npy"), self.path("a.wav"), status=2)
        self.ser("extract", "--feature-type", "LOGMEL", "-o", self.path("no/where/a.npy"), self.path("a.wav"), status=1)
        self.ser("extract", "--feature-type", "LOGMEL", "-o", self.path("b.npy"), self.path("missing.wav"), status=1)
        self.ser("extract", "--feature-type", "WHISPER", "--encoder", self.path("none"), "-o", self.path("b.npy"), self.path("a.wav"), status=1)
        self.assertFalse(os.path.exists(self.path("b.npy")))


class Evaluate(Case):
    def evaluate(self, *args, status=0):
        return self.ser("evaluate", "--feature-type", "LOGMEL", "--augment", "none", "--inner-folds", "2", *args, status=status)

    def test_outputs_are_checked_first(self):
        corpus = self.make_corpus()
        for option, name in (("--html", "no/where/x.html"), ("--json", "no/where/x.json"), ("--picture", "a.bmp"), ("--reliability", "no/where/r.png")):
            out, err = self.evaluate("--data", corpus, "--protocol", "kfold=2", option, self.path(name), "--run", self.path("run"), status=2)
            self.assertEqual(out, "")
            self.assertIn(f"{option}: {self.path(name)}", err)
        self.assertIn("no/where", self.ser("test", "--data", corpus, "--test-path", self.path("none"), "--json", self.path("no/where/x"), status=2)[1])
        for option, name in (("--json", self.dir), ("--html", "reports/"), ("--json", "run/deeper/x.json")):
            _, err = self.evaluate("--data", corpus, "--protocol", "kfold=2", option, name, "--run", "run", status=2)
            self.assertIn(f"{option}: {name}: it", err)
        self.assertFalse(os.path.exists(self.path("run")))

    def test_outputs_go_where_they_can_be_written(self):
        # a pipe, into the run folder, which is not there yet, and through a link from where nothing can be written
        args = ("--data", self.make_corpus(per_class=4), "--protocol", "kfold=2")
        os.symlink(self.path("real.html"), self.path("link.html"))
        with open(self.path("real.html"), "w") as f:
            f.write("before")
        out, _ = self.evaluate(*args, "--json", "/dev/stdout", "--html", "link.html", "--picture", "./new//run/c.svg", "--run", "new/run/")
        self.assertIn('"protocol"', out)
        self.assertTrue(os.path.islink(self.path("link.html")))
        self.assertGreater(os.path.getsize(self.path("real.html")), 1000)
        self.evaluate(*args, "--json", self.path("other/x.json"), "--run", "other")
        self.assertTrue(os.path.exists(self.path("new/run/c.svg")) and os.path.exists(self.path("other/x.json")))

    def test_report_and_reproduce(self):
        corpus = self.make_corpus()
        out, _ = self.evaluate("--data", corpus, "--protocol", "kfold=3", "--json", self.path("r.json"), "--html", self.path("r.html"),
                               "--picture", self.path("c.svg"), "--reliability", self.path("r.png"))
        with open(self.path("r.json")) as f:
            report = json.load(f)
        self.assertEqual(report["labels"], ["angry", "neutral", "sad"])
        self.assertEqual(report["n"], 18)
        self.assertEqual(sum(map(sum, report["confusion"])), 18)
        self.assertEqual(report["leaks"]["speakers"], [-1, -1, -1])  # folders tell none
        self.assertEqual(sum(f["n_test"] for f in report["folds"]), 18)
        self.assertAlmostEqual(report["ua"], 100 * sum(row[i] / sum(row) for i, row in enumerate(report["confusion"])) / 3, delta=1e-6)
        self.assertIn("UA %.1f %%" % report["ua"], out)
        for p in report["predictions"]:
            self.assertAlmostEqual(sum(p["scores"].values()), 1, delta=1e-5)
        self.assertIn("Reproduced", self.ser("evaluate", "--reproduce", self.path("r.json"))[0])
        report["ua"] += 0.1
        with open(self.path("wrong.json"), "w") as f:
            json.dump(report, f)
        self.assertIn("ua differs", self.ser("evaluate", "--reproduce", self.path("wrong.json"), status=1)[1])
        for key, value, fits in (("cpu", "another", True), ("jobs", 77, True), ("version", "0.0.9", True), ("version", "77.0.0", False)):
            with open(self.path("other.json"), "w") as f:
                json.dump(dict(report, **{key: value}), f)
            out, _ = self.ser("evaluate", "--reproduce", self.path("other.json"), status=0 if fits else 1)
            self.assertEqual("within 0.5 points" in out, fits)
        write_wav(os.path.join(corpus, "anger/anger0.wav"), tone(901, 0.5))
        self.assertIn("data_sha256", self.ser("evaluate", "--reproduce", self.path("r.json"), status=1)[1])
        self.ser("evaluate", "--reproduce", self.path("r.html"), status=1)
        _, err = self.ser("evaluate", "--reproduce", self.path("nosuch.json"), status=1)
        self.assertIn("No such file", err)
        self.assertNotIn("line -1", err)

    def test_run_folder(self):
        corpus = self.make_corpus()
        args = ("--data", corpus, "--protocol", "kfold=2")
        out, _ = self.evaluate(*args, "--run", self.path("run"), "--json", self.path("r.json"), "--html", self.path("r.html"))
        self.assertEqual(out.splitlines()[-1], self.path("run"))
        pictures = {"confusion.png", "confusion.svg"}
        self.assertEqual(set(os.listdir(self.path("run"))), pictures | {"config.json", "metrics.xlsx", "report.html", "report.json"})
        for name, same in (("run/report.json", "r.json"), ("run/report.html", "r.html")):
            with open(self.path(name), "rb") as a, open(self.path(same), "rb") as b:
                self.assertEqual(a.read(), b.read())
        self.assertIn("run folder, with report.html, report.json, metrics.xlsx, config.json; no model", self.ser("info", self.path("run"))[0])
        out, _ = self.evaluate(*args)  # by name below runs/
        self.assertTrue(out.splitlines()[-1].startswith("runs/evaluate-corpus-logmel-"), out)
        before = os.listdir(self.path("runs"))
        self.ser("evaluate", "--reproduce", self.path("run/report.json"))
        self.assertEqual(os.listdir(self.path("runs")), before)
        self.assertIn("complete", self.ser("evaluate", "--resume", self.path("run"))[1])
        self.assertIn("'ser evaluate'", self.ser("train", "--resume", self.path("run"), status=2)[1])
        out, _ = self.evaluate(*args, "--seeds", "2", "--run", self.path("seeds"))
        with open(self.path("seeds/report.json")) as f:
            report = json.load(f)
        self.assertEqual([s["seed"] for s in report["seeds"]], [46, 47])
        with open(os.path.join(os.environ["SER_TEST_DIR"], "../docs/report.md")) as f:
            documented = f.read()
        for key in [*report, *report["folds"][0], *report["predictions"][0], *report["leaks"]]:
            self.assertIn("`%s`" % key, documented)
        self.assertAlmostEqual(report["ua_mean"], sum(s["ua"] for s in report["seeds"]) / 2)
        self.assertIn("UA over all seeds %.1f %%" % report["ua_mean"], out)

    def test_interrupted(self):
        """It goes on with the states of its networks, and ends with the same figures."""
        args = ("--data", self.make_corpus(), "--protocol", "kfold=2", "--model-type", "timnet", "--epoch", "30", "--filter-size", "8",
                "--networks", "1", "--patience", "0")
        self.evaluate(*args, "--run", self.path("whole"))
        p = subprocess.Popen([SER, "evaluate", "--feature-type", "LOGMEL", "--augment", "none", "--inner-folds", "2", *args, "--run",
                              self.path("killed")], env=self.env, cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while p.poll() is None and not os.path.exists(self.path("killed/history.jsonl")):
            time.sleep(0.02)
        p.send_signal(signal.SIGINT)
        err = p.communicate()[1].decode()
        if p.returncode:  # it may have been quicker
            self.assertEqual(p.returncode, 130)
            self.assertIn("go on with: ser evaluate --resume " + self.path("killed"), err)
            self.ser("evaluate", "--resume", self.path("killed"))
        reports = []
        for name in ("whole", "killed"):
            self.assertEqual(sorted(f for f in os.listdir(self.path(name)) if f.startswith(("fold", "state", "."))), [])
            with open(self.path(name + "/report.json")) as f:
                reports.append(json.load(f))
        self.assertEqual(reports[0]["predictions"], reports[1]["predictions"])

    def test_settings_of_a_report_are_checked(self):
        """As those on the command line are."""
        corpus = self.make_corpus()
        self.evaluate("--data", corpus, "--protocol", "kfold=2", "--json", self.path("r.json"))
        with open(self.path("r.json")) as f:
            report = json.load(f)
        for key, value in (("precision", "nonsense"), ("normalize", "everything"), ("engine", "steam"), ("preset", ""),
                           ("test_condition", "rain"), ("model_type", "linear+"), ("pooling", "none"), ("inner_folds", 1), ("jobs", 5000),
                           ("seeds", 0), ("c", -1.0), ("dropout", 2), ("hop_length", 320.5), ("pad", "30"), ("class_weights", 1),
                           ("augment", "some"), ("layers", "none"), ("protocol", "kfold=1"), ("data", 5), ("encoder", 5)):
            changed = dict(report, config=dict(report["config"], **{key: value}))
            with open(self.path("wrong.json"), "w") as f:
                json.dump(changed, f)
            p = subprocess.run([SER, "evaluate", "--reproduce", self.path("wrong.json")], env=self.env, cwd=self.dir, capture_output=True)
            self.assertIn(p.returncode, (1, 2), key)
            self.assertNotIn(b"Reproduced", p.stdout, key)

    def test_copies_are_found(self):
        corpus = self.make_corpus()
        for i in range(3):
            shutil.copy(os.path.join(corpus, f"anger/anger{i}.wav"), os.path.join(corpus, f"anger/copy{i}.wav"))
        self.evaluate("--data", corpus, "--protocol", "kfold=9", "--json", self.path("r.json"))
        with open(self.path("r.json")) as f:
            self.assertGreater(sum(json.load(f)["leaks"]["duplicates"]), 0)

    def test_speakers_and_csv(self):
        corpus = self.make_corpus()
        rows = ["file,emotion,speaker,fold"]
        for e in ("anger", "sadness", "neutral"):
            rows += [f"corpus/{e}/{e}{i}.wav,{e},s{i % 3},{i % 2}" for i in range(6)]
        with open(self.path("c.csv"), "w") as f:
            f.write("\n".join(rows) + "\n")
        for protocol in ("loso", "emobox", "group-kfold=3"):
            self.evaluate("--data", self.path("c.csv"), "--protocol", protocol, "--normalize", "speaker", "--json", self.path("r.json"))
            with open(self.path("r.json")) as f:
                report = json.load(f)
            self.assertEqual(sum(report["leaks"]["speakers"]) > 0, protocol == "emobox")
            self.assertEqual(report["normalize"], "speaker")
        self.assertIn("speakers", self.evaluate("--data", self.path("c.csv"), "--protocol", "group-kfold=4", status=2)[1])
        self.assertIn("speaker", self.evaluate("--data", corpus, "--protocol", "loso", status=2)[1])
        self.assertIn("fold list", self.evaluate("--data", corpus, "--protocol", "emobox", status=2)[1])

    def test_bad_corpora(self):
        os.makedirs(self.path("empty"))
        self.evaluate("--data", self.path("empty"), "--protocol", "kfold=2", status=1)
        self.evaluate("--data", self.path("nowhere"), "--protocol", "kfold=2", status=1)
        corpus = self.make_corpus(per_class=2)
        self.assertIn("recordings", self.evaluate("--data", corpus, "--protocol", "kfold=7", status=2)[1])
        with open(os.path.join(corpus, "anger/anger0.wav"), "r+b") as f:
            f.truncate(44)
        self.evaluate("--data", corpus, "--protocol", "kfold=2", status=1)

    def test_altered_test_recordings(self):
        corpus = self.make_corpus()
        for condition in ("noise", "telephone", "echo", "quiet", "clipped"):
            self.evaluate("--data", corpus, "--protocol", "kfold=2", "--test-condition", condition)


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=1).result
    print("%d passed, %d failed" % (result.testsRun - len(result.failures) - len(result.errors) - len(result.skipped),
                                    len(result.failures) + len(result.errors)))
    sys.exit(not result.wasSuccessful())

#!/usr/bin/env python3
"""Answers through Python are those of the command line, to the last bit; what is wrong is one exception; threads, forks, exits."""
import gc, io, json, os, pathlib, pickle, struct, subprocess, sys, threading, time, unittest

import numpy as np

import ser
from common import EMODB, SOUNDS, SPEECH, Case, predicted, samples, write_wav, tone


def same(case, answer, line):
    d = answer.to_dict()
    case.assertEqual((d["label"], d.get("note")), (line["label"], line.get("note")))
    case.assertEqual(d["duration"], line["duration"])
    if line["scores"] is None:
        case.assertIsNone(d["scores"])
    else:
        case.assertEqual({k: "%.9g" % v for k, v in d["scores"].items()}, {k: "%.9g" % v for k, v in line["scores"].items()})


class Answers(Case):
    def test_the_same_bits_as_the_command_line(self):
        paths = EMODB[::len(EMODB) // 100][:100] if len(EMODB) >= 100 else SOUNDS
        lines = predicted(*paths)
        self.assertEqual(len(lines), len(paths))
        for answer, line in zip(ser.Model().predict_many(paths), lines):
            self.assertEqual(answer.file, line["file"])
            same(self, answer, line)
        same(self, ser.predict(paths[0]), predicted(paths[0])[0])

    def test_sound(self):
        self.assertIsNone(ser.predict(SPEECH).sound)
        sound, line = ser.predict(SPEECH, explain=True).sound, predicted("--explain", SPEECH)[0]["sound"]
        self.assertGreater(sound.voice_s, 0)
        for name in ("voice_s", "bandwidth_hz", "level_db", "noise_db", "snr_db", "clipped", "decay_s"):
            ours, theirs = getattr(sound, name), line[name]
            self.assertEqual(ours is None, theirs is None, name)
            self.assertTrue(ours is None or abs(ours - theirs) <= 0.5, (name, ours, theirs))
        self.assertIsNone(ser.predict(np.zeros(16000, np.float32), 16000, explain=True).sound.level_db)

    def test_unlike(self):
        whole, line = ser.predict(SPEECH), predicted("--explain", SPEECH)[0]
        self.assertAlmostEqual(whole.unlike, line["unlike"], 3)
        short = ser.predict((SPEECH, 0.15, 0.6))
        self.assertGreater(short.unlike, 1.1)
        self.assertEqual((short.note, short.to_dict()["note"]), ("unlike the training recordings",) * 2)
        self.assertIsNone(ser.predict(np.zeros(16000, np.float32), 16000).unlike)

    def test_segments(self):
        answer, line = ser.predict(SPEECH, timeline=True), predicted("--timeline", SPEECH)[0]
        self.assertIsNone(ser.predict(SPEECH).segments)
        self.assertEqual(len(answer.segments), len(line["segments"]))
        for ours, theirs in zip(answer.to_dict()["segments"], line["segments"]):
            self.assertEqual((ours["start"], ours["end"], ours["label"]), (theirs["start"], theirs["end"], theirs["label"]))

    def test_arrays_are_heard_as_files_are(self):
        x, rate = samples(SPEECH)
        want = ser.predict(SPEECH).scores
        self.assertEqual(ser.predict(x, rate).scores, want)  # (n, 1)
        self.assertEqual(ser.predict(x[:, 0], rate=rate).scores, want)  # (n,)
        self.assertEqual(ser.predict(x[:, 0].astype(np.int32) << 16, rate=float(rate)).scores, want)
        floats = (x[:, 0] / 32768).astype(np.float32)
        self.assertEqual(ser.predict(floats, rate=rate).scores, want)
        self.assertEqual(ser.predict(floats.astype(np.float64), rate=rate).scores, want)
        self.assertEqual(ser.predict(floats.astype(">f4"), rate=rate).scores, want)
        self.assertEqual(ser.predict(np.repeat(floats, 2)[::2], rate=rate).scores, want)  # not contiguous
        both = np.stack([floats, floats], axis=1)
        self.assertEqual(ser.predict(both, rate=rate).label, ser.predict(SPEECH).label)

    def test_what_names_a_recording(self):
        want = ser.predict(SPEECH)
        self.assertEqual(ser.predict(pathlib.Path(SPEECH)), want)
        self.assertEqual(ser.predict(SPEECH.encode()), want)
        with open(SPEECH, "rb") as f:
            self.assertEqual(ser.predict(f).scores, want.scores)
        with open(SPEECH, "rb") as f:
            self.assertEqual(ser.predict(io.BytesIO(f.read())).scores, want.scores)
        odd = os.path.join(self.dir.encode(), b"\xff\xe4.wav")
        with open(SPEECH, "rb") as f, open(odd, "wb") as to:
            to.write(f.read())
        self.assertEqual(ser.predict(odd).scores, want.scores)
        self.assertEqual(os.fsencode(ser.predict(odd).file), odd)

    def test_without_a_label(self):
        answer = ser.predict(np.zeros(16000, np.float32), rate=16000)
        self.assertEqual((answer.label, answer.scores, answer.confidence, answer.note), (None, None, 0, "silence"))

    def test_least_confidence(self):
        self.assertEqual(ser.predict(SPEECH, min_confidence=1).label, "uncertain")
        scores = ser.predict(SPEECH).scores
        self.assertEqual(ser.predict(SPEECH, min_confidence=0).label, max(scores, key=scores.get))

    def test_many_in_order_with_errors(self):
        write_wav("short.wav", tone(300, 0.01))
        x, rate = samples(SPEECH)
        told = []
        answers = ser.Model().predict_many([SPEECH, "missing.wav", "short.wav", x], rate=rate, jobs=2,
                                           progress=lambda done, total: told.append((done, total)))
        self.assertEqual([type(a.error) for a in answers], [type(None), ser.FileError, ser.FormatError, type(None)])
        self.assertEqual([a.file for a in answers], [SPEECH, "missing.wav", "short.wav", ""])
        self.assertIsNone(answers[1].label)
        self.assertEqual(told, [(1, 4), (2, 4), (3, 4), (4, 4)])
        self.assertEqual(answers[0].scores, answers[3].scores)
        self.assertEqual(ser.Model().predict_many([]), [])

    def test_the_model(self):
        with ser.Model() as m:
            self.assertEqual(m.labels, sorted(m.labels))
            self.assertEqual(len(m), len(m.labels))
            self.assertIn("WHISPER", m.features)
            self.assertIsInstance(m.provenance, dict)
            again = pickle.loads(pickle.dumps(m))
        self.assertEqual(again.predict(SPEECH).scores, ser.predict(SPEECH).scores)
        for use in (lambda: m.predict(SPEECH), lambda: m.predict_many([SPEECH]), lambda: m.labels, lambda: m.type, lambda: len(m),
                    lambda: pickle.dumps(m), lambda: m.__enter__()):
            with self.assertRaisesRegex(ser.ArgumentError, "closed"):
                use()
        m.close()

    def test_features(self):
        m = ser.Model()
        frames, pooled = m.features_of(SPEECH), m.features_of(SPEECH, pooled=True)
        self.assertEqual((frames.dtype, frames.ndim, pooled.shape), (np.float32, 2, (4 * frames.shape[1],)))
        x, rate = samples(SPEECH)
        np.testing.assert_array_equal(m.features_of(x, rate), frames)

    def test_progress_and_its_exceptions(self):
        heard = []
        ser.predict(tone(300, 5), rate=16000, progress=lambda heard_s, total_s: heard.append((heard_s, total_s)))
        self.assertTrue(heard and heard[-1][1] == 5, heard)

        def stop(*_):
            raise KeyboardInterrupt

        m = ser.Model()
        with self.assertRaises(KeyboardInterrupt):
            m.predict(tone(300, 5), rate=16000, progress=stop)
        with self.assertRaises(KeyboardInterrupt):
            m.predict_many([SPEECH] * 3, progress=stop)
        self.assertEqual(m.predict(SPEECH).scores, ser.predict(SPEECH).scores)


class Wrong(Case):
    def refused(self, kind, words, call, *args, **kwargs):
        with self.assertRaisesRegex(kind, words) as caught:
            call(*args, **kwargs)
        self.assertIsInstance(caught.exception, ser.Error)

    def test_arrays(self):
        ok = np.zeros(16000, np.float32)
        for x, words in ((np.zeros((2, 16000)), "transpose"), (np.zeros((1, 16000)), "transpose"), (np.zeros((4, 4, 4)), "shape"),
                         (np.zeros(0), "no samples"), (np.float32(1), "shape"), (np.zeros((5, 0)), "no samples")):
            self.refused(ser.ArgumentError, words, ser.predict, x, rate=16000)
        for x in (ok.astype(complex), np.zeros(9, np.int64), np.zeros(9, bool), np.array(["a"]), np.array([None]), object(), None, 5, {},
                  [[1], [1, 2]], bytearray(b"RIFF"), memoryview(b"RIFF"), io.StringIO("RIFF")):
            self.refused(ser.ArgumentTypeError, "", ser.predict, x, rate=16000 if not hasattr(x, "read") else None)
        for x in (np.nan, np.inf):
            self.refused(ser.FormatError, "finite", ser.predict, np.full(16000, x, np.float32), rate=16000)
        self.refused(ser.FormatError, "25 ms", ser.predict, ok[:399], rate=16000)
        for rate in (0, -1, 16000.5, 1e9, np.nan, np.inf):
            self.refused(ser.ArgumentError, "rate", ser.predict, ok, rate=rate)
        for rate in ("16000", True, [16000]):
            self.refused(ser.ArgumentTypeError, "rate", ser.predict, ok, rate=rate)
        self.refused(ser.ArgumentError, "rate is missing", ser.predict, ok)
        for x in (None, 5, object()):
            self.refused(ser.ArgumentTypeError, "is no recording", ser.predict, x)
        closed = io.BytesIO(b"RIFF")
        closed.close()
        self.refused(ser.ArgumentError, "closed", ser.predict, closed)

    def test_paths_and_options(self):
        self.refused(ser.FileError, "missing.wav: ", ser.predict, "missing.wav")
        self.refused(OSError, "", ser.predict, "missing.wav")
        self.refused(ser.ArgumentError, "empty", ser.predict, "")
        self.refused(ser.ArgumentError, "zero byte", ser.predict, b"RIFF\0")
        self.refused(ser.FileError, "cannot be opened", ser.predict, "-")
        self.refused(ser.ArgumentError, "rate", ser.predict, SPEECH, rate=16000)
        self.refused(ser.FormatError, "", ser.predict, __file__)
        self.refused(ser.FormatError, "", ser.Model, __file__)
        self.refused(ser.FileError, "missing", ser.Model, "missing.safetensors")
        self.refused(ser.ArgumentTypeError, "", ser.Model, 5)
        self.refused(ser.ArgumentError, "precision", ser.Model, precision="fp64")
        self.refused(ser.ArgumentTypeError, "precision", ser.Model, precision=None)
        self.refused(ser.ArgumentTypeError, "encoder", ser.Model, encoder=5)
        for jobs in (-1, 10**6):
            self.refused(ser.ArgumentError, "jobs", ser.predict, SPEECH, jobs=jobs)
        self.refused(ser.ArgumentTypeError, "jobs", ser.predict, SPEECH, jobs="2")
        for p in (-1, 2, np.nan):
            self.refused(ser.ArgumentError, "min_confidence", ser.predict, SPEECH, min_confidence=p)
        self.refused(ser.ArgumentTypeError, "list", ser.Model().predict_many, SPEECH)
        self.refused(ser.ArgumentTypeError, "list", ser.Model().predict_many, 5)

    def test_a_model_of_a_newer_version(self):
        path = self.path_of_a_model()
        with open(path, "rb") as f:
            data = f.read()
        n = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8:8 + n])
        header["__metadata__"]["ser.format_version"] = "99"
        new = json.dumps(header).encode()
        with open("newer.safetensors", "wb") as f:
            f.write(struct.pack("<Q", len(new)) + new + data[8 + n:])
        self.refused(ser.UnsupportedError, "99", ser.Model, "newer.safetensors")

    def path_of_a_model(self):
        corpus, *_ = self.corpus(per_class=4)
        ser.train(corpus, feature_type="LOGMEL", model_type="linear", preset="best", augment="none", split_fold=0, run="run", jobs=1,
                  on_message=lambda text: None)
        return "run/model.safetensors"

    def test_half_a_model(self):
        m = ser.Model.__new__(ser.Model)
        self.refused(ser.ArgumentError, "closed", m.predict, SPEECH)
        repr(m)


class Life(Case):
    def test_closing_while_others_are_busy(self):
        m, x, results = ser.Model(), tone(300, 10), []
        want = ser.predict(x, rate=16000, jobs=1).scores
        busy = threading.Barrier(3)
        first = threading.local()

        def wait_once(*_):
            if not hasattr(first, "waited"):
                first.waited = busy.wait()

        threads = [threading.Thread(target=lambda: results.append(m.predict(x, rate=16000, jobs=1, progress=wait_once).scores)) for _ in range(2)]
        for t in threads:
            t.start()
        busy.wait()  # both are inside C
        m.close()
        gc.collect()
        for t in threads:
            t.join()
        self.assertEqual(results, [want, want])

    def test_python_goes_on_while_c_works(self):
        """The GIL is free: another thread counts, and a second session answers inside the first one's time."""
        m, spans = ser.Model(), []

        def answer():
            since = time.monotonic()
            m.predict(tone(300, 30), rate=16000, jobs=1)
            spans.append((since, time.monotonic()))

        threads = [threading.Thread(target=answer) for _ in range(2)]
        for t in threads:
            t.start()
        n = 0
        while any(t.is_alive() for t in threads):
            time.sleep(0.001)
            n += 1
        (a, b), (c, d) = sorted(spans)
        self.assertGreater(n, 20)
        self.assertLess(c, b, "the second began only when the first was done")

    def test_forked_processes(self):
        code = ("import multiprocessing as mp, ser, sys\n"
                "m = ser.Model(); f = sys.argv[1]; want = m.predict(f, jobs=2).scores\n"
                "def ask(jobs): return m.predict(f, jobs=jobs).scores == want and ser.predict(f).scores == want\n"
                "with mp.get_context('fork').Pool(2) as p: assert all(p.map(ask, [1, 2, 0, 2]))\n"
                "assert ask(2)\n")
        subprocess.run([sys.executable, "-c", code, SPEECH], check=True, timeout=300)

    def test_exits_in_any_order(self):
        for code in ("import ser; m = ser.Model(); m.predict(f)", "import ser; m = ser.Model(); m.me = m", "import ser; ser.predict(f); del ser",
                     *(f"import ser, threading, time; threading.Thread(target=ser.predict, args=(f,), daemon=True).start(); time.sleep({s})"
                       for s in (0, 0.005, 0.01, 0.02, 0.04, 0.08)),
                     "import ser, sys; m = ser.Model(); sys.modules.clear()", "import ser; m = ser.Model(); m.predict(f); raise SystemExit(0)",
                     "import ser, atexit; m = ser.Model(); atexit.register(m.close); atexit.register(m.predict, f)"):
            p = subprocess.run([sys.executable, "-c", f"f = {SPEECH!r}\n{code}"], capture_output=True, text=True, timeout=300)
            self.assertEqual((p.returncode, p.stderr), (0, ""), code)

    def test_an_import_is_cheap(self):
        """Processor time beyond NumPy's own, which other work on the machine changes less than the time that passes."""
        code = ("import sys, time, numpy\nt = time.process_time()\nimport ser\nt = time.process_time() - t\n"
                "assert not {'pandas', 'sklearn', 'torch', 'matplotlib', 'tqdm', 'logging'} & set(sys.modules) - before\nprint(t)")
        code = code.replace("t = time.process_time()\nimport", "before = set(sys.modules)\nt = time.process_time()\nimport", 1)
        times = [float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout) for _ in range(7)]
        self.assertLess(min(times[1:]), 0.03, times)

    def test_beside_numpy_in_either_order(self):
        for code in ("import ser, numpy", "import numpy, ser"):
            code += f"; x = numpy.ones((300, 300)) @ numpy.ones((300, 300)); ser.predict({SPEECH!r}); assert (x @ x).sum() > 0"
            subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


if __name__ == "__main__":
    unittest.main()

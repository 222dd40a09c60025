#!/usr/bin/env python3
"""ser.Interface: tables with audformat's index, the same scores as the command line's. ser.Stream: events of pushed samples."""
import os, unittest

import numpy as np

import ser
from common import SPEECH, Case, run, samples, tone, write_wav

try:
    import pandas as pd
except ImportError:
    pd = None
try:
    import audformat
except ImportError:
    audformat = None


@unittest.skipUnless(pd is not None, "needs pandas")
class Tables(Case):
    def setUp(self):
        super().setUp()
        self.x, self.rate = samples(SPEECH)
        self.twice = np.concatenate([self.x, self.x])[:, 0] / np.float32(32768)
        write_wav("twice.wav", self.twice, self.rate)
        self.s = ser.Interface()

    def test_files(self):
        t = self.s.process_files([SPEECH, "missing.wav"])
        self.assertEqual(list(t.index.names), ["file", "start", "end"])
        self.assertEqual(t.index[0][0], SPEECH)
        self.assertIn("ser.Model", repr(self.s))
        self.assertEqual((t.index.dtypes["start"], t.index.dtypes["end"]), ("timedelta64[ns]",) * 2)
        want = ser.predict(SPEECH)
        self.assertEqual({k: t.iloc[0][k] for k in want.scores}, want.scores)
        self.assertEqual(t.iloc[0]["label"], want.label)
        self.assertAlmostEqual(t.index[0][2].total_seconds(), want.duration, 6)
        self.assertIn("missing.wav", t.iloc[1]["error"])
        os.symlink(SPEECH, "missing.wav")  # what failed may be asked for again by its row
        again = self.s.process_index(t[t["error"].notna()])
        self.assertEqual((again.iloc[0]["label"], again.index[0][1:]), (want.label, t.index[0][1:]))
        self.assertIn("\\udcff.wav", self.s.process_file(b"\xff.wav").iloc[0]["error"])  # no UTF-8, which tables of text cannot hold
        self.assertEqual(self.s.process_file("twice.wav", root=self.dir).index[0][0], "twice.wav")

    def test_folder_signal_and_what_is_wrong(self):
        os.mkdir("in"), write_wav("in/b.wav", tone(300)), write_wav("in/a.wav", tone(500))
        with open("in/notes.txt", "w") as f:
            f.write("no recording")
        self.assertEqual([os.path.basename(f) for f in self.s.process_folder("in", filetype="wav").index.get_level_values("file")], ["a.wav", "b.wav"])
        t = self.s.process_signal(self.x.T, self.rate, file="x")
        self.assertEqual(t.iloc[0]["confidence"], ser.predict(SPEECH).confidence)
        for call in (lambda: self.s.process_files("a.wav"), lambda: self.s.process_index(5), lambda: self.s.process_folder("missing"),
                     lambda: self.s.process_index(pd.Index(["a"], name="recording"))):
            with self.assertRaises(ser.ArgumentError):
                call()

    def test_stretches(self):
        half = len(self.x) / self.rate
        index = pd.MultiIndex.from_arrays([["twice.wav"] * 3 + [SPEECH], pd.to_timedelta([0, half, 0.1, 0], unit="s"),
                                           pd.to_timedelta([half, None, 99, None], unit="s")], names=["file", "start", "end"])
        t = self.s.process_index(index)
        self.assertEqual(list(t.index[[0, 2]]), list(index[[0, 2]]))
        self.assertAlmostEqual(t.index[1][2].total_seconds(), 2 * half, 3)
        for row in (0, 1):  # the same sound twice, resampled at other edges
            self.assertAlmostEqual(t.iloc[row]["confidence"], t.iloc[3]["confidence"], 1)
        self.assertEqual(t.iloc[3]["confidence"], ser.predict(SPEECH).confidence)
        self.assertEqual(list(self.s.process_index(t).index), list(t.index))
        self.assertTrue(self.s.process_index(pd.DataFrame(index=index)).equals(t))
        bad = self.s.process_index(pd.MultiIndex.from_arrays([["twice.wav"] * 2, pd.to_timedelta([50, 2], unit="s"), pd.to_timedelta([60, 1], unit="s")],
                                                             names=["file", "start", "end"]))
        self.assertEqual(bad.iloc[0]["error"], "twice.wav: from 50 s to 60 s it holds 0.0 ms of sound: at least 25 ms are needed")
        self.assertIn("ends before", bad.iloc[1]["error"])
        timeline = ser.Interface(timeline=True).process_index(index[1:2])
        self.assertAlmostEqual(timeline.index[0][1].total_seconds(), half, 6)
        self.assertGreater(timeline.index[-1][2].total_seconds(), 1.9 * half)

    def test_tables(self):
        os.mkdir("sub"), os.rename("twice.wav", "sub/twice.wav")
        with open("sub/in.csv", "w") as f:
            f.write("file,start,end,emotion\ntwice.wav,0 days 00:00:00.25,0 days 00:00:01.250,sad\ntwice.wav,1,,angry\n")
        t = self.s.process_table("sub/in.csv", output="out.csv")
        self.assertEqual([a.total_seconds() for _, a, _ in t.index], [0.25, 1])
        self.assertEqual(list(self.s.process_table("out.csv", root="sub").index), list(t.index))
        with open("files.csv", "w") as f:
            f.write(f"file\n{SPEECH}\n")
        self.assertEqual(self.s.process_table("files.csv").iloc[0]["confidence"], ser.predict(SPEECH).confidence)
        for name, text, kind in (("a.csv", "file,start\nx,1\n", ser.FormatError), ("b.csv", "name\nx\n", ser.FormatError), ("c.csv", "", ser.FormatError),
                                 ("d.csv", "file,start,end\nx,soon,1\n", ser.FormatError), ("e.csv", "\0\xff\n\"", ser.FormatError)):
            with open(name, "w") as f:
                f.write(text)
            with self.assertRaises(kind, msg=name):
                self.s.process_table(name)
        with self.assertRaises(ser.FileError):
            self.s.process_table("missing.csv")
        with self.assertRaises(ser.ArgumentTypeError):
            self.s.process_table(5)
        with self.assertRaisesRegex(ser.ArgumentTypeError, "output is a list"):
            self.s.process_table("files.csv", output=["out.csv"])
        with self.assertRaisesRegex(ser.FileError, "nowhere/out.csv: "):
            self.s.process_table("files.csv", output="nowhere/out.csv")

    @unittest.skipUnless(audformat, "needs audformat")
    def test_an_audformat_csv_goes_in_and_comes_out(self):
        with open("in.csv", "w") as f:
            f.write("file,start,end\ntwice.wav,0 days 00:00:00,\ntwice.wav,0 days 00:00:00.5,0 days 00:00:01.5\n")
        t = self.s.process_index(audformat.utils.read_csv("in.csv"))
        self.assertTrue(audformat.is_segmented_index(t.index))
        t.to_csv("out.csv")
        back = audformat.utils.read_csv("out.csv")
        audformat.assert_index(back.index)
        self.assertEqual(list(back.index), list(t.index))
        self.assertTrue(self.s.process_table("in.csv").equals(t))


class Streams(Case):
    def test_events(self):
        x, rate = samples(SPEECH)
        pause = np.zeros((rate, 1), np.int16)
        sound = np.concatenate([pause, x, pause])
        stream = ser.Stream(rate=rate)
        events = stream.push(sound[i:i + 5000] for i in range(0, len(sound), 5000)) + stream.finish()
        self.assertEqual([e.event for e in events if e.event != "measurement"], ["speech_start", "speech_end"])
        end = events[-1] if events[-1].event == "speech_end" else [e for e in events if e.event == "speech_end"][0]
        self.assertIn(end.label, [*ser.Model().labels, "uncertain"])
        self.assertAlmostEqual(sum(end.scores.values()), 1, 5)
        whole = ser.Stream(rate=rate)
        floats = (sound[:, 0] / 32768).astype(np.float32)
        again = [e for e in whole.push(floats) + whole.finish() if e.final]
        self.assertEqual(again, [e for e in events if e.final])

    def test_what_is_wrong(self):
        stream = ser.Stream()
        for kind, x in ((ser.ArgumentError, np.zeros((5, 2), np.float32)), (ser.ArgumentTypeError, np.zeros(5, np.int64)), (ser.ArgumentTypeError, "x"),
                        (ser.ArgumentTypeError, None)):
            with self.assertRaises(kind):
                stream.push(x)
        with self.assertRaises(ser.FormatError):
            stream.push(np.full(16000, np.nan, np.float32))
        stream.close(), stream.close()
        for call in (lambda: stream.push(np.zeros(5, np.float32)), stream.finish, lambda: ser.Stream(rate=0), lambda: ser.Stream(channels=0),
                     lambda: ser.Stream(pause="x"), lambda: ser.Stream(update=-1), lambda: ser.Stream(pause=1e9)):
            with self.assertRaises(ser.ArgumentError):
                call()
        over = ser.Stream()
        over.finish()
        self.assertEqual(over.finish(), [])
        with self.assertRaisesRegex(ser.ArgumentError, "over"):
            over.push(np.zeros(5, np.float32))


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""Corpora as people have them, through the program: names, folders, tables, stretches, known corpora. Tones stand for
emotions, so that a model that read the right sound under the right label is right. Needs nothing but Python.

Usage: test_corpora.py PATH_OF_SER
"""
import json, math, os, shutil, struct, subprocess, sys, tempfile, unittest, wave

SER = os.path.abspath(sys.argv.pop(1))
PITCHES = {"angry": 900, "neutral": 450, "sad": 200}


def tone(frequency, seconds, seed=0):
    """A tone, and noise by a linear congruential generator."""
    state, samples = seed * 7919 + 1, []
    for i in range(int(16000 * seconds)):
        state = (1103515245 * state + 12345) % 2**31
        samples.append(0.3 * math.sin(2 * math.pi * frequency * i / 16000) + 0.02 * (state / 2**31 - 0.5))
    return samples


def write_wav(path, samples):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with wave.open(path, "wb") as f:
        f.setnchannels(1), f.setsampwidth(2), f.setframerate(16000)
        f.writeframes(b"".join(struct.pack("<h", round(32767 * s)) for s in samples))


class Corpora(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.env = dict(os.environ, XDG_CACHE_HOME=self.path("cache"), LC_ALL="C.UTF-8")

    def tearDown(self):
        shutil.rmtree(self.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def ser(self, *args, status=0):
        p = subprocess.run([SER, *args], env=self.env, capture_output=True, cwd=self.dir, timeout=300)
        self.assertEqual(p.returncode, status, (args, p.stdout, p.stderr))
        return p.stdout.decode(), p.stderr.decode()

    def evaluate(self, data, *args):
        """The report, and what was said on standard error."""
        _, err = self.ser("evaluate", "--data", data, "--feature-type", "LOGMEL", "--augment", "none", "--inner-folds", "2",
                          "--json", self.path("r.json"), *args)
        with open(self.path("r.json")) as f:
            return json.load(f), err

    def make(self, name_of, n=4):
        for emotion, pitch in PITCHES.items():
            for i in range(n):
                write_wav(self.path(name_of(emotion, i)), tone(pitch * (1 + 0.03 * i), 0.5, seed=i + pitch))

    def check_truth(self, report, n):
        """Each recording once, under its own emotion, which its name tells."""
        truth = [(p["file"], p["label"]) for p in report["predictions"]]
        self.assertEqual((report["n"], report["labels"], len(truth), len(set(truth))), (n, ["angry", "neutral", "sad"], n, n))
        for file, label in truth:
            self.assertIn(label, file.lower().replace("anger", "angry").replace("ang_", "angry").replace("neu_", "neutral"))
        self.assertGreater(report["ua"], 60)

    def index(self, name):
        with open(self.path(f"t/LOGMEL/{name}_LOGMEL_128/index.json")) as f:
            return json.load(f)["recordings"]

    def test_one_name_in_several_folders(self):
        self.make(lambda emotion, i: f"c/{emotion}/{i}.wav")
        report, err = self.evaluate("c", "--protocol", "kfold=2")
        self.check_truth(report, 12)
        self.assertEqual(err, "")
        self.ser("extract", "--data", "c", "--feature-type", "LOGMEL", "--features-dir", "t")
        self.assertTrue(os.path.exists(self.path("t/LOGMEL/c_LOGMEL_128/angry/0.npy")))
        self.assertEqual(sorted(r["utterance"] for r in self.index("c"))[:2], ["angry/0", "angry/1"])
        again, _ = self.evaluate("c", "--protocol", "kfold=2", "--features-dir", "t")
        self.assertEqual([again[k] for k in ("ua", "data_sha256", "split_sha256")], [report[k] for k in ("ua", "data_sha256", "split_sha256")])

    def test_flat_names_stay(self):
        self.make(lambda emotion, i: f"c/{emotion}/{emotion}{i}.wav")
        self.ser("extract", "--data", "c", "--feature-type", "LOGMEL", "--features-dir", "t")
        self.assertEqual(sorted(n for n in os.listdir(self.path("t/LOGMEL/c_LOGMEL_128")) if n.endswith(".npy")),
                         sorted(f"{e}{i}.npy" for e in PITCHES for i in range(4)))

    def test_speakers_folders(self):
        self.make(lambda emotion, i: f"c/000{i % 2}/{emotion.title()}/{emotion}{i}.wav")
        report, err = self.evaluate("c", "--protocol", "loso")
        self.assertEqual([f["fold"] for f in report["folds"]], ["0000", "0001"])
        self.check_truth(report, 12)
        self.assertEqual(err, "ser: folders lie in folders: emotions are taken from the second "
                              "('Angry', 'Neutral', 'Sad'), and the speakers from the first ('0000', '0001')\n")

    def test_table_of_a_spreadsheet(self):
        self.make(lambda emotion, i: f"c/wav/{emotion}{i}.wav")
        rows = [f"wav\\{e}{i}.wav;{e.upper()} ;{i % 2}.0" for e in PITCHES for i in range(4)]
        with open(self.path("c/list.csv"), "w", newline="") as f:
            f.write("sep=;\r\nFile;Emotion;Fold\r\n" + "\r\n".join(rows + rows[:1]) + "\r\n")
        report, err = self.evaluate("c/list.csv", "--protocol", "emobox")
        self.check_truth(report, 12)
        out, _ = self.ser("info", "c/list.csv")
        self.assertRegex(out, r"c/list.csv: table\n  rows +13\n  columns +File, Emotion, Fold\n")
        self.assertEqual([f["n_test"] for f in report["folds"]], [6, 6])
        self.assertEqual(err, "ser: rows that repeat another left out: 1, the first is row 14\n")

    def test_stretches(self):
        """One file holds all; each row is half a second of it, and as good as a file of its own."""
        samples, rows, at = [], [], 0.0
        for emotion, pitch in PITCHES.items():
            for i in range(4):
                piece = tone(pitch * (1 + 0.03 * i), 0.5, seed=i + pitch)
                write_wav(self.path(f"apart/{emotion}/{len(rows):02}.wav"), piece)
                samples += piece
                rows.append(f"wav/all.wav,0 days 00:00:0{at:.6f},{at + 0.5},{emotion}")
                at += 0.5
        write_wav(self.path("c/wav/all.wav"), samples)
        with open(self.path("c/list.csv"), "w") as f:
            f.write("file,start,end,emotion\n" + "\n".join(rows) + "\n")
        report, err = self.evaluate("c/list.csv", "--protocol", "kfold=2")
        self.assertEqual((report["n"], err), (12, ""))
        self.assertEqual(sorted((p["start"], p["end"]) for p in report["predictions"])[:2], [(0.0, 0.5), (0.5, 1.0)])
        apart, _ = self.evaluate("apart", "--protocol", "kfold=2")
        self.assertEqual(*([r[k] for k in ("ua", "f1", "confusion")] for r in (report, apart)))
        self.ser("extract", "--data", "apart", "--feature-type", "LOGMEL", "--features-dir", "t")
        self.ser("extract", "--data", "c/list.csv", "--feature-type", "LOGMEL", "--features-dir", "t")
        recordings = self.index("list")
        self.assertEqual({r["n_samples"] for r in recordings}, {8000})
        self.assertEqual({r["sha256"] for r in recordings}, {r["sha256"] for r in self.index("apart")})
        self.assertIn("wav/all_0.5-1", [r["utterance"] for r in recordings])
        with open(self.path("c/list.csv"), "a") as f:
            f.write("wav/all.wav,6,7,sad\n")
        _, err = self.ser("evaluate", "--data", "c/list.csv", "--feature-type", "LOGMEL", "--protocol", "kfold=2", status=1)
        self.assertIn("from 6 to 7 s", err)

    def test_recordings_to_look_at(self):
        """Cut short, or with a stretch beyond the end: learned from, and told each time, from the cache too."""
        self.make(lambda emotion, i: f"c/{emotion}/{emotion}{i}.wav")
        with open(self.path("c/neutral/neutral1.wav"), "r+b") as f:
            f.truncate(12044)
        for _ in range(2):
            report, err = self.evaluate("c", "--protocol", "kfold=2")
            self.check_truth(report, 12)
            self.assertEqual(err, "ser: recordings to look at: 1, the first is c/neutral/neutral1.wav: the header promises "
                                  "0.500 s, only 0.375 s can be decoded and are used: fetch the file again\n")
        with open(self.path("c/list.csv"), "w") as f: # milliseconds in place of seconds
            f.write("file,start,end,emotion\n" + "".join(f"{e}/{e}{i}.wav,0,400,{e}\n" for e in PITCHES for i in (0, 2)))
        _, err = self.evaluate("c/list.csv", "--protocol", "kfold=2")
        self.assertEqual(err, "ser: recordings to look at: 6, the first is c/angry/angry0.wav: it holds 0.500 s, and its "
                              "stretch ends at 400 s\n")
        with open(self.path("c/list.csv"), "w") as f: # of a file what is of all its stretches is told once
            f.write("file,start,end,emotion\nangry/angry0.wav,,,angry\n" + "".join(f"neutral/neutral1.wav,0.{i},0.{i + 1},neutral\n" for i in range(3)))
        _, err = self.ser("extract", "--data", "c/list.csv", "--feature-type", "LOGMEL", "--features-dir", "t")
        self.assertEqual(err.count("only 0.375 s can be decoded"), 1)

    def test_known_by_name(self):
        codes = {"angry": "ANG", "neutral": "NEU", "sad": "SAD"}
        self.make(lambda emotion, i: f"d/cremad/AudioWAV/100{1 + i % 2}_{('DFA', 'IEO')[i // 2]}_{codes[emotion]}_XX.wav")
        self.make(lambda emotion, i: "d/NEMO/samples/%s_%s_%d.wav" % (("WR0", "EB0")[i % 2], {"angry": "anger", "sad": "sadness"}.get(emotion, emotion), i))
        for name, speakers in (("CREMAD", ["1001", "1002"]), ("NEMO", ["EB0", "WR0"])):
            report, err = self.evaluate(name, "--data-dir", "d", "--protocol", "loso")
            self.check_truth(report, 12)
            self.assertEqual((report["corpus"], err), (name, ""))
            self.assertEqual([f["fold"] for f in report["folds"]], speakers)
        report, _ = self.evaluate("CREMAD+NEMO", "--data-dir", "d", "--protocol", "group-kfold=2")
        self.assertEqual((report["corpus"], report["n"]), ("CREMAD+NEMO", 24))
        _, err = self.ser("train-lmmd", "--data", "CREMAD", "--data-dir", "d", "--feature-type", "LOGMEL", status=2)
        self.assertIn("CREMAD has no usual counterpart: name the other corpus with --target", err)


if __name__ == "__main__":
    unittest.main()

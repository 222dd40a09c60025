#!/usr/bin/env python3
"""Jobs through Python give the command line's reports and weights; Ctrl-C saves what is done; reports show themselves."""
import json, os, pathlib, signal, subprocess, sys, textwrap, threading, unittest

import numpy as np

import ser
from common import PROGRAM, Case, run, samples, tensors, write_wav

try:
    import pandas
except ImportError:
    pandas = None
try:
    import matplotlib
except ImportError:
    matplotlib = None

# What differs from run to run.
VOLATILE = {"cpu", "version", "seconds", "jobs"}


class Jobs(Case):
    def test_evaluate_gives_the_report_of_the_command_line(self):
        corpus, *_ = self.corpus()
        told, messages = [], []
        report = ser.evaluate(pathlib.Path(corpus), "loso", feature_type="LOGMEL", augment=1, jobs=1, run="here", seed=7,
                              progress=lambda *a: told.append(a), on_message=messages.append)
        run("evaluate", "--data", corpus, "--protocol", "loso", "--feature-type", "LOGMEL", "--augment", "1", "--jobs", "1", "--seed", "7",
            "--run", "there")
        with open("there/report.json") as f:
            theirs = json.load(f)
        self.assertEqual({k: v for k, v in report.items() if k not in VOLATILE}, {k: v for k, v in theirs.items() if k not in VOLATILE})
        self.assertEqual(os.path.realpath(report.folder), os.path.realpath("here"))
        self.assertTrue(told and all(isinstance(what, str) and done <= total for what, done, total in told if total), told)
        self.assertEqual(report.ua, report["ua"])
        self.assertEqual(report.figures()["ua"], (report["ua"], *report["ua_ci95"]))
        self.assertEqual(np.asarray(report.confusion()).sum(), report.n)
        self.assertIn("95 % interval", report._repr_html_())
        self.assertIn("ua ", repr(report))
        self.assertIn("UA", str(report))
        self.assertEqual(ser.Report.open("here").data, report.data)
        with self.assertRaisesRegex(AttributeError, "no 'nonsense'"):
            report.nonsense
        with self.assertRaises(AttributeError):
            ser.Report({})._repr_svg_
        if pandas:
            frame = report.to_frame()
            self.assertEqual(list(frame.columns[:2]), ["label", "predicted"])
            self.assertAlmostEqual(100 * (frame.label == frame.predicted).mean(), report.wa)
            self.assertEqual(report.confusion().loc["sad"].sum(), 9)

    @unittest.skipUnless(matplotlib, "needs matplotlib")
    def test_the_picture_of_a_report_is_whole(self):
        matplotlib.use("agg")
        names = ["anger", "a long name of an emotion"]
        ax = ser.Report({"labels": names, "confusion": [[3, 1], [0, 4]], "ua": 87.5, "wa": 87.5}).plot()
        ax.figure.savefig("plot.png")
        self.assertEqual([t.get_text() for t in ax.texts], ["75", "25", "0", "100"])
        whole = ax.figure.bbox
        for text in (*ax.get_xticklabels(), *ax.get_yticklabels(), ax.xaxis.label, ax.yaxis.label, ax.title):
            box = text.get_window_extent()
            self.assertTrue(whole.x0 <= box.x0 and whole.y0 <= box.y0 and box.x1 <= whole.x1 and box.y1 <= whole.y1, text)

    def test_train_gives_the_same_weights_and_epochs_are_told(self):
        corpus, paths, *_ = self.corpus()
        epochs = []
        report = ser.train(corpus, feature_type="LOGMEL", split_fold=0, epoch=2, filter_size=4, jobs=1, run="here", on_epoch=epochs.append)
        run("train", "--data", corpus, "--feature-type", "LOGMEL", "--split-fold", "0", "--epoch", "2", "--filter-size", "4", "--jobs", "1",
            "--run", "there")
        with open("here/model.safetensors", "rb") as ours, open("there/model.safetensors", "rb") as theirs:
            self.assertEqual(ours.read(), theirs.read())
        self.assertEqual([e["epoch"] for e in epochs], [1, 2])
        self.assertTrue(np.isfinite(epochs[0]["train_loss"]))
        self.assertEqual(report.model.labels, ["angry", "neutral", "sad"])
        with self.assertWarnsRegex(UserWarning, "learned by heart"):
            self.assertEqual(ser.test("here", corpus).n, 27)
        self.assertIn("ua_shared", ser.test("here", corpus, target=corpus, on_message=lambda text: None).figures())
        self.assertTrue(ser.train(resume=True, run="here").was_complete)
        with self.assertRaisesRegex(ser.ArgumentError, "was complete already"):
            ser.train(resume=True, run="here").confusion()
        self.assertEqual(ser.Model("here").predict(paths[0]).note, "no voice")

    def test_stretches_of_a_recording_are_a_corpus(self):
        """In a table and in Praat's TextGrid: the same weights."""
        _, paths, y, _ = self.corpus(per_class=4)
        write_wav("long.wav", np.concatenate([samples(p)[0][:, 0] for p in paths]) / np.float32(32767))
        with open("stretches.csv", "w") as f:
            f.write("file,start,end,emotion\n" + "".join(f"long.wav,{i / 2},{i / 2 + 0.5},{e}\n" for i, e in enumerate(y)))
        with open("long.TextGrid", "w") as f:
            f.write('File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n6\n<exists>\n1\n"IntervalTier"\n"emotion"\n0\n6\n%d\n' % len(y)
                    + "".join(f'{i / 2}\n{i / 2 + 0.5}\n"{e}"\n' for i, e in enumerate(y)))
        for i, data in enumerate(("stretches.csv", "long.TextGrid")):
            ser.train(data, feature_type="LOGMEL", model_type="linear", preset="best", augment="none", split_fold=0, run=f"run{i}", jobs=1,
                      on_message=lambda text: None)
        table, grid = tensors("run0/model.safetensors"), tensors("run1/model.safetensors")
        self.assertEqual(table, grid)

    def test_adapt_and_extract(self):
        corpus, paths, *_ = self.corpus()
        report = ser.adapt(corpus, corpus, on_message=lambda text: None, feature_type="LOGMEL", run="adapted", augment="none")
        self.assertIn(report.kept, ("adapted", "source"))
        one = ser.extract(feature_type="LOGMEL", recording=paths[0], output="one.npy")
        self.assertEqual(list(np.load("one.npy").shape), one["shape"])

    def test_what_is_wrong(self):
        corpus, *_ = self.corpus(per_class=3)
        for kind, words, settings in ((ser.ArgumentError, "no such setting", {"colour": "red"}), (ser.ArgumentError, "no corpus", {"data": None}),
                                      (ser.ArgumentError, "feature_type|NOSUCH", {"feature_type": "NOSUCH"}), (ser.Error, "seeds", {"seeds": -1}),
                                      (ser.ArgumentError, "finite", {"c": float("nan")}), (ser.ArgumentError, "wrong type", {"seeds": "three"}),
                                      (ser.ArgumentTypeError, "data", {"data": object()}), (ser.ArgumentTypeError, "layers", {"layers": [None]}),
                                      (ser.ArgumentError, "UTF-8", {"data": b"\xff"}), (ser.ArgumentError, "", {"data": "a\0b"}),
                                      (ser.ArgumentTypeError, "on_epoch", {"on_epoch": 5}), (ser.Error, "missing.csv", {"data": "missing.csv"}),
                                      (ser.ArgumentTypeError, "run", {"run": {1: 2}})):
            with self.assertRaisesRegex(kind, words, msg=settings):
                ser.evaluate(**{"data": corpus, "protocol": "loso", "feature_type": "LOGMEL", **settings})

    def test_an_exception_of_the_listener_comes_out(self):
        corpus, *_ = self.corpus(per_class=3)

        def stop(*_):
            raise ZeroDivisionError("mine")

        with self.assertRaisesRegex(ZeroDivisionError, "mine"):
            ser.evaluate(corpus, "loso", feature_type="LOGMEL", progress=stop)
        results = []
        t = threading.Thread(target=lambda: results.append(ser.evaluate(corpus, "loso", feature_type="LOGMEL")))
        t.start(), t.join()
        self.assertEqual(results[0].n, 9)

    def test_interrupted_and_resumed(self):
        corpus, *_ = self.corpus()
        code = textwrap.dedent("""
            import ser, signal, sys
            signal.signal(signal.SIGINT, signal.default_int_handler)  # where the shell has it ignored
            def epoch(e):
                print(e["epoch"], flush=True)
            try:
                ser.train(sys.argv[1], feature_type="LOGMEL", split_fold=0, epoch=60, filter_size=4, jobs=1, run="run", on_epoch=epoch)
            except KeyboardInterrupt as e:
                print("interrupted", getattr(e, "__notes__", [""])[0])
        """)
        p = subprocess.Popen([sys.executable, "-c", code, corpus], stdout=subprocess.PIPE, text=True)
        self.assertEqual(p.stdout.readline().strip(), "1")
        p.send_signal(signal.SIGINT)
        rest = p.communicate(timeout=300)[0]
        self.assertEqual(p.returncode, 0)
        last = rest.strip().splitlines()[-1]
        self.assertTrue(last.startswith("interrupted"), rest)
        self.assertNotIn("\n60\n", rest)
        self.assertFalse(os.path.exists("run/model.safetensors"))
        epochs = []
        ser.train(run="run", resume=True, on_epoch=epochs.append)
        self.assertTrue(epochs[0]["restored"])
        self.assertEqual(epochs[-1]["epoch"], 60)
        ser.train(corpus, feature_type="LOGMEL", split_fold=0, epoch=60, filter_size=4, jobs=1, run="whole")
        with open("run/model.safetensors", "rb") as resumed, open("whole/model.safetensors", "rb") as whole:
            self.assertEqual(resumed.read(), whole.read())

    def test_the_command_line(self):
        p = subprocess.run([sys.executable, "-m", "ser", "--version"], env=dict(os.environ, SER_PROGRAM=PROGRAM), capture_output=True, text=True)
        self.assertEqual((p.returncode, p.stdout), (0, f"ser {ser.__version__}\n"))
        p = subprocess.run([sys.executable, "-m", "ser", "nonsense"], env=dict(os.environ, SER_PROGRAM=PROGRAM), capture_output=True, text=True)
        self.assertEqual(p.returncode, 2)


if __name__ == "__main__":
    unittest.main()

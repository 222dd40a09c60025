#!/usr/bin/env python3
"""How often the timeline is right: utterances of EMO-DB are strung together, ten at a time, and every half second the
timeline's emotion is compared with the utterance's; moments that it calls a pause are counted by themselves.

  tools/check_timeline.py PATH_OF_SER DATA_DIR [PAUSE [MODEL]]

PAUSE: seconds of silence between utterances (0); from 0.5 on, they are utterances to the voice detector too.

Without MODEL the built-in one answers, which has heard these utterances: the figure compares ways of cutting a long
recording, and says nothing of strangers. Packages: soundfile, numpy (tools/requirements.txt).
"""
import glob, json, os, random, subprocess, sys, tempfile

import numpy
import soundfile

SER, DATA = os.path.abspath(sys.argv[1]), sys.argv[2]
PAUSE_S = float(sys.argv[3]) if len(sys.argv) > 3 else 0
MODEL = ["--model", sys.argv[4]] if len(sys.argv) > 4 else []
EMOTIONS = dict(W="angry", L="boredom", E="disgust", A="fear", F="happy", T="sad", N="neutral")
N_RECORDINGS, N_UTTERANCES = 6, 10

files = sorted(glob.glob(os.path.join(DATA, "emodb", "**", "*.*"), recursive=True))
random.Random(1).shuffle(files)
right = total = pauses = 0
with tempfile.TemporaryDirectory() as folder:
    for k in range(N_RECORDINGS):
        samples, starts, ends, truth, now = [], [], [], [], 0.0
        for path in files[k * N_UTTERANCES:][:N_UTTERANCES]:
            x, rate = soundfile.read(path)
            samples += [0.5 * x / abs(x).max(), numpy.zeros(round(PAUSE_S * rate))]
            starts.append(now)
            ends.append(now + len(x) / rate)
            now = ends[-1] + PAUSE_S
            truth.append(EMOTIONS[os.path.basename(path)[5]])
        path = os.path.join(folder, "long.wav")
        soundfile.write(path, numpy.concatenate(samples), rate)
        out = subprocess.run([SER, "predict", *MODEL, "--precision", "fp32", "--timeline", "--format", "json", path], check=True, capture_output=True)
        segments = json.loads(out.stdout)["segments"]
        for t in numpy.arange(1, ends[-1] - 1, 0.5):
            k = numpy.searchsorted(ends, t, "right")
            said = [s["label"] for s in segments if s["start"] <= t < s["end"]]
            if t >= starts[k]:
                right += said == [truth[k]]
                pauses += said == [None]
                total += 1
print("right at %d of %d moments: %.1f %%, a pause at %d" % (right, total, 100 * right / total, pauses))

"""ser's log-mel beside librosa's, and Whisper's beside transformers', in one run.

Usage: python bench/features/compare_librosa.py PROGRAM [RECORDING]
PROGRAM is bench-features; RECORDING any file that soundfile reads (16 kHz), repeated to 10 s; default: noise.
Packages: tools/requirements.txt. Both sides take turns, and the fastest run of each counts: on a busy machine
medians favour whoever fits between two interruptions.
"""
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import librosa
import numpy as np
from processor import describe
from transformers import WhisperFeatureExtractor

RATE, SECONDS, ROUNDS, RUNS = 16000, 10, 15, 20
extractor = WhisperFeatureExtractor(feature_size=80)


def signal():
    n = RATE * SECONDS
    if len(sys.argv) > 2:
        import soundfile

        y, rate = soundfile.read(sys.argv[2], dtype="float32")
        assert rate == RATE and y.ndim == 1
        return np.resize(y, n)
    return (0.1 * np.random.default_rng(46).standard_normal(n)).astype(np.float32)


def reference(kind, hop, y):
    if kind == "whisper":
        return extractor(y, sampling_rate=RATE, padding="do_not_pad", truncation=False, return_tensors="np")[
            "input_features"
        ][0].T
    mel = librosa.feature.melspectrogram(y=y, sr=RATE, n_fft=2048, hop_length=hop, n_mels=128)
    return librosa.power_to_db(mel).T


def fastest_ms(f):
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


def main():
    y = signal()
    print(f"{describe()}; {SECONDS} s, fastest of {ROUNDS * RUNS} runs, milliseconds")
    print("| | reference | ser | times as fast | largest difference |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/in.f32", f"{folder}/out.f32"]
        y.tofile(paths[0])

        def ser_ms(kind, hop):
            command = [sys.argv[1], *paths, kind, str(hop), str(RUNS)]
            return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

        for kind, hop in (("logmel", 512), ("logmel", 320), ("whisper", 160)):
            expected = reference(kind, hop, y)
            rounds = [(fastest_ms(lambda: reference(kind, hop, y)), ser_ms(kind, hop)) for _ in range(ROUNDS)]
            theirs, own = (min(column) for column in zip(*rounds))
            difference = np.abs(np.fromfile(paths[1], np.float32).reshape(expected.shape) - expected).max()
            print(
                f"| {kind}, hop {hop} | {theirs:.2f} | {own:.2f} | {theirs / own:.1f} | {difference:.1e} |"
            )


main()
